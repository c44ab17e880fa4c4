//! The C library's functions on strings, and on memory that is looked through: what they read is read for C.

use super::entry::entry_points;
use super::memory::{accessed, malloc, memcpy, memset, pointer};
use super::race::Access;
use super::world::{Pc, enter, with};
use std::ffi::{c_char, c_int, c_void};

/// How many bytes come before one that is looked for, or before `most`; checked byte by byte as far as they are read.
fn before(start: usize, most: usize, pc: Pc, is_it: impl Fn(u8) -> bool) -> usize {
    let mut length = 0;
    while length < most {
        if live_heap(start + length) {
            accessed(start + length, 1, Access::Read, pc);
        }
        // SAFETY: C passes memory that is there up to such a byte; what the model knows of it has just been checked.
        if is_it(unsafe { pointer::<u8>(start + length).read() }) {
            break;
        }
        length += 1;
    }
    if !live_heap(start) {
        accessed(start, length.saturating_add(1).min(most), Access::Read, pc);
    }
    length
}

/// The length of a string.
fn text(start: usize, most: usize, pc: Pc) -> usize {
    before(start, most, pc, |byte| byte == 0)
}

/// Compares strings, of which nothing is read beyond the first difference: one of them need not have an end. `as_if` is what a byte
/// counts as.
fn compare_as(a: usize, b: usize, most: usize, pc: Pc, as_if: impl Fn(u8) -> u8) -> c_int {
    let (mut length, mut answer) = (0, 0);
    while length < most {
        for start in [a, b] {
            if live_heap(start + length) {
                accessed(start + length, 1, Access::Read, pc);
            }
        }
        // SAFETY: C passes memory that is there up to the first difference or end; what the model knows of it has just been checked.
        let [one, other] = [a, b].map(|start| as_if(unsafe { pointer::<u8>(start + length).read() }));
        length += 1;
        answer = c_int::from(one) - c_int::from(other);
        if answer != 0 || one == 0 {
            break;
        }
    }
    for start in [a, b] {
        if !live_heap(start) {
            accessed(start, length, Access::Read, pc);
        }
    }
    answer
}

fn compare(a: usize, b: usize, most: usize, pc: Pc) -> c_int {
    compare_as(a, b, most, pc, |byte| byte)
}

fn live_heap(address: usize) -> bool {
    super::world::live() && with(|world| world.heap.contains(address))
}

extern "C-unwind" fn strlen(a: usize, pc: Pc) -> usize {
    text(a, usize::MAX, pc)
}

extern "C-unwind" fn strnlen(a: usize, most: usize, pc: Pc) -> usize {
    text(a, most, pc)
}

extern "C-unwind" fn strcmp(a: usize, b: usize, pc: Pc) -> c_int {
    compare(a, b, usize::MAX, pc)
}

extern "C-unwind" fn strncmp(a: usize, b: usize, most: usize, pc: Pc) -> c_int {
    compare(a, b, most, pc)
}

/// It reads no further than to what it finds, so the memory may end there.
extern "C-unwind" fn memchr(a: usize, byte: c_int, most: usize, pc: Pc) -> usize {
    // C passes a byte as an int.
    let at = before(a, most, pc, |it| it == byte as u8);
    if at < most { a + at } else { 0 }
}

extern "C-unwind" fn strchr(a: usize, byte: c_int, pc: Pc) -> usize {
    text(a, usize::MAX, pc);
    // SAFETY: a string: `text` came to its end.
    unsafe { libc::strchr(pointer::<c_char>(a), byte) }.expose_provenance()
}

extern "C-unwind" fn strrchr(a: usize, byte: c_int, pc: Pc) -> usize {
    text(a, usize::MAX, pc);
    // SAFETY: a string: `text` came to its end.
    unsafe { libc::strrchr(pointer::<c_char>(a), byte) }.expose_provenance()
}

extern "C-unwind" fn strcpy(to: usize, from: usize, pc: Pc) -> usize {
    let length = text(from, usize::MAX, pc);
    memcpy(to, from, length + 1, pc)
}

extern "C-unwind" fn strncpy(to: usize, from: usize, size: usize, pc: Pc) -> usize {
    let length = text(from, size, pc);
    memcpy(to, from, length, pc);
    memset(to + length, 0, size - length, pc);
    to
}

extern "C-unwind" fn strcat(to: usize, from: usize, pc: Pc) -> usize {
    let length = text(to, usize::MAX, pc);
    strcpy(to + length, from, pc);
    to
}

extern "C-unwind" fn strdup(from: usize, pc: Pc) -> usize {
    let length = text(from, usize::MAX, pc);
    memcpy(malloc(length + 1, pc), from, length + 1, pc)
}

extern "C-unwind" fn strndup(from: usize, most: usize, pc: Pc) -> usize {
    let length = text(from, most, pc);
    let to = memcpy(malloc(length + 1, pc), from, length, pc);
    memset(to + length, 0, 1, pc);
    to
}

extern "C-unwind" fn strncat(to: usize, from: usize, most: usize, pc: Pc) -> usize {
    let end = to + text(to, usize::MAX, pc);
    let length = text(from, most, pc);
    memcpy(end, from, length, pc);
    memset(end + length, 0, 1, pc);
    to
}

extern "C-unwind" fn stpcpy(to: usize, from: usize, pc: Pc) -> usize {
    let length = text(from, usize::MAX, pc);
    memcpy(to, from, length + 1, pc);
    to + length
}

extern "C-unwind" fn mempcpy(to: usize, from: usize, size: usize, pc: Pc) -> usize {
    memcpy(to, from, size, pc) + size
}

extern "C-unwind" fn memrchr(a: usize, byte: c_int, size: usize, pc: Pc) -> usize {
    accessed(a, size, Access::Read, pc);
    // SAFETY: as in `memcpy`.
    unsafe { libc::memrchr(pointer::<c_void>(a), byte, size) }.expose_provenance()
}

extern "C-unwind" fn strchrnul(a: usize, byte: c_int, pc: Pc) -> usize {
    match strchr(a, byte, pc) {
        0 => a + text(a, usize::MAX, pc),
        found => found,
    }
}

extern "C-unwind" fn strtok_r(a: usize, separators: usize, kept: usize, pc: Pc) -> usize {
    text(separators, usize::MAX, pc);
    accessed(kept, size_of::<usize>(), Access::Write, pc);
    // SAFETY: C passes a place for a pointer, which an earlier call has set when there is no string.
    let start = if a == 0 { unsafe { pointer::<usize>(kept).read() } } else { a };
    // It puts an end into the string, so all of it counts as written.
    let length = text(start, usize::MAX, pc);
    accessed(start, length + 1, Access::Write, pc);
    // SAFETY: two strings, and a place for a pointer: what the model knows of them has just been checked.
    unsafe { libc::strtok_r(pointer::<c_char>(a), pointer::<c_char>(separators), pointer::<*mut c_char>(kept)) }
        .expose_provenance()
}

/// A letter counts as a small one, in the locale that the process has.
fn lower(byte: u8) -> u8 {
    // SAFETY: it takes any byte.
    unsafe { libc::tolower(c_int::from(byte)) as u8 }
}

extern "C-unwind" fn strcasecmp(a: usize, b: usize, pc: Pc) -> c_int {
    compare_as(a, b, usize::MAX, pc, lower)
}

extern "C-unwind" fn strncasecmp(a: usize, b: usize, most: usize, pc: Pc) -> c_int {
    compare_as(a, b, most, pc, lower)
}

unsafe extern "C-unwind" {
    fn strcasestr(a: *const c_char, b: *const c_char) -> *mut c_char;
    fn qsort(base: *mut c_void, count: usize, each: usize, compare: usize);
}

/// A function of the C library's on two strings, which are read to their ends.
fn of_two<R>(a: usize, b: usize, pc: Pc, f: impl FnOnce(*const c_char, *const c_char) -> R) -> R {
    text(a, usize::MAX, pc);
    text(b, usize::MAX, pc);
    f(pointer(a), pointer(b))
}

extern "C-unwind" fn strstr(a: usize, b: usize, pc: Pc) -> usize {
    // SAFETY: two strings.
    of_two(a, b, pc, |a, b| unsafe { libc::strstr(a, b) }).expose_provenance()
}

extern "C-unwind" fn finds_in_any_case(a: usize, b: usize, pc: Pc) -> usize {
    // SAFETY: two strings.
    of_two(a, b, pc, |a, b| unsafe { strcasestr(a, b) }).expose_provenance()
}

extern "C-unwind" fn strpbrk(a: usize, b: usize, pc: Pc) -> usize {
    // SAFETY: two strings.
    of_two(a, b, pc, |a, b| unsafe { libc::strpbrk(a, b) }).expose_provenance()
}

extern "C-unwind" fn strspn(a: usize, b: usize, pc: Pc) -> usize {
    // SAFETY: two strings.
    of_two(a, b, pc, |a, b| unsafe { libc::strspn(a, b) })
}

extern "C-unwind" fn strcspn(a: usize, b: usize, pc: Pc) -> usize {
    // SAFETY: two strings.
    of_two(a, b, pc, |a, b| unsafe { libc::strcspn(a, b) })
}

extern "C-unwind" fn strsep(kept: usize, separators: usize, pc: Pc) -> usize {
    accessed(kept, size_of::<usize>(), Access::Write, pc);
    // SAFETY: C passes a place for a pointer, which has been checked.
    let start = unsafe { pointer::<usize>(kept).read() };
    if start == 0 {
        return 0;
    }
    let length = strcspn(start, separators, pc);
    // SAFETY: as above; and a byte of the string, which has been read.
    let end = unsafe { pointer::<u8>(start + length).read() };
    let next = if end == 0 { 0 } else { start + length + 1 };
    if next != 0 {
        memset(start + length, 0, 1, pc);
    }
    // SAFETY: as above.
    unsafe { pointer::<usize>(kept).write(next) };
    start
}

/// Where it stopped is one place for all threads, for which they race.
extern "C-unwind" fn strtok(a: usize, separators: usize, pc: Pc) -> usize {
    let Some(_) = enter() else { return 0 };
    let kept: *mut usize = with(|world| &raw mut **world.objects.tokens.get_or_insert_default());
    strtok_r(a, separators, kept.expose_provenance(), pc)
}

extern "C-unwind" fn bcopy(from: usize, to: usize, size: usize, pc: Pc) {
    memcpy(to, from, size, pc);
}

/// What it compares, the code that compares reads; what it moves is written here.
extern "C-unwind" fn sorts(base: usize, count: usize, each: usize, compare: usize, pc: Pc) {
    accessed(base, count.saturating_mul(each), Access::Write, pc);
    // SAFETY: an array, which has been checked, and a function for it.
    unsafe { qsort(pointer(base), count, each, compare) };
}

entry_points! {
    strcasecmp(2) => strcasecmp;
    strncasecmp(3) => strncasecmp;
    strstr(2) => strstr;
    strcasestr(2) => finds_in_any_case;
    strpbrk(2) => strpbrk;
    strspn(2) => strspn;
    strcspn(2) => strcspn;
    strsep(2) => strsep;
    strtok(2) => strtok;
    index(2) => strchr;
    rindex(2) => strrchr;
    bcopy(3) => bcopy;
    qsort(4) => sorts;
    strlen(1) => strlen;
    strnlen(2) => strnlen;
    memchr(3) => memchr;
    strcmp(2) => strcmp;
    strncmp(3) => strncmp;
    strchr(2) => strchr;
    strrchr(2) => strrchr;
    strcpy(2) => strcpy;
    strncpy(3) => strncpy;
    strcat(2) => strcat;
    strdup(1) => strdup;
    strndup(2) => strndup;
    strncat(3) => strncat;
    stpcpy(2) => stpcpy;
    mempcpy(3) => mempcpy;
    memrchr(3) => memrchr;
    strchrnul(2) => strchrnul;
    strtok_r(3) => strtok_r;
}

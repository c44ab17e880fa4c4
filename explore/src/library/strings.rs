//! The C library's functions on strings, and on memory that is looked through: what they read is read for C, up to where they stop.
//!
//! Those on wide characters are the same functions on units of another size.

use crate::entry::entry_points;
use crate::memory::{accessed, malloc, memcpy, memset, pointer, read_beyond, room};
use crate::pthread::answer_all;
use crate::race::Access;
use crate::world::{Pc, enter, with};
use std::ffi::{c_char, c_int};

/// What a string consists of: `char`, which counts as a number without sign, or `wchar_t`.
pub(super) trait Unit: Copy + PartialEq + Into<i64> {
    /// C passes one as a number.
    fn of(number: c_int) -> Self;
}

impl Unit for u8 {
    fn of(number: c_int) -> Self {
        number as Self
    }
}

impl Unit for i32 {
    fn of(number: c_int) -> Self {
        number
    }
}

/// The bytes of so many units.
fn size<T>(units: usize) -> usize {
    units.saturating_mul(size_of::<T>())
}

/// Reads one unit of C's.
///
/// # Safety
///
/// 1. C passed `start` to a function that reads at least `number + 1` units there. Where the explorer knows the bounds of that
///    memory, the unit lies within them: the caller has asked [`room`] or [`accessed`].
unsafe fn unit<T: Unit>(start: usize, number: usize) -> T {
    // SAFETY: the caller guarantees by clause 1 that the unit can be read; all bit patterns are numbers, and no
    // alignment is needed.
    unsafe { pointer::<T>(start + size::<T>(number)).read_unaligned() }
}

fn is_end<T: Unit>(unit: T) -> bool {
    unit.into() == 0
}

/// How many units come before one that is looked for, or before `most`; all that is read is checked, and it ends where the memory does.
pub(super) fn before<T: Unit>(start: usize, most: usize, pc: Pc, mut is_it: impl FnMut(T) -> bool) -> usize {
    if most == 0 {
        return 0;
    }
    let room = room(start) / size_of::<T>();
    let mut length = 0;
    while length < most.min(room) {
        // SAFETY: (1) C passed `start` to be read up to the unit that is looked for, which has not come yet; `length`
        // is below `room`.
        if is_it(unsafe { unit(start, length) }) {
            accessed(start, size::<T>(length + 1), Access::Read, pc);
            return length;
        }
        length += 1;
    }
    if length < most {
        read_beyond(start, size::<T>(length + 1), pc);
    }
    accessed(start, size::<T>(length), Access::Read, pc);
    length
}

/// The length of a string, of which no more than `most` is read.
pub(super) fn length<T: Unit>(start: usize, most: usize, pc: Pc) -> usize {
    before(start, most, pc, is_end::<T>)
}

/// A string, without its end.
pub(super) fn text<T: Unit>(start: usize, pc: Pc) -> Vec<T> {
    let length = length::<T>(start, usize::MAX, pc);
    // SAFETY: (1) `length` has just read as many units.
    (0..length).map(|number| unsafe { unit(start, number) }).collect()
}

/// Compares strings, of which nothing is read beyond the first difference: one of them need not have an end. `as_if` is what a unit
/// counts as, and `ends` after which nothing comes.
fn compare<T: Unit>(
    [a, b]: [usize; 2],
    most: usize,
    pc: Pc,
    as_if: impl Fn(T) -> i64,
    ends: impl Fn(T) -> bool,
) -> c_int {
    let rooms = if most == 0 { [0; 2] } else { [a, b].map(room) };
    let (mut length, mut answer) = (0, 0);
    while length < most && answer == 0 {
        for (start, room) in [a, b].into_iter().zip(rooms) {
            if size::<T>(length + 1) > room {
                read_beyond(start, size::<T>(length + 1), pc);
            }
        }
        // SAFETY: (1) C passed both to be compared, and no difference has come yet; the loop above has checked the room
        // of both.
        let [one, other]: [T; 2] = [a, b].map(|start| unsafe { unit(start, length) });
        length += 1;
        answer = as_if(one) - as_if(other);
        if ends(one) {
            break;
        }
    }
    for start in [a, b] {
        accessed(start, size::<T>(length), Access::Read, pc);
    }
    answer.clamp(-i64::from(c_int::MAX), i64::from(c_int::MAX)) as c_int
}

/// A letter counts as a small one, in the locale that the process has.
fn lower<T: Unit>(unit: T) -> i64 {
    unsafe extern "C" {
        fn towlower(unit: u32) -> u32;
    }
    let number = unit.into();
    if size_of::<T>() == 1 {
        // SAFETY: it takes any byte.
        i64::from(unsafe { libc::tolower(number as c_int) })
    } else {
        // SAFETY: it takes any number.
        i64::from(unsafe { towlower(number as u32) } as i32)
    }
}

extern "C-unwind" fn strlen<T: Unit>(a: usize, pc: Pc) -> usize {
    length::<T>(a, usize::MAX, pc)
}

extern "C-unwind" fn strnlen<T: Unit>(a: usize, most: usize, pc: Pc) -> usize {
    length::<T>(a, most, pc)
}

extern "C-unwind" fn strcmp<T: Unit>(a: usize, b: usize, pc: Pc) -> c_int {
    compare([a, b], usize::MAX, pc, T::into, is_end)
}

extern "C-unwind" fn strncmp<T: Unit>(a: usize, b: usize, most: usize, pc: Pc) -> c_int {
    compare([a, b], most, pc, T::into, is_end)
}

extern "C-unwind" fn strcasecmp<T: Unit>(a: usize, b: usize, pc: Pc) -> c_int {
    compare([a, b], usize::MAX, pc, lower, is_end::<T>)
}

extern "C-unwind" fn strncasecmp<T: Unit>(a: usize, b: usize, most: usize, pc: Pc) -> c_int {
    compare([a, b], most, pc, lower, is_end::<T>)
}

/// It compares all of them, as `memcmp` does.
extern "C-unwind" fn wmemcmp(a: usize, b: usize, count: usize, pc: Pc) -> c_int {
    for start in [a, b] {
        accessed(start, size::<i32>(count), Access::Read, pc);
    }
    compare([a, b], count, pc, i32::into, |_| false)
}

/// It reads no further than to what it finds, so the memory may end there.
extern "C-unwind" fn memchr<T: Unit>(a: usize, wanted: c_int, most: usize, pc: Pc) -> usize {
    let at = before(a, most, pc, |it: T| it == T::of(wanted));
    if at < most { a + size::<T>(at) } else { 0 }
}

/// Its first such unit, or its end.
extern "C-unwind" fn strchrnul<T: Unit>(a: usize, wanted: c_int, pc: Pc) -> usize {
    a + size::<T>(before(a, usize::MAX, pc, |it: T| it == T::of(wanted) || is_end(it)))
}

extern "C-unwind" fn strchr<T: Unit>(a: usize, wanted: c_int, pc: Pc) -> usize {
    let found = strchrnul::<T>(a, wanted, pc);
    // SAFETY: (1) `strchrnul` has just read the string up to here.
    let unit: T = unsafe { unit(found, 0) };
    if unit == T::of(wanted) { found } else { 0 }
}

extern "C-unwind" fn strrchr<T: Unit>(a: usize, wanted: c_int, pc: Pc) -> usize {
    let length = length::<T>(a, usize::MAX, pc);
    // SAFETY: (1) `length` has just read the string with its end.
    let found = (0..=length).rev().find(|&number| unsafe { unit::<T>(a, number) } == T::of(wanted));
    found.map_or(0, |number| a + size::<T>(number))
}

extern "C-unwind" fn memrchr(a: usize, byte: c_int, count: usize, pc: Pc) -> usize {
    accessed(a, count, Access::Read, pc);
    // SAFETY: (1) C passes `count` bytes to `memrchr`, and `accessed` has checked them.
    let found = (0..count).rev().find(|&number| unsafe { unit::<u8>(a, number) } == byte as u8);
    found.map_or(0, |number| a + number)
}

extern "C-unwind" fn strcpy<T: Unit>(to: usize, from: usize, pc: Pc) -> usize {
    let length = length::<T>(from, usize::MAX, pc);
    memcpy(to, from, size::<T>(length + 1), pc)
}

extern "C-unwind" fn strncpy<T: Unit>(to: usize, from: usize, most: usize, pc: Pc) -> usize {
    let length = size::<T>(length::<T>(from, most, pc));
    memcpy(to, from, length, pc);
    memset(to + length, 0, size::<T>(most) - length, pc);
    to
}

extern "C-unwind" fn strcat<T: Unit>(to: usize, from: usize, pc: Pc) -> usize {
    let end = to + size::<T>(length::<T>(to, usize::MAX, pc));
    strcpy::<T>(end, from, pc);
    to
}

extern "C-unwind" fn strncat<T: Unit>(to: usize, from: usize, most: usize, pc: Pc) -> usize {
    let end = to + size::<T>(length::<T>(to, usize::MAX, pc));
    let length = size::<T>(length::<T>(from, most, pc));
    memcpy(end, from, length, pc);
    memset(end + length, 0, size_of::<T>(), pc);
    to
}

extern "C-unwind" fn strdup(from: usize, pc: Pc) -> usize {
    strndup(from, usize::MAX, pc)
}

extern "C-unwind" fn strndup(from: usize, most: usize, pc: Pc) -> usize {
    let length = length::<u8>(from, most, pc);
    let to = memcpy(malloc(length + 1, pc), from, length, pc);
    memset(to + length, 0, 1, pc);
    to
}

extern "C-unwind" fn stpcpy(to: usize, from: usize, pc: Pc) -> usize {
    let length = length::<u8>(from, usize::MAX, pc);
    memcpy(to, from, length + 1, pc) + length
}

extern "C-unwind" fn mempcpy(to: usize, from: usize, size: usize, pc: Pc) -> usize {
    memcpy(to, from, size, pc) + size
}

extern "C-unwind" fn wmemcpy(to: usize, from: usize, count: usize, pc: Pc) -> usize {
    memcpy(to, from, size::<i32>(count), pc)
}

extern "C-unwind" fn wmemset(to: usize, wide: c_int, count: usize, pc: Pc) -> usize {
    accessed(to, size::<i32>(count), Access::Write, pc);
    for number in 0..count {
        // SAFETY: C passes memory for so many, which has been checked.
        unsafe { pointer::<c_int>(to + size::<c_int>(number)).write_unaligned(wide) };
    }
    to
}

/// Up to the byte, and with it, or as many as there may be.
extern "C-unwind" fn memccpy(to: usize, from: usize, byte: c_int, most: usize, pc: Pc) -> usize {
    let at = before(from, most, pc, |it: u8| it == byte as u8);
    memcpy(to, from, at.saturating_add(1).min(most), pc);
    if at < most { to + at + 1 } else { 0 }
}

extern "C-unwind" fn bcopy(from: usize, to: usize, size: usize, pc: Pc) {
    memcpy(to, from, size, pc);
}

/// Swaps the bytes of each pair; one that is left over stays.
extern "C-unwind" fn swab(from: usize, to: usize, size: isize, pc: Pc) {
    let size = size.max(0) as usize & !1;
    let bytes: Vec<u8> = {
        accessed(from, size, Access::Read, pc);
        // SAFETY: (1) C passes `size` bytes to `swab`, and `accessed` has checked them; `size` is even, so `at ^ 1` is
        // below it.
        (0..size).map(|at| unsafe { unit(from, at ^ 1) }).collect()
    };
    // SAFETY: (1) C passes memory for `size` bytes to `swab`, which writes there.
    unsafe { answer_all(to, &bytes, pc) };
}

/// How much of it consists of these.
extern "C-unwind" fn strspn<T: Unit>(a: usize, these: usize, pc: Pc) -> usize {
    let these = text::<T>(these, pc);
    before(a, usize::MAX, pc, |it: T| !these.contains(&it))
}

/// How much of it consists of others.
extern "C-unwind" fn strcspn<T: Unit>(a: usize, these: usize, pc: Pc) -> usize {
    let these = text::<T>(these, pc);
    before(a, usize::MAX, pc, |it: T| these.contains(&it) || is_end(it))
}

extern "C-unwind" fn strpbrk(a: usize, these: usize, pc: Pc) -> usize {
    let found = a + strcspn::<u8>(a, these, pc);
    // SAFETY: (1) `strcspn` has just read the string up to here.
    unsafe { if is_end(unit::<u8>(found, 0)) { 0 } else { found } }
}

/// Where among no more than `most` units the wanted ones are; nothing is read beyond them.
fn find<T: Unit>(
    a: usize,
    most: usize,
    wanted: &[i64],
    pc: Pc,
    as_if: impl Fn(T) -> i64,
    ends: impl Fn(T) -> bool,
) -> usize {
    if wanted.is_empty() {
        return a;
    }
    let mut seen = Vec::new();
    before(a, most, pc, |it: T| {
        seen.push(as_if(it));
        seen.ends_with(wanted) || ends(it)
    });
    if seen.ends_with(wanted) { a + size::<T>(seen.len() - wanted.len()) } else { 0 }
}

extern "C-unwind" fn strstr<T: Unit>(a: usize, wanted: usize, pc: Pc) -> usize {
    let wanted: Vec<i64> = text::<T>(wanted, pc).into_iter().map(T::into).collect();
    find(a, usize::MAX, &wanted, pc, T::into, is_end)
}

extern "C-unwind" fn strcasestr(a: usize, wanted: usize, pc: Pc) -> usize {
    let wanted: Vec<i64> = text::<u8>(wanted, pc).into_iter().map(lower).collect();
    find(a, usize::MAX, &wanted, pc, lower, is_end::<u8>)
}

extern "C-unwind" fn memmem(a: usize, most: usize, wanted: usize, count: usize, pc: Pc) -> usize {
    accessed(wanted, count, Access::Read, pc);
    // SAFETY: (1) C passes `count` bytes to `memmem`, and `accessed` has checked them.
    let wanted: Vec<i64> = (0..count).map(|number| unsafe { unit::<u8>(wanted, number) }.into()).collect();
    find(a, most, &wanted, pc, u8::into, |_| false)
}

/// A place of C's for a pointer, which has been checked.
fn kept(place: usize) -> *mut usize {
    pointer(place)
}

extern "C-unwind" fn strtok_r(a: usize, separators: usize, place: usize, pc: Pc) -> usize {
    let mut start = a;
    if start == 0 {
        accessed(place, size_of::<usize>(), Access::Read, pc);
        // SAFETY: an earlier call has set it.
        start = unsafe { kept(place).read() };
    }
    start += strspn::<u8>(start, separators, pc);
    let length = strcspn::<u8>(start, separators, pc);
    let mut rest = start + length;
    // SAFETY: (1) `strcspn` has just read the string up to here.
    if !is_end(unsafe { unit::<u8>(rest, 0) }) {
        memset(rest, 0, 1, pc);
        rest += 1;
    }
    accessed(place, size_of::<usize>(), Access::Write, pc);
    // SAFETY: a place for a pointer.
    unsafe { kept(place).write(rest) };
    if length == 0 { 0 } else { start }
}

extern "C-unwind" fn strsep(place: usize, separators: usize, pc: Pc) -> usize {
    accessed(place, size_of::<usize>(), Access::Read, pc);
    // SAFETY: a place for a pointer.
    let start = unsafe { kept(place).read() };
    if start == 0 {
        return 0;
    }
    let end = start + strcspn::<u8>(start, separators, pc);
    let mut rest = 0;
    // SAFETY: (1) `strcspn` has just read the string up to here.
    if !is_end(unsafe { unit::<u8>(end, 0) }) {
        memset(end, 0, 1, pc);
        rest = end + 1;
    }
    accessed(place, size_of::<usize>(), Access::Write, pc);
    // SAFETY: C passes a place for a pointer to `strsep`, which writes to it; it has been checked.
    unsafe { kept(place).write(rest) };
    start
}

/// Where it stopped is one place for all threads, for which they race.
extern "C-unwind" fn strtok(a: usize, separators: usize, pc: Pc) -> usize {
    let Some(_) = enter() else { return 0 };
    let place: *mut usize = with(|world| &raw mut **world.objects.tokens.get_or_insert_default());
    strtok_r(a, separators, place.expose_provenance(), pc)
}

/// What is before this in the order of the process's locale begins with it: as long as it takes, and no more is written than there is
/// room for.
extern "C-unwind" fn strxfrm(to: usize, from: usize, most: usize, pc: Pc) -> usize {
    length::<u8>(from, usize::MAX, pc);
    // SAFETY: a string; nothing is written.
    let needed = unsafe { libc::strxfrm(std::ptr::null_mut(), pointer::<c_char>(from), 0) };
    accessed(to, most.min(needed + 1), Access::Write, pc);
    // SAFETY: a string, and memory for as much of it, which has been checked.
    unsafe { libc::strxfrm(pointer(to), pointer::<c_char>(from), most) }
}

entry_points! {
    strlen(1) => strlen::<u8>;
    wcslen(1) => strlen::<i32>;
    strnlen(2) => strnlen::<u8>;
    wcsnlen(2) => strnlen::<i32>;
    strcmp(2) => strcmp::<u8>;
    wcscmp(2) => strcmp::<i32>;
    strncmp(3) => strncmp::<u8>;
    wcsncmp(3) => strncmp::<i32>;
    strcasecmp(2) => strcasecmp::<u8>;
    wcscasecmp(2) => strcasecmp::<i32>;
    strncasecmp(3) => strncasecmp::<u8>;
    wcsncasecmp(3) => strncasecmp::<i32>;
    memchr(3) => memchr::<u8>;
    wmemchr(3) => memchr::<i32>;
    memrchr(3) => memrchr;
    memmem(4) => memmem;
    memccpy(4) => memccpy;
    mempcpy(3) => mempcpy;
    bcopy(3) => bcopy;
    swab(3) => swab;
    wmemcmp(3) => wmemcmp;
    wmemcpy(3) => wmemcpy;
    wmemmove(3) => wmemcpy;
    wmemset(3) => wmemset;
    strchr(2) => strchr::<u8>;
    index(2) => strchr::<u8>;
    wcschr(2) => strchr::<i32>;
    strrchr(2) => strrchr::<u8>;
    rindex(2) => strrchr::<u8>;
    wcsrchr(2) => strrchr::<i32>;
    strchrnul(2) => strchrnul::<u8>;
    strstr(2) => strstr::<u8>;
    wcsstr(2) => strstr::<i32>;
    strcasestr(2) => strcasestr;
    strpbrk(2) => strpbrk;
    strspn(2) => strspn::<u8>;
    strcspn(2) => strcspn::<u8>;
    strcpy(2) => strcpy::<u8>;
    wcscpy(2) => strcpy::<i32>;
    strncpy(3) => strncpy::<u8>;
    wcsncpy(3) => strncpy::<i32>;
    strcat(2) => strcat::<u8>;
    wcscat(2) => strcat::<i32>;
    strncat(3) => strncat::<u8>;
    wcsncat(3) => strncat::<i32>;
    stpcpy(2) => stpcpy;
    strdup(1) => strdup;
    strndup(2) => strndup;
    strsep(2) => strsep;
    strtok(2) => strtok;
    strtok_r(3) => strtok_r;
    strxfrm(3) => strxfrm;
}

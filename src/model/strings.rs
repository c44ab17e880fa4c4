//! The C library's functions on strings, and on memory that is looked through: what they read is read for C.

use super::entry::entry_points;
use super::memory::{accessed, malloc, memcpy, memset, pointer};
use super::race::Access;
use super::world::{Pc, with};
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

/// Compares strings, of which nothing is read beyond the first difference: one of them need not have an end.
fn compare(a: usize, b: usize, most: usize, pc: Pc) -> c_int {
    let (mut length, mut answer) = (0, 0);
    while length < most {
        for start in [a, b] {
            if live_heap(start + length) {
                accessed(start + length, 1, Access::Read, pc);
            }
        }
        // SAFETY: C passes memory that is there up to the first difference or end; what the model knows of it has just been checked.
        let [one, other] = [a, b].map(|start| unsafe { pointer::<u8>(start + length).read() });
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

entry_points! {
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

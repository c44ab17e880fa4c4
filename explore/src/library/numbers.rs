//! The C library's functions that find a number at the beginning of a string: what they look at is read for C, and where the number ends
//! is written for it.

use super::strings::Unit;
use crate::entry::entry_points;
use crate::memory::{accessed, pointer, read_beyond, room};
use crate::pthread::{answer, with_errno};
use crate::race::Access;
use crate::world::Pc;
use std::ffi::{c_char, c_int, c_void};

/// A copy of what a number may consist of, white space before it included, and how much of it that space is. It ends where the
/// memory does.
fn beginning<T: Unit>(start: usize) -> (Vec<T>, usize) {
    let room = room(start) / size_of::<T>();
    let (mut units, mut spaces) = (Vec::new(), 0);
    while units.len() < room {
        // SAFETY: C passes memory that is there up to the end of a number; there is room for this in what the model
        // knows of it.
        let it = unsafe { pointer::<T>(start + units.len() * size_of::<T>()).read_unaligned() };
        let byte = u8::try_from(it.into()).unwrap_or(0);
        if spaces == units.len() && b" \t\n\x0b\x0c\r".contains(&byte) {
            spaces += 1;
        } else if !byte.is_ascii_alphanumeric() && !b"+-.,()_".contains(&byte) {
            break;
        }
        units.push(it);
    }
    (units, spaces)
}

/// Finds a number. No more is read than what it consists of, and what comes after it.
fn number<T: Unit, R>(start: usize, end: usize, pc: Pc, find: impl FnOnce(*const T, *mut *mut T) -> R) -> R {
    let (mut units, spaces) = beginning::<T>(start);
    units.push(T::of(0));
    let first = units.as_ptr();
    let mut after = std::ptr::null_mut();
    let number = with_errno(|| find(first, &raw mut after));
    let found = (after.addr() - first.addr()) / size_of::<T>();
    let read = (found.max(spaces) + 1) * size_of::<T>();
    if read > room(start) {
        read_beyond(start, read, pc);
    }
    accessed(start, read, Access::Read, pc);
    if end != 0 {
        // SAFETY: (1) C passes a place for a pointer to the functions of the `strtol` family, where they put the end of
        // the number.
        unsafe { answer(end, start + found * size_of::<T>(), pc) };
    }
    number
}

mod real {
    use super::{c_char, c_int, c_void};

    unsafe extern "C" {
        pub(super) fn wcstol(start: *const i32, end: *mut *mut i32, base: c_int) -> i64;
        pub(super) fn wcstoul(start: *const i32, end: *mut *mut i32, base: c_int) -> u64;
        pub(super) fn wcstod(start: *const i32, end: *mut *mut i32) -> f64;
        pub(super) fn strtol_l(start: *const c_char, end: *mut *mut c_char, base: c_int, locale: *mut c_void) -> i64;
        pub(super) fn strtoul_l(start: *const c_char, end: *mut *mut c_char, base: c_int, locale: *mut c_void) -> u64;
        pub(super) fn strtod_l(start: *const c_char, end: *mut *mut c_char, locale: *mut c_void) -> f64;
        pub(super) fn strtof_l(start: *const c_char, end: *mut *mut c_char, locale: *mut c_void) -> f32;
    }
}

extern "C-unwind" fn strtol(start: usize, end: usize, base: c_int, pc: Pc) -> i64 {
    // SAFETY: `first` is a copy of the string, with an end, and `after` is a local variable.
    number::<u8, _>(start, end, pc, |first, after| unsafe { libc::strtol(first.cast(), after.cast(), base) })
}

extern "C-unwind" fn strtoul(start: usize, end: usize, base: c_int, pc: Pc) -> u64 {
    // SAFETY: `first` is a copy of the string, with an end, and `after` is a local variable.
    number::<u8, _>(start, end, pc, |first, after| unsafe { libc::strtoul(first.cast(), after.cast(), base) })
}

extern "C-unwind" fn strtod(start: usize, end: usize, pc: Pc) -> f64 {
    // SAFETY: `first` is a copy of the string, with an end, and `after` is a local variable.
    number::<u8, _>(start, end, pc, |first, after| unsafe { libc::strtod(first.cast(), after.cast()) })
}

extern "C-unwind" fn strtof(start: usize, end: usize, pc: Pc) -> f32 {
    // SAFETY: `first` is a copy of the string, with an end, and `after` is a local variable.
    number::<u8, _>(start, end, pc, |first, after| unsafe { libc::strtof(first.cast(), after.cast()) })
}

extern "C-unwind" fn strtol_l(start: usize, end: usize, base: c_int, locale: usize, pc: Pc) -> i64 {
    let locale = pointer(locale);
    // SAFETY: `first` is a copy of the string, with an end; `after` is a local variable; `locale` is C's own.
    number::<u8, _>(start, end, pc, |first, after| unsafe { real::strtol_l(first.cast(), after.cast(), base, locale) })
}

extern "C-unwind" fn strtoul_l(start: usize, end: usize, base: c_int, locale: usize, pc: Pc) -> u64 {
    let locale = pointer(locale);
    // SAFETY: `first` is a copy of the string, with an end; `after` is a local variable; `locale` is C's own.
    number::<u8, _>(start, end, pc, |first, after| unsafe { real::strtoul_l(first.cast(), after.cast(), base, locale) })
}

extern "C-unwind" fn strtod_l(start: usize, end: usize, locale: usize, pc: Pc) -> f64 {
    let locale = pointer(locale);
    // SAFETY: `first` is a copy of the string, with an end; `after` is a local variable; `locale` is C's own.
    number::<u8, _>(start, end, pc, |first, after| unsafe { real::strtod_l(first.cast(), after.cast(), locale) })
}

extern "C-unwind" fn strtof_l(start: usize, end: usize, locale: usize, pc: Pc) -> f32 {
    let locale = pointer(locale);
    // SAFETY: `first` is a copy of the string, with an end; `after` is a local variable; `locale` is C's own.
    number::<u8, _>(start, end, pc, |first, after| unsafe { real::strtof_l(first.cast(), after.cast(), locale) })
}

extern "C-unwind" fn wcstol(start: usize, end: usize, base: c_int, pc: Pc) -> i64 {
    // SAFETY: `first` is a copy of the string, with an end, and `after` is a local variable.
    number::<i32, _>(start, end, pc, |first, after| unsafe { real::wcstol(first, after, base) })
}

extern "C-unwind" fn wcstoul(start: usize, end: usize, base: c_int, pc: Pc) -> u64 {
    // SAFETY: `first` is a copy of the string, with an end, and `after` is a local variable.
    number::<i32, _>(start, end, pc, |first, after| unsafe { real::wcstoul(first, after, base) })
}

extern "C-unwind" fn wcstod(start: usize, end: usize, pc: Pc) -> f64 {
    // SAFETY: `first` is a copy of the string, with an end, and `after` is a local variable.
    number::<i32, _>(start, end, pc, |first, after| unsafe { real::wcstod(first, after) })
}

extern "C-unwind" fn atoi(start: usize, pc: Pc) -> c_int {
    // As glibc does.
    strtol(start, 0, 10, pc) as c_int
}

extern "C-unwind" fn atol(start: usize, pc: Pc) -> i64 {
    strtol(start, 0, 10, pc)
}

extern "C-unwind" fn atof(start: usize, pc: Pc) -> f64 {
    strtod(start, 0, pc)
}

entry_points! {
    strtol(3) => strtol;
    strtoll(3) => strtol;
    strtoimax(3) => strtol;
    __isoc23_strtol(3) => strtol;
    __isoc23_strtoll(3) => strtol;
    __isoc23_strtoimax(3) => strtol;
    strtoul(3) => strtoul;
    strtoull(3) => strtoul;
    strtoumax(3) => strtoul;
    __isoc23_strtoul(3) => strtoul;
    __isoc23_strtoull(3) => strtoul;
    __isoc23_strtoumax(3) => strtoul;
    strtol_l(4) => strtol_l;
    strtoll_l(4) => strtol_l;
    strtoul_l(4) => strtoul_l;
    strtoull_l(4) => strtoul_l;
    strtod(2) => strtod;
    strtof(2) => strtof;
    strtod_l(3) => strtod_l;
    strtof_l(3) => strtof_l;
    wcstol(3) => wcstol;
    wcstoll(3) => wcstol;
    wcstoul(3) => wcstoul;
    wcstoull(3) => wcstoul;
    wcstod(2) => wcstod;
    atoi(1) => atoi;
    atol(1) => atol;
    atoll(1) => atol;
    atof(1) => atof;
}

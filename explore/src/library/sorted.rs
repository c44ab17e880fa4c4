//! The C library's functions on arrays, which call back to compare elements. Done here, so that C's functions only ever see elements
//! of its own array, no frame of the C library is left by a finding, and equal elements stay in their order.

use crate::entry::entry_points;
use crate::memory::{accessed, pointer};
use crate::race::Access;
use crate::world::Pc;
use std::ffi::c_int;

/// What the elements hold is read by whoever compares them. What moves is written when it does, since a comparison may let other
/// threads run; and all of it before, since where elements end up is the C library's business.
fn sort(base: usize, count: usize, each: usize, pc: Pc, compare: impl Fn(usize, usize) -> c_int) {
    if count < 2 || each == 0 {
        return;
    }
    accessed(base, count.saturating_mul(each), Access::Write, pc);
    let element = |number: usize| base + number * each;
    for next in 1..count {
        let (mut low, mut high) = (0, next);
        while low < high {
            let middle = usize::midpoint(low, high);
            if compare(element(middle), element(next)) > 0 { high = middle } else { low = middle + 1 }
        }
        if low < next {
            let size = (next + 1 - low) * each;
            accessed(element(low), size, Access::Write, pc);
            // SAFETY: a part of C's array, which has been checked; nobody else runs while it is turned.
            unsafe { std::slice::from_raw_parts_mut(pointer::<u8>(element(low)), size) }.rotate_right(each);
        }
    }
}

extern "C-unwind" fn qsort(base: usize, count: usize, each: usize, compare: usize, pc: Pc) {
    let compare = comparison(compare);
    sort(base, count, each, pc, |a, b| compare(a, b));
}

extern "C-unwind" fn qsort_r(base: usize, count: usize, each: usize, compare: usize, argument: usize, pc: Pc) {
    // SAFETY: C passes a function of two elements and one argument more.
    let compare = unsafe { std::mem::transmute::<usize, extern "C-unwind" fn(usize, usize, usize) -> c_int>(compare) };
    sort(base, count, each, pc, |a, b| compare(a, b, argument));
}

fn comparison(compare: usize) -> extern "C-unwind" fn(usize, usize) -> c_int {
    // SAFETY: C passes a function of two elements.
    unsafe { std::mem::transmute::<usize, extern "C-unwind" fn(usize, usize) -> c_int>(compare) }
}

/// It reads nothing itself.
extern "C-unwind" fn bsearch(key: usize, base: usize, count: usize, each: usize, compare: usize, _: Pc) -> usize {
    let compare = comparison(compare);
    let (mut low, mut high) = (0, count);
    while low < high {
        let middle = usize::midpoint(low, high);
        let element = base + middle * each;
        match compare(key, element) {
            0 => return element,
            ..0 => high = middle,
            _ => low = middle + 1,
        }
    }
    0
}

extern "C-unwind" fn lfind(key: usize, base: usize, count: usize, each: usize, compare: usize, pc: Pc) -> usize {
    accessed(count, size_of::<usize>(), Access::Read, pc);
    // SAFETY: C passes the address of a number, which has been checked.
    let count = unsafe { pointer::<usize>(count).read() };
    let compare = comparison(compare);
    (0..count).map(|number| base + number * each).find(|&element| compare(key, element) == 0).unwrap_or(0)
}

entry_points! {
    qsort(4) => qsort;
    qsort_r(5) => qsort_r;
    bsearch(5) => bsearch;
    lfind(5) => lfind;
}

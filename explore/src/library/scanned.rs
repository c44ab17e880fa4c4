//! `sscanf` and the like: the C library reads into memory of the model's, and what it has found is written to where C wants it.

use super::formatted::{MOST_ARGUMENTS, integer};
use super::strings::text;
use crate::entry::{Arguments, entry_points, variadic_entry_points};
use crate::memory::{malloc, pointer};
use crate::pthread::{answer, answer_all, refuse_call, with_errno};
use crate::world::Pc;
use std::ffi::{c_char, c_int, c_void};

mod real {
    use super::{Arguments, c_char, c_int};

    unsafe extern "C" {
        // As C since 1999 has it; before, `a` was a flag of glibc's.
        pub(super) fn __isoc99_vsscanf(from: *const c_char, format: *const c_char, list: *mut Arguments) -> c_int;
    }
}

/// What is found for an argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    /// So many bytes.
    Bytes(usize),
    /// Units of so many bytes, and an end.
    Text(usize),
    /// So many units of so many bytes, without an end.
    Units(usize, usize),
    /// The address of a string or of such units, which is a block of its own.
    Block(usize, Option<usize>),
    /// How much has been read, in so many bytes: no assignment that is counted.
    Count(usize),
}

/// What a format finds: for which argument, and what. `None` where it has something that is not known.
fn finds(format: &[u8]) -> Option<Vec<(usize, What)>> {
    let mut finds = Vec::new();
    let mut next = 0;
    let mut rest = format.iter().copied().peekable();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            continue;
        }
        let mut number = || {
            let mut number = None;
            while let Some(digit) = rest.next_if(u8::is_ascii_digit) {
                number = Some(number.unwrap_or(0_usize).saturating_mul(10).saturating_add(usize::from(digit - b'0')));
            }
            (number, rest.peek().copied())
        };
        let (mut width, mut own) = (None, None);
        match number() {
            (named @ Some(_), Some(b'$')) => {
                own = named;
                rest.next();
            }
            (found, _) => width = found,
        }
        let assigns = rest.next_if(|byte| matches!(byte, b'*')).is_none();
        while rest.next_if(|byte| matches!(byte, b'\'' | b'I')).is_some() {}
        while let Some(digit) = rest.next_if(u8::is_ascii_digit) {
            width = Some(width.unwrap_or(0).saturating_mul(10).saturating_add(usize::from(digit - b'0')));
        }
        let allocates = rest.next_if_eq(&b'm').is_some();
        let mut size = Vec::new();
        while let Some(byte) = rest.next_if(|byte| b"hlqLjzt".contains(byte)) {
            size.push(byte);
        }
        let unit = if size == b"l" { 4 } else { 1 };
        let what = match rest.next()? {
            b'%' => continue,
            b'd' | b'i' | b'o' | b'u' | b'x' | b'X' => What::Bytes(integer(&size)),
            b'n' => What::Count(integer(&size)),
            b'p' => What::Bytes(8),
            b'a' | b'A' | b'e' | b'E' | b'f' | b'F' | b'g' | b'G' => What::Bytes(match &size[..] {
                b"" => 4,
                b"l" => 8,
                _ => 16,
            }),
            kind @ (b'c' | b'C') => {
                let (unit, width) = (if kind == b'C' { 4 } else { unit }, width.unwrap_or(1));
                if allocates { What::Block(unit, Some(width)) } else { What::Units(unit, width) }
            }
            kind @ (b's' | b'S' | b'[') => {
                if kind == b'[' {
                    rest.next_if_eq(&b'^');
                    // A bracket that comes first is one of the set.
                    rest.next()?;
                    while rest.next()? != b']' {}
                }
                let unit = if kind == b'S' { 4 } else { unit };
                if allocates { What::Block(unit, None) } else { What::Text(unit) }
            }
            _ => return None,
        };
        if assigns {
            finds.push((own.map_or_else(|| (next, next += 1).0, |number| number.saturating_sub(1)), what));
        }
    }
    finds.iter().all(|it| it.0 < MOST_ARGUMENTS).then_some(finds)
}

/// The bytes of a string of such units, with its end.
fn with_end(start: *const u8, unit: usize) -> usize {
    // SAFETY: the C library has written one.
    let units = |from: usize| unsafe { std::slice::from_raw_parts(start.wrapping_add(from), unit) };
    let length = (0..).map(|number| number * unit).find(|&from| units(from).iter().all(|&byte| byte == 0));
    length.unwrap_or_default() + unit
}

/// Writes what the C library has found.
///
/// # Safety
///
/// 1. `from` points to `size` bytes, which stay as they are during the call.
/// 2. C passed `to` as a place for them, or they fit into a fresh block there.
unsafe fn hand_over(from: *const u8, to: usize, size: usize, pc: Pc) {
    // SAFETY: the caller guarantees by clause 1 that there are so many bytes.
    let found = unsafe { std::slice::from_raw_parts(from, size) };
    // SAFETY: (1) the caller guarantees by clause 2 that they fit.
    unsafe { answer_all(to, found, pc) };
}

extern "C-unwind" fn vsscanf(from: usize, format: usize, arguments: usize, pc: Pc) -> c_int {
    // No number that is counted.
    const NOTHING: u8 = 0xA5;
    let Some(finds) = finds(&text::<u8>(format, pc)) else {
        refuse_call("sscanf with an unknown format", pc);
        return 0;
    };
    let input = text::<u8>(from, pc).len();
    let mut list = Arguments::of(arguments);
    let arguments = finds.iter().map(|it| it.0 + 1).max().unwrap_or_default();
    let places: Vec<usize> = (0..arguments).map(|_| list.general()).collect();
    let mut found: Vec<Vec<u128>> = (0..arguments)
        .map(|number| {
            let most = finds.iter().filter(|it| it.0 == number).map(|(_, what)| match *what {
                What::Text(unit) => (input + 1) * unit,
                // No more is found than there is.
                What::Units(unit, count) => count.min(input) * unit,
                What::Bytes(_) | What::Block(..) | What::Count(_) => 16,
            });
            vec![u128::from_ne_bytes([NOTHING; 16]); most.max().unwrap_or_default().div_ceil(16)]
        })
        .collect();
    let addresses: Vec<usize> = found.iter_mut().map(|it| it.as_mut_ptr().expose_provenance()).collect();
    let mut list = Arguments::pointers(&addresses);
    let assigned =
        // SAFETY: two strings, and as much memory for each argument as can be found for it.
        with_errno(|| unsafe { real::__isoc99_vsscanf(pointer(from), pointer(format), &raw mut list) });
    let mut left = assigned.max(0);
    for (number, what) in finds {
        let (own, to) = (found[number].as_ptr().cast::<u8>(), places[number]);
        if let What::Count(size) = what {
            // SAFETY: there are 16.
            let bytes = unsafe { std::slice::from_raw_parts(own, size) };
            if bytes.iter().any(|&byte| byte != NOTHING) {
                // SAFETY: (1) there are 16 bytes, and `size` is at most 8; (2) C passes a place for a number of this
                // size.
                unsafe { hand_over(own, to, size, pc) };
            }
            continue;
        }
        if left == 0 {
            continue;
        }
        left -= 1;
        match what {
            // SAFETY: (1) the C library has found a value of this size; (2) C passes a place for one.
            What::Bytes(size) => unsafe { hand_over(own, to, size, pc) },
            // SAFETY: (1) the C library has found a text, whose end was looked for; (2) C passes a place for a text.
            What::Text(unit) => unsafe { hand_over(own, to, with_end(own, unit), pc) },
            // SAFETY: (1) the C library has found no more units than the input has, and `own` is as large; (2) C passes
            // a place for them.
            What::Units(unit, count) => unsafe { hand_over(own, to, count.min(input) * unit, pc) },
            What::Block(unit, count) => {
                // SAFETY: the C library has put a block of its own here.
                let block = unsafe { own.cast::<*mut u8>().read() };
                let size = count.map_or_else(|| with_end(block, unit), |count| count.min(input) * unit);
                let copy = malloc(size, pc);
                // SAFETY: (1) the C library's block has the text; (2) `copy` is a fresh block of this size.
                unsafe { hand_over(block, copy, size, pc) };
                // SAFETY: nobody else knows of it.
                unsafe { libc::free(block.cast::<c_void>()) };
                // SAFETY: (1) C passes a place for a pointer, for a conversion with `m`.
                unsafe { answer(to, copy, pc) };
            }
            What::Count(_) => {}
        }
    }
    assigned
}

entry_points! {
    vsscanf(3) => vsscanf;
    __isoc99_vsscanf(3) => vsscanf;
    __isoc23_vsscanf(3) => vsscanf;
}

variadic_entry_points! {
    sscanf(16; "") "rdx" "rcx" => vsscanf;
    __isoc99_sscanf(16; "") "rdx" "rcx" => vsscanf;
    __isoc23_sscanf(16; "") "rdx" "rcx" => vsscanf;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_format_says_what_is_found_for_each_argument() {
        use What::{Block, Bytes, Count, Text, Units};
        for (format, expected) in [
            ("plain %% %*d %*[^]x]", vec![]),
            ("%d%hhu %lx%p", vec![(0, Bytes(4)), (1, Bytes(1)), (2, Bytes(8)), (3, Bytes(8))]),
            ("%f%lf%Lf", vec![(0, Bytes(4)), (1, Bytes(8)), (2, Bytes(16))]),
            ("%3s%[^]x]%[]]", vec![(0, Text(1)), (1, Text(1)), (2, Text(1))]),
            ("%ls%S%c%5c%lc", vec![(0, Text(4)), (1, Text(4)), (2, Units(1, 1)), (3, Units(1, 5)), (4, Units(4, 1))]),
            ("%ms%4mc", vec![(0, Block(1, None)), (1, Block(1, Some(4)))]),
            ("%n%2$hd%1$s", vec![(0, Count(4)), (1, Bytes(2)), (0, Text(1))]),
        ] {
            assert_eq!(finds(format.as_bytes()), Some(expected), "{format}");
        }
        assert_eq!(finds(b"%99999999999$d"), None);
        assert_eq!(finds(b"%y"), None);
        assert_eq!(finds(b"%[abc"), None);
    }
}

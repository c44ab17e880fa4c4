//! `printf` and the like: the C library's formatting, into memory of the C code's, a block of the model's heap, or a stream. What the
//! arguments point to is read, and written (`%n`), for C.

use super::strings::{length, text};
use crate::entry::{Arguments, entry_points, variadic_entry_points};
use crate::memory::{accessed, malloc, pointer};
use crate::pthread::{refuse_call, with_errno};
use crate::race::Access;
use crate::world::Pc;
use std::ffi::{c_char, c_int, c_void};

mod real {
    use super::{Arguments, c_char, c_int, c_void};

    unsafe extern "C" {
        pub(super) fn vsnprintf(to: *mut c_char, size: usize, format: *const c_char, list: *mut Arguments) -> c_int;
        pub(super) fn vfprintf(stream: *mut c_void, format: *const c_char, list: *mut Arguments) -> c_int;
        pub(super) static stdout: *mut c_void;
    }
}

/// What becomes of an argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    Number,
    Floating,
    LongDouble,
    /// A string, of which no more than so much is read.
    Text(Most),
    Wide(Most),
    /// How much has been written so far goes to where it points, in so many bytes.
    Count(usize),
}

/// How much of a string is read: its precision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Most {
    All,
    Fixed(usize),
    /// What this argument says; all, where that is negative.
    Said(usize),
}

/// What a format does with its arguments: each one's number, and what becomes of it. `None` where it has something that is not known.
fn uses(format: &[u8]) -> Option<Vec<(usize, What)>> {
    let mut uses = Vec::new();
    let mut next = 0;
    let mut rest = format.iter().copied().peekable();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            continue;
        }
        let number = |rest: &mut std::iter::Peekable<_>| {
            let mut number = None;
            while let Some(digit @ b'0'..=b'9') = rest.peek().copied() {
                number = Some(number.unwrap_or(0_usize).saturating_mul(10).saturating_add(usize::from(digit - b'0')));
                rest.next();
            }
            number
        };
        // The number of an argument that is named, otherwise the next one's.
        let mut one_of =
            |named: Option<usize>| named.map_or_else(|| (next, next += 1).0, |number| number.saturating_sub(1));
        // A width that no flag comes before may be the number of the argument instead.
        let mut own = None;
        while rest.next_if(|byte| b"-+ #'I0".contains(byte)).is_some() {}
        let said = |rest: &mut std::iter::Peekable<_>, one_of: &mut dyn FnMut(Option<usize>) -> usize| {
            let named = number(rest);
            if named.is_some() {
                rest.next_if_eq(&b'$')?;
            }
            Some(one_of(named))
        };
        if rest.next_if_eq(&b'*').is_some() {
            uses.push((said(&mut rest, &mut one_of)?, What::Number));
        } else if let width @ Some(_) = number(&mut rest)
            && rest.next_if_eq(&b'$').is_some()
        {
            own = width;
            while rest.next_if(|byte| b"-+ #'I0".contains(byte)).is_some() {}
            if rest.next_if_eq(&b'*').is_some() {
                uses.push((said(&mut rest, &mut one_of)?, What::Number));
            } else {
                number(&mut rest);
            }
        }
        let mut most = Most::All;
        if rest.next_if_eq(&b'.').is_some() {
            most = if rest.next_if_eq(&b'*').is_some() {
                let argument = said(&mut rest, &mut one_of)?;
                uses.push((argument, What::Number));
                Most::Said(argument)
            } else {
                Most::Fixed(number(&mut rest).unwrap_or(0))
            };
        }
        let mut size = Vec::new();
        while let Some(byte) = rest.next_if(|byte| b"hlqLjzZt".contains(byte)) {
            size.push(byte);
        }
        let what = match (rest.next()?, &size[..]) {
            (b'%' | b'm', _) => continue,
            (b'd' | b'i' | b'o' | b'u' | b'x' | b'X' | b'c' | b'C' | b'p', _) => What::Number,
            (b'a' | b'A' | b'e' | b'E' | b'f' | b'F' | b'g' | b'G', b"L" | b"q" | b"ll") => What::LongDouble,
            (b'a' | b'A' | b'e' | b'E' | b'f' | b'F' | b'g' | b'G', _) => What::Floating,
            (b'S', _) | (b's', b"l") => What::Wide(most),
            (b's', _) => What::Text(most),
            (b'n', size) => What::Count(integer(size)),
            _ => return None,
        };
        uses.push((one_of(own), what));
    }
    uses.iter().all(|it| it.0 < MOST_ARGUMENTS).then_some(uses)
}

/// `NL_ARGMAX`: a format names none beyond.
pub(super) const MOST_ARGUMENTS: usize = 4096;

/// The bytes of an integer whose size is given in this way.
pub(super) fn integer(size: &[u8]) -> usize {
    match size {
        b"hh" => 1,
        b"h" => 2,
        b"" => 4,
        _ => 8,
    }
}

/// Reads for C what the format and its arguments are, and points out where it writes. The arguments stay as they are.
fn look(format: usize, arguments: usize, pc: Pc) {
    let Some(uses) = uses(&text::<u8>(format, pc)) else {
        return refuse_call("printf with an unknown format", pc);
    };
    let mut list = Arguments::of(arguments);
    let mut values = Vec::new();
    for position in 0..uses.iter().map(|it| it.0 + 1).max().unwrap_or_default() {
        values.push(match uses.iter().find(|it| it.0 == position) {
            Some((_, What::Floating)) => (list.floating(), 0).1,
            Some((_, What::LongDouble)) => (list.long_double(), 0).1,
            _ => list.general(),
        });
    }
    let most = |most| match most {
        Most::All => usize::MAX,
        Most::Fixed(most) => most,
        // C passes an int.
        Most::Said(argument) => usize::try_from(values[argument] as c_int).unwrap_or(usize::MAX),
    };
    for (position, what) in uses {
        let value = values[position];
        match what {
            // The C library has words for it.
            What::Text(_) | What::Wide(_) if value == 0 => {}
            What::Text(text) => {
                length::<u8>(value, most(text), pc);
            }
            What::Wide(text) => {
                length::<i32>(value, most(text), pc);
            }
            What::Count(size) => accessed(value, size, Access::Write, pc),
            What::Number | What::Floating | What::LongDouble => {}
        }
    }
}

/// Formats into as many bytes, and answers how long all of it is; the arguments stay as they are.
fn print(to: usize, size: usize, format: usize, arguments: usize) -> c_int {
    let mut copy = Arguments::of(arguments);
    // SAFETY: there are `size` bytes, and C passes arguments that fit the format, which have been looked at; each reading of them
    // has its own copy.
    with_errno(|| unsafe { real::vsnprintf(pointer(to), size, pointer(format), &raw mut copy) })
}

extern "C-unwind" fn vsnprintf(to: usize, size: usize, format: usize, arguments: usize, pc: Pc) -> c_int {
    look(format, arguments, pc);
    let length = print(0, 0, format, arguments);
    if let (Ok(needed), true) = (usize::try_from(length), size > 0) {
        accessed(to, size.min(needed + 1), Access::Write, pc);
    }
    print(to, size, format, arguments)
}

extern "C-unwind" fn vsprintf(to: usize, format: usize, arguments: usize, pc: Pc) -> c_int {
    vsnprintf(to, c_int::MAX as usize, format, arguments, pc)
}

extern "C-unwind" fn vasprintf(out: usize, format: usize, arguments: usize, pc: Pc) -> c_int {
    look(format, arguments, pc);
    let length = print(0, 0, format, arguments);
    let Ok(size) = usize::try_from(length) else { return length };
    let block = malloc(size + 1, pc);
    accessed(block, size + 1, Access::Write, pc);
    print(block, size + 1, format, arguments);
    accessed(out, size_of::<usize>(), Access::Write, pc);
    // SAFETY: C passes a place for a pointer.
    unsafe { pointer::<usize>(out).write(block) };
    length
}

extern "C-unwind" fn vfprintf(stream: usize, format: usize, arguments: usize, pc: Pc) -> c_int {
    look(format, arguments, pc);
    let mut copy = Arguments::of(arguments);
    // SAFETY: a stream of the C library's, and as in `print`.
    with_errno(|| unsafe { real::vfprintf(pointer(stream), pointer(format), &raw mut copy) })
}

extern "C-unwind" fn vprintf(format: usize, arguments: usize, pc: Pc) -> c_int {
    // SAFETY: the C library has set it before anything else ran.
    vfprintf(unsafe { real::stdout }.expose_provenance(), format, arguments, pc)
}

// What a compiler makes of them that knows how large the memory is: the model knows better, and its blocks by their size.

extern "C-unwind" fn vsprintf_chk(to: usize, _: c_int, _: usize, format: usize, list: usize, pc: Pc) -> c_int {
    vsprintf(to, format, list, pc)
}

extern "C-unwind" fn vasprintf_chk(out: usize, _: c_int, format: usize, list: usize, pc: Pc) -> c_int {
    vasprintf(out, format, list, pc)
}

extern "C-unwind" fn vfprintf_chk(stream: usize, _: c_int, format: usize, list: usize, pc: Pc) -> c_int {
    vfprintf(stream, format, list, pc)
}

extern "C-unwind" fn vprintf_chk(_: c_int, format: usize, list: usize, pc: Pc) -> c_int {
    vprintf(format, list, pc)
}

/// It has as many arguments as there are registers: the caller's address goes to where the form without a size has it.
#[unsafe(naked)]
#[unsafe(export_name = "latecall_model___vsnprintf_chk")]
extern "C-unwind" fn vsnprintf_chk() {
    std::arch::naked_asm!("mov rdx, r8", "mov rcx, r9", "mov r8, [rsp]", "jmp {target}", target = sym vsnprintf)
}

/// What has an entry point that is written out.
#[cfg(test)]
pub(crate) const WRITTEN_OUT: &str = "__vsnprintf_chk";

entry_points! {
    vasprintf(3) => vasprintf;
    vsprintf(3) => vsprintf;
    vsnprintf(4) => vsnprintf;
    vfprintf(3) => vfprintf;
    vprintf(2) => vprintf;
    __vasprintf_chk(4) => vasprintf_chk;
    __vsprintf_chk(5) => vsprintf_chk;
    __vfprintf_chk(4) => vfprintf_chk;
    __vprintf_chk(3) => vprintf_chk;
}

variadic_entry_points! {
    asprintf(16; "") "rdx" "rcx" => vasprintf;
    sprintf(16; "") "rdx" "rcx" => vsprintf;
    snprintf(24; "") "rcx" "r8" => vsnprintf;
    fprintf(16; "") "rdx" "rcx" => vfprintf;
    printf(8; "") "rsi" "rdx" => vprintf;
    __asprintf_chk(24; "mov rsi, rdx") "rdx" "rcx" => vasprintf;
    __sprintf_chk(32; "mov rsi, rcx") "rdx" "rcx" => vsprintf;
    __snprintf_chk(40; "mov rdx, r8") "rcx" "r8" => vsnprintf;
    __fprintf_chk(24; "mov rsi, rdx") "rdx" "rcx" => vfprintf;
    __printf_chk(16; "mov rdi, rsi") "rsi" "rdx" => vprintf;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_format_says_what_becomes_of_each_argument() {
        use What::{Count, Floating, LongDouble, Number, Text, Wide};
        for (format, expected) in [
            ("plain %% %m", vec![]),
            ("%d %-08.3lx|%c%p", vec![(0, Number), (1, Number), (2, Number), (3, Number)]),
            ("%s%.5s%.s", vec![(0, Text(Most::All)), (1, Text(Most::Fixed(5))), (2, Text(Most::Fixed(0)))]),
            ("%*.*s", vec![(0, Number), (1, Number), (2, Text(Most::Said(1)))]),
            ("%ls %S", vec![(0, Wide(Most::All)), (1, Wide(Most::All))]),
            ("%f %Lg %.2lf", vec![(0, Floating), (1, LongDouble), (2, Floating)]),
            ("%hhn%n%ln", vec![(0, Count(1)), (1, Count(4)), (2, Count(8))]),
            ("%2$s %1$*3$d", vec![(1, Text(Most::All)), (2, Number), (0, Number)]),
            ("%1$.*2$s", vec![(1, Number), (0, Text(Most::Said(1)))]),
        ] {
            assert_eq!(uses(format.as_bytes()), Some(expected), "{format}");
        }
        assert_eq!(uses(b"%4096$d").map(|uses| uses.len()), Some(1));
        assert_eq!(uses(b"%4097$d"), None);
        assert_eq!(uses(b"%y"), None);
        assert_eq!(uses(b"%"), None);
    }
}

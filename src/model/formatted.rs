//! `sprintf` and the like: the C library's formatting, into memory of the C code's, or a block of the model's heap. What the arguments
//! point to is not looked at.

use super::entry::entry_points;
use super::memory::{accessed, malloc, pointer};
use super::race::Access;
use super::world::Pc;
use std::ffi::{c_char, c_int};

/// `va_list` of x86-64 (System V): how much of the saved registers has been used up, and where the arguments on the stack and those
/// registers are. C passes its address.
#[repr(C)]
#[derive(Clone, Copy)]
struct Arguments {
    general: u32,
    floating: u32,
    overflow: usize,
    registers: usize,
}

mod real {
    use super::{Arguments, c_char, c_int};

    unsafe extern "C" {
        pub(super) fn vsnprintf(
            to: *mut c_char,
            size: usize,
            format: *const c_char,
            arguments: *mut Arguments,
        ) -> c_int;
    }
}

/// Formats into as many bytes, and answers how long all of it is; the arguments stay as they are.
fn print(to: usize, size: usize, format: usize, arguments: usize) -> c_int {
    // SAFETY: C passes a list of arguments.
    let mut copy = unsafe { pointer::<Arguments>(arguments).read() };
    // SAFETY: there are `size` bytes, and C passes arguments that fit the format; each reading of them has its own copy.
    unsafe { real::vsnprintf(pointer(to), size, pointer(format), &raw mut copy) }
}

extern "C-unwind" fn vsnprintf(to: usize, size: usize, format: usize, arguments: usize, pc: Pc) -> c_int {
    let length = print(0, 0, format, arguments);
    if let (Ok(needed), true) = (usize::try_from(length), size > 0) {
        accessed(to, size.min(needed + 1), Access::Write, pc);
    }
    print(to, size, format, arguments)
}

extern "C-unwind" fn vsprintf(to: usize, format: usize, arguments: usize, pc: Pc) -> c_int {
    let length = print(0, 0, format, arguments);
    let Ok(size) = usize::try_from(length) else { return length };
    accessed(to, size + 1, Access::Write, pc);
    print(to, size + 1, format, arguments)
}

extern "C-unwind" fn vasprintf(out: usize, format: usize, arguments: usize, pc: Pc) -> c_int {
    let length = print(0, 0, format, arguments);
    let Ok(size) = usize::try_from(length) else { return length };
    let block = malloc(size + 1, pc);
    if block == 0 {
        return -1;
    }
    accessed(block, size + 1, Access::Write, pc);
    print(block, size + 1, format, arguments);
    accessed(out, size_of::<usize>(), Access::Write, pc);
    // SAFETY: C passes a place for a pointer.
    unsafe { pointer::<usize>(out).write(block) };
    length
}

entry_points! {
    vasprintf(3) => vasprintf;
    vsprintf(3) => vsprintf;
    vsnprintf(4) => vsnprintf;
}

/// Have entry points of their own, which Rust code could not be: they take any number of arguments.
#[cfg(test)]
pub(in crate::model) const VARIADIC: &[&str] = &["asprintf", "sprintf", "snprintf"];

/// Saves the registers that may hold arguments after the fixed ones, makes a list of arguments of them, and calls the form that takes
/// one with it and with the caller's address, as a shim of `entry_points!` would. `used` are the bytes of registers that the fixed
/// arguments take up; the list and the address go into the two registers after those.
macro_rules! variadic {
    ($name:literal, $function:ident, $used:literal, $list:literal, $caller:literal, $target:path) => {
        #[unsafe(naked)]
        #[unsafe(export_name = concat!("latecall_model_", $name))]
        extern "C-unwind" fn $function() {
            std::arch::naked_asm!(
                ".cfi_startproc",
                "sub rsp, 216",
                ".cfi_def_cfa_offset 224",
                // From 32: six general registers, of which the first two are always fixed, then eight floating ones.
                "mov [rsp + 48], rdx",
                "mov [rsp + 56], rcx",
                "mov [rsp + 64], r8",
                "mov [rsp + 72], r9",
                "test al, al",
                "je 2f",
                "movaps [rsp + 80], xmm0",
                "movaps [rsp + 96], xmm1",
                "movaps [rsp + 112], xmm2",
                "movaps [rsp + 128], xmm3",
                "movaps [rsp + 144], xmm4",
                "movaps [rsp + 160], xmm5",
                "movaps [rsp + 176], xmm6",
                "movaps [rsp + 192], xmm7",
                "2:",
                // The list: so many general registers are used up, and no floating one.
                concat!("mov dword ptr [rsp], ", $used),
                "mov dword ptr [rsp + 4], 48",
                "lea rax, [rsp + 224]",
                "mov [rsp + 8], rax",
                "lea rax, [rsp + 32]",
                "mov [rsp + 16], rax",
                concat!("mov ", $list, ", rsp"),
                concat!("mov ", $caller, ", [rsp + 216]"),
                "call {target}",
                "add rsp, 216",
                ".cfi_def_cfa_offset 8",
                "ret",
                ".cfi_endproc",
                target = sym $target,
            )
        }
    };
}

variadic!("asprintf", asprintf, 16, "rdx", "rcx", vasprintf);
variadic!("sprintf", sprintf, 16, "rdx", "rcx", vsprintf);
variadic!("snprintf", snprintf, 24, "rcx", "r8", vsnprintf);

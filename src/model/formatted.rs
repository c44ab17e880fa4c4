//! `asprintf` and `vasprintf`: the C library's formatting, into a block of the model's heap.

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

unsafe extern "C" {
    fn vsnprintf(to: *mut c_char, size: usize, format: *const c_char, arguments: *mut Arguments) -> c_int;
}

extern "C-unwind" fn vasprintf(out: usize, format: usize, arguments: usize, pc: Pc) -> c_int {
    // SAFETY: C passes a list of arguments.
    let list = unsafe { pointer::<Arguments>(arguments).read() };
    let print = |to: usize, size: usize| {
        let mut copy = list;
        // SAFETY: there are `size` bytes, and C passes arguments that fit the format; each reading of them has its own copy.
        unsafe { vsnprintf(pointer(to), size, pointer(format), &raw mut copy) }
    };
    let length = print(0, 0);
    let Ok(size) = usize::try_from(length) else { return length };
    let block = malloc(size + 1, pc);
    if block == 0 {
        return -1;
    }
    accessed(block, size + 1, Access::Write, pc);
    print(block, size + 1);
    accessed(out, size_of::<usize>(), Access::Write, pc);
    // SAFETY: C passes a place for a pointer.
    unsafe { pointer::<usize>(out).write(block) };
    length
}

entry_points! {
    vasprintf(3) => vasprintf;
}

/// Has an entry point of its own, which Rust code could not be: it takes any number of arguments.
#[cfg(test)]
pub(in crate::model) const VARIADIC: &[&str] = &["asprintf"];

/// Saves the registers that may hold arguments after the first two, makes a list of arguments of them, and calls `vasprintf` with it
/// and with the caller's address, as a shim of `entry_points!` would.
#[unsafe(naked)]
#[unsafe(export_name = "latecall_model_asprintf")]
extern "C-unwind" fn asprintf() {
    std::arch::naked_asm!(
        ".cfi_startproc",
        "sub rsp, 216",
        ".cfi_def_cfa_offset 224",
        // From 32: six general registers, then eight floating ones.
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
        // The list: two general registers are used up, no floating one.
        "mov dword ptr [rsp], 16",
        "mov dword ptr [rsp + 4], 48",
        "lea rax, [rsp + 224]",
        "mov [rsp + 8], rax",
        "lea rax, [rsp + 32]",
        "mov [rsp + 16], rax",
        "mov rdx, rsp",
        "mov rcx, [rsp + 216]",
        "call {target}",
        "add rsp, 216",
        ".cfi_def_cfa_offset 8",
        "ret",
        ".cfi_endproc",
        target = sym vasprintf,
    )
}

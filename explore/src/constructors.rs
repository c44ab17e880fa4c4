//! Constructors of C code and of C++ statics, and what runs at the end of a process: in each interleaving, on its first thread.
//!
//! The C library would run them before main. What they allocate would then outlive all interleavings, unlike the globals that
//! refer to it, and what they make (keys, locks) would be nobody's. The build helper moves the tables of both into sections of
//! their own (`CONSTRUCTORS` in `instrument`), whose bounds the linker marks when there are any.

use super::memory::pointer;
use std::arch::global_asm;
use std::ffi::{c_char, c_int};
use std::ops::Range;

// Weak: without constructors there is no such section, and its addresses are null.
global_asm!(
    ".section .data.rel.ro.latecall_model_constructors,\"aw\",@progbits",
    ".weak __start_latecall_model_init",
    ".weak __stop_latecall_model_init",
    ".weak __start_latecall_model_fini",
    ".weak __stop_latecall_model_fini",
    ".hidden latecall_model_constructors",
    ".globl latecall_model_constructors",
    ".balign 8",
    "latecall_model_constructors:",
    ".quad __start_latecall_model_init",
    ".quad __stop_latecall_model_init",
    ".quad __start_latecall_model_fini",
    ".quad __stop_latecall_model_fini",
    ".text",
);

unsafe extern "C" {
    safe static latecall_model_constructors: [usize; 4];
    static environ: *const *const c_char;
}

type Function = unsafe extern "C-unwind" fn(c_int, *const *const c_char, *const *const c_char);

/// Runs the constructors.
pub(crate) fn run() {
    let [low, high, ..] = latecall_model_constructors;
    table(low..high).for_each(call);
}

/// Runs what is for the end of the process.
pub(crate) fn run_last() {
    let [.., low, high] = latecall_model_constructors;
    table(low..high).rev().for_each(call);
}

fn table(bounds: Range<usize>) -> impl DoubleEndedIterator<Item = usize> {
    let addresses = bounds.step_by(size_of::<usize>());
    // SAFETY: the linker's bounds are those of a table of addresses, which nobody writes.
    addresses.map(|at| unsafe { pointer::<usize>(at).read() })
}

fn call(function: usize) {
    // The C library passes them what main gets; there is no command line here.
    let none: [*const c_char; 1] = [std::ptr::null()];
    // SAFETY: the compiler made the table of functions, which take these arguments or look at none.
    let function = unsafe { std::mem::transmute::<usize, Function>(function) };
    // SAFETY: the C library keeps the variable valid; a model changes no environment.
    let variables = unsafe { environ };
    // SAFETY: the table holds functions of this type, or of fewer arguments, which this convention lets be called so. The
    // arguments are those that the C library passes: no argument strings, and its own environment.
    unsafe { function(0, none.as_ptr(), variables) };
}

//! Makes the kernel refuse system calls to this process, as a sandbox may.

use std::ffi::{c_int, c_ulong, c_void};

/// One BPF instruction of a seccomp filter, which decides by the number and the arguments of a system call.
#[repr(C)]
pub(crate) struct Instruction {
    code: u16,
    if_true: u8,
    if_false: u8,
    k: u32,
}

/// Loads 32 bits at offset `k` of the kernel's description of the system call: the number is at 0, the third argument
/// at 32.
pub(crate) const LOAD: u16 = 0x20;
pub(crate) const JUMP_IF_EQUAL: u16 = 0x15;
pub(crate) const JUMP_IF_BIT: u16 = 0x45;
pub(crate) const RETURN: u16 = 0x06;
/// For `RETURN`: the call is made.
pub(crate) const ALLOW: u32 = 0x7fff_0000;
/// For `RETURN`, with an error number added: the call fails with that error.
pub(crate) const REFUSE: u32 = 0x0005_0000;

/// A jump skips `if_true` or `if_false` instructions.
pub(crate) fn step(code: u16, if_true: u8, if_false: u8, k: u32) -> Instruction {
    Instruction { code, if_true, if_false, k }
}

/// Installs a filter for the calling thread and the threads that it starts, for as long as they live.
pub(crate) fn install(instructions: &[Instruction]) {
    #[repr(C)]
    struct Program {
        length: u16,
        instructions: *const Instruction,
    }
    unsafe extern "C" {
        fn prctl(option: c_int, ...) -> c_int;
    }
    const PR_SET_SECCOMP: c_int = 22;
    const PR_SET_NO_NEW_PRIVS: c_int = 38;
    const FILTER: c_ulong = 2;
    let length = u16::try_from(instructions.len()).expect("a filter of a few instructions");
    let program = Program { length, instructions: instructions.as_ptr() };
    // SAFETY: this `prctl` takes five integers and accesses no memory.
    assert_eq!(unsafe { prctl(PR_SET_NO_NEW_PRIVS, 1 as c_ulong, 0 as c_ulong, 0 as c_ulong, 0 as c_ulong) }, 0);
    // SAFETY: the program and its instructions live until the call returns, and the kernel copies them.
    let status = unsafe { prctl(PR_SET_SECCOMP, FILTER, (&raw const program).cast::<c_void>()) };
    assert_eq!(status, 0, "a filter cannot be installed here");
}

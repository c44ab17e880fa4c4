//! How a finding leaves through C++.
//!
//! An interleaving that is given up ends with a panic, which unwinds what is on the thread's stack. C++ ends the process when
//! an exception reaches a function that is `noexcept`, and destructors are. So C++ code asks here what to do with an exception
//! that passes: where the interleaving is over it passes without a destructor being run, and otherwise C++ has its way.

use super::entry::entry_points;
use super::world::{Pc, live};
use std::arch::global_asm;
use std::ffi::c_int;

// Weak: a binary without C++ has none, and nobody needs it there.
global_asm!(
    ".section .data.rel.ro.latecall_model_personality,\"aw\",@progbits",
    ".weak __gxx_personality_v0",
    ".hidden latecall_model_cxx_personality",
    ".globl latecall_model_cxx_personality",
    ".balign 8",
    "latecall_model_cxx_personality:",
    ".quad __gxx_personality_v0",
    ".text",
);

type Personality = extern "C-unwind" fn(c_int, c_int, u64, usize, usize) -> c_int;

unsafe extern "C" {
    safe static latecall_model_cxx_personality: Option<Personality>;
}

/// `_URC_CONTINUE_UNWIND`.
const CONTINUE: c_int = 8;

extern "C-unwind" fn personality(
    version: c_int,
    actions: c_int,
    class: u64,
    exception: usize,
    context: usize,
    _: Pc,
) -> c_int {
    match latecall_model_cxx_personality {
        Some(cxx) if live() => cxx(version, actions, class, exception, context),
        _ => CONTINUE,
    }
}

entry_points! {
    __gxx_personality_v0(5) => personality;
}

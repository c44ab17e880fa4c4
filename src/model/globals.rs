//! The globals of instrumented code: where they are, and putting them back before every interleaving.
//!
//! All writable data of instrumented objects lies in one section, whose bounds the linker marks when there is any.

use std::arch::global_asm;

// Weak: a binary without instrumented code has no such section, and both addresses are null.
global_asm!(
    ".section .data.rel.ro.latecall_model_bounds,\"aw\",@progbits",
    ".weak __start_latecall_model_data",
    ".weak __stop_latecall_model_data",
    ".hidden latecall_model_bounds",
    ".globl latecall_model_bounds",
    ".balign 8",
    "latecall_model_bounds:",
    ".quad __start_latecall_model_data",
    ".quad __stop_latecall_model_data",
    ".text",
);

unsafe extern "C" {
    safe static latecall_model_bounds: [usize; 2];
}

/// From where to where globals lie.
pub(crate) fn bounds() -> (usize, usize) {
    let [low, high] = latecall_model_bounds;
    (low, high)
}

/// Where among the globals an address is.
pub(crate) fn offset(address: usize) -> Option<usize> {
    let (low, high) = bounds();
    (low..high).contains(&address).then(|| address - low)
}

/// The globals as they were before a search.
pub(crate) struct Saved(Vec<u8>);

impl Saved {
    pub(crate) fn new() -> Self {
        let (low, high) = bounds();
        let start = std::ptr::with_exposed_provenance::<u8>(low);
        if low == high {
            return Self(Vec::new());
        }
        // SAFETY: the section is there, and only instrumented code writes to it, which runs only in searches, one at a time.
        Self(unsafe { std::slice::from_raw_parts(start, high - low) }.to_vec())
    }

    pub(crate) fn restore(&self) {
        let (low, _) = bounds();
        let start = std::ptr::with_exposed_provenance_mut::<u8>(low);
        if !self.0.is_empty() {
            // SAFETY: as in `new`; no thread of an interleaving is running.
            unsafe { start.copy_from_nonoverlapping(self.0.as_ptr(), self.0.len()) };
        }
    }
}

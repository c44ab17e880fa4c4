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

/// All that is put back: the globals, and what calls outside of a search have touched of the first thread's variables.
pub(crate) fn all_bounds() -> Vec<(usize, usize)> {
    std::iter::once(bounds()).chain(super::locals::early_bounds()).collect()
}

/// Each of them as it was before a search.
pub(crate) struct Saved(Vec<(usize, Vec<u8>)>);

impl Saved {
    pub(crate) fn new() -> Self {
        let filled = all_bounds().into_iter().filter(|&(low, high)| low < high);
        let saved = filled.map(|(low, high)| {
            let start = std::ptr::with_exposed_provenance::<u8>(low);
            // SAFETY: the memory is there for good, and only instrumented code writes to it, which runs in searches, one at a
            // time, and where the test calls it before.
            (low, unsafe { std::slice::from_raw_parts(start, high - low) }.to_vec())
        });
        Self(saved.collect())
    }

    pub(crate) fn restore(&self) {
        for (low, bytes) in &self.0 {
            let start = std::ptr::with_exposed_provenance_mut::<u8>(*low);
            // SAFETY: as in `new`; no thread of an interleaving is running.
            unsafe { start.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
        }
    }
}

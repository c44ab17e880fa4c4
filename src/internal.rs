//! What the bundled subjects use and a subject of your own cannot: hidden, and not public API.
//!
//! Each line is a gap in the public API of [`subject`](crate::subject), listed in `docs/design.md`. The package
//! `latecall-bundled` may use this module and [`loomed`](crate::loomed); no other package may.

pub use crate::ledger::RunId;
use crate::ledger::{Call, witness};
use crate::program::Site;
use crate::subject;

/// The run that [`Env::to_bits`](crate::subject::Env::to_bits) named by this integer.
pub fn run_from_bits(bits: u64) -> Option<RunId> {
    RunId::from_bits(bits)
}

/// The integer that names a run.
pub fn run_to_bits(run: RunId) -> u64 {
    run.to_bits()
}

/// [`subject::pass`], on a thread that may be new to the run.
pub fn pass_in(run: RunId, site: Site) {
    subject::pass_in(run, site);
}

/// [`subject::late`], on a thread that may be new to the run.
pub fn late_in(run: RunId, call: &Call) {
    subject::late_in(run, call);
}

/// Whether the calling thread is inside a callback of a run.
pub fn inside_callback() -> bool {
    witness::inside_callback()
}

/// Where the build script put the C library's shared objects.
#[cfg(feature = "native")]
pub const NATIVE_OBJECTS: &str = env!("LATECALL_EMITTER_DIR");

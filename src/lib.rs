//! Callbacks that a C library keeps: a registry that makes late calls harmless, and a harness that makes them happen.
#![cfg_attr(
    feature = "harness",
    allow(
        clippy::duplicate_mod,
        reason = "the registry is compiled twice on purpose: over std, and in `loomed` over loom"
    )
)]

#[cfg(feature = "harness")]
pub(crate) mod loomed;
pub mod registry;
mod sync;

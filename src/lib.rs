//! Callbacks that a C library keeps: a registry that makes late calls harmless, and a harness that makes them happen.
#![cfg_attr(
    feature = "harness",
    allow(
        clippy::duplicate_mod,
        reason = "the registry is compiled twice on purpose: over std, and in `loomed` over loom"
    )
)]

#[cfg(feature = "capi")]
pub mod capi;
pub mod registry;
pub mod signature;
mod sync;
mod thread_word;

#[cfg(all(test, feature = "harness"))]
mod subprocess;

#[cfg(feature = "harness")]
pub mod emitter;
#[cfg(feature = "harness")]
pub mod engine;
#[cfg(feature = "harness")]
pub mod flawed;
#[cfg(feature = "harness")]
pub mod gate;
#[cfg(feature = "harness")]
pub mod ledger;
#[cfg(feature = "harness")]
pub(crate) mod loomed;
#[cfg(feature = "harness")]
pub mod model;
#[cfg(feature = "harness")]
pub mod program;
#[cfg(feature = "cli")]
pub mod report;
#[cfg(feature = "harness")]
pub mod subject;

#[cfg(all(test, feature = "harness"))]
#[global_allocator]
static ALLOCATOR: ledger::Quarantine = ledger::Quarantine::new();

/// The README's examples, compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

//! Callbacks that a C library keeps: a registry that makes late calls harmless, and a harness that makes them happen.

pub mod registry;
mod sync;

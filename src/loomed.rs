//! The registry once more, over loom: the same sources compiled a second time in the same build, so that plain
//! `cargo test` and the gate explore interleavings and nobody has to set `RUSTFLAGS`.
//!
//! The sources under `registry/` reach the seam only through `super`, which here is the loom side. Nothing in this
//! module is public API; what is public in the sources is unreachable here, and much of it is unused.
#![allow(unreachable_pub, reason = "the same sources are public as `crate::registry`")]
#![allow(dead_code, unused_imports, reason = "only what the models use is used in this copy")]

pub(crate) use crate::sync::loom_side as sync;

#[path = "registry/mod.rs"]
pub(crate) mod registry;

#[cfg(test)]
#[path = "registry/models.rs"]
mod models;

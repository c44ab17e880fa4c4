//! The registry and the interpreter once more, over loom: the same sources, compiled a second time in the same build.
//! So plain `cargo test` and the gate explore interleavings without any `RUSTFLAGS`.
//!
//! The sources under `registry/` and `engine/run/interpret/` reach the seam only through `super`, which here is the
//! loom side. Hidden, and not public API: the bundled subjects are compiled over this registry
//! (`bundled/src/explored/mod.rs`).
#![allow(missing_docs, reason = "a copy, which is documented at the original")]
#![allow(dead_code, unused_imports, reason = "only what the models use is used in this copy")]

pub(crate) use crate::sync::loom_side as sync;

#[path = "registry/mod.rs"]
pub mod registry;

#[cfg(test)]
#[path = "registry/models.rs"]
mod models;

/// The interpreter, on loom's threads.
#[path = "engine/run"]
pub(crate) mod run {
    use super::sync;

    pub(crate) mod interpret;
    #[path = "model_stage.rs"]
    mod stage;
}

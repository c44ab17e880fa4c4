//! What is tested, once more, over loom: the same sources compiled a second time in the same build, so that plain
//! `cargo test` and the gate explore interleavings and nobody has to set `RUSTFLAGS`.
//!
//! The sources under `registry/`, `subject/`, `flawed/` and `engine/run/interpret.rs` reach the seam only through `super`,
//! which here is the loom side. Nothing in this module is public API; what is public in the sources is unreachable here,
//! and much of it is unused.
#![allow(unreachable_pub, reason = "the same sources are public elsewhere")]
#![allow(dead_code, unused_imports, reason = "only what the models use is used in this copy")]

pub(crate) use crate::sync::loom_side as sync;

#[path = "registry/mod.rs"]
pub(crate) mod registry;

#[cfg(test)]
#[path = "registry/models.rs"]
mod models;

/// The bundled subjects. The traits are those of `crate::subject`.
#[path = "subject"]
pub(crate) mod subject {
    pub(crate) use crate::subject::{Offer, OpenError, Session, Subject};

    pub(crate) mod binding;
    pub(crate) mod catalogue;
    pub(crate) mod keeper;
    pub(crate) mod locked;
    pub(crate) mod registry;
    pub(crate) mod shelf;
}

#[path = "flawed/mod.rs"]
pub(crate) mod flawed;

/// The interpreter, on loom's threads.
#[path = "engine/run"]
pub(crate) mod run {
    use super::sync;

    pub(crate) mod interpret;
    #[path = "model_stage.rs"]
    mod stage;
}

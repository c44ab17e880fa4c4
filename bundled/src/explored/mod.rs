//! The subjects over loom: the same sources compiled a second time, for the model engine. A subject of this copy is the
//! twin of the subject with the same name.
//!
//! The sources name `sync` and the registry through `super`. In this module these are the loom versions
//! (`explore/src/seam.rs`, and `src/loomed.rs` of the package `latecall`).
#![allow(unreachable_pub, reason = "the same sources are public elsewhere")]
#![allow(dead_code, unused_imports, reason = "only what the model engine uses is used in this copy")]

use crate::emitter::Api;
use latecall::loomed::registry as latecall_registry;
use latecall::subject::Subject;
use latecall_explore::seam as sync;

#[path = "../binding.rs"]
mod binding;
#[path = "../catalogue.rs"]
mod catalogue;
#[path = "../flawed/mod.rs"]
mod flawed;
#[path = "../locked.rs"]
mod locked;
#[path = "../lookup.rs"]
mod lookup;
#[path = "../registry.rs"]
mod registry;
#[path = "../store.rs"]
mod store;

/// The subjects of this copy are twins, and have none of their own.
const TWIN: Option<binding::MakeTwin> = None;

/// The twin of the subject with this name, over an instrumented library. `None`: no subject has this name, or the
/// subject crashes its process, and its twin would crash the search.
pub(crate) fn twin(name: &str, api: &'static Api) -> Option<Box<dyn Subject>> {
    let twin = catalogue::find(name, api)?;
    let crashes = twin.flaw.is_some_and(|flaw| flaw.crashes);
    (!crashes).then(|| Box::new(twin.subject) as Box<dyn Subject>)
}

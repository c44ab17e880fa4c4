//! latecall's own subjects: bindings of the C library in `native/`, sound and flawed, and that library's declarations.
//!
//! The sound subjects show what a binding looks like. They must pass every engine. Each flawed subject has one known
//! defect, and the engines that are listed for it must convict the subject. The gate, latecall's tests and its fuzz
//! targets run all of them. `GAPS.md` of this package lists what they use that is not public API.
//!
//! How the parts fit:
//!
//! * [`emitter`]: the C library's functions, linked or loaded at run time.
//! * [`binding`]: the binding of that library, over any [`store::CallbackStore`].
//! * [`store`]: the trait of stores, which keep callbacks while C holds them. Subjects differ in their stores only.
//! * [`registry`], [`locked`]: the two sound stores. [`flawed`]: stores with one defect each.
//! * `lookup`: the map in which the binding finds subscriptions, and `locked` its entries.
//! * [`catalogue`]: every subject by name, and [`BUNDLED`] for the gate.
//! * `explored`: the same sources compiled a second time, over loom, for the model engine. `sync`: the std types and
//!   functions that stand in the place of loom's.
//!
//! What `store`, `binding`, `registry`, `locked` and `flawed` do may depend on the order of their operations only, and
//! not on the order of a hash map, for example. The model engine runs each of them thousands of times and expects the
//! same behaviour each time.
#![allow(
    clippy::duplicate_mod,
    reason = "the subjects are compiled twice on purpose: over std, and in `explored` over loom"
)]

pub mod binding;
pub mod catalogue;
pub mod emitter;
mod explored;
pub mod flawed;
pub mod locked;
mod lookup;
pub mod registry;
pub mod store;
mod sync;

pub use catalogue::BUNDLED;

use latecall::registry as latecall_registry;

/// Makes the twins of the catalogue's subjects, for the model engine.
const TWIN: Option<binding::MakeTwin> = Some(explored::twin);

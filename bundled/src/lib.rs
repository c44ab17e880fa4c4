//! latecall's own subjects: bindings of the C library in `native/`, sound and flawed, and that library's Rust face.
//!
//! The sound subjects show what a binding looks like and must pass every engine; each flawed one has one known defect,
//! and the engines that are listed for it must convict it. The gate, latecall's tests and its fuzz targets run them.
//!
//! How the parts fit:
//!
//! * [`emitter`]: the C library's functions, linked or loaded at run time.
//! * [`binding`]: the binding of that library, over any [`store::CallbackStore`].
//! * [`store`]: what stands between C and a callback: the seam at which the subjects differ.
//! * [`registry`], [`locked`]: the two sound stores. [`flawed`]: stores with one defect each.
//! * `lookup`: where the binding and `locked` look things up.
//! * [`catalogue`]: every subject by name, and [`BUNDLED`] for the gate.
//! * `explored`: the same sources once more, over loom, for the model engine. `sync`: the std side of that seam.
//!
//! Nothing in `store`, `binding`, `registry`, `locked` and `flawed` may depend on anything but the order of its
//! operations (the order of a hash map, say): the model engine runs each of them thousands of times and expects the
//! same each time.
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

/// How the catalogue's subjects get their twins for the model engine.
const TWIN: Option<binding::MakeTwin> = Some(explored::twin);

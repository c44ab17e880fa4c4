//! A registry that makes C callbacks harmless after Rust has freed them, and a harness that makes such late calls
//! happen.
//!
//! A *late call* is a foreign library that invokes a callback after the Rust side has freed it: a use after free that
//! compiles. The [`registry`] gives C an integer in place of a pointer, so that a late call is refused and reported.
//! The harness (feature `harness`) runs small programs on a binding, forces and explores the orders in which calls come
//! late, and reports what broke.
//!
//! # Which part do I need?
//!
//! | You have | Use |
//! | --- | --- |
//! | a C library whose callbacks carry no user data | [`thunk`]: a function of its own for each closure |
//! | a Rust binding of a C library that keeps callbacks | [`registry`], and [`signature!`] to write the function for C: no dependencies |
//! | C or C++ code that keeps callbacks | feature `capi` and `native/include/latecall.h` |
//! | a binding to test | feature `harness`, as a dev-dependency: `subject` and `engine` |
//! | threaded C code, with or without callbacks | the packages `latecall-build` and `latecall-explore` |
//! | a fresh clone, and doubts | `cargo run`: the gate tests the harness on defects that it has to find |
//!
//! # The registry
//!
//! ```
//! use latecall::registry::Registry;
//! use std::ffi::c_void;
//!
//! static EVENTS: Registry<dyn Fn(u64) + Send + Sync> = Registry::new();
//!
//! extern "C" fn on_event(event: u64, user_data: *mut c_void) {
//!     if let Err(late) = EVENTS.call(user_data, |f| f(event)) {
//!         eprintln!("{late}"); // a late call: nothing ran
//!     }
//! }
//! let registration = EVENTS.register(Box::new(|event| println!("{event}")));
//! on_event(1, registration.handle().as_ptr()); // C gets `on_event` and this integer
//! ```
//!
//! # A typed function for C
//!
//! ```
//! latecall::signature! {
//!     /// `int (*)(uint64_t event, void *user_data)`
//!     extern "C" fn OnEvent(event: u64, user_data) -> i32;
//!     late = -1;    // what C gets from a late call
//!     panic = Late; // and when the callback panics
//! }
//! let registration = OnEvent::registry().register(OnEvent::shared(|event| event as i32 + 1));
//! let (function, user_data) = (OnEvent::function(), registration.handle().as_ptr()); // both are for C
//! assert_eq!(function(41, user_data), 42);
//! drop(registration);
//! assert_eq!(function(41, user_data), -1);
//! ```
//!
//! # A binding of your own under the engines
//!
//! Implement `subject::Subject` and `subject::Session` for the binding; `examples/own_binding.rs` is a complete one.
//!
//! ```ignore
//! #[global_allocator]
//! static ALLOCATOR: latecall::ledger::Quarantine = latecall::ledger::Quarantine::new();
//!
//! #[test]
//! fn the_binding_is_sound() {
//!     let report = latecall::engine::property::Property::default().check(&MyBinding, &mut |_| ());
//!     assert!(report.is_clean(), "{report:#?}"); // the finding has the smallest program that fails
//! }
//! ```
//!
//! # C code in every interleaving
//!
//! ```ignore
//! // build.rs, with latecall-build: compiles the C code for the explorer
//! latecall_build::Instrument::new("explored").files(["c/pool.c", "c/test.c"]).link();
//!
//! // tests/pool.rs, with latecall-explore
//! unsafe extern "C-unwind" { safe fn explored_test(); }
//! latecall_explore::explore("pool", &latecall_explore::Options::new(), || explored_test()).assert_exhausted();
//! ```
//!
//! # Features
//!
//! | Feature | Adds | Needs |
//! | --- | --- | --- |
//! | none, the default | [`registry`], [`signature`](mod@signature), [`thunk`] | std, Rust 1.85, no other package |
//! | `capi` | the registry for C and C++ | the same |
//! | `harness` | programs, ledger, subjects, engines, gate | Linux on x86-64, Rust 1.95 |
//!
//! # More
//!
//! The pages of `docs/` are in the [`guide`]: what [the registry promises](guide::registry), [what thunks
//! promise](guide::thunk), [the limits of each part](guide::limits), [the language of programs](guide::program), [the
//! gate](guide::gate) and [its JSON](guide::json), [C code under the explorer](guide::model), [Rust
//! code under the explorer](guide::explore), [the design](guide::design) and [the scenarios](guide::scenarios).
#![cfg_attr(
    feature = "harness",
    allow(
        clippy::duplicate_mod,
        reason = "the registry is compiled twice on purpose: over std, and in `loomed` over loom"
    )
)]

#[cfg(feature = "capi")]
pub mod capi;
#[cfg(doc)]
pub mod guide;
pub mod registry;
pub mod signature;
mod sync;
pub mod thunk;

#[cfg(test)]
mod subprocess;

#[cfg(feature = "harness")]
#[clippy::msrv = "1.95"]
pub mod engine;
#[cfg(feature = "harness")]
#[clippy::msrv = "1.95"]
pub mod gate;
#[cfg(feature = "harness")]
#[doc(hidden)]
pub mod internal;
#[cfg(feature = "harness")]
#[clippy::msrv = "1.95"]
pub mod ledger;
#[cfg(feature = "harness")]
#[clippy::msrv = "1.95"]
#[doc(hidden)]
pub mod loomed;
#[cfg(feature = "harness")]
#[clippy::msrv = "1.95"]
pub mod program;
#[cfg(feature = "harness")]
#[clippy::msrv = "1.95"]
pub mod subject;

#[cfg(all(test, feature = "harness"))]
#[global_allocator]
static ALLOCATOR: ledger::Quarantine = ledger::Quarantine::new();

/// The README's examples, compiled and run.
#[cfg(all(doctest, feature = "harness"))]
#[doc = include_str!("../README.md")]
struct Readme;

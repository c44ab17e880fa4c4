//! Typed trampolines, and the kinds of callback that they run. A binding uses them in place of its own `extern "C" fn`.
//!
//! [`signature!`](crate::signature!) declares one C callback type: its arguments, the position of the user data among
//! them, its return type, the value that C gets when a call is refused, and what happens to a panic. The macro makes a
//! type that has its own [`Registry`], the function to give to C, and a constructor for each kind of callback:
//!
//! ```
//! use latecall::signature;
//!
//! latecall::signature! {
//!     /// `int (*)(uint64_t event, void *user_data)`
//!     pub extern "C" fn OnEvent(event: u64, user_data) -> i32;
//!     late = -1;
//!     panic = Late;
//! }
//!
//! let callback = OnEvent::shared(|event| event as i32 + 1);
//! let registration = OnEvent::registry().builder().label("volume").register(callback);
//! let (function, user_data) = (OnEvent::function(), registration.handle().as_ptr()); // give both to C
//! assert_eq!(function(41, user_data), 42);
//! drop(registration);
//! assert_eq!(function(41, user_data), -1); // late: no closure ran
//! ```
//!
//! | Constructor | Takes | Runs it |
//! | --- | --- | --- |
//! | `shared` | `Fn + Send + Sync` | on any thread, several at a time |
//! | `inlined` | `Fn + Send + Sync + 'static` | as `shared`, from a function compiled for that closure |
//! | `once` | `FnOnce + Send` | once; the first call revokes the registration |
//! | `exclusive` | `FnMut + Send` | one call at a time; other calls are refused, or wait |
//! | `confined` | `Fn`, not `Send` | only on the thread that made it |
//! | `confined_ref` | `&Fn`, not `Send` | as `confined`, but borrowed: for [`scope`] |
//! | `weak` | `&Arc<T>`, `Fn(&T, ..)` | while the object is alive; a call keeps the object alive |
//! | `switch` | any of these | the armed callback; [`Switch::replace`] exchanges it as one unit |
//!
//! Two mistakes of pairing are refused, and nothing is read through the handle:
//!
//! * A handle of one signature is given to the function of another: [`Reason::WrongRegistry`].
//! * A handle is given to a function that was compiled for another closure of the same signature:
//!   [`Reason::WrongType`].
//!
//! The Rust compiler checks the function's type where it is handed to C. The crate cannot check that C then calls the
//! function with the type that it declared.
//!
//! # Each kind
//!
//! ```
//! use latecall::signature::{Overlap, Registered};
//! use std::{cell::Cell, rc::Rc, sync::Arc};
//!
//! latecall::signature! {
//!     /// `unsigned (*)(void *user_data)`
//!     extern "C" fn Tick(user_data) -> u32;
//!     late = 0;
//!     panic = Late;
//! }
//! // What a C library does with Tick::function() and a handle.
//! let fire = |owner: &Registered<Tick>| Tick::function()(owner.handle().as_ptr());
//!
//! let shared = Tick::registry().register(Tick::shared(|| 7));
//! assert_eq!((fire(&shared), fire(&shared)), (7, 7));
//!
//! let (callback, function) = Tick::inlined(|| 8); // give this function to C, only with the handle of this callback
//! let inlined = Tick::registry().register(callback);
//! assert_eq!(function(inlined.handle().as_ptr()), 8);
//! assert_eq!(function(shared.handle().as_ptr()), 0); // refused: the function is for another closure
//!
//! let owned = String::from("consumed");
//! let once = Tick::registry().register(Tick::once(move || owned.into_bytes().len() as u32));
//! assert_eq!((fire(&once), fire(&once)), (8, 0));
//!
//! let mut count = 0;
//! let exclusive = Tick::registry().register(Tick::exclusive(Overlap::Serialise, move || { count += 1; count }));
//! assert_eq!((fire(&exclusive), fire(&exclusive)), (1, 2));
//!
//! let local = Rc::new(Cell::new(3)); // belongs to this thread
//! let confined = Tick::registry().register(Tick::confined(move || local.get()));
//! assert_eq!(fire(&confined), 3);
//! std::thread::scope(|scope| scope.spawn(|| assert_eq!(fire(&confined), 0)).join().unwrap());
//!
//! let model = Arc::new(5);
//! let weak = Tick::registry().register(Tick::weak(&model, |model| *model));
//! assert_eq!(fire(&weak), 5);
//! drop(model);
//! assert_eq!(fire(&weak), 0);
//!
//! // For a C library that takes a destroy notify: from here on C owns the callback.
//! let handle = shared.leak();
//! Tick::destroy()(handle.as_ptr());
//! assert_eq!(Tick::function()(handle.as_ptr()), 0);
//! ```
//!
//! [`scope`] and [`Switch`] have examples of their own.
//!
//! # The modules
//!
//! * `declare`: the macro.
//! * `callback`: what a signature's registry stores, a trait object and the type that it was made from.
//! * `deliver`: the path of a call, shared by all trampolines: look up the callback, run it, catch its panic.
//! * `panic`: what happens to a panic.
//! * `kinds`: a wrapper for each kind of callback that any thread may run.
//! * `confined`: callbacks that belong to one thread.
//! * `switch`: a callback that can be replaced.
//! * `scope`: lends borrowed callbacks to C for the duration of a function call.
//!
//! All of it is built on [`crate::registry`]. The models explore the registry's protocol, and no code of this module.

mod callback;
mod confined;
mod declare;
mod declare_kinds;
mod deliver;
mod kinds;
mod panic;
mod scope;
mod switch;

pub use callback::{Boxed, Callback, Registered, Signature};
pub use confined::collect_confined;
pub use kinds::Overlap;
pub use panic::{PanicPolicy, carry};
pub use scope::{Scope, scope};
pub use switch::Switch;

#[allow(unused_imports, reason = "linked from this page")]
use crate::registry::{Reason, Registry};

/// What the macro's expansion uses. Not public API.
#[doc(hidden)]
pub mod __private {
    pub use super::confined::{Confined, Held};
    pub use super::deliver::{deliver, destroy, refuse};
    pub use super::kinds::{Exclusive, Once, Shared, Weakly};
    pub use super::switch::Switched;
    pub use super::{Boxed, Callback, Overlap, PanicPolicy, Signature, Switch};
    pub use crate::registry::{Handle, Reason, Registry};

    /// `std::sync::Arc`. The alias lets a project declare signatures even if its lints forbid to name `std::sync::Arc`.
    pub type Arc<T> = crate::sync::Arc<T>;
}

//! Typed trampolines, and the kinds of callback that they run: what a binding writes in place of an `extern "C" fn`.
//!
//! [`signature!`](crate::signature!) declares one C callback type: its arguments, where among them the user data is,
//! what it returns, what C gets when the call is refused, and what becomes of a panic. It makes a type with a
//! [`Registry`] of its own, the function to give to C, and a constructor for each kind of callback:
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
//! let registration = OnEvent::registry().builder().label("volume").register(OnEvent::shared(|event| event as i32 + 1));
//! let (function, user_data) = (OnEvent::function(), registration.handle().as_ptr()); // give both to C
//! assert_eq!(function(41, user_data), 42);
//! drop(registration);
//! assert_eq!(function(41, user_data), -1); // late: nobody's closure ran
//! ```
//!
//! | Constructor | Takes | Runs it |
//! | --- | --- | --- |
//! | `shared` | `Fn + Send + Sync` | on any thread, several at a time |
//! | `inlined` | `Fn + Send + Sync + 'static` | as `shared`, from a function compiled for that closure |
//! | `once` | `FnOnce + Send` | once, and then the registration is revoked (S51) |
//! | `exclusive` | `FnMut + Send` | one call at a time: others are rejected or wait (S50) |
//! | `confined` | `Fn`, not `Send` | on the thread that made it and no other (S60) |
//! | `confined_ref` | `&Fn`, not `Send` | the same, borrowed: for [`scope`] |
//! | `weak` | `&Arc<T>`, `Fn(&T, ..)` | while the object lives, which the call keeps alive (S13) |
//! | `switch` | any of these | whichever is armed: replaced as one unit (S31) |
//!
//! A handle of one signature given to another's function is [`Reason::WrongRegistry`]; a handle of the same signature
//! given to a function compiled for another closure is [`Reason::WrongType`] (S96). Neither reads anything through it.
//! That C calls the function with the right C type is out of reach (S97): the compiler checks it where the pointer is
//! handed over.
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
//! // What a library does that was given Tick::function() and a handle.
//! let fire = |owner: &Registered<Tick>| Tick::function()(owner.handle().as_ptr());
//!
//! let shared = Tick::registry().register(Tick::shared(|| 7));
//! assert_eq!((fire(&shared), fire(&shared)), (7, 7));
//!
//! let (callback, function) = Tick::inlined(|| 8); // give this function to C, and none but this handle with it
//! let inlined = Tick::registry().register(callback);
//! assert_eq!(function(inlined.handle().as_ptr()), 8);
//! assert_eq!(function(shared.handle().as_ptr()), 0); // refused: another closure
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
//! // C takes a destroy notify: from here on C is the owner.
//! let handle = shared.leak();
//! Tick::destroy()(handle.as_ptr());
//! assert_eq!(Tick::function()(handle.as_ptr()), 0);
//! ```
//!
//! [`scope`] and [`Switch`] have examples of their own.
//!
//! # How the parts fit
//!
//! `declare` is the macro. `callback` is what a signature's registry stores: a trait object with the type it was made
//! from. `deliver` is the way in, shared by all trampolines: look up, run, contain. `panic` says what becomes of a
//! panic; `kinds` has a wrapper for each kind of callback, `confined` those that belong to a thread, `switch` the one
//! that can be replaced, and `scope` lends borrowed callbacks to C for the time of a call.
//!
//! Built on [`crate::registry`]; nothing in here is part of the protocol that the models explore.

mod callback;
mod confined;
mod declare;
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

#[allow(unused_imports, reason = "named in this page")]
use crate::registry::{Reason, Registry};

/// What the macro's expansion names; not public API.
#[doc(hidden)]
pub mod __private {
    pub use super::confined::{Confined, Held};
    pub use super::deliver::{deliver, destroy, refuse};
    pub use super::kinds::{Exclusive, Once, Shared, Weakly};
    pub use super::switch::Switched;
    pub use crate::registry::{Handle, Reason, Registry};

    /// `std`'s, by the name of the seam: a project that forbids the other name in its own code may still declare signatures.
    pub type Arc<T> = crate::sync::Arc<T>;
}

//! Bare function pointers for C APIs that carry no user data: `qsort`, `atexit`, `signal`, and libraries whose callback
//! types have no `void *`.
//!
//! [`signature!`](crate::signature!) without the word `user_data` declares such a C callback type. Each closure then
//! gets a function of its own, a *thunk*, and C gets nothing but that function:
//!
//! ```
//! use std::ffi::c_int;
//! use std::sync::atomic::{AtomicI32, Ordering};
//!
//! latecall::signature! {
//!     /// `int (*)(int, int)`
//!     pub extern "C" fn OnSum(left: c_int, right: c_int) -> c_int;
//!     late = 0;
//!     panic = Late;
//! }
//!
//! let calls = AtomicI32::new(0);
//! let sum = OnSum::thunk(move |left, right| left + right + calls.fetch_add(1, Ordering::Relaxed) + 1);
//! let function: extern "C" fn(c_int, c_int) -> c_int = sum.as_fn(); // give this to C
//! assert_eq!(function(243, 257), 501);
//! drop(sum); // waits for running calls, then drops the closure
//! assert_eq!(function(243, 257), 0); // late: reported, and no closure ran
//! ```
//!
//! A [`Thunk`] is a registration: it has all verbs, kinds of callback, panic policies and reports of a
//! [`Registration`](crate::registry::Registration). Calls pass through the signature's own registry, whose
//! [contract](crate::registry#the-contract) holds: no closure is dropped under a running call, and a late call touches
//! no memory of a closure. [`Scope::thunk`](crate::signature::Scope::thunk) lends a thunk that borrows.
//!
//! # What to write
//!
//! ```text
//! latecall::signature! {
//!     pub extern "C" fn Name(first: c_int, second: *const c_char) -> c_int;
//!     late = -1;
//!     panic = Late;
//!     pool = 64;
//!     quarantine = 1024;
//!     registry = Registry::new().with_tombstones(1025);
//! }
//! ```
//!
//! * *Arguments and result*: [`Scalar`]s, which are numbers and pointers. A struct by value, and `...`, do not compile.
//! * `pool`: optional; how many functions to compile, 0 to 4096. The default is 32 where there are code pages, and 1088
//!   elsewhere.
//! * `quarantine`: optional; how many dead addresses to keep out of use, 0 or more, or `never` to use none again. The
//!   default is 1024.
//! * `registry`: optional. The default has as many tombstones as explain each dead address.
//!
//! `pool` and `quarantine` are a literal or an expression in parentheses. The rest is as for every
//! [`signature!`](crate::signature!). The type has `registry`, the constructors of the kinds, and two functions:
//!
//! * `thunk(closure)`: a [`Thunk`] of the kind `shared`; [`Thunk::new`] takes the other kinds.
//! * `try_thunk(closure)`: the same, with failure as a value.
//!
//! # Addresses
//!
//! An address carries no generation. If C keeps the address of a dead thunk, and the address has been given to another
//! closure, C's call runs that closure. No library can detect it. So a dead address is given out again as late as the
//! declaration allows:
//!
//! * Not while a call is inside its callback, and not while its [`Thunk`] exists.
//! * Not before `quarantine` other addresses of the signature have died after it, in that order. Until then a call is
//!   late: C gets the late value, and the report says what the thunk was.
//! * With `quarantine = never`, not at all. Each thunk then costs 32 bytes for ever, and what its tombstone takes. Use
//!   it for a library that may call at any time after it has been told to stop.
//!
//! # Where functions come from
//!
//! * *The pool*: functions that the compiler has made. It is used first, works everywhere, and has a fixed size.
//! * *Code pages*, on Linux on x86-64 and aarch64, if the pool is used up: pages that are mapped from this object's own
//!   file, 127 functions each, as many as needed. No page is ever writable and executable. The arguments have to be in
//!   registers: at most 5 integers and pointers on x86-64 (7 on aarch64), besides any number of floating-point numbers.
//!
//! Where neither has a function left, the result is [`Shortage::Thunks`](crate::registry::Shortage::Thunks). A system
//! that refuses to map code from files leaves the pool; choose its size for that.
//!
//! The object that contains the signature stays loaded (on Linux with glibc), also if its registry says
//! [`with_unpinned_module`](crate::registry::Registry::with_unpinned_module).
//!
//! # The modules
//!
//! * `declare`: the macro.
//! * `bare`, `scalar`: what the macro implements, and which types it accepts.
//! * `owner`, `scoped`: an owned thunk, and a borrowed one.
//! * `leased`, `stock`, `data`: which address belongs to which callback, and what comes after it.
//! * `pages`, `template`: code pages.

mod bare;
mod data;
mod declare;
mod leased;
mod owner;
mod pages;
mod scalar;
mod scoped;
mod stock;
#[cfg(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64"),
    target_pointer_width = "64",
    not(miri)
))]
mod template;

pub use bare::Bare;
pub use owner::{Builder, Thunk};
pub use scalar::Scalar;

/// What the macro's expansion uses. Not public API.
#[doc(hidden)]
pub mod __private {
    pub use super::bare::Bare;
    pub use super::data::Data;
    pub use super::leased::{Leased, leased};
    pub use super::owner::Thunk;
    pub use super::scalar::{integers, may_return};
    pub use super::stock::{Lease, Parts, Stock};
    pub use crate::registry::{Exhausted, Handle, Reason, Registry};
    pub use crate::signature::__private::{
        Arc, Boxed, Callback, Confined, Exclusive, Held, Once, Overlap, PanicPolicy, Shared, Signature, Switch,
        Switched, Weakly, deliver, refuse,
    };

    /// How many dead addresses are kept out of use, where the declaration does not say.
    pub const DEFAULT_QUARANTINE: usize = 1024;

    /// How many functions to compile, where the declaration does not say. Where there are code pages, the pool only
    /// saves small users one. Elsewhere it is all there is, and more than the quarantine.
    pub const DEFAULT_POOL: usize = if super::pages::SUPPORTED { 32 } else { DEFAULT_QUARANTINE + 64 };

    /// How many tombstones explain every dead address.
    #[must_use]
    pub const fn tombstones(quarantine: Option<usize>) -> usize {
        match quarantine {
            Some(limit) if limit < 1000 => 1000,
            Some(limit) => limit.saturating_add(1),
            None => usize::MAX,
        }
    }

    /// The number of arguments in general registers, if a code page can pass them on.
    #[must_use]
    pub const fn on_pages(abi: &str, integers: usize) -> Option<usize> {
        if super::pages::SUPPORTED && super::scalar::is_plain_c(abi) && integers <= super::pages::MOST_INTEGERS {
            Some(integers)
        } else {
            None
        }
    }
}

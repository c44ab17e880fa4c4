//! The std side of the seam between std and loom, with the names that the subjects use. Pairs with
//! `explore/src/seam.rs`, which has the same names over loom; nothing else in this package names `std::sync`.
#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "the seam is where these types and methods come from; elsewhere they are refused"
)]

use std::sync::PoisonError;
pub(crate) use std::sync::atomic::Ordering;

pub(crate) type AtomicBool = std::sync::atomic::AtomicBool;
pub(crate) type AtomicUsize = std::sync::atomic::AtomicUsize;
pub(crate) type Condvar = std::sync::Condvar;
pub(crate) type Mutex<T> = std::sync::Mutex<T>;
pub(crate) type MutexGuard<'a, T> = std::sync::MutexGuard<'a, T>;

/// A statistic: counts, orders nothing, and is not modelled.
pub(crate) type Counter = std::sync::atomic::AtomicU64;
/// A lock over bookkeeping that is not modelled: the same std lock on both sides.
pub(crate) type Outside<T> = std::sync::Mutex<T>;
/// A reference count that is not modelled.
pub(crate) type OutsideArc<T> = std::sync::Arc<T>;

/// Locks what is [`Outside`] the model.
pub(crate) fn outside<T>(lock: &Outside<T>) -> MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs `f`, and catches a panic of it.
pub(crate) fn catch<R>(f: impl FnOnce() -> R) -> std::thread::Result<R> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(f))
}

/// A thread-local with a constant initial value and no destructor.
macro_rules! local {
    ($(#[$meta:meta])* static $name:ident: $type:ty = $value:expr;) => {
        std::thread_local! { $(#[$meta])* static $name: $type = const { $value } }
    };
}

/// A static.
macro_rules! global {
    ($(#[$meta:meta])* static $name:ident: $type:ty = $value:expr;) => {
        $(#[$meta])* static $name: $type = $value;
    };
}

pub(crate) use {global, local};

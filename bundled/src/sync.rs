//! The types and functions of std that the subjects use and the model engine replaces.
//!
//! Pairs with `explore/src/seam.rs`, which has the same names over loom: the seam between std and loom. The subjects
//! take locks and atomics from this module only.
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

/// A counter that orders nothing. Not modelled.
pub(crate) type Counter = std::sync::atomic::AtomicU64;
/// A lock over bookkeeping. Not modelled: std's lock on both sides of the seam.
pub(crate) type Outside<T> = std::sync::Mutex<T>;
/// A reference count. Not modelled.
pub(crate) type OutsideArc<T> = std::sync::Arc<T>;

/// Locks an [`Outside`]. Ignores poisoning.
pub(crate) fn outside<T>(lock: &Outside<T>) -> MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs `f` and catches its panic.
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

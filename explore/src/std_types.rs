//! Std's threads, locks and atomics, for what the explorer keeps for itself and does not explore. Nothing else in this
//! package names `std::sync` or std's cells.
#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "the rest of the package takes std's types from here, so that none is used by mistake"
)]

// Aliases rather than re-exports: the lint that keeps the rest of the package off `std::sync` looks through a re-export
// and not through an alias.
pub(crate) type Arc<T> = std::sync::Arc<T>;
pub(crate) type UnsafeCell<T> = std::cell::UnsafeCell<T>;
pub(crate) type AtomicU32 = std::sync::atomic::AtomicU32;
pub(crate) type AtomicBool = std::sync::atomic::AtomicBool;
pub(crate) type AtomicU64 = std::sync::atomic::AtomicU64;
pub(crate) type AtomicUsize = std::sync::atomic::AtomicUsize;
pub(crate) type Mutex<T> = std::sync::Mutex<T>;
pub(crate) type MutexGuard<'a, T> = std::sync::MutexGuard<'a, T>;
pub(crate) type Once = std::sync::Once;
pub(crate) type OnceLock<T> = std::sync::OnceLock<T>;
pub(crate) use std::sync::atomic::Ordering;
pub(crate) use std::sync::mpsc;
pub(crate) use std::thread;

/// Locks. A lock that a panic has poisoned is entered all the same, because its data is kept whole across panics.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

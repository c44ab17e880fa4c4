//! The one seam between std and loom; nothing else in this crate names either.
//!
//! Two sides offer the same names. The std side is the one everybody uses (`crate::sync`). The loom side
//! (`loom_side`, feature `harness`) is what `crate::loomed` puts in its place when it compiles the registry's sources a
//! second time, so that plain `cargo test` explores them. Where the two libraries differ the std side is narrowed to
//! what loom offers (`UnsafeCell::with`), never the reverse: a model sees every access that production makes.
//!
//! What is *not* modelled is named so: [`Counter`] (statistics; they order nothing) and [`Outside`] (process-wide state
//! that outlives an interleaving, such as the registry ids in use).
#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "the seam is where these types and methods come from; elsewhere they are refused"
)]
#![allow(dead_code, reason = "the seam offers one set of names; not every build needs all of them")]
#![allow(unused_imports, reason = "the seam offers one set of names; not every build needs all of them")]

#[cfg(not(target_has_atomic = "64"))]
compile_error!("latecall needs 64-bit atomics: a slot's generation, state and count change in one step");

pub(crate) use std_side::*;

mod std_side {
    // Aliases rather than re-exports: the lint that keeps the rest of the crate off `std::sync` looks through a
    // re-export and not through an alias.
    pub(crate) type Mutex<T> = std::sync::Mutex<T>;
    pub(crate) type MutexGuard<'a, T> = std::sync::MutexGuard<'a, T>;
    pub(crate) type Condvar = std::sync::Condvar;
    pub(crate) type RwLock<T> = std::sync::RwLock<T>;
    pub(crate) type Arc<T> = std::sync::Arc<T>;
    pub(crate) type Weak<T> = std::sync::Weak<T>;
    pub(crate) type AtomicBool = std::sync::atomic::AtomicBool;
    pub(crate) type AtomicU8 = std::sync::atomic::AtomicU8;
    pub(crate) type AtomicU16 = std::sync::atomic::AtomicU16;
    pub(crate) type AtomicU32 = std::sync::atomic::AtomicU32;
    pub(crate) type AtomicU64 = std::sync::atomic::AtomicU64;
    pub(crate) type AtomicUsize = std::sync::atomic::AtomicUsize;
    pub(crate) type AtomicPtr<T> = std::sync::atomic::AtomicPtr<T>;
    pub(crate) use std::sync::atomic::{Ordering, compiler_fence, fence};
    pub(crate) type Barrier = std::sync::Barrier;
    pub(crate) type LazyLock<T, F = fn() -> T> = std::sync::LazyLock<T, F>;
    pub(crate) type Once = std::sync::Once;
    pub(crate) type OnceLock<T> = std::sync::OnceLock<T>;
    pub(crate) use std::sync::mpsc;

    /// A statistic: counts, and orders nothing.
    pub(crate) type Counter = std::sync::atomic::AtomicU64;
    /// A process-wide fact; the same std atomic on both sides.
    pub(crate) type Flag = std::sync::atomic::AtomicBool;
    /// A lock over process-wide state; the same std lock on both sides.
    pub(crate) type Outside<T> = std::sync::Mutex<T>;

    /// Whether operations are loom's, which exist only inside a model.
    pub(crate) const MODELLED: bool = false;
    /// Slots in a registry's first chunk of storage; every further chunk is twice as large.
    pub(crate) const FIRST_CHUNK: usize = 64;
    /// Chunks of storage that a registry can have: 64 · (2^19 − 1) slots is more than an index can name.
    pub(crate) const CHUNKS: usize = 19;

    /// Threads: std's, by the names the crate uses.
    pub(crate) mod thread {
        pub(crate) use std::thread::{
            Builder, JoinHandle, Scope, ScopedJoinHandle, Thread, ThreadId, current, park, park_timeout, scope, spawn,
            yield_now,
        };
        /// Sleeps; for pacing and time limits only, never as a synchronisation.
        pub(crate) fn sleep(for_time: std::time::Duration) {
            std::thread::sleep(for_time);
        }
    }

    /// `std::cell::UnsafeCell` narrowed to loom's interface: each access has a beginning and an end.
    #[derive(Debug)]
    pub(crate) struct UnsafeCell<T>(std::cell::UnsafeCell<T>);

    impl<T> UnsafeCell<T> {
        pub(crate) const fn new(value: T) -> Self {
            Self(std::cell::UnsafeCell::new(value))
        }

        /// Runs `access` with a pointer through which it may read.
        #[inline(always)]
        pub(crate) fn with<R>(&self, access: impl FnOnce(*const T) -> R) -> R {
            access(self.0.get())
        }

        /// Runs `access` with a pointer through which it may write.
        #[inline(always)]
        pub(crate) fn with_mut<R>(&self, access: impl FnOnce(*mut T) -> R) -> R {
            access(self.0.get())
        }
    }

    /// Locks; a lock poisoned by a panic is entered all the same, because what it guards is kept whole across panics.
    pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
        mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Locks process-wide state, as [`lock`].
    pub(crate) fn lock_outside<T>(mutex: &Outside<T>) -> std::sync::MutexGuard<'_, T> {
        mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Waits on `condvar`; poisoning is ignored as in [`lock`].
    pub(crate) fn wait<'a, T>(condvar: &Condvar, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
        condvar.wait(guard).unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Waits on `condvar` for at most `limit`, which bounds a wait and never is one.
    pub(crate) fn wait_for<'a, T>(
        condvar: &Condvar,
        guard: MutexGuard<'a, T>,
        limit: std::time::Duration,
    ) -> MutexGuard<'a, T> {
        condvar.wait_timeout(guard, limit).unwrap_or_else(std::sync::PoisonError::into_inner).0
    }

    /// A function that is `const` over std, and not over loom, whose types have no const constructors.
    macro_rules! const_fn {
        ($(#[$meta:meta])* $vis:vis const fn $($rest:tt)*) => { $(#[$meta])* $vis const fn $($rest)* };
    }

    /// An array of `$len` values made by the constant expression `$value`.
    macro_rules! array_of {
        ($value:expr; $len:expr) => {
            [const { $value }; $len]
        };
    }

    /// A thread-local with a constant initial value and no destructor: usable while a thread is being torn down.
    macro_rules! local {
        ($(#[$meta:meta])* static $name:ident: $type:ty = $value:expr;) => {
            std::thread_local! { $(#[$meta])* static $name: $type = const { $value } }
        };
    }

    pub(crate) use {array_of, const_fn, local};
}

/// The same names over loom.
#[cfg(feature = "harness")]
pub(crate) mod loom_side {
    pub(crate) type Mutex<T> = loom::sync::Mutex<T>;
    pub(crate) type MutexGuard<'a, T> = loom::sync::MutexGuard<'a, T>;
    pub(crate) type Condvar = loom::sync::Condvar;
    pub(crate) type RwLock<T> = loom::sync::RwLock<T>;
    pub(crate) type Arc<T> = loom::sync::Arc<T>;
    pub(crate) type AtomicBool = loom::sync::atomic::AtomicBool;
    pub(crate) type AtomicU8 = loom::sync::atomic::AtomicU8;
    pub(crate) type AtomicU16 = loom::sync::atomic::AtomicU16;
    pub(crate) type AtomicU32 = loom::sync::atomic::AtomicU32;
    pub(crate) type AtomicU64 = loom::sync::atomic::AtomicU64;
    pub(crate) type AtomicUsize = loom::sync::atomic::AtomicUsize;
    pub(crate) type AtomicPtr<T> = loom::sync::atomic::AtomicPtr<T>;
    pub(crate) use loom::cell::UnsafeCell;
    pub(crate) use loom::model::Builder as Model;
    pub(crate) use loom::sync::Notify;
    pub(crate) use loom::sync::atomic::{Ordering, fence};

    /// A statistic: counts, orders nothing, and is not modelled.
    pub(crate) type Counter = std::sync::atomic::AtomicU64;
    /// A process-wide fact; not modelled.
    pub(crate) type Flag = std::sync::atomic::AtomicBool;
    /// A lock over process-wide state; not modelled. Never held where a modelled operation happens.
    pub(crate) type Outside<T> = std::sync::Mutex<T>;

    /// Whether operations are loom's, which exist only inside a model.
    pub(crate) const MODELLED: bool = true;
    /// Slots in the first chunk: a model creates them anew in each interleaving, so there are few.
    pub(crate) const FIRST_CHUNK: usize = 2;
    /// Chunks: few, for the same reason; 2 · (2^3 − 1) = 14 slots in all.
    pub(crate) const CHUNKS: usize = 3;

    /// Threads: loom's.
    pub(crate) mod thread {
        pub(crate) use loom::thread::{Builder, JoinHandle, Thread, ThreadId, current, park, spawn, yield_now};
    }

    /// Locks, as on the std side.
    pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
        mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Locks process-wide state, as on the std side.
    pub(crate) fn lock_outside<T>(mutex: &Outside<T>) -> std::sync::MutexGuard<'_, T> {
        mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Waits, as on the std side.
    pub(crate) fn wait<'a, T>(condvar: &Condvar, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
        condvar.wait(guard).unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Waits, as on the std side; in a model no limit is ever reached.
    pub(crate) fn wait_for<'a, T>(
        condvar: &Condvar,
        guard: MutexGuard<'a, T>,
        _limit: std::time::Duration,
    ) -> MutexGuard<'a, T> {
        wait(condvar, guard)
    }

    macro_rules! const_fn {
        ($(#[$meta:meta])* $vis:vis const fn $($rest:tt)*) => { $(#[$meta])* $vis fn $($rest)* };
    }

    macro_rules! array_of {
        ($value:expr; $len:expr) => {
            std::array::from_fn::<_, { $len }, _>(|_| $value)
        };
    }

    macro_rules! local {
        ($(#[$meta:meta])* static $name:ident: $type:ty = $value:expr;) => {
            loom::thread_local! { $(#[$meta])* static $name: $type = $value; }
        };
    }

    pub(crate) use {array_of, const_fn, local};
}

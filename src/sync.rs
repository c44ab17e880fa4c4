//! The one seam between std and loom; nothing else in this crate names either.
//!
//! Two sides offer the same names. The std side is what production code uses (`crate::sync`). The loom side
//! (`loom_side`, feature `harness`, in `explore/src/seam.rs`) takes its place where `crate::loomed` compiles the
//! registry's sources a second time, so that plain `cargo test` explores them. Where the two libraries differ, the std
//! side is narrowed to what loom offers (`UnsafeCell::with`), never the reverse: a model sees every access that
//! production makes.
//!
//! What is not modelled has a name of its own: [`Counter`] and [`Flag`] (statistics and process-wide facts; they order
//! nothing), [`Outside`] and [`OutsideArc`] (process-wide state that outlives an interleaving, such as the registry ids
//! in use, and the harness's own bookkeeping).
#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "the seam is where these types and methods come from; elsewhere they are refused"
)]
#![allow(dead_code, reason = "the seam offers one set of names; not every build needs all of them")]
#![allow(unused_imports, reason = "the seam offers one set of names; not every build needs all of them")]

#[cfg(not(target_has_atomic = "ptr"))]
compile_error!("latecall needs atomics as wide as a pointer: a slot's generation and state change in one step");

pub(crate) mod thread_word;

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
    /// A process-wide fact. Not modelled: the same std atomic on both sides.
    pub(crate) type Flag = std::sync::atomic::AtomicBool;
    /// A lock over process-wide state, or over the harness's own bookkeeping. Not modelled: the same std lock on both
    /// sides.
    pub(crate) type Outside<T> = std::sync::Mutex<T>;
    pub(crate) type OutsideGuard<'a, T> = std::sync::MutexGuard<'a, T>;
    /// A reference count of the harness's own. Not modelled: the same on both sides.
    pub(crate) type OutsideArc<T> = std::sync::Arc<T>;

    /// Locks what is [`Outside`] the model.
    pub(crate) fn outside<T>(lock: &Outside<T>) -> std::sync::MutexGuard<'_, T> {
        lock.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Runs `f`, and catches its panic.
    pub(crate) fn catch<R>(f: impl FnOnce() -> R) -> std::thread::Result<R> {
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(f))
    }

    /// Whether a search has left the interleaving, so that the code that runs now only clears it away. Never, on this
    /// side.
    pub(crate) const fn abandoned() -> bool {
        false
    }

    pub(crate) use super::thread_word;

    /// Whether operations are loom's, which exist only inside a search.
    pub(crate) const MODELLED: bool = false;
    /// Calls on a thread's stack that the thread's own record has room for. Deeper calls borrow a record each.
    pub(crate) const DEPTH: usize = 7;
    /// Records that exist from the start, so that the first threads to call need no memory.
    pub(crate) const FIXED_RECORDS: usize = 64;
    /// Further blocks of records: 64 · 2^24 records in all, more than a process can have threads and nested calls.
    pub(crate) const BLOCKS: usize = 24;
    /// Slots in a registry's first chunk of storage; each further chunk doubles what there is.
    pub(crate) const FIRST_CHUNK: usize = 1024;
    /// Chunks of storage that a registry can have: 1024 · 2^14 slots is as many as an index can name.
    pub(crate) const CHUNKS: usize = 15;

    /// std's threads, by the names that the crate uses.
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

    /// Locks. A poisoned lock is taken like any other, because what it guards is kept consistent across panics.
    pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
        mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Locks, unless that takes longer than `until`.
    pub(crate) fn lock_within<T>(mutex: &Mutex<T>, until: std::time::Instant) -> Option<MutexGuard<'_, T>> {
        use std::sync::TryLockError;
        loop {
            match mutex.try_lock() {
                Ok(guard) => return Some(guard),
                Err(TryLockError::Poisoned(poisoned)) => return Some(poisoned.into_inner()),
                Err(TryLockError::WouldBlock) if std::time::Instant::now() < until => std::thread::yield_now(),
                Err(TryLockError::WouldBlock) => return None,
            }
        }
    }

    /// Locks what is [`Outside`] the model, unless that takes longer than `until`.
    pub(crate) use lock_within as outside_within;

    /// Waits on `condvar`. Poisoning is ignored, for the reason given at [`lock`].
    pub(crate) fn wait<'a, T>(condvar: &Condvar, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
        condvar.wait(guard).unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Waits on `condvar`, for at most `limit`.
    pub(crate) fn wait_for<'a, T>(
        condvar: &Condvar,
        guard: MutexGuard<'a, T>,
        limit: std::time::Duration,
    ) -> MutexGuard<'a, T> {
        condvar.wait_timeout(guard, limit).unwrap_or_else(std::sync::PoisonError::into_inner).0
    }

    /// A function that is `const` on this side and not on loom's, because loom's types have no const constructors.
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

    /// Loads what only the calling thread stores. An atomic load would be as correct, but the compiler can make this
    /// one part of the instruction that uses the value.
    ///
    /// # Safety
    ///
    /// 1. No other thread stores to `atomic` meanwhile.
    #[inline(always)]
    pub(crate) unsafe fn own_load(atomic: &AtomicUsize) -> usize {
        // SAFETY: the pointer is valid, because it comes from a reference. A read that is not atomic races only with
        // stores by other threads, and the caller guarantees that there are none (clause 1 above).
        unsafe { *atomic.as_ptr() }
    }

    /// Process-wide state.
    macro_rules! global {
        ($(#[$meta:meta])* static $name:ident: $type:ty = $value:expr;) => {
            $(#[$meta])* static $name: $type = $value;
        };
    }

    pub(crate) use {array_of, const_fn, global, local};
}

#[cfg(feature = "harness")]
pub(crate) use latecall_explore::seam as loom_side;
#[cfg(feature = "harness")]
pub(crate) use latecall_explore::seam::per_thread;

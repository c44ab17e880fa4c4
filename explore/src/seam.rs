//! The loom side of latecall's seam between std and loom: the names that the registry's sources use, over the explorer's types.
//!
//! Not public API: the registry, the interpreter and the bundled subjects are compiled a second time over this module, so
//! that searches explore them. Pairs with `src/sync.rs` of the package `latecall`, whose std side has the same names.
#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "the seam is where these types and methods come from; elsewhere they are refused"
)]

pub use crate::loom_types::{
    AtomicBool, AtomicPtr, AtomicU8, AtomicU16, AtomicU32, AtomicU64, AtomicUsize, Condvar, Mutex, MutexGuard,
    Ordering, UnsafeCell, fence, full_fence_beside, thread,
};
pub use crate::world::live;
pub use crate::{
    __array_of as array_of, __const_fn as const_fn, __global as global, __local as local, __per_thread as per_thread,
};
pub use loom;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

/// Loom's reference count.
pub type Arc<T> = loom::sync::Arc<T>;
/// A statistic: counts, orders nothing, and is not modelled.
pub type Counter = std::sync::atomic::AtomicU64;
/// A process-wide fact. Not modelled: the same std atomic on both sides.
pub type Flag = std::sync::atomic::AtomicBool;
/// A lock over process-wide state, or over a harness's own bookkeeping. Not modelled. It is never held across a modelled
/// operation.
pub type Outside<T> = std::sync::Mutex<T>;
/// The guard of [`Outside`].
pub type OutsideGuard<'a, T> = std::sync::MutexGuard<'a, T>;
/// A reference count of the harness's own. Not modelled.
pub type OutsideArc<T> = std::sync::Arc<T>;

/// Whether operations are loom's, which exist only inside a search.
pub const MODELLED: bool = true;
/// Slots in a registry's first chunk of storage. Few: a search creates them anew in each interleaving.
pub const FIRST_CHUNK: usize = 2;
/// Calls on a thread's stack that the thread's own record has room for. Few, so that a search reaches the case beyond.
pub const DEPTH: usize = 2;
/// Records that exist from the start.
pub const FIXED_RECORDS: usize = 1;
/// Further blocks of records: 1 · 2^4 = 16 records in all.
pub const BLOCKS: usize = 4;
/// Chunks of storage that a registry can have: 2 · 2^2 = 8 slots in all.
pub const CHUNKS: usize = 3;

/// Locks what is [`Outside`] the model.
pub fn outside<T>(lock: &Outside<T>) -> OutsideGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Locks what is [`Outside`] the model, unless that takes longer than `until`.
pub fn outside_within<T>(lock: &Outside<T>, until: Instant) -> Option<OutsideGuard<'_, T>> {
    use std::sync::TryLockError;
    loop {
        match lock.try_lock() {
            Ok(guard) => return Some(guard),
            Err(TryLockError::Poisoned(poisoned)) => return Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) if Instant::now() < until => std::thread::yield_now(),
            Err(TryLockError::WouldBlock) => return None,
        }
    }
}

/// Runs `f` and catches a panic of its own. A panic by which the search leaves the interleaving goes on.
pub fn catch<R>(f: impl FnOnce() -> R) -> std::thread::Result<R> {
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(f));
    match result {
        Err(panic) if abandoned() => std::panic::resume_unwind(panic),
        result => result,
    }
}

/// Whether the search has left the interleaving, so that the code that runs now only clears it away.
pub fn abandoned() -> bool {
    !live()
}

/// Locks, and ignores poisoning, as on the std side.
#[track_caller]
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Locks. Neither time nor `fork`, which needs this function, is modelled.
#[track_caller]
pub fn lock_within<T>(mutex: &Mutex<T>, _until: Instant) -> Option<MutexGuard<'_, T>> {
    Some(lock(mutex))
}

/// Waits, and ignores poisoning, as on the std side.
#[track_caller]
pub fn wait<'a, T>(condvar: &Condvar, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
    condvar.wait(guard).unwrap_or_else(PoisonError::into_inner)
}

/// Waits. In a search no time limit is ever reached.
#[track_caller]
pub fn wait_for<'a, T>(condvar: &Condvar, guard: MutexGuard<'a, T>, _limit: Duration) -> MutexGuard<'a, T> {
    wait(condvar, guard)
}

/// Loads what only the calling thread stores.
///
/// # Safety
///
/// 1. No other thread stores to `atomic` meanwhile. (Here the load is atomic: loom would see any other as a race with
///    threads that only read.)
pub unsafe fn own_load(atomic: &AtomicUsize) -> usize {
    atomic.load(Ordering::Relaxed)
}

/// The word of a modelled thread. It begins as null, because loom has no statics to point to.
pub mod thread_word {
    use std::cell::Cell;

    crate::__local! {
        static WORD: Cell<*const ()> = Cell::new(std::ptr::null());
    }

    /// What the word is at first.
    pub const NOWHERE: *const () = std::ptr::null();

    /// The calling thread's word.
    pub fn get() -> *const () {
        WORD.with(Cell::get)
    }

    /// Sets the calling thread's word.
    pub fn set(word: *const ()) {
        WORD.with(|place| place.set(word));
    }
}

/// A function that is `const` on the std side and not here, because loom's types have no const constructors.
#[doc(hidden)]
#[macro_export]
macro_rules! __const_fn {
    ($(#[$meta:meta])* $vis:vis const fn $($rest:tt)*) => { $(#[$meta])* $vis fn $($rest)* };
}

/// An array of `$len` values made by the expression `$value`.
#[doc(hidden)]
#[macro_export]
macro_rules! __array_of {
    ($value:expr; $len:expr) => {
        std::array::from_fn::<_, { $len }, _>(|_| $value)
    };
}

/// A thread-local of a modelled thread.
#[doc(hidden)]
#[macro_export]
macro_rules! __local {
    ($(#[$meta:meta])* static $name:ident: $type:ty = $value:expr;) => {
        $crate::seam::loom::thread_local! { $(#[$meta])* static $name: $type = $value; }
    };
}

/// A static of one interleaving.
#[doc(hidden)]
#[macro_export]
macro_rules! __global {
    ($(#[$meta:meta])* static $name:ident: $type:ty = $value:expr;) => {
        $crate::seam::loom::lazy_static! {
            $(#[$meta])* static ref $name: $type = $crate::seam::named(stringify!($name), || $value);
        }
    };
}

/// Runs `make`, and identifies the locks and atomics that it creates by `name` in place of the order of creation. For
/// values that are made by whoever needs them first: the search finds the same objects in every interleaving.
pub fn named<T>(name: &str, make: impl FnOnce() -> T) -> T {
    crate::trace::named(crate::trace::number_of(name), make)
}

/// A cell for each thread, with a constant initial value and no destructor. For code that is compiled once and works for
/// real threads as well as for those of a search, all of which run on one thread of the machine.
#[doc(hidden)]
#[macro_export]
macro_rules! __per_thread {
    ($(#[$meta:meta])* static $name:ident: $type:ty = $value:expr;) => {
        $(#[$meta])*
        #[allow(clippy::upper_case_acronyms, reason = "it stands for a static, and is named like one")]
        struct $name;

        impl $name {
            fn with<R>(f: impl FnOnce(&std::cell::Cell<$type>) -> R) -> R {
                std::thread_local! {
                    static REAL: std::cell::Cell<$type> = const { std::cell::Cell::new($value) };
                }
                $crate::seam::loom::thread_local! {
                    static MODELLED: std::cell::Cell<$type> = std::cell::Cell::new($value);
                }
                if $crate::seam::live() { MODELLED.with(f) } else { REAL.with(f) }
            }

            fn get() -> $type {
                Self::with(std::cell::Cell::get)
            }

            fn set(value: $type) {
                Self::with(|cell| cell.set(value));
            }
        }
    };
}

//! Loom's types as the loom side of the seam offers them: each operation is loom's, told to the search that it belongs to.
//!
//! Two things are added. The operation goes into the timeline, with the place in Rust code it was called from. And a panic
//! by which loom ends an interleaving (a deadlock, a race) ends it *here*: nothing is unwound, since destructors that use
//! loom's objects would panic again. Outside a search (a plain loom model) these are loom's types and nothing else.

use crate::ledger::quarantine::Scope;
use crate::model::{guarded, rust_op};
use loom::sync as loomed;
use std::panic::Location;
use std::sync::LockResult;

pub(crate) use std::sync::atomic::Ordering;

/// An operation that runs no code of the caller's: what loom frees in it is no business of the run's.
fn op<R>(f: impl FnOnce() -> R) -> R {
    Scope::suspended(|| guarded(f))
}

/// `loom::sync::Mutex`.
#[derive(Debug, Default)]
pub(crate) struct Mutex<T>(loomed::Mutex<T>);
pub(crate) type MutexGuard<'a, T> = loomed::MutexGuard<'a, T>;

impl<T> Mutex<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(loomed::Mutex::new(value))
    }

    #[track_caller]
    pub(crate) fn lock(&self) -> LockResult<MutexGuard<'_, T>> {
        rust_op("locks", Location::caller());
        op(|| self.0.lock())
    }

    #[track_caller]
    pub(crate) fn try_lock(&self) -> std::sync::TryLockResult<MutexGuard<'_, T>> {
        rust_op("tries to lock", Location::caller());
        op(|| self.0.try_lock())
    }

    pub(crate) fn get_mut(&mut self) -> LockResult<&mut T> {
        self.0.get_mut()
    }

    pub(crate) fn into_inner(self) -> LockResult<T> {
        self.0.into_inner()
    }
}

/// `loom::sync::Condvar`.
#[derive(Debug)]
pub(crate) struct Condvar(loomed::Condvar);

impl Condvar {
    pub(crate) fn new() -> Self {
        Self(loomed::Condvar::new())
    }

    #[track_caller]
    pub(crate) fn wait<'a, T>(&self, guard: MutexGuard<'a, T>) -> LockResult<MutexGuard<'a, T>> {
        rust_op("waits", Location::caller());
        op(|| self.0.wait(guard))
    }

    #[track_caller]
    pub(crate) fn notify_one(&self) {
        rust_op("notifies one", Location::caller());
        op(|| self.0.notify_one());
    }

    #[track_caller]
    pub(crate) fn notify_all(&self) {
        rust_op("notifies all", Location::caller());
        op(|| self.0.notify_all());
    }
}

/// `loom::sync::Notify`.
#[derive(Debug)]
pub(crate) struct Notify(loomed::Notify);

impl Notify {
    pub(crate) fn new() -> Self {
        Self(loomed::Notify::new())
    }

    pub(crate) fn notify(&self) {
        op(|| self.0.notify());
    }

    pub(crate) fn wait(&self) {
        op(|| self.0.wait());
    }
}

/// `loom::cell::UnsafeCell`.
#[derive(Debug)]
pub(crate) struct UnsafeCell<T>(loom::cell::UnsafeCell<T>);

impl<T> UnsafeCell<T> {
    #[track_caller]
    pub(crate) fn new(value: T) -> Self {
        Self(loom::cell::UnsafeCell::new(value))
    }

    #[track_caller]
    pub(crate) fn with<R>(&self, access: impl FnOnce(*const T) -> R) -> R {
        guarded(|| self.0.with(access))
    }

    #[track_caller]
    pub(crate) fn with_mut<R>(&self, access: impl FnOnce(*mut T) -> R) -> R {
        guarded(|| self.0.with_mut(access))
    }

    pub(crate) fn into_inner(self) -> T {
        self.0.into_inner()
    }
}

#[track_caller]
pub(crate) fn fence(order: Ordering) {
    rust_op("fence", Location::caller());
    op(|| loomed::atomic::fence(order));
}

macro_rules! atomic {
    ($($name:ident $(<$t:ident>)?: $value:ty;)*) => { $(
        #[derive(Debug)]
        pub(crate) struct $name $(<$t>)? (loomed::atomic::$name $(<$t>)?);

        impl $(<$t>)? $name $(<$t>)? {
            #[track_caller]
            pub(crate) fn new(value: $value) -> Self {
                Self(loomed::atomic::$name::new(value))
            }

            #[track_caller]
            pub(crate) fn load(&self, order: Ordering) -> $value {
                rust_op("loads", Location::caller());
                op(|| self.0.load(order))
            }

            #[track_caller]
            pub(crate) fn store(&self, value: $value, order: Ordering) {
                rust_op("stores", Location::caller());
                op(|| self.0.store(value, order));
            }

            #[track_caller]
            pub(crate) fn swap(&self, value: $value, order: Ordering) -> $value {
                rust_op("swaps", Location::caller());
                op(|| self.0.swap(value, order))
            }

            #[track_caller]
            pub(crate) fn compare_exchange(
                &self,
                current: $value,
                new: $value,
                success: Ordering,
                failure: Ordering,
            ) -> Result<$value, $value> {
                rust_op("compares and exchanges", Location::caller());
                op(|| self.0.compare_exchange(current, new, success, failure))
            }

            #[track_caller]
            pub(crate) fn compare_exchange_weak(
                &self,
                current: $value,
                new: $value,
                success: Ordering,
                failure: Ordering,
            ) -> Result<$value, $value> {
                rust_op("compares and exchanges", Location::caller());
                op(|| self.0.compare_exchange_weak(current, new, success, failure))
            }
        }
    )* };
}

atomic! {
    AtomicBool: bool;
    AtomicU8: u8;
    AtomicU16: u16;
    AtomicU32: u32;
    AtomicU64: u64;
    AtomicUsize: usize;
    AtomicPtr<T>: *mut T;
}

macro_rules! arithmetic {
    ($($name:ident: $value:ty, $($op:ident $verb:literal),+;)*) => { $(
        impl $name {
            $(
                #[track_caller]
                pub(crate) fn $op(&self, value: $value, order: Ordering) -> $value {
                    rust_op($verb, Location::caller());
                    op(|| self.0.$op(value, order))
                }
            )+
        }
    )* };
}

arithmetic! {
    AtomicBool: bool, fetch_and "ands", fetch_or "ors", fetch_xor "xors";
    AtomicU8: u8, fetch_add "adds", fetch_sub "subtracts", fetch_and "ands", fetch_or "ors", fetch_xor "xors";
    AtomicU16: u16, fetch_add "adds", fetch_sub "subtracts", fetch_and "ands", fetch_or "ors", fetch_xor "xors";
    AtomicU32: u32, fetch_add "adds", fetch_sub "subtracts", fetch_and "ands", fetch_or "ors", fetch_xor "xors";
    AtomicU64: u64, fetch_add "adds", fetch_sub "subtracts", fetch_and "ands", fetch_or "ors", fetch_xor "xors";
    AtomicUsize: usize, fetch_add "adds", fetch_sub "subtracts", fetch_and "ands", fetch_or "ors", fetch_xor "xors";
}

/// Threads: loom's.
pub(crate) mod thread {
    pub(crate) use loom::thread::{Builder, Thread, ThreadId, current};

    #[derive(Debug)]
    pub(crate) struct JoinHandle<T>(loom::thread::JoinHandle<T>);

    #[track_caller]
    pub(crate) fn spawn<F, T>(f: F) -> JoinHandle<T>
    where
        F: FnOnce() -> T + 'static,
        T: 'static,
    {
        JoinHandle(super::op(|| loom::thread::spawn(f)))
    }

    #[track_caller]
    pub(crate) fn park() {
        super::guarded(loom::thread::park);
    }

    #[track_caller]
    pub(crate) fn yield_now() {
        super::op(loom::thread::yield_now);
    }

    impl<T> JoinHandle<T> {
        #[track_caller]
        pub(crate) fn join(self) -> std::thread::Result<T> {
            super::op(|| self.0.join())
        }

        pub(crate) fn thread(&self) -> &Thread {
            self.0.thread()
        }
    }
}

impl Default for Condvar {
    fn default() -> Self {
        Self::new()
    }
}

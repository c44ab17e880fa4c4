//! Loom's types as the loom side of the seam offers them: each operation is loom's, told to the search that it belongs to.
//!
//! Three things are added. The operation goes into the timeline, with the place in Rust code it was called from. It goes into
//! the trace, by which the search knows an interleaving that repeats another (`model::trace`). And a panic by which loom ends
//! an interleaving (a deadlock, a race) ends it *here*: nothing is unwound, since destructors that use loom's objects would
//! panic again. Outside a search (a plain loom model) these are loom's types and nothing else.
//!
//! Here are locks, condition variables and cells; `atomics` has atomics and fences, `thread` threads.

use crate::quarantine::RunBlocks;
use crate::trace::{self, Effect, Name};
use crate::{guarded, rust_op, std_types};
use loom::sync as loomed;
use std::collections::VecDeque;
use std::ops::{Deref, DerefMut};
use std::panic::Location;
use std::sync::{LockResult, PoisonError, TryLockError, TryLockResult};

mod atomics;
mod places;
pub mod thread;

pub(crate) use atomics::Fences;
pub use atomics::{
    AtomicBool, AtomicPtr, AtomicU8, AtomicU16, AtomicU32, AtomicU64, AtomicUsize, fence, full_fence_beside,
};
pub(crate) use places::{BacktrackHelper, Touched, ends, touch_at_once};
pub use std::sync::atomic::Ordering;

/// An operation that runs no code of the caller's: what loom frees in it is no business of the run's.
fn op<R>(f: impl FnOnce() -> R) -> R {
    RunBlocks::suspended(|| guarded(f))
}

/// A choice for loom, of which thread goes on, that nothing depends on.
pub(crate) fn choice_of_no_consequence() {
    // Relaxed: nobody else has it.
    op(|| loomed::atomic::AtomicBool::new(false).store(true, Ordering::Relaxed));
}

pub(crate) use loom::skip_branch;

/// `loom::sync::Mutex`.
#[derive(Debug)]
pub struct Mutex<T> {
    loom: loomed::Mutex<T>,
    name: Name,
    held: std_types::AtomicBool,
    /// Who has found it held, where who takes a step says so before.
    parked: std_types::Mutex<Vec<loom::thread::Thread>>,
}

/// `loom::sync::MutexGuard`, and whose it is.
#[derive(Debug)]
pub struct MutexGuard<'a, T> {
    loom: loomed::MutexGuard<'a, T>,
    of: &'a Mutex<T>,
}

impl<T> Mutex<T> {
    pub fn new(value: T) -> Self {
        Self {
            loom: loomed::Mutex::new(value),
            name: trace::object(),
            held: false.into(),
            parked: std_types::Mutex::default(),
        }
    }

    #[track_caller]
    pub fn lock(&self) -> LockResult<MutexGuard<'_, T>> {
        rust_op("locks", Location::caller());
        self.take()
    }

    fn take(&self) -> LockResult<MutexGuard<'_, T>> {
        // Relaxed: all threads of a model run on one thread of the machine.
        let locked = loop {
            let lock = || self.loom.lock();
            while trace::comes() && self.held.load(Ordering::Relaxed) {
                self.parked().push(loom::thread::current());
                guarded(loom::thread::park);
            }
            let Some(step) = places::Step::new() else { break op(lock) };
            if !self.held.load(Ordering::Relaxed) {
                break step.takes(lock);
            }
        };
        self.held.store(true, Ordering::Relaxed); // as above
        trace::did(self.name, Effect::Exclusive);
        let guard = |loom| MutexGuard { loom, of: self };
        locked.map(guard).map_err(|poisoned| PoisonError::new(guard(poisoned.into_inner())))
    }

    #[track_caller]
    pub fn try_lock(&self) -> TryLockResult<MutexGuard<'_, T>> {
        rust_op("tries to lock", Location::caller());
        let locked = places::step(|| self.loom.try_lock());
        if locked.is_ok() {
            self.held.store(true, Ordering::Relaxed); // as in `take`
        }
        trace::did(self.name, Effect::Exclusive);
        trace::went_on(u64::from(locked.is_ok()));
        let guard = |loom| MutexGuard { loom, of: self };
        locked.map(guard).map_err(|refused| match refused {
            TryLockError::WouldBlock => TryLockError::WouldBlock,
            TryLockError::Poisoned(poisoned) => TryLockError::Poisoned(PoisonError::new(guard(poisoned.into_inner()))),
        })
    }

    fn parked(&self) -> std_types::MutexGuard<'_, Vec<loom::thread::Thread>> {
        self.parked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn get_mut(&mut self) -> LockResult<&mut T> {
        self.loom.get_mut()
    }

    pub fn into_inner(self) -> LockResult<T> {
        self.loom.into_inner()
    }
}

impl<T: Default> Default for Mutex<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T> Drop for MutexGuard<'_, T> {
    fn drop(&mut self) {
        self.of.held.store(false, Ordering::Relaxed); // as in `take`
        let parked = std::mem::take(&mut *self.of.parked());
        parked.iter().for_each(loom::thread::Thread::unpark);
    }
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.loom
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.loom
    }
}

/// A condition variable: loom's threads park. (Loom's own would let a wait begin and end without a word between.)
#[derive(Debug)]
pub struct Condvar {
    /// Each operation is one on this, which nobody waits on.
    branch: loomed::Condvar,
    name: Name,
    waiters: std_types::Mutex<VecDeque<Waiter>>,
}

#[derive(Debug)]
struct Waiter {
    thread: loom::thread::Thread,
    woken: std_types::Arc<std_types::AtomicBool>,
}

impl Condvar {
    pub fn new() -> Self {
        Self { branch: loomed::Condvar::new(), name: trace::object(), waiters: std_types::Mutex::default() }
    }

    #[track_caller]
    pub fn wait<'a, T>(&self, guard: MutexGuard<'a, T>) -> LockResult<MutexGuard<'a, T>> {
        rust_op("waits", Location::caller());
        self.act();
        let mutex = guard.of;
        let woken = std_types::Arc::default();
        let waiter = Waiter { thread: loom::thread::current(), woken: std_types::Arc::clone(&woken) };
        self.waiters().push_back(waiter);
        // From here to where it parks no other thread runs.
        drop(guard);
        // Relaxed: all threads of a model run on one thread of the machine.
        while !woken.load(Ordering::Relaxed) {
            guarded(loom::thread::park);
        }
        mutex.take()
    }

    #[track_caller]
    pub fn notify_one(&self) {
        rust_op("notifies one", Location::caller());
        self.act();
        self.wake(1);
    }

    #[track_caller]
    pub fn notify_all(&self) {
        rust_op("notifies all", Location::caller());
        self.act();
        self.wake(usize::MAX);
    }

    fn act(&self) {
        places::step(|| self.branch.notify_all());
        trace::did(self.name, Effect::Exclusive);
    }

    fn waiters(&self) -> std_types::MutexGuard<'_, VecDeque<Waiter>> {
        self.waiters.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wake(&self, most: usize) {
        let mut waiters = self.waiters();
        let count = most.min(waiters.len());
        let woken: Vec<Waiter> = waiters.drain(..count).collect();
        drop(waiters);
        for waiter in woken {
            waiter.woken.store(true, Ordering::Relaxed); // as in `wait`
            waiter.thread.unpark();
        }
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
pub struct UnsafeCell<T>(loom::cell::UnsafeCell<T>);

impl<T> UnsafeCell<T> {
    #[track_caller]
    pub fn new(value: T) -> Self {
        Self(loom::cell::UnsafeCell::new(value))
    }

    #[track_caller]
    pub fn with<R>(&self, access: impl FnOnce(*const T) -> R) -> R {
        guarded(|| self.0.with(access))
    }

    /// Begins to read, and never ends.
    #[track_caller]
    pub(crate) fn begin_to_read(&self) {
        std::mem::forget(self.0.get());
    }

    #[track_caller]
    pub fn with_mut<R>(&self, access: impl FnOnce(*mut T) -> R) -> R {
        guarded(|| self.0.with_mut(access))
    }

    pub fn into_inner(self) -> T {
        self.0.into_inner()
    }
}

impl Default for Condvar {
    fn default() -> Self {
        Self::new()
    }
}

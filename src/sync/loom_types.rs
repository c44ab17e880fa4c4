//! Loom's types as the loom side of the seam offers them: each operation is loom's, told to the search that it belongs to.
//!
//! Three things are added. The operation goes into the timeline, with the place in Rust code it was called from. It goes into
//! the trace, by which the search knows an interleaving that repeats another (`model::trace`). And a panic by which loom ends
//! an interleaving (a deadlock, a race) ends it *here*: nothing is unwound, since destructors that use loom's objects would
//! panic again. Outside a search (a plain loom model) these are loom's types and nothing else.

use crate::ledger::quarantine::Scope;
use crate::model::trace::{self, Deed, Name};
use crate::model::{guarded, rust_op};
use loom::sync as loomed;
use std::collections::VecDeque;
use std::ops::{Deref, DerefMut};
use std::panic::Location;
use std::sync::{LockResult, PoisonError, TryLockError, TryLockResult};

pub(crate) use std::sync::atomic::Ordering;

/// An operation that runs no code of the caller's: what loom frees in it is no business of the run's.
fn op<R>(f: impl FnOnce() -> R) -> R {
    Scope::suspended(|| guarded(f))
}

/// A choice for loom, of which thread goes on, that nothing depends on.
pub(crate) fn choice_of_no_consequence() {
    // Relaxed: nobody else has it.
    op(|| loomed::atomic::AtomicBool::new(false).store(true, Ordering::Relaxed));
}

pub(crate) use loom::skip_branch;

/// `loom::sync::Mutex`.
#[derive(Debug)]
pub(crate) struct Mutex<T> {
    loom: loomed::Mutex<T>,
    name: Name,
}

/// `loom::sync::MutexGuard`, and whose it is.
#[derive(Debug)]
pub(crate) struct MutexGuard<'a, T> {
    loom: loomed::MutexGuard<'a, T>,
    of: &'a Mutex<T>,
}

impl<T> Mutex<T> {
    pub(crate) fn new(value: T) -> Self {
        Self { loom: loomed::Mutex::new(value), name: trace::object() }
    }

    #[track_caller]
    pub(crate) fn lock(&self) -> LockResult<MutexGuard<'_, T>> {
        rust_op("locks", Location::caller());
        self.take()
    }

    fn take(&self) -> LockResult<MutexGuard<'_, T>> {
        let locked = op(|| self.loom.lock());
        trace::did(self.name, Deed::Exclusive);
        let guard = |loom| MutexGuard { loom, of: self };
        locked.map(guard).map_err(|poisoned| PoisonError::new(guard(poisoned.into_inner())))
    }

    #[track_caller]
    pub(crate) fn try_lock(&self) -> TryLockResult<MutexGuard<'_, T>> {
        rust_op("tries to lock", Location::caller());
        let locked = op(|| self.loom.try_lock());
        trace::did(self.name, Deed::Exclusive);
        trace::went_on(u64::from(locked.is_ok()));
        let guard = |loom| MutexGuard { loom, of: self };
        locked.map(guard).map_err(|refused| match refused {
            TryLockError::WouldBlock => TryLockError::WouldBlock,
            TryLockError::Poisoned(poisoned) => TryLockError::Poisoned(PoisonError::new(guard(poisoned.into_inner()))),
        })
    }

    pub(crate) fn get_mut(&mut self) -> LockResult<&mut T> {
        self.loom.get_mut()
    }

    pub(crate) fn into_inner(self) -> LockResult<T> {
        self.loom.into_inner()
    }
}

impl<T: Default> Default for Mutex<T> {
    fn default() -> Self {
        Self::new(T::default())
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
pub(crate) struct Condvar {
    /// Each operation is one on this, which nobody waits on.
    branch: loomed::Condvar,
    name: Name,
    waiters: std::sync::Mutex<VecDeque<Waiter>>,
}

#[derive(Debug)]
struct Waiter {
    thread: loom::thread::Thread,
    woken: std::sync::Arc<std::sync::atomic::AtomicBool>,
}

impl Condvar {
    pub(crate) fn new() -> Self {
        Self { branch: loomed::Condvar::new(), name: trace::object(), waiters: std::sync::Mutex::default() }
    }

    #[track_caller]
    pub(crate) fn wait<'a, T>(&self, guard: MutexGuard<'a, T>) -> LockResult<MutexGuard<'a, T>> {
        rust_op("waits", Location::caller());
        self.act();
        let mutex = guard.of;
        let woken = std::sync::Arc::default();
        let waiter = Waiter { thread: loom::thread::current(), woken: std::sync::Arc::clone(&woken) };
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
    pub(crate) fn notify_one(&self) {
        rust_op("notifies one", Location::caller());
        self.act();
        self.wake(1);
    }

    #[track_caller]
    pub(crate) fn notify_all(&self) {
        rust_op("notifies all", Location::caller());
        self.act();
        self.wake(usize::MAX);
    }

    fn act(&self) {
        op(|| self.branch.notify_all());
        trace::did(self.name, Deed::Exclusive);
    }

    fn waiters(&self) -> std::sync::MutexGuard<'_, VecDeque<Waiter>> {
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
    trace::did(FENCES, Deed::Exclusive);
}

/// All fences are operations on one object.
const FENCES: Name = Name::MAX;

/// An atomic of loom's that holds the numbers of the stores to it, so that it is known which of them a load has found.
#[derive(Debug)]
struct Numbered<V> {
    loom: loomed::atomic::AtomicUsize,
    /// What each store stores, as far as that is known before it happens; the first is what it was made with.
    values: Values<V>,
    name: std::sync::atomic::AtomicU64,
}

#[derive(Debug)]
struct Values<V>(std::cell::RefCell<Vec<Option<V>>>);

// SAFETY: all threads of a model run on one thread of the machine, and no borrow lasts longer than one of the functions below.
unsafe impl<V> Send for Values<V> {}
// SAFETY: as above.
unsafe impl<V> Sync for Values<V> {}

impl<V: Copy + PartialEq> Numbered<V> {
    #[track_caller]
    fn new(value: V) -> Self {
        let values = Values(std::cell::RefCell::new(vec![Some(value)]));
        Self { loom: loomed::atomic::AtomicUsize::new(0), values, name: trace::object().into() }
    }

    fn name(&self) -> Name {
        // Relaxed: all threads of a model run on one thread of the machine.
        self.name.load(Ordering::Relaxed)
    }

    fn value(&self, number: usize) -> V {
        self.values.0.borrow()[number].expect("a store that has been found has happened")
    }

    /// The number of a store to come.
    fn put(&self, value: Option<V>) -> usize {
        let mut values = self.values.0.borrow_mut();
        values.push(value);
        values.len() - 1
    }

    #[track_caller]
    fn load(&self, order: Ordering) -> V {
        let found = op(|| self.loom.load(order));
        trace::did(self.name(), Deed::Loads(found));
        self.value(found)
    }

    #[track_caller]
    fn store(&self, value: V, order: Ordering) {
        let number = self.put(Some(value));
        op(|| self.loom.store(number, order));
        trace::did(self.name(), Deed::Stores(number));
    }

    #[track_caller]
    fn change(&self, order: Ordering, new: impl FnOnce(V) -> V) -> V {
        // What it is going to hold depends on what comes before it: nobody may take it for a store of any value until then.
        let number = self.put(None);
        let found = op(|| self.loom.swap(number, order));
        let old = self.value(found);
        self.values.0.borrow_mut()[number] = Some(new(old));
        trace::did(self.name(), Deed::Changes(found, number));
        old
    }

    #[track_caller]
    fn exchange(&self, current: V, new: V, success: Ordering, failure: Ordering) -> Result<V, V> {
        let number = self.put(Some(new));
        let mut guess = self.values.0.borrow()[..number].iter().rposition(|value| *value == Some(current));
        loop {
            // There is no store of this number: it finds out what is there.
            let expected = guess.unwrap_or(usize::MAX);
            match op(|| self.loom.compare_exchange(expected, number, success, failure)) {
                Ok(found) => {
                    trace::did(self.name(), Deed::Changes(found, number));
                    return Ok(current);
                }
                Err(found) => {
                    trace::did(self.name(), Deed::Fails(found));
                    if self.value(found) != current {
                        return Err(self.value(found));
                    }
                    // The same value, by another store: once more, for that one.
                    guess = Some(found);
                }
            }
        }
    }
}

/// Loom's own where there is no trace.
#[derive(Debug)]
enum Kept<A, V> {
    Plain(A),
    Numbered(Numbered<V>),
}

macro_rules! atomic {
    ($($name:ident $(<$t:ident>)?: $value:ty;)*) => { $(
        #[derive(Debug)]
        pub(crate) struct $name $(<$t>)? (Kept<loomed::atomic::$name $(<$t>)?, $value>);

        impl $(<$t>)? $name $(<$t>)? {
            #[track_caller]
            pub(crate) fn new(value: $value) -> Self {
                Self(if trace::is_kept() {
                    Kept::Numbered(Numbered::new(value))
                } else {
                    Kept::Plain(loomed::atomic::$name::new(value))
                })
            }

            /// It is known by another name from now on.
            pub(crate) fn rename(&self, name: Name) {
                if let Kept::Numbered(it) = &self.0 {
                    it.name.store(name, Ordering::Relaxed); // as in `name`
                }
            }

            #[track_caller]
            pub(crate) fn load(&self, order: Ordering) -> $value {
                rust_op("loads", Location::caller());
                match &self.0 {
                    Kept::Plain(it) => op(|| it.load(order)),
                    Kept::Numbered(it) => it.load(order),
                }
            }

            #[track_caller]
            pub(crate) fn store(&self, value: $value, order: Ordering) {
                rust_op("stores", Location::caller());
                match &self.0 {
                    Kept::Plain(it) => op(|| it.store(value, order)),
                    Kept::Numbered(it) => it.store(value, order),
                }
            }

            #[track_caller]
            pub(crate) fn swap(&self, value: $value, order: Ordering) -> $value {
                rust_op("swaps", Location::caller());
                match &self.0 {
                    Kept::Plain(it) => op(|| it.swap(value, order)),
                    Kept::Numbered(it) => it.change(order, |_| value),
                }
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
                match &self.0 {
                    Kept::Plain(it) => op(|| it.compare_exchange(current, new, success, failure)),
                    Kept::Numbered(it) => it.exchange(current, new, success, failure),
                }
            }

            /// Loom's does not fail for no reason either.
            #[track_caller]
            pub(crate) fn compare_exchange_weak(
                &self,
                current: $value,
                new: $value,
                success: Ordering,
                failure: Ordering,
            ) -> Result<$value, $value> {
                self.compare_exchange(current, new, success, failure)
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
    ($($name:ident: $value:ty, $($op:ident $verb:literal $new:expr),+;)*) => { $(
        impl $name {
            $(
                #[track_caller]
                pub(crate) fn $op(&self, value: $value, order: Ordering) -> $value {
                    const NEW: fn($value, $value) -> $value = $new;
                    rust_op($verb, Location::caller());
                    match &self.0 {
                        Kept::Plain(it) => op(|| it.$op(value, order)),
                        Kept::Numbered(it) => it.change(order, |found| NEW(found, value)),
                    }
                }
            )+
        }
    )* };
}

macro_rules! numbers {
    ($($name:ident: $value:ty;)*) => { arithmetic! { $(
        $name: $value,
            fetch_add "adds" |found, value| found.wrapping_add(value),
            fetch_sub "subtracts" |found, value| found.wrapping_sub(value),
            fetch_and "ands" |found, value| found & value,
            fetch_or "ors" |found, value| found | value,
            fetch_xor "xors" |found, value| found ^ value;
    )* } };
}

arithmetic! {
    AtomicBool: bool,
        fetch_and "ands" |found, value| found & value,
        fetch_or "ors" |found, value| found | value,
        fetch_xor "xors" |found, value| found ^ value;
}

numbers! {
    AtomicU8: u8;
    AtomicU16: u16;
    AtomicU32: u32;
    AtomicU64: u64;
    AtomicUsize: usize;
}

/// Threads: loom's.
pub(crate) mod thread {
    use super::trace;
    use crate::model::thread_number;
    pub(crate) use loom::thread::{Builder, Thread, ThreadId, current};

    #[derive(Debug)]
    pub(crate) struct JoinHandle<T>(loom::thread::JoinHandle<T>);

    #[track_caller]
    pub(crate) fn spawn<F, T>(f: F) -> JoinHandle<T>
    where
        F: FnOnce() -> T + 'static,
        T: 'static,
    {
        let handle = super::op(|| {
            loom::thread::spawn(move || {
                trace::went_on(0);
                f()
            })
        });
        if trace::is_kept() {
            trace::spawned(thread_number(handle.thread().id()));
        }
        JoinHandle(handle)
    }

    #[track_caller]
    pub(crate) fn park() {
        super::guarded(loom::thread::park);
        trace::went_on(1);
    }

    #[track_caller]
    pub(crate) fn yield_now() {
        super::op(loom::thread::yield_now);
        trace::yielded();
    }

    impl<T> JoinHandle<T> {
        #[track_caller]
        pub(crate) fn join(self) -> std::thread::Result<T> {
            let child = trace::is_kept().then(|| thread_number(self.0.thread().id()));
            let result = super::op(|| self.0.join());
            child.into_iter().for_each(trace::joined);
            result
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

//! Loom's types as the loom side of the seam offers them: each operation is loom's, told to the search that it belongs to.
//!
//! Three things are added. The operation goes into the timeline, with the place in Rust code it was called from. It goes into
//! the trace, by which the search knows an interleaving that repeats another (`model::trace`). And a panic by which loom ends
//! an interleaving (a deadlock, a race) ends it *here*: nothing is unwound, since destructors that use loom's objects would
//! panic again. Outside a search (a plain loom model) these are loom's types and nothing else.

use crate::ledger::quarantine::Scope;
use crate::model::trace::{self, Deed, Name};
use crate::model::{full_fences, guarded, rust_op, whole};
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
    if order == Ordering::SeqCst && whole() {
        // Loom orders full fences as they come, and does not see to it that they come in either order.
        let fences = full_fences();
        op(|| fences.notify_all());
    }
    op(|| loomed::atomic::fence(order));
    if order == Ordering::SeqCst {
        trace::did(FENCES, Deed::Exclusive);
    }
}

/// A full fence that belongs to the operation beside it: nobody comes between, and it is no branch of the search.
pub(crate) fn full_fence_beside() {
    op(|| loomed::atomic::fence(Ordering::SeqCst));
    trace::did(FENCES, Deed::Beside);
}

/// What full fences are operations on, and nobody waits on.
pub(crate) type Fences = loomed::Condvar;

/// The name of the object that all full fences are operations on.
const FENCES: Name = Name::MAX;

/// The last load of each thread since something was put there.
///
/// Loom compares a store with the last access alone. That other threads have loaded before that, and may as well load after the
/// store, it forgets, and then loses the interleavings in which they do (`model/litmus.rs` has one). So each load comes with an
/// operation on an object of its own, and who stores touches the objects of the loads that loom has forgotten. Not where a search is
/// bounded: there more places to preempt at are more to choose from.
#[derive(Debug, Default)]
struct Loads(std::cell::RefCell<Vec<Load>>);

#[derive(Debug)]
struct Load {
    thread: loom::thread::ThreadId,
    /// What is operated on.
    beside: loomed::Condvar,
    name: Name,
}

impl Load {
    fn new() -> Self {
        Self { thread: loom::thread::current().id(), beside: loomed::Condvar::new(), name: trace::object() }
    }

    fn touch(&self) {
        op(|| self.beside.notify_all());
        trace::did(self.name, Deed::Beside);
    }
}

// SAFETY: as for `Values`.
unsafe impl Send for Loads {}
// SAFETY: as for `Values`.
unsafe impl Sync for Loads {}

impl Loads {
    /// Loads.
    fn load<R>(&self, load: impl FnOnce() -> R) -> R {
        if !whole() {
            return op(load);
        }
        let mine = Load::new();
        mine.touch();
        let found = op(load);
        let mut loads = self.0.borrow_mut();
        loads.retain(|other| other.thread != mine.thread);
        loads.push(mine);
        found
    }

    /// Puts something there.
    fn put<R>(&self, put: impl FnOnce() -> R) -> (R, Forgotten) {
        let found = op(put);
        let mut loads = self.0.take();
        // Loom remembers the last.
        loads.pop();
        let me = loom::thread::current().id();
        loads.retain(|load| load.thread != me);
        (found, Forgotten(loads))
    }
}

#[must_use]
struct Forgotten(Vec<Load>);

impl Forgotten {
    /// The calling thread might have been here before them.
    fn touch(self) {
        self.0.iter().for_each(Load::touch);
    }
}

/// An atomic of loom's that holds the numbers of the stores to it, so that it is known which of them a load has found.
#[derive(Debug)]
struct Numbered<V> {
    loom: loomed::atomic::AtomicUsize,
    /// What each store stores; the first is what it was made with.
    values: Values<V>,
    loads: Loads,
    name: std::sync::atomic::AtomicU64,
}

/// `None`: of an operation that has not happened yet, and that makes its value of what it finds.
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
        let (loom, loads) = (loomed::atomic::AtomicUsize::new(0), Loads::default());
        Self { loom, values, loads, name: trace::object().into() }
    }

    fn name(&self) -> Name {
        // Relaxed: all threads of a model run on one thread of the machine.
        self.name.load(Ordering::Relaxed)
    }

    fn value(&self, number: usize) -> V {
        self.values.0.borrow()[number].expect("what was found was stored")
    }

    /// The number of a store to come.
    fn put(&self, value: Option<V>) -> usize {
        let mut values = self.values.0.borrow_mut();
        values.push(value);
        values.len() - 1
    }

    #[track_caller]
    fn load(&self, order: Ordering) -> V {
        let found = self.loads.load(|| self.loom.load(order));
        trace::did(self.name(), Deed::Loads(found));
        self.value(found)
    }

    #[track_caller]
    fn store(&self, value: V, order: Ordering) {
        let number = self.put(Some(value));
        let ((), forgotten) = self.loads.put(|| self.loom.store(number, order));
        trace::did(self.name(), Deed::Stores(number));
        forgotten.touch();
    }

    #[track_caller]
    fn change(&self, order: Ordering, new: impl FnOnce(V) -> V) -> V {
        let number = self.put(None);
        let (found, forgotten) = self.loads.put(|| self.loom.swap(number, order));
        let old = self.value(found);
        self.values.0.borrow_mut()[number] = Some(new(old));
        trace::did(self.name(), Deed::Changes(found, number));
        forgotten.touch();
        old
    }

    #[track_caller]
    fn exchange(&self, current: V, new: V, success: Ordering, failure: Ordering) -> Result<V, V> {
        let number = self.put(Some(new));
        let mut guess = self.values.0.borrow()[..number].iter().rposition(|value| *value == Some(current));
        loop {
            // There is no store of this number: it finds out what is there.
            let expected = guess.unwrap_or(usize::MAX);
            let exchange = || self.loom.compare_exchange(expected, number, success, failure);
            let (outcome, forgotten) = self.loads.put(exchange);
            match outcome {
                Ok(found) => {
                    trace::did(self.name(), Deed::Changes(found, number));
                    forgotten.touch();
                    return Ok(current);
                }
                Err(found) => {
                    trace::did(self.name(), Deed::Fails(found));
                    forgotten.touch();
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
    Plain(A, Loads),
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
                    Kept::Plain(loomed::atomic::$name::new(value), Loads::default())
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
                    Kept::Plain(it, loads) => loads.load(|| it.load(order)),
                    Kept::Numbered(it) => it.load(order),
                }
            }

            #[track_caller]
            pub(crate) fn store(&self, value: $value, order: Ordering) {
                rust_op("stores", Location::caller());
                match &self.0 {
                    Kept::Plain(it, loads) => {
                        let (outcome, forgotten) = loads.put(|| it.store(value, order));
                        forgotten.touch();
                        outcome
                    }
                    Kept::Numbered(it) => it.store(value, order),
                }
            }

            #[track_caller]
            pub(crate) fn swap(&self, value: $value, order: Ordering) -> $value {
                rust_op("swaps", Location::caller());
                match &self.0 {
                    Kept::Plain(it, loads) => {
                        let (outcome, forgotten) = loads.put(|| it.swap(value, order));
                        forgotten.touch();
                        outcome
                    }
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
                    Kept::Plain(it, loads) => {
                        let (outcome, forgotten) = loads.put(|| it.compare_exchange(current, new, success, failure));
                        forgotten.touch();
                        outcome
                    }
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
                        Kept::Plain(it, loads) => {
                        let (outcome, forgotten) = loads.put(|| it.$op(value, order));
                        forgotten.touch();
                        outcome
                    }
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

/// Threads: loom's, but for how one waits for the end of another.
pub(crate) mod thread {
    use super::trace;
    use crate::model::{is_over, thread_number};
    pub(crate) use loom::thread::{Builder, Thread, ThreadId, current};
    use std::sync::{Arc, Mutex, PoisonError};

    /// `loom::thread::JoinHandle`. The end of a thread and the wait for it are operations on one object there, of which either
    /// comes first: nearly twice as many interleavings for each thread, that differ in nothing. Where repeats are left, who joins
    /// parks instead.
    #[derive(Debug)]
    pub(crate) struct JoinHandle<T> {
        loom: loom::thread::JoinHandle<()>,
        end: Arc<Mutex<End<T>>>,
    }

    #[derive(Debug)]
    struct End<T> {
        value: Option<T>,
        joiner: Option<Thread>,
    }

    loom::lazy_static! {
        static ref END_0: () = ();
        static ref END_1: () = ();
        static ref END_2: () = ();
        static ref END_3: () = ();
        static ref END_4: () = ();
    }

    /// What a thread did before its first call of this with `number` happens before what others do after theirs: a lazy
    /// static of loom's orders that, and is no operation. There are none any more once the closure under search has returned;
    /// who then joins does it loom's way, or has been unparked, which orders as much.
    fn in_order(number: usize) {
        match number {
            0 => *END_0,
            1 => *END_1,
            2 => *END_2,
            3 => *END_3,
            4 => *END_4,
            _ => unreachable!("loom has five threads"),
        }
    }

    fn whole<T>(end: &Mutex<End<T>>) -> std::sync::MutexGuard<'_, End<T>> {
        end.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[track_caller]
    pub(crate) fn spawn<F, T>(f: F) -> JoinHandle<T>
    where
        F: FnOnce() -> T + 'static,
        T: 'static,
    {
        let end = Arc::new(Mutex::new(End { value: None, joiner: None }));
        let ends = Arc::clone(&end);
        let loom = super::op(|| {
            loom::thread::spawn(move || {
                trace::went_on(0);
                let value = f();
                if !is_over() {
                    in_order(thread_number(current().id()));
                }
                let joiner = {
                    let mut end = whole(&ends);
                    end.value = Some(value);
                    end.joiner.take()
                };
                joiner.iter().for_each(Thread::unpark);
            })
        });
        if trace::is_kept() {
            trace::spawned(thread_number(loom.thread().id()));
        }
        JoinHandle { loom, end }
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
        /// The value; a panic of the thread's ends the interleaving.
        #[track_caller]
        pub(crate) fn join(self) -> std::thread::Result<T> {
            if !trace::leaves() || is_over() {
                let child = trace::is_kept().then(|| thread_number(self.loom.thread().id()));
                super::op(|| self.loom.join())?;
                child.into_iter().for_each(trace::joined);
                let value = whole(&self.end).value.take();
                return Ok(value.expect("a thread that ended without a value took the interleaving with it"));
            }
            let child = thread_number(self.loom.thread().id());
            let value = loop {
                let mut end = whole(&self.end);
                if let Some(value) = end.value.take() {
                    break value;
                }
                end.joiner = Some(current());
                drop(end);
                // From here to where it parks no other thread runs.
                super::op(loom::thread::park);
            };
            if !is_over() {
                in_order(child);
            }
            trace::joined(child);
            Ok(value)
        }

        pub(crate) fn thread(&self) -> &Thread {
            self.loom.thread()
        }
    }
}

impl Default for Condvar {
    fn default() -> Self {
        Self::new()
    }
}

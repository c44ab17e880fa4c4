//! Atomics and fences over loom. Where a search keeps a trace, an atomic holds the numbers of the stores to it; and what loom
//! forgets about loads and full fences is told to it by operations that nothing else depends on.

use super::op;
use super::places::{self, Touched, touch};
use crate::trace::{self, Effect, Name};
use crate::{Me, current, full_fences, rust_op, whole};
use loom::sync as loomed;
use std::panic::Location;
use std::sync::atomic::Ordering;

#[track_caller]
pub fn fence(order: Ordering) {
    rust_op("fence", Location::caller());
    if order == Ordering::SeqCst && whole() {
        // Loom orders full fences as they come, and does not see to it that they come in either order.
        let fences = full_fences();
        places::step(|| fences.notify_all());
    }
    op(|| loomed::atomic::fence(order));
    if order == Ordering::SeqCst {
        trace::did(FENCES, Effect::Exclusive);
    }
}

/// A full fence that belongs to the operation beside it: nobody comes between, and it is no branch of the search.
pub fn full_fence_beside() {
    op(|| loomed::atomic::fence(Ordering::SeqCst));
    trace::did(FENCES, Effect::Attached);
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
    thread: Me,
    touched: Touched,
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
        let mine = Load { thread: current(), touched: Touched::default() };
        places::comes_with(&mine.touched);
        let found = op(load);
        let mut loads = self.0.borrow_mut();
        loads.retain(|other| other.thread != mine.thread);
        loads.push(mine);
        found
    }

    /// Puts something there.
    fn put<R>(&self, put: impl FnOnce() -> R) -> (R, Forgotten) {
        self.forget(places::step(put))
    }

    /// The same, and finds what was there.
    fn change<R>(&self, change: impl FnOnce() -> R) -> (R, Forgotten) {
        self.forget(places::chooses(change))
    }

    fn forget<R>(&self, found: R) -> (R, Forgotten) {
        let mut loads = self.0.take();
        // Loom remembers the last.
        loads.pop();
        if !loads.is_empty() {
            let me = current();
            loads.retain(|load| load.thread != me);
        }
        (found, Forgotten(loads))
    }

    /// The same where there is no trace to be told in between.
    fn put_and_touch<R>(&self, put: impl FnOnce() -> R) -> R {
        let (found, forgotten) = self.put(put);
        forgotten.touch();
        found
    }
}

#[must_use]
struct Forgotten(Vec<Load>);

impl Forgotten {
    /// The calling thread might have been here before them.
    fn touch(self) {
        if !trace::left() {
            self.0.iter().for_each(|load| touch(&load.touched));
        }
    }
}

/// An atomic of loom's that holds the numbers of the stores to it, so that it is known which of them a load has found.
#[derive(Debug)]
struct Numbered<V> {
    loom: loomed::atomic::AtomicUsize,
    /// What each store stores; the first is what it was made with.
    values: Values<V>,
    loads: Loads,
    name: crate::std_types::AtomicU64,
}

/// `None`: of an operation that has not happened yet, and that makes its value of what it finds.
#[derive(Debug)]
struct Values<V>(std::cell::RefCell<Vec<Option<V>>>);

// SAFETY: all threads of a model run on one thread of the machine, and no borrow lasts longer than one of the functions
// below.
unsafe impl<V> Send for Values<V> {}
// SAFETY: for the reason that `Send` has: one thread of the machine, and no borrow across a switch.
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
        trace::did(self.name(), Effect::Loads(found));
        self.value(found)
    }

    #[track_caller]
    fn store(&self, value: V, order: Ordering) {
        let number = self.put(Some(value));
        let ((), forgotten) = self.loads.put(|| self.loom.store(number, order));
        trace::did(self.name(), Effect::Stores(number));
        forgotten.touch();
    }

    #[track_caller]
    fn change(&self, order: Ordering, new: impl FnOnce(V) -> V) -> V {
        let number = self.put(None);
        let (found, forgotten) = self.loads.change(|| self.loom.swap(number, order));
        let old = self.value(found);
        self.values.0.borrow_mut()[number] = Some(new(old));
        trace::did(self.name(), Effect::Changes(found, number));
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
            let (outcome, forgotten) = self.loads.change(exchange);
            let deed = outcome.map_or_else(Effect::Fails, |found| Effect::Changes(found, number));
            trace::did(self.name(), deed);
            forgotten.touch();
            let Err(found) = outcome else { return Ok(current) };
            if self.value(found) != current {
                return Err(self.value(found));
            }
            // The same value, by another store: once more, for that one.
            guess = Some(found);
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
        pub struct $name $(<$t>)? (Kept<loomed::atomic::$name $(<$t>)?, $value>);

        impl $(<$t>)? $name $(<$t>)? {
            #[track_caller]
            pub fn new(value: $value) -> Self {
                Self(if trace::is_kept() {
                    Kept::Numbered(Numbered::new(value))
                } else {
                    Kept::Plain(loomed::atomic::$name::new(value), Loads::default())
                })
            }

            /// It is known by another name from now on.
            pub fn rename(&self, name: Name) {
                if let Kept::Numbered(it) = &self.0 {
                    it.name.store(name, Ordering::Relaxed); // as in `name`
                }
            }

            #[track_caller]
            pub fn load(&self, order: Ordering) -> $value {
                rust_op("loads", Location::caller());
                match &self.0 {
                    Kept::Plain(it, loads) => loads.load(|| it.load(order)),
                    Kept::Numbered(it) => it.load(order),
                }
            }

            #[track_caller]
            pub fn store(&self, value: $value, order: Ordering) {
                rust_op("stores", Location::caller());
                match &self.0 {
                    Kept::Plain(it, loads) => loads.put_and_touch(|| it.store(value, order)),
                    Kept::Numbered(it) => it.store(value, order),
                }
            }

            #[track_caller]
            pub fn swap(&self, value: $value, order: Ordering) -> $value {
                rust_op("swaps", Location::caller());
                match &self.0 {
                    Kept::Plain(it, loads) => loads.put_and_touch(|| it.swap(value, order)),
                    Kept::Numbered(it) => it.change(order, |_| value),
                }
            }

            #[track_caller]
            pub fn compare_exchange(
                &self,
                current: $value,
                new: $value,
                success: Ordering,
                failure: Ordering,
            ) -> Result<$value, $value> {
                rust_op("compares and exchanges", Location::caller());
                match &self.0 {
                    Kept::Plain(it, loads) => loads.put_and_touch(|| it.compare_exchange(current, new, success, failure)),
                    Kept::Numbered(it) => it.exchange(current, new, success, failure),
                }
            }

            /// Loom's does not fail for no reason either.
            #[track_caller]
            pub fn compare_exchange_weak(
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
                pub fn $op(&self, value: $value, order: Ordering) -> $value {
                    const NEW: fn($value, $value) -> $value = $new;
                    rust_op($verb, Location::caller());
                    match &self.0 {
                        Kept::Plain(it, loads) => loads.put_and_touch(|| it.$op(value, order)),
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

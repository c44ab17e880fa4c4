//! std's synchronisation for code that [`executions::explore`](crate::executions::explore) explores. Each type can be
//! used inside of a search only, and panics outside.

pub mod atomic;

use crate::cell::UnsafeCell;
use crate::executions::{Action, Order, Request, Step, Tag, ask, with};
use crate::std_types;
use std::fmt;
use std::ops::{Deref, DerefMut};

/// As `std::sync::Mutex`, without poisoning. Waiting threads get it in any order.
#[derive(Debug)]
pub struct Mutex<T> {
    tag: Tag,
    value: UnsafeCell<T>,
}

// SAFETY: only the thread that holds the lock accesses the value, through the guard.
unsafe impl<T: Send> Sync for Mutex<T> {}

/// Unlocks when it is dropped.
#[derive(Debug)]
#[must_use = "the mutex is unlocked when the guard is dropped"]
pub struct MutexGuard<'a, T>(&'a Mutex<T>);

impl<T> Mutex<T> {
    /// Unlocked.
    pub const fn new(value: T) -> Self {
        Self { tag: Tag::new(0), value: UnsafeCell::new(value) }
    }

    /// Locks. A thread that has locked it already waits for itself, which is found as a deadlock.
    #[track_caller]
    pub fn lock(&self) -> MutexGuard<'_, T> {
        ask(Request::Lock(&self.tag));
        MutexGuard(self)
    }

    /// Takes the value out.
    pub fn into_inner(self) -> T {
        self.value.into_inner()
    }
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;

    #[track_caller]
    fn deref(&self) -> &T {
        // SAFETY: this thread holds the lock, so nothing writes while the reference lives: `deref_mut` needs the guard.
        self.0.value.with(|value| unsafe { &*value })
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    #[track_caller]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: this thread holds the lock, and `&mut self` says that there is no other reference.
        self.0.value.with_mut(|value| unsafe { &mut *value })
    }
}

impl<T> Drop for MutexGuard<'_, T> {
    #[track_caller]
    fn drop(&mut self) {
        ask(Request::Unlock(&self.0.tag));
    }
}

/// As `std::sync::Condvar`. A wait ends only by a notification: there are no spurious wake-ups.
///
/// The first 32 threads of a program may use condition variables, and no others.
#[derive(Debug)]
pub struct Condvar {
    /// Bits 0–31: the threads that wait. Bits 32–63: those that were notified and have not gone on yet.
    tag: Tag,
}

impl Condvar {
    /// A variable for which no thread waits.
    pub const fn new() -> Self {
        Self { tag: Tag::new(0) }
    }

    #[track_caller]
    fn step(&self, step: fn(u64, u64, u16) -> Step, operand: u64) {
        // Relaxed: what a waiting thread sees comes with the mutex.
        let action = Action::Object { step, operand };
        ask(Request::Read { tag: &self.tag, order: Order::RELAXED, action });
    }

    /// Unlocks, waits for a notification, and locks.
    ///
    /// # Panics
    ///
    /// On a thread that is not one of the program's first 32.
    #[track_caller]
    pub fn wait<'a, T>(&self, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
        let thread = with(|runner| runner.current());
        assert!(thread < 32, "only the first 32 threads of a program may wait for a condition variable");
        let mutex = guard.0;
        self.step(|state, me, branch| if branch == 0 { Step::Go(state | me) } else { Step::None }, 1 << thread);
        drop(guard);
        self.step(
            |state, me, branch| match branch {
                0 if state >> 32 & me == 0 => Step::Block,
                0 => Step::Go(state & !(me << 32)),
                _ => Step::None,
            },
            1 << thread,
        );
        mutex.lock()
    }

    /// Lets one waiting thread go on. Each is explored.
    #[track_caller]
    pub fn notify_one(&self) {
        self.step(
            |state, _, branch| {
                let nth = (0..32).filter(|thread| state >> thread & 1 == 1).nth(branch.into());
                match nth {
                    Some(thread) => Step::Go(state & !(1 << thread) | 1 << (32 + thread)),
                    None if branch == 0 => Step::Go(state),
                    None => Step::None,
                }
            },
            0,
        );
    }

    /// Lets all waiting threads go on.
    #[track_caller]
    pub fn notify_all(&self) {
        self.step(
            |state, _, branch| {
                let waiting = state & u64::from(u32::MAX);
                if branch == 0 { Step::Go(state & !waiting | waiting << 32) } else { Step::None }
            },
            0,
        );
    }
}

impl Default for Condvar {
    fn default() -> Self {
        Self::new()
    }
}

/// As `std::sync::Arc`. Its count is explored: the order in which owners let go may decide what a program does.
pub struct Arc<T>(std_types::Arc<Counted<T>>);

struct Counted<T> {
    owners: atomic::AtomicUsize,
    value: T,
}

impl<T> Arc<T> {
    /// The first owner.
    pub fn new(value: T) -> Self {
        Self(std_types::Arc::new(Counted { owners: atomic::AtomicUsize::new(1), value }))
    }
}

impl<T> Clone for Arc<T> {
    #[track_caller]
    fn clone(&self) -> Self {
        // Relaxed: a new owner needs an old one, which the new owner's thread knows already.
        self.0.owners.fetch_add(1, atomic::Ordering::Relaxed);
        Self(std_types::Arc::clone(&self.0))
    }
}

impl<T> Drop for Arc<T> {
    #[track_caller]
    fn drop(&mut self) {
        // Release pairs with the Acquire of the last owner: what each owner did happens before the value is dropped.
        if self.0.owners.fetch_sub(1, atomic::Ordering::Release) == 1 {
            atomic::fence(atomic::Ordering::Acquire);
        }
    }
}

impl<T> Deref for Arc<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0.value
    }
}

impl<T: fmt::Debug> fmt::Debug for Arc<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.value.fmt(f)
    }
}

//! Threads that wait for a callback while they are inside that callback: none of them waits for another one.
//!
//! The entries are on the stacks of the waiting threads, so that a wait needs no memory. The list is part of what the
//! registry's lock guards.

use super::handle::Handle;
use super::thread::ThreadTag;
use std::cell::Cell;
use std::ptr;

/// A thread that waits for a callback while the thread is inside that callback. On that thread's stack, so that the
/// wait needs no memory. Its cells are used only under the registry's lock.
pub(super) struct InsideWaiter {
    handle: Handle,
    thread: ThreadTag,
    /// How many calls of the callback are on the thread's stack.
    own: u32,
    /// All other calls inside are calls of waiting threads: the wait is over.
    released: Cell<bool>,
    next: Cell<*const InsideWaiter>,
}

/// The threads that wait inside the callback that they wait for.
pub(super) struct InsideWaiters(*const InsideWaiter);

// SAFETY: the pointers are used only under the registry's lock, and what they point to is alive while it is listed:
// `Ticket` in `wait.rs`, or in a child process `forget_other_waiters`, removes it before, under the same lock.
unsafe impl Send for InsideWaiters {}

impl InsideWaiter {
    /// The calling thread, with `own` calls of `handle` on its stack, is about to wait for the calls of other threads.
    pub(super) fn new(handle: Handle, own: u32) -> Self {
        let thread = ThreadTag::current();
        Self { handle, thread, own, released: Cell::new(false), next: Cell::new(ptr::null()) }
    }

    /// Whether the wait has been released.
    pub(super) fn is_released(&self) -> bool {
        self.released.get()
    }
}

impl InsideWaiters {
    pub(super) const fn new() -> Self {
        Self(ptr::null())
    }

    pub(super) fn add(&mut self, waiter: &InsideWaiter) {
        waiter.next.set(self.0);
        self.0 = waiter;
    }

    fn all(&self) -> impl Iterator<Item = &InsideWaiter> {
        let mut at = self.0;
        std::iter::from_fn(move || {
            // SAFETY: null, or an entry that is listed. It stays while the list is borrowed, because only a thread that
            // has the lock takes it off.
            let waiter = unsafe { at.as_ref() }?;
            at = waiter.next.get();
            Some(waiter)
        })
    }

    fn retain(&mut self, keep: impl Fn(&InsideWaiter) -> bool) {
        let mut last: Option<&InsideWaiter> = None;
        let mut at = self.0;
        // SAFETY: as in `all`; an entry that was taken off is still readable until this returns.
        while let Some(waiter) = unsafe { at.as_ref() } {
            at = waiter.next.get();
            if keep(waiter) {
                last = Some(waiter);
            } else {
                match last {
                    Some(last) => last.next.set(at),
                    None => self.0 = at,
                }
            }
        }
    }

    pub(super) fn remove(&mut self, waiter: &InsideWaiter) {
        self.retain(|other| !ptr::eq(other, waiter));
    }

    /// Releases the threads that wait inside `handle`, if all `count` calls inside are calls of these threads. Returns
    /// whether it did.
    ///
    /// They are released together: none of them has to wait for another, so none may go on waiting when another has
    /// left.
    pub(super) fn release(&self, handle: Handle, count: u32) -> bool {
        let waiting = |waiter: &&InsideWaiter| waiter.handle == handle && !waiter.released.get();
        let theirs: u32 = self.all().filter(waiting).map(|waiter| waiter.own).sum();
        let all = theirs > 0 && theirs == count;
        if all {
            self.all().filter(waiting).for_each(|waiter| waiter.released.set(true));
        }
        all
    }

    /// In a child process: only the thread `me` exists.
    pub(super) fn forget_others(&mut self, me: ThreadTag) {
        self.retain(|waiter| waiter.thread == me);
    }
}

//! The list of waits that could be part of a deadlock, and the search for deadlocks in it. Neither allocates: an entry
//! is on the stack of the thread that waits. Only the report of a deadlock does.

use super::super::frame::{self, Frames};
use super::super::handle::Handle;
use super::super::slot::{Slot, State};
use super::super::sync::{Flag, Ordering, Outside, lock, outside};
use super::super::thread::ThreadTag;
use super::super::{Core, Registry, record};
use super::Stuck;
use std::cell::{Cell, RefCell};
use std::ptr;

/// A wait, as it is listed.
pub(in super::super) struct Listed {
    thread: ThreadTag,
    /// The bits of the handle that is waited for.
    target: usize,
    /// The slot of `target`.
    slot: *const (),
    /// Counts the calls and destructors of `target` that have not ended.
    inside: fn(&Listed) -> u32,
    /// The registry in which the thread sleeps, and its `Core`.
    registry: *const (),
    core: *const Core,
    /// One line about `target`. No lock is held, but that of the list.
    describe: fn(&Listed) -> String,
    /// The closures whose destructors the thread runs.
    frames: Frames,
    may_give_up: Cell<bool>,
    /// The report, once this wait has been chosen to end. The thread will then leave.
    told: RefCell<Option<Stuck>>,
    /// Set when this wait is chosen to end a deadlock.
    never_ends: Flag,
    /// The result of the latest search: the wait never ends.
    blocked: Cell<bool>,
    /// The wait that was listed before this one.
    next: Cell<*const Listed>,
    /// In place of what the thread is inside of.
    #[cfg(test)]
    made_up: Option<Vec<usize>>,
}

/// The waits of the process, the latest first.
pub(in super::super) struct Waits(*const Listed);

// SAFETY: the pointers are used only under the lock of `WAITS`, and what they point to is alive while the entry is
// listed: `Waiter::drop`, or in a child process `Waits::forget_others`, removes the entry before, under the same lock.
unsafe impl Send for Waits {}

/// Lock order: this lock, then a registry's lock (`Core::bookkeeping`), never the other way round.
pub(in super::super) static WAITS: Outside<Waits> = Outside::new(Waits(ptr::null()));

/// A listed wait. Dropping this takes it off the list.
pub(in super::super) struct Waiter<'l>(&'l Listed);

fn calls_and_destructors<F: ?Sized>(listed: &Listed) -> u32 {
    // SAFETY: `Listed::new::<F>` has stored the address of a `Slot<F>` beside this function. The waiting thread borrows
    // the slot's registry while the entry is listed, and a slot is never borrowed exclusively while its registry is
    // borrowed.
    let slot = unsafe { &*listed.slot.cast::<Slot<F>>() };
    // SAFETY: `core` is the address of the same registry's `Core`, which the waiting thread borrows while the entry is
    // listed.
    let core = unsafe { &*listed.core };
    let handle = Handle::from_bits(listed.target);
    // `record::marked` is to be called under this lock.
    let _bookkeeping = lock(&core.bookkeeping);
    let word = slot.word(handle.index());
    if word.is(handle, State::Revoking) {
        record::marked(listed.target)
    } else {
        // In Closing and Counting the number is not known yet, so 0 proves nothing. The revoker searches again once it
        // has counted (`revoke.rs`, `end`). In Idle the waiting thread itself drops the closure.
        u32::from(word.is(handle, State::Quiescent))
    }
}

fn describe<F: ?Sized>(listed: &Listed) -> String {
    // SAFETY: `Listed::new::<F>` has stored the address of a `Registry<F>` beside this function. The waiting thread
    // borrows it while the entry is listed.
    let registry = unsafe { &*listed.registry.cast::<Registry<F>>() };
    registry.describe(Handle::from_bits(listed.target))
}

impl Listed {
    /// The calling thread is about to wait for the callback in `slot`.
    pub(in super::super) fn new<F: ?Sized>(
        registry: &Registry<F>,
        slot: &Slot<F>,
        handle: Handle,
        may_give_up: bool,
    ) -> Self {
        Self {
            thread: ThreadTag::current(),
            target: handle.bits(),
            slot: (&raw const *slot).cast(),
            inside: calls_and_destructors::<F>,
            registry: (&raw const *registry).cast(),
            core: &raw const registry.core,
            describe: describe::<F>,
            frames: frame::frames(),
            may_give_up: Cell::new(may_give_up),
            told: RefCell::new(None),
            never_ends: Flag::new(false),
            blocked: Cell::new(false),
            next: Cell::new(ptr::null()),
            #[cfg(test)]
            made_up: None,
        }
    }

    /// How often the waiting thread is inside `handle`.
    fn is_inside(&self, handle: usize) -> u32 {
        #[cfg(test)]
        if let Some(made_up) = &self.made_up {
            return made_up.iter().filter(|frame| **frame == handle).count() as u32;
        }
        // SAFETY: (1) the thread of a listed wait is in the wait, and so has not left any of these frames.
        let destructors = unsafe { self.frames.count(handle) };
        record::calls_by(self.thread.number(), handle) + destructors
    }

    /// Lists this wait.
    pub(in super::super) fn begin(&self) -> Waiter<'_> {
        let mut waits = outside(&WAITS);
        self.next.set(waits.0);
        waits.0 = self;
        // If this wait completes a deadlock, this one is ended and not another one of the cycle: its thread does not
        // sleep yet, so no thread has to be woken.
        waits.end_a_deadlock(Some(self));
        Waiter(self)
    }
}

/// Searches for a deadlock. Called after a call has left a revoked callback, and after a revoker has counted calls. No
/// lock may be held.
#[cold]
pub(in super::super) fn recheck() {
    outside(&WAITS).end_a_deadlock(None);
}

impl Waits {
    fn all(&self) -> impl Iterator<Item = &Listed> {
        let mut at = self.0;
        std::iter::from_fn(move || {
            // SAFETY: null, or an entry that is listed. It stays where it is while the list is borrowed, because only
            // a thread that has the lock takes it off.
            let listed = unsafe { at.as_ref() }?;
            at = listed.next.get();
            Some(listed)
        })
    }

    /// Takes the entries off that `keep` does not pick. What they point to may be gone, and they are not freed here.
    fn retain(&mut self, keep: impl Fn(&Listed) -> bool) {
        let mut last: Option<&Listed> = None;
        let mut at = self.0;
        // SAFETY: as in `all`; an entry that was taken off is still readable until this returns.
        while let Some(listed) = unsafe { at.as_ref() } {
            at = listed.next.get();
            if keep(listed) {
                last = Some(listed);
            } else {
                match last {
                    Some(last) => last.next.set(at),
                    None => self.0 = at,
                }
            }
        }
    }

    /// In a child process after `fork`: removes the waits of all other threads, which do not exist there.
    pub(in super::super) fn forget_others(&mut self) {
        let me = ThreadTag::current();
        self.retain(|listed| listed.thread == me);
    }

    /// Finds the waits that never end: they are `blocked` after this.
    fn search(&self) {
        self.all().for_each(|listed| listed.blocked.set(listed.told.borrow().is_none()));
        let stays = |target: &Listed| {
            let inside = (target.inside)(target);
            let blocked = self.all().filter(|other| other.blocked.get());
            let theirs: u32 = blocked.map(|other| other.is_inside(target.target)).sum();
            // Threads that wait inside a callback for this same callback do not wait for each other: once no other call
            // is inside, all of them return `DeferredToOuterFrame`.
            let same = self.all().filter(|other| other.target == target.target);
            let excused: u32 = same.map(|other| other.is_inside(target.target)).sum();
            inside > 0 && theirs == inside && excused < inside
        };
        loop {
            let mut changed = false;
            for listed in self.all().filter(|listed| listed.blocked.get()) {
                if !stays(listed) {
                    listed.blocked.set(false);
                    changed = true;
                }
            }
            if !changed {
                return;
            }
        }
    }

    /// The blocked waits that `first` waits for, directly or through others; `first` first.
    fn component<'w>(&'w self, first: &'w Listed) -> Vec<&'w Listed> {
        let mut members = vec![first];
        let mut next = 0;
        while let Some(&member) = members.get(next) {
            for other in self.all().filter(|other| other.blocked.get()) {
                if other.is_inside(member.target) > 0 && !members.iter().any(|member| ptr::eq(*member, other)) {
                    members.push(other);
                }
            }
            next += 1;
        }
        members
    }

    /// Chooses one of the deadlocked waits and wakes its thread: `preferred` if it is deadlocked, otherwise the latest.
    fn end_a_deadlock(&self, preferred: Option<&Listed>) {
        self.search();
        let may = |listed: &&Listed| listed.blocked.get() && listed.may_give_up.get();
        let chosen = preferred.filter(may).or_else(|| self.all().find(may));
        let Some(chosen) = chosen else { return };
        *chosen.told.borrow_mut() = Some(describe_all(&self.component(chosen)));
        // Release pairs with the Acquire in `Waiter::never_ends`.
        chosen.never_ends.store(true, Ordering::Release);
        // SAFETY: the entry is listed, so the waiting thread borrows the registry.
        let core = unsafe { &*chosen.core };
        // A waiting thread holds this lock from its look at the flag until it sleeps (`wait.rs`, `settle`), so it
        // cannot miss the wake-up.
        drop(lock(&core.bookkeeping));
        core.changed.notify_all();
    }
}

fn describe_all(members: &[&Listed]) -> Stuck {
    let mut text = String::new();
    for listed in members {
        text += &format!("\n  {} waits for\n  {}", listed.thread, (listed.describe)(listed));
        for other in members.iter().filter(|other| other.is_inside(listed.target) > 0) {
            text += &format!("\n    inside it: {}", other.thread);
        }
    }
    Stuck::deadlocked(members.iter().map(|listed| listed.thread).collect(), &text)
}

impl Waiter<'_> {
    /// Whether this wait has been chosen to end a deadlock.
    pub(in super::super) fn never_ends(&self) -> bool {
        // Acquire pairs with the Release in `end_a_deadlock`.
        self.0.never_ends.load(Ordering::Acquire)
    }

    /// The report. Only after `never_ends` was true.
    pub(in super::super) fn deadlock(&self) -> Stuck {
        let _waits = outside(&WAITS);
        let told = self.0.told.borrow().clone();
        told.unwrap_or_else(|| {
            unreachable!("`end_a_deadlock` stores the report before the flag, and only this thread removes it")
        })
    }

    /// Keeps this wait although it is part of a deadlock, because the registry's owner says so. Another wait may end
    /// instead.
    pub(in super::super) fn resign(&self) {
        let waits = outside(&WAITS);
        // Relaxed: the lock of `WAITS` orders this store with the stores in `end_a_deadlock`, and only this thread
        // loads the flag.
        self.0.never_ends.store(false, Ordering::Relaxed);
        *self.0.told.borrow_mut() = None;
        self.0.may_give_up.set(false);
        waits.end_a_deadlock(None);
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        outside(&WAITS).retain(|listed| !ptr::eq(listed, self.0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A list of waits: each for a target, by a thread that is inside the given frames.
    struct Made(Vec<Listed>);

    fn waits(of: &[(usize, &[usize])]) -> Made {
        let listed = |(target, frames): &(usize, &[usize])| Listed {
            thread: ThreadTag::made_up(u64::MAX),
            target: *target,
            slot: ptr::null(),
            // The hundreds of a target's number are the number of calls inside it.
            inside: |listed| (listed.target / 100) as u32,
            registry: ptr::null(),
            core: ptr::null(),
            describe: |_| String::new(),
            frames: Frames::NONE,
            may_give_up: Cell::new(true),
            told: RefCell::new(None),
            never_ends: Flag::new(false),
            blocked: Cell::new(false),
            next: Cell::new(ptr::null()),
            made_up: Some(frames.to_vec()),
        };
        Made(of.iter().map(listed).collect())
    }

    impl Made {
        /// The list, in the order of the vector.
        fn list(&self) -> Waits {
            let mut list = Waits(ptr::null());
            for listed in self.0.iter().rev() {
                listed.next.set(list.0);
                list.0 = listed;
            }
            list
        }

        /// The places of the waits that never end.
        fn deadlocked(&self) -> Vec<usize> {
            self.list().search();
            (0..self.0.len()).filter(|&place| self.0[place].blocked.get()).collect()
        }

        /// The places of the members of the component of the wait at `place`, after `deadlocked`.
        fn component(&self, place: usize) -> Vec<usize> {
            let place_of = |listed: &&Listed| self.0.iter().position(|other| ptr::eq(other, *listed)).unwrap();
            self.list().component(&self.0[place]).iter().map(place_of).collect()
        }
    }

    /// Test targets: the digit is the number of calls inside.
    const A1: usize = 101;
    const B1: usize = 102;
    const C1: usize = 103;
    const X2: usize = 201;
    const NONE: [usize; 0] = [];

    fn deadlocked(of: &[(usize, &[usize])]) -> Vec<usize> {
        waits(of).deadlocked()
    }

    /// S41: rings, and a thread outside a ring that waits for one of its callbacks.
    #[test]
    fn a_ring_never_ends() {
        assert_eq!(deadlocked(&[(B1, &[A1]), (A1, &[B1])]), [0, 1]);
        assert_eq!(deadlocked(&[(B1, &[A1]), (C1, &[B1]), (A1, &[C1])]), [0, 1, 2]);
        // The frame need not be the innermost.
        assert_eq!(deadlocked(&[(B1, &[C1, A1]), (A1, &[B1])]), [0, 1]);
        // The third thread cannot leave either, though no thread waits for its callback.
        assert_eq!(deadlocked(&[(B1, &[A1]), (A1, &[B1]), (A1, &[C1])]), [0, 1, 2]);
        // Two threads are inside X, and each waits for a callback whose only call is by a thread that waits for X.
        assert_eq!(deadlocked(&[(A1, &[X2]), (B1, &[X2]), (X2, &[A1]), (X2, &[B1])]), [0, 1, 2, 3]);
    }

    /// S100: no deadlock as long as a thread inside may still leave.
    #[test]
    fn what_may_still_end_is_not_called_a_deadlock() {
        assert_eq!(deadlocked(&[]), NONE);
        assert_eq!(deadlocked(&[(B1, &[A1])]), NONE, "the thread inside B does not wait");
        assert_eq!(deadlocked(&[(B1, &[A1]), (C1, &[B1])]), NONE, "a chain");
        assert_eq!(deadlocked(&[(X2, &[A1]), (A1, &[X2])]), NONE, "the other one inside X does not wait");
        assert_eq!(deadlocked(&[(99, &[A1]), (A1, &[99])]), NONE, "no call is inside any more");
    }

    /// Two threads inside one callback that both wait for it do not wait for each other, and a thread that waits for
    /// them will go on.
    #[test]
    fn threads_that_wait_inside_for_the_same_callback_are_not_deadlocked() {
        assert_eq!(deadlocked(&[(X2, &[X2]), (X2, &[X2])]), NONE);
        assert_eq!(deadlocked(&[(X2, &[X2]), (X2, &[X2]), (X2, &[A1])]), NONE);
        // One thread waits for X inside X, the other for A, whose call waits for X: a ring.
        assert_eq!(deadlocked(&[(X2, &[X2]), (A1, &[X2]), (X2, &[A1])]), [0, 1, 2]);
    }

    /// A wait that has been chosen will end, so no other wait of the ring is deadlocked any more.
    #[test]
    fn one_wait_of_a_ring_is_chosen() {
        let waits = waits(&[(B1, &[A1]), (A1, &[B1])]);
        *waits.0[1].told.borrow_mut() = Some(Stuck::deadlocked(Vec::new(), ""));
        assert_eq!(waits.deadlocked(), NONE);
    }

    /// A report names the threads of one ring, and not of another ring that exists at the same time.
    #[test]
    fn a_report_is_about_one_ring() {
        let of: &[(usize, &[usize])] = &[(B1, &[A1]), (301, &[302]), (A1, &[B1]), (302, &[301, 301, 301])];
        let waits = waits(of);
        assert_eq!(waits.deadlocked(), [0, 2], "of the three inside 302 one is listed");
        // Also if all of them were deadlocked.
        waits.0.iter().for_each(|listed| listed.blocked.set(true));
        assert_eq!(waits.component(0), [0, 2]);
        assert_eq!(waits.component(2), [2, 0]);
    }
}

//! The list of waits that could be part of a deadlock, and the search for deadlocks in it.

use super::super::handle::Handle;
use super::super::slot::{Slot, State};
use super::super::sync::{Flag, Ordering, Outside, lock, outside};
use super::super::thread::ThreadTag;
use super::super::{Core, frame, record};
use super::Stuck;

/// A listed wait.
struct Listed {
    ticket: u64,
    thread: ThreadTag,
    /// The bits of the handle that is waited for.
    target: usize,
    /// The slot of `target`.
    slot: *const (),
    /// Counts the calls and destructors of `target` that have not ended.
    inside: fn(&Listed) -> u32,
    description: String,
    /// The bits of the handles of the callbacks that the thread is inside of, once for each call and destructor.
    frames: Vec<usize>,
    may_give_up: bool,
    /// The report, once this wait has been chosen to end. The thread will then leave.
    told: Option<Stuck>,
    /// The registry in which the thread sleeps.
    core: *const Core,
    never_ends: *const Flag,
}

// SAFETY: the pointers are used only under the lock of `WAITS`, and what they point to is alive while the entry is
// listed: `Waiter::drop`, or in a child process `Waits::forget_others`, removes the entry before, under the same lock.
unsafe impl Send for Listed {}

pub(in super::super) struct Waits {
    listed: Vec<Listed>,
    last_ticket: u64,
}

/// Lock order: this lock, then a registry's lock (`Core::bookkeeping`), never the other way round.
pub(in super::super) static WAITS: Outside<Waits> = Outside::new(Waits { listed: Vec::new(), last_ticket: 0 });

/// A listed wait. Dropping this takes it off the list.
pub(in super::super) struct Waiter {
    ticket: u64,
    /// Set under the lock of `WAITS` when this wait is chosen to end a deadlock. Boxed, so that its address stays the
    /// same when the `Waiter` moves.
    never_ends: Box<Flag>,
}

fn calls_and_destructors<F: ?Sized>(listed: &Listed) -> u32 {
    // SAFETY: `begin::<F>` has stored the address of a `Slot<F>` beside this function. The waiting thread borrows the
    // slot's registry while the entry is listed, and a slot is never borrowed exclusively while its registry is
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
        // has counted (`revoke.rs`, `revoke_at`).
        u32::from(word.is(handle, State::Quiescent))
    }
}

/// Lists that the calling thread waits for the callback in `slot`.
pub(in super::super) fn begin<F: ?Sized>(
    core: &Core,
    slot: &Slot<F>,
    handle: Handle,
    description: String,
    may_give_up: bool,
) -> Waiter {
    let mut frames = Vec::new();
    frame::each(|handle| frames.push(handle));
    let never_ends = Box::new(Flag::new(false));
    let mut waits = outside(&WAITS);
    waits.last_ticket += 1;
    let ticket = waits.last_ticket;
    waits.listed.push(Listed {
        ticket,
        thread: ThreadTag::current(),
        target: handle.bits(),
        slot: (&raw const *slot).cast(),
        inside: calls_and_destructors::<F>,
        description,
        frames,
        may_give_up,
        told: None,
        core,
        never_ends: &raw const *never_ends,
    });
    // If this wait completes a deadlock, this one is ended and not another one of the cycle: its thread does not sleep
    // yet, so no thread has to be woken.
    waits.end_a_deadlock(Some(ticket));
    drop(waits);
    Waiter { ticket, never_ends }
}

/// Searches for a deadlock. Called after a call has left a revoked callback, and after a revoker has counted calls. No
/// lock may be held.
#[cold]
pub(in super::super) fn recheck() {
    let mut waits = outside(&WAITS);
    if !waits.listed.is_empty() {
        waits.end_a_deadlock(None);
    }
}

impl Waits {
    /// In a child process after `fork`: removes the waits of all other threads, which do not exist there. What their
    /// entries point to may be gone. Leaks the entries' memory, because a child must not call the allocator here.
    pub(in super::super) fn forget_others(&mut self) {
        let me = ThreadTag::current();
        while let Some(place) = self.listed.iter().position(|listed| listed.thread != me) {
            std::mem::forget(self.listed.swap_remove(place));
        }
    }

    /// How often the thread of the wait at `place` is inside `handle`.
    fn is_inside(&self, place: usize, handle: usize) -> u32 {
        self.listed[place].frames.iter().filter(|frame| **frame == handle).count() as u32
    }

    /// The places, in the list, of the waits that never end.
    fn deadlocked(&self) -> Vec<usize> {
        let mut blocked: Vec<usize> = (0..self.listed.len()).collect();
        loop {
            let stays = |place: &usize| {
                let target = &self.listed[*place];
                let inside = (target.inside)(target);
                let theirs: u32 = blocked.iter().map(|&other| self.is_inside(other, target.target)).sum();
                // Threads that wait inside a callback for this same callback do not wait for each other: once no other
                // call is inside, all of them return `DeferredToOuterFrame`.
                let same = |&other: &usize| self.listed[other].target == target.target;
                let excused: u32 =
                    (0..self.listed.len()).filter(same).map(|other| self.is_inside(other, target.target)).sum();
                target.told.is_none() && inside > 0 && theirs == inside && excused < inside
            };
            let remaining: Vec<usize> = blocked.iter().copied().filter(stays).collect();
            if remaining.len() == blocked.len() {
                return remaining;
            }
            blocked = remaining;
        }
    }

    /// The members of `deadlocked` that the wait at `place` waits for, directly or through others; `place` first.
    fn component(&self, place: usize, deadlocked: &[usize]) -> Vec<usize> {
        let mut members = vec![place];
        let mut next = 0;
        while let Some(&member) = members.get(next) {
            let target = self.listed[member].target;
            for &other in deadlocked {
                if self.is_inside(other, target) > 0 && !members.contains(&other) {
                    members.push(other);
                }
            }
            next += 1;
        }
        members
    }

    /// Chooses one of the deadlocked waits and wakes its thread: the wait with the ticket `preferred` if it is
    /// deadlocked, otherwise the latest.
    fn end_a_deadlock(&mut self, preferred: Option<u64>) {
        let deadlocked = self.deadlocked();
        let may = |place: &&usize| self.listed[**place].may_give_up;
        let chosen = deadlocked.iter().filter(may).find(|place| Some(self.listed[**place].ticket) == preferred);
        let Some(&place) = chosen.or_else(|| deadlocked.iter().rev().find(may)) else { return };
        let stuck = self.describe(&self.component(place, &deadlocked));
        let listed = &mut self.listed[place];
        listed.told = Some(stuck);
        // SAFETY: the entry is listed, and the caller holds the lock of `WAITS`, so the flag's `Waiter` has not been
        // dropped.
        let never_ends = unsafe { &*listed.never_ends };
        // Release pairs with the Acquire in `Waiter::never_ends`.
        never_ends.store(true, Ordering::Release);
        // SAFETY: the entry is listed, so the waiting thread borrows the registry.
        let core = unsafe { &*listed.core };
        // A waiting thread holds this lock from its look at the flag until it sleeps (`wait.rs`, `settle`), so it
        // cannot miss the wake-up.
        drop(lock(&core.bookkeeping));
        core.changed.notify_all();
    }

    fn describe(&self, members: &[usize]) -> Stuck {
        let mut text = String::new();
        for &place in members {
            let listed = &self.listed[place];
            text += &format!("\n  {} waits for\n  {}", listed.thread, listed.description);
            for &other in members.iter().filter(|&&other| self.is_inside(other, listed.target) > 0) {
                text += &format!("\n    inside it: {}", self.listed[other].thread);
            }
        }
        Stuck::deadlocked(members.iter().map(|&place| self.listed[place].thread).collect(), &text)
    }
}

impl Waiter {
    /// Whether this wait has been chosen to end a deadlock.
    pub(in super::super) fn never_ends(&self) -> bool {
        // Acquire pairs with the Release in `end_a_deadlock`.
        self.never_ends.load(Ordering::Acquire)
    }

    /// The report. Only after `never_ends` was true.
    pub(in super::super) fn deadlock(&self) -> Stuck {
        let mut waits = outside(&WAITS);
        let told = waits.listed.iter_mut().find(|listed| listed.ticket == self.ticket).and_then(|own| own.told.clone());
        told.unwrap_or_else(|| {
            unreachable!("`end_a_deadlock` stores the report before the flag, and only this thread removes it")
        })
    }

    /// Keeps this wait although it is part of a deadlock, because the registry's owner says so. Another wait may end
    /// instead.
    pub(in super::super) fn resign(&self) {
        let mut waits = outside(&WAITS);
        // Relaxed: the lock of `WAITS` orders this store with the stores in `end_a_deadlock`, and only this thread
        // loads the flag.
        self.never_ends.store(false, Ordering::Relaxed);
        if let Some(own) = waits.listed.iter_mut().find(|listed| listed.ticket == self.ticket) {
            own.told = None;
            own.may_give_up = false;
        }
        waits.end_a_deadlock(None);
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        outside(&WAITS).listed.retain(|listed| listed.ticket != self.ticket);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ptr;

    /// A list of waits: each for a target, by a thread that is inside the given frames.
    fn waits(of: &[(usize, &[usize])]) -> Waits {
        let listed = |(ticket, (target, frames)): (usize, &(usize, &[usize]))| Listed {
            ticket: ticket as u64,
            thread: ThreadTag::made_up(u64::MAX),
            target: *target,
            slot: ptr::null(),
            // The hundreds of a target's number are the number of calls inside it.
            inside: |listed| (listed.target / 100) as u32,
            description: String::new(),
            frames: frames.to_vec(),
            may_give_up: true,
            told: None,
            core: ptr::null(),
            never_ends: ptr::null(),
        };
        Waits { listed: of.iter().enumerate().map(listed).collect(), last_ticket: 0 }
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
        let mut waits = waits(&[(B1, &[A1]), (A1, &[B1])]);
        waits.listed[1].told = Some(Stuck::deadlocked(Vec::new(), ""));
        assert_eq!(waits.deadlocked(), NONE);
    }

    /// A report names the threads of one ring, and not of another ring that exists at the same time.
    #[test]
    fn a_report_is_about_one_ring() {
        let of: &[(usize, &[usize])] = &[(B1, &[A1]), (301, &[302]), (A1, &[B1]), (302, &[301, 301, 301])];
        let waits = waits(of);
        assert_eq!(waits.deadlocked(), [0, 2], "of the three inside 302 one is listed");
        assert_eq!(waits.component(0, &[0, 1, 2, 3]), [0, 2]);
        assert_eq!(waits.component(2, &[0, 1, 2, 3]), [2, 0]);
    }
}

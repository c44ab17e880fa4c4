//! Waits that never end, found and named (S40, S41, S42).
//!
//! **Deadlocks that can be proved.** Threads that wait for a callback from inside another are listed here, for all
//! registries of the process together. A set of them is deadlocked when everybody inside the callbacks that they wait for
//! is one of them: none can leave before another does. That is checked when a wait begins and when a call leaves a
//! revoked callback; nothing else can complete such a set. There are no false alarms: a thread that is not listed, or
//! whose wait has a limit, counts as one that will leave.
//!
//! **Waits that are merely long.** A callback that joins a helper thread that waits for that callback (S40), or that needs
//! a lock which the waiting thread holds (S42), does not wait *here*, so it cannot be told from one that is slow. After
//! a time that the registry's owner sets, the wait is reported with all that is known.
//!
//! Not explored by the models: the list is process-wide and outlives an interleaving.

use super::handle::Handle;
use super::outstanding::Outstanding;
use super::record;
use super::slot::{Slot, State};
use super::sync::{Flag, Ordering, Outside, lock, outside};
use super::thread::ThreadTag;
use super::{Core, frame};
use std::fmt;
use std::time::Duration;

/// What to do about a wait that is [`Stuck`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OnStuck {
    /// End the wait: the verb answers [`Quiescence::Deadlocked`](super::Quiescence::Deadlocked) or
    /// [`Quiescence::StillRunning`](super::Quiescence::StillRunning), and the last call to leave drops the closure. A
    /// [`scope`](crate::signature::scope) cannot give up, and waits.
    GiveUp,
    /// Go on waiting.
    Wait,
}

/// A wait that never ends, or has lasted for long: who waits for what, and who is inside. Its
/// [`Display`](fmt::Display) is for people.
#[derive(Clone, Debug)]
pub struct Stuck {
    deadlock: bool,
    threads: Vec<ThreadTag>,
    text: String,
}

impl Stuck {
    /// Whether it is proved that the wait never ends; otherwise it has only lasted for long.
    #[must_use]
    pub fn is_deadlock(&self) -> bool {
        self.deadlock
    }

    /// The threads that have part in it, as far as they are known; the one that tells is the first.
    #[must_use]
    pub fn threads(&self) -> &[ThreadTag] {
        &self.threads
    }

    pub(super) fn slow(limit: Duration, callback: &Outstanding, others: u32) -> Self {
        let me = ThreadTag::current();
        let mut threads = vec![me];
        threads.extend(callback.threads().iter().filter(|thread| **thread != me));
        let text = format!(
            "{me} has waited for {limit:?} for a revoked callback; {others} of its calls are running on other threads\n\
             {callback}"
        );
        Self { deadlock: false, threads, text }
    }
}

impl fmt::Display for Stuck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Stuck {}

impl Core {
    /// Tells the registry's hook, or standard error and `otherwise`. No lock is held.
    pub(super) fn tell_stuck(&self, stuck: &Stuck, otherwise: OnStuck) -> OnStuck {
        match self.settings.stuck_hook {
            Some(hook) => hook(stuck),
            None => {
                eprintln!("latecall: {stuck}");
                otherwise
            }
        }
    }
}

/// A listed wait.
struct Listed {
    ticket: u64,
    thread: ThreadTag,
    /// The bits of the handle that is waited for.
    target: usize,
    /// Its slot.
    slot: *const (),
    /// How many calls and destructors of the target are under way.
    inside: fn(&Listed) -> u32,
    description: String,
    /// The bits of the handles of what the thread is inside of, once for each frame.
    frames: Vec<usize>,
    may_give_up: bool,
    /// It has been told to end, and will.
    told: Option<Stuck>,
    /// Where the thread sleeps.
    core: *const Core,
    never_ends: *const Flag,
}

// SAFETY: the pointers are used under `WAITS` only, where each is valid: its entry is removed, under the same lock,
// before what it points to goes away (`Waiter::drop`; in a child process, `forget_others`).
unsafe impl Send for Listed {}

pub(super) struct Waits {
    listed: Vec<Listed>,
    last_ticket: u64,
}

/// Lock order: this, then a registry's bookkeeping; never the other way round.
pub(super) static WAITS: Outside<Waits> = Outside::new(Waits { listed: Vec::new(), last_ticket: 0 });

/// A wait for as long as it is listed.
pub(super) struct Waiter {
    ticket: u64,
    /// Set under `WAITS` when this wait is found to be part of a deadlock and should end. Boxed: it has an address of
    /// its own while the waiter moves.
    never_ends: Box<Flag>,
}

fn calls_and_destructors<F: ?Sized>(listed: &Listed) -> u32 {
    // SAFETY: `slot` is the address of a `Slot<F>` of a registry that is borrowed by the thread whose entry this is, and
    // stays so while the entry is listed. A slot is only ever shared.
    let slot = unsafe { &*listed.slot.cast::<Slot<F>>() };
    // SAFETY: as above: the registry's.
    let core = unsafe { &*listed.core };
    let handle = Handle::from_bits(listed.target);
    // Marks are read under this lock.
    let _books = lock(&core.bookkeeping);
    let word = slot.word(handle.index());
    if word.is(handle, State::Revoking) {
        record::marked(listed.target)
    } else {
        // Closing: not known yet, so that nothing is proved; who counts them looks again.
        u32::from(word.is(handle, State::Quiescent))
    }
}

/// Lists that the calling thread waits for `slot`.
pub(super) fn begin<F: ?Sized>(
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
    // The one who completes a deadlock is the one to end it, if it can: it is not asleep yet.
    waits.end_a_deadlock(Some(ticket));
    drop(waits);
    Waiter { ticket, never_ends }
}

/// Looks for a deadlock that a call which has just left, or a revoker who has just counted, has completed. No lock is held.
#[cold]
pub(super) fn recheck() {
    let mut waits = outside(&WAITS);
    if !waits.listed.is_empty() {
        waits.end_a_deadlock(None);
    }
}

impl Waits {
    /// In a child process: the threads of the others do not exist, so their waits are over, and what their entries point to
    /// may be gone. Nothing is given back: that is no place to call the allocator.
    pub(super) fn forget_others(&mut self) {
        let me = ThreadTag::current();
        while let Some(place) = self.listed.iter().position(|listed| listed.thread != me) {
            std::mem::forget(self.listed.swap_remove(place));
        }
    }

    fn is_inside(&self, who: usize, handle: usize) -> u32 {
        self.listed[who].frames.iter().filter(|frame| **frame == handle).count() as u32
    }

    /// Which of the listed waits never end.
    fn deadlocked(&self) -> Vec<usize> {
        let mut blocked: Vec<usize> = (0..self.listed.len()).collect();
        loop {
            let stays = |who: &usize| {
                let target = &self.listed[*who];
                let inside = (target.inside)(target);
                let theirs: u32 = blocked.iter().map(|&other| self.is_inside(other, target.target)).sum();
                // Those who wait inside for the callback itself are excused from each other and let go together.
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

    /// Those of `deadlocked` that `who` waits for, directly or through others, `who` first.
    fn component(&self, who: usize, deadlocked: &[usize]) -> Vec<usize> {
        let mut members = vec![who];
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

    /// Tells one of those that never end: `preferred` if it is one of them, else the latest.
    fn end_a_deadlock(&mut self, preferred: Option<u64>) {
        let deadlocked = self.deadlocked();
        let may = |who: &&usize| self.listed[**who].may_give_up;
        let chosen = deadlocked.iter().filter(may).find(|who| Some(self.listed[**who].ticket) == preferred);
        let Some(&who) = chosen.or_else(|| deadlocked.iter().rev().find(may)) else { return };
        let stuck = self.describe(&self.component(who, &deadlocked));
        let listed = &mut self.listed[who];
        listed.told = Some(stuck);
        // SAFETY: the entry is listed and `WAITS` is locked, so the flag is there: see `Listed`.
        let never_ends = unsafe { &*listed.never_ends };
        // Release pairs with the Acquire in `Waiter::never_ends`.
        never_ends.store(true, Ordering::Release);
        // SAFETY: as for the flag; the thread that waits borrows the registry.
        let core = unsafe { &*listed.core };
        // The lock: a thread that has looked at the flag and not slept yet still holds it.
        drop(lock(&core.bookkeeping));
        core.changed.notify_all();
    }

    fn describe(&self, members: &[usize]) -> Stuck {
        let mut text = String::from("deadlock: nobody inside these callbacks can leave before another does");
        for &who in members {
            let listed = &self.listed[who];
            text += &format!("\n  {} waits for\n  {}", listed.thread, listed.description);
            for &other in members.iter().filter(|&&other| self.is_inside(other, listed.target) > 0) {
                text += &format!("\n    inside it: {}", self.listed[other].thread);
            }
        }
        Stuck { deadlock: true, threads: members.iter().map(|&who| self.listed[who].thread).collect(), text }
    }
}

impl Waiter {
    /// Whether this wait is part of a deadlock, and the one to end it.
    pub(super) fn never_ends(&self) -> bool {
        // Acquire pairs with the Release in `end_a_deadlock`.
        self.never_ends.load(Ordering::Acquire)
    }

    /// Who has part in it.
    pub(super) fn deadlock(&self) -> Stuck {
        let mut waits = outside(&WAITS);
        let told = waits.listed.iter_mut().find(|listed| listed.ticket == self.ticket).and_then(|own| own.told.clone());
        told.unwrap_or_else(|| unreachable!("written before `never_ends` is set, and removed by this thread alone"))
    }

    /// The registry's owner wants this wait to go on: another one may end.
    pub(super) fn resign(&self) {
        let mut waits = outside(&WAITS);
        // Relaxed: written under the lock by whoever writes it; read by this thread.
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

    /// A wait for slot `target`, which has two frames and more if the test says so, by a thread inside `frames`.
    fn waits(of: &[(usize, &[usize])]) -> Waits {
        let listed = |(ticket, (target, frames)): (usize, &(usize, &[usize]))| Listed {
            ticket: ticket as u64,
            thread: ThreadTag::made_up(u64::MAX),
            target: *target,
            slot: ptr::null(),
            // What is inside, by number of the target: the hundreds say so.
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

    /// Slots that one, and two, calls are inside.
    const A1: usize = 101;
    const B1: usize = 102;
    const C1: usize = 103;
    const X2: usize = 201;
    const NONE: [usize; 0] = [];

    fn deadlocked(of: &[(usize, &[usize])]) -> Vec<usize> {
        waits(of).deadlocked()
    }

    /// S41: rings, and who waits for one from outside it.
    #[test]
    fn a_ring_never_ends() {
        assert_eq!(deadlocked(&[(B1, &[A1]), (A1, &[B1])]), [0, 1]);
        assert_eq!(deadlocked(&[(B1, &[A1]), (C1, &[B1]), (A1, &[C1])]), [0, 1, 2]);
        // The frame need not be the innermost.
        assert_eq!(deadlocked(&[(B1, &[C1, A1]), (A1, &[B1])]), [0, 1]);
        // It cannot leave either, though nobody waits for it.
        assert_eq!(deadlocked(&[(B1, &[A1]), (A1, &[B1]), (A1, &[C1])]), [0, 1, 2]);
        // Two are inside X, and each waits for what ends with the other's.
        assert_eq!(deadlocked(&[(A1, &[X2]), (B1, &[X2]), (X2, &[A1]), (X2, &[B1])]), [0, 1, 2, 3]);
    }

    /// S100: whatever has somebody inside who may still leave.
    #[test]
    fn what_may_still_end_is_not_called_a_deadlock() {
        assert_eq!(deadlocked(&[]), NONE);
        assert_eq!(deadlocked(&[(B1, &[A1])]), NONE, "whoever is inside B does not wait");
        assert_eq!(deadlocked(&[(B1, &[A1]), (C1, &[B1])]), NONE, "a chain");
        assert_eq!(deadlocked(&[(X2, &[A1]), (A1, &[X2])]), NONE, "the other one inside X does not wait");
        assert_eq!(deadlocked(&[(99, &[A1]), (A1, &[99])]), NONE, "nobody is inside any more");
    }

    /// Two that are inside one callback and wait for it are let go together, and so is who waits for them.
    #[test]
    fn who_is_excused_is_not_stuck() {
        assert_eq!(deadlocked(&[(X2, &[X2]), (X2, &[X2])]), NONE);
        assert_eq!(deadlocked(&[(X2, &[X2]), (X2, &[X2]), (X2, &[A1])]), NONE);
        // One waits for X inside it, the other for something else: that is a ring.
        assert_eq!(deadlocked(&[(X2, &[X2]), (A1, &[X2]), (X2, &[A1])]), [0, 1, 2]);
    }

    /// One that has been told to give up will leave, so nobody else is told for its sake.
    #[test]
    fn one_of_a_ring_is_told() {
        let mut waits = waits(&[(B1, &[A1]), (A1, &[B1])]);
        waits.listed[1].told = Some(Stuck { deadlock: true, threads: Vec::new(), text: String::new() });
        assert_eq!(waits.deadlocked(), NONE);
    }

    /// What is reported is the ring, and not another one that there happens to be.
    #[test]
    fn a_report_is_about_one_ring() {
        let of: &[(usize, &[usize])] = &[(B1, &[A1]), (301, &[302]), (A1, &[B1]), (302, &[301, 301, 301])];
        let waits = waits(of);
        assert_eq!(waits.deadlocked(), [0, 2], "of the three inside 302 one is listed");
        assert_eq!(waits.component(0, &[0, 1, 2, 3]), [0, 2]);
        assert_eq!(waits.component(2, &[0, 1, 2, 3]), [2, 0]);
    }
}

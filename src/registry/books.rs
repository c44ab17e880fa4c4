//! What the registry writes down under its lock: which slots are vacant, who registered and revoked what and where,
//! tombstones, and who is waiting.
//!
//! Bookkeeping only: no callback, destructor or hook runs while it is borrowed, and no call ever needs it. Room for
//! everything that revoking writes is reserved when a slot is first used, so that revoking does not have to fail for
//! want of memory.

use super::completion::Once;
use super::handle::Handle;
use super::thread::ThreadTag;
use std::borrow::Cow;
use std::collections::{TryReserveError, VecDeque};
use std::panic::Location;
use std::time::Instant;

/// Something that was done to a registration: where in the source, by which thread, when.
#[derive(Clone, Copy, Debug)]
pub(super) struct Trace {
    /// `None`: a `Registration` was dropped; the compiler does not say where.
    pub(super) at: Option<&'static Location<'static>>,
    pub(super) thread: ThreadTag,
    pub(super) when: Instant,
}

impl Trace {
    pub(super) fn now(at: Option<&'static Location<'static>>) -> Self {
        Self { at, thread: ThreadTag::current(), when: Instant::now() }
    }
}

/// What is known about one registration.
#[derive(Clone, Debug)]
pub(super) struct Life {
    pub(super) generation: u32,
    pub(super) label: Option<Cow<'static, str>>,
    pub(super) registered: Trace,
    pub(super) revoked: Option<Trace>,
}

/// A registration whose closure is gone, kept so that a late call can be explained.
#[derive(Debug)]
pub(super) struct Tombstone {
    pub(super) index: u32,
    pub(super) life: Life,
}

/// A thread that waits for a callback while it is inside that callback.
#[derive(Debug)]
pub(super) struct InsideWaiter {
    ticket: u64,
    index: u32,
    own: u32,
    released: bool,
}

/// Tombstones beyond the limit that may exist for a moment, while as many threads are between writing one and flushing.
const TOMBSTONE_SLACK: usize = 64;

pub(super) struct Books {
    /// Slots to reuse, longest vacant first.
    pub(super) vacant: VecDeque<u32>,
    /// Slots that ever had a tenant: `0..used`.
    pub(super) used: u32,
    /// By index; `None` while the slot has no tenant.
    pub(super) lives: Vec<Option<Life>>,
    /// Oldest first.
    pub(super) tombstones: VecDeque<Tombstone>,
    inside_waiters: Vec<InsideWaiter>,
    last_ticket: u64,
    /// What to run when a revoked registration is over; see `completion`.
    pub(super) completions: Vec<(Handle, Once)>,
    /// Nothing can be registered any more; see `close`.
    pub(super) closed: bool,
    pub(super) registered: u64,
    pub(super) revoked: u64,
    pub(super) dropped: u64,
    pub(super) retired: u32,
    pub(super) flushed: u64,
}

impl Books {
    pub(super) const fn new() -> Self {
        Self {
            vacant: VecDeque::new(),
            used: 0,
            lives: Vec::new(),
            tombstones: VecDeque::new(),
            inside_waiters: Vec::new(),
            last_ticket: 0,
            completions: Vec::new(),
            closed: false,
            registered: 0,
            revoked: 0,
            dropped: 0,
            retired: 0,
            flushed: 0,
        }
    }

    /// Makes room for one more slot, including for its end.
    pub(super) fn reserve_slot(&mut self, tombstone_limit: usize) -> Result<(), TryReserveError> {
        let slots = self.used as usize + 1;
        self.lives.try_reserve(slots - self.lives.len())?;
        self.vacant.try_reserve(slots - self.vacant.len())?;
        let tombstones = slots.min(tombstone_limit.saturating_add(TOMBSTONE_SLACK));
        self.tombstones.try_reserve(tombstones.saturating_sub(self.tombstones.len()))
    }

    pub(super) fn begin(&mut self, index: u32, life: Life) {
        let index = index as usize;
        if index == self.lives.len() {
            self.lives.push(None);
        }
        self.lives[index] = Some(life);
        self.registered += 1;
    }

    pub(super) fn note_revoked(&mut self, index: u32, trace: Trace) {
        if let Some(Some(life)) = self.lives.get_mut(index as usize) {
            life.revoked = Some(trace);
        }
        self.revoked += 1;
    }

    pub(super) fn bury(&mut self, index: u32) {
        if let Some(life) = self.lives.get_mut(index as usize).and_then(Option::take) {
            self.tombstones.push_back(Tombstone { index, life });
        }
        self.dropped += 1;
    }

    /// What is known about the tenant `generation` of slot `index`: alive, being revoked, or under a tombstone.
    pub(super) fn find(&self, index: u32, generation: u32) -> Option<&Life> {
        let current = self.lives.get(index as usize).and_then(Option::as_ref);
        current.filter(|life| life.generation == generation).or_else(|| {
            let mut newest_first = self.tombstones.iter().rev();
            newest_first.find(|t| t.index == index && t.life.generation == generation).map(|t| &t.life)
        })
    }

    /// Notes that a thread with `own` calls of slot `index` on its stack waits for the calls of others.
    pub(super) fn wait_inside(&mut self, index: u32, own: u32) -> u64 {
        self.last_ticket += 1;
        self.inside_waiters.push(InsideWaiter { ticket: self.last_ticket, index, own, released: false });
        self.last_ticket
    }

    /// Lets go all who wait inside slot `index`, if the `count` calls inside are all theirs. They are let go together:
    /// each is excused for the others, so none may be left behind waiting for one that has gone on.
    pub(super) fn release_inside(&mut self, index: u32, count: u32) -> bool {
        let waiting = |waiter: &&mut InsideWaiter| waiter.index == index && !waiter.released;
        let theirs: u32 = self.inside_waiters.iter_mut().filter(waiting).map(|waiter| waiter.own).sum();
        let all = theirs > 0 && theirs == count;
        if all {
            self.inside_waiters.iter_mut().filter(waiting).for_each(|waiter| waiter.released = true);
        }
        all
    }

    /// Whether `ticket` has been let go; if so it is forgotten.
    pub(super) fn take_release(&mut self, ticket: u64) -> bool {
        let place = self.inside_waiters.iter().position(|waiter| waiter.ticket == ticket && waiter.released);
        place.map(|place| self.inside_waiters.swap_remove(place)).is_some()
    }

    /// Forgets a ticket whose wait ends without having been let go.
    pub(super) fn cancel_wait(&mut self, ticket: u64) {
        self.inside_waiters.retain(|waiter| waiter.ticket != ticket);
    }
}

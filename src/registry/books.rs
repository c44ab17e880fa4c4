//! What the registry writes down under its lock: which slots are vacant, who registered and revoked what and where,
//! tombstones, and who is waiting.
//!
//! Bookkeeping only: no callback, destructor or hook runs while it is borrowed, and no call ever needs it unless it meets
//! a revocation. Room for everything that revoking must write is reserved when a slot is first used, so that revoking does
//! not have to fail for want of memory; what it may write (who revoked a callback that is still running) is left out when
//! there is none.
//!
//! A live registration costs four bytes here. What it came from (place, thread, time) is written down once for all that
//! one thread registers at one place in the same tick of the clock ([`Origin`]).

use super::clock::Moment;
use super::handle::Handle;
use super::thread::ThreadTag;
use std::borrow::Cow;
use std::collections::{TryReserveError, VecDeque};
use std::panic::Location;

/// Something that was done to a registration: where in the source, by which thread, when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Trace {
    /// `None`: a `Registration` was dropped; the compiler does not say where.
    pub(super) at: Option<&'static Location<'static>>,
    pub(super) thread: ThreadTag,
    pub(super) when: Moment,
}

impl Trace {
    #[inline]
    pub(super) fn now(at: Option<&'static Location<'static>>) -> Self {
        Self { at, thread: ThreadTag::current(), when: Moment::now() }
    }

    /// Whether both are of one place, thread and tick. Places are compared by address: at worst two that are one look
    /// like two.
    fn same(&self, other: &Self) -> bool {
        let place = |trace: &Self| trace.at.map_or(std::ptr::null(), std::ptr::from_ref);
        place(self) == place(other) && self.when == other.when && self.thread.number() == other.thread.number()
    }
}

/// Where registrations came from.
#[derive(Clone, Debug)]
struct Origin {
    trace: Trace,
    /// A registration with a label has an origin of its own.
    label: Option<Cow<'static, str>>,
    /// How many registrations share this; 0: the entry is free, and `next` is the next free one.
    shares: u32,
    next: u32,
}

/// What is known about one registration.
#[derive(Clone, Debug)]
pub(super) struct Life {
    pub(super) label: Option<Cow<'static, str>>,
    pub(super) registered: Trace,
    pub(super) revoked: Option<Trace>,
}

/// A registration whose closure is gone, kept so that a late call can be explained.
#[derive(Debug)]
struct Tombstone {
    handle: Handle,
    life: Life,
}

/// A thread that waits for a callback while it is inside that callback.
#[derive(Debug)]
struct InsideWaiter {
    ticket: u64,
    handle: Handle,
    own: u32,
    released: bool,
}

/// Tombstones beyond the limit that may exist for a moment, while as many threads are between writing one and flushing.
const TOMBSTONE_SLACK: usize = 64;
/// No index: the end of a list.
const NONE: u32 = u32::MAX;

#[derive(Debug)]
pub(super) struct Books {
    /// By index: while the slot has a tenant, its place in `origins`; while it is vacant, the slot to reuse after it.
    notes: Vec<u32>,
    /// Slots to reuse, longest vacant first: the first and the last.
    vacant: (u32, u32),
    origins: Vec<Origin>,
    free_origin: u32,
    /// The newest, which the next registration may share.
    last_origin: u32,
    /// Who revoked those that are revoked and not under a tombstone yet, as far as there was room to write it down.
    revocations: Vec<(Handle, Trace)>,
    /// Revoked, by whom, with the closure to be dropped later.
    deferred: Vec<(Handle, Trace)>,
    /// Oldest first.
    tombstones: VecDeque<Tombstone>,
    inside_waiters: Vec<InsideWaiter>,
    last_ticket: u64,
    /// Threads that wait for anything: if there are none, nobody has to be told.
    pub(super) waiting: u32,
    pub(super) registered: u64,
    pub(super) revoked: u64,
    pub(super) dropped: u64,
    pub(super) retired: u32,
    pub(super) flushed: u64,
}

impl Books {
    pub(super) const fn new() -> Self {
        Self {
            notes: Vec::new(),
            vacant: (NONE, NONE),
            origins: Vec::new(),
            free_origin: NONE,
            last_origin: NONE,
            revocations: Vec::new(),
            deferred: Vec::new(),
            tombstones: VecDeque::new(),
            inside_waiters: Vec::new(),
            last_ticket: 0,
            waiting: 0,
            registered: 0,
            revoked: 0,
            dropped: 0,
            retired: 0,
            flushed: 0,
        }
    }

    /// Slots that ever had a tenant: `0..used`.
    pub(super) fn used(&self) -> u32 {
        self.notes.len() as u32
    }

    pub(super) fn tombstones(&self) -> usize {
        self.tombstones.len()
    }

    /// Makes room for one more slot, including for its end.
    pub(super) fn reserve_slot(&mut self, tombstone_limit: usize) -> Result<(), TryReserveError> {
        self.notes.try_reserve(1)?;
        let tombstones = (self.notes.len() + 1).min(tombstone_limit.saturating_add(TOMBSTONE_SLACK));
        self.tombstones.try_reserve(tombstones.saturating_sub(self.tombstones.len()))
    }

    /// Makes room for what `begin` writes.
    pub(super) fn reserve_origin(&mut self) -> Result<(), TryReserveError> {
        if self.free_origin == NONE { self.origins.try_reserve(1) } else { Ok(()) }
    }

    /// The slot that `reserve_slot` made room for is in use from here on.
    pub(super) fn use_slot(&mut self) -> u32 {
        self.notes.push(NONE);
        self.used() - 1
    }

    /// Lists a slot for reuse.
    pub(super) fn list_vacant(&mut self, index: u32) {
        self.notes[index as usize] = NONE;
        match self.vacant.1 {
            NONE => self.vacant.0 = index,
            last => self.notes[last as usize] = index,
        }
        self.vacant.1 = index;
    }

    /// The slot that has been vacant longest.
    pub(super) fn next_vacant(&mut self) -> Option<u32> {
        let index = self.vacant.0;
        if index == NONE {
            return None;
        }
        self.vacant.0 = self.notes[index as usize];
        if self.vacant.0 == NONE {
            self.vacant.1 = NONE;
        }
        Some(index)
    }

    /// A tenant for slot `index`. `reserve_origin` has made room.
    pub(super) fn begin(&mut self, index: u32, label: Option<Cow<'static, str>>, trace: Trace) {
        self.registered += 1;
        if label.is_none()
            && let Some(last) = self.origins.get_mut(self.last_origin as usize)
            && last.trace.same(&trace)
            && last.shares < u32::MAX
        {
            last.shares += 1;
            self.notes[index as usize] = self.last_origin;
            return;
        }
        let shared = label.is_none();
        let origin = Origin { trace, label, shares: 1, next: NONE };
        let place = match self.free_origin {
            NONE => {
                self.origins.push(origin);
                self.origins.len() as u32 - 1
            }
            free => {
                let entry = &mut self.origins[free as usize];
                self.free_origin = entry.next;
                *entry = origin;
                free
            }
        };
        if shared {
            self.last_origin = place;
        }
        self.notes[index as usize] = place;
    }

    pub(super) fn note_revoked(&mut self, handle: Handle, trace: Trace) {
        if self.revocations.try_reserve(1).is_ok() {
            self.revocations.push((handle, trace));
        }
    }

    /// Makes room for `defer`; false if there is none.
    pub(super) fn reserve_deferred(&mut self) -> bool {
        self.deferred.try_reserve(1).is_ok()
    }

    /// Lists a closed slot for a later count. Says how many are listed.
    pub(super) fn defer(&mut self, handle: Handle, trace: Trace) -> usize {
        self.deferred.push((handle, trace));
        self.deferred.len()
    }

    /// All that are listed; they are the caller's to count.
    pub(super) fn take_deferred(&mut self) -> Vec<(Handle, Trace)> {
        std::mem::take(&mut self.deferred)
    }

    /// Keeps the room of a list that has been worked off.
    pub(super) fn recycle(&mut self, mut batch: Vec<(Handle, Trace)>) {
        if self.deferred.is_empty() {
            batch.clear();
            self.deferred = batch;
        }
    }

    /// The registration is over; `revoked`: by whom, if that has not been noted.
    pub(super) fn bury(&mut self, handle: Handle, revoked: Option<Trace>) {
        self.dropped += 1;
        let revoked = revoked.or_else(|| {
            let place = self.revocations.iter().rposition(|(of, _)| *of == handle)?;
            Some(self.revocations.swap_remove(place).1)
        });
        let place = self.notes[handle.index() as usize];
        let origin = &mut self.origins[place as usize];
        origin.shares -= 1;
        let registered = origin.trace;
        let mut label = None;
        if origin.shares == 0 {
            label = origin.label.take();
            origin.next = self.free_origin;
            self.free_origin = place;
            if self.last_origin == place {
                self.last_origin = NONE;
            }
        }
        self.tombstones.push_back(Tombstone { handle, life: Life { label, registered, revoked } });
    }

    /// Forgets the oldest tombstone.
    pub(super) fn dig_up(&mut self) -> Option<Handle> {
        let tombstone = self.tombstones.pop_front()?;
        self.flushed += 1;
        Some(tombstone.handle)
    }

    /// What is known about the registration `handle`, which the slot says is alive, being revoked, or buried.
    pub(super) fn find(&self, handle: Handle, in_slot: bool) -> Option<Life> {
        let buried = self.tombstones.iter().rev().find(|tombstone| tombstone.handle == handle);
        if let Some(tombstone) = buried {
            return Some(tombstone.life.clone());
        }
        if !in_slot {
            return None;
        }
        let origin = self.origins.get(*self.notes.get(handle.index() as usize)? as usize)?;
        let mut noted = self.revocations.iter().chain(&self.deferred);
        let revoked = noted.find(|(of, _)| *of == handle).map(|(_, trace)| *trace);
        Some(Life { label: origin.label.clone(), registered: origin.trace, revoked })
    }

    /// Notes that a thread with `own` calls of `handle` on its stack waits for the calls of others.
    pub(super) fn wait_inside(&mut self, handle: Handle, own: u32) -> u64 {
        self.last_ticket += 1;
        self.inside_waiters.push(InsideWaiter { ticket: self.last_ticket, handle, own, released: false });
        self.last_ticket
    }

    /// Lets go all who wait inside `handle`, if the `count` calls inside are all theirs. They are let go together:
    /// each is excused for the others, so none may be left behind waiting for one that has gone on.
    pub(super) fn release_inside(&mut self, handle: Handle, count: u32) -> bool {
        let waiting = |waiter: &&mut InsideWaiter| waiter.handle == handle && !waiter.released;
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
}

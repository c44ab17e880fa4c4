//! What the registry writes down under its lock: which slots are vacant, who registered and revoked what and where,
//! tombstones, and who is waiting.
//!
//! Bookkeeping only: no callback, destructor or hook runs while it is borrowed, and no call ever needs it unless it meets
//! a revocation. Room for everything that revoking must write is reserved when a slot is first used, so that revoking does
//! not have to fail for want of memory; what it may write (who revoked a callback that is still running) is left out when
//! there is none.
//!
//! A live registration costs four bytes here, a tombstone sixteen. Place, thread and time of what was done are written down
//! once for all that one thread did at one place in the same tick of the clock ([`Note`]).

use super::clock::Timestamp;
use super::completion::BoxedOnce;
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
    pub(super) when: Timestamp,
}

impl Trace {
    #[inline]
    pub(super) fn now(at: Option<&'static Location<'static>>) -> Self {
        Self { at, thread: ThreadTag::current(), when: Timestamp::now() }
    }

    /// Whether both are of one place, thread and tick. Places are compared by address: at worst two that are one look
    /// like two.
    fn same(&self, other: &Self) -> bool {
        let place = |trace: &Self| trace.at.map_or(std::ptr::null(), std::ptr::from_ref);
        place(self) == place(other) && self.when == other.when && self.thread.number() == other.thread.number()
    }
}

/// Something that was done, once or often.
#[derive(Clone, Debug)]
struct Note {
    trace: Trace,
    /// A registration with a label has a note of its own.
    label: Option<Cow<'static, str>>,
    /// How many registrations, revocations and tombstones refer to it.
    shares: u32,
    /// While it is free: the next free one.
    next: u32,
}

/// What is known about one registration.
#[derive(Clone, Debug)]
pub(super) struct History {
    pub(super) label: Option<Cow<'static, str>>,
    pub(super) registered: Trace,
    pub(super) revoked: Option<Trace>,
}

/// A registration whose closure is gone, kept so that a late call can be explained.
#[derive(Debug)]
struct Tombstone {
    handle: Handle,
    /// Places in `notes`.
    registered: u32,
    revoked: u32,
}

/// A revocation that is not under a tombstone yet: whose, and the place of its note.
pub(super) type Revocation = (Handle, u32);

/// What a note may be about: each kind has its newest, which the next one may share.
#[derive(Clone, Copy)]
enum NoteKind {
    Registered = 0,
    Revoked = 1,
}

/// A thread that waits for a callback while it is inside that callback.
#[derive(Debug)]
struct InsideWaiter {
    ticket: u64,
    handle: Handle,
    thread: ThreadTag,
    own: u32,
    released: bool,
}

/// Tombstones beyond the limit that may exist for a moment, while as many threads are between writing one and flushing.
const TOMBSTONE_SLACK: usize = 64;
/// Notes to make room for at first: as many ticks as tombstones usually span, so that memory settles early.
const FIRST_NOTES: usize = 32;
/// No index: the end of a list.
const NONE: u32 = u32::MAX;

pub(super) struct Bookkeeping {
    /// By index: while the slot has a tenant, the place of its note; while it is vacant, the slot to reuse after it.
    slots: Vec<u32>,
    /// Slots to reuse, longest vacant first: the first and the last.
    vacant: (u32, u32),
    notes: Vec<Note>,
    free_note: u32,
    /// The newest of each kind; not free even if nobody refers to it.
    newest: [u32; 2],
    /// Who revoked those that are revoked and not under a tombstone yet, as far as there was room to write it down.
    revocations: Vec<Revocation>,
    /// Revoked, by whom, with the closure to be dropped later.
    deferred: Vec<Revocation>,
    /// Oldest first.
    tombstones: VecDeque<Tombstone>,
    inside_waiters: Vec<InsideWaiter>,
    last_ticket: u64,
    /// Threads that wait for anything: if there are none, nobody has to be told.
    pub(super) waiting: u32,
    /// What to run when a revoked registration is over; see `completion`.
    pub(super) completions: Vec<(Handle, BoxedOnce)>,
    /// Nothing can be registered any more; see `close`.
    pub(super) closed: bool,
    pub(super) registered: u64,
    pub(super) revoked: u64,
    pub(super) dropped: u64,
    pub(super) retired: u32,
    pub(super) flushed: u64,
}

impl Bookkeeping {
    pub(super) const fn new() -> Self {
        Self {
            slots: Vec::new(),
            vacant: (NONE, NONE),
            notes: Vec::new(),
            free_note: NONE,
            newest: [NONE; 2],
            revocations: Vec::new(),
            deferred: Vec::new(),
            tombstones: VecDeque::new(),
            inside_waiters: Vec::new(),
            last_ticket: 0,
            waiting: 0,
            completions: Vec::new(),
            closed: false,
            registered: 0,
            revoked: 0,
            dropped: 0,
            retired: 0,
            flushed: 0,
        }
    }

    /// Slots that ever had a tenant: `0..used`.
    pub(super) fn used(&self) -> u32 {
        self.slots.len() as u32
    }

    pub(super) fn tombstones(&self) -> usize {
        self.tombstones.len()
    }

    /// Makes room for one more slot, including for its end.
    pub(super) fn reserve_slot(&mut self, tombstone_limit: usize) -> Result<(), TryReserveError> {
        self.slots.try_reserve(1)?;
        let tombstones = (self.slots.len() + 1).min(tombstone_limit.saturating_add(TOMBSTONE_SLACK));
        self.tombstones.try_reserve(tombstones.saturating_sub(self.tombstones.len()))
    }

    /// Makes room for a note.
    pub(super) fn reserve_note(&mut self) -> Result<(), TryReserveError> {
        match self.free_note {
            NONE if self.notes.is_empty() => self.notes.try_reserve(FIRST_NOTES),
            NONE => self.notes.try_reserve(1),
            _ => Ok(()),
        }
    }

    /// Writes a note, or takes a share of the newest of its kind. `reserve_note` has made room.
    #[inline]
    fn note(&mut self, entry: NoteKind, label: Option<Cow<'static, str>>, trace: Trace) -> u32 {
        let newest = self.newest[entry as usize];
        if label.is_none()
            && let Some(note) = self.notes.get_mut(newest as usize)
            && note.trace.same(&trace)
            && note.shares < u32::MAX
        {
            note.shares += 1;
            return newest;
        }
        self.note_anew(entry, label, trace)
    }

    #[cold]
    fn note_anew(&mut self, entry: NoteKind, label: Option<Cow<'static, str>>, trace: Trace) -> u32 {
        let shared = label.is_none();
        let note = Note { trace, label, shares: 1, next: NONE };
        let place = match self.free_note {
            NONE => {
                self.notes.push(note);
                self.notes.len() as u32 - 1
            }
            free => {
                let entry = &mut self.notes[free as usize];
                self.free_note = entry.next;
                *entry = note;
                free
            }
        };
        if shared {
            let before = std::mem::replace(&mut self.newest[entry as usize], place);
            if before != NONE && self.notes[before as usize].shares == 0 {
                self.free(before);
            }
        }
        place
    }

    /// Gives a share of a note back.
    #[inline]
    fn forget(&mut self, place: u32) {
        let Some(note) = self.notes.get_mut(place as usize) else { return };
        note.shares -= 1;
        if note.shares == 0 && !self.newest.contains(&place) {
            self.free(place);
        }
    }

    #[cold]
    fn free(&mut self, place: u32) {
        let note = &mut self.notes[place as usize];
        note.label = None;
        note.next = self.free_note;
        self.free_note = place;
    }

    /// The slot that `reserve_slot` made room for is in use from here on.
    pub(super) fn use_slot(&mut self) -> u32 {
        self.slots.push(NONE);
        self.used() - 1
    }

    /// Lists a slot for reuse.
    pub(super) fn list_vacant(&mut self, index: u32) {
        self.slots[index as usize] = NONE;
        match self.vacant.1 {
            NONE => self.vacant.0 = index,
            last => self.slots[last as usize] = index,
        }
        self.vacant.1 = index;
    }

    /// A slot that will have no tenant any more.
    pub(super) fn retire(&mut self, index: u32) {
        self.slots[index as usize] = NONE;
        self.retired += 1;
    }

    /// The slot that has been vacant longest.
    pub(super) fn next_vacant(&mut self) -> Option<u32> {
        let index = self.vacant.0;
        if index == NONE {
            return None;
        }
        self.vacant.0 = self.slots[index as usize];
        if self.vacant.0 == NONE {
            self.vacant.1 = NONE;
        }
        Some(index)
    }

    /// A tenant for slot `index`. `reserve_note` has made room.
    #[inline]
    pub(super) fn begin(&mut self, index: u32, label: Option<Cow<'static, str>>, trace: Trace) {
        self.registered += 1;
        self.slots[index as usize] = self.note(NoteKind::Registered, label, trace);
    }

    /// A note of who revokes; of nobody if there is no room.
    pub(super) fn note_revoker(&mut self, trace: Trace) -> u32 {
        if self.reserve_note().is_ok() { self.note(NoteKind::Revoked, None, trace) } else { NONE }
    }

    /// Keeps who revoked `handle` until it is buried.
    pub(super) fn keep_revoker(&mut self, handle: Handle, revoked: u32) {
        if self.revocations.try_reserve(1).is_ok() {
            self.revocations.push((handle, revoked));
        } else {
            self.forget(revoked);
        }
    }

    /// Makes room for `defer`; false if there is none.
    pub(super) fn reserve_deferred(&mut self) -> bool {
        self.deferred.try_reserve(1).is_ok()
    }

    /// Lists a closed slot for a later count. Says how many are listed.
    pub(super) fn defer(&mut self, handle: Handle, revoked: u32) -> usize {
        self.deferred.push((handle, revoked));
        self.deferred.len()
    }

    /// All that are listed; they are the caller's to count.
    pub(super) fn take_deferred(&mut self) -> Vec<Revocation> {
        std::mem::take(&mut self.deferred)
    }

    /// Keeps the room of a list that has been worked off.
    pub(super) fn recycle(&mut self, mut batch: Vec<Revocation>) {
        if self.deferred.is_empty() {
            batch.clear();
            self.deferred = batch;
        }
    }

    /// The registration is over; `revoked`: the note of by whom, if that was not kept here.
    pub(super) fn add_tombstone(&mut self, handle: Handle, revoked: Option<u32>) {
        self.dropped += 1;
        let revoked = revoked.or_else(|| {
            let place = self.revocations.iter().rposition(|(of, _)| *of == handle)?;
            Some(self.revocations.swap_remove(place).1)
        });
        // The note of its registration is the tombstone's from here on.
        let registered = self.slots[handle.index() as usize];
        self.tombstones.push_back(Tombstone { handle, registered, revoked: revoked.unwrap_or(NONE) });
    }

    /// Forgets the oldest tombstone.
    pub(super) fn pop_tombstone(&mut self) -> Option<Handle> {
        let tombstone = self.tombstones.pop_front()?;
        self.flushed += 1;
        self.forget(tombstone.registered);
        self.forget(tombstone.revoked);
        Some(tombstone.handle)
    }

    /// What is known about the registration `handle`; `in_slot`: it is the slot's tenant, or was the last.
    pub(super) fn find(&self, handle: Handle, in_slot: bool) -> Option<History> {
        let buried = self.tombstones.iter().rev().find(|tombstone| tombstone.handle == handle);
        let (registered, revoked) = match buried {
            Some(tombstone) => (tombstone.registered, tombstone.revoked),
            None if in_slot => {
                let mut kept = self.revocations.iter().chain(&self.deferred);
                let revoked = kept.find(|(of, _)| *of == handle).map_or(NONE, |(_, revoked)| *revoked);
                (*self.slots.get(handle.index() as usize)?, revoked)
            }
            None => return None,
        };
        let registered = self.notes.get(registered as usize)?;
        let revoked = self.notes.get(revoked as usize).map(|note| note.trace);
        Some(History { label: registered.label.clone(), registered: registered.trace, revoked })
    }

    /// Notes that a thread with `own` calls of `handle` on its stack waits for the calls of others.
    pub(super) fn wait_inside(&mut self, handle: Handle, own: u32) -> u64 {
        self.last_ticket += 1;
        let (ticket, thread) = (self.last_ticket, ThreadTag::current());
        self.inside_waiters.push(InsideWaiter { ticket, handle, thread, own, released: false });
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

    /// Forgets a ticket whose wait ends without having been let go.
    pub(super) fn cancel_wait(&mut self, ticket: u64) {
        self.inside_waiters.retain(|waiter| waiter.ticket != ticket);
    }

    /// In a child process: only `me` is left to wait.
    pub(super) fn forget_other_waiters(&mut self, me: ThreadTag) {
        self.inside_waiters.retain(|waiter| waiter.thread == me);
    }
}

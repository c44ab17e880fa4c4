//! What the registry writes under its lock: which slots are vacant, where and on which thread callbacks were registered
//! and revoked, tombstones, and which threads wait.
//!
//! No callback, destructor or hook runs while the lock is held. A call needs the lock only if it meets a revocation.
//!
//! A revocation does not fail for lack of memory: the memory for its tombstone is reserved when its slot is first used.
//! The note of where a callback was revoked is left out if there is no memory for it.
//!
//! A live registration costs 4 bytes here, and a tombstone 16. Place, thread and time are written once for everything
//! that one thread did at one place in the same tick of the clock ([`Note`]).

use super::clock::Timestamp;
use super::completion::BoxedOnce;
use super::handle::Handle;
use super::thread::ThreadTag;
use std::borrow::Cow;
use std::collections::{TryReserveError, VecDeque};
use std::panic::Location;

/// A registration or revocation: where in the source, on which thread, when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Trace {
    /// `None`: a `Registration` was dropped, and Rust does not say where.
    pub(super) at: Option<&'static Location<'static>>,
    pub(super) thread: ThreadTag,
    pub(super) when: Timestamp,
}

impl Trace {
    #[inline]
    pub(super) fn now(at: Option<&'static Location<'static>>) -> Self {
        Self { at, thread: ThreadTag::current(), when: Timestamp::now() }
    }

    /// Whether both are of one place, thread and tick. Places are compared by address, so that two may differ that are
    /// equal; this costs a second note.
    fn same(&self, other: &Self) -> bool {
        let place = |trace: &Self| trace.at.map_or(std::ptr::null(), std::ptr::from_ref);
        place(self) == place(other) && self.when == other.when && self.thread.number() == other.thread.number()
    }
}

/// A [`Trace`] that several registrations, revocations and tombstones share.
#[derive(Clone, Debug)]
struct Note {
    trace: Trace,
    /// A registration with a label does not share its note.
    label: Option<Cow<'static, str>>,
    /// How many registrations, revocations and tombstones refer to this note.
    shares: u32,
    /// While this note is free: the next one of the freelist.
    next: u32,
}

/// What the bookkeeping has on one registration.
#[derive(Clone, Debug)]
pub(super) struct History {
    pub(super) label: Option<Cow<'static, str>>,
    pub(super) registered: Trace,
    pub(super) revoked: Option<Trace>,
}

/// A registration whose closure has been dropped, kept so that a late call can be explained.
#[derive(Debug)]
struct Tombstone {
    handle: Handle,
    /// Indexes of `notes`.
    registered: u32,
    revoked: u32,
}

/// A revocation that has no tombstone yet: the registration, and the index of the note.
pub(super) type Revocation = (Handle, u32);

/// What a note is about. Each kind has its newest note, which the next entry of that kind may share.
#[derive(Clone, Copy)]
enum NoteKind {
    Registered = 0,
    Revoked = 1,
}

/// A thread that waits for a callback while the thread is inside that callback.
#[derive(Debug)]
struct InsideWaiter {
    ticket: u64,
    handle: Handle,
    thread: ThreadTag,
    /// How many calls of the callback are on the thread's stack.
    own: u32,
    /// All other calls inside are calls of waiting threads: the wait is over.
    released: bool,
}

/// How many tombstones above the limit may exist for a moment: one for each thread between writing a tombstone and
/// flushing.
const TOMBSTONE_SLACK: usize = 64;
/// How many notes to reserve at first: about as many as the tombstones need, so that the memory soon stops growing.
const FIRST_NOTES: usize = 32;
/// No index: the end of a freelist, or no note.
const NONE: u32 = u32::MAX;

pub(super) struct Bookkeeping {
    /// By index. While the slot is in use: the index of its note. While the slot is vacant: the next vacant slot.
    slots: Vec<u32>,
    /// The first and the last slot of the freelist; the first has been vacant longest.
    vacant: (u32, u32),
    notes: Vec<Note>,
    free_note: u32,
    /// The newest note of each kind; it is not freed when its `shares` are 0.
    newest: [u32; 2],
    /// Notes of revocations that have no tombstone yet, as far as there was memory for them.
    revocations: Vec<Revocation>,
    /// Deferred revocations: `reclaim` drops these closures later.
    deferred: Vec<Revocation>,
    /// Oldest first.
    tombstones: VecDeque<Tombstone>,
    inside_waiters: Vec<InsideWaiter>,
    last_ticket: u64,
    /// How many threads wait on `Core::changed`.
    pub(super) waiting: u32,
    /// What to run when a revoked registration is over; see `completion.rs`.
    pub(super) completions: Vec<(Handle, BoxedOnce)>,
    /// Nothing can be registered any more; see `close.rs`.
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

    /// How many slots have ever been used: `0..used`.
    pub(super) fn used(&self) -> u32 {
        self.slots.len() as u32
    }

    pub(super) fn tombstones(&self) -> usize {
        self.tombstones.len()
    }

    /// Reserves the memory for one more slot, including its tombstone.
    pub(super) fn reserve_slot(&mut self, tombstone_limit: usize) -> Result<(), TryReserveError> {
        self.slots.try_reserve(1)?;
        let tombstones = (self.slots.len() + 1).min(tombstone_limit.saturating_add(TOMBSTONE_SLACK));
        self.tombstones.try_reserve(tombstones.saturating_sub(self.tombstones.len()))
    }

    /// Reserves the memory for a note.
    pub(super) fn reserve_note(&mut self) -> Result<(), TryReserveError> {
        match self.free_note {
            NONE if self.notes.is_empty() => self.notes.try_reserve(FIRST_NOTES),
            NONE => self.notes.try_reserve(1),
            _ => Ok(()),
        }
    }

    /// Writes a note, or shares the newest note of its kind. `reserve_note` has been called.
    #[inline]
    fn note(&mut self, kind: NoteKind, label: Option<Cow<'static, str>>, trace: Trace) -> u32 {
        let newest = self.newest[kind as usize];
        match self.notes.get_mut(newest as usize) {
            Some(note) if label.is_none() && note.trace.same(&trace) && note.shares < u32::MAX => {
                note.shares += 1;
                newest
            }
            _ => self.note_anew(kind, label, trace),
        }
    }

    #[cold]
    fn note_anew(&mut self, kind: NoteKind, label: Option<Cow<'static, str>>, trace: Trace) -> u32 {
        let shared = label.is_none();
        let note = Note { trace, label, shares: 1, next: NONE };
        let index = match self.free_note {
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
            let before = std::mem::replace(&mut self.newest[kind as usize], index);
            if before != NONE && self.notes[before as usize].shares == 0 {
                self.free(before);
            }
        }
        index
    }

    /// Gives up a share of a note.
    #[inline]
    fn forget(&mut self, index: u32) {
        let Some(note) = self.notes.get_mut(index as usize) else { return };
        note.shares -= 1;
        if note.shares == 0 && !self.newest.contains(&index) {
            self.free(index);
        }
    }

    #[cold]
    fn free(&mut self, index: u32) {
        let note = &mut self.notes[index as usize];
        note.label = None;
        note.next = self.free_note;
        self.free_note = index;
    }

    /// Uses one more slot. `reserve_slot` has been called.
    pub(super) fn use_slot(&mut self) -> u32 {
        self.slots.push(NONE);
        self.used() - 1
    }

    /// Puts a slot on the freelist.
    pub(super) fn list_vacant(&mut self, index: u32) {
        self.slots[index as usize] = NONE;
        match self.vacant.1 {
            NONE => self.vacant.0 = index,
            last => self.slots[last as usize] = index,
        }
        self.vacant.1 = index;
    }

    /// Notes that a slot will never be used again.
    pub(super) fn retire(&mut self, index: u32) {
        self.slots[index as usize] = NONE;
        self.retired += 1;
    }

    /// Takes the slot that has been vacant longest off the freelist.
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

    /// Notes a registration in slot `index`. `reserve_note` has been called.
    #[inline]
    pub(super) fn begin(&mut self, index: u32, label: Option<Cow<'static, str>>, trace: Trace) {
        self.registered += 1;
        self.slots[index as usize] = self.note(NoteKind::Registered, label, trace);
    }

    /// Notes a revocation; `NONE` if there is no memory.
    pub(super) fn note_revoker(&mut self, trace: Trace) -> u32 {
        if self.reserve_note().is_ok() { self.note(NoteKind::Revoked, None, trace) } else { NONE }
    }

    /// Keeps the note of the revocation of `handle` until its tombstone is written.
    pub(super) fn keep_revoker(&mut self, handle: Handle, revoked: u32) {
        if self.revocations.try_reserve(1).is_ok() {
            self.revocations.push((handle, revoked));
        } else {
            self.forget(revoked);
        }
    }

    /// Reserves the memory for `defer`; false if there is none.
    pub(super) fn reserve_deferred(&mut self) -> bool {
        self.deferred.try_reserve(1).is_ok()
    }

    /// Lists a deferred revocation. Returns how many are listed.
    pub(super) fn defer(&mut self, handle: Handle, revoked: u32) -> usize {
        self.deferred.push((handle, revoked));
        self.deferred.len()
    }

    /// Takes the list of deferred revocations, which the caller then has to complete.
    pub(super) fn take_deferred(&mut self) -> Vec<Revocation> {
        std::mem::take(&mut self.deferred)
    }

    /// Keeps the memory of a list that has been completed.
    pub(super) fn recycle(&mut self, mut batch: Vec<Revocation>) {
        if self.deferred.is_empty() {
            batch.clear();
            self.deferred = batch;
        }
    }

    /// Writes the tombstone of `handle`. `revoked` is the note of the revocation, if `keep_revoker` was not called.
    pub(super) fn add_tombstone(&mut self, handle: Handle, revoked: Option<u32>) {
        self.dropped += 1;
        let revoked = revoked.or_else(|| {
            let position = self.revocations.iter().rposition(|(of, _)| *of == handle)?;
            Some(self.revocations.swap_remove(position).1)
        });
        // The share of the registration's note passes from the slot to the tombstone.
        let registered = self.slots[handle.index() as usize];
        self.tombstones.push_back(Tombstone { handle, registered, revoked: revoked.unwrap_or(NONE) });
    }

    /// Removes the oldest tombstone.
    pub(super) fn pop_tombstone(&mut self) -> Option<Handle> {
        let tombstone = self.tombstones.pop_front()?;
        self.flushed += 1;
        self.forget(tombstone.registered);
        self.forget(tombstone.revoked);
        Some(tombstone.handle)
    }

    /// What is known about the registration `handle`. `in_slot`: no later registration has used the slot.
    pub(super) fn find(&self, handle: Handle, in_slot: bool) -> Option<History> {
        let tombstone = self.tombstones.iter().rev().find(|tombstone| tombstone.handle == handle);
        let (registered, revoked) = match tombstone {
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

    /// Notes that the calling thread, with `own` calls of `handle` on its stack, waits for the calls of other threads.
    /// Returns the ticket of the wait.
    pub(super) fn wait_inside(&mut self, handle: Handle, own: u32) -> u64 {
        self.last_ticket += 1;
        let (ticket, thread) = (self.last_ticket, ThreadTag::current());
        self.inside_waiters.push(InsideWaiter { ticket, handle, thread, own, released: false });
        self.last_ticket
    }

    /// Releases the threads that wait inside `handle`, if all `count` calls inside are calls of these threads. Returns
    /// whether it did.
    ///
    /// They are released together: none of them has to wait for another, so none may go on waiting when another has
    /// left.
    pub(super) fn release_inside(&mut self, handle: Handle, count: u32) -> bool {
        let waiting = |waiter: &&mut InsideWaiter| waiter.handle == handle && !waiter.released;
        let theirs: u32 = self.inside_waiters.iter_mut().filter(waiting).map(|waiter| waiter.own).sum();
        let all = theirs > 0 && theirs == count;
        if all {
            self.inside_waiters.iter_mut().filter(waiting).for_each(|waiter| waiter.released = true);
        }
        all
    }

    /// Whether the wait of `ticket` has been released.
    pub(super) fn is_released(&self, ticket: u64) -> bool {
        self.inside_waiters.iter().any(|waiter| waiter.ticket == ticket && waiter.released)
    }

    /// Removes `ticket`: its thread does not wait any more.
    pub(super) fn end_wait(&mut self, ticket: u64) {
        self.inside_waiters.retain(|waiter| waiter.ticket != ticket);
    }

    /// In a child process: only the thread `me` exists.
    pub(super) fn forget_other_waiters(&mut self, me: ThreadTag) {
        self.inside_waiters.retain(|waiter| waiter.thread == me);
    }
}

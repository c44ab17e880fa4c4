//! What the registry writes under its lock: which slots are vacant, where and on which thread callbacks were registered
//! and revoked, tombstones, and which threads wait.
//!
//! No callback, destructor or hook runs while the lock is held. A call needs the lock only if it meets a revocation.
//!
//! A revocation does not fail for lack of memory: the memory for its tombstone is reserved when its slot is first used.
//! The note of where a callback was revoked is left out if there is no memory for it.
//!
//! Nothing here is searched for a handle: the entry of its slot leads to what is known about it.
//!
//! A live registration costs 4 bytes here, and a tombstone 16. Place, thread and time are written once for everything
//! that one thread did at one place in the same tick of the clock ([`Note`]).

use super::completions::{Completions, Listed};
use super::handle::Handle;
use super::inside_waiters::InsideWaiters;
use super::site::Trace;
use super::thread::ThreadTag;
use std::borrow::Cow;
use std::collections::{TryReserveError, VecDeque};

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

/// A revoked registration that has no tombstone yet.
struct Revocation {
    /// Index of the note of the registration. While this entry is free: the next one of the freelist.
    registered: u32,
    /// Index of the note of the revocation, or `NONE`.
    revoked: u32,
    /// The revocation is deferred, and no thread has begun to count the running calls.
    deferred: bool,
    /// What to run when the registration is over; see `completion.rs`.
    completions: Completions,
}

/// What a note is about. Each kind has its newest note, which the next entry of that kind may share.
#[derive(Clone, Copy)]
enum NoteKind {
    Registered = 0,
    Revoked = 1,
}

/// How many tombstones above the limit may exist for a moment: one for each thread between writing a tombstone and
/// flushing.
const TOMBSTONE_SLACK: usize = 64;
/// How many notes to reserve at first: about as many as the tombstones need, so that the memory soon stops growing.
const FIRST_NOTES: usize = 32;
/// No index: the end of a freelist, or no note.
const NONE: u32 = u32::MAX;
/// In the entry of a slot: the other bits are an index of `revocations`. There are far fewer notes and revocations.
const REVOKED: u32 = 1 << 31;

pub(super) struct Bookkeeping {
    /// By index of the slot:
    ///
    /// * live: the index of its note;
    /// * revoked: `REVOKED` and the index of its entry in `revocations`, or as before if there was no memory for one;
    /// * tombstoned: the number of its tombstone, which is that of the oldest one (`flushed`) plus its place in the
    ///   queue; modulo 2^32;
    /// * vacant: the next vacant slot.
    slots: Vec<u32>,
    /// The first and the last slot of the freelist; the first has been vacant longest.
    vacant: (u32, u32),
    notes: Vec<Note>,
    free_note: u32,
    /// The newest note of each kind; it is not freed when its `shares` are 0.
    newest: [u32; 2],
    /// The revoked registrations that have no tombstone yet, as far as there was memory for them.
    revocations: Vec<Revocation>,
    free_revocation: u32,
    /// Deferred revocations: `reclaim` drops these closures later. Those that a thread has waited for since have ended
    /// already.
    deferred: Vec<Handle>,
    /// Oldest first.
    tombstones: VecDeque<Tombstone>,
    pub(super) inside_waiters: InsideWaiters,
    /// How many threads wait on `Core::changed`.
    pub(super) waiting: u32,
    /// Completions of registrations for whose revocation there was no memory.
    pub(super) stray_completions: Completions,
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
            free_revocation: NONE,
            deferred: Vec::new(),
            tombstones: VecDeque::new(),
            inside_waiters: InsideWaiters::new(),
            waiting: 0,
            stray_completions: Completions::NONE,
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

    /// The slot that has been vacant longest.
    pub(super) fn first_vacant(&self) -> Option<u32> {
        Some(self.vacant.0).filter(|&index| index != NONE)
    }

    /// Takes `first_vacant` off the freelist.
    pub(super) fn take_vacant(&mut self, index: u32) {
        self.vacant.0 = self.slots[index as usize];
        if self.vacant.0 == NONE {
            self.vacant.1 = NONE;
        }
    }

    /// Notes a registration in slot `index`. `reserve_note` has been called.
    #[inline]
    pub(super) fn begin(&mut self, index: u32, label: Option<Cow<'static, str>>, trace: Trace) {
        self.registered += 1;
        self.slots[index as usize] = self.note(NoteKind::Registered, label, trace);
    }

    /// Notes the revocation of the registration in slot `index`. Without memory it leaves the note out.
    #[inline]
    pub(super) fn revoke(&mut self, index: u32, trace: Trace) {
        self.revoked += 1;
        if self.reserve_revocation() && self.reserve_note().is_ok() {
            let revoked = self.note(NoteKind::Revoked, None, trace);
            let registered = self.slots[index as usize];
            let entry = Revocation { registered, revoked, deferred: false, completions: Completions::NONE };
            let place = match self.free_revocation {
                NONE => {
                    self.revocations.push(entry);
                    self.revocations.len() as u32 - 1
                }
                free => {
                    let place = &mut self.revocations[free as usize];
                    self.free_revocation = place.registered;
                    *place = entry;
                    free
                }
            };
            self.slots[index as usize] = REVOKED | place;
        }
    }

    /// Reserves the memory for an entry in `revocations`; false if there is none.
    fn reserve_revocation(&mut self) -> bool {
        self.free_revocation != NONE || self.revocations.try_reserve(1).is_ok()
    }

    /// The place in `revocations` of the registration in slot `index`, which is revoked and has no tombstone yet.
    fn place_of(&self, index: u32) -> Option<usize> {
        let entry = *self.slots.get(index as usize)?;
        (entry != NONE && entry & REVOKED != 0).then_some((entry & !REVOKED) as usize)
    }

    /// Adds to what runs when the registration `handle`, which is revoked and not over, is over.
    pub(super) fn add_completion(&mut self, handle: Handle, completion: Box<Listed>) {
        match self.place_of(handle.index()) {
            Some(place) => self.revocations[place].completions.add(completion),
            None => self.stray_completions.add(completion),
        }
    }

    /// Reserves the memory for `revoke` and `defer`; false if there is none.
    pub(super) fn reserve_deferred(&mut self) -> bool {
        self.reserve_revocation() && self.reserve_note().is_ok() && self.deferred.try_reserve(1).is_ok()
    }

    /// Lists a deferred revocation, which was noted just now. Returns how many are listed.
    pub(super) fn defer(&mut self, handle: Handle) -> usize {
        if let Some(place) = self.place_of(handle.index()) {
            self.revocations[place].deferred = true;
        }
        self.deferred.push(handle);
        self.deferred.len()
    }

    /// Whether the revocation of the registration in slot `index`, which is Closing, was deferred until now. The caller
    /// then has to complete it.
    pub(super) fn claim_deferred(&mut self, index: u32) -> bool {
        self.place_of(index).is_some_and(|place| std::mem::take(&mut self.revocations[place].deferred))
    }

    /// Whether the revocation of the registration in slot `index`, which is Closing, is deferred.
    pub(super) fn is_deferred(&self, index: u32) -> bool {
        self.place_of(index).is_some_and(|place| self.revocations[place].deferred)
    }

    /// Takes the list of deferred revocations.
    pub(super) fn take_deferred(&mut self) -> Vec<Handle> {
        std::mem::take(&mut self.deferred)
    }

    /// Keeps the memory of a list that has been completed.
    pub(super) fn recycle(&mut self, mut batch: Vec<Handle>) {
        if self.deferred.is_empty() {
            batch.clear();
            self.deferred = batch;
        }
    }

    /// Writes the tombstone of `handle`, and returns what is to run now that its registration is over.
    #[inline]
    pub(super) fn add_tombstone(&mut self, handle: Handle) -> Completions {
        let mut over = Completions::NONE;
        let (registered, revoked) = match self.place_of(handle.index()) {
            Some(place) => {
                let entry = &mut self.revocations[place];
                over = std::mem::replace(&mut entry.completions, Completions::NONE);
                let notes = (entry.registered, entry.revoked);
                entry.registered = std::mem::replace(&mut self.free_revocation, place as u32);
                notes
            }
            None => (self.slots[handle.index() as usize], NONE),
        };
        if !self.stray_completions.are_none() {
            over.append(self.stray_completions.take_those_of(handle));
        }
        self.dropped += 1;
        self.slots[handle.index() as usize] = (self.flushed + self.tombstones.len() as u64) as u32;
        // The share of the registration's note passes from the slot to the tombstone.
        self.tombstones.push_back(Tombstone { handle, registered, revoked });
        over
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
        let entry = *self.slots.get(handle.index() as usize)?;
        // Any other entry leads to no tombstone, or to one of another handle.
        let number = entry.wrapping_sub(self.flushed as u32);
        let tombstone = self.tombstones.get(number as usize).filter(|tombstone| tombstone.handle == handle);
        let (registered, revoked) = match (tombstone, self.place_of(handle.index())) {
            (Some(tombstone), _) => (tombstone.registered, tombstone.revoked),
            (None, _) if !in_slot => return None,
            (None, Some(place)) => (self.revocations.get(place)?.registered, self.revocations.get(place)?.revoked),
            (None, None) => (entry, NONE),
        };
        let registered = self.notes.get(registered as usize)?;
        let revoked = self.notes.get(revoked as usize).map(|note| note.trace);
        Some(History { label: registered.label.clone(), registered: registered.trace, revoked })
    }

    /// In a child process: only the thread `me` exists.
    pub(super) fn forget_other_waiters(&mut self, me: ThreadTag) {
        self.inside_waiters.forget_others(me);
        self.waiting = 0;
    }
}

//! One slot: a word that says which handle is admitted, and the closure.
//!
//! The word of a live slot *is* the handle that it admits. One comparison therefore answers four questions: is there a
//! registration, is the handle of this registry, is it of this generation, is the registration live? In every other
//! state the word is the handle with the state mixed into the bits of the index, so that it differs from every handle,
//! also a made-up one, that leads to this slot. The slot does not count calls; see `record/mod.rs`.
//!
//! Every transition is a method here. `register.rs`, `revoke.rs`, `deferred.rs`, `wait.rs` and `leave.rs` call them,
//! and have the fences, locks, tombstones and wake-ups around them.
//!
//! ```text
//! Vacant(g) ─publish─▶ Live ─close─▶ Closing ─▶ Counting ─▶ Revoking ─▶ Quiescent ─▶ Tombstoned ─▶ Vacant(g+1) or Retired
//!                                               └─────────▶ Idle ──────▲
//! ```
//!
//! * Live is Watched in registries whose calls take the slow path.
//! * Closing turns to Revoking or Quiescent without Counting if no other thread has a record.
//! * Counting turns to Revoking if calls are inside. Otherwise it turns to Quiescent, or to Idle where one revoker has
//!   counted for many slots: it drops their closures one after the other, and must own only the one that it is
//!   dropping.
//! * Revoking turns to Quiescent when the last counted call leaves.

use super::error::Reason;
use super::handle::Handle;
use super::record;
use super::stored::{Emptied, Stored, Taken};
use super::sync::{AtomicUsize, Ordering, UnsafeCell};

/// The state of a slot. The numbers are mixed into the low four bits of the index; every layout has more bits than
/// that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Calls are admitted.
    Live = 0,
    /// Calls are refused; the running calls have not been counted.
    Closing = 1,
    /// Calls are refused; the calls whose cells are marked are inside.
    Revoking = 2,
    /// No call is inside; one thread is dropping the closure.
    Quiescent = 3,
    /// The closure has been dropped; the slot is out of use until its tombstone is flushed.
    Tombstoned = 4,
    /// Not in use; the generation is the next one to be issued. Generation 0: the slot has never been used.
    Vacant = 5,
    /// The last generation has been used; the slot is never used again.
    Retired = 6,
    /// Live, but calls have to take the slow path, which counts them, names them or stops at stall sites.
    Watched = 7,
    /// Calls are refused; a revoker, which holds the lock, is counting the running calls.
    Counting = 8,
    /// No call is inside, and no thread is dropping the closure. Any thread that holds the lock may set the slot to
    /// Quiescent and then drops the closure.
    Idle = 9,
}

impl State {
    /// The state in which calls are admitted. `watched`: the registry's calls take the slow path.
    const fn open(watched: bool) -> Self {
        if watched { State::Watched } else { State::Live }
    }
}

/// A slot's word, unpacked by value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Word {
    bits: usize,
    index: u32,
}

impl Word {
    pub(super) const fn new(handle: Handle, state: State) -> Self {
        Self { bits: handle.bits() ^ state as usize, index: handle.index() }
    }

    /// The slot's generation; 0: the slot has never been used.
    pub(super) const fn generation(self) -> u32 {
        Handle::from_bits(self.bits).generation()
    }

    pub(super) const fn state(self) -> State {
        if self.generation() == 0 {
            return State::Vacant; // Also a slot as it was allocated: all zero.
        }
        match (self.bits ^ self.index as usize) & 15 {
            0 => State::Live,
            1 => State::Closing,
            2 => State::Revoking,
            3 => State::Quiescent,
            4 => State::Tombstoned,
            5 => State::Vacant,
            6 => State::Retired,
            7 => State::Watched,
            8 => State::Counting,
            _ => State::Idle,
        }
    }

    /// Whether there is a closure in the slot: in all states from `publish` until a thread owns the closure.
    pub(super) fn has_closure(self) -> bool {
        use State::{Closing, Counting, Idle, Live, Revoking, Watched};
        matches!(self.state(), Live | Watched | Closing | Counting | Revoking | Idle)
    }

    /// Whether this is the word of the registration `handle` in `state`.
    pub(super) fn is(self, handle: Handle, state: State) -> bool {
        self.bits == Self::new(handle, state).bits
    }

    /// Why a slot with this word refuses a handle of `generation`.
    pub(super) fn refusal(self, generation: u32, first_generation: u32) -> Reason {
        let current = self.generation();
        if current == 0 {
            Reason::OutOfRange
        } else if generation == 0 {
            Reason::Unissued
        } else if generation < first_generation {
            Reason::WrongRegistry
        } else if generation < current {
            Reason::Stale
        } else if generation > current {
            Reason::Unissued
        } else {
            match self.state() {
                State::Vacant => Reason::Unissued,
                State::Live | State::Watched => Reason::Exhausted,
                State::Revoking => Reason::Revoking,
                // The calls have not been counted yet. This guess may include calls that will be refused.
                state @ (State::Closing | State::Counting) if self.any_call_inside(state) => Reason::Revoking,
                State::Closing | State::Counting => Reason::Stale,
                State::Idle | State::Quiescent | State::Tombstoned | State::Retired => Reason::Stale,
            }
        }
    }

    /// Whether any cell contains the handle of this slot, whose state is `state`.
    #[cold]
    fn any_call_inside(self, state: State) -> bool {
        record::calls(self.bits ^ state as usize) > 0
    }
}

/// One slot. Its address does not change and its memory is not freed while the registry lives.
///
/// Over std it is four words large, and `table.rs` aligns it to its size, so that no slot lies across two cache lines.
#[repr(C)]
pub(super) struct Slot<F: ?Sized> {
    word: AtomicUsize,
    /// Contains a closure while [`Word::has_closure`], and until `take`. The calls inside share it; otherwise one
    /// thread owns it.
    callback: UnsafeCell<Stored<F>>,
}

const _: () = assert!(super::sync::MODELLED || size_of::<Slot<dyn Fn()>>() == 4 * size_of::<usize>());

impl<F: ?Sized> Slot<F> {
    /// A slot that has never been used. Over std, memory of zero bytes is such a slot, too; see `forbid_null` for slot
    /// 0.
    pub(super) fn new() -> Self {
        Self { word: AtomicUsize::new(0), callback: UnsafeCell::new(Stored::vacant()) }
    }

    /// Changes the word of a slot 0 that has never been used: with the word 0 it would admit the handle `NULL`.
    pub(super) fn forbid_null(&self) {
        // Relaxed: the Release store in `Table::ensure` comes after it.
        self.word.store(State::Vacant as usize, Ordering::Relaxed);
    }

    /// Whether the slot admits `handle`.
    #[inline(always)]
    pub(super) fn admits(&self, handle: Handle) -> bool {
        // Acquire pairs with the Release in `publish`, so that an admitted call sees the closure. It also pairs with
        // the Release in `close` and `transition`, so that a refused call sees everything that the revoker did before.
        self.word.load(Ordering::Acquire) == handle.bits()
    }

    /// The slot's word; `index` is the slot's index.
    pub(super) fn word(&self, index: u32) -> Word {
        // Acquire pairs with the Release in `transition` and `vacate`: a thread that sees that the closure has been
        // dropped sees everything that the closure's calls and destructor did.
        Word { bits: self.word.load(Ordering::Acquire), index }
    }

    /// Runs `run` on the closure.
    ///
    /// # Safety
    /// 1. The caller is inside this slot: it has put the handle into a cell, executed a fence, and then found that the
    ///    slot admits the handle, or found the cell marked. It does not clear the cell before `run` has returned or
    ///    unwound.
    #[inline(always)]
    pub(super) unsafe fn shared<T>(&self, run: impl FnOnce(&F) -> T) -> T {
        self.callback.with(|callback| {
            // SAFETY: clause 1 of `get`: `publish` called `put` before the word became Live. `take` is called only when
            // no call is inside, and by our clause 1 this call is. (`begin_count` in `revoke.rs` says why a revoker
            // finds every such call.)
            let callback = unsafe { Stored::get(callback) };
            // SAFETY: the closure is alive, because `take` is not called while this call is inside. All calls that are
            // inside only share it.
            run(unsafe { &*callback })
        })
    }

    /// Turns the slot from Live, or Watched if `watched`, to Closing: no call is admitted from here on. The error is
    /// the word of a slot in another state.
    pub(super) fn close(&self, handle: Handle, watched: bool) -> Result<(), Word> {
        let (from, to) = (Word::new(handle, State::open(watched)).bits, Word::new(handle, State::Closing).bits);
        // SeqCst: with the SeqCst load in `record/mod.rs`, `sole`. Its Release pairs with the Acquire in `admits` and
        // `word`. Acquire (failure) pairs with the Release in `transition` and `vacate`.
        let closed = self.word.compare_exchange(from, to, Ordering::SeqCst, Ordering::Acquire);
        closed.map(|_| ()).map_err(|bits| Word { bits, index: handle.index() })
    }

    /// Turns the slot of `handle` from one state to another. One thread at a time may do so.
    pub(super) fn transition(&self, handle: Handle, from: State, to: State) {
        debug_assert!(self.word(handle.index()).is(handle, from), "{:?} of {handle:?}", self.word(handle.index()));
        // Release pairs with the Acquire in `word`: a thread that waited sees what the closure's destructor did. A
        // store is enough: in these states only the thread that holds the registry's lock, or drops the closure,
        // changes the word.
        self.word.store(Word::new(handle, to).bits, Ordering::Release);
    }

    /// Moves a closure in and admits calls with `handle`, on the slow path if `watched`. Returns the closure's box, to
    /// be freed when no lock is held.
    ///
    /// # Safety
    /// 1. The slot is Vacant, and `take_slot` has returned it to no other thread.
    #[inline]
    pub(super) unsafe fn publish(&self, handle: Handle, watched: bool, callback: Box<F>) -> Emptied {
        let emptied = self.callback.with_mut(|place| {
            // SAFETY: clause 1 of `put`: `place` is the slot's own cell. By our clause 1 no other thread writes there,
            // and a vacant slot admits no call that could read there. Slots do not move.
            unsafe { Stored::put(place, callback) }
        });
        // Release pairs with the Acquire in `admits`: an admitted call sees the closure. A store is enough: other
        // threads only read the word of a vacant slot.
        self.word.store(Word::new(handle, State::open(watched)).bits, Ordering::Release);
        emptied
    }

    /// Takes the closure out. `None`: a thread that does not exist in this child process has taken it.
    ///
    /// # Safety
    /// 1. `publish` has moved a closure in, and the caller has turned the slot to Quiescent, or has exclusive access to
    ///    it.
    pub(super) unsafe fn take(&self) -> Option<Taken<F>> {
        self.callback.with_mut(|place| {
            // SAFETY: clauses 1 and 2 of `Stored::take`: by our clause 1 `publish` has called `put`, and no other
            // thread accesses the closure. Quiescent admits no call, and the one thread that turned the slot to
            // Quiescent had seen every call leave.
            unsafe { Stored::take(place) }
        })
    }

    /// Turns the slot from Tombstoned to Vacant, with the next generation. `next` is the handle that will be issued.
    pub(super) fn vacate(&self, next: Handle) {
        debug_assert_eq!(self.word(next.index()).state(), State::Tombstoned);
        // Release pairs with the Acquire in `word`: a waiting thread that finds the slot vacated already still sees
        // what the destructor did. This thread has seen that by taking the registry's lock.
        self.word.store(Word::new(next, State::Vacant).bits, Ordering::Release);
    }
}

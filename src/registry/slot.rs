//! One slot: a word that says what it is for whom, and the closure it guards.
//!
//! The word of a live slot *is* the handle that may enter, so that "does it exist, is it this registry's, is it this
//! generation, is it live" is one comparison. In every other state the word is the handle with the state mixed into the
//! bits of the index: it then differs from every handle that leads to this slot, whatever somebody made up. How many calls
//! are inside is not in the slot; see `record.rs`.
//!
//! Every transition is a method here; who may call which, and what happens around it (fences, locks, tombstones, waiting),
//! is the business of `revoke.rs` and `call.rs`.
//!
//! ```text
//! Vacant(g) ─publish─▶ Live ─close─▶ Closing ─fence─▶ Counting ─▶ Revoking ─last one leaves─▶ Quiescent ─bury─▶ Tombstoned
//!                                                          └────────── nobody inside ─────────────▲             │       │
//!                                                                                                Vacant(g+1) ◀──┘       ▼
//!                                                                                                                    Retired
//! ```

use super::error::Reason;
use super::handle::Handle;
use super::record;
use super::stored::{Stored, Taken};
use super::sync::{AtomicUsize, Ordering, UnsafeCell};

/// Where a slot is in its life. The numbers are mixed into the index, of which every layout has more than four bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Calls enter.
    Live = 0,
    /// Calls are refused; nobody has begun to find out who is inside.
    Closing = 1,
    /// Calls are refused; those that are marked are inside.
    Revoking = 2,
    /// Nobody inside; one thread is dropping the closure.
    Quiescent = 3,
    /// The closure is gone; the slot rests until its tombstone is flushed.
    Tombstoned = 4,
    /// No tenant; the generation is the next one to be issued. Generation 0: never had a tenant.
    Vacant = 5,
    /// The last generation has been used; the slot is never used again.
    Retired = 6,
    /// Live, but calls have to take the long way, which counts them or stops at stall sites.
    Watched = 7,
    /// Calls are refused; a revoker, who holds the lock, is counting those inside.
    Counting = 8,
}

impl State {
    /// That in which calls enter; `watched`: of a registry in which they take the long way.
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

    /// The generation it is at; 0: it never had a tenant.
    pub(super) const fn generation(self) -> u32 {
        Handle::from_bits(self.bits).generation()
    }

    pub(super) const fn state(self) -> State {
        if self.generation() == 0 {
            return State::Vacant; // Also as it was allocated: all zero.
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
            _ => State::Counting,
        }
    }

    /// Whether there is a closure in the slot: in all states from `publish` until the last has left.
    pub(super) fn has_closure(self) -> bool {
        matches!(self.state(), State::Live | State::Watched | State::Closing | State::Counting | State::Revoking)
    }

    /// Whether this is `state` of the tenant that `handle` names.
    pub(super) fn is(self, handle: Handle, state: State) -> bool {
        self.bits == Self::new(handle, state).bits
    }

    /// What a handle of `generation` is to a slot with this word, given that it cannot enter it.
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
                // Nobody has counted yet who is inside: a moment's view, which takes calls for inside that will be refused.
                state @ (State::Closing | State::Counting) if self.anybody_inside(state) => Reason::Revoking,
                State::Closing | State::Counting => Reason::Stale,
                State::Quiescent | State::Tombstoned | State::Retired => Reason::Stale,
            }
        }
    }

    /// Whether calls stand in cells for the callback whose slot is in `state`.
    #[cold]
    fn anybody_inside(self, state: State) -> bool {
        record::calls(self.bits ^ state as usize) > 0
    }
}

/// One slot. Its address does not change and its memory is not given back while the registry lives.
///
/// Four words over std; `table.rs` aligns it to its size, so that none lies across two cache lines.
#[repr(C)]
pub(super) struct Slot<F: ?Sized> {
    word: AtomicUsize,
    /// A closure while [`Word::has_closure`], and until `take`. Shared by those inside, otherwise owned by one thread.
    callback: UnsafeCell<Stored<F>>,
}

const _: () = assert!(super::sync::MODELLED || size_of::<Slot<dyn Fn()>>() == 4 * size_of::<usize>());

impl<F: ?Sized> Slot<F> {
    /// A slot that never had a tenant. All its bytes may as well be zero, over std; but for slot 0, see `forbid_null`.
    pub(super) fn new() -> Self {
        Self { word: AtomicUsize::new(0), callback: UnsafeCell::new(Stored::vacant()) }
    }

    /// The word of slot 0 must not be 0 while it never had a tenant: `NULL` would enter.
    pub(super) fn forbid_null(&self) {
        // Relaxed: the slot is published after this.
        self.word.store(State::Vacant as usize, Ordering::Relaxed);
    }

    /// Whether `handle` may enter. Acquire pairs with the Release of `publish`: who enters sees the closure. (And with that
    /// of the transitions: who is refused sees what the revoker did before it revoked.)
    #[inline(always)]
    pub(super) fn admits(&self, handle: Handle) -> bool {
        self.word.load(Ordering::Acquire) == handle.bits()
    }

    /// The word as it is; `index` is the slot's. Acquire pairs with the Release half of every transition: whoever sees that
    /// the closure is gone sees everything that its calls and its destructor did.
    pub(super) fn word(&self, index: u32) -> Word {
        Word { bits: self.word.load(Ordering::Acquire), index }
    }

    /// Runs `run` on the closure.
    ///
    /// # Safety
    /// 1. The caller is inside this slot: it has taken a cell, fenced, and found that the slot admits its handle, or has
    ///    found its cell marked; and it does not clear the cell before `run` has returned or unwound.
    #[inline(always)]
    pub(super) unsafe fn shared<T>(&self, run: impl FnOnce(&F) -> T) -> T {
        self.callback.with(|callback| {
            // SAFETY: (1) `put` was done by `publish`, before the word became Live, and `take` is done when nobody is
            // inside, which by (1) is not now. See `revoke.rs` for why nobody then means nobody.
            let callback = unsafe { Stored::get(callback) };
            // SAFETY: by the same token it is alive, and shared by all who are inside.
            run(unsafe { &*callback })
        })
    }

    /// Live, or Watched if `watched`, to Closing: no call enters from here on. The word as it was if it was not that.
    pub(super) fn close(&self, handle: Handle, watched: bool) -> Result<(), Word> {
        let (from, to) = (Word::new(handle, State::open(watched)).bits, Word::new(handle, State::Closing).bits);
        // SeqCst: with `record::sole`; Release pairs with the Acquire of `admits` and `word`. Acquire (failure): as in `word`.
        let closed = self.word.compare_exchange(from, to, Ordering::SeqCst, Ordering::Acquire);
        closed.map(|_| ()).map_err(|bits| Word { bits, index: handle.index() })
    }

    /// From one state of the tenant `handle` to another, by the one thread that may.
    pub(super) fn transition(&self, handle: Handle, from: State, to: State) {
        debug_assert!(self.word(handle.index()).is(handle, from), "{:?} of {handle:?}", self.word(handle.index()));
        // Release pairs with the Acquire of `word`: who waited for this sees what the closure's destructor did. A plain store
        // will do: in these states one thread at a time may turn the slot, by the registry's lock or by owning the closure.
        self.word.store(Word::new(handle, to).bits, Ordering::Release);
    }

    /// Moves a closure in and lets calls enter with `handle`, by the long way if `watched`.
    ///
    /// # Safety
    /// 1. The slot is Vacant and no other thread was given it.
    #[inline]
    pub(super) unsafe fn publish(&self, handle: Handle, watched: bool, callback: Box<F>) {
        self.callback.with_mut(|place| {
            // SAFETY: (1) by (1) nobody is inside and nobody else writes. The slot does not move.
            unsafe { Stored::put(place, callback) };
        });
        // Release pairs with the Acquire of `admits`. A plain store will do: until now every other thread only read the
        // word, since it was not Live.
        self.word.store(Word::new(handle, State::open(watched)).bits, Ordering::Release);
    }

    /// Takes the closure out.
    ///
    /// # Safety
    /// 1. There is a closure, and the caller has turned the slot to Quiescent, or has exclusive access to it.
    pub(super) unsafe fn take(&self) -> Taken<F> {
        self.callback.with_mut(|place| {
            // SAFETY: (1) by (1) there is one. Quiescent admits nobody, one thread made it so, and it did so after it had
            // seen everybody leave.
            unsafe { Stored::take(place) }
        })
    }

    /// Tombstoned to Vacant with the next generation. `next` is the handle that will be issued.
    pub(super) fn vacate(&self, next: Handle) {
        debug_assert_eq!(self.word(next.index()).state(), State::Tombstoned);
        // Release pairs with the Acquire of `word`: a waiter that finds the slot already recycled still sees what the
        // destructor did, which this thread acquired with the registry's lock.
        self.word.store(Word::new(next, State::Vacant).bits, Ordering::Release);
    }
}

//! One slot: a word that is the whole protocol, and the cell it guards.
//!
//! The word holds generation, state and in-flight count, so that "is it live, is it mine, and count me in" is one
//! compare-exchange, and so is "count me out, and was I the last". Every transition is a method here; who may call
//! which, and what happens around it (locks, tombstones, waiting), is the business of the other files.
//!
//! ```text
//! Vacant(g) ──publish──▶ Live ──close──▶ Revoking(n) ──last leave──▶ Quiescent ──bury──▶ Tombstoned ──▶ Vacant(g+1)
//!                          └──────── close, nobody inside ───────────────▲                         └──▶ Retired
//! ```

use super::error::Reason;
use super::sync::{AtomicU64, Ordering, UnsafeCell};

/// Where a slot is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// No tenant; the generation is the next one to be issued. Generation 0: never had a tenant.
    Vacant = 0,
    /// Calls enter.
    Live = 1,
    /// Calls are refused; those counted are still inside.
    Revoking = 2,
    /// Nobody inside; one thread is dropping the closure.
    Quiescent = 3,
    /// The closure is gone; the slot rests until its tombstone is flushed.
    Tombstoned = 4,
    /// The last generation has been used; the slot is never used again.
    Retired = 5,
}

/// A slot's word, unpacked by value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Word(u64);

impl Word {
    const COUNT_BITS: u32 = 32;
    const STATE_BITS: u32 = 3;
    const ONE: u64 = 1;

    const fn new(generation: u32, state: State, count: u32) -> Self {
        Self(
            (generation as u64) << (Self::COUNT_BITS + Self::STATE_BITS)
                | (state as u64) << Self::COUNT_BITS
                | count as u64,
        )
    }

    pub(super) const fn count(self) -> u32 {
        self.0 as u32
    }

    pub(super) const fn generation(self) -> u32 {
        (self.0 >> (Self::COUNT_BITS + Self::STATE_BITS)) as u32
    }

    pub(super) const fn state(self) -> State {
        match (self.0 >> Self::COUNT_BITS) & ((1 << Self::STATE_BITS) - 1) {
            0 => State::Vacant,
            1 => State::Live,
            2 => State::Revoking,
            3 => State::Quiescent,
            4 => State::Tombstoned,
            _ => State::Retired,
        }
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
                State::Live => Reason::Exhausted,
                State::Revoking => Reason::Revoking,
                State::Quiescent | State::Tombstoned | State::Retired => Reason::Stale,
            }
        }
    }
}

/// What a leaving call left behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Left {
    /// The callback is live.
    Live,
    /// It is being revoked and others are inside: those who wait may have to be served.
    Others,
    /// It is being revoked and this was the last call: the caller of `leave` owns the closure now.
    Last,
}

/// What closing a slot found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Closed {
    /// Nobody inside: the caller of `close` owns the closure now.
    Idle,
    /// That many calls inside; the last of them will own the closure.
    Busy(u32),
    /// Not live under that generation; nothing was changed.
    Not(Word),
}

/// One slot. Its address does not change and its memory is not given back while the registry lives.
pub(super) struct Slot<F: ?Sized> {
    word: AtomicU64,
    /// `Some` from `publish` to `take`. Shared by those counted in the word, otherwise owned by one thread.
    callback: UnsafeCell<Option<Box<F>>>,
}

impl<F: ?Sized> Slot<F> {
    /// A slot that never had a tenant.
    pub(super) fn new() -> Self {
        Self { word: AtomicU64::new(Word::new(0, State::Vacant, 0).0), callback: UnsafeCell::new(None) }
    }

    /// What this slot is called among frames: its address, which does not change.
    pub(super) fn key(&self) -> *const () {
        std::ptr::from_ref(self).cast()
    }

    /// The word as it is. Acquire pairs with the Release half of `leave`, `close`, `bury`: whoever sees that a call has
    /// left, or that the closure is gone, sees everything that call, or that destructor, did.
    pub(super) fn word(&self) -> Word {
        Word(self.word.load(Ordering::Acquire))
    }

    /// Counts the caller in if the slot is live under `generation` and fewer than `limit` calls are inside.
    pub(super) fn enter(&self, generation: u32, limit: u32) -> Result<(), Word> {
        // Acquire pairs with the Release half of `close`: a refused caller sees what the revoker did before it revoked.
        let mut word = self.word.load(Ordering::Acquire);
        loop {
            let now = Word(word);
            if now.generation() != generation || now.state() != State::Live || now.count() >= limit {
                return Err(now);
            }
            // Acquire (success) pairs with the Release of `publish`, directly or through the read-modify-writes that
            // follow it: whoever enters sees the closure. Acquire (failure): as the load above.
            match self.word.compare_exchange_weak(word, word + Word::ONE, Ordering::Acquire, Ordering::Acquire) {
                Ok(_) => return Ok(()),
                Err(seen) => word = seen,
            }
        }
    }

    /// [`Flaw::CheckThenEnter`](super::flaw::Flaw): `enter` by someone who has not read the first line of this file.
    #[cold]
    pub(super) fn check_then_enter(&self, generation: u32) -> Result<(), Word> {
        let now = self.word();
        if now.generation() != generation || now.state() != State::Live {
            return Err(now);
        }
        // AcqRel pairs with everything; the order is not what is wrong here.
        self.word.fetch_add(Word::ONE, Ordering::AcqRel);
        Ok(())
    }

    /// Runs `run` on the closure.
    ///
    /// # Safety
    /// 1. The caller has entered this slot and does not leave it before `run` has returned or unwound.
    #[inline(always)]
    pub(super) unsafe fn shared<T>(&self, run: impl FnOnce(&F) -> T) -> T {
        self.callback.with(|callback| {
            // SAFETY: the cell is written only by `publish`, before the word became Live, and by `take`, after the
            // count of a Revoking word became 0. By (1) this caller entered a Live word and is still counted, so
            // neither runs now.
            let callback = unsafe { &*callback };
            match callback {
                Some(callback) => run(callback),
                None => unreachable!("a live slot has a closure"),
            }
        })
    }

    /// Counts the caller out. `order` is AcqRel, except where a model takes that away.
    ///
    /// # Safety
    /// 1. The caller has entered this slot, has not left it since, and no longer uses the closure.
    pub(super) unsafe fn leave(&self, order: Ordering) -> Left {
        // Relaxed: only a guess for the compare-exchange, which checks it.
        let mut word = self.word.load(Ordering::Relaxed);
        loop {
            let now = Word(word);
            // By (1) the count is at least 1; were it 0, this would be the unbalanced release of S88.
            debug_assert!(now.count() > 0, "a call left that never entered");
            let last = now.state() == State::Revoking && now.count() == 1;
            let next = if last { Word::new(now.generation(), State::Quiescent, 0).0 } else { word - Word::ONE };
            // Release pairs with the Acquire here and in `close` and `word`: what this call did happens before the
            // closure's destructor, and before a waiter returns. Acquire pairs with the Release here of earlier leavers:
            // the last one sees what they all did before it drops what they used.
            // Relaxed (failure): a guess again.
            match self.word.compare_exchange_weak(word, next, order, Ordering::Relaxed) {
                Ok(_) if last => return Left::Last,
                Ok(_) if now.state() == State::Revoking => return Left::Others,
                Ok(_) => return Left::Live,
                Err(seen) => word = seen,
            }
        }
    }

    /// Ends the slot's life under `generation`: no call enters from here on.
    pub(super) fn close(&self, generation: u32) -> Closed {
        // Relaxed: a guess for the compare-exchange; a word that refuses is read again below.
        let mut word = self.word.load(Ordering::Relaxed);
        loop {
            let now = Word(word);
            if now.generation() != generation || now.state() != State::Live {
                // Acquire through `word`: see there.
                return Closed::Not(self.word());
            }
            let state = if now.count() == 0 { State::Quiescent } else { State::Revoking };
            // Acquire pairs with the Release of `leave`: with nobody inside, the closer drops what all callers used.
            // Release pairs with the Acquire of `enter`: a refused caller sees what the revoker did before.
            // Relaxed (failure): a guess again.
            match self.word.compare_exchange_weak(
                word,
                Word::new(generation, state, now.count()).0,
                Ordering::AcqRel,
                Ordering::Relaxed,
            ) {
                Ok(_) if now.count() == 0 => return Closed::Idle,
                Ok(_) => return Closed::Busy(now.count()),
                Err(seen) => word = seen,
            }
        }
    }

    /// Moves a closure in and lets calls enter under `generation`.
    ///
    /// # Safety
    /// 1. The slot is Vacant and no other thread was given it.
    pub(super) unsafe fn publish(&self, generation: u32, callback: Box<F>) {
        self.callback.with_mut(|cell| {
            // SAFETY: by (1) nobody is inside and nobody else writes; the cell is `None`, so nothing is dropped here.
            unsafe { *cell = Some(callback) };
        });
        // Release pairs with the Acquire of `enter`. A plain store will do: until now every other thread only read the
        // word, since it was not Live.
        self.word.store(Word::new(generation, State::Live, 0).0, Ordering::Release);
    }

    /// Takes the closure out.
    ///
    /// # Safety
    /// 1. The caller is the one whom `leave` told `Last` or `close` told `Idle`, and has not called this since; or it
    ///    has exclusive access to the whole slot.
    pub(super) unsafe fn take(&self) -> Option<Box<F>> {
        self.callback.with_mut(|cell| {
            // SAFETY: by (1) the word is Quiescent, which admits nobody, and one thread was told so: this one. Its
            // compare-exchange acquired what all callers did.
            let cell = unsafe { &mut *cell };
            cell.take()
        })
    }

    /// Quiescent to Tombstoned.
    pub(super) fn bury(&self, generation: u32) {
        debug_assert_eq!(self.word().state(), State::Quiescent);
        // Release pairs with the Acquire of `word`: who waited for this sees what the closure's destructor did.
        self.word.store(Word::new(generation, State::Tombstoned, 0).0, Ordering::Release);
    }

    /// Tombstoned to Vacant with the next generation.
    pub(super) fn vacate(&self, next_generation: u32) {
        debug_assert_eq!(self.word().state(), State::Tombstoned);
        // Release pairs with the Acquire of `word`: a waiter that finds the slot already recycled still sees what the
        // destructor did, which this thread acquired with the registry's lock.
        self.word.store(Word::new(next_generation, State::Vacant, 0).0, Ordering::Release);
    }

    /// Tombstoned to Retired.
    pub(super) fn retire(&self, generation: u32) {
        debug_assert_eq!(self.word().state(), State::Tombstoned);
        // Release: as in `vacate`.
        self.word.store(Word::new(generation, State::Retired, 0).0, Ordering::Release);
    }
}

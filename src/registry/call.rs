//! The way in for C: find the slot, stand in a cell, look whether the slot admits the handle, run the closure, leave the
//! cell, look again.
//!
//! A call writes to nothing that another thread writes to. No lock is taken, whatever the outcome, unless the callback is
//! being revoked at that moment or the registry has a limit of calls in flight. Why the two looks are enough is told at
//! `may_be_counted` and in `revoke.rs`.

use super::error::{LateCall, Reason, Refused};
use super::frame::{self, Doing};
use super::handle::Handle;
use super::mutation::Mutation;
use super::record::{self, Cell, Record};
use super::slot::{Slot, State, Word};
use super::stall::StallSite;
use super::stored::is_wide;
use super::stuck;
use super::sync::{MODELLED, Ordering, abandoned, lock};
use super::table::Near;
use super::{Core, Registry, fence};
use std::ffi::c_void;
use std::mem::ManuallyDrop;

/// What becomes of a call that is refused. Decided where `call` is compiled, so that the way in is one for all.
pub(super) trait Refusal<'r>: Sized {
    fn of(core: &'r Core, handle: Handle, refused: Refused) -> Self;
}

/// It is counted, and the policy for late calls is followed.
impl<'r> Refusal<'r> for LateCall<'r> {
    #[inline]
    fn of(core: &'r Core, handle: Handle, refused: Refused) -> Self {
        core.late_call(handle, refused)
    }
}

/// Nobody is told but the caller.
impl Refusal<'_> for Refused {
    #[inline]
    fn of(_: &Core, _: Handle, refused: Refused) -> Self {
        refused
    }
}

impl<F: ?Sized> Registry<F> {
    /// Runs `run` on the closure that `user_data` stands for, or says why not.
    ///
    /// This is what a trampoline calls with the `void *user_data` that C brought back. The value may be anything at
    /// all: NULL, a handle of another registry, a stale or made-up one, an address. Nothing is read through it (S11).
    /// While `run` runs the closure is not dropped, whoever revokes it (S17). `run` may do anything: call again,
    /// register, revoke this callback or another.
    ///
    /// Any thread may call, also one that Rust did not make, and also while its thread-locals are being destroyed
    /// (S57). Any number of calls may be inside one closure at a time.
    ///
    /// # Errors
    /// A [`LateCall`] with the [`Reason`]; it has been counted, and the late hook, if there is one, has run. What C gets
    /// in place of a result is the caller's choice.
    ///
    /// # Panics
    /// If `run` panics the call is counted out and the unwind goes on to the caller. (It must not reach C: a trampoline
    /// is `extern "C"`, which aborts, or catches it.) If this was the last call of a revoked callback and the closure's
    /// destructor panics, that panic comes out of here, after everything has been put in order.
    ///
    /// ```
    /// use latecall::registry::Registry;
    /// use std::ffi::c_void;
    ///
    /// static TICKS: Registry<dyn Fn(u64) -> u64 + Send + Sync> = Registry::new();
    ///
    /// extern "C" fn trampoline(tick: u64, user_data: *mut c_void) -> u64 {
    ///     TICKS.call(user_data, |f| f(tick)).unwrap_or(0)
    /// }
    ///
    /// let registration = TICKS.register(Box::new(|tick| tick + 1));
    /// let user_data = registration.handle().as_ptr();
    /// assert_eq!(trampoline(500, user_data), 501);
    /// drop(registration);
    /// assert_eq!(trampoline(500, user_data), 0);
    /// ```
    #[inline(always)]
    pub fn call<T>(&self, user_data: *mut c_void, run: impl FnOnce(&F) -> T) -> Result<T, LateCall<'_>> {
        self.call_handle(Handle::from_ptr(user_data), run)
    }

    /// [`call`](Registry::call), with the answer to a refusal of the caller's choice.
    #[inline(always)]
    pub(super) fn call_handle<'r, T, E: Refusal<'r>>(
        &'r self,
        handle: Handle,
        run: impl FnOnce(&F) -> T,
    ) -> Result<T, E> {
        match self.table.get_near(handle.index()) {
            Near::Here(slot) => self.call_slot(slot, handle, run),
            Near::Nowhere => Err(self.unknown(handle)),
            Near::Beyond => self.call_beyond(handle, run),
        }
    }

    #[cold]
    #[inline(never)]
    fn call_beyond<'r, T, E: Refusal<'r>>(&'r self, handle: Handle, run: impl FnOnce(&F) -> T) -> Result<T, E> {
        match self.table.get(handle.index()) {
            Some(slot) => self.call_slot(slot, handle, run),
            None => Err(self.unknown(handle)),
        }
    }

    #[inline(always)]
    fn call_slot<'r, T, E: Refusal<'r>>(
        &'r self,
        slot: &'r Slot<F>,
        handle: Handle,
        run: impl FnOnce(&F) -> T,
    ) -> Result<T, E> {
        // The first look. It keeps handles that are not this registry's, or no longer live, out of the cells: what stands
        // there is taken for a call by the revoker of that handle, whichever registry it asks.
        if !slot.admits(handle) {
            return self.not_live(slot, handle, run);
        }
        let Some(cell) = record::cell() else {
            return self.call_slow_path(slot, handle, run);
        };
        cell.take(handle.bits());
        if !self.core.mutated(Mutation::NoLightFence) {
            // Between the handle in the cell and the second look at the word. Pairs with the heavy fence between the change
            // of the word and the look at the cells.
            fence::light();
        }
        if !slot.admits(handle) && !self.core.mutated(Mutation::CheckThenEnter) {
            return self.not_admitted(slot, handle, cell, run);
        }
        let inside: Inside<'_, F, false> = Inside { registry: self, slot, cell };
        // SAFETY: (1) the cell was taken and the word looked at, in this order and with a fence between; `inside` clears it
        // below or when it is dropped by an unwind.
        let result = unsafe { slot.shared(run) };
        inside.leave(handle);
        Ok(result)
    }

    /// `call` for a thread that has no record or no free cell in it, and for registries that want every call to come this
    /// way.
    #[cold]
    #[inline(never)]
    fn call_slow_path<'r, T, E: Refusal<'r>>(
        &'r self,
        slot: &Slot<F>,
        handle: Handle,
        run: impl FnOnce(&F) -> T,
    ) -> Result<T, E> {
        self.core.stall(StallSite::BeforeAcquire);
        if let Some(cell) = record::own().and_then(Record::free_cell) {
            return self.call_in(slot, handle, cell, run);
        }
        let Some(record) = record::borrow() else {
            // No memory for a record: as many calls are inside as can be counted.
            let current_generation = slot.word(handle.index()).generation();
            return Err(E::of(&self.core, handle, Refused { reason: Reason::Exhausted, current_generation }));
        };
        let _borrowed = Borrowed(record);
        let Some(cell) = record.free_cell() else { unreachable!("a record that nobody had is empty") };
        frame::on_stack(handle.bits(), Doing::BorrowedCall(record), || self.call_in(slot, handle, cell, run))
    }

    fn call_in<'r, T, E: Refusal<'r>>(
        &'r self,
        slot: &Slot<F>,
        handle: Handle,
        cell: &Cell,
        run: impl FnOnce(&F) -> T,
    ) -> Result<T, E> {
        match self.enter(slot, handle, cell) {
            Ok(true) => {}
            Ok(false) => return self.not_admitted(slot, handle, cell, run),
            Err(refused) => return Err(E::of(&self.core, handle, refused)),
        }
        // SAFETY: (1) `enter` succeeded.
        Ok(unsafe { self.run_inside(slot, handle, cell, run) })
    }

    /// Runs `run` for a call that came the long way, and leaves.
    ///
    /// # Safety
    /// 1. The call is inside: it stands in `cell`, and was admitted since, or found marked there.
    unsafe fn run_inside<T>(&self, slot: &Slot<F>, handle: Handle, cell: &Cell, run: impl FnOnce(&F) -> T) -> T {
        self.core.stall(StallSite::AfterAcquire);
        let inside: Inside<'_, F, true> = Inside { registry: self, slot, cell };
        // A registry that wants its callers named has them all come this way. Declared after `inside`, so that an unwind
        // takes the name back before it leaves.
        let named = self.core.settings.name_callers.then(|| self.core.name_caller(handle));
        // SAFETY: (1) by (1), and `inside` clears the cell below or when it is dropped by an unwind.
        let result = unsafe { slot.shared(run) };
        drop(named);
        inside.leave(handle);
        result
    }

    /// Finds the slot that `handle` names, whatever its state.
    #[inline]
    pub(super) fn resolve(&self, handle: Handle) -> Result<&Slot<F>, Refused> {
        self.core.check_registry(handle)?;
        self.table.get(handle.index()).ok_or(Refused::unknown(Reason::OutOfRange))
    }

    /// A handle that names no slot.
    #[cold]
    #[inline(never)]
    fn unknown<'r, E: Refusal<'r>>(&'r self, handle: Handle) -> E {
        let refused = self.resolve(handle).err().unwrap_or(Refused::unknown(Reason::OutOfRange));
        E::of(&self.core, handle, refused)
    }

    /// The word does not admit `handle`: late, unless calls have to take the long way here.
    #[cold]
    #[inline(never)]
    fn not_live<'r, T, E: Refusal<'r>>(
        &'r self,
        slot: &Slot<F>,
        handle: Handle,
        run: impl FnOnce(&F) -> T,
    ) -> Result<T, E> {
        let word = slot.word(handle.index());
        if word.is(handle, State::Tombstoned) {
            // The usual case, which needs no asking: the word says that the handle was this registry's.
            let refused = Refused { reason: Reason::Stale, current_generation: handle.generation() };
            return Err(E::of(&self.core, handle, refused));
        }
        // Live: it has been registered since it was looked at; somebody guessed the handle.
        if word.is(handle, State::Watched) || word.is(handle, State::Live) {
            return self.call_slow_path(slot, handle, run);
        }
        Err(E::of(&self.core, handle, self.core.refusal(handle, word)))
    }

    /// The long way in. False: the handle stands in the cell, and was not admitted at the second look.
    fn enter(&self, slot: &Slot<F>, handle: Handle, cell: &Cell) -> Result<bool, Refused> {
        let live = |word: Word| word.is(handle, State::Live) || word.is(handle, State::Watched);
        let limit = self.core.settings.in_flight_limit;
        // A registry with a limit lets one call enter at a time, so that counting and entering are one step.
        let counting = (limit != u32::MAX).then(|| lock(&self.core.bookkeeping));
        let word = slot.word(handle.index());
        let full = counting.is_some() && live(word) && record::calls(handle.bits()) >= limit;
        if full || !live(word) {
            return Err(self.core.refusal(handle, word));
        }
        cell.take(handle.bits());
        fence::callers();
        drop(counting);
        Ok(live(slot.word(handle.index())))
    }

    /// The word admitted `handle` at the first look and does not at the second: what becomes of the call.
    ///
    /// While the handle stood in the cell a revoker may have counted it. Then it is in flight, whatever the word says: the
    /// revoker has answered so, and waits for it.
    #[cold]
    #[inline(never)]
    fn not_admitted<'r, T, E: Refusal<'r>>(
        &'r self,
        slot: &Slot<F>,
        handle: Handle,
        cell: &Cell,
        run: impl FnOnce(&F) -> T,
    ) -> Result<T, E> {
        let found = slot.word(handle.index());
        cell.clear(Ordering::Release);
        // As on the way out: from here on a revoker either finds the cell clear, or is found by `may_be_counted`.
        fence::callers();
        if self.core.mutated(Mutation::RefuseWithoutAsking) || !self.may_be_counted(slot, handle) {
            return Err(E::of(&self.core, handle, self.core.refusal(handle, found)));
        }
        let bookkeeping = lock(&self.core.bookkeeping);
        if !cell.is_marked(handle.bits()) {
            drop(bookkeeping);
            return Err(E::of(&self.core, handle, self.core.refusal(handle, found)));
        }
        // It stands there again, for those who ask how many are inside. The mark has kept the closure meanwhile.
        cell.take(handle.bits());
        drop(bookkeeping);
        // SAFETY: (1) the cell was found marked.
        Ok(unsafe { self.run_inside(slot, handle, cell, run) })
    }

    /// Whether a call that has cleared its cell, and fenced, may have been counted by a revoker before it did.
    ///
    /// If the fence came before the revoker's heavy one, the revoker found the cell clear. If it came after, the word is
    /// Closing at least. Closing: the revoker has not begun to count, if this thread can be sure that what it cleared will
    /// be seen then; a full fence here and one between Counting and the count see to that, so the word is read again
    /// after it. Counting or Revoking: it may have been counted; under the lock, the mark says so. Beyond: it was not, or
    /// the word would still be Revoking.
    fn may_be_counted(&self, slot: &Slot<F>, handle: Handle) -> bool {
        let mut word = slot.word(handle.index());
        if word.is(handle, State::Closing) {
            fence::full();
            word = slot.word(handle.index());
        }
        word.is(handle, State::Counting) || word.is(handle, State::Revoking)
    }

    /// A call has left `cell` and finds that its callback is no longer live.
    #[cold]
    #[inline(never)]
    fn left_revoked(&self, slot: &Slot<F>, handle: Handle, cell: &Cell) {
        let core = &self.core;
        let bits = handle.bits();
        if self.may_be_counted(slot, handle) {
            let mut bookkeeping = lock(&core.bookkeeping);
            cell.unmark(bits);
            // Not so if it was not counted, left, and another has been the last since.
            if slot.word(handle.index()).is(handle, State::Revoking) {
                let others = record::marked(bits);
                if others == 0 {
                    slot.transition(handle, State::Revoking, State::Quiescent);
                    drop(bookkeeping);
                    core.stall(StallSite::AfterRelease);
                    // SAFETY: (1) turned by this thread, just now.
                    unsafe { self.finish(slot, handle) };
                    return;
                }
                if bookkeeping.release_inside(handle, others) {
                    core.wake_waiters(&bookkeeping);
                }
                drop(bookkeeping);
                if !MODELLED {
                    // It may have been the last one that was not itself waiting.
                    stuck::recheck();
                }
            }
        }
        core.stall(StallSite::AfterRelease);
    }
}

/// Gives the record back.
struct Borrowed(&'static Record);

impl Drop for Borrowed {
    fn drop(&mut self) {
        self.0.give_back();
    }
}

/// A call that is inside. It leaves by `leave`, or by being dropped when the callback unwinds.
///
/// `LONG`: it came the long way, where fences may be symmetric and stall sites are.
struct Inside<'r, F: ?Sized, const LONG: bool> {
    registry: &'r Registry<F>,
    slot: &'r Slot<F>,
    /// Has the handle.
    cell: &'r Cell,
}

impl<F: ?Sized, const LONG: bool> Inside<'_, F, LONG> {
    /// `handle` is what stands in the cell. Behind a call of unknown code it is cheaper to read it there than to keep it.
    #[inline(always)]
    fn leave(self, handle: Handle) {
        let inside = ManuallyDrop::new(self);
        let handle = if is_wide::<F>() { inside.cell.handle() } else { handle };
        inside.registry.leave::<LONG>(inside.slot, inside.cell, handle);
    }
}

impl<F: ?Sized, const LONG: bool> Drop for Inside<'_, F, LONG> {
    #[inline(always)]
    fn drop(&mut self) {
        // No more than a call here, so that a landing pad needs nothing that is not in registers anyway.
        self.registry.leave_by_unwind::<LONG>(self.slot, self.cell);
    }
}

impl<F: ?Sized> Registry<F> {
    #[cold]
    #[inline(never)]
    fn leave_by_unwind<const LONG: bool>(&self, slot: &Slot<F>, cell: &Cell) {
        // Where a conviction unwinds, it ends the model: nothing is to be put in order.
        if !abandoned() {
            self.leave::<LONG>(slot, cell, cell.handle());
        }
    }

    /// Its thread has ended inside: the frames of the call are gone.
    pub(super) fn leave_for_good(&self, cell: &Cell, handle: Handle) {
        if let Some(slot) = self.table.get(handle.index()) {
            self.leave::<true>(slot, cell, handle);
        }
    }

    #[inline(always)]
    fn leave<const LONG: bool>(&self, slot: &Slot<F>, cell: &Cell, handle: Handle) {
        if LONG {
            self.core.stall(StallSite::BeforeRelease);
        }
        // Release: see `Cell::clear`; Relaxed is the mutation.
        cell.clear(if self.core.mutated(Mutation::LeaveRelaxed) { Ordering::Relaxed } else { Ordering::Release });
        // Between the cell that is cleared and the look at the word: as in `call`.
        if LONG {
            fence::callers()
        } else {
            fence::light()
        }
        if !slot.admits(handle) && !self.core.mutated(Mutation::LeaveWithoutSecondLook) {
            self.left_revoked(slot, handle, cell);
        } else if LONG {
            self.core.stall(StallSite::AfterRelease);
        }
    }
}

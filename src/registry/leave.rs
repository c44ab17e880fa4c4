//! The way out of a call: clear the cell, and look at the slot's word again. If the callback has been revoked
//! meanwhile, the last counted call drops the closure.

use super::handle::Handle;
use super::mutation::Mutation;
use super::record::{self, Cell};
use super::slot::{Slot, State};
use super::stall::StallSite;
use super::stored::is_wide;
use super::stuck;
use super::sync::{MODELLED, Ordering, abandoned, lock};
use super::{Registry, fence};
use std::mem::ManuallyDrop;

/// A call that is inside. It leaves by `leave`, or when it is dropped because the callback unwinds.
///
/// `SLOW`: the call took the slow path, which has stall sites, and where threads may use symmetric fences.
pub(super) struct Inside<'r, F: ?Sized, const SLOW: bool> {
    pub(super) registry: &'r Registry<F>,
    pub(super) slot: &'r Slot<F>,
    /// Contains the handle.
    pub(super) cell: &'r Cell,
}

impl<F: ?Sized, const SLOW: bool> Inside<'_, F, SLOW> {
    /// `handle` is the handle in the cell. After a call of unknown code it is cheaper to read it there than to have
    /// kept it.
    #[inline(always)]
    pub(super) fn leave(self, handle: Handle) {
        let inside = ManuallyDrop::new(self);
        let handle = if is_wide::<F>() { inside.cell.handle() } else { handle };
        inside.registry.leave::<SLOW>(inside.slot, inside.cell, handle);
    }
}

impl<F: ?Sized, const SLOW: bool> Drop for Inside<'_, F, SLOW> {
    #[inline(always)]
    fn drop(&mut self) {
        // Only a call here, so that a landing pad needs nothing that is not in registers anyway.
        self.registry.leave_by_unwind::<SLOW>(self.slot, self.cell);
    }
}

impl<F: ?Sized> Registry<F> {
    #[cold]
    #[inline(never)]
    fn leave_by_unwind<const SLOW: bool>(&self, slot: &Slot<F>, cell: &Cell) {
        // A model's run that is abandoned because something was found is thrown away as it is.
        if !abandoned() {
            self.leave::<SLOW>(slot, cell, cell.handle());
        }
    }

    /// The call in `cell` is over, because its thread has ended inside it.
    pub(super) fn leave_for_good(&self, cell: &Cell, handle: Handle) {
        if let Some(slot) = self.table.get(handle.index()) {
            self.leave::<true>(slot, cell, handle);
        }
    }

    #[inline(always)]
    fn leave<const SLOW: bool>(&self, slot: &Slot<F>, cell: &Cell, handle: Handle) {
        if SLOW {
            self.core.stall(StallSite::BeforeRelease);
        }
        // Release: see `Cell::clear` in `record/mod.rs`. Relaxed is the mutation.
        cell.clear(if self.core.mutated(Mutation::LeaveRelaxed) { Ordering::Relaxed } else { Ordering::Release });
        // Between the cleared cell and the look at the word. Pairs with `fence::heavy` in `revoke.rs`, `begin_count`.
        if SLOW {
            fence::callers()
        } else {
            fence::light()
        }
        if !slot.admits(handle) && !self.core.mutated(Mutation::LeaveWithoutSecondLook) {
            self.left_revoked(slot, handle, cell);
        } else if SLOW {
            self.core.stall(StallSite::AfterRelease);
        }
    }

    /// Whether a revoker may have counted a call before the call cleared its cell; asked after the fence that follows.
    ///
    /// * If the call's fence came before the revoker's heavy fence, the revoker found the cell clear. Otherwise this
    ///   thread finds the word at Closing or in a later state.
    /// * Closing: a full fence follows, which pairs with the full fence in `revoke.rs`, `begin_count`, between Counting
    ///   and the scan. If the word is still Closing after it, the scan will find the cell clear: not counted.
    /// * Counting or Revoking: the call may have been counted. Its mark says so, under the lock.
    /// * Any later state: not counted, because the word stays Revoking until every counted call has left.
    pub(super) fn may_be_counted(&self, slot: &Slot<F>, handle: Handle) -> bool {
        let mut word = slot.word(handle.index());
        if word.is(handle, State::Closing) {
            fence::full();
            word = slot.word(handle.index());
        }
        word.is(handle, State::Counting) || word.is(handle, State::Revoking)
    }

    /// A call has cleared `cell` and found that its callback is no longer live.
    #[cold]
    #[inline(never)]
    fn left_revoked(&self, slot: &Slot<F>, handle: Handle, cell: &Cell) {
        let core = &self.core;
        let bits = handle.bits();
        if self.may_be_counted(slot, handle) {
            let bookkeeping = lock(&core.bookkeeping);
            cell.unmark(bits);
            // May be false: if this call was not counted, another call may already have been the last one out.
            if slot.word(handle.index()).is(handle, State::Revoking) {
                let others = record::marked(bits);
                if others == 0 {
                    slot.transition(handle, State::Revoking, State::Quiescent);
                    drop(bookkeeping);
                    core.stall(StallSite::AfterRelease);
                    // SAFETY: clause 1 of `finish`: this thread has turned the slot to Quiescent, under the lock, just
                    // now.
                    unsafe { self.finish(slot, handle) };
                    return;
                }
                if bookkeeping.inside_waiters.release(handle, others) {
                    core.wake_waiters(&bookkeeping);
                }
                drop(bookkeeping);
                if !MODELLED {
                    // All calls that remain may now be calls of waiting threads, which is a deadlock.
                    stuck::recheck();
                }
            }
        }
        core.stall(StallSite::AfterRelease);
    }
}

//! The way in for C: find the slot, take a cell, ask whether the slot admits the handle, run the closure. The way out
//! is in `leave.rs`.
//!
//! On its fast path a call writes to no memory that another thread writes to. It takes no lock, unless its callback is
//! being revoked at that moment, or the registry has a limit of running calls or names its callers. `may_be_counted` in
//! `leave.rs` and `begin_count` in `revoke.rs` say why it is enough to look at the slot's word twice.

use super::error::{LateCall, Reason, Refused};
use super::handle::Handle;
use super::leave::Inside;
use super::mutation::Mutation;
use super::record::{self, Cell, Record};
use super::slot::{Slot, State, Word};
use super::stall::StallSite;
use super::sync::{Ordering, lock};
use super::table::Near;
use super::{Core, Registry, fence};
use std::ffi::c_void;

/// What a refused call returns. Decided where `call` is compiled, so that all kinds share one way in.
pub(super) trait Refusal<'r>: Sized {
    fn of(core: &'r Core, handle: Handle, refused: Refused) -> Self;
}

/// The call is counted, and the policy for late calls is followed.
impl<'r> Refusal<'r> for LateCall<'r> {
    #[inline]
    fn of(core: &'r Core, handle: Handle, refused: Refused) -> Self {
        core.late_call(handle, refused)
    }
}

/// The call is neither counted nor reported: its caller does both, or tries another handle.
impl Refusal<'_> for Refused {
    #[inline]
    fn of(_: &Core, _: Handle, refused: Refused) -> Self {
        refused
    }
}

impl<F: ?Sized> Registry<F> {
    /// Runs `run` on the closure that `user_data` names, or says why not.
    ///
    /// A trampoline calls this with the `void *user_data` that C passed to it. The value may be anything: NULL, a
    /// handle of another registry, a stale or made-up handle, an address. Nothing is read through it.
    ///
    /// While `run` runs the closure is not dropped, even if it is revoked. `run` may call again, register, and revoke
    /// this callback or another.
    ///
    /// Any thread may call, also a thread that Rust did not create, and also while its thread-locals are being
    /// destroyed. Any number of calls may run in one closure at a time.
    ///
    /// # Errors
    /// A [`LateCall`] with the [`Reason`]. The late call has been counted, and the late hook, if there is one, has run.
    /// The caller chooses what C gets in place of a result.
    ///
    /// # Panics
    /// If `run` panics: the call is counted out, and the panic unwinds into the caller. It must not unwind into C: a
    /// trampoline is `extern "C"`, which aborts, or it catches the panic.
    ///
    /// If this was the last call of a revoked callback and the closure's destructor panics: with that panic, when the
    /// revocation is complete.
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

    /// [`call`](Registry::call), with a refusal of the caller's choice.
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
        // The first look at the word. It keeps handles that are not live, or belong to another registry, out of the
        // cells: a revoker takes a handle in a cell for a call, whichever registry was asked.
        if !slot.admits(handle) {
            return self.not_live(slot, handle, run);
        }
        let Some(cell) = record::cell() else {
            return self.call_slow_path(slot, handle, run);
        };
        cell.take(handle.bits());
        if !self.core.mutated(Mutation::NoLightFence) {
            // Between the handle in the cell and the second look at the word. Pairs with `fence::heavy` in `revoke.rs`,
            // `begin_count`, between the change of the word and the scan of the cells.
            fence::light();
        }
        if !slot.admits(handle) && !self.core.mutated(Mutation::CheckThenEnter) {
            return self.not_admitted(slot, handle, cell, run);
        }
        let inside: Inside<'_, F, false> = Inside { registry: self, slot, cell };
        // SAFETY: clause 1 of `shared`: the cell was taken, then a fence executed, then the slot found to admit the
        // handle. `inside` clears the cell after `run`, in `leave` or when it is dropped by unwinding.
        let result = unsafe { slot.shared(run) };
        inside.leave(handle);
        Ok(result)
    }

    /// `call` for a thread that has no record or no free cell in it, and for registries that send every call this way.
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
            // There is no memory for a record: no more calls can be counted.
            let current_generation = slot.word(handle.index()).generation();
            return Err(E::of(&self.core, handle, Refused { reason: Reason::Exhausted, current_generation }));
        };
        let _borrowed = Borrowed(record);
        let Some(cell) = record.free_cell() else { unreachable!("a record that was just borrowed is empty") };
        self.call_in(slot, handle, cell, run)
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
        // SAFETY: clause 1 of `run_inside`: `enter` put the handle into `cell` and then found it admitted.
        Ok(unsafe { self.run_inside(slot, handle, cell, run) })
    }

    /// Runs `run` for a call on the slow path, and leaves.
    ///
    /// # Safety
    /// 1. The call is inside: its handle is in `cell`, and either the slot admitted the handle after that, or `cell`
    ///    was found marked.
    unsafe fn run_inside<T>(&self, slot: &Slot<F>, handle: Handle, cell: &Cell, run: impl FnOnce(&F) -> T) -> T {
        self.core.stall(StallSite::AfterAcquire);
        let inside: Inside<'_, F, true> = Inside { registry: self, slot, cell };
        // Declared after `inside`, so that unwinding removes the name before the call leaves. A registry that names its
        // callers sends every call through this function.
        let named = self.core.settings.name_callers.then(|| self.core.name_caller(handle));
        // SAFETY: clause 1 of `shared`: our clause 1 says how the call got inside. `inside` clears the cell after
        // `run`, in `leave` or when it is dropped by unwinding.
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

    /// Refuses a handle that names no slot.
    #[cold]
    #[inline(never)]
    fn unknown<'r, E: Refusal<'r>>(&'r self, handle: Handle) -> E {
        let refused = self.resolve(handle).err().unwrap_or(Refused::unknown(Reason::OutOfRange));
        E::of(&self.core, handle, refused)
    }

    /// The first look found that the word does not admit `handle`: a late call, or a registry whose calls take the slow
    /// path.
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
            // The usual case. The word itself says that the handle was one of this registry.
            let refused = Refused { reason: Reason::Stale, current_generation: handle.generation() };
            return Err(E::of(&self.core, handle, refused));
        }
        // Live: the caller guessed the handle, and the registration was made after the first look.
        if word.is(handle, State::Watched) || word.is(handle, State::Live) {
            return self.call_slow_path(slot, handle, run);
        }
        Err(E::of(&self.core, handle, self.core.refusal(handle, word)))
    }

    /// Enters on the slow path. False: the handle is in the cell, and was not admitted at the second look.
    fn enter(&self, slot: &Slot<F>, handle: Handle, cell: &Cell) -> Result<bool, Refused> {
        let live = |word: Word| word.is(handle, State::Live) || word.is(handle, State::Watched);
        let limit = self.core.settings.in_flight_limit;
        // With a limit, one call at a time may enter, so that no other call enters between counting and entering.
        let counting = (limit != u32::MAX).then(|| lock(&self.core.bookkeeping));
        let word = slot.word(handle.index());
        let full = counting.is_some() && live(word) && record::calls(handle.bits()) >= limit;
        if full || !live(word) {
            return Err(self.core.refusal(handle, word));
        }
        cell.take(handle.bits());
        // Pairs with `fence::heavy` in `revoke.rs`, `begin_count`, as the light fence in `call_slot` does.
        fence::callers();
        drop(counting);
        Ok(live(slot.word(handle.index())))
    }

    /// The word admitted `handle` at the first look and does not at the second: refuses the call, or runs it after all.
    ///
    /// While the handle was in the cell a revoker may have counted it. Then the call is in flight: the revoker has
    /// returned that number, and waits for the call.
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
        // Pairs with `fence::heavy` in `revoke.rs`, `begin_count`: from here on a revoker finds the cell clear, or
        // `may_be_counted` finds that revoker's word.
        fence::callers();
        if self.core.mutated(Mutation::RefuseWithoutAsking) || !self.may_be_counted(slot, handle) {
            return Err(E::of(&self.core, handle, self.core.refusal(handle, found)));
        }
        let bookkeeping = lock(&self.core.bookkeeping);
        if !cell.is_marked(handle.bits()) {
            drop(bookkeeping);
            return Err(E::of(&self.core, handle, self.core.refusal(handle, found)));
        }
        // The handle goes back into the cell, so that the call shows in `Registry::status`. Meanwhile the mark has kept
        // the closure from being dropped.
        cell.take(handle.bits());
        drop(bookkeeping);
        // SAFETY: clause 1 of `run_inside`: the handle is in `cell`, and `cell` was found marked under the lock.
        Ok(unsafe { self.run_inside(slot, handle, cell, run) })
    }
}

/// Gives the record back when the call is over.
struct Borrowed(&'static Record);

impl Drop for Borrowed {
    fn drop(&mut self) {
        self.0.give_back();
    }
}

//! The way in for C: find the slot, be counted in, run the closure, be counted out.
//!
//! No lock is taken, whatever the outcome, unless the callback is being revoked at that moment.

use super::Registry;
use super::error::{LateCall, Reason, Refused};
use super::flaw::Flaw;
use super::frame::{self, Doing};
use super::handle::Handle;
use super::slot::{Left, Slot};
use super::stall::StallSite;
use super::sync::Ordering;
use std::ffi::c_void;

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
    pub fn call<T>(&self, user_data: *mut c_void, run: impl FnOnce(&F) -> T) -> Result<T, LateCall<'_>> {
        let handle = Handle::from_ptr(user_data);
        self.admitted(handle, run).map_err(|refused| self.core.late(handle, refused))
    }

    /// [`call`](Registry::call), without counting or telling anybody of a refusal.
    #[inline(always)]
    pub(super) fn admitted<T>(&self, handle: Handle, run: impl FnOnce(&F) -> T) -> Result<T, Refused> {
        self.core.stall(StallSite::BeforeAcquire);
        let slot = self.enter(handle)?;
        let inside = Inside { registry: self, slot, handle };
        let _named = self.core.options.name_callers.then(|| self.core.name_caller(handle));
        self.core.stall(StallSite::AfterAcquire);
        let result = frame::on_stack(slot.key(), Doing::Call, || {
            // SAFETY: (1) `enter` succeeded, and `inside` leaves only when it is dropped, below or by an unwind.
            unsafe { slot.shared(run) }
        });
        drop(inside);
        Ok(result)
    }

    /// Finds the slot that `handle` names, whatever its state.
    #[inline]
    pub(super) fn resolve(&self, handle: Handle) -> Result<&Slot<F>, Refused> {
        if handle.is_null() {
            return Err(Refused::unknown(Reason::Null));
        }
        if handle.registry_id() != self.core.id() {
            return Err(Refused::unknown(Reason::WrongRegistry));
        }
        self.table.get(handle.index()).ok_or(Refused::unknown(Reason::OutOfRange))
    }

    #[inline]
    fn enter(&self, handle: Handle) -> Result<&Slot<F>, Refused> {
        let slot = self.resolve(handle)?;
        let entered = if self.core.flawed(Flaw::CheckThenEnter) {
            slot.check_then_enter(handle.generation())
        } else {
            slot.enter(handle.generation(), self.core.options.in_flight_limit)
        };
        match entered {
            Ok(()) => Ok(slot),
            Err(word) => Err(self.core.refused(handle, word)),
        }
    }
}

/// A call that is counted in; counts it out when dropped.
pub(super) struct Inside<'r, F: ?Sized> {
    pub(super) registry: &'r Registry<F>,
    pub(super) slot: &'r Slot<F>,
    pub(super) handle: Handle,
}

impl<F: ?Sized> Drop for Inside<'_, F> {
    fn drop(&mut self) {
        let core = &self.registry.core;
        core.stall(StallSite::BeforeRelease);
        // AcqRel: see `leave` for what it pairs with; Relaxed is the flaw.
        let order = if core.flawed(Flaw::LeaveRelaxed) { Ordering::Relaxed } else { Ordering::AcqRel };
        // SAFETY: (1) one `Inside` is made per successful `enter` and dropped once; the closure is used only while it
        // is borrowed from a slot that this value keeps entered.
        let left = unsafe { self.slot.leave(order) };
        core.stall(StallSite::AfterRelease);
        match left {
            Left::Live => {}
            Left::Others => self.serve_others(),
            Left::Last => {
                // SAFETY: (1) `leave` has just said `Last` to this thread.
                unsafe { self.registry.finish(self.slot, self.handle) };
            }
        }
    }
}

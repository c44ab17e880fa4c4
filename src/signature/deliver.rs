//! The way in, shared by all trampolines: look up, run, contain.

use super::{Callback, PanicPolicy, Signature, panic};
use crate::registry::{Handle, Reason, Registry};
use std::ffi::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// A call by C: runs `run` on the callback behind `user_data`, or gives what C gets instead.
///
/// A callback that refuses the call for a reason of its own kind says so with [`refuse`] and gives the late value itself: a
/// result that could be either would have to go through memory.
#[inline(always)]
pub fn deliver<S: Signature, R>(
    user_data: *mut c_void,
    run: impl FnOnce(&Callback<S::Target<'static>>, Handle) -> R,
    late: impl FnOnce() -> R,
) -> R {
    let registry = S::registry();
    let call = || registry.call(user_data, |callback| run(callback, Handle::from_ptr(user_data))).ok();
    let outcome = if matches!(S::PANIC, PanicPolicy::Abort) {
        // Nothing is caught: an unwind that comes here ends the process, and costs nothing until it does.
        let abort = AbortOnUnwind { registry, user_data };
        let outcome = call();
        std::mem::forget(abort);
        outcome
    } else {
        match catch_unwind(AssertUnwindSafe(call)) {
            Ok(outcome) => outcome,
            Err(payload) => {
                panic::contain(registry, S::PANIC, payload);
                None
            }
        }
    };
    outcome.unwrap_or_else(late)
}

/// Counts and reports a call that was let in and then refused by the callback itself.
#[cold]
pub fn refuse<S: Signature>(handle: Handle, reason: Reason) {
    S::registry().refuse(handle, reason);
}

/// The destroy notify that a C library calls when it will not call any more: revokes, and does not wait.
pub fn destroy<S: Signature>(user_data: *mut c_void) {
    let registry = S::registry();
    let revoke = || match registry.revoke(Handle::from_ptr(user_data)) {
        Ok(_) => {}
        Err(rejected) => registry.refuse(rejected.handle(), rejected.reason()),
    };
    if let Err(payload) = catch_unwind(AssertUnwindSafe(revoke)) {
        // A destructor's panic; there is no value to give and nobody to carry it to but an enclosing `carry`.
        if matches!(S::PANIC, PanicPolicy::Abort) {
            drop(AbortOnUnwind { registry, user_data });
        }
        panic::contain(registry, S::PANIC, payload);
    }
}

struct AbortOnUnwind<'r, F: ?Sized> {
    registry: &'r Registry<F>,
    user_data: *mut c_void,
}

impl<F: ?Sized> Drop for AbortOnUnwind<'_, F> {
    #[cold]
    fn drop(&mut self) {
        let handle = Handle::from_ptr(self.user_data);
        // If formatting panics the process aborts as well: it is unwinding.
        eprintln!("latecall: a panic left a callback whose policy is to abort\n{}", self.registry.describe(handle));
        std::process::abort();
    }
}

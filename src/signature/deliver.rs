//! The path of a call, shared by all trampolines: look up the callback, run it, catch its panic.

use super::{Callback, PanicPolicy, Signature, panic};
use crate::registry::{Handle, Reason, Registry};
use std::ffi::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Handles a call by C: runs `run` on the callback that `user_data` names. Returns the result of `run`, or of `late` if
/// the call is refused or a panic is caught.
///
/// Some kinds of callback refuse a call by themselves. They report the refusal with [`refuse`] and return the late
/// value as their result: a `Result` would be returned through memory instead of a register.
#[inline(always)]
pub fn deliver<S: Signature, R>(
    user_data: *mut c_void,
    run: impl FnOnce(&Callback<S::Target<'static>>, Handle) -> R,
    late: impl FnOnce() -> R,
) -> R {
    let registry = S::registry();
    let call = || registry.call(user_data, |callback| run(callback, Handle::from_ptr(user_data))).ok();
    let outcome = if matches!(S::PANIC, PanicPolicy::Abort) {
        // Nothing is caught: `AbortOnUnwind` ends the process. A call that does not panic pays nothing for it.
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

/// Counts and reports a call that the registry admitted and the callback itself refused.
#[cold]
pub fn refuse<S: Signature>(handle: Handle, reason: Reason) {
    S::registry().refuse(handle, reason);
}

/// The destroy notify that a C library calls when it will make no more calls: revokes the registration, does not wait.
pub fn destroy<S: Signature>(user_data: *mut c_void) {
    let registry = S::registry();
    let revoke = || match registry.revoke(Handle::from_ptr(user_data)) {
        Ok(_) => {}
        Err(rejected) => registry.refuse(rejected.handle(), rejected.reason()),
    };
    if let Err(payload) = catch_unwind(AssertUnwindSafe(revoke)) {
        // The callback's destructor panicked.
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
        // If formatting panics the process aborts as well, because the thread is already unwinding.
        eprintln!(
            "latecall: a panic in a callback must not reach C, and its signature says `panic = Abort`: aborting\n{}",
            self.registry.describe(handle)
        );
        std::process::abort();
    }
}

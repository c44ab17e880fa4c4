//! What is done once.

use super::monitor::{OnceState, State};
use super::{Call, call_void};
use crate::entry::entry_points;
use crate::tsan::store;
use crate::world::{Leave, Pc};
use std::ffi::c_int;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

pub(super) extern "C-unwind" fn once(address: usize, function: usize, pc: Pc) -> c_int {
    let Some(call) = Call::begin(address, "pthread_once", pc) else { return 0 };
    let run = call.until("once", not_yet, first);
    call.end(if run { "is the first at" } else { "finds done" });
    if run {
        let ran = catch_unwind(AssertUnwindSafe(|| call_void(function)));
        if let Err(payload) = ran {
            if matches!(payload.downcast_ref(), Some(Leave::ThreadExit)) {
                // Somebody else has to do it, as where a thread is cancelled in it.
                finish(&call, OnceState::Not);
            }
            resume_unwind(payload);
        }
        finish(&call, OnceState::Done);
    }
    0
}

fn not_yet() -> Option<State> {
    Some(State::Once { state: OnceState::Not })
}

/// Whether it is this thread's to do; nothing while another thread does it.
fn first(state: &mut State) -> Option<bool> {
    match state {
        State::Once { state: state @ OnceState::Not } => {
            *state = OnceState::Running;
            Some(true)
        }
        State::Once { state: OnceState::Running } => None,
        _ => Some(false),
    }
}

fn finish(call: &Call, done: OnceState) {
    call.attempt(None, |state| {
        *state = State::Once { state: done };
        Some(())
    });
}

/// C++ is about to initialise a static of a function: whether it has to.
extern "C-unwind" fn guard_acquire(address: usize, pc: Pc) -> c_int {
    let Some(call) = Call::begin(address, "the guard of a static", pc) else { return 0 };
    let run = call.until("the guard of a static", not_yet, first);
    call.end(if run { "is the first at" } else { "finds done" });
    c_int::from(run)
}

/// It has been initialised, which whoever comes later sees in the guard's first byte.
extern "C-unwind" fn guard_release(address: usize, pc: Pc) {
    let Some(call) = Call::begin(address, "the guard of a static", pc) else { return };
    // Release: pairs with the acquire load that the compiler makes before it calls `guard_acquire`.
    store::<u8>(address, 1, RELEASE, pc);
    finish(&call, OnceState::Done);
}

/// Its constructor threw: somebody else has to try.
extern "C-unwind" fn guard_abort(address: usize, pc: Pc) {
    let Some(call) = Call::begin(address, "the guard of a static", pc) else { return };
    finish(&call, OnceState::Not);
}

/// C's number for a release.
const RELEASE: c_int = 3;

entry_points! {
    __cxa_guard_acquire(1) => guard_acquire;
    __cxa_guard_release(1) => guard_release;
    __cxa_guard_abort(1) => guard_abort;
    pthread_once(2) => once;
}

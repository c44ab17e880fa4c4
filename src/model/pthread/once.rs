//! What is done once.

use super::monitor::{OnceState, State};
use super::{Call, call_void};
use crate::model::entry::entry_points;
use crate::model::world::Pc;
use std::ffi::c_int;

pub(super) extern "C-unwind" fn once(address: usize, function: usize, pc: Pc) -> c_int {
    let Some(call) = Call::begin(address, "pthread_once", pc) else { return 0 };
    let fresh = || Some(State::Once { state: OnceState::Not });
    let run = call.until("once", fresh, |state| match state {
        State::Once { state: state @ OnceState::Not } => {
            *state = OnceState::Running;
            Some(true)
        }
        State::Once { state: OnceState::Running } => None,
        _ => Some(false),
    });
    call.end(if run { "is the first at" } else { "finds done" });
    if run {
        call_void(function);
        call.attempt(None, |state| {
            *state = State::Once { state: OnceState::Done };
            Some(())
        });
    }
    0
}

entry_points! {
    pthread_once(2) => once;
}

//! Barriers.

use super::monitor::State;
use super::{Call, destroyed};
use crate::model::entry::entry_points;
use crate::model::world::Pc;
use std::ffi::{c_int, c_uint};

const PTHREAD_BARRIER_SERIAL_THREAD: c_int = -1;

extern "C-unwind" fn barrier_init(address: usize, _: usize, needed: c_uint, pc: Pc) -> c_int {
    let Some(call) = Call::begin(address, "pthread_barrier_init", pc) else { return 0 };
    if needed == 0 {
        return libc::EINVAL;
    }
    call.make(State::Barrier { needed, arrived: 0, round: 0 }, "makes barrier")
}

extern "C-unwind" fn barrier_destroy(address: usize, pc: Pc) -> c_int {
    let Some(call) = Call::begin(address, "pthread_barrier_destroy", pc) else { return 0 };
    destroyed(&call, "destroys barrier")
}

extern "C-unwind" fn barrier_wait(address: usize, pc: Pc) -> c_int {
    let Some(call) = Call::begin(address, "pthread_barrier_wait", pc) else { return 0 };
    call.end("arrives at");
    let arrived = call.attempt(None, |state| match state {
        State::Barrier { needed, arrived, round } => {
            *arrived += 1;
            let last = arrived == needed;
            let mine = *round;
            if last {
                (*arrived, *round) = (0, mine + 1);
            }
            Some((last, mine))
        }
        _ => Some((true, 0)),
    });
    let (last, mine) = arrived.unwrap_or((true, 0));
    if last {
        return PTHREAD_BARRIER_SERIAL_THREAD;
    }
    call.until(
        "barrier",
        || None,
        move |state| match state {
            State::Barrier { round, .. } if *round == mine => None,
            _ => Some(()),
        },
    );
    call.end("passes");
    0
}

entry_points! {
    pthread_barrier_init(3) => barrier_init;
    pthread_barrier_destroy(1) => barrier_destroy;
    pthread_barrier_wait(1) => barrier_wait;
}

//! Barriers.

use super::monitor::State;
use super::{Call, destroyed};
use crate::entry::entry_points;
use crate::event::What;
use crate::finding::FindingKind;
use crate::world::{Pc, with};
use std::ffi::{c_int, c_uint};

const PTHREAD_BARRIER_SERIAL_THREAD: c_int = -1;

extern "C-unwind" fn barrier_init(address: usize, _: usize, needed: c_uint, pc: Pc) -> c_int {
    let Some(call) = Call::begin(address, "pthread_barrier_init", pc) else { return 0 };
    if needed == 0 {
        return libc::EINVAL;
    }
    call.make(State::Barrier { needed, arrived: 0, inside: 0, round: 0 }, "makes barrier")
}

extern "C-unwind" fn barrier_destroy(address: usize, pc: Pc) -> c_int {
    let Some(call) = Call::begin(address, "pthread_barrier_destroy", pc) else { return 0 };
    // Whoever has passed may destroy it while others are still on their way out: glibc waits for them here.
    let waited_at = call.until(
        "barrier",
        || None,
        |state| match state {
            State::Barrier { arrived: 0, inside: 1.., .. } => None,
            State::Barrier { arrived, .. } => Some(*arrived > 0),
            _ => Some(false),
        },
    );
    if waited_at {
        call.convict(FindingKind::Misuse, "a barrier is destroyed while threads wait at it");
    }
    destroyed(&call, "destroys barrier")
}

extern "C-unwind" fn barrier_wait(address: usize, pc: Pc) -> c_int {
    let Some(call) = Call::begin(address, "pthread_barrier_wait", pc) else { return 0 };
    call.end("arrives at");
    let arrived = call.attempt(None, |state| match state {
        State::Barrier { needed, arrived, inside, round } => {
            *arrived += 1;
            let last = arrived == needed;
            let mine = *round;
            if last {
                (*arrived, *inside, *round) = (0, *inside + *needed - 1, mine + 1);
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
            State::Barrier { inside, .. } => {
                *inside -= 1;
                Some(())
            }
            _ => Some(()),
        },
    );
    // It may be gone: see `barrier_destroy`.
    with(|world| world.log(call.me, pc, What::On("passes", address)));
    0
}

entry_points! {
    pthread_barrier_init(3) => barrier_init;
    pthread_barrier_destroy(1) => barrier_destroy;
    pthread_barrier_wait(1) => barrier_wait;
}

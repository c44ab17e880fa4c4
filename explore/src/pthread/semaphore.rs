//! POSIX semaphores, unnamed ones.

use super::monitor::State;
use super::time::at;
use super::{Call, answer, destroyed, fails};
use crate::entry::entry_points;
use crate::world::Pc;
use std::ffi::{c_int, c_uint};

extern "C-unwind" fn sem_init(address: usize, _: c_int, count: c_uint, pc: Pc) -> c_int {
    let Some(call) = Call::begin(address, "sem_init", pc) else { return 0 };
    call.make(State::Semaphore { count }, "makes semaphore")
}

extern "C-unwind" fn sem_destroy(address: usize, pc: Pc) -> c_int {
    let Some(call) = Call::begin(address, "sem_destroy", pc) else { return 0 };
    destroyed(&call, "destroys semaphore")
}

fn take_one(state: &mut State) -> Option<()> {
    match state {
        State::Semaphore { count } if *count > 0 => {
            *count -= 1;
            Some(())
        }
        _ => None,
    }
}

extern "C-unwind" fn sem_wait(address: usize, pc: Pc) -> c_int {
    let Some(call) = Call::begin(address, "sem_wait", pc) else { return 0 };
    call.until("semaphore", || None, take_one);
    call.end("takes one of");
    0
}

fn taken(call: &Call, got: Option<()>, otherwise: c_int) -> c_int {
    call.end(if got.is_some() { "takes one of" } else { "finds nothing in" });
    if got.is_some() {
        return 0;
    }
    fails(call.me, otherwise)
}

extern "C-unwind" fn sem_trywait(address: usize, pc: Pc) -> c_int {
    let Some(call) = Call::begin(address, "sem_trywait", pc) else { return 0 };
    taken(&call, call.attempt(None, take_one), libc::EAGAIN)
}

extern "C-unwind" fn sem_timedwait(address: usize, limit: usize, pc: Pc) -> c_int {
    let until = at(limit, pc);
    let Some(call) = Call::begin(address, "sem_timedwait", pc) else { return 0 };
    taken(&call, call.within(Some(until), || None, take_one), libc::ETIMEDOUT)
}

extern "C-unwind" fn sem_post(address: usize, pc: Pc) -> c_int {
    let Some(call) = Call::begin(address, "sem_post", pc) else { return 0 };
    call.end("adds one to");
    call.attempt(None, |state| {
        if let State::Semaphore { count } = state {
            *count += 1;
        }
        Some(())
    });
    0
}

extern "C-unwind" fn sem_getvalue(address: usize, out: usize, pc: Pc) -> c_int {
    let Some(call) = Call::begin(address, "sem_getvalue", pc) else { return 0 };
    let count = call.attempt(None, |state| if let State::Semaphore { count } = state { Some(*count) } else { Some(0) });
    call.end("looks at");
    // SAFETY: (1) C passes a place for an `int` to `sem_getvalue`.
    unsafe { answer(out, count.unwrap_or_default(), pc) };
    0
}

extern "C-unwind" fn sem_clockwait(address: usize, _: c_int, limit: usize, pc: Pc) -> c_int {
    sem_timedwait(address, limit, pc)
}

entry_points! {
    sem_clockwait(3) => sem_clockwait;
    sem_init(3) => sem_init;
    sem_destroy(1) => sem_destroy;
    sem_wait(1) => sem_wait;
    sem_trywait(1) => sem_trywait;
    sem_timedwait(2) => sem_timedwait;
    sem_post(1) => sem_post;
    sem_getvalue(2) => sem_getvalue;
}

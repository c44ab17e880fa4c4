//! Spinlocks, as locks that block: whoever spins on one cannot do anything else.

use super::monitor::State;
use super::rwlock::tried;
use super::{Call, destroyed};
use crate::entry::entry_points;
use crate::finding::FindingKind;
use crate::world::{Me, Pc};
use std::ffi::c_int;

extern "C-unwind" fn spin_init(address: usize, _: c_int, pc: Pc) -> c_int {
    let Some(call) = Call::begin(address, "pthread_spin_init", pc) else { return 0 };
    call.make(State::Spin { owner: None }, "makes spinlock")
}

extern "C-unwind" fn spin_destroy(address: usize, pc: Pc) -> c_int {
    let Some(call) = Call::begin(address, "pthread_spin_destroy", pc) else { return 0 };
    destroyed(&call, "destroys spinlock")
}

fn take_spin(me: Me) -> impl Fn(&mut State) -> Option<()> {
    move |state| match state {
        State::Spin { owner: owner @ None } => {
            *owner = Some(me);
            Some(())
        }
        _ => None,
    }
}

extern "C-unwind" fn spin_lock(address: usize, pc: Pc) -> c_int {
    let Some(call) = Call::begin(address, "pthread_spin_lock", pc) else { return 0 };
    call.until("spinlock", || None, take_spin(call.me));
    call.end("locks");
    0
}

extern "C-unwind" fn spin_trylock(address: usize, pc: Pc) -> c_int {
    let Some(call) = Call::begin(address, "pthread_spin_trylock", pc) else { return 0 };
    tried(&call, call.attempt(None, take_spin(call.me)), libc::EBUSY)
}

extern "C-unwind" fn spin_unlock(address: usize, pc: Pc) -> c_int {
    let Some(call) = Call::begin(address, "pthread_spin_unlock", pc) else { return 0 };
    call.end("unlocks");
    let me = call.me;
    let had = call.attempt(None, move |state| match state {
        State::Spin { owner } if *owner == Some(me) => {
            *owner = None;
            Some(true)
        }
        _ => Some(false),
    });
    if had != Some(true) {
        call.convict(FindingKind::Misuse, "a spinlock is unlocked by a thread that does not hold it");
    }
    0
}

entry_points! {
    pthread_spin_init(2) => spin_init;
    pthread_spin_destroy(1) => spin_destroy;
    pthread_spin_lock(1) => spin_lock;
    pthread_spin_trylock(1) => spin_trylock;
    pthread_spin_unlock(1) => spin_unlock;
}

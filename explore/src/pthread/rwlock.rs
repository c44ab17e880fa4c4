//! Locks for many readers or one writer.

use super::monitor::State;
use super::mutex::{attributes_destroy, attributes_ignored, attributes_init, attributes_private};
use super::{Call, destroyed};
use crate::entry::entry_points;
use crate::finding::FindingKind;
use crate::world::{Me, Pc, with};
use std::ffi::c_int;

fn unlocked() -> Option<State> {
    Some(State::Shared { readers: Vec::new(), writer: None })
}

fn take_shared(me: Me) -> impl Fn(&mut State) -> Option<()> {
    move |state| match state {
        State::Shared { readers, writer: None } => {
            readers.push(me);
            Some(())
        }
        _ => None,
    }
}

fn take_exclusive(me: Me) -> impl Fn(&mut State) -> Option<()> {
    move |state| match state {
        State::Shared { readers, writer } if readers.is_empty() && writer.is_none() => {
            *writer = Some(me);
            Some(())
        }
        _ => None,
    }
}

extern "C-unwind" fn rwlock_init(address: usize, _: usize, pc: Pc) -> c_int {
    let Some(call) = Call::begin(address, "pthread_rwlock_init", pc) else { return 0 };
    call.make(State::Shared { readers: Vec::new(), writer: None }, "makes rwlock")
}

extern "C-unwind" fn rwlock_destroy(address: usize, pc: Pc) -> c_int {
    let Some(call) = Call::begin(address, "pthread_rwlock_destroy", pc) else { return 0 };
    if with(|world| world.objects.holder(address)).is_some() {
        call.convict(FindingKind::Misuse, "a rwlock is destroyed while it is locked");
    }
    destroyed(&call, "destroys rwlock")
}

extern "C-unwind" fn rwlock_rdlock(address: usize, pc: Pc) -> c_int {
    let Some(call) = Call::begin(address, "pthread_rwlock_rdlock", pc) else { return 0 };
    call.until("rwlock", unlocked, take_shared(call.me));
    call.end("locks for reading");
    0
}

extern "C-unwind" fn rwlock_wrlock(address: usize, pc: Pc) -> c_int {
    let Some(call) = Call::begin(address, "pthread_rwlock_wrlock", pc) else { return 0 };
    call.until("rwlock", unlocked, take_exclusive(call.me));
    call.end("locks for writing");
    0
}

pub(super) fn tried(call: &Call, got: Option<()>, otherwise: c_int) -> c_int {
    call.end(if got.is_some() { "locks" } else { "finds locked" });
    if got.is_some() { 0 } else { otherwise }
}

extern "C-unwind" fn rwlock_tryrdlock(address: usize, pc: Pc) -> c_int {
    let Some(call) = Call::begin(address, "pthread_rwlock_tryrdlock", pc) else { return 0 };
    tried(&call, call.attempt(unlocked(), take_shared(call.me)), libc::EBUSY)
}

extern "C-unwind" fn rwlock_trywrlock(address: usize, pc: Pc) -> c_int {
    let Some(call) = Call::begin(address, "pthread_rwlock_trywrlock", pc) else { return 0 };
    tried(&call, call.attempt(unlocked(), take_exclusive(call.me)), libc::EBUSY)
}

extern "C-unwind" fn rwlock_timedrdlock(address: usize, _: usize, pc: Pc) -> c_int {
    let Some(call) = Call::begin(address, "pthread_rwlock_timedrdlock", pc) else { return 0 };
    tried(&call, call.within(None, unlocked, take_shared(call.me)), libc::ETIMEDOUT)
}

extern "C-unwind" fn rwlock_timedwrlock(address: usize, _: usize, pc: Pc) -> c_int {
    let Some(call) = Call::begin(address, "pthread_rwlock_timedwrlock", pc) else { return 0 };
    tried(&call, call.within(None, unlocked, take_exclusive(call.me)), libc::ETIMEDOUT)
}

extern "C-unwind" fn rwlock_unlock(address: usize, pc: Pc) -> c_int {
    let Some(call) = Call::begin(address, "pthread_rwlock_unlock", pc) else { return 0 };
    call.end("unlocks");
    let me = call.me;
    let had = call.attempt(unlocked(), move |state| match state {
        State::Shared { readers, writer } => {
            let reader = readers.iter().position(|&reader| reader == me);
            Some(if *writer == Some(me) {
                *writer = None;
                true
            } else if let Some(reader) = reader {
                readers.remove(reader);
                true
            } else {
                false
            })
        }
        _ => Some(false),
    });
    if had != Some(true) {
        call.convict(FindingKind::Misuse, "a rwlock is unlocked by a thread that does not hold it");
    }
    0
}

extern "C-unwind" fn rwlock_clockrdlock(address: usize, _: c_int, limit: usize, pc: Pc) -> c_int {
    rwlock_timedrdlock(address, limit, pc)
}

extern "C-unwind" fn rwlock_clockwrlock(address: usize, _: c_int, limit: usize, pc: Pc) -> c_int {
    rwlock_timedwrlock(address, limit, pc)
}

entry_points! {
    pthread_rwlock_clockrdlock(3) => rwlock_clockrdlock;
    pthread_rwlock_clockwrlock(3) => rwlock_clockwrlock;
    pthread_rwlockattr_init(1) => attributes_init;
    pthread_rwlockattr_destroy(1) => attributes_destroy;
    pthread_rwlockattr_setpshared(2) => attributes_private;
    pthread_rwlockattr_setkind_np(2) => attributes_ignored;
    pthread_rwlock_init(2) => rwlock_init;
    pthread_rwlock_destroy(1) => rwlock_destroy;
    pthread_rwlock_rdlock(1) => rwlock_rdlock;
    pthread_rwlock_wrlock(1) => rwlock_wrlock;
    pthread_rwlock_tryrdlock(1) => rwlock_tryrdlock;
    pthread_rwlock_trywrlock(1) => rwlock_trywrlock;
    pthread_rwlock_timedrdlock(2) => rwlock_timedrdlock;
    pthread_rwlock_timedwrlock(2) => rwlock_timedwrlock;
    pthread_rwlock_unlock(1) => rwlock_unlock;
}

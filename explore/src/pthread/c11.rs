//! C11's `threads.h`, in terms of pthreads.

use super::condvar::{cond_broadcast, cond_destroy, cond_init, cond_signal, cond_timedwait, cond_wait};
use super::keys::{getspecific, key_create, key_delete, setspecific};
use super::mutex::{init_mutex, mutex_destroy, mutex_lock, mutex_timedlock, mutex_trylock, mutex_unlock};
use super::once::once;
use super::threads::{create, join, pthread_detach, pthread_equal, pthread_exit, pthread_self};
use super::time::{nanosleep, yields};
use super::{Call, write};
use crate::entry::entry_points;
use crate::memory::accessed;
use crate::race::Access;
use crate::world::Pc;
use std::ffi::c_int;

const THRD_BUSY: c_int = 1;

const THRD_ERROR: c_int = 2;

const THRD_TIMEDOUT: c_int = 4;

fn answer(posix: c_int) -> c_int {
    match posix {
        0 => 0,
        libc::EBUSY => THRD_BUSY,
        libc::ETIMEDOUT => THRD_TIMEDOUT,
        _ => THRD_ERROR,
    }
}

extern "C-unwind" fn mtx_init(address: usize, kind: c_int, pc: Pc) -> c_int {
    let Some(call) = Call::begin(address, "mtx_init", pc) else { return 0 };
    init_mutex(&call, kind & 1)
}

extern "C-unwind" fn mtx_lock(address: usize, pc: Pc) -> c_int {
    answer(mutex_lock(address, pc))
}

extern "C-unwind" fn mtx_trylock(address: usize, pc: Pc) -> c_int {
    answer(mutex_trylock(address, pc))
}

extern "C-unwind" fn mtx_timedlock(address: usize, limit: usize, pc: Pc) -> c_int {
    answer(mutex_timedlock(address, limit, pc))
}

extern "C-unwind" fn mtx_unlock(address: usize, pc: Pc) -> c_int {
    answer(mutex_unlock(address, pc))
}

extern "C-unwind" fn mtx_destroy(address: usize, pc: Pc) {
    mutex_destroy(address, pc);
}

extern "C-unwind" fn cnd_init(address: usize, pc: Pc) -> c_int {
    answer(cond_init(address, 0, pc))
}

extern "C-unwind" fn cnd_timedwait(address: usize, mutex: usize, limit: usize, pc: Pc) -> c_int {
    answer(cond_timedwait(address, mutex, limit, pc))
}

extern "C-unwind" fn cnd_destroy(address: usize, pc: Pc) {
    cond_destroy(address, pc);
}

extern "C-unwind" fn thrd_create(out: usize, start: usize, argument: usize, pc: Pc) -> c_int {
    answer(create(out, start, argument, false, true, pc))
}

extern "C-unwind" fn thrd_join(name: usize, out: usize, pc: Pc) -> c_int {
    let value = match join(name, pc) {
        Ok(value) => value,
        Err(why) => return answer(why),
    };
    if out != 0 {
        accessed(out, size_of::<c_int>(), Access::Write, pc);
        // SAFETY: (1) C passes a place for an `int` to `thrd_join`, and `accessed` has checked it.
        unsafe { write(out, value as c_int) };
    }
    0
}

extern "C-unwind" fn tss_get(key: u32, pc: Pc) -> usize {
    getspecific(key, pc)
}

extern "C-unwind" fn tss_delete(key: u32, pc: Pc) {
    key_delete(key, pc);
}

entry_points! {
    mtx_init(2) => mtx_init;
    mtx_lock(1) => mtx_lock;
    mtx_trylock(1) => mtx_trylock;
    mtx_timedlock(2) => mtx_timedlock;
    mtx_unlock(1) => mtx_unlock;
    mtx_destroy(1) => mtx_destroy;
    cnd_init(1) => cnd_init;
    cnd_timedwait(3) => cnd_timedwait;
    cnd_destroy(1) => cnd_destroy;
    thrd_create(3) => thrd_create;
    thrd_join(2) => thrd_join;
    tss_get(1) => tss_get;
    tss_delete(1) => tss_delete;
    cnd_wait(2) => cond_wait;
    cnd_signal(1) => cond_signal;
    cnd_broadcast(1) => cond_broadcast;
    thrd_detach(1) => pthread_detach;
    thrd_exit(1) => pthread_exit;
    thrd_current(0) => pthread_self;
    thrd_equal(2) => pthread_equal;
    thrd_yield(0) => yields;
    thrd_sleep(2) => nanosleep;
    call_once(2) => once;
    tss_create(2) => key_create;
    tss_set(2) => setspecific;
}

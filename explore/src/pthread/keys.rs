//! Thread-specific data, and its destructors.
//!
//! Making and deleting keys is not a branch of the search.

use super::write;
use crate::entry::entry_points;
use crate::memory::accessed;
use crate::race::Access;
use crate::world::{Pc, enter, with};
use std::ffi::c_int;

pub(super) extern "C-unwind" fn key_create(out: usize, destructor: usize, pc: Pc) -> c_int {
    let Some(me) = enter() else { return libc::EAGAIN };
    let key = with(|world| {
        world.objects.keys_made += 1;
        let key = world.objects.keys_made;
        world.objects.keys.insert(key, (destructor != 0).then_some(destructor));
        world.did(me, pc, format!("makes key {key}"));
        key
    });
    accessed(out, size_of::<u32>(), Access::Write, pc);
    // SAFETY: (1) C passes a place for a key to `pthread_key_create`.
    unsafe { write(out, key) };
    0
}

pub(super) extern "C-unwind" fn key_delete(key: u32, pc: Pc) -> c_int {
    let Some(me) = enter() else { return 0 };
    with(|world| {
        world.did(me, pc, format!("deletes key {key}"));
        if world.objects.keys.remove(&key).is_some() { 0 } else { libc::EINVAL }
    })
}

pub(super) extern "C-unwind" fn setspecific(key: u32, value: usize, pc: Pc) -> c_int {
    let Some(me) = enter() else { return 0 };
    with(|world| {
        if !world.objects.keys.contains_key(&key) {
            return libc::EINVAL;
        }
        world.thread(me).locals.insert(key, value);
        world.did(me, pc, format!("sets its value of key {key}"));
        0
    })
}

pub(super) extern "C-unwind" fn getspecific(key: u32, _: Pc) -> usize {
    enter().map_or(0, |me| with(|world| world.thread(me).locals.get(&key).copied().unwrap_or_default()))
}

entry_points! {
    pthread_key_create(2) => key_create;
    pthread_key_delete(1) => key_delete;
    pthread_setspecific(2) => setspecific;
    pthread_getspecific(1) => getspecific;
}

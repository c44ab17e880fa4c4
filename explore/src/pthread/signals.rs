//! Signals, of which nobody sends any, and cancellation, which nobody asks for.
//!
//! Libraries that have threads of their own block signals in them, or install a handler, and then wait for none. What they set is
//! kept and told again; no handler runs. Sending a signal ends the search, as what it would do is not modelled, and
//! waiting for one is refused when building.

use super::{answer, fails, pointer, refuse_call};
use crate::entry::entry_points;
use crate::memory::accessed;
use crate::race::Access;
use crate::world::{Me, Pc, World, enter, with};
use std::collections::BTreeMap;
use std::ffi::c_int;

/// A set of signals, as C has it.
type Set = [u64; size_of::<libc::sigset_t>() / 8];

/// What C code has said about signals and cancellation.
#[derive(Default)]
pub(super) struct Signals {
    actions: BTreeMap<c_int, Action>,
    masks: BTreeMap<Me, Set>,
    cancellation: BTreeMap<(Me, Cancellation), c_int>,
}

/// The bytes of a `struct sigaction`.
type Action = [u64; size_of::<libc::sigaction>() / 8];

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Cancellation {
    Whether,
    When,
}

/// A new thread begins with its creator's mask.
pub(super) fn inherit(world: &mut World, from: Me, to: Me) {
    let masks = &mut world.objects.signals.masks;
    if let Some(&mask) = masks.get(&from) {
        masks.insert(to, mask);
    }
}

/// Reads a value of C's, and checks its memory first.
///
/// # Safety
///
/// 1. C passed `address` as that of a `T`, to a function that reads one there.
unsafe fn read<T: Copy>(address: usize, pc: Pc) -> T {
    accessed(address, size_of::<T>(), Access::Read, pc);
    // SAFETY: the caller guarantees by clause 1 that there is a `T`.
    unsafe { pointer::<T>(address).read() }
}

/// Whether a handler may be installed for it.
fn can_be_handled(signal: c_int) -> bool {
    (1..=64).contains(&signal) && signal != libc::SIGKILL && signal != libc::SIGSTOP
}

extern "C-unwind" fn sigaction(signal: c_int, action: usize, old: usize, pc: Pc) -> c_int {
    let Some(me) = enter() else { return 0 };
    if !can_be_handled(signal) {
        return fails(me, libc::EINVAL);
    }
    let before = with(|world| world.objects.signals.actions.get(&signal).copied()).unwrap_or_default();
    if action != 0 {
        // SAFETY: (1) C passes a `struct sigaction` to `sigaction`.
        let action = unsafe { read::<Action>(action, pc) };
        with(|world| world.objects.signals.actions.insert(signal, action));
    }
    if old != 0 {
        // SAFETY: (1) C passes a place for the old action to `sigaction`.
        unsafe { answer(old, before, pc) };
    }
    0
}

extern "C-unwind" fn signal(signal: c_int, handler: usize, _: Pc) -> usize {
    let Some(me) = enter() else { return 0 };
    if !can_be_handled(signal) {
        let _: c_int = fails(me, libc::EINVAL);
        return libc::SIG_ERR;
    }
    // The handler is what a `struct sigaction` begins with.
    let mut action = Action::default();
    action[0] = handler as u64;
    let before = with(|world| world.objects.signals.actions.insert(signal, action));
    before.unwrap_or_default()[0] as usize
}

extern "C-unwind" fn pthread_sigmask(how: c_int, set: usize, old: usize, pc: Pc) -> c_int {
    let Some(me) = enter() else { return 0 };
    let before = with(|world| world.objects.signals.masks.get(&me).copied()).unwrap_or_default();
    if set != 0 {
        // SAFETY: (1) C passes a set of signals to `pthread_sigmask`.
        let set = unsafe { read::<Set>(set, pc) };
        let mut after = before;
        for (word, changed) in after.iter_mut().zip(set) {
            *word = match how {
                libc::SIG_BLOCK => *word | changed,
                libc::SIG_UNBLOCK => *word & !changed,
                libc::SIG_SETMASK => changed,
                _ => return libc::EINVAL,
            };
        }
        with(|world| world.objects.signals.masks.insert(me, after));
    }
    if old != 0 {
        // SAFETY: (1) C passes a place for the old set to `pthread_sigmask`.
        unsafe { answer(old, before, pc) };
    }
    0
}

extern "C-unwind" fn sigprocmask(how: c_int, set: usize, old: usize, pc: Pc) -> c_int {
    match (pthread_sigmask(how, set, old, pc), enter()) {
        (0, _) | (_, None) => 0,
        (why, Some(me)) => fails(me, why),
    }
}

/// Whether the system would send a signal that does something: no handler ignores it, and it is not blocked.
pub(crate) fn raises_signal(signal: c_int) -> bool {
    let Some(me) = enter() else { return false };
    with(|world| {
        let signals = &world.objects.signals;
        let ignored = signals.actions.get(&signal).is_some_and(|action| action[0] == libc::SIG_IGN as u64);
        let mask = signals.masks.get(&me).copied().unwrap_or_default();
        !ignored && mask[0] >> (signal - 1) & 1 == 0
    })
}

/// With 0 it only asks whether there is such a thread.
extern "C-unwind" fn pthread_kill(name: usize, signal: c_int, pc: Pc) -> c_int {
    let Some(me) = enter() else { return 0 };
    with(|world| world.known(me, pc, name));
    if signal != 0 {
        refuse_call(&format!("pthread_kill with signal {signal}"), pc);
    }
    0
}

fn set_cancellation(which: Cancellation, value: c_int, old: usize, pc: Pc) -> c_int {
    let Some(me) = enter() else { return 0 };
    if !(0..=1).contains(&value) {
        return libc::EINVAL;
    }
    let before = with(|world| world.objects.signals.cancellation.insert((me, which), value));
    if old != 0 {
        // Both begin as 0: enabled, and deferred.
        // SAFETY: (1) C passes a place for the old state to `pthread_setcancelstate` and `pthread_setcanceltype`.
        unsafe { answer(old, before.unwrap_or_default(), pc) };
    }
    0
}

extern "C-unwind" fn set_cancel_state(state: c_int, old: usize, pc: Pc) -> c_int {
    set_cancellation(Cancellation::Whether, state, old, pc)
}

extern "C-unwind" fn set_cancel_type(kind: c_int, old: usize, pc: Pc) -> c_int {
    set_cancellation(Cancellation::When, kind, old, pc)
}

extern "C-unwind" fn test_cancel(_: Pc) {}

entry_points! {
    sigaction(3) => sigaction;
    signal(2) => signal;
    bsd_signal(2) => signal;
    __sysv_signal(2) => signal;
    pthread_sigmask(3) => pthread_sigmask;
    sigprocmask(3) => sigprocmask;
    pthread_kill(2) => pthread_kill;
    pthread_setcancelstate(2) => set_cancel_state;
    pthread_setcanceltype(2) => set_cancel_type;
    pthread_testcancel(0) => test_cancel;
}

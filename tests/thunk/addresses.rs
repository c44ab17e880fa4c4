//! Which address a closure gets, and when a dead one is used again.

use crate::support::{breakpoint, drop_probe};
use latecall::registry::{Quiescence, Registry, Revoked, Shortage};
use latecall::signature::Signature;
use latecall::thunk::Thunk;
use std::collections::{HashSet, VecDeque};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::thread;

/// First in, first out, and not before as many others have died as the declaration says.
#[test]
fn a_dead_address_is_used_again_after_the_quarantine_and_in_order() {
    latecall::signature! {
        extern "C" fn Number() -> u32;
        late = 0;
        panic = Late;
        pool = 100;
        quarantine = 5;
    }
    let mut dead = VecDeque::new();
    for round in 1..=60 {
        let thunk = Number::thunk(move || round);
        let address = thunk.as_fn() as usize;
        assert_eq!(thunk.as_fn()(), round);
        match dead.iter().position(|&other| other == address) {
            None => assert!(round <= 6, "6 addresses are enough: one in use, five dead"),
            Some(place) => {
                assert_eq!((place, dead.len()), (0, 6), "the oldest of more than five");
                dead.pop_front();
            }
        }
        drop(thunk);
        dead.push_back(address);
    }
}

#[test]
fn without_a_quarantine_an_address_is_used_again_at_once() {
    latecall::signature! {
        extern "C" fn AtOnce() -> u32;
        late = 0;
        panic = Late;
        pool = 1;
        quarantine = 0;
    }
    let functions: HashSet<_> = (0..9).map(|number| AtOnce::thunk(move || number).as_fn() as usize).collect();
    assert_eq!(functions.len(), 1);
}

#[test]
fn never_means_never() {
    const MANY: usize = if cfg!(miri) { 100 } else { 3000 };
    latecall::signature! {
        extern "C" fn Never() -> usize;
        late = 0;
        panic = Late;
        pool = (MANY);
        quarantine = never;
    }
    let functions: HashSet<_> = (0..MANY).map(|number| Never::thunk(move || number).as_fn() as usize).collect();
    assert_eq!(functions.len(), MANY);
}

/// A signature that no code page can serve: eight integers are too many.
mod pool_only {
    latecall::signature! {
        pub(super) extern "C" fn Eight(a: u8, b: u8, c: u8, d: u8, e: u8, f: u8, g: u8, h: u8) -> u8;
        late = 0;
        panic = Late;
        pool = 4;
        quarantine = 2;
    }
}

#[test]
fn an_exhausted_pool_is_a_value_and_ends_when_enough_have_died() {
    use pool_only::Eight;
    let call = |thunk: &Thunk<Eight>| thunk.as_fn()(0, 0, 0, 0, 0, 0, 0, 1);
    let (probe, drops) = drop_probe();
    let mut thunks: Vec<_> = (1..=4).map(|more| Eight::thunk(move |_, _, _, _, _, _, _, h| h + more)).collect();
    let refused = Eight::try_thunk(move |_, _, _, _, _, _, _, _| {
        let _owned = &probe;
        9
    });
    let exhausted = refused.unwrap_err();
    assert_eq!((exhausted.shortage(), drops.drops()), (Shortage::Thunks, 0));
    let callback = exhausted.into_callback();
    thunks.truncate(2); // Two die, which the quarantine keeps.
    let callback = Thunk::<Eight>::try_new(callback).unwrap_err().into_callback();
    thunks.truncate(1); // A third: the first of them is free.
    let thunk = Thunk::<Eight>::try_new(callback).unwrap();
    assert_eq!((call(&thunk), call(&thunks[0])), (9, 2));
    drop(thunk);
    assert_eq!(drops.drops(), 1);
}

/// A thunk that the registry refuses uses no address up.
#[test]
fn a_failed_registration_gives_its_address_back() {
    latecall::signature! {
        extern "C" fn One(a: u8, b: u8, c: u8, d: u8, e: u8, f: u8, g: u8, h: u8) -> u8; // no code page serves it
        late = 0;
        panic = Late;
        pool = 2;
        quarantine = never;
        registry = Registry::new().with_capacity_limit(1);
    }
    let first = One::thunk(|_, _, _, _, _, _, _, _| 1);
    for _ in 0..10 {
        assert_eq!(One::try_thunk(|_, _, _, _, _, _, _, _| 2).unwrap_err().shortage(), Shortage::Slots);
    }
    drop(first);
    assert_eq!(One::thunk(|_, _, _, _, _, _, _, _| 3).as_fn()(0, 0, 0, 0, 0, 0, 0, 0), 3);
}

/// While a call is inside, or the thunk exists, its address goes to no other closure, even without a quarantine.
#[test]
fn an_address_in_use_is_given_to_no_other_closure() {
    latecall::signature! {
        extern "C" fn Held(a: u8, b: u8, c: u8, d: u8, e: u8, f: u8, g: u8, h: u8) -> u8; // no code page serves it
        late = 0;
        panic = Late;
        pool = 2;
        quarantine = 0;
    }
    let call = |function: <Held as Signature>::Function| function(0, 0, 0, 0, 0, 0, 0, 0);
    let (breakpoint, controller) = breakpoint();
    let breakpoint = Mutex::new(breakpoint);
    let running = Held::thunk(move |_, _, _, _, _, _, _, _| {
        breakpoint.lock().unwrap().stop_here();
        1
    });
    let function = running.as_fn();
    thread::scope(|scope| {
        let running_call = scope.spawn(move || call(function));
        controller.wait_until_stopped();
        running.revoke_deferred(); // The owner is gone; a call is inside.
        let other = Held::thunk(|_, _, _, _, _, _, _, _| 2);
        assert_ne!(other.as_fn() as usize, function as usize);
        assert_eq!((call(other.as_fn()), call(function)), (2, 0));
        assert_eq!(Held::try_thunk(|_, _, _, _, _, _, _, _| 3).unwrap_err().shortage(), Shortage::Thunks);
        controller.resume();
        assert_eq!(running_call.join().unwrap(), 1);
        Held::registry().reclaim();
    });
    // The call has left. The first address is free again.
    let next = Held::thunk(|_, _, _, _, _, _, _, _| 4);
    assert_eq!(next.as_fn() as usize, function as usize);
    // Revoked, over, and still owned.
    assert_eq!(next.revoke_and_wait(), Quiescence::Quiescent);
    assert_ne!(Held::thunk(|_, _, _, _, _, _, _, _| 5).as_fn() as usize, next.as_fn() as usize);
    assert_eq!(call(next.as_fn()), 0);
}

#[test]
fn a_leaked_thunk_is_permanent_until_its_handle_is_revoked() {
    latecall::signature! {
        extern "C" fn Leaked() -> u8;
        late = 0;
        panic = Late;
        pool = 1;
        quarantine = 0;
    }
    let thunk = Leaked::thunk(|| 1);
    let handle = thunk.handle();
    let function = thunk.leak();
    assert_eq!(function(), 1);
    assert_eq!(Leaked::registry().revoke(handle), Ok(Revoked::Removed));
    assert_eq!(function(), 0);
    assert_eq!(Leaked::thunk(|| 2).as_fn() as usize, function as usize);
}

/// Threads make, call and drop thunks, and other threads call whatever they find. A live thunk always answers with its
/// own number.
#[test]
fn threads_that_make_and_drop_thunks_never_get_each_others() {
    latecall::signature! {
        extern "C" fn Own() -> u64;
        late = u64::MAX;
        panic = Abort;
        pool = 128;
        quarantine = 40;
    }
    static SEEN: AtomicU64 = AtomicU64::new(0);
    let rounds = if cfg!(miri) { 20 } else { 3000 };
    let stop = AtomicBool::new(false);
    let shown = Mutex::new(None::<extern "C" fn() -> u64>);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !stop.load(SeqCst) {
                    let function = *shown.lock().unwrap();
                    if let Some(function) = function {
                        SEEN.fetch_add(u64::from(function() != u64::MAX), SeqCst);
                    }
                    thread::yield_now();
                }
            });
        }
        let makers: Vec<_> = (0..2_u64)
            .map(|maker| {
                let shown = &shown;
                scope.spawn(move || {
                    for round in 0..rounds {
                        let number = maker << 32 | round;
                        let thunk = Own::thunk(move || number);
                        *shown.lock().unwrap() = Some(thunk.as_fn());
                        assert_eq!(thunk.as_fn()(), number);
                        if round % 3 == 0 {
                            // Keeps the address until it is reclaimed.
                            thunk.revoke_deferred();
                        }
                        if round % 32 == 0 {
                            Own::registry().reclaim();
                        }
                    }
                })
            })
            .collect();
        let made: Vec<_> = makers.into_iter().map(|maker| maker.join()).collect();
        stop.store(true, SeqCst);
        assert!(made.iter().all(Result::is_ok));
    });
    Own::registry().reclaim();
    assert_eq!(Own::registry().stats().live, 0);
}

/// Random verbs on one thread, against a list that says what each address is. Addresses are given out as the list says:
/// the one that has been dead longest, if more are dead than the quarantine holds, or else one that is in no list.
#[test]
fn any_sequence_of_verbs_gives_addresses_out_as_the_reference_does() {
    const QUARANTINE: usize = 7;
    latecall::signature! {
        extern "C" fn Steps() -> u64;
        late = u64::MAX;
        panic = Abort;
        pool = 500;
        quarantine = (QUARANTINE);
    }
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = |below: usize| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        (random % below as u64) as usize
    };
    let mut owned: Vec<(Thunk<Steps>, u64, bool)> = Vec::new();
    let mut leaked = Vec::new();
    let mut dead: VecDeque<extern "C" fn() -> u64> = VecDeque::new();
    let mut used = HashSet::new();
    for number in 0..if cfg!(miri) { 200 } else { 20_000 } {
        let chosen = next(owned.len().max(1));
        match next(10) {
            0..=4 if owned.len() < 12 => {
                let thunk = Steps::thunk(move || number);
                let function = thunk.as_fn();
                if dead.len() > QUARANTINE {
                    assert_eq!(dead.pop_front().map(|dead| dead as usize), Some(function as usize), "the oldest");
                } else {
                    assert!(used.insert(function as usize), "an address that was not in use before");
                }
                owned.push((thunk, number, true));
            }
            0..=5 if chosen < owned.len() => {
                let (thunk, _, _) = owned.swap_remove(chosen);
                dead.push_back(thunk.as_fn());
                if next(2) == 0 {
                    drop(thunk);
                } else {
                    thunk.revoke_deferred();
                    Steps::registry().reclaim();
                }
            }
            6 | 7 if chosen < owned.len() => {
                let _ = owned[chosen].0.revoke();
                owned[chosen].2 = false;
            }
            8 if chosen < owned.len() && owned[chosen].2 && leaked.len() < 5 => {
                let (thunk, number, _) = owned.swap_remove(chosen);
                leaked.push((thunk.handle(), thunk.leak(), number));
            }
            9 if !leaked.is_empty() => {
                let (handle, function, _) = leaked.swap_remove(next(leaked.len()));
                assert_eq!(Steps::registry().revoke(handle), Ok(Revoked::Removed));
                dead.push_back(function);
            }
            _ => {}
        }
        for (thunk, number, live) in &owned {
            assert_eq!(thunk.as_fn()(), if *live { *number } else { u64::MAX });
        }
        assert!(leaked.iter().all(|(_, function, number)| function() == *number));
        assert!(dead.iter().all(|function| function() == u64::MAX));
    }
    assert!(used.len() <= 12 + 5 + QUARANTINE + 1, "{}", used.len());
}

/// A destructor that panics: the address goes into the quarantine, and comes out of it.
#[test]
fn a_destructor_that_panics_keeps_no_address() {
    use crate::support::PanicsOnDrop;
    latecall::signature! {
        extern "C" fn Panics() -> u8;
        late = 0;
        panic = Late;
        pool = 1;
        quarantine = 0;
    }
    let probe = PanicsOnDrop("dropped");
    let thunk = Panics::thunk(move || {
        let _owned = &probe;
        1
    });
    let address = thunk.as_fn() as usize;
    let dropped = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(thunk)));
    assert_eq!(dropped.unwrap_err().downcast_ref::<String>().unwrap(), "dropped");
    assert_eq!(Panics::thunk(|| 2).as_fn() as usize, address);
}

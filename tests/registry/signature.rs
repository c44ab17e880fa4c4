//! Signatures, and callbacks that are replaced: `latecall::signature!`. S31, S32, S33, S48, S67, S96.
#![allow(clippy::disallowed_types, reason = "a test is outside the crate and has no other locks")]

use crate::support::{breakpoint, drop_probe, stall_hook, stop_this_thread_at};
use latecall::registry::{Handle, Quiescence, Reason, Revoked, StallSite};
use latecall::signature::{Boxed, Registered, Signature, Switch};
use std::ffi::c_char;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::thread;

/// Late calls with this reason. The counter belongs to the registry, so each test has a signature of its own.
fn late<S: Signature>(reason: Reason) -> u64 {
    S::registry().stats().late.of(reason)
}

#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq)]
struct Large {
    numbers: [u64; 4],
}

mod declared {
    use super::Large;
    use std::ffi::c_char;

    latecall::signature! {
        /// User data first.
        pub(super) extern "C" fn First(user_data, number: u64) -> u64;
        late = 7;
        panic = Late;
    }
    latecall::signature! {
        /// In the middle, with a pointer and a floating-point number, and another ABI.
        pub(super) extern "system" fn Middle(ratio: f64, user_data, text: *const c_char) -> f64;
        late = f64::NAN;
        panic = Late;
    }
    latecall::signature! {
        /// Last, and a structure that is returned by a hidden pointer.
        pub(super) extern "C" fn Last(number: u8, flag: bool, user_data,) -> Large;
        late = Large { numbers: [u64::MAX; 4] };
        panic = Late;
    }
    latecall::signature! {
        /// Alone, and nothing is returned.
        pub(super) extern "C" fn Alone(user_data);
        panic = Late;
    }
    latecall::signature! {
        /// A reference, as some bindings have them.
        pub(super) extern "C" fn Borrows(large: &Large, user_data) -> u64;
        late = 0;
        panic = Late;
    }
}
use declared::{Alone, Borrows, First, Last, Middle};

/// S67: for each position of the user data and each kind of return type, C gets the callback's result. A late call gets
/// the declared value, never what was in the register.
#[test]
fn every_position_and_return_type_arrives_and_so_does_its_late_value() {
    let first = First::registry().register(First::shared(|number| number + 1));
    let handle = first.handle().as_ptr();
    assert_eq!(First::function()(handle, 41), 42);
    drop(first);
    assert_eq!(First::function()(handle, 41), 7);

    let middle = Middle::registry().register(Middle::shared(|ratio, text| ratio * f64::from(unsafe_byte(text))));
    let handle = middle.handle().as_ptr();
    assert_eq!(Middle::function()(0.5, handle, c"T".as_ptr()), 42.0);
    drop(middle);
    assert!(Middle::function()(0.5, handle, c"T".as_ptr()).is_nan());

    let last =
        Last::registry().register(Last::shared(|number, flag| Large { numbers: [number.into(), flag.into(), 3, 4] }));
    let handle = last.handle().as_ptr();
    assert_eq!(Last::function()(1, true, handle).numbers, [1, 1, 3, 4]);
    drop(last);
    assert_eq!(Last::function()(1, true, handle).numbers, [u64::MAX; 4]);

    let ran = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&ran);
    let alone = Alone::registry().register(Alone::shared(move || {
        count.fetch_add(1, Relaxed);
    }));
    let handle = alone.handle().as_ptr();
    Alone::function()(handle);
    drop(alone);
    Alone::function()(handle);
    assert_eq!(ran.load(Relaxed), 1);

    let sum: Registered<Borrows> = Borrows::registry().register(Borrows::shared(|large| large.numbers.iter().sum()));
    let handle = sum.handle().as_ptr();
    assert_eq!(Borrows::function()(&Large { numbers: [1, 2, 3, 4] }, handle), 10);
    drop(sum);
    assert_eq!(Borrows::function()(&Large { numbers: [1, 2, 3, 4] }, handle), 0);
}

fn unsafe_byte(text: *const c_char) -> u8 {
    // SAFETY: the tests pass C string literals.
    unsafe { *text }.to_ne_bytes()[0]
}

/// Reports name the signature, unless its registry has a name of its own.
#[test]
fn a_late_call_is_reported_under_the_signatures_name() {
    static SEEN: Mutex<Vec<String>> = Mutex::new(Vec::new());
    fn hook(late: &latecall::registry::LateCall<'_>) {
        SEEN.lock().unwrap().push(late.to_string());
    }
    latecall::signature! {
        extern "C" fn Reported(user_data, flags: u32);
        panic = Abort;
        registry = latecall::registry::Registry::new().with_late_hook(hook);
    }
    Reported::function()(std::ptr::null_mut(), 0);
    let seen = SEEN.lock().unwrap();
    assert_eq!(seen.len(), 1);
    let what = "callback    extern \"C\" fn(user_data, flags: u32) -> (), in registry `Reported`";
    assert!(seen[0].contains(what), "{}", seen[0]);
}

/// S96: the handle of one signature is given to the function of another, and a function compiled for one closure gets
/// the handle of another closure.
#[test]
fn a_function_refuses_what_it_was_not_made_for() {
    latecall::signature! {
        extern "C" fn One(user_data) -> u64;
        late = 0;
        panic = Late;
    }
    latecall::signature! {
        extern "C" fn Other(user_data) -> u64;
        late = 0;
        panic = Late;
    }
    let (text, number) = (String::from("long enough to have memory of its own"), 11_u64);
    let (of_text, text_function) = One::inlined(move || text.len() as u64);
    let (of_number, number_function) = One::inlined(move || number);
    let of_text = One::registry().register(of_text);
    let of_number = One::registry().register(of_number);
    let plain = One::registry().register(One::shared(|| 5));
    let other = Other::registry().register(Other::shared(|| 9));
    let pointer = |handle: Handle| handle.as_ptr();

    // Its own closure, through both functions.
    assert_eq!(text_function(pointer(of_text.handle())), 37);
    assert_eq!(number_function(pointer(of_number.handle())), 11);
    assert_eq!(One::function()(pointer(of_text.handle())), 37);
    assert_eq!(late::<One>(Reason::WrongType), 0);
    // The other closure, in both directions, and a closure without a function of its own.
    assert_eq!(text_function(pointer(of_number.handle())), 0);
    assert_eq!(number_function(pointer(of_text.handle())), 0);
    assert_eq!(text_function(pointer(plain.handle())), 0);
    assert_eq!(late::<One>(Reason::WrongType), 3);
    // A handle of another signature, and a handle truncated to 32 bits.
    assert_eq!(One::function()(pointer(other.handle())), 0);
    assert_eq!(text_function(pointer(other.handle())), 0);
    assert_eq!(late::<One>(Reason::WrongRegistry), 2);
    let truncated = Handle::from_bits(plain.handle().bits() & 0xffff_ffff);
    assert_eq!(One::function()(pointer(truncated)), 0);
    assert_eq!(late::<One>(Reason::WrongRegistry), 3);
}

/// S31: threads call while the callback is replaced. Each call runs a function with its own data, no call is refused,
/// and each old callback is dropped once, after its last call.
#[test]
fn a_callback_is_replaced_as_one_unit_under_fire() {
    latecall::signature! {
        extern "C" fn Replaced(user_data) -> u64;
        late = u64::MAX;
        panic = Late;
    }
    const ROUNDS: u64 = 3000;
    let (callback, switch) = Replaced::switch();
    let registration = Replaced::registry().register(callback);
    let handle = registration.handle();
    let callback = |round: u64| {
        let data = Box::new(round);
        let (probe, watch) = drop_probe();
        let callback = Replaced::shared(move || {
            let _owned = &probe;
            // Function and data agree: the function's own copy and the one behind its pointer.
            if *data == round { round } else { u64::MAX - 1 }
        });
        (callback, watch)
    };
    let (first, mut old) = callback(0);
    assert_eq!(switch.replace(first).unwrap(), None);
    let done = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let mut last = 0;
                while done.load(Relaxed) == 0 {
                    let round = Replaced::function()(handle.as_ptr());
                    assert!(round <= ROUNDS, "mixed up, or refused: {round}");
                    assert!(round >= last, "an older one after a newer");
                    last = round;
                }
            });
        }
        for round in 1..=ROUNDS {
            let (next, watch) = callback(round);
            match switch.replace(next).unwrap() {
                Some(Revoked::Removed) => assert_eq!(old.drops(), 1),
                Some(Revoked::InFlight(_)) => assert!(old.drops() <= 1),
                other => panic!("{other:?}"),
            }
            old = watch;
        }
        done.store(1, Relaxed);
    });
    assert_eq!(Replaced::registry().stats().late.total(), 0, "no call was late");
    drop(registration);
    assert_eq!(old.drops(), 1, "the armed callback ends with the registration of the switch");
    assert!(switch.replace(Replaced::shared(|| 0)).is_err());
    let stats = Replaced::registry().stats();
    assert_eq!((stats.live, stats.revoking, stats.closures_dropped), (0, 0, ROUNDS + 2));
}

/// S31: a call has found a callback, which is replaced before the call enters it. The call runs the new callback.
#[test]
fn a_call_that_is_overtaken_by_a_replacement_runs_the_new_one() {
    latecall::signature! {
        extern "C" fn Overtaken(user_data) -> u64;
        late = 0;
        panic = Late;
        registry = latecall::registry::Registry::new().with_stall_hook(stall_hook);
    }
    let (callback, switch) = Overtaken::switch();
    let registration = Overtaken::registry().register(callback);
    let handle = registration.handle();
    switch.replace(Overtaken::shared(|| 1)).unwrap();
    let ((outer, at_outer), (inner, at_inner)) = (breakpoint(), breakpoint());
    thread::scope(|scope| {
        let call = scope.spawn(move || {
            stop_this_thread_at(StallSite::BeforeAcquire, outer);
            stop_this_thread_at(StallSite::BeforeAcquire, inner);
            Overtaken::function()(handle.as_ptr())
        });
        at_outer.wait_until_stopped();
        at_outer.resume();
        // The call has found the first callback, and is stopped before it enters.
        at_inner.wait_until_stopped();
        assert_eq!(switch.replace(Overtaken::shared(|| 2)).unwrap(), Some(Revoked::Removed));
        at_inner.resume();
        assert_eq!(call.join().unwrap(), 2);
    });
    assert_eq!(Overtaken::registry().stats().late.total(), 0);
}

/// S32, S33: a callback that arms its successor is ended by `shutdown`, and not by `revoke`.
#[test]
fn shutdown_ends_a_callback_that_rearms_itself() {
    latecall::signature! {
        extern "C" fn Rearms(user_data) -> u64;
        late = 0;
        panic = Late;
    }
    let (callback, switch) = Rearms::switch();
    let registration = Rearms::registry().register(callback);
    let call = || Rearms::function()(registration.handle().as_ptr());
    let again = switch.clone();
    let arm = move |action: fn(&latecall::signature::Switch<Rearms>)| {
        let again = again.clone();
        Rearms::shared(move || {
            action(&again);
            u64::from(again.replace(Rearms::shared(|| 9)).is_ok()) + 1
        })
    };
    switch.replace(arm(|switch| assert_eq!(switch.revoke(), Revoked::InFlight(1)))).unwrap();
    assert_eq!(call(), 2, "armed again after a plain revoke");
    assert_eq!(call(), 9);
    let (callback, other) = Rearms::switch();
    let second = Rearms::registry().register(callback);
    let again = other.clone();
    other
        .replace(Rearms::shared(move || {
            assert_eq!(again.shutdown(), Revoked::InFlight(1));
            u64::from(again.replace(Rearms::shared(|| 9)).is_ok()) + 1
        }))
        .unwrap();
    assert_eq!(Rearms::function()(second.handle().as_ptr()), 1, "not armed after a shutdown");
    assert_eq!(other.ignored(), 1);
    assert_eq!(Rearms::function()(second.handle().as_ptr()), 0);
    assert_eq!(late::<Rearms>(Reason::Unarmed), 1);
    assert_eq!(other.shutdown_and_wait(), Quiescence::Quiescent);
}

/// S33: two callbacks arm each other while both are called. Once both are shut down, in either order, neither is armed
/// again.
#[test]
fn shutdown_ends_a_pair_that_arms_each_other() {
    latecall::signature! {
        extern "C" fn Pair(user_data) -> u64;
        late = 0;
        panic = Late;
    }
    fn arms(own: Switch<Pair>, other: Switch<Pair>) -> Boxed<'static, Pair> {
        Pair::shared(move || {
            let next = arms(other.clone(), own.clone());
            let _ = other.replace(next);
            1
        })
    }
    for first in [0, 1].repeat(100) {
        let (callbacks, switches): (Vec<_>, Vec<_>) = (0..2).map(|_| Pair::switch()).unzip();
        let registrations: Vec<_> = callbacks.into_iter().map(|callback| Pair::registry().register(callback)).collect();
        switches[0].replace(arms(switches[0].clone(), switches[1].clone())).unwrap();
        let fire = |which: usize| Pair::function()(registrations[which].handle().as_ptr());
        assert_eq!((fire(0), fire(1)), (1, 1), "each has armed the other");
        let down = AtomicUsize::new(0);
        thread::scope(|scope| {
            for which in 0..2 {
                let (fire, down) = (&fire, &down);
                scope.spawn(move || {
                    while down.load(Relaxed) == 0 {
                        fire(which);
                    }
                });
            }
            for which in [first, 1 - first] {
                assert_eq!(switches[which].shutdown_and_wait(), Quiescence::Quiescent);
            }
            down.store(1, Relaxed);
        });
        assert_eq!((fire(0), fire(1)), (0, 0));
    }
    let stats = Pair::registry().stats();
    assert_eq!((stats.live, stats.revoking), (0, 0));
}

/// For C libraries that take a destroy function: the closure is dropped exactly once, by C or by the Rust owner.
#[test]
fn the_destroy_function_drops_the_callback_once() {
    latecall::signature! {
        extern "C" fn Destroyed(user_data) -> u64;
        late = 0;
        panic = Late;
    }
    let register = || {
        let (probe, watch) = drop_probe();
        let callback = Destroyed::shared(move || {
            let _owned = &probe;
            1
        });
        (Destroyed::registry().register(callback), watch)
    };
    // C accepted the callback and owns it.
    let (registration, watch) = register();
    let handle = registration.leak();
    Destroyed::destroy()(handle.as_ptr());
    assert_eq!(watch.drops(), 1);
    Destroyed::destroy()(handle.as_ptr());
    assert_eq!(watch.drops(), 1);
    // C refused it and called destroy (S48). Rust still is the owner.
    let (registration, watch) = register();
    Destroyed::destroy()(registration.handle().as_ptr());
    drop(registration);
    assert_eq!(watch.drops(), 1);
    // C refused it and did not call destroy.
    let (registration, watch) = register();
    drop(registration);
    assert_eq!(watch.drops(), 1);
    assert_eq!(Destroyed::registry().stats().late.total(), 0);
    Destroyed::destroy()(std::ptr::null_mut());
    assert_eq!(late::<Destroyed>(Reason::Null), 1, "a made-up argument is counted");
}

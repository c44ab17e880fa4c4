//! Revoking against calls on other threads. S16-S20, S24, S25, S26, S30.
#![allow(clippy::disallowed_types, reason = "a test is outside the crate and has no other atomics")]

use crate::support::{Callbacks, LIMIT, grave, parked, parked_then, race_revoke_and_call, until_revoked};
use latecall::registry::{Quiescence, Reason, Revoked, Status};
use std::cell::UnsafeCell;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::channel;
use std::sync::{Arc, Barrier};
use std::thread;

/// S16
#[test]
fn revoked_before_any_call_it_never_runs() {
    let registry = Callbacks::new();
    let (grave, watch) = grave();
    let registration = registry.register(Box::new(move || {
        let _owned = &grave;
        panic!("ran")
    }));
    assert_eq!(registration.revoke(), Revoked::Removed);
    assert_eq!(watch.drops(), 1, "dropped by the revoker, before it returned");
    assert_eq!(registry.call(registration.handle().as_ptr(), |f| f()).unwrap_err().reason(), Reason::Stale);
}

/// S17
#[test]
fn revoke_of_a_running_callback_returns_at_once_and_the_last_call_drops_it() {
    let registry = Callbacks::new();
    let (registration, host, watch) = parked(&registry);
    let handle = registration.handle();
    thread::scope(|scope| {
        let call = scope.spawn(|| registry.call(handle.as_ptr(), |f| f()).is_ok());
        host.wait_for_visitor();
        assert_eq!(registry.status(handle), Ok(Status::Live(1)));
        assert_eq!(registration.revoke(), Revoked::InFlight(1));
        assert_eq!(watch.drops(), 0, "the running call still owns it");
        assert_eq!(registry.status(handle), Ok(Status::Revoking(1)));
        let late = registry.call(handle.as_ptr(), |f| f()).unwrap_err();
        assert_eq!(late.reason(), Reason::Revoking);
        assert_eq!(registration.revoke(), Revoked::AlreadyRevoked);
        assert_eq!(registry.stats().revoking, 1);
        host.let_go();
        assert!(call.join().unwrap());
    });
    assert_eq!(watch.drops(), 1);
    assert_eq!(registry.stats().revoking, 0);
}

/// A cell whose only guard is the promise of `revoke_and_wait`.
struct Unguarded(UnsafeCell<u64>);
// SAFETY: written by the one call and read after `revoke_and_wait`; that this is no race is what the test is about.
unsafe impl Sync for Unguarded {}

/// S18: returns only after the running call has; what that call wrote, without any synchronisation of its own, is seen.
#[test]
fn revoke_and_wait_returns_after_the_running_call_and_sees_what_it_wrote() {
    static WRITTEN: Unguarded = Unguarded(UnsafeCell::new(0));
    let registry = Callbacks::new();
    let returned = AtomicBool::new(false);
    // SAFETY: only this call writes, and the reader waits for it.
    let (registration, host, watch) = parked_then(&registry, || unsafe { *WRITTEN.0.get() = 42 });
    let handle = registration.handle();
    thread::scope(|scope| {
        scope.spawn(|| registry.call(handle.as_ptr(), |f| f()).is_ok());
        host.wait_for_visitor();
        let waiter = scope.spawn(|| {
            let answer = registration.revoke_and_wait();
            returned.store(true, Relaxed);
            // SAFETY: the only writer has returned.
            let seen = unsafe { *WRITTEN.0.get() };
            (answer, seen, watch.drops())
        });
        until_revoked(&registry, handle, 1);
        assert!(!returned.load(Relaxed));
        host.let_go();
        assert_eq!(waiter.join().unwrap(), (Quiescence::Quiescent, 42, 1));
    });
}

/// S19: a callback that runs does not delay the revocation of another.
#[test]
fn a_running_callback_delays_nobody_elses_revocation() {
    let registry = Callbacks::new();
    let (parked, host, _watch) = parked(&registry);
    let other = registry.register(Box::new(|| ()));
    let handle = parked.handle();
    thread::scope(|scope| {
        scope.spawn(|| registry.call(handle.as_ptr(), |f| f()).is_ok());
        host.wait_for_visitor();
        assert_eq!(other.revoke_and_wait(), Quiescence::Quiescent);
        drop(registry.register(Box::new(|| ())));
        host.let_go();
    });
    drop(parked);
}

/// S20: in each of 10 000 rounds either the revoker found nobody or the call ran, with the sums to match, and never both a
/// removal before the call and a run after it.
#[test]
fn ten_thousand_races_of_revoke_and_call_end_one_way_or_the_other() {
    race_revoke_and_call(&Callbacks::new(), 10_000);
}

/// S24: waits for all of N, and refuses the N+1st.
#[test]
fn revoke_and_wait_waits_for_every_call_inside() {
    const CALLS: usize = 8;
    let registry = Callbacks::new();
    let (grave, watch) = grave();
    let inside = Arc::new(Barrier::new(CALLS + 1));
    let leave = Arc::new(Barrier::new(CALLS + 1));
    let finished = Arc::new(AtomicUsize::new(0));
    let registration = {
        let (inside, leave, finished) = (Arc::clone(&inside), Arc::clone(&leave), Arc::clone(&finished));
        registry.register(Box::new(move || {
            let _owned = &grave;
            inside.wait();
            leave.wait();
            finished.fetch_add(1, Relaxed);
        }))
    };
    let handle = registration.handle();
    thread::scope(|scope| {
        for _ in 0..CALLS {
            scope.spawn(|| registry.call(handle.as_ptr(), |f| f()).is_ok());
        }
        inside.wait();
        let waiter = scope.spawn(|| (registration.revoke_and_wait(), finished.load(Relaxed), watch.drops()));
        until_revoked(&registry, handle, CALLS as u32);
        let refused = registry.call(handle.as_ptr(), |f| f()).unwrap_err().reason();
        leave.wait(); // before anything is asserted: a panic here would wait for those inside
        assert_eq!(refused, Reason::Revoking);
        assert_eq!(waiter.join().unwrap(), (Quiescence::Quiescent, CALLS, 1));
    });
}

/// S25: callers that never stop do not keep the revoker waiting.
#[test]
fn a_storm_of_calls_does_not_starve_the_revoker() {
    let registry = Callbacks::new();
    let stop = AtomicBool::new(false);
    let (sender, receiver) = channel();
    let registration = registry.register(Box::new(|| ()));
    let handle = registration.handle();
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while !stop.load(Relaxed) {
                    let _ = registry.call(handle.as_ptr(), |f| f());
                }
            });
        }
        scope.spawn(move || sender.send(registration.revoke_and_wait()).unwrap());
        let answer = receiver.recv_timeout(LIMIT);
        stop.store(true, Relaxed);
        assert_eq!(answer, Ok(Quiescence::Quiescent));
    });
}

/// S26: two wait for one running call: one of them revoked it, both return after it.
#[test]
fn two_revokers_of_a_running_callback_both_return_after_it() {
    let registry = Callbacks::new();
    let done = Arc::new(AtomicBool::new(false));
    let tell = Arc::clone(&done);
    let (registration, host, _watch) = parked_then(&registry, move || tell.store(true, Relaxed));
    let handle = registration.handle();
    let both_revoked = Barrier::new(3);
    thread::scope(|scope| {
        scope.spawn(|| registry.call(handle.as_ptr(), |f| f()).is_ok());
        host.wait_for_visitor();
        let revokers = [(); 2].map(|()| {
            scope.spawn(|| {
                let revoked = registration.revoke();
                both_revoked.wait();
                let answer = registration.revoke_and_wait();
                (revoked, answer, done.load(Relaxed))
            })
        });
        both_revoked.wait();
        host.let_go();
        let mut answers = revokers.map(|revoker| revoker.join().unwrap());
        answers.sort_by_key(|(revoked, ..)| *revoked == Revoked::AlreadyRevoked);
        assert_eq!(
            answers,
            [
                (Revoked::InFlight(1), Quiescence::Quiescent, true),
                (Revoked::AlreadyRevoked, Quiescence::Quiescent, true)
            ]
        );
    });
}

/// S30: the waiter takes everything down the moment it is told: what the closure used, and its own share of the registry.
/// The call that told it has only its own share of the registry left to touch. (In the languages of the scenario's
/// sources the registry could be freed under it; here `call` borrows the registry, so that does not compile:
/// `tests/ui/registry_dropped_inside_call.rs`.) Valgrind and the sanitizers see any access that is too late.
#[test]
fn the_waiter_may_take_everything_down_as_soon_as_it_is_told() {
    for _ in 0..2_000 {
        let registry = Arc::new(Callbacks::new());
        let used = Box::into_raw(Box::new([7_u64; 32]));
        let address = used as usize;
        let handle = registry
            .register(Box::new(move || {
                let used = address as *const [u64; 32];
                // SAFETY: freed only after `revoke_and_wait`.
                assert!(unsafe { *used }.iter().all(|&word| word == 7), "freed under a call");
            }))
            .leak();
        let callers = [(); 2].map(|()| {
            let registry = Arc::clone(&registry);
            thread::Builder::new().spawn(move || while registry.call(handle.as_ptr(), |f| f()).is_ok() {}).unwrap()
        });
        assert_eq!(registry.revoke_and_wait(handle), Ok(Quiescence::Quiescent));
        // SAFETY: it came from `Box::into_raw`, and no call uses it any more.
        let mut used = unsafe { Box::from_raw(used) };
        used.fill(0xdead);
        drop(used);
        drop(registry);
        for caller in callers {
            caller.join().unwrap();
        }
    }
}

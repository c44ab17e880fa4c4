//! Registrations that end all at once: a registry that is closed, and a barrier. S19, S27, S28, S34, S45, S81.
#![allow(clippy::disallowed_types, reason = "a test is outside the crate and has no other locks")]

use crate::support::{
    Callbacks, Controller, PanicsOnDrop, call, drop_probe, leaked_registry, owning, parked, until_revoked,
};
use latecall::registry::{Close, Quiescence, Reason, Revoked, Shortage};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Barrier;
use std::thread;

/// S28, S45: a closed registry refuses registrations, gives the closure back, and has revoked every callback. Calls are
/// late.
#[test]
fn a_closed_registry_refuses_and_reports() {
    let registry = leaked_registry();
    let (probe, watch) = drop_probe();
    let handle = registry.register(owning(probe)).leak();
    assert_eq!(registry.close(Close::Drain), Quiescence::Quiescent);
    assert_eq!(watch.drops(), 1);
    assert_eq!(call(registry, handle), Err(Reason::Stale));
    let exhausted = registry.try_register(Box::new(|| panic!("never runs"))).unwrap_err();
    assert_eq!(exhausted.shortage(), Shortage::Closed);
    let _back: Box<dyn Fn() + Send + Sync> = exhausted.into_callback();
    assert_eq!(registry.close(Close::Drain), Quiescence::Quiescent, "again");
    let late = registry.call(handle.as_ptr(), |f| f()).unwrap_err();
    assert!(late.to_string().contains(concat!("revoked     ", file!(), ":")), "{late}");
}

/// The three ways to close, with a call inside.
#[test]
fn closing_drains_or_aborts_or_leaves() {
    for how in [Close::Drain, Close::Abort, Close::Leave] {
        let registry = leaked_registry();
        let (registration, controller, watch) = parked(registry);
        let handle = registration.leak();
        let (idle_probe, idle) = drop_probe();
        let _ = registry.register(owning(idle_probe)).leak();
        thread::scope(|scope| {
            let caller = scope.spawn(|| call(registry, handle));
            controller.wait_until_stopped();
            let closer = scope.spawn(move || registry.close(how));
            if how == Close::Drain {
                until_revoked(registry, handle, 1);
                controller.resume();
                assert_eq!(closer.join().unwrap(), Quiescence::Quiescent);
                assert_eq!((watch.drops(), idle.drops()), (1, 1));
            } else {
                assert_eq!(closer.join().unwrap(), Quiescence::StillRunning(1), "{how:?}");
                let dropped = usize::from(how == Close::Abort);
                assert_eq!((watch.drops(), idle.drops()), (0, dropped), "{how:?}");
                controller.resume();
            }
            caller.join().unwrap().unwrap();
            assert_eq!(watch.drops(), usize::from(how != Close::Leave), "{how:?}");
            assert_eq!(idle.drops(), usize::from(how != Close::Leave), "{how:?}");
            assert_eq!(registry.close(Close::Drain), Quiescence::Quiescent, "{how:?}");
        });
    }
}

/// S45: a callback closes its own registry. `close` does not wait for this callback, and does not drop its closure.
#[test]
fn a_callback_may_close_its_registry() {
    let registry = leaked_registry();
    let (probe, watch) = drop_probe();
    let seen = watch.clone();
    let handle = registry
        .register(Box::new(move || {
            let _owned = &probe;
            assert_eq!(registry.close(Close::Drain), Quiescence::DeferredToOuterFrame);
            assert_eq!(seen.drops(), 0);
        }))
        .leak();
    call(registry, handle).unwrap();
    assert_eq!(watch.drops(), 1);
}

/// S27: a registration that races a close is refused or revoked, and never stays live.
#[test]
fn no_registration_survives_a_close() {
    for _ in 0..500 {
        let registry = leaked_registry();
        let start = Barrier::new(3);
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    start.wait();
                    while let Ok(registration) = registry.try_register(Box::new(|| ())) {
                        let _ = registration.leak();
                    }
                });
            }
            start.wait();
            assert_eq!(registry.close(Close::Drain), Quiescence::Quiescent);
        });
        let stats = registry.stats();
        assert_eq!((stats.live, stats.revoking), (0, 0));
        assert_eq!(stats.registered, stats.closures_dropped);
    }
}

/// A panic of one destructor does not keep the other callbacks from being revoked.
#[test]
fn a_close_goes_on_after_a_destructors_panic() {
    let registry = Callbacks::new();
    for _ in 0..2 {
        let _ = registry.register(owning(PanicsOnDrop("in the destructor"))).leak();
        let _ = registry.register(Box::new(|| ())).leak();
    }
    assert!(catch_unwind(AssertUnwindSafe(|| registry.close(Close::Abort))).is_err());
    let stats = registry.stats();
    assert_eq!((stats.live, stats.revoking, stats.swallowed_panics), (0, 0, 1));
}

/// S34: a barrier waits for every revoked callback that still has calls, and for no live callback (S19).
#[test]
fn a_barrier_waits_for_everything_revoked_and_nothing_live() {
    let registry = leaked_registry();
    let (first, first_controller, first_watch) = parked(registry);
    let (second, second_controller, second_watch) = parked(registry);
    let (live, live_controller, live_watch) = parked(registry);
    thread::scope(|scope| {
        let calls =
            [first.handle(), second.handle(), live.handle()].map(|handle| scope.spawn(move || call(registry, handle)));
        [&first_controller, &second_controller, &live_controller].into_iter().for_each(Controller::wait_until_stopped);
        assert_eq!(registry.barrier(), Quiescence::Quiescent, "nothing is revoked yet");
        assert_eq!((first.revoke(), second.revoke()), (Revoked::InFlight(1), Revoked::InFlight(1)));
        let waiter = scope.spawn(|| {
            let answer = registry.barrier();
            (answer, first_watch.drops(), second_watch.drops(), live_watch.drops())
        });
        second_controller.resume();
        assert_eq!(second.revoke_and_wait(), Quiescence::Quiescent);
        assert!(!waiter.is_finished(), "the first is still inside");
        first_controller.resume();
        assert_eq!(waiter.join().unwrap(), (Quiescence::Quiescent, 1, 1, 0));
        live_controller.resume();
        calls.into_iter().for_each(|call| call.join().unwrap().unwrap());
    });
}

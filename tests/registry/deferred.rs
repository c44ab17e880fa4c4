//! Revoking now and dropping later. S12, S17, S18, S64.
#![allow(clippy::disallowed_types, reason = "a test is outside the crate and has no other atomics")]

use crate::support::{Callbacks, PanicsOnDrop, grave, owning, parked};
use latecall::registry::{Quiescence, Reason, Revoked, Status};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;

#[test]
fn late_at_once_and_dropped_when_reclaimed() {
    let registry = Callbacks::new();
    let (grave, watch) = grave();
    let handle = registry
        .register(Box::new(move || {
            let _owned = &grave;
            panic!("ran")
        }))
        .leak();
    assert_eq!(registry.revoke_deferred(handle), Ok(true));
    let late = registry.call(handle.as_ptr(), |f| f()).unwrap_err();
    assert_eq!(late.reason(), Reason::Stale);
    assert!(late.report().revoked().unwrap().location().is_some(), "who revoked it is known before it is dropped");
    assert_eq!((watch.drops(), registry.status(handle)), (0, Ok(Status::Revoking(0))));
    assert_eq!(registry.revoke_deferred(handle), Ok(false));
    assert_eq!(registry.revoke(handle), Ok(Revoked::AlreadyRevoked));
    assert_eq!((registry.stats().live, registry.stats().revoking), (0, 1));
    assert_eq!(registry.reclaim(), 1);
    assert_eq!((watch.drops(), registry.status(handle)), (1, Ok(Status::Revoked)));
    assert_eq!(registry.reclaim(), 0);
    let late = registry.call(handle.as_ptr(), |f| f()).unwrap_err();
    assert!(late.report().revoked().unwrap().location().is_some());
}

/// S17: a call that runs keeps its closure; reclaiming does not wait for it.
#[test]
fn a_running_call_keeps_its_closure() {
    let registry = Callbacks::new();
    let (registration, host, watch) = parked(&registry);
    let handle = registration.handle();
    thread::scope(|scope| {
        let call = scope.spawn(|| registry.call(handle.as_ptr(), |f| f()).is_ok());
        host.wait_for_visitor();
        registration.revoke_deferred();
        drop(registry.register(Box::new(|| ())));
        assert_eq!((registry.reclaim(), watch.drops()), (0, 0));
        assert_eq!(registry.status(handle), Ok(Status::Revoking(1)));
        assert_eq!(registry.call(handle.as_ptr(), |f| f()).unwrap_err().reason(), Reason::Revoking);
        host.let_go();
        assert!(call.join().unwrap());
    });
    assert_eq!(watch.drops(), 1, "by the last call to leave");
}

/// S18: who waits for a deferred one does not wait for the batch to fill.
#[test]
fn waiting_reclaims() {
    let registry = Callbacks::new();
    let (grave, watch) = grave();
    let handle = registry.register(owning(grave)).leak();
    assert_eq!(registry.revoke_deferred(handle), Ok(true));
    assert_eq!(registry.revoke_and_wait(handle), Ok(Quiescence::Quiescent));
    assert_eq!(watch.drops(), 1);
}

/// At most 1024 wait, and dropping the registry drops those.
#[test]
fn the_batch_is_bounded_and_goes_with_its_registry() {
    let registry = Callbacks::new();
    for n in 1..=5_000 {
        registry.register(Box::new(|| ())).revoke_deferred();
        let stats = registry.stats();
        assert!(stats.revoking <= 1024, "{} wait after {n}", stats.revoking);
    }
    let (grave, watch) = grave();
    registry.register(owning(grave)).revoke_deferred();
    assert_eq!(watch.drops(), 0);
    drop(registry);
    assert_eq!(watch.drops(), 1);
}

/// S64: one destructor of a batch panics, then another: all run, the slots are in order, the first panic goes on.
#[test]
fn a_destructor_that_panics_does_not_spoil_the_batch() {
    let registry = Callbacks::new();
    let (grave, watch) = grave();
    let all = [
        registry.register(owning(PanicsOnDrop("one"))),
        registry.register(owning(PanicsOnDrop("two"))),
        registry.register(owning(grave)),
    ];
    for registration in all {
        registration.revoke_deferred();
    }
    let panic = catch_unwind(AssertUnwindSafe(|| registry.reclaim())).unwrap_err();
    assert_eq!(panic.downcast_ref::<String>().map(String::as_str), Some("one"));
    let stats = registry.stats();
    assert_eq!((watch.drops(), stats.closures_dropped, stats.swallowed_panics, stats.tombstones), (1, 3, 1, 3));
}

/// While others call and revoke at once: everything is dropped once, and nothing runs after it was revoked.
#[test]
fn deferred_and_prompt_revocations_race_calls() {
    let registry = Callbacks::new();
    let target = std::sync::atomic::AtomicUsize::new(0);
    let stop = std::sync::atomic::AtomicBool::new(false);
    let order = std::sync::atomic::Ordering::Relaxed;
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !stop.load(order) {
                    let handle = latecall::registry::Handle::from_bits(target.load(order));
                    let _ = registry.call(handle.as_ptr(), |f| f());
                }
            });
        }
        for round in 0..20_000_u32 {
            let live = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(true));
            let canary = Box::new([round; 8]);
            let registration = {
                let live = std::sync::Arc::clone(&live);
                registry.register(Box::new(move || {
                    let _ = live.load(order);
                    assert!(canary.iter().all(|&word| word == round), "freed under a call");
                }))
            };
            target.store(registration.handle().bits(), order);
            if round % 3 == 0 { drop(registration) } else { registration.revoke_deferred() }
        }
        stop.store(true, order);
    });
    registry.reclaim();
    let stats = registry.stats();
    assert_eq!((stats.live, stats.revoking, stats.closures_dropped), (0, 0, 20_000));
}

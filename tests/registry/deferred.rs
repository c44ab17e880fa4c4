//! Revoking now and dropping later. S12, S17, S18, S64.
#![allow(clippy::disallowed_types, reason = "a test is outside the crate and has no other atomics")]

use crate::support::{
    Breakpoint, Callbacks, LIMIT, PanicsOnDrop, breakpoint, drop_probe, leaked_registry, owning, parked,
};
use latecall::registry::{Handle, Quiescence, Reason, Revoked, Status};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::mpsc::channel;
use std::thread;

#[test]
fn late_at_once_and_dropped_when_reclaimed() {
    let registry = Callbacks::new();
    let (probe, watch) = drop_probe();
    let handle = registry
        .register(Box::new(move || {
            let _owned = &probe;
            panic!("ran")
        }))
        .leak();
    assert_eq!(registry.revoke_deferred(handle), Ok(true));
    let late = registry.call(handle.as_ptr(), |f| f()).unwrap_err();
    assert_eq!(late.reason(), Reason::Stale);
    assert!(
        late.report().revoked().unwrap().location().is_some(),
        "the revoker is known before the closure is dropped"
    );
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

/// S17: a running call keeps its closure, and `reclaim` does not wait for the call.
#[test]
fn a_running_call_keeps_its_closure() {
    let registry = Callbacks::new();
    let (registration, controller, watch) = parked(&registry);
    let handle = registration.handle();
    thread::scope(|scope| {
        let call = scope.spawn(|| registry.call(handle.as_ptr(), |f| f()).is_ok());
        controller.wait_until_stopped();
        registration.revoke_deferred();
        drop(registry.register(Box::new(|| ())));
        assert_eq!((registry.reclaim(), watch.drops()), (0, 0));
        assert_eq!(registry.status(handle), Ok(Status::Revoking(1)));
        assert_eq!(registry.call(handle.as_ptr(), |f| f()).unwrap_err().reason(), Reason::Revoking);
        controller.resume();
        assert!(call.join().unwrap());
    });
    assert_eq!(watch.drops(), 1, "by the last call to leave");
}

/// S18: waiting for a deferred revocation does not wait until the batch is full.
#[test]
fn waiting_reclaims() {
    let registry = Callbacks::new();
    let (probe, watch) = drop_probe();
    let handle = registry.register(owning(probe)).leak();
    assert_eq!(registry.revoke_deferred(handle), Ok(true));
    assert_eq!(registry.revoke_and_wait(handle), Ok(Quiescence::Quiescent));
    assert_eq!(watch.drops(), 1);
}

/// At most 1024 closures wait to be dropped, and dropping the registry drops them.
#[test]
fn the_batch_is_bounded_and_goes_with_its_registry() {
    let registry = Callbacks::new();
    for n in 1..=5_000 {
        registry.register(Box::new(|| ())).revoke_deferred();
        let stats = registry.stats();
        assert!(stats.revoking <= 1024, "{} wait after {n}", stats.revoking);
    }
    let (probe, watch) = drop_probe();
    registry.register(owning(probe)).revoke_deferred();
    assert_eq!(watch.drops(), 0);
    drop(registry);
    assert_eq!(watch.drops(), 1);
}

/// S64: two destructors of a batch panic. All destructors run, the slots are reusable, and the first panic propagates.
#[test]
fn a_destructor_that_panics_does_not_spoil_the_batch() {
    let registry = Callbacks::new();
    let (probe, watch) = drop_probe();
    let all = [
        registry.register(owning(PanicsOnDrop("one"))),
        registry.register(owning(PanicsOnDrop("two"))),
        registry.register(owning(probe)),
    ];
    for registration in all {
        registration.revoke_deferred();
    }
    let panic = catch_unwind(AssertUnwindSafe(|| registry.reclaim())).unwrap_err();
    assert_eq!(panic.downcast_ref::<String>().map(String::as_str), Some("one"));
    let stats = registry.stats();
    assert_eq!((watch.drops(), stats.closures_dropped, stats.swallowed_panics, stats.tombstones), (1, 3, 1, 3));
}

/// S46: a destructor of a batch drops the registration of another callback of the batch, before or after it in the
/// list.
#[test]
fn a_destructor_may_end_another_callback_of_its_batch() {
    for owned_first in [true, false] {
        let registry = leaked_registry();
        let (probe, watch) = drop_probe();
        let owned = registry.register(owning(probe));
        let owned_handle = owned.handle();
        let owner = registry.register(owning(owned)).leak();
        let [first, second] = if owned_first { [owned_handle, owner] } else { [owner, owned_handle] };
        assert_eq!(registry.revoke_deferred(first), Ok(true));
        assert_eq!(registry.revoke_deferred(second), Ok(true));
        let (done, is_done) = channel();
        thread::Builder::new().spawn(move || done.send(registry.reclaim())).unwrap();
        let dropped = is_done.recv_timeout(LIMIT).expect("the destructor waits for its own thread");
        // The second in the list is dropped by the destructor, not by `reclaim`, if its owner comes first.
        assert_eq!(dropped, if owned_first { 2 } else { 1 });
        assert_eq!((watch.drops(), registry.stats().revoking), (1, 0));
    }
}

/// S19: what follows in the batch is ended by the thread that waits for it, while the destructor before it runs. All
/// verbs that wait, and completions.
#[test]
fn a_wait_for_one_of_a_batch_waits_for_no_other_destructor() {
    type End = fn(&'static Callbacks, Handle);
    let ends: [End; 4] = [
        |registry, handle| assert_eq!(registry.revoke_and_wait(handle), Ok(Quiescence::Quiescent)),
        |registry, handle| assert_eq!(registry.try_revoke_and_wait(handle), Ok(Quiescence::Quiescent)),
        |registry, handle| assert_eq!(registry.revoke_and_wait_for(handle, LIMIT), Ok(Quiescence::Quiescent)),
        |registry, handle| {
            let (done, is_done) = channel();
            assert_eq!(registry.revoke_then(handle, move || done.send(()).unwrap()), Ok(Revoked::AlreadyRevoked));
            assert_eq!(is_done.try_recv(), Ok(()), "the closure has been dropped");
        },
    ];
    for end in ends {
        let registry = leaked_registry();
        let (breakpoint, controller) = breakpoint();
        let breakpoint = Mutex::new(breakpoint);
        struct StopsInDrop(Mutex<Breakpoint>);
        impl Drop for StopsInDrop {
            fn drop(&mut self) {
                self.0.lock().unwrap().stop_here();
            }
        }
        let stops = registry.register(owning(StopsInDrop(breakpoint))).leak();
        let (probe, watch) = drop_probe();
        let other = registry.register(owning(probe)).leak();
        for handle in [stops, other] {
            assert_eq!(registry.revoke_deferred(handle), Ok(true));
        }
        let reclaims = thread::Builder::new().spawn(|| registry.reclaim()).unwrap();
        controller.wait_until_stopped();
        let (done, is_done) = channel();
        let ends = move || {
            end(registry, other);
            done.send(()).unwrap();
        };
        thread::Builder::new().spawn(ends).unwrap();
        is_done.recv_timeout(LIMIT).expect("the wait is for another callback's destructor");
        assert_eq!((watch.drops(), registry.status(other)), (1, Ok(Status::Revoked)));
        controller.resume();
        assert_eq!(reclaims.join().unwrap(), 1);
    }
}

/// S19: a wait for a callback whose revocation was deferred drops its closure, and runs no destructor of another one.
#[test]
fn a_wait_for_a_deferred_revocation_leaves_the_others_alone() {
    let registry = Callbacks::new();
    let (other_probe, other) = drop_probe();
    let (probe, watch) = drop_probe();
    let other_handle = registry.register(owning(other_probe)).leak();
    let handle = registry.register(owning(probe)).leak();
    for handle in [other_handle, handle] {
        assert_eq!(registry.revoke_deferred(handle), Ok(true));
    }
    assert_eq!(registry.revoke_and_wait(handle), Ok(Quiescence::Quiescent));
    assert_eq!((watch.drops(), other.drops()), (1, 0));
    let late = registry.call(handle.as_ptr(), |f| f()).unwrap_err();
    assert!(
        late.report().revoked().unwrap().location().is_some(),
        "the report of the late call says where the revocation was deferred"
    );
    assert_eq!((registry.reclaim(), other.drops()), (1, 1));
}

/// Other threads call while each callback is revoked, at once or deferred. Each is dropped once, and none runs for a
/// call that begins after its revocation has returned.
#[test]
fn deferred_and_prompt_revocations_race_calls() {
    let registry = Callbacks::new();
    let target = std::sync::atomic::AtomicUsize::new(0);
    let revoked = std::sync::atomic::AtomicUsize::new(0);
    let stop = std::sync::atomic::AtomicBool::new(false);
    let order = std::sync::atomic::Ordering::Relaxed;
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !stop.load(order) {
                    let handle = Handle::from_bits(target.load(order));
                    let _ = registry.call(handle.as_ptr(), |f| f());
                    // SeqCst, here and below: the revocation happens before this call.
                    let handle = Handle::from_bits(revoked.load(SeqCst));
                    assert!(registry.call(handle.as_ptr(), |f| f()).is_err(), "ran after it was revoked");
                }
            });
        }
        for round in 0..20_000_u32 {
            let canary = Box::new([round; 8]);
            let registration = registry.register(Box::new(move || {
                assert!(canary.iter().all(|&word| word == round), "freed under a call");
            }));
            let bits = registration.handle().bits();
            target.store(bits, order);
            if round % 3 == 0 {
                drop(registration)
            } else {
                registration.revoke_deferred()
            }
            revoked.store(bits, SeqCst);
        }
        stop.store(true, order);
    });
    registry.reclaim();
    let stats = registry.stats();
    assert_eq!((stats.live, stats.revoking, stats.closures_dropped), (0, 0, 20_000));
}

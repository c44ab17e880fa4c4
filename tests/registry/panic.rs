//! Panics: in a callback, in a closure's destructor, in both. Counts survive them all. S62, S63, S64.
#![allow(clippy::disallowed_types, reason = "a test is outside the crate and has no other locks")]

use crate::support::{Callbacks, PanicsOnDrop, grave, leaked, meeting, owning, parked_then, until_revoked};
use latecall::registry::{Quiescence, Reason, Revoked, Status};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::thread;

fn bomb() -> PanicsOnDrop {
    PanicsOnDrop("in the destructor")
}

fn message(payload: &(dyn std::any::Any + Send)) -> &str {
    let text = payload.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or("?")
}

/// S62
#[test]
fn a_panic_leaves_call_and_the_count_as_it_should() {
    let registry = Callbacks::new();
    let registration = registry.register(Box::new(|| panic!("in the callback")));
    let handle = registration.handle();
    for _ in 0..3 {
        let panic = catch_unwind(AssertUnwindSafe(|| registry.call(handle.as_ptr(), |f| f()).is_ok())).unwrap_err();
        assert_eq!(message(&*panic), "in the callback");
        assert_eq!(registry.status(handle), Ok(Status::Live(0)));
    }
    assert_eq!(registration.revoke_and_wait(), Quiescence::Quiescent);
}

/// S62: after an unwind the thread is no longer taken to be inside.
#[test]
fn a_thread_that_unwound_out_of_a_callback_is_not_inside_it() {
    let registry = Callbacks::new();
    let registration = registry.register(Box::new(|| panic!("in the callback")));
    let handle = registration.handle();
    let _ = catch_unwind(AssertUnwindSafe(|| {
        let _ = registry.call(handle.as_ptr(), |f| f());
    }));
    assert_eq!(registration.revoke_and_wait(), Quiescence::Quiescent);
}

/// S63
#[test]
fn a_panic_wakes_who_waits() {
    let registry = Callbacks::new();
    let (registration, host, watch) = parked_then(&registry, || panic!("in the callback"));
    let handle = registration.handle();
    thread::scope(|scope| {
        let call = scope.spawn(|| catch_unwind(AssertUnwindSafe(|| registry.call(handle.as_ptr(), |f| f()).is_ok())));
        host.wait_for_visitor();
        let waiter = scope.spawn(|| registration.revoke_and_wait());
        until_revoked(&registry, handle, 1);
        host.let_go();
        assert!(call.join().unwrap().is_err());
        assert_eq!(waiter.join().unwrap(), Quiescence::Quiescent);
    });
    assert_eq!(watch.drops(), 1);
}

/// S64: the destructor's panic comes out of the verb that ran it, after the slot has been put in order.
#[test]
fn a_destructor_that_panics_in_revoke_corrupts_nothing() {
    let registry = Callbacks::new().with_capacity_limit(1);
    let handle = registry.register(owning(bomb())).leak();
    let panic = catch_unwind(AssertUnwindSafe(|| registry.revoke(handle))).unwrap_err();
    assert_eq!(message(&*panic), "in the destructor");
    assert_eq!(registry.status(handle), Ok(Status::Revoked));
    assert_eq!(registry.revoke_and_wait(handle), Ok(Quiescence::Quiescent));
    let next = registry.register(Box::new(|| ()));
    assert_eq!(next.handle().index(), handle.index(), "the slot is in use again");
    assert!(registry.call(next.handle().as_ptr(), |f| f()).is_ok());
}

/// S64: the same where the last call to leave runs it, while somebody waits.
#[test]
fn a_destructor_that_panics_in_the_last_call_still_wakes_who_waits() {
    let registry = Callbacks::new();
    let (visitor, host) = meeting();
    let owned = (Mutex::new(visitor), bomb());
    let handle = registry
        .register(Box::new(move || {
            let owned = &owned;
            owned.0.lock().unwrap().stop_here();
        }))
        .leak();
    thread::scope(|scope| {
        let call = scope.spawn(|| catch_unwind(AssertUnwindSafe(|| registry.call(handle.as_ptr(), |f| f()).is_ok())));
        host.wait_for_visitor();
        assert_eq!(registry.revoke(handle), Ok(Revoked::InFlight(1)));
        let waiter = scope.spawn(|| registry.revoke_and_wait(handle));
        host.let_go();
        assert_eq!(message(&*call.join().unwrap().unwrap_err()), "in the destructor");
        assert_eq!(waiter.join().unwrap(), Ok(Quiescence::Quiescent));
    });
    assert_eq!(registry.stats().revoking, 0);
}

/// S64: callback and destructor both panic: the first panic goes on, the second is counted, the process lives.
#[test]
fn a_destructor_that_panics_during_an_unwind_is_contained() {
    let (registry, bomb) = (leaked(), bomb());
    let own: &'static std::sync::OnceLock<_> = Box::leak(Box::default());
    let handle = registry
        .register(Box::new(move || {
            let _owned = &bomb;
            assert_eq!(registry.revoke(*own.get().unwrap()), Ok(Revoked::InFlight(1)));
            panic!("in the callback");
        }))
        .leak();
    own.set(handle).unwrap();
    let panic = catch_unwind(AssertUnwindSafe(|| registry.call(handle.as_ptr(), |f| f()).is_ok())).unwrap_err();
    assert_eq!(message(&*panic), "in the callback");
    assert_eq!(registry.stats().swallowed_panics, 1);
    assert_eq!(registry.call(handle.as_ptr(), |f| f()).unwrap_err().reason(), Reason::Stale);
}

/// S64: dropping a registry drops every closure, also after one of them panicked; the first panic goes on.
#[test]
fn dropping_a_registry_drops_every_closure_even_if_some_panic() {
    let (grave, watch) = grave();
    let registry = Callbacks::new();
    let _ = registry.register(owning(bomb())).leak();
    let _ = registry.register(owning(bomb())).leak();
    let _ = registry.register(owning(grave)).leak();
    let panic = catch_unwind(AssertUnwindSafe(|| drop(registry))).unwrap_err();
    assert_eq!(message(&*panic), "in the destructor");
    assert_eq!(watch.drops(), 1);
}

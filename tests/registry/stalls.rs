//! Forces orders of events by stopping threads at stall sites. S21, S22, S23.

use crate::support::{Breakpoint, DropCount, breakpoint, drop_probe, stall_hook, stop_this_thread_at};
use latecall::registry::{Handle, Quiescence, Reason, Registration, Registry, Revoked, StallSite, Status};
use std::thread;

type Callback = dyn Fn() -> u32 + Send + Sync;
type Callbacks = Registry<Callback>;

fn registry() -> Callbacks {
    Callbacks::new().with_capacity_limit(1).with_tombstones(0).with_stall_hook(stall_hook)
}

/// A callback that returns 1, and a count of its drops.
fn answers_1(registry: &Callbacks) -> (Registration<'_, Callback>, DropCount) {
    let (probe, watch) = drop_probe();
    let registration = registry.register(Box::new(move || {
        let _owned = &probe;
        1
    }));
    (registration, watch)
}

/// Calls, and stops at each of these sites. A late call returns its reason and the slot's generation.
fn call_held_at<const SITES: usize>(
    sites: [(StallSite, Breakpoint); SITES],
    registry: &Callbacks,
    handle: Handle,
) -> Result<u32, (Reason, Option<u32>)> {
    for (site, breakpoint) in sites {
        stop_this_thread_at(site, breakpoint);
    }
    registry.call(handle.as_ptr(), |f| f()).map_err(|late| (late.reason(), late.current_generation()))
}

/// S21: a call has its handle and is stopped before it enters. Meanwhile the registration ends and its slot gets a new
/// one.
#[test]
fn a_call_held_before_it_enters_finds_its_generation_gone() {
    let registry = registry();
    let (registration, watch) = answers_1(&registry);
    let old = registration.handle();
    let (breakpoint, controller) = breakpoint();
    thread::scope(|scope| {
        let call = scope.spawn(|| call_held_at([(StallSite::BeforeAcquire, breakpoint)], &registry, old));
        controller.wait_until_stopped();
        assert_eq!(registration.revoke_and_wait(), Quiescence::Quiescent);
        assert_eq!(watch.drops(), 1);
        let tenant = registry.register(Box::new(|| 2));
        assert_eq!(tenant.handle().index(), old.index());
        controller.resume();
        assert_eq!(call.join().unwrap(), Err((Reason::Stale, Some(old.generation() + 1))));
    });
}

/// A call that is stopped just after it has entered is counted by `revoke`, and the closure is dropped after it.
#[test]
fn a_call_held_after_it_entered_is_counted() {
    let registry = registry();
    let (registration, watch) = answers_1(&registry);
    let handle = registration.handle();
    let (breakpoint, controller) = breakpoint();
    thread::scope(|scope| {
        let call = scope.spawn(|| call_held_at([(StallSite::AfterAcquire, breakpoint)], &registry, handle));
        controller.wait_until_stopped();
        assert_eq!(registration.revoke(), Revoked::InFlight(1));
        assert_eq!(watch.drops(), 0);
        controller.resume();
        assert_eq!(call.join().unwrap(), Ok(1), "it entered in time");
    });
    assert_eq!(watch.drops(), 1);
}

/// S22: a call is stopped on its way out, after it was counted out. The callback can be revoked and its slot reused.
/// The call then only accesses the registry, never the closure.
#[test]
fn a_call_held_on_its_way_out_uses_nothing_of_the_callback() {
    let registry = registry();
    let (registration, watch) = answers_1(&registry);
    let handle = registration.handle();
    let (breakpoint, controller) = breakpoint();
    thread::scope(|scope| {
        let call = scope.spawn(|| call_held_at([(StallSite::AfterRelease, breakpoint)], &registry, handle));
        controller.wait_until_stopped();
        assert_eq!(registration.revoke_and_wait(), Quiescence::Quiescent, "no call is inside");
        assert_eq!(watch.drops(), 1);
        let tenant = registry.register(Box::new(|| 2));
        assert_eq!(tenant.handle().index(), handle.index());
        controller.resume();
        assert_eq!(call.join().unwrap(), Ok(1));
        assert_eq!(registry.call(tenant.handle().as_ptr(), |f| f()).unwrap(), 2);
    });
}

/// S22: the last call of a revoked callback is stopped between being counted out and dropping the closure. A waiting
/// thread is not woken before the closure is dropped.
#[test]
fn the_waiting_thread_is_not_woken_between_the_last_exit_and_the_destructor() {
    let registry = registry();
    let (registration, watch) = answers_1(&registry);
    let handle = registration.handle();
    let ((inside, inside_controller), (exit, exit_controller)) = (breakpoint(), breakpoint());
    thread::scope(|scope| {
        let sites = [(StallSite::AfterAcquire, inside), (StallSite::AfterRelease, exit)];
        let call = scope.spawn(|| call_held_at(sites, &registry, handle));
        inside_controller.wait_until_stopped();
        assert_eq!(registration.revoke(), Revoked::InFlight(1));
        inside_controller.resume();
        exit_controller.wait_until_stopped();
        assert_eq!(registry.status(handle), Ok(Status::Revoking(0)), "counted out, not dropped");
        let waiter = {
            let watch = watch.clone();
            let registration = &registration;
            scope.spawn(move || (registration.revoke_and_wait(), watch.drops()))
        };
        assert_eq!(watch.drops(), 0);
        assert!(registry.try_register(Box::new(|| 3)).is_err(), "the slot is not free yet");
        exit_controller.resume();
        assert_eq!(waiter.join().unwrap(), (Quiescence::Quiescent, 1));
        assert_eq!(call.join().unwrap(), Ok(1));
    });
}

/// S23: the revoker is stopped after each step of freeing a slot. Meanwhile another thread registers, reuses the slot
/// if it can, and calls with the old handle and the new one.
#[test]
fn each_step_of_retiring_a_slot_is_safe_to_be_held_at() {
    for site in [StallSite::Revoked, StallSite::TombstoneWritten, StallSite::SlotListed] {
        let registry = registry();
        let registration = registry.register(Box::new(|| 1));
        let old = registration.handle();
        let (breakpoint, controller) = breakpoint();
        thread::scope(|scope| {
            let revoker = scope.spawn(move || {
                stop_this_thread_at(site, breakpoint);
                registration.revoke_and_wait()
            });
            controller.wait_until_stopped();
            let late = registry.call(old.as_ptr(), |f| f()).unwrap_err();
            assert_eq!(late.reason(), Reason::Stale, "{site:?}");
            let _ = late.to_string();
            let tenant = registry.try_register(Box::new(|| 2));
            match (site, &tenant) {
                (StallSite::Revoked, Err(_)) => {}
                (StallSite::TombstoneWritten | StallSite::SlotListed, Ok(tenant)) => {
                    assert_ne!(tenant.handle(), old);
                    assert_eq!(tenant.handle().index(), old.index());
                    assert_eq!(registry.call(tenant.handle().as_ptr(), |f| f()).unwrap(), 2);
                }
                other => panic!("{other:?}"),
            }
            assert_eq!(registry.call(old.as_ptr(), |f| f()).unwrap_err().reason(), Reason::Stale, "{site:?}");
            controller.resume();
            assert_eq!(revoker.join().unwrap(), Quiescence::Quiescent);
            if let Ok(tenant) = tenant {
                assert_eq!(registry.call(tenant.handle().as_ptr(), |f| f()).unwrap(), 2, "{site:?}: tenant unharmed");
            }
        });
        assert_eq!(registry.stats().revoking, 0);
    }
}

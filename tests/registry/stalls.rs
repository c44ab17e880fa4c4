//! Orders of events that are forced, one stall site at a time. S21, S22, S23.

use crate::support::{Visitor, Watch, grave, hold_me_at, meeting, stall};
use latecall::registry::{Handle, Quiescence, Reason, Registration, Registry, Revoked, StallSite, Status};
use std::thread;

type Callback = dyn Fn() -> u32 + Send + Sync;
type Callbacks = Registry<Callback>;

fn registry() -> Callbacks {
    Callbacks::new().with_capacity_limit(1).with_tombstones(0).with_stall_hook(stall)
}

/// A callback that answers 1, and knows when it is dropped.
fn answers_1(registry: &Callbacks) -> (Registration<'_, Callback>, Watch) {
    let (grave, watch) = grave();
    let registration = registry.register(Box::new(move || {
        let _owned = &grave;
        1
    }));
    (registration, watch)
}

/// Calls, and is held at each of these sites on the way. A late call answers why, and the generation that the slot has now.
fn call_held_at<const SITES: usize>(
    sites: [(StallSite, Visitor); SITES],
    registry: &Callbacks,
    handle: Handle,
) -> Result<u32, (Reason, Option<u32>)> {
    for (site, visitor) in sites {
        hold_me_at(site, visitor);
    }
    registry.call(handle.as_ptr(), |f| f()).map_err(|late| (late.reason(), late.current_generation()))
}

/// S21: C has loaded the pointer and is held on the way in. Meanwhile everything ends and the slot gets a new tenant.
#[test]
fn a_call_held_before_it_enters_finds_its_generation_gone() {
    let registry = registry();
    let (registration, watch) = answers_1(&registry);
    let old = registration.handle();
    let (visitor, host) = meeting();
    thread::scope(|scope| {
        let call = scope.spawn(|| call_held_at([(StallSite::BeforeAcquire, visitor)], &registry, old));
        host.wait_for_visitor();
        assert_eq!(registration.revoke_and_wait(), Quiescence::Quiescent);
        assert_eq!(watch.drops(), 1);
        let tenant = registry.register(Box::new(|| 2));
        assert_eq!(tenant.handle().index(), old.index());
        host.let_go();
        assert_eq!(call.join().unwrap(), Err((Reason::Stale, Some(old.generation() + 1))));
    });
}

/// A call held just after it entered is inside: revoke sees it, and the closure waits for it.
#[test]
fn a_call_held_after_it_entered_is_counted() {
    let registry = registry();
    let (registration, watch) = answers_1(&registry);
    let handle = registration.handle();
    let (visitor, host) = meeting();
    thread::scope(|scope| {
        let call = scope.spawn(|| call_held_at([(StallSite::AfterAcquire, visitor)], &registry, handle));
        host.wait_for_visitor();
        assert_eq!(registration.revoke(), Revoked::InFlight(1));
        assert_eq!(watch.drops(), 0);
        host.let_go();
        assert_eq!(call.join().unwrap(), Ok(1), "it entered in time");
    });
    assert_eq!(watch.drops(), 1);
}

/// S22: held on the way out, counted out already. While the callback was live at that point its slot can be given away;
/// what the thread still touches is the registry, never the closure.
#[test]
fn a_call_held_on_its_way_out_uses_nothing_of_the_callback() {
    let registry = registry();
    let (registration, watch) = answers_1(&registry);
    let handle = registration.handle();
    let (visitor, host) = meeting();
    thread::scope(|scope| {
        let call = scope.spawn(|| call_held_at([(StallSite::AfterRelease, visitor)], &registry, handle));
        host.wait_for_visitor();
        assert_eq!(registration.revoke_and_wait(), Quiescence::Quiescent, "nobody is inside");
        assert_eq!(watch.drops(), 1);
        let tenant = registry.register(Box::new(|| 2));
        assert_eq!(tenant.handle().index(), handle.index());
        host.let_go();
        assert_eq!(call.join().unwrap(), Ok(1));
        assert_eq!(registry.call(tenant.handle().as_ptr(), |f| f()).unwrap(), 2);
    });
}

/// S22: the last call of a revoked callback, held between counting itself out and dropping the closure: who waits is not
/// told before the closure is gone.
#[test]
fn the_waiter_is_not_told_between_the_last_exit_and_the_destructor() {
    let registry = registry();
    let (registration, watch) = answers_1(&registry);
    let handle = registration.handle();
    let ((inside, inside_host), (exit, exit_host)) = (meeting(), meeting());
    thread::scope(|scope| {
        let sites = [(StallSite::AfterAcquire, inside), (StallSite::AfterRelease, exit)];
        let call = scope.spawn(|| call_held_at(sites, &registry, handle));
        inside_host.wait_for_visitor();
        assert_eq!(registration.revoke(), Revoked::InFlight(1));
        inside_host.let_go();
        exit_host.wait_for_visitor();
        assert_eq!(registry.status(handle), Ok(Status::Revoking(0)), "counted out, not dropped");
        let waiter = {
            let watch = watch.clone();
            let registration = &registration;
            scope.spawn(move || (registration.revoke_and_wait(), watch.drops()))
        };
        assert_eq!(watch.drops(), 0);
        assert!(registry.try_register(Box::new(|| 3)).is_err(), "the slot is not free yet");
        exit_host.let_go();
        assert_eq!(waiter.join().unwrap(), (Quiescence::Quiescent, 1));
        assert_eq!(call.join().unwrap(), Ok(1));
    });
}

/// S23: the revoker is held after each step of retiring a slot, while another thread registers, takes the slot if it can,
/// and calls with the old handle and the new.
#[test]
fn each_step_of_retiring_a_slot_is_safe_to_be_held_at() {
    for site in [StallSite::Revoked, StallSite::TombstoneWritten, StallSite::SlotListed] {
        let registry = registry();
        let registration = registry.register(Box::new(|| 1));
        let old = registration.handle();
        let (visitor, host) = meeting();
        thread::scope(|scope| {
            let revoker = scope.spawn(move || {
                hold_me_at(site, visitor);
                registration.revoke_and_wait()
            });
            host.wait_for_visitor();
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
            host.let_go();
            assert_eq!(revoker.join().unwrap(), Quiescence::Quiescent);
            if let Ok(tenant) = tenant {
                assert_eq!(registry.call(tenant.handle().as_ptr(), |f| f()).unwrap(), 2, "{site:?}: tenant unharmed");
            }
        });
        assert_eq!(registry.stats().revoking, 0);
    }
}

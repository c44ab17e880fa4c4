//! Limits: slots, generations, tombstones, calls in flight. S48, S84, S86, S87, S88, S89, S91.

use latecall::registry::{Handle, Reason, Registry, Revoked, Shortage};

type Callbacks = Registry<dyn Fn(u64) -> u64 + Send + Sync>;

fn reason(registry: &Callbacks, handle: Handle) -> Option<Reason> {
    registry.call(handle.as_ptr(), |f| f(0)).err().map(|late| late.reason())
}

/// S89: an error value with the closure in it; earlier callbacks work; one free, one more.
#[test]
fn exhaustion_is_a_value_and_ends_when_one_is_freed() {
    let registry = Callbacks::new().with_capacity_limit(3);
    let mut all: Vec<_> = (0..3).map(|n| registry.register(Box::new(move |_| n))).collect();
    for _ in 0..2 {
        let exhausted = registry.try_register(Box::new(|_| 77)).unwrap_err();
        assert_eq!(exhausted.shortage(), Shortage::Slots);
        assert_eq!(exhausted.into_callback()(0), 77, "the closure comes back whole (S48)");
        for (n, registration) in all.iter().enumerate() {
            assert_eq!(registry.call(registration.handle().as_ptr(), |f| f(0)).unwrap(), n as u64);
        }
    }
    drop(all.remove(1));
    all.push(registry.try_register(Box::new(|_| 4)).unwrap());
    assert!(registry.try_register(Box::new(|_| 5)).is_err());
    assert_eq!(registry.stats().live, 3);
}

/// S48, for the panicking verb: nothing is half-registered.
#[test]
fn register_panics_when_exhausted_and_says_why() {
    let registry = Callbacks::new().with_capacity_limit(1).with_name("small");
    let first = registry.register(Box::new(|_| 1));
    let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let _second = registry.register(Box::new(|_| 2));
    }));
    let message = *panic.unwrap_err().downcast::<String>().unwrap();
    assert!(message.contains("small") && message.contains("exhausted"), "{message}");
    assert_eq!((registry.stats().live, registry.stats().registered), (1, 1));
    drop(first);
}

/// S86: two bits of generation are three tenants; then the slot retires, for good, and every handle it issued stays stale.
#[test]
fn a_slot_whose_generations_are_used_up_retires() {
    let registry = Callbacks::new().with_capacity_limit(2).with_generation_bits(2).with_tombstones(0);
    let mut issued: Vec<Handle> = Vec::new();
    loop {
        match registry.try_register(Box::new(|_| 0)) {
            Ok(registration) => {
                assert!(!issued.contains(&registration.handle()), "{:?} issued twice", registration.handle());
                issued.push(registration.handle());
            }
            Err(exhausted) => {
                assert_eq!(exhausted.shortage(), Shortage::Slots);
                break;
            }
        }
        for &past in &issued {
            assert_eq!(reason(&registry, past), Some(Reason::Stale));
        }
    }
    assert_eq!(issued[0].generation(), 1, "the registry's id had an owner before: `main.rs` says how that comes about");
    assert_eq!(issued.len(), 6, "two slots, three generations each");
    assert_eq!(registry.stats().slots_retired, 2);
    assert!(registry.try_register(Box::new(|_| 0)).is_err(), "a retired slot does not come back");
}

/// S84, S86: a retired slot's last tenant has no history any more, and is not given anybody else's.
#[test]
fn a_retired_slot_has_no_history() {
    let registry = Callbacks::new().with_generation_bits(1).with_tombstones(0);
    let gone = registry.builder().label("gone").register(Box::new(|_| 0)).handle();
    let _other = registry.builder().label("other").register(Box::new(|_| 0));
    assert_eq!(registry.stats().slots_retired, 1);
    let report = registry.call(gone.as_ptr(), |f| f(0)).unwrap_err().report();
    assert_eq!((report.reason(), report.label(), report.tombstone_flushed()), (Reason::Stale, None, true));
}

/// S86: capacity drops slot by slot; one that is live keeps working while the others retire around it.
#[test]
fn capacity_shrinks_as_slots_retire() {
    let registry = Callbacks::new().with_capacity_limit(2).with_generation_bits(1).with_tombstones(0);
    let keeper = registry.register(Box::new(|_| 9));
    drop(registry.register(Box::new(|_| 0)));
    assert!(registry.try_register(Box::new(|_| 0)).is_err());
    assert_eq!(registry.stats().slots_retired, 1);
    assert_eq!(registry.call(keeper.handle().as_ptr(), |f| f(0)).unwrap(), 9);
}

/// S84: with a quarantine of 1000, as .NET's MDA has at most 2000 and by default 1000: one fewer, as many, one more.
#[test]
fn the_first_late_call_is_explained_up_to_the_limit_and_detected_beyond() {
    for (later_deaths, explained) in [(998, true), (999, true), (1000, false)] {
        let registry = Callbacks::new();
        let first = registry.builder().label("the first").register(Box::new(|_| panic!("ran"))).handle();
        for _ in 0..later_deaths {
            drop(registry.register(Box::new(|_| 0)));
        }
        let late = registry.call(first.as_ptr(), |f| f(0)).unwrap_err();
        assert_eq!(late.reason(), Reason::Stale);
        let report = late.report();
        assert_eq!(report.tombstone_flushed(), !explained, "after {later_deaths} more");
        assert_eq!(report.label(), explained.then_some("the first"));
        assert_eq!(report.registered().is_some(), explained);
        assert_eq!(late.to_string().contains("tombstone has been flushed"), !explained);
        assert_eq!(registry.stats().tombstones, (later_deaths + 1).min(1000));
    }
}

/// S91: flushing every tombstone there is hides the history of a late call, and never the late call.
#[test]
fn flooding_the_quarantine_hides_no_late_call() {
    let registry = Callbacks::new().with_tombstones(4).with_capacity_limit(8);
    let victims: Vec<_> = (0..8).map(|_| registry.register(Box::new(|_| panic!("a victim ran"))).leak()).collect();
    for &victim in &victims {
        assert_eq!(registry.revoke(victim), Ok(Revoked::Removed));
    }
    let mut tenants = Vec::new();
    for _ in 0..1000 {
        tenants.push(registry.register(Box::new(|_| panic!("a tenant ran for a victim's handle"))));
        if tenants.len() > 5 {
            drop(tenants.remove(0));
        }
        for &victim in &victims {
            assert_eq!(reason(&registry, victim), Some(Reason::Stale), "detection rate is 1");
        }
    }
    assert!(registry.stats().tombstones <= 4);
    assert_eq!(registry.stats().late.total(), 8000);
}

/// A registry without tombstones detects just as well.
#[test]
fn no_tombstones_at_all_still_detects() {
    let registry = Callbacks::new().with_tombstones(0);
    let gone = registry.register(Box::new(|_| 0)).handle();
    let late = registry.call(gone.as_ptr(), |f| f(0)).unwrap_err();
    assert!(late.report().tombstone_flushed());
    assert_eq!(late.reason(), Reason::Stale);
    assert_eq!(registry.stats().tombstones, 0);
}

/// Slots are reused in the order in which they became vacant, so a slot rests as long as it can.
#[test]
fn reuse_is_first_in_first_out() {
    let registry = Callbacks::new().with_tombstones(0).with_capacity_limit(3);
    let [a, b, c] = [1, 2, 3].map(|n| registry.register(Box::new(move |_| n)));
    let order = [b.handle().index(), c.handle().index(), a.handle().index()];
    drop(b);
    drop(c);
    drop(a);
    let again = [1, 2, 3].map(|n| registry.register(Box::new(move |_| n)));
    assert_eq!(again.map(|registration| registration.handle().index()), order);
}

/// S87: at its maximum the in-flight counter refuses, and does not wrap; the calls inside are not disturbed.
#[test]
fn one_call_more_than_can_be_counted_is_refused() {
    let registry = Callbacks::new().with_in_flight_limit(4);
    let registration = registry.register(Box::new(|x| x));
    fn nest(registry: &Callbacks, handle: Handle, depth: u64) -> (u64, Option<Reason>) {
        match registry.call(handle.as_ptr(), |f| (f(depth), nest(registry, handle, depth + 1))) {
            Ok((here, (deepest, refused))) => (here.max(deepest), refused),
            Err(late) => (0, Some(late.reason())),
        }
    }
    assert_eq!(nest(&registry, registration.handle(), 1), (4, Some(Reason::Exhausted)));
    assert_eq!(nest(&registry, registration.handle(), 1), (4, Some(Reason::Exhausted)), "the count came back to 0");
    assert_eq!(registry.stats().late.of(Reason::Exhausted), 2);
}

/// S88, an unbalanced release, cannot be written: nothing public enters or leaves. `call` is the only way in, it leaves by
/// a destructor of its own, and panics (`panic.rs`) do not unbalance it. What can be shown is the sum.
#[test]
fn entries_and_exits_balance() {
    let registry = Callbacks::new();
    let registration = registry.register(Box::new(|x| x));
    for _ in 0..100 {
        let _ = registry.call(registration.handle().as_ptr(), |f| f(1));
        let _ = registry.call(std::ptr::null_mut(), |f| f(1));
    }
    let inside = registry.status(registration.handle());
    assert_eq!(inside, Ok(latecall::registry::Status::Live(0)));
}

/// Many live callbacks, each its own: the table grows through several chunks.
#[test]
fn ten_thousand_live_callbacks_are_told_apart() {
    let registry = Callbacks::new();
    let all: Vec<_> = (0..10_000).map(|n| registry.register(Box::new(move |x| x + n))).collect();
    for (n, registration) in all.iter().enumerate() {
        assert_eq!(registry.call(registration.handle().as_ptr(), |f| f(7)).unwrap(), 7 + n as u64);
    }
    drop(all);
    assert_eq!((registry.stats().live, registry.stats().closures_dropped), (0, 10_000));
}

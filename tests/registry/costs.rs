//! What a verb costs does not grow with what the registry keeps for others. The bounds are far above the noise of a
//! busy machine, and far below the cost of a search. S90.

use crate::support::{Callbacks, leaked_registry};
use latecall::registry::{Handle, Revoked};
use std::time::{Duration, Instant};

/// How many there are for others.
const FEW: usize = 100;
const MANY: usize = 50_000;

/// The fastest of some rounds of `work`, each with twenty values that `prepare` has made.
fn fastest<T>(prepare: impl Fn() -> T, work: impl Fn(T)) -> Duration {
    let once = |_| {
        let prepared: Vec<T> = (0..20).map(|_| prepare()).collect();
        let began = Instant::now();
        prepared.into_iter().for_each(&work);
        began.elapsed()
    };
    (0..50).map(once).min().unwrap()
}

/// Fails unless `cost` of `many` is about that of `few`.
#[track_caller]
fn alike(few: Duration, many: Duration) {
    assert!(many < few * 12, "{few:?} with {FEW}, {many:?} with {MANY}");
}

fn revoke(registry: &Callbacks, handle: Handle) {
    assert_eq!(registry.revoke(handle), Ok(Revoked::Removed));
}

#[test]
fn ending_a_registration_costs_the_same_whatever_others_have_a_destroy_notify() {
    let cost = |others: usize| {
        let registry = Callbacks::new();
        let with_notify = || registry.builder().destroy_notify(|| ()).register(Box::new(|| ())).leak();
        let _others: Vec<Handle> = (0..others).map(|_| with_notify()).collect();
        fastest(with_notify, |handle| revoke(&registry, handle))
    };
    alike(cost(FEW), cost(MANY));
}

#[test]
fn ending_a_registration_costs_the_same_whatever_completions_others_wait_for() {
    let cost = |completions: usize| {
        let registry = leaked_registry();
        let running = registry.register(Box::new(|| ())).leak();
        let run = || {
            for _ in 0..completions {
                let _ = registry.revoke_then(running, || ()).unwrap();
            }
            fastest(|| registry.register(Box::new(|| ())).leak(), |handle| revoke(registry, handle))
        };
        registry.call(running.as_ptr(), |_| run()).unwrap()
    };
    alike(cost(FEW), cost(MANY));
}

#[test]
fn a_report_costs_the_same_whatever_tombstones_are_kept() {
    let cost = |tombstones: usize| {
        let registry = Callbacks::new().with_tombstones(MANY * 2);
        let oldest = registry.builder().label("oldest").register(Box::new(|| ())).handle();
        for _ in 0..tombstones {
            drop(registry.register(Box::new(|| ())));
        }
        let report = |()| {
            let late = registry.call(oldest.as_ptr(), |f| f()).unwrap_err();
            assert_eq!(late.report().label(), Some("oldest"));
        };
        fastest(|| (), report)
    };
    alike(cost(FEW), cost(MANY));
}

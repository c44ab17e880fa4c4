//! Models of calls that race a revocation; see `models.rs`.

use super::*;

/// S20: either no call was inside, or the call that was is counted. The closure is dropped once, and later calls are
/// late.
pub(super) fn call_against_revoke(registry: Callbacks) {
    let shared = Shared::new(registry);
    let handle = shared.register(7, 0, nothing);
    let thread = caller(&shared, handle);
    let revoked = shared.registry.revoke(handle).unwrap();
    if revoked == Revoked::Removed {
        assert_eq!(shared.dropped(0), 1, "removed: dropped before revoke returned");
    }
    let called = thread.join().unwrap();
    match (revoked, called) {
        (Revoked::InFlight(1), Ok(7)) | (Revoked::Removed, Ok(7) | Err(Reason::Stale)) => {}
        other => panic!("{other:?}"),
    }
    assert_eq!(shared.dropped(0), 1);
    assert_eq!(shared.call(handle), Err(Reason::Stale));
    assert_eq!(shared.registry.revoke(handle), Ok(Revoked::AlreadyRevoked));
}

#[test]
fn call_races_revoke() {
    explore("call_races_revoke", None, || call_against_revoke(Registry::new()));
}

/// The same on the slow path, which every call of a registry with a limit takes.
#[test]
fn call_by_the_long_way_races_revoke() {
    explore("call_by_the_long_way_races_revoke", None, || call_against_revoke(Registry::new().with_in_flight_limit(9)));
}

/// Deferred: nothing is dropped before a thread reclaims. A running call keeps its closure, and drops it if the call is
/// counted.
pub(super) fn call_against_deferred(registry: Callbacks) {
    let shared = Shared::new(registry);
    let handle = shared.register(7, 0, nothing);
    let thread = caller(&shared, handle);
    assert_eq!(shared.registry.revoke_deferred(handle), Ok(true));
    let dropped = shared.registry.reclaim();
    if dropped == 1 {
        assert_eq!(shared.dropped(0), 1, "reclaimed: dropped before reclaim returned");
    }
    let called = thread.join().unwrap();
    assert!(matches!(called, Ok(7) | Err(Reason::Stale | Reason::Revoking)), "{called:?}");
    assert!(dropped == 1 || called == Ok(7), "neither dropped nor in use");
    assert_eq!(shared.dropped(0), 1);
    assert_eq!(shared.call(handle), Err(Reason::Stale));
}

#[test]
fn call_races_deferred_revoke() {
    explore("call_races_deferred_revoke", None, || call_against_deferred(Registry::new()));
}

/// Two threads revoke and reclaim, one deferred and one at once, while a third calls both callbacks.
#[test]
fn two_reclaimers_race_a_call_bounded() {
    explore("two_reclaimers_race_a_call_bounded", Some(2), || {
        let shared = Shared::new(Registry::new());
        let (one, two) = (shared.register(1, 0, nothing), shared.register(2, 1, nothing));
        let call = {
            let shared = Arc::clone(&shared);
            spawn(move || (shared.call(one), shared.call(two)))
        };
        let other = {
            let shared = Arc::clone(&shared);
            spawn(move || {
                assert_eq!(shared.registry.revoke_deferred(one), Ok(true));
                shared.registry.reclaim();
            })
        };
        assert_eq!(shared.registry.revoke_and_wait(two), Ok(Quiescence::Quiescent));
        assert_eq!(shared.dropped(1), 1);
        other.join().unwrap();
        assert_eq!(shared.registry.revoke_and_wait(one), Ok(Quiescence::Quiescent));
        assert_eq!(shared.dropped(0), 1);
        let _ = call.join().unwrap();
    });
}

/// A thread ends and gives its record to another thread: what the first thread did is seen, and its calls are not taken
/// for calls of the second thread.
#[test]
fn a_reused_record_races_revoke() {
    explore("a_reused_record_races_revoke", None, || {
        let shared = Shared::new(Registry::new());
        let handle = shared.register(7, 0, nothing);
        let thread = {
            let shared = Arc::clone(&shared);
            spawn(move || {
                let first = shared.call(handle);
                leave_thread();
                (first, shared.call(handle))
            })
        };
        assert_eq!(shared.registry.revoke_and_wait(handle), Ok(Quiescence::Quiescent));
        assert_eq!(shared.dropped(0), 1);
        let (first, second) = thread.join().unwrap();
        assert!(first.is_ok() || second.is_err(), "{first:?} and then {second:?}");
    });
}

/// S26: exactly one of two revokers revokes.
#[test]
fn two_revokers_race_a_call() {
    explore("two_revokers_race_a_call", None, || {
        let shared = Shared::new(Registry::new());
        let handle = shared.register(7, 0, nothing);
        let call = caller(&shared, handle);
        let other = {
            let shared = Arc::clone(&shared);
            spawn(move || shared.registry.revoke(handle).unwrap())
        };
        let mine = shared.registry.revoke(handle).unwrap();
        let theirs = other.join().unwrap();
        let second = [mine, theirs].iter().filter(|&&revoked| revoked == Revoked::AlreadyRevoked).count();
        assert_eq!(second, 1, "{mine:?} and {theirs:?}");
        let _ = call.join().unwrap();
        assert_eq!(shared.dropped(0), 1);
    });
}

//! Models of waits for running calls; see `models.rs`.

use super::*;

/// S18: when `revoke_and_wait` returns, the closure has been dropped and no call runs.
pub(super) fn call_against_wait(registry: Callbacks) {
    let shared = Shared::new(registry);
    let handle = shared.register(7, 0, nothing);
    let thread = caller(&shared, handle);
    assert_eq!(shared.registry.revoke_and_wait(handle), Ok(Quiescence::Quiescent));
    assert_eq!(shared.dropped(0), 1, "quiescent: dropped before revoke_and_wait returned");
    let called = thread.join().unwrap();
    assert!(matches!(called, Ok(7) | Err(Reason::Stale | Reason::Revoking)), "{called:?}");
    assert_eq!(shared.dropped(0), 1);
}

#[test]
fn call_races_revoke_and_wait() {
    explore("call_races_revoke_and_wait", None, || call_against_wait(Registry::new()));
}

/// S24: two calls and one waiting thread.
#[test]
fn two_calls_race_revoke_and_wait_bounded() {
    explore("two_calls_race_revoke_and_wait_bounded", Some(3), || {
        let shared = Shared::new(Registry::new());
        let handle = shared.register(7, 0, nothing);
        let threads = [caller(&shared, handle), caller(&shared, handle)];
        assert_eq!(shared.registry.revoke_and_wait(handle), Ok(Quiescence::Quiescent));
        assert_eq!(shared.dropped(0), 1);
        for thread in threads {
            let called = thread.join().unwrap();
            assert!(matches!(called, Ok(7) | Err(Reason::Stale | Reason::Revoking)), "{called:?}");
        }
    });
}

/// S26: both waiting threads return after quiescence.
#[test]
fn two_waiters_race_a_call_bounded() {
    explore("two_waiters_race_a_call_bounded", Some(3), || {
        let shared = Shared::new(Registry::new());
        let handle = shared.register(7, 0, nothing);
        let call = caller(&shared, handle);
        let other = {
            let shared = Arc::clone(&shared);
            spawn(move || {
                assert_eq!(shared.registry.revoke_and_wait(handle), Ok(Quiescence::Quiescent));
                assert_eq!(shared.dropped(0), 1);
            })
        };
        assert_eq!(shared.registry.revoke_and_wait(handle), Ok(Quiescence::Quiescent));
        assert_eq!(shared.dropped(0), 1);
        other.join().unwrap();
        let _ = call.join().unwrap();
    });
}

/// S37, with a second caller: a callback that revokes itself and waits may go on using what it owns. If both callers
/// are inside and wait, neither waits for the other.
fn revokes_itself(shared: &Shared) {
    assert_eq!(shared.registry.revoke_and_wait(shared.target()), Ok(Quiescence::DeferredToOuterFrame));
    assert_eq!(shared.dropped(0), 0, "this frame still uses it");
}

pub(super) fn self_revoke(registry: Callbacks) {
    let shared = Shared::new(registry);
    let handle = shared.register(7, 0, revokes_itself);
    let thread = caller(&shared, handle);
    let mine = shared.call(handle);
    let theirs = thread.join().unwrap();
    assert!([mine, theirs].contains(&Ok(7)), "{mine:?} and {theirs:?}");
    assert_eq!(shared.dropped(0), 1);
    assert_eq!(shared.call(handle), Err(Reason::Stale));
}

#[test]
fn self_revoke_races_another_call_bounded() {
    explore("self_revoke_races_another_call_bounded", Some(3), || self_revoke(Registry::new()));
}

/// The same with a third thread, which is not inside and waits for both calls.
#[test]
fn self_revoke_races_a_waiter_outside() {
    explore("self_revoke_races_a_waiter_outside", None, || {
        let shared = Shared::new(Registry::new());
        let handle = shared.register(7, 0, revokes_itself);
        let thread = caller(&shared, handle);
        assert_eq!(shared.registry.revoke_and_wait(handle), Ok(Quiescence::Quiescent));
        assert_eq!(shared.dropped(0), 1);
        let _ = thread.join().unwrap();
    });
}

/// S43: the inner of two nested calls revokes and waits; the closure is dropped when the outer one returns.
#[test]
fn nested_self_revoke_races_another_call_bounded() {
    fn recurses(shared: &Shared) {
        match shared.call(shared.target()) {
            Ok(7) | Err(Reason::Revoking | Reason::Exhausted) => {}
            other => panic!("{other:?}"),
        }
        revokes_itself(shared);
    }
    explore("nested_self_revoke_races_another_call_bounded", Some(3), || {
        let shared = Shared::new(Registry::new().with_in_flight_limit(3));
        let handle = shared.register(7, 0, recurses);
        let thread = caller(&shared, handle);
        let mine = shared.call(handle);
        let theirs = thread.join().unwrap();
        assert!([mine, theirs].contains(&Ok(7)), "{mine:?} and {theirs:?}");
        assert_eq!(shared.dropped(0), 1);
    });
}

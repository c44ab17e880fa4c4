//! Models of slots: reuse, growth of the table, and made-up handles; see `models.rs`.

use super::*;

/// S85, S86, S23: two slots with three generations each, no tombstones, and a late call with the first handle while all
/// others are issued. The call runs the first callback or none.
pub(super) fn reuse_against_stale_call(registry: Callbacks) {
    let shared = Shared::new(registry);
    let handle = shared.register(1, 0, nothing);
    let thread = caller(&shared, handle);
    assert!(shared.registry.revoke(handle).is_ok());
    let mut issued = vec![handle];
    loop {
        let name = 2 + issued.len() as u32;
        let counter = 1 + issued.len() % 2;
        match shared.registry.try_register(Witness::callback(&shared, name, counter, nothing)) {
            Ok(registration) => {
                let next = registration.leak();
                assert!(!issued.contains(&next), "{next:?} issued twice");
                issued.push(next);
                assert_eq!(shared.call(next), Ok(name));
                assert_eq!(shared.registry.revoke(next), Ok(Revoked::Removed));
            }
            Err(exhausted) => {
                assert_eq!(exhausted.shortage(), Shortage::Slots);
                break;
            }
        }
    }
    let called = thread.join().unwrap();
    assert!(matches!(called, Ok(1) | Err(Reason::Stale | Reason::Revoking)), "{called:?}");
    assert_eq!(shared.dropped(0), 1);
    for handle in issued {
        assert_eq!(shared.call(handle), Err(Reason::Stale));
    }
}

pub(super) fn tiny() -> Callbacks {
    Registry::new().with_capacity_limit(2).with_generation_bits(2).with_tombstones(0)
}

#[test]
fn reuse_until_retired_races_a_stale_call_bounded() {
    explore("reuse_until_retired_races_a_stale_call_bounded", Some(3), || reuse_against_stale_call(tiny()));
}

/// S23: a made-up handle of the next generation, called while that generation is being registered, finds the whole
/// callback or none.
#[test]
fn call_by_a_guessed_handle_races_register() {
    explore("call_by_a_guessed_handle_races_register", None, || {
        let shared = Shared::new(Registry::new().with_capacity_limit(1).with_tombstones(0));
        let past = shared.register(1, 0, nothing);
        assert_eq!(shared.registry.revoke(past), Ok(Revoked::Removed));
        let guessed = Handle::from_bits(past.bits() + (1 << if cfg!(target_pointer_width = "64") { 24 } else { 14 }));
        let thread = caller(&shared, guessed);
        let next = shared.register(2, 1, nothing);
        assert_eq!(next, guessed);
        let called = thread.join().unwrap();
        assert!(matches!(called, Ok(2) | Err(Reason::Unissued)), "{called:?}");
        assert_eq!(shared.call(past), Err(Reason::Stale));
    });
}

/// S44: the table grows by a chunk while a call runs, and while a call with a guessed handle looks into the new chunk.
#[test]
fn growth_races_calls() {
    explore("growth_races_calls", None, || {
        let shared = Shared::new(Registry::new());
        let handle = shared.register(1, 0, nothing);
        let guessed = Handle::from_bits(handle.bits() + 2);
        let thread = {
            let shared = Arc::clone(&shared);
            spawn(move || (shared.call(handle), shared.call(guessed)))
        };
        let others = [2, 3].map(|name| shared.register(name, 1, nothing));
        assert_eq!(others[1], guessed, "the first chunk of a model has two slots");
        assert_eq!(others.map(|other| shared.call(other)), [Ok(2), Ok(3)]);
        let (known, guess) = thread.join().unwrap();
        assert_eq!(known, Ok(1));
        assert!(matches!(guess, Ok(3) | Err(Reason::OutOfRange)), "{guess:?}");
    });
}

#[test]
fn two_threads_register_and_never_share_a_slot() {
    explore("two_threads_register_and_never_share_a_slot", None, || {
        let shared = Shared::new(Registry::new());
        let thread = {
            let shared = Arc::clone(&shared);
            spawn(move || shared.register(1, 0, nothing))
        };
        let mine = shared.register(2, 1, nothing);
        let theirs = thread.join().unwrap();
        assert_ne!(mine, theirs);
        assert_eq!((shared.call(mine), shared.call(theirs)), (Ok(2), Ok(1)));
    });
}

//! Models of what is told when registrations end, and of closing: continues `models`, under the same limits.

use super::super::registry::Close;
use super::*;

/// A share of the state for what the registry, which is in that state, keeps and runs.
struct Within(*const Shared);

// SAFETY: the registry runs what it keeps before the state that it is in is dropped, and that state is `Sync`.
unsafe impl Send for Within {}

impl Within {
    fn shared(&self) -> &Shared {
        // SAFETY: as for Send.
        unsafe { &*self.0 }
    }
}

/// What runs when the closure that uses grave 0 has been dropped: notes that in grave 1. The registry contains its panics,
/// so one that finds something else shows by its missing note.
fn note(shared: &Shared) -> impl FnOnce() + Send + 'static {
    let within = Within(&raw const *shared);
    move || {
        let within = within;
        assert_eq!(within.shared().dropped(0), 1, "told before the closure was dropped");
        within.shared().bury(1);
    }
}

/// A completion runs once, after the closure has been dropped, whether a call is inside or not.
fn completion_against_call(registry: Callbacks) {
    let shared = Shared::new(registry);
    let handle = shared.register(7, 0, nothing);
    let thread = caller(&shared, handle);
    let _ = shared.registry.revoke_then(handle, note(&shared)).unwrap();
    let _ = thread.join().unwrap();
    assert_eq!(shared.dropped(1), 1, "told once");
}

#[test]
fn a_completion_races_a_call() {
    explore("a_completion_races_a_call", None, || completion_against_call(Registry::new()));
}

/// Both who ask are told, whoever revoked.
#[test]
fn a_completion_races_a_revoker_and_a_call_bounded() {
    explore("a_completion_races_a_revoker_and_a_call_bounded", Some(3), || {
        let shared = Shared::new(Registry::new());
        let handle = shared.register(7, 0, nothing);
        let call = caller(&shared, handle);
        let other = {
            let shared = Arc::clone(&shared);
            spawn(move || shared.registry.revoke(handle).unwrap())
        };
        let _ = shared.registry.revoke_then(handle, note(&shared)).unwrap();
        let _ = other.join().unwrap();
        let _ = call.join().unwrap();
        assert_eq!(shared.dropped(1), 1, "told once");
    });
}

/// The destroy notify runs after the destructor, and who waits waits for it.
fn notify_against_wait(registry: Callbacks) {
    let shared = Shared::new(registry);
    let callback = Witness::callback(&shared, 7, 0, nothing);
    let handle = shared.registry.builder().destroy_notify(note(&shared)).register(callback).leak();
    let thread = caller(&shared, handle);
    assert_eq!(shared.registry.revoke_and_wait(handle), Ok(Quiescence::Quiescent));
    assert_eq!(shared.dropped(1), 1, "quiescent: notified before revoke_and_wait returned");
    let _ = thread.join().unwrap();
    assert_eq!(shared.dropped(1), 1, "notified once");
}

#[test]
fn a_destroy_notify_races_a_call() {
    explore("a_destroy_notify_races_a_call", None, || notify_against_wait(Registry::new()));
}

/// S27: a registration that races a close is refused or closed.
fn close_against_register(registry: Callbacks) {
    let shared = Shared::new(registry);
    let thread = {
        let shared = Arc::clone(&shared);
        spawn(move || match shared.registry.try_register(Witness::callback(&shared, 7, 0, nothing)) {
            Ok(registration) => Some(registration.leak()),
            Err(exhausted) => {
                assert_eq!(exhausted.shortage(), Shortage::Closed);
                None
            }
        })
    };
    assert_eq!(shared.registry.close(Close::Drain), Quiescence::Quiescent);
    let registered = thread.join().unwrap();
    if let Some(handle) = registered {
        assert_eq!(shared.call(handle), Err(Reason::Stale), "survived the close");
    }
    assert_eq!(shared.dropped(0), 1, "closed, or dropped with the refusal");
}

#[test]
fn a_close_races_a_registration() {
    explore("a_close_races_a_registration", None, || close_against_register(Registry::new()));
}

// Each rule taken away.

#[test]
fn looking_before_locking_is_convicted() {
    let model = || completion_against_call(Registry::new().with_mutation(Mutation::LookBeforeLocking));
    convict("looking_before_locking", None, model, &["told once"]);
}

#[test]
fn notifying_before_the_drop_is_convicted() {
    let model = || notify_against_wait(Registry::new().with_mutation(Mutation::NotifyBeforeDrop));
    convict("notifying_before_the_drop", None, model, &["notified before"]);
}

#[test]
fn closing_after_listing_is_convicted() {
    let model = || close_against_register(Registry::new().with_mutation(Mutation::CloseAfterListing));
    convict("closing_after_listing", None, model, &["survived the close"]);
}

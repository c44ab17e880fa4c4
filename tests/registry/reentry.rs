//! Callbacks and destructors that use the registry they are in. S14, S37, S38, S39, S43, S44, S45, S46.
#![allow(clippy::disallowed_types, reason = "a test is outside the crate and has no other locks")]

use crate::support::{Callbacks, call, drop_probe, leaked_registry, owning};
use latecall::registry::{Handle, Quiescence, Reason, Registration, Registry, Revoked};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Barrier, Mutex, OnceLock};
use std::thread;

type Owner = Arc<Mutex<Option<Registration<'static, dyn Fn() + Send + Sync>>>>;

/// S37: both verbs from inside the callback. The captures live until the call returns.
#[test]
fn a_callback_that_revokes_itself_goes_on_using_what_it_owns() {
    let registry = leaked_registry();
    let own: Arc<OnceLock<Handle>> = Arc::default();
    let (probe, watch) = drop_probe();
    let capture = String::from("still here");
    let log = Arc::new(Mutex::new(Vec::new()));
    let handle = {
        let (own, log, watch) = (Arc::clone(&own), Arc::clone(&log), watch.clone());
        registry
            .register(Box::new(move || {
                let _owned = &probe;
                let handle = *own.get().unwrap();
                assert_eq!(registry.revoke(handle), Ok(Revoked::InFlight(1)));
                assert_eq!(registry.revoke_and_wait(handle), Ok(Quiescence::DeferredToOuterFrame));
                assert_eq!(watch.drops(), 0);
                assert_eq!(call(registry, handle), Err(Reason::Revoking));
                log.lock().unwrap().push(capture.clone());
            }))
            .leak()
    };
    own.set(handle).unwrap();
    assert_eq!(call(registry, handle), Ok(()));
    assert_eq!(*log.lock().unwrap(), ["still here"]);
    assert_eq!(watch.drops(), 1, "dropped when the call returned");
    assert_eq!(call(registry, handle), Err(Reason::Stale));
    assert_eq!(registry.stats().closures_dropped, 1);
}

/// S37: the registration itself is dropped inside its own callback.
#[test]
fn a_callback_may_drop_its_own_registration() {
    let registry = leaked_registry();
    let owner: Owner = Arc::default();
    let registration = {
        let owner = Arc::clone(&owner);
        registry.register(Box::new(move || drop(owner.lock().unwrap().take())))
    };
    let handle = registration.handle();
    *owner.lock().unwrap() = Some(registration);
    assert_eq!(call(registry, handle), Ok(()));
    assert_eq!(call(registry, handle), Err(Reason::Stale));
    assert_eq!(registry.stats().closures_dropped, 1);
}

/// S38: A calls B, and B asks to wait for A, which is further out on the same stack. There is no wait, and A's closure
/// is dropped when A returns.
#[test]
fn revoking_an_outer_frame_of_this_thread_does_not_wait() {
    let registry = leaked_registry();
    let outer: Arc<OnceLock<Handle>> = Arc::default();
    let (probe, watch) = drop_probe();
    let inner = {
        let (outer, watch) = (Arc::clone(&outer), watch.clone());
        registry.register(Box::new(move || {
            let outer = *outer.get().unwrap();
            assert_eq!(registry.revoke_and_wait(outer), Ok(Quiescence::DeferredToOuterFrame));
            assert_eq!(watch.drops(), 0);
        }))
    };
    let inner_handle = inner.handle();
    let a = registry
        .register(Box::new(move || {
            let _owned = &probe;
            assert_eq!(call(registry, inner_handle), Ok(()));
        }))
        .leak();
    outer.set(a).unwrap();
    assert_eq!(call(registry, a), Ok(()));
    assert_eq!(watch.drops(), 1);
    assert_eq!(call(registry, a), Err(Reason::Stale));
}

/// S39: in one round of dispatch the first callback revokes the second, which then does not run.
#[test]
fn a_callback_revoked_by_an_earlier_one_in_the_round_does_not_run() {
    let registry = leaked_registry();
    let second = Arc::new(Mutex::new(Some(registry.register(Box::new(|| panic!("ran"))))));
    let second_handle = second.lock().unwrap().as_ref().unwrap().handle();
    let first = registry.register(Box::new(move || drop(second.lock().unwrap().take())));
    let round = [first.handle(), second_handle].map(|handle| call(registry, handle));
    assert_eq!(round, [Ok(()), Err(Reason::Stale)]);
}

/// S43: five nested calls, of which the innermost revokes and waits. All five are counted, and the closure is dropped
/// once, when the outermost returns.
#[test]
fn nested_calls_of_one_callback_are_counted_and_drop_it_once() {
    const DEPTH: usize = 5;
    let registry = leaked_registry();
    let own: Arc<OnceLock<Handle>> = Arc::default();
    let runs = Arc::new(AtomicUsize::new(0));
    let drops_seen_inside = Arc::new(AtomicUsize::new(0));
    let (probe, watch) = drop_probe();
    let handle = {
        let (own, runs, seen, watch) =
            (Arc::clone(&own), Arc::clone(&runs), Arc::clone(&drops_seen_inside), watch.clone());
        registry
            .register(Box::new(move || {
                let _owned = &probe;
                let handle = *own.get().unwrap();
                if runs.fetch_add(1, Relaxed) + 1 < DEPTH {
                    assert_eq!(call(registry, handle), Ok(()));
                } else {
                    assert_eq!(registry.revoke(handle), Ok(Revoked::InFlight(DEPTH as u32)));
                    assert_eq!(registry.revoke_and_wait(handle), Ok(Quiescence::DeferredToOuterFrame));
                }
                seen.fetch_add(watch.drops(), Relaxed);
            }))
            .leak()
    };
    own.set(handle).unwrap();
    assert_eq!(call(registry, handle), Ok(()));
    assert_eq!(runs.load(Relaxed), DEPTH);
    assert_eq!(drops_seen_inside.load(Relaxed), 0);
    assert_eq!(watch.drops(), 1);
}

/// Two threads are inside one callback and both wait for it. Neither waits for the other, and one of them drops the
/// closure.
#[test]
fn two_threads_inside_that_both_wait_do_not_wait_for_each_other() {
    for _ in 0..200 {
        let registry = leaked_registry();
        let own: Arc<OnceLock<Handle>> = Arc::default();
        let both_inside = Arc::new(Barrier::new(2));
        let handle = {
            let (own, both_inside) = (Arc::clone(&own), Arc::clone(&both_inside));
            registry
                .register(Box::new(move || {
                    both_inside.wait();
                    let handle = *own.get().unwrap();
                    assert_eq!(registry.revoke_and_wait(handle), Ok(Quiescence::DeferredToOuterFrame));
                }))
                .leak()
        };
        own.set(handle).unwrap();
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| assert_eq!(call(registry, handle), Ok(())));
            }
        });
        assert_eq!(registry.stats().closures_dropped, 1);
    }
}

/// S44: a callback registers so many others that the table grows while it runs. The new callbacks are not called in
/// this round, and the running one stays at its address. So does one that is small enough to be stored in its slot.
#[test]
fn registering_inside_a_callback_moves_nothing() {
    let registry = leaked_registry();
    let made = Arc::new(Mutex::new(Vec::new()));
    let calls_of_new = Arc::new(AtomicUsize::new(0));
    let capture = [3_u8; 64];
    let addresses: &'static Mutex<Vec<usize>> = Box::leak(Box::default());
    let in_its_slot = {
        let small = 7_u8;
        registry.register(Box::new(move || addresses.lock().unwrap().push((&raw const small).addr())))
    };
    assert_eq!(call(registry, in_its_slot.handle()), Ok(()));
    let maker = {
        let (made, calls) = (Arc::clone(&made), Arc::clone(&calls_of_new));
        registry.register(Box::new(move || {
            let before = capture.as_ptr();
            for _ in 0..5_000 {
                let calls = Arc::clone(&calls);
                made.lock().unwrap().push(registry.register(Box::new(move || {
                    calls.fetch_add(1, Relaxed);
                })));
            }
            assert_eq!(capture.as_ptr(), before);
            assert!(capture.iter().all(|&byte| byte == 3));
        }))
    };
    let round = [maker.handle()];
    for handle in round {
        assert_eq!(call(registry, handle), Ok(()));
    }
    assert_eq!(calls_of_new.load(Relaxed), 0, "registered during the round, not called in it");
    assert_eq!(call(registry, maker.handle()), Ok(()), "still where it was");
    assert_eq!(made.lock().unwrap().len(), 10_000);
    assert_eq!(call(registry, in_its_slot.handle()), Ok(()));
    let addresses = addresses.lock().unwrap();
    assert!(addresses.len() == 2 && addresses[0] == addresses[1], "the slot has moved: {addresses:x?}");
    made.lock().unwrap().clear();
}

/// S45, as far as it compiles: a callback drops an `Arc` of its registry, which may be the last one besides the
/// caller's. `call` borrows the registry, so the caller's `Arc` outlives the call. (A callback that drops the registry
/// itself does not compile: `tests/ui/registry_dropped_inside_call.rs`.)
#[test]
fn a_callback_may_drop_another_share_of_its_registry() {
    let registry = Arc::new(Callbacks::new());
    let other = Arc::new(Mutex::new(Some(Arc::clone(&registry))));
    let (probe, watch) = drop_probe();
    let handle = {
        let other = Arc::clone(&other);
        registry
            .register(Box::new(move || {
                let _owned = &probe;
                drop(other.lock().unwrap().take());
            }))
            .leak()
    };
    assert_eq!(call(&registry, handle), Ok(()));
    assert_eq!(Arc::strong_count(&registry), 1);
    drop(registry);
    assert_eq!(watch.drops(), 1, "a leaked registration's closure is dropped with the registry");
}

/// A value whose destructor runs a function.
struct OnDrop<F: FnMut()>(F);
impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

/// S14: the closure's destructor registers a successor. The old handle stays stale, and no lock is held.
#[test]
fn a_destructor_may_register_a_successor() {
    let registry = leaked_registry();
    let successor: Arc<OnceLock<Handle>> = Arc::default();
    let resurrect = {
        let successor = Arc::clone(&successor);
        OnDrop(move || successor.set(registry.register(Box::new(|| ())).leak()).unwrap())
    };
    let registration = registry.register(owning(resurrect));
    let old = registration.handle();
    drop(registration);
    let new = *successor.get().unwrap();
    assert_ne!(new, old);
    assert_eq!((call(registry, old), call(registry, new)), (Err(Reason::Stale), Ok(())));
}

/// S46: the destructor registers, revokes, calls, reads counters, formats a report, and waits for its own callback.
/// Once the revoker runs it, once the last call to leave.
#[test]
fn a_destructor_may_use_every_verb() {
    for by_the_last_call in [false, true] {
        let registry = leaked_registry();
        let own: Arc<OnceLock<Handle>> = Arc::default();
        let ran = Arc::new(AtomicUsize::new(0));
        let other = registry.register(Box::new(|| ())).leak();
        let all_verbs = {
            let (own, ran) = (Arc::clone(&own), Arc::clone(&ran));
            OnDrop(move || {
                let own = *own.get().unwrap();
                drop(registry.register(Box::new(|| ())));
                assert_eq!(call(registry, other), Ok(()));
                assert_eq!(registry.revoke_and_wait(other), Ok(Quiescence::Quiescent));
                assert_eq!(registry.revoke(own), Ok(Revoked::AlreadyRevoked));
                assert_eq!(registry.revoke_and_wait(own), Ok(Quiescence::Quiescent), "its own destructor asks");
                assert!(registry.call(own.as_ptr(), |f| f()).unwrap_err().to_string().contains("revoked"));
                assert_eq!(registry.stats().revoking, 1);
                ran.fetch_add(1, Relaxed);
            })
        };
        let handle = {
            let own = Arc::clone(&own);
            registry
                .register(Box::new(move || {
                    let _owned = &all_verbs;
                    if by_the_last_call {
                        assert_eq!(registry.revoke(*own.get().unwrap()), Ok(Revoked::InFlight(1)));
                    }
                }))
                .leak()
        };
        own.set(handle).unwrap();
        if by_the_last_call {
            assert_eq!(call(registry, handle), Ok(()));
        } else {
            assert_eq!(registry.revoke(handle), Ok(Revoked::Removed));
        }
        assert_eq!(ran.load(Relaxed), 1);
    }
}

/// S46: a closure owns its own `Registration`. To drop the closure must not wait for itself.
#[test]
fn a_closure_may_own_its_own_registration() {
    let registry = leaked_registry();
    let slot: Owner = Arc::default();
    let (probe, watch) = drop_probe();
    let registration = {
        let slot = Arc::clone(&slot);
        let owner = OnDrop(move || drop(slot.lock().unwrap().take()));
        registry.register(owning((owner, probe)))
    };
    let handle = registration.handle();
    *slot.lock().unwrap() = Some(registration);
    assert_eq!(registry.revoke_and_wait(handle), Ok(Quiescence::Quiescent));
    assert_eq!(watch.drops(), 1);
    assert!(slot.lock().unwrap().is_none());
}

/// The late hook may use the registry.
#[test]
fn a_late_hook_may_use_the_registry() {
    static R: Registry<dyn Fn() + Send + Sync> = Registry::new().with_late_hook(|late| {
        let report = late.to_string();
        assert!(report.contains("late call"), "{report}");
        drop(R.register(Box::new(|| ())));
    });
    assert_eq!(R.call(std::ptr::null_mut(), |f| f()).unwrap_err().reason(), Reason::Null);
    assert_eq!(R.stats().registered, 1);
}

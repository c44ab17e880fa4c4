//! The registry without `membarrier`: callers execute full fences. The choice is the process's, so these tests have one to
//! themselves. S17, S18, S20, S43.
#![allow(clippy::disallowed_types, reason = "a test is outside the crate and has no other atomics")]

mod support;

use latecall::registry::{Handle, Quiescence, Reason, Registry, Revoked, Standing, use_portable_fences};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Barrier};
use std::thread;
use support::{grave, meeting};

type Callbacks = Registry<dyn Fn() + Send + Sync>;

fn registry() -> Callbacks {
    assert!(use_portable_fences(), "a test of this file has called before it asked");
    Callbacks::new()
}

/// S20: 10 000 rounds; each ran or was late, never neither and never both, whatever the revoker was told.
#[test]
fn revoked_xor_ran() {
    const ROUNDS: u64 = 10_000;
    let registry = registry();
    let (start, end) = (Barrier::new(2), Barrier::new(2));
    let target = AtomicUsize::new(0);
    let ran = Arc::new(AtomicU64::new(0));
    thread::scope(|scope| {
        let caller = scope.spawn(|| {
            let mut outcomes = Vec::new();
            for _ in 0..ROUNDS {
                start.wait();
                let handle = Handle::from_bits(target.load(Relaxed));
                outcomes.push(registry.call(handle.as_ptr(), |f| f()).is_ok());
                end.wait();
            }
            outcomes
        });
        let mut rounds = Vec::new();
        for _ in 0..ROUNDS {
            let count = Arc::clone(&ran);
            let registration = registry.register(Box::new(move || {
                count.fetch_add(1, Relaxed);
            }));
            target.store(registration.handle().bits(), Relaxed);
            let before = ran.load(Relaxed);
            start.wait();
            let revoked = registration.revoke();
            let by_then = ran.load(Relaxed) - before;
            end.wait();
            rounds.push((revoked, by_then, ran.load(Relaxed) - before));
        }
        for (ok, (revoked, by_then, in_the_end)) in caller.join().unwrap().into_iter().zip(rounds) {
            assert_eq!(u64::from(ok), in_the_end);
            match revoked {
                Revoked::Removed => assert_eq!(in_the_end, by_then),
                Revoked::InFlight(1) => assert_eq!(in_the_end, 1),
                other => panic!("{other:?}"),
            }
        }
    });
}

/// S17, S18
#[test]
fn running_calls_are_counted_and_waited_for() {
    let registry = registry();
    let (grave, watch) = grave();
    let (visitor, host) = meeting();
    let visitor = std::sync::Mutex::new(visitor);
    let registration = registry.register(Box::new(move || {
        let _owned = &grave;
        visitor.lock().unwrap().stop_here();
    }));
    let handle = registration.handle();
    thread::scope(|scope| {
        scope.spawn(|| registry.call(handle.as_ptr(), |f| f()).is_ok());
        host.wait_for_visitor();
        assert_eq!(registration.revoke(), Revoked::InFlight(1));
        assert_eq!(registry.standing(handle), Ok(Standing::Revoking(1)));
        assert_eq!(registry.call(handle.as_ptr(), |f| f()).unwrap_err().reason(), Reason::Revoking);
        let waiter = scope.spawn(|| (registration.revoke_and_wait(), watch.drops()));
        assert_eq!(watch.drops(), 0);
        host.let_go();
        assert_eq!(waiter.join().unwrap(), (Quiescence::Quiescent, 1));
    });
}

/// S43, with more frames than a record has room for.
#[test]
fn a_thread_does_not_wait_for_itself_at_any_depth() {
    fn nest(registry: &Callbacks, handle: Handle, depth: u32) {
        registry
            .call(handle.as_ptr(), |_| {
                if depth < 20 {
                    nest(registry, handle, depth + 1);
                } else {
                    assert_eq!(registry.revoke(handle), Ok(Revoked::InFlight(20)));
                    assert_eq!(registry.revoke_and_wait(handle), Ok(Quiescence::DeferredToOuterFrame));
                }
            })
            .unwrap();
    }
    let registry = registry();
    let handle = registry.register(Box::new(|| ())).leak();
    nest(&registry, handle, 1);
    assert_eq!(registry.standing(handle), Ok(Standing::Revoked));
}

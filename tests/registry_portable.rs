//! The registry without `membarrier`: callers execute full fences. The choice is the process's, so these tests have one to
//! themselves. S17, S18, S20, S43.

mod support;

use latecall::registry::{Handle, Quiescence, Reason, Revoked, Status, use_portable_fences};
use std::thread;
use support::{Callbacks, parked, race_revoke_and_call};

fn registry() -> Callbacks {
    assert!(use_portable_fences(), "a test of this file has called before it asked");
    Callbacks::new()
}

/// S20: 10 000 rounds; each ran or was late, never neither and never both, whatever the revoker was told.
#[test]
fn revoked_xor_ran() {
    race_revoke_and_call(&registry(), 10_000);
}

/// S17, S18
#[test]
fn running_calls_are_counted_and_waited_for() {
    let registry = registry();
    let (registration, host, watch) = parked(&registry);
    let handle = registration.handle();
    thread::scope(|scope| {
        scope.spawn(|| registry.call(handle.as_ptr(), |f| f()).is_ok());
        host.wait_for_visitor();
        assert_eq!(registration.revoke(), Revoked::InFlight(1));
        assert_eq!(registry.status(handle), Ok(Status::Revoking(1)));
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
    assert_eq!(registry.status(handle), Ok(Status::Revoked));
}

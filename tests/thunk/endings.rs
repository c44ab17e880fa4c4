//! The verbs of a registration, on thunks.

use crate::support::{breakpoint, drop_probe};
use latecall::registry::{Quiescence, Revoked, Status};
use latecall::thunk::Thunk;
use std::sync::mpsc::channel;
use std::sync::{Mutex, OnceLock};
use std::thread;
use std::time::Duration;

latecall::signature! {
    extern "C" fn Call(number: u32) -> u32;
    late = 0;
    panic = Late;
}

#[test]
fn a_revoked_thunk_lets_the_running_call_finish() {
    let ((breakpoint, controller), (probe, drops)) = (breakpoint(), drop_probe());
    let owned = (Mutex::new(breakpoint), probe);
    let thunk = Call::thunk(move |number| {
        let owned = &owned;
        owned.0.lock().unwrap().stop_here();
        number + 1
    });
    let function = thunk.as_fn();
    thread::scope(|scope| {
        let call = scope.spawn(move || function(1));
        controller.wait_until_stopped();
        assert_eq!(thunk.revoke(), Revoked::InFlight(1));
        assert_eq!(function(1), 0);
        assert_eq!(thunk.try_revoke_and_wait(), Quiescence::StillRunning(1));
        assert_eq!(thunk.revoke_and_wait_for(Duration::from_millis(1)), Quiescence::StillRunning(1));
        assert_eq!(drops.drops(), 0);
        controller.resume();
        assert_eq!(thunk.revoke_and_wait(), Quiescence::Quiescent);
        assert_eq!((call.join().unwrap(), drops.drops()), (2, 1));
    });
}

#[test]
fn a_thunk_may_be_revoked_from_inside_and_its_owner_dropped_there() {
    static OWNER: OnceLock<Mutex<Option<Thunk<Call>>>> = OnceLock::new();
    let (probe, drops) = drop_probe();
    let watch = drops.clone();
    let thunk = Call::thunk(move |number| {
        let _owned = &probe;
        let own = OWNER.get().unwrap().lock().unwrap().take().unwrap();
        assert_eq!(own.revoke_and_wait(), Quiescence::DeferredToOuterFrame);
        drop(own);
        assert_eq!(watch.drops(), 0, "the closure lives until its call returns");
        number
    });
    let function = thunk.as_fn();
    assert!(OWNER.set(Mutex::new(Some(thunk))).is_ok());
    assert_eq!((function(5), drops.drops(), function(5)), (5, 1, 0));
}

#[test]
fn completions_and_notifies_of_a_thunk_run_once() {
    let (sender, receiver) = channel();
    let notify = sender.clone();
    let thunk = Thunk::<Call>::builder()
        .destroy_notify(move || notify.send("notified").unwrap())
        .thunk(Call::shared(|number| number));
    assert_eq!(thunk.registry().status(thunk.handle()), Ok(Status::Live(0)));
    assert_eq!(thunk.revoke_then(move || sender.send("done").unwrap()), Revoked::Removed);
    drop(thunk);
    assert_eq!(receiver.iter().collect::<Vec<_>>(), ["notified", "done"]);
}

#[test]
fn a_deferred_revocation_is_late_at_once_and_dropped_when_reclaimed() {
    latecall::signature! {
        extern "C" fn Later() -> u8;
        late = 0;
        panic = Late;
    }
    let (probe, drops) = drop_probe();
    let thunk = Later::thunk(move || {
        let _owned = &probe;
        1
    });
    let function = thunk.as_fn();
    thunk.revoke_deferred();
    assert_eq!((function(), drops.drops()), (0, 0));
    assert_eq!((Later::registry().reclaim(), drops.drops()), (1, 1));
}

/// A destructor that makes thunks, of its own signature.
#[test]
fn the_destructor_of_a_closure_may_make_and_drop_thunks() {
    struct Makes;
    impl Drop for Makes {
        fn drop(&mut self) {
            let thunk = Call::thunk(|number| number * 2);
            assert_eq!(thunk.as_fn()(21), 42);
        }
    }
    let makes = Makes;
    let thunk = Call::thunk(move |number| {
        let _owned = &makes;
        number
    });
    assert_eq!(thunk.as_fn()(3), 3);
    drop(thunk);
}

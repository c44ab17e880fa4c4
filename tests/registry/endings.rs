//! Registrations that end in other ways than by `revoke` and `revoke_and_wait`: within a time limit, or with a
//! notification. S08, S29, S46, S48, S49, S52, S64.
#![allow(clippy::disallowed_types, reason = "a test is outside the crate and has no other locks")]

use crate::support::{
    Callbacks, LIMIT, PanicsOnDrop, breakpoint, call, drop_probe, leaked_registry, owning, parked, until_revoked,
};
use latecall::registry::{Completion, Handle, Quiescence, Reason, Revoked, Status};
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::mpsc::channel;
use std::sync::{Arc, Barrier, Mutex, OnceLock};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};

/// S29: the limit passes. The callback is revoked, its closure lives, and it is dropped once the call has left. S52:
/// meanwhile `outstanding` lists the registration.
#[test]
fn a_wait_with_a_limit_gives_up_and_the_callback_ends_later() {
    let registry = leaked_registry();
    let (registration, controller, watch) = parked(registry);
    let handle = registration.handle();
    thread::scope(|scope| {
        let call = scope.spawn(|| call(registry, handle));
        controller.wait_until_stopped();
        assert_eq!(registration.revoke_and_wait_for(Duration::from_millis(1)), Quiescence::StillRunning(1));
        assert_eq!(registration.try_revoke_and_wait(), Quiescence::StillRunning(1));
        assert_eq!(registry.status(handle), Ok(Status::Revoking(1)));
        assert_eq!(watch.drops(), 0);
        let outstanding = registry.outstanding();
        assert_eq!(outstanding.len(), 1);
        assert!(outstanding[0].is_revoked() && outstanding[0].calls() == 1);
        assert!(outstanding[0].to_string().contains(concat!(file!(), ":")), "{}", outstanding[0]);
        controller.resume();
        call.join().unwrap().unwrap();
    });
    assert_eq!(registration.revoke_and_wait_for(Duration::ZERO), Quiescence::Quiescent);
    assert_eq!(watch.drops(), 1);
    assert!(registry.outstanding().is_empty());
}

/// S29: a wait lasts as long as its limit, by either verb, and no time at all by the verb that does not wait. No wait
/// may be shorter. A busy machine may make any wait longer, so one of many attempts has to be in time: a wait that
/// lasts twice its limit or more never is.
#[test]
fn a_wait_with_a_limit_lasts_as_long_as_the_limit() {
    const SHORT: Duration = Duration::from_millis(25);
    const ATTEMPTS: usize = 40;
    let registry = leaked_registry();
    let (registration, controller, _watch) = parked(registry);
    let handle = registration.handle();
    let timed = |wait: &dyn Fn() -> Quiescence| {
        let begun = Instant::now();
        assert_eq!(wait(), Quiescence::StillRunning(1));
        begun.elapsed()
    };
    let by_handle = || registry.revoke_and_wait_for(handle, SHORT).unwrap();
    let by_owner = || registration.revoke_and_wait_for(SHORT);
    let without_waiting = || registration.try_revoke_and_wait();
    let by_handle_without_waiting = || registry.try_revoke_and_wait(handle).unwrap();
    let verbs: [(&dyn Fn() -> Quiescence, Duration, Duration); 4] = [
        (&by_handle, SHORT, 2 * SHORT),
        (&by_owner, SHORT, 2 * SHORT),
        (&without_waiting, Duration::ZERO, SHORT),
        (&by_handle_without_waiting, Duration::ZERO, SHORT),
    ];
    thread::scope(|scope| {
        let call = scope.spawn(|| call(registry, handle));
        controller.wait_until_stopped();
        let measured = verbs.map(|(verb, _, most)| {
            let mut lasted = Vec::new();
            while lasted.len() < ATTEMPTS && lasted.iter().all(|time| *time >= most) {
                lasted.push(timed(verb));
            }
            lasted
        });
        controller.resume(); // Before anything is asserted: a panic here would wait for the call.
        call.join().unwrap().unwrap();
        for ((_, least, most), lasted) in verbs.into_iter().zip(measured) {
            assert!(lasted.iter().all(|time| *time >= least), "shorter than {least:?}: {lasted:?}");
            assert!(lasted.iter().any(|time| *time < most), "never shorter than {most:?}: {lasted:?}");
        }
    });
}

/// S29: a call that leaves ends the wait before its limit has passed.
#[test]
fn a_wait_with_a_limit_ends_with_the_call() {
    let registry = leaked_registry();
    let (registration, controller, watch) = parked(registry);
    let handle = registration.handle();
    thread::scope(|scope| {
        let call = scope.spawn(|| call(registry, handle));
        controller.wait_until_stopped();
        let begun = Instant::now();
        let waiter = scope.spawn(|| registration.revoke_and_wait_for(LIMIT));
        until_revoked(registry, handle, 1);
        controller.resume();
        assert_eq!(waiter.join().unwrap(), Quiescence::Quiescent);
        assert!(begun.elapsed() < LIMIT, "the wait ended with its limit, not with the call");
        assert_eq!(watch.drops(), 1);
        call.join().unwrap().unwrap();
    });
    assert_eq!(registry.revoke_and_wait_for(Handle::NULL, LIMIT).unwrap_err().reason(), Reason::Null);
}

/// A wait with a limit does not wait for the calling thread's own calls, and giving up inside the callback leaves no
/// trace that a later wait would see.
#[test]
fn limits_inside_the_callback_itself() {
    let registry = leaked_registry();
    let own: Arc<OnceLock<Handle>> = Arc::default();
    let (arrived, at) = (Arc::new(Barrier::new(2)), Arc::clone(&own));
    let both = Arc::clone(&arrived);
    let (sender, receiver) = channel();
    let receiver = Mutex::new(receiver);
    let entered = AtomicUsize::new(0);
    let registration = registry.register(Box::new(move || {
        let handle = *at.get().unwrap();
        if entered.fetch_add(1, SeqCst) == 0 {
            both.wait();
            receiver.lock().unwrap().recv_timeout(LIMIT).unwrap();
        } else {
            // Two calls are inside. The wait is for the call of the other thread only.
            assert_eq!(registry.try_revoke_and_wait(handle), Ok(Quiescence::StillRunning(1)));
            let answer = registry.revoke_and_wait_for(handle, Duration::from_millis(1));
            assert_eq!(answer, Ok(Quiescence::StillRunning(1)));
        }
    }));
    let handle = registration.handle();
    own.set(handle).unwrap();
    thread::scope(|scope| {
        let first = scope.spawn(|| call(registry, handle));
        arrived.wait();
        call(registry, handle).unwrap();
        // The wait that gave up was for a call that has left since. It must not count as a call that is still inside
        // and waits.
        assert_eq!(registry.try_revoke_and_wait(handle), Ok(Quiescence::StillRunning(1)));
        sender.send(()).unwrap();
        first.join().unwrap().unwrap();
    });
    assert_eq!(registration.revoke_and_wait(), Quiescence::Quiescent);
}

/// S08, S49: a destroy notify runs once, after the last call and after the destructor, with no lock held. A wait for
/// the callback waits for it.
#[test]
fn a_destroy_notify_runs_once_after_everything() {
    let registry = leaked_registry();
    let ((breakpoint, controller), (probe, watch)) = (breakpoint(), drop_probe());
    let owned = (Mutex::new(breakpoint), probe);
    let (sender, receiver) = channel();
    let seen = watch.clone();
    let notify = move || {
        // S46: every verb may be used.
        let other = registry.register(Box::new(|| ()));
        call(registry, other.handle()).unwrap();
        drop(other);
        sender.send((seen.drops(), thread::current().id())).unwrap();
    };
    let registration = registry.builder().destroy_notify(notify).register(Box::new(move || {
        let owned = &owned;
        owned.0.lock().unwrap().stop_here();
    }));
    let handle = registration.handle();
    thread::scope(|scope| {
        let caller = scope.spawn(|| (call(registry, handle), thread::current().id()));
        controller.wait_until_stopped();
        assert_eq!(registration.revoke(), Revoked::InFlight(1));
        assert!(receiver.try_recv().is_err(), "a call is inside");
        controller.resume();
        assert_eq!(registration.revoke_and_wait(), Quiescence::Quiescent);
        let (drops, thread) = receiver.try_recv().expect("waited for");
        assert_eq!(drops, 1, "after the destructor");
        assert_eq!(thread, caller.join().unwrap().1, "on the thread that dropped the closure");
    });
    assert!(receiver.try_recv().is_err(), "once");
}

/// S48: a registration fails. Either the closure is taken back and the destroy notify does not run, or the closure is
/// dropped and the notify runs.
#[test]
fn a_failed_registration_has_one_owner() {
    let registry = Callbacks::new().with_capacity_limit(1).with_tombstones(0);
    let _full = registry.register(Box::new(|| ()));
    let notified = Arc::new(AtomicUsize::new(0));
    let attempt = || {
        let ((probe, watch), notified) = (drop_probe(), Arc::clone(&notified));
        let seen = watch.clone();
        let notify = move || {
            assert_eq!(seen.drops(), 1, "after the closure");
            notified.fetch_add(1, SeqCst);
        };
        (registry.builder().destroy_notify(notify).try_register(owning(probe)).unwrap_err(), watch)
    };
    let (exhausted, watch) = attempt();
    let callback = exhausted.into_callback();
    assert_eq!((watch.drops(), notified.load(SeqCst)), (0, 0));
    drop(callback);
    assert_eq!((watch.drops(), notified.load(SeqCst)), (1, 0), "its owner dropped it, so the notify does not run");
    let (exhausted, watch) = attempt();
    drop(exhausted);
    assert_eq!((watch.drops(), notified.load(SeqCst)), (1, 1));
}

/// S64: a failed registration whose closure's destructor panics: the notify runs once, and the panic goes on. A panic
/// of the notify is contained and counted, also while the caller of `register` is unwinding.
#[test]
fn a_failed_registration_ends_whatever_panics() {
    let registry = Callbacks::new().with_capacity_limit(1);
    let _full = registry.register(Box::new(|| ()));
    let notified = Arc::new(AtomicUsize::new(0));
    let noting = || {
        let notified = Arc::clone(&notified);
        move || _ = notified.fetch_add(1, SeqCst)
    };
    let bomb = || owning(PanicsOnDrop("in the destructor"));
    let dropped = |exhausted| catch_unwind(AssertUnwindSafe(|| drop(exhausted)));

    let exhausted = registry.builder().destroy_notify(noting()).try_register(bomb()).unwrap_err();
    let panic = dropped(exhausted).unwrap_err();
    assert_eq!(panic.downcast_ref::<String>().map(String::as_str), Some("in the destructor"));
    assert_eq!((notified.load(SeqCst), registry.stats().swallowed_panics), (1, 0));

    let fails = || panic!("in the notify");
    let exhausted = registry.builder().destroy_notify(fails).try_register(Box::new(|| ())).unwrap_err();
    assert!(dropped(exhausted).is_ok(), "contained");
    assert_eq!(registry.stats().swallowed_panics, 1);

    // `register` panics, and the unwinding drops the closure: a second panic must not end the process.
    let register = || _ = registry.builder().destroy_notify(noting()).register(bomb());
    let panic = catch_unwind(AssertUnwindSafe(register)).unwrap_err();
    assert!(panic.downcast_ref::<String>().is_some_and(|text| text.contains("is exhausted")));
    assert_eq!((notified.load(SeqCst), registry.stats().swallowed_panics), (2, 2));
}

/// S64: the destructor and the destroy notify both panic.
#[test]
fn a_destroy_notify_runs_and_is_contained_whatever_panics() {
    let registry = Callbacks::new();
    let ran = Arc::new(AtomicUsize::new(0));
    let own = Arc::clone(&ran);
    let notify = move || {
        own.fetch_add(1, SeqCst);
        panic!("in the notify");
    };
    let bomb = PanicsOnDrop("in the destructor");
    let registration = registry.builder().destroy_notify(notify).register(owning(bomb));
    assert!(catch_unwind(AssertUnwindSafe(|| registration.revoke())).is_err(), "the destructor's panic propagates");
    assert_eq!((ran.load(SeqCst), registry.stats().swallowed_panics), (1, 1));
    drop(registration);
    let own = Arc::clone(&ran);
    let _ = registry
        .builder()
        .destroy_notify(move || {
            own.fetch_add(1, SeqCst);
        })
        .register(Box::new(|| ()))
        .leak();
    drop(registry);
    assert_eq!(ran.load(SeqCst), 2, "also with the registry");
}

/// A completion runs at once if the registration is over, otherwise after the last call; exactly once, in each of many
/// races.
#[test]
fn a_completion_runs_once_when_it_is_over() {
    let registry = leaked_registry();
    for round in 0..2000 {
        let (registration, done) = (registry.register(Box::new(|| ())), AtomicUsize::new(0));
        let (handle, done) = (registration.handle(), Arc::new(done));
        let start = Barrier::new(2);
        thread::scope(|scope| {
            scope.spawn(|| {
                start.wait();
                let _ = call(registry, handle);
            });
            start.wait();
            let count = Arc::clone(&done);
            let told = move || {
                assert_eq!(registry.status(handle), Ok(Status::Revoked), "round {round}");
                count.fetch_add(1, SeqCst);
            };
            let _ = registration.revoke_then(told);
        });
        assert_eq!(done.load(SeqCst), 1, "round {round}");
    }
    let refused = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&refused);
    let answer = registry.revoke_then(Handle::NULL, move || {
        count.fetch_add(1, SeqCst);
    });
    assert_eq!(answer.unwrap_err().reason(), Reason::Null);
    assert_eq!((refused.load(SeqCst), Arc::strong_count(&refused)), (0, 1), "dropped, and not run");
}

/// Several completions of one registration, added at different times, one of them when it is over. A panic in one does
/// not keep the others from running.
#[test]
fn every_completion_runs() {
    let registry = leaked_registry();
    let (registration, controller, watch) = parked(registry);
    let handle = registration.handle();
    let log = Arc::new(Mutex::new(Vec::new()));
    let note = |name: &'static str| {
        let (log, watch) = (Arc::clone(&log), watch.clone());
        move || {
            log.lock().unwrap().push((name, watch.drops()));
            assert_ne!(name, "panics", "this completion panics on purpose");
        }
    };
    thread::scope(|scope| {
        let caller = scope.spawn(|| call(registry, handle));
        controller.wait_until_stopped();
        assert_eq!(registration.revoke_then(note("first")), Revoked::InFlight(1));
        // A panic while the log is locked would poison it: this one comes after.
        assert_eq!(registration.revoke_then(note("panics")), Revoked::AlreadyRevoked);
        assert_eq!(registration.revoke_then(note("second")), Revoked::AlreadyRevoked);
        assert!(log.lock().unwrap().is_empty());
        controller.resume();
        caller.join().unwrap().unwrap();
    });
    let told = |log: &Mutex<Vec<_>>| log.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
    assert_eq!(told(&log), [("first", 1), ("panics", 1), ("second", 1)]);
    assert_eq!(registration.revoke_then(note("afterwards")), Revoked::AlreadyRevoked);
    assert_eq!(told(&log).len(), 4);
    assert_eq!(registry.stats().swallowed_panics, 1);
}

struct Woken(AtomicUsize);
impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, SeqCst);
    }
}

/// The future is pending while a call is inside, wakes its task once, and is ready from then on. It needs no runtime.
#[test]
fn a_completion_can_be_awaited() {
    fn is_sendable<T: Send + Sync>(_: &T) {}
    let registry = leaked_registry();
    let (registration, controller, watch) = parked(registry);
    let handle = registration.handle();
    let woken = Arc::new(Woken(AtomicUsize::new(0)));
    let waker = Waker::from(Arc::clone(&woken));
    let mut context = Context::from_waker(&waker);
    let earlier = Arc::new(Woken(AtomicUsize::new(0)));
    let earlier_waker = Waker::from(Arc::clone(&earlier));
    thread::scope(|scope| {
        let caller = scope.spawn(|| call(registry, handle));
        controller.wait_until_stopped();
        let mut gone = pin!(registration.revoke_async());
        is_sendable::<Completion>(&gone);
        drop(registry.revoke_async(handle).unwrap());
        assert_eq!(gone.as_mut().poll(&mut Context::from_waker(&earlier_waker)), Poll::Pending);
        assert_eq!(gone.as_mut().poll(&mut context), Poll::Pending);
        assert_eq!(gone.as_mut().poll(&mut context), Poll::Pending);
        assert_eq!(woken.0.load(SeqCst), 0);
        controller.resume();
        caller.join().unwrap().unwrap();
        assert_eq!(
            (woken.0.load(SeqCst), earlier.0.load(SeqCst)),
            (1, 0),
            "the waker of the latest poll, and no other"
        );
        assert_eq!(gone.as_mut().poll(&mut context), Poll::Ready(()));
        assert_eq!(watch.drops(), 1);
    });
    let mut again = pin!(registration.revoke_async());
    assert_eq!(again.as_mut().poll(&mut context), Poll::Ready(()));
}

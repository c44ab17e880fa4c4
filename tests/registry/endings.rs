//! How registrations end other than by `revoke` and `revoke_and_wait`: with a limit, told, all at once. S08, S27, S28, S29,
//! S34, S45, S46, S48, S49, S52, S64, S81.
#![allow(clippy::disallowed_types, reason = "a test is outside the crate and has no other locks")]

use crate::support::{
    Callbacks, Host, LIMIT, PanicsOnDrop, call, grave, leaked, meeting, owning, parked, until_revoked,
};
use latecall::registry::{Close, Completion, Handle, Quiescence, Reason, Revoked, Shortage, Status};
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::mpsc::channel;
use std::sync::{Arc, Barrier, Mutex, OnceLock};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::Duration;

/// S29: a limit that passes: revoked, alive, and over once the call has left. S52: what is known names it meanwhile.
#[test]
fn a_wait_with_a_limit_gives_up_and_the_callback_ends_later() {
    let registry = leaked();
    let (registration, host, watch) = parked(registry);
    let handle = registration.handle();
    thread::scope(|scope| {
        let call = scope.spawn(|| call(registry, handle));
        host.wait_for_visitor();
        assert_eq!(registration.revoke_and_wait_for(Duration::from_millis(1)), Quiescence::StillRunning(1));
        assert_eq!(registration.try_revoke_and_wait(), Quiescence::StillRunning(1));
        assert_eq!(registry.status(handle), Ok(Status::Revoking(1)));
        assert_eq!(watch.drops(), 0);
        let outstanding = registry.outstanding();
        assert_eq!(outstanding.len(), 1);
        assert!(outstanding[0].is_revoked() && outstanding[0].calls() == 1);
        assert!(outstanding[0].to_string().contains(concat!(file!(), ":")), "{}", outstanding[0]);
        host.let_go();
        call.join().unwrap().unwrap();
    });
    assert_eq!(registration.revoke_and_wait_for(Duration::ZERO), Quiescence::Quiescent);
    assert_eq!(watch.drops(), 1);
    assert!(registry.outstanding().is_empty());
}

/// S29: a limit that does not pass.
#[test]
fn a_wait_with_a_limit_ends_with_the_call() {
    let registry = leaked();
    let (registration, host, watch) = parked(registry);
    let handle = registration.handle();
    thread::scope(|scope| {
        let call = scope.spawn(|| call(registry, handle));
        host.wait_for_visitor();
        let waiter = scope.spawn(|| registration.revoke_and_wait_for(LIMIT));
        until_revoked(registry, handle, 1);
        host.let_go();
        assert_eq!(waiter.join().unwrap(), Quiescence::Quiescent);
        assert_eq!(watch.drops(), 1);
        call.join().unwrap().unwrap();
    });
    assert_eq!(registry.revoke_and_wait_for(Handle::NULL, LIMIT).unwrap_err().reason(), Reason::Null);
}

/// A limit is no excuse to wait for oneself, and giving up from inside leaves nothing behind that others trip over.
#[test]
fn limits_inside_the_callback_itself() {
    let registry = leaked();
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
            // Two are inside; one's own frame is not waited for, the other's is.
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
        // The ticket that gave up must not excuse the frame that has left.
        assert_eq!(registry.try_revoke_and_wait(handle), Ok(Quiescence::StillRunning(1)));
        sender.send(()).unwrap();
        first.join().unwrap().unwrap();
    });
    assert_eq!(registration.revoke_and_wait(), Quiescence::Quiescent);
}

/// S08, S49: once, after the last call and after the destructor, with no lock held, and waited for.
#[test]
fn a_destroy_notify_runs_once_after_everything() {
    let registry = leaked();
    let ((visitor, host), (grave, watch)) = (meeting(), grave());
    let owned = (Mutex::new(visitor), grave);
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
        host.wait_for_visitor();
        assert_eq!(registration.revoke(), Revoked::InFlight(1));
        assert!(receiver.try_recv().is_err(), "a call is inside");
        host.let_go();
        assert_eq!(registration.revoke_and_wait(), Quiescence::Quiescent);
        let (drops, thread) = receiver.try_recv().expect("waited for");
        assert_eq!(drops, 1, "after the destructor");
        assert_eq!(thread, caller.join().unwrap().1, "on the thread that dropped it");
    });
    assert!(receiver.try_recv().is_err(), "once");
}

/// S48: a registration that fails: either the closure comes back and nothing is notified, or it is dropped and notified.
#[test]
fn a_failed_registration_has_one_owner() {
    let registry = Callbacks::new().with_capacity_limit(1).with_tombstones(0);
    let _full = registry.register(Box::new(|| ()));
    let notified = Arc::new(AtomicUsize::new(0));
    let attempt = || {
        let ((grave, watch), notified) = (grave(), Arc::clone(&notified));
        let seen = watch.clone();
        let notify = move || {
            assert_eq!(seen.drops(), 1, "after the closure");
            notified.fetch_add(1, SeqCst);
        };
        (registry.builder().destroy_notify(notify).try_register(owning(grave)).unwrap_err(), watch)
    };
    let (exhausted, watch) = attempt();
    let callback = exhausted.into_callback();
    assert_eq!((watch.drops(), notified.load(SeqCst)), (0, 0));
    drop(callback);
    assert_eq!((watch.drops(), notified.load(SeqCst)), (1, 0), "its owner dropped it, and knows");
    let (exhausted, watch) = attempt();
    drop(exhausted);
    assert_eq!((watch.drops(), notified.load(SeqCst)), (1, 1));
}

/// S64: panics of the destructor, of the notify, and of both.
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
    assert!(catch_unwind(AssertUnwindSafe(|| registration.revoke())).is_err(), "the destructor's goes on");
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

/// A completion: at once if it is over, else after the last call; exactly once, in each of many races.
#[test]
fn a_completion_runs_once_when_it_is_over() {
    let registry = leaked();
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

/// Several ask, at different times, also after it is over; a panic in one does not keep another from being told.
#[test]
fn every_completion_runs() {
    let registry = leaked();
    let (registration, host, watch) = parked(registry);
    let handle = registration.handle();
    let log = Arc::new(Mutex::new(Vec::new()));
    let note = |name: &'static str| {
        let (log, watch) = (Arc::clone(&log), watch.clone());
        move || {
            log.lock().unwrap().push((name, watch.drops()));
            assert_ne!(name, "panics", "it does");
        }
    };
    thread::scope(|scope| {
        let caller = scope.spawn(|| call(registry, handle));
        host.wait_for_visitor();
        assert_eq!(registration.revoke_then(note("first")), Revoked::InFlight(1));
        // A panic while the log is locked would poison it: this one comes after.
        assert_eq!(registration.revoke_then(note("panics")), Revoked::AlreadyRevoked);
        assert_eq!(registration.revoke_then(note("second")), Revoked::AlreadyRevoked);
        assert!(log.lock().unwrap().is_empty());
        host.let_go();
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

/// The future: pending while a call is inside, woken once, ready for ever after; no runtime, and none of its threads held.
#[test]
fn a_completion_can_be_awaited() {
    fn is_sendable<T: Send + Sync>(_: &T) {}
    let registry = leaked();
    let (registration, host, watch) = parked(registry);
    let handle = registration.handle();
    let woken = Arc::new(Woken(AtomicUsize::new(0)));
    let waker = Waker::from(Arc::clone(&woken));
    let mut context = Context::from_waker(&waker);
    thread::scope(|scope| {
        let caller = scope.spawn(|| call(registry, handle));
        host.wait_for_visitor();
        let mut gone = pin!(registration.revoke_async());
        is_sendable::<Completion>(&gone);
        drop(registry.revoke_async(handle).unwrap());
        assert_eq!(gone.as_mut().poll(&mut context), Poll::Pending);
        assert_eq!(gone.as_mut().poll(&mut context), Poll::Pending);
        assert_eq!(woken.0.load(SeqCst), 0);
        host.let_go();
        caller.join().unwrap().unwrap();
        assert_eq!(woken.0.load(SeqCst), 1);
        assert_eq!(gone.as_mut().poll(&mut context), Poll::Ready(()));
        assert_eq!(watch.drops(), 1);
    });
    let mut again = pin!(registration.revoke_async());
    assert_eq!(again.as_mut().poll(&mut context), Poll::Ready(()));
}

/// S28, S45: closing refuses registrations with the closure back, and ends what is registered; calls are late as ever.
#[test]
fn a_closed_registry_refuses_and_reports() {
    let registry = leaked();
    let (grave, watch) = grave();
    let handle = registry.register(owning(grave)).leak();
    assert_eq!(registry.close(Close::Drain), Quiescence::Quiescent);
    assert_eq!(watch.drops(), 1);
    assert_eq!(call(registry, handle), Err(Reason::Stale));
    let exhausted = registry.try_register(Box::new(|| panic!("never runs"))).unwrap_err();
    assert_eq!(exhausted.shortage(), Shortage::Closed);
    let _back: Box<dyn Fn() + Send + Sync> = exhausted.into_callback();
    assert_eq!(registry.close(Close::Drain), Quiescence::Quiescent, "again");
    let late = registry.call(handle.as_ptr(), |f| f()).unwrap_err();
    assert!(late.to_string().contains(concat!("revoked     ", file!(), ":")), "{late}");
}

/// The three ways, with a call inside.
#[test]
fn closing_drains_or_aborts_or_leaves() {
    for how in [Close::Drain, Close::Abort, Close::Leave] {
        let registry = leaked();
        let (registration, host, watch) = parked(registry);
        let handle = registration.leak();
        let (idle_grave, idle) = grave();
        let _ = registry.register(owning(idle_grave)).leak();
        thread::scope(|scope| {
            let caller = scope.spawn(|| call(registry, handle));
            host.wait_for_visitor();
            let closer = scope.spawn(move || registry.close(how));
            if how == Close::Drain {
                until_revoked(registry, handle, 1);
                host.let_go();
                assert_eq!(closer.join().unwrap(), Quiescence::Quiescent);
                assert_eq!((watch.drops(), idle.drops()), (1, 1));
            } else {
                assert_eq!(closer.join().unwrap(), Quiescence::StillRunning(1), "{how:?}");
                let dropped = usize::from(how == Close::Abort);
                assert_eq!((watch.drops(), idle.drops()), (0, dropped), "{how:?}");
                host.let_go();
            }
            caller.join().unwrap().unwrap();
            assert_eq!(watch.drops(), usize::from(how != Close::Leave), "{how:?}");
            assert_eq!(idle.drops(), usize::from(how != Close::Leave), "{how:?}");
            assert_eq!(registry.close(Close::Drain), Quiescence::Quiescent, "{how:?}");
        });
    }
}

/// S45: closed by one of its own callbacks: that one is not waited for, and not freed under its own feet.
#[test]
fn a_callback_may_close_its_registry() {
    let registry = leaked();
    let (grave, watch) = grave();
    let seen = watch.clone();
    let handle = registry
        .register(Box::new(move || {
            let _owned = &grave;
            assert_eq!(registry.close(Close::Drain), Quiescence::DeferredToOuterFrame);
            assert_eq!(seen.drops(), 0);
        }))
        .leak();
    call(registry, handle).unwrap();
    assert_eq!(watch.drops(), 1);
}

/// S27: registrations that race a close are refused or closed, never left over.
#[test]
fn no_registration_survives_a_close() {
    for _ in 0..500 {
        let registry = leaked();
        let start = Barrier::new(3);
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    start.wait();
                    while let Ok(registration) = registry.try_register(Box::new(|| ())) {
                        let _ = registration.leak();
                    }
                });
            }
            start.wait();
            assert_eq!(registry.close(Close::Drain), Quiescence::Quiescent);
        });
        let stats = registry.stats();
        assert_eq!((stats.live, stats.revoking), (0, 0));
        assert_eq!(stats.registered, stats.closures_dropped);
    }
}

/// A destructor that panics does not keep the others from being closed.
#[test]
fn a_close_goes_on_after_a_destructors_panic() {
    let registry = Callbacks::new();
    for _ in 0..2 {
        let _ = registry.register(owning(PanicsOnDrop("in the destructor"))).leak();
        let _ = registry.register(Box::new(|| ())).leak();
    }
    assert!(catch_unwind(AssertUnwindSafe(|| registry.close(Close::Abort))).is_err());
    let stats = registry.stats();
    assert_eq!((stats.live, stats.revoking, stats.swallowed_panics), (0, 0, 1));
}

/// S34 for what a registry has pending, which is what `revoke` left running: a barrier waits for all of that, and for
/// nothing that is live (S19).
#[test]
fn a_barrier_waits_for_everything_revoked_and_nothing_live() {
    let registry = leaked();
    let (first, first_host, first_watch) = parked(registry);
    let (second, second_host, second_watch) = parked(registry);
    let (live, live_host, live_watch) = parked(registry);
    thread::scope(|scope| {
        let calls =
            [first.handle(), second.handle(), live.handle()].map(|handle| scope.spawn(move || call(registry, handle)));
        [&first_host, &second_host, &live_host].into_iter().for_each(Host::wait_for_visitor);
        assert_eq!(registry.barrier(), Quiescence::Quiescent, "nothing is revoked yet");
        assert_eq!((first.revoke(), second.revoke()), (Revoked::InFlight(1), Revoked::InFlight(1)));
        let waiter = scope.spawn(|| {
            let answer = registry.barrier();
            (answer, first_watch.drops(), second_watch.drops(), live_watch.drops())
        });
        second_host.let_go();
        assert_eq!(second.revoke_and_wait(), Quiescence::Quiescent);
        assert!(!waiter.is_finished(), "the first is still inside");
        first_host.let_go();
        assert_eq!(waiter.join().unwrap(), (Quiescence::Quiescent, 1, 1, 0));
        live_host.let_go();
        calls.into_iter().for_each(|call| call.join().unwrap().unwrap());
    });
}

//! The kinds of callback that a signature has: one-shot, exclusive, confined, weak. S13, S37, S49, S50, S51, S60.
#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "a test is outside the crate and has no other locks and threads"
)]

use crate::support::{grave, meeting};
use latecall::registry::{Handle, LateReport, Quiescence, Reason, Revoked, Status, ThreadTag};
use latecall::signature::{Overlap, Signature, collect_confined};
use std::cell::Cell;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Barrier, Mutex, OnceLock};
use std::thread;

/// One late call, and no other: the counter is the registry's, so each test has a signature of its own.
fn late<S: Signature>(reason: Reason) -> u64 {
    S::registry().stats().late.of(reason)
}

/// S51: one run and one late call, also if the library fires it from two threads at once.
#[test]
fn a_one_shot_runs_once_whoever_fires_it_twice() {
    latecall::signature! {
        extern "C" fn OneShot(user_data) -> u64;
        late = 0;
        panic = Late;
    }
    const ROUNDS: u64 = 2000;
    for round in 1..=ROUNDS {
        let (grave, watch) = grave();
        let owned = Box::new(round);
        let registration = OneShot::registry().register(OneShot::once(move || {
            let (_grave, owned) = (grave, owned); // it may consume what it owns
            *owned
        }));
        let handle = registration.handle();
        let barrier = Barrier::new(2);
        let fire = || {
            barrier.wait();
            OneShot::function()(handle.as_ptr())
        };
        let (one, two) = thread::scope(|scope| {
            let one = scope.spawn(fire);
            (fire(), one.join().unwrap())
        });
        assert_eq!(one + two, round, "one of them ran it");
        assert_eq!(watch.drops(), 1);
        assert_eq!(registration.revoke(), Revoked::AlreadyRevoked);
    }
    assert_eq!(OneShot::registry().stats().late.total(), ROUNDS);
}

/// S51: called again from inside.
#[test]
fn a_one_shot_cannot_call_itself() {
    latecall::signature! {
        extern "C" fn Recursive(user_data) -> u64;
        late = 0;
        panic = Late;
    }
    static OWN: OnceLock<usize> = OnceLock::new();
    let call = || Recursive::function()(Handle::from_bits(*OWN.get().unwrap()).as_ptr());
    let handle = Recursive::registry().register(Recursive::once(move || 10 + call())).leak();
    OWN.set(handle.bits()).unwrap();
    assert_eq!(call(), 10);
    assert_eq!(late::<Recursive>(Reason::Revoking), 1);
    assert_eq!(call(), 0);
    assert_eq!(late::<Recursive>(Reason::Stale), 1);
}

latecall::signature! {
    /// For the tests of exclusive callbacks that count nothing.
    extern "C" fn Exclusive(user_data) -> u64;
    late = 0;
    panic = Late;
}

/// S50: a second thread is refused, and so is a call from inside; never two at a time.
#[test]
fn an_exclusive_callback_rejects_a_second_call() {
    let (visitor, host) = meeting();
    let mut calls = 0;
    let registration = Exclusive::registry().register(Exclusive::exclusive(Overlap::Reject, move || {
        calls += 1;
        if calls == 1 {
            visitor.stop_here();
        }
        calls
    }));
    let handle = registration.handle();
    let call = || Exclusive::function()(handle.as_ptr());
    thread::scope(|scope| {
        let held = scope.spawn(call);
        host.wait_for_visitor();
        let busy = late::<Exclusive>(Reason::Busy);
        assert_eq!(call(), 0);
        assert!(late::<Exclusive>(Reason::Busy) > busy);
        host.let_go();
        assert_eq!(held.join().unwrap(), 1);
    });
    assert_eq!(call(), 2);
}

/// S50: under the other policy calls of several threads take turns, none is lost, and none overlap.
#[test]
fn an_exclusive_callback_serialises_calls() {
    const THREADS: usize = 4;
    const CALLS: u64 = 500;
    let overlapping = Arc::new(AtomicUsize::new(0));
    let inside = Arc::clone(&overlapping);
    let mut calls = 0_u64;
    let registration = Exclusive::registry().register(Exclusive::exclusive(Overlap::Serialise, move || {
        assert_eq!(inside.fetch_add(1, Relaxed), 0, "two calls inside");
        calls += 1;
        inside.fetch_sub(1, Relaxed);
        calls
    }));
    let handle = registration.handle();
    let barrier = Barrier::new(THREADS);
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                barrier.wait();
                for _ in 0..CALLS {
                    assert_ne!(Exclusive::function()(handle.as_ptr()), 0);
                }
            });
        }
    });
    assert_eq!(Exclusive::function()(handle.as_ptr()), THREADS as u64 * CALLS + 1);
}

/// S50: to wait for oneself would be for ever, so that is refused under either policy; and a panic ends the turn.
#[test]
fn an_exclusive_callback_refuses_itself_and_survives_a_panic() {
    for overlap in [Overlap::Reject, Overlap::Serialise] {
        let own: Arc<OnceLock<Handle>> = Arc::default();
        let itself = Arc::clone(&own);
        let mut calls = 0;
        let registration = Exclusive::registry().register(Exclusive::exclusive(overlap, move || {
            calls += 1;
            assert_eq!(Exclusive::function()(itself.get().unwrap().as_ptr()), 0, "refused inside");
            assert!(calls != 1, "the first call panics");
            calls
        }));
        own.set(registration.handle()).unwrap();
        assert_eq!(Exclusive::function()(registration.handle().as_ptr()), 0, "the panic became the late value");
        assert_eq!(Exclusive::function()(registration.handle().as_ptr()), 2);
    }
}

/// S50, S37: calls that wait for their turn do not keep a callback that waits for its own quiescence.
#[test]
fn who_waits_for_a_turn_gives_way_to_a_revocation_from_inside() {
    let (visitor, host) = meeting();
    let own: Arc<OnceLock<Handle>> = Arc::default();
    let itself = Arc::clone(&own);
    let registration = Exclusive::registry().register(Exclusive::exclusive(Overlap::Serialise, move || {
        visitor.stop_here();
        let answer = Exclusive::registry().revoke_and_wait(*itself.get().unwrap());
        assert_eq!(answer, Ok(Quiescence::DeferredToOuterFrame));
        77
    }));
    let handle = registration.leak();
    own.set(handle).unwrap();
    thread::scope(|scope| {
        let first = scope.spawn(|| Exclusive::function()(handle.as_ptr()));
        host.wait_for_visitor();
        let second = scope.spawn(|| Exclusive::function()(handle.as_ptr()));
        while Exclusive::registry().status(handle) != Ok(Status::Live(2)) {
            thread::yield_now();
        }
        host.let_go();
        assert_eq!(first.join().unwrap(), 77);
        assert_eq!(second.join().unwrap(), 0);
    });
    assert_eq!(Exclusive::registry().status(handle), Ok(Status::Revoked));
}

/// S60: not `Send`, runs on its own thread, refused on any other before it is touched; both threads are in the report.
#[test]
fn a_confined_callback_runs_on_its_own_thread_only() {
    static REPORTS: Mutex<Vec<LateReport>> = Mutex::new(Vec::new());
    fn hook(late: &latecall::registry::LateCall<'_>) {
        REPORTS.lock().unwrap().push(late.report());
    }
    latecall::signature! {
        extern "C" fn Confined(user_data) -> u64;
        late = 0;
        panic = Late;
        registry = latecall::registry::Registry::new().with_late_hook(hook);
    }
    let count = Rc::new(Cell::new(0));
    let own = Rc::clone(&count);
    let registration = Confined::registry().register(Confined::confined(move || {
        own.set(own.get() + 1);
        own.get()
    }));
    let handle = registration.handle();
    assert_eq!(Confined::function()(handle.as_ptr()), 1);
    thread::scope(|scope| {
        let call = scope.spawn(|| (Confined::function()(handle.as_ptr()), ThreadTag::current()));
        let (answer, wrong) = call.join().unwrap();
        assert_eq!(answer, 0);
        let report = REPORTS.lock().unwrap().pop().unwrap();
        assert_eq!(report.reason(), Reason::WrongThread);
        assert_eq!(report.caller(), wrong);
        assert_eq!(report.registered().unwrap().thread(), ThreadTag::current());
    });
    assert_eq!(count.get(), 1);
    drop(registration);
    assert_eq!(Rc::strong_count(&count), 1, "dropped on its own thread");
}

/// S49: another thread is the last to leave; the destructor runs on the callback's own thread all the same.
#[test]
fn a_confined_callback_is_dropped_on_its_own_thread() {
    latecall::signature! {
        extern "C" fn Posted(user_data) -> u64;
        late = 0;
        panic = Late;
    }
    struct Where(Arc<Mutex<Option<thread::ThreadId>>>, #[expect(dead_code, reason = "not Send")] Rc<()>);
    impl Drop for Where {
        fn drop(&mut self) {
            *self.0.lock().unwrap() = Some(thread::current().id());
        }
    }
    let dropped_on = Arc::default();
    let owned = Where(Arc::clone(&dropped_on), Rc::new(()));
    let registration = Posted::registry().register(Posted::confined(move || {
        let _owned = &owned;
        1
    }));
    // Revoked from another thread, which so becomes the one to drop it.
    thread::scope(|scope| {
        scope.spawn(|| assert_eq!(registration.revoke_and_wait(), Quiescence::Quiescent));
    });
    assert_eq!(*dropped_on.lock().unwrap(), None, "posted, not dropped");
    assert_eq!(collect_confined(), 1);
    assert_eq!(*dropped_on.lock().unwrap(), Some(thread::current().id()));
    assert_eq!(collect_confined(), 0);

    // The thread's end collects as well.
    let (id, dropped_on) = thread::spawn(|| {
        let dropped_on = Arc::default();
        let owned = Where(Arc::clone(&dropped_on), Rc::new(()));
        let callback = Posted::confined(move || {
            let _owned = &owned;
            1
        });
        let registration = Posted::registry().register(callback);
        thread::spawn(move || drop(registration)).join().unwrap();
        (thread::current().id(), dropped_on)
    })
    .join()
    .unwrap();
    assert_eq!(*dropped_on.lock().unwrap(), Some(id));
}

/// S13: the object lives until the call on it has returned; after that the call is refused and the registration over.
#[test]
fn a_weak_callback_keeps_its_object_for_the_call_and_no_longer() {
    latecall::signature! {
        extern "C" fn Weak(user_data) -> u64;
        late = 0;
        panic = Late;
    }
    let (grave, watch) = grave();
    let (visitor, host) = meeting();
    let object = Arc::new((grave, Mutex::new(visitor)));
    let registration = Weak::registry().register(Weak::weak(&object, |object| {
        object.1.lock().unwrap().stop_here();
        1
    }));
    let handle = registration.handle();
    thread::scope(|scope| {
        let call = scope.spawn(|| Weak::function()(handle.as_ptr()));
        host.wait_for_visitor();
        drop(object);
        assert_eq!(watch.drops(), 0, "the call keeps it");
        host.let_go();
        assert_eq!(call.join().unwrap(), 1);
    });
    assert_eq!(watch.drops(), 1);
    assert_eq!(Weak::registry().status(handle), Ok(Status::Live(0)));
    assert_eq!(Weak::function()(handle.as_ptr()), 0);
    assert_eq!(late::<Weak>(Reason::OwnerGone), 1);
    assert_eq!(Weak::registry().status(handle), Ok(Status::Revoked), "revoked, since nothing can come of it");
}

//! Waits that would never end are found, reported and ended. S40, S41, S42, S52.
#![allow(clippy::disallowed_types, reason = "a test is outside the crate and has no other locks")]

use crate::support::{Callbacks, LIMIT, drop_probe, parked};
use latecall::registry::{Handle, OnStuck, Quiescence, Registry, Stuck, ThreadTag};
use latecall::signature::scope;
use std::sync::{Arc, Barrier, Mutex, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

type Reports = Mutex<Vec<Stuck>>;

fn spawn_named<'s, T: Send + 's>(
    scope: &'s thread::Scope<'s, '_>,
    name: &str,
    run: impl FnOnce() -> T + Send + 's,
) -> thread::ScopedJoinHandle<'s, T> {
    thread::Builder::new().name(name.into()).spawn_scoped(scope, run).unwrap()
}

fn call(registry: &Callbacks, handle: Handle) {
    registry.call(handle.as_ptr(), |f| f()).unwrap();
}

/// S41, over two registries: A on one thread waits for B, and B on another thread waits for A. One wait returns
/// `Deadlocked`, with a report that names both callbacks and both threads. The other wait then returns `Quiescent`.
#[test]
fn two_callbacks_that_wait_for_each_other_are_found() {
    static REPORTS: Reports = Mutex::new(Vec::new());
    fn hook(stuck: &Stuck) -> OnStuck {
        REPORTS.lock().unwrap().push(stuck.clone());
        OnStuck::GiveUp
    }
    static ONE: Callbacks = Registry::new().with_name("one").with_stuck_hook(hook);
    static TWO: Callbacks = Registry::new().with_name("two").with_stuck_hook(hook);
    const ROUNDS: usize = 300;
    for _ in 0..ROUNDS {
        let handles: Arc<OnceLock<[Handle; 2]>> = Arc::default();
        let both = Arc::new(Barrier::new(2));
        let answers: Arc<Mutex<Vec<Quiescence>>> = Arc::default();
        let (probes, watches): (Vec<_>, Vec<_>) = (0..2).map(|_| drop_probe()).unzip();
        let mut probes = probes.into_iter();
        let mut body = |registry: &'static Callbacks, other: usize| {
            let (handles, both, answers) = (Arc::clone(&handles), Arc::clone(&both), Arc::clone(&answers));
            let probe = probes.next();
            move || {
                let _owned = &probe;
                both.wait();
                let answer = registry.revoke_and_wait(handles.get().unwrap()[other]).unwrap();
                answers.lock().unwrap().push(answer);
            }
        };
        let a = ONE.builder().label("A").register(Box::new(body(&TWO, 1))).leak();
        let b = TWO.builder().label("B").register(Box::new(body(&ONE, 0))).leak();
        handles.set([a, b]).unwrap();
        thread::scope(|scope| {
            spawn_named(scope, "first", || call(&ONE, a));
            spawn_named(scope, "second", || call(&TWO, b));
        });
        let mut answers = answers.lock().unwrap().clone();
        answers.sort_by_key(|answer| *answer == Quiescence::Deadlocked);
        assert_eq!(answers, [Quiescence::Quiescent, Quiescence::Deadlocked]);
        assert!(watches.iter().all(|watch| watch.drops() == 1));
    }
    let reports = REPORTS.lock().unwrap();
    assert_eq!(reports.len(), ROUNDS);
    for stuck in reports.iter() {
        assert!(stuck.is_deadlock());
        assert_eq!(stuck.threads().len(), 2);
        let text = stuck.to_string();
        for part in ["deadlock", "`A`", "`B`", "`one`", "`two`", "\"first\"", "\"second\"", concat!(file!(), ":")] {
            assert!(text.contains(part), "{part} is missing: {text}");
        }
    }
}

/// S41: a ring of three threads, of which one is inside a nested call. A fourth thread waits for a callback of the ring
/// from outside, gets no report, and its wait ends.
#[test]
fn a_ring_of_three_is_found_and_a_wait_from_outside_ends() {
    static REPORTS: Reports = Mutex::new(Vec::new());
    fn hook(stuck: &Stuck) -> OnStuck {
        REPORTS.lock().unwrap().push(stuck.clone());
        OnStuck::GiveUp
    }
    static RING: Callbacks = Registry::new().with_stuck_hook(hook);
    let handles: Arc<OnceLock<[Handle; 3]>> = Arc::default();
    let all = Arc::new(Barrier::new(4));
    let body = |next: usize| {
        let (handles, all) = (Arc::clone(&handles), Arc::clone(&all));
        move || {
            all.wait();
            let _ = RING.revoke_and_wait(handles.get().unwrap()[next]);
        }
    };
    let ring = [1, 2, 0].map(|next| RING.register(Box::new(body(next))).leak());
    handles.set(ring).unwrap();
    let between = RING.register(Box::new(move || call(&RING, ring[0]))).leak();
    thread::scope(|scope| {
        scope.spawn(|| call(&RING, between));
        scope.spawn(|| call(&RING, ring[1]));
        scope.spawn(|| call(&RING, ring[2]));
        all.wait();
        assert_eq!(RING.revoke_and_wait(ring[0]), Ok(Quiescence::Quiescent));
    });
    let reports = REPORTS.lock().unwrap();
    assert!(matches!(&reports[..], [stuck] if stuck.is_deadlock()), "{reports:?}");
    assert_eq!(reports[0].threads().len(), 3);
    assert_eq!(RING.stats().revoking, 0);
}

/// S100: threads wait for each other's callbacks, never in a ring. No deadlock is reported.
#[test]
fn waits_that_end_are_not_called_deadlocks() {
    fn hook(stuck: &Stuck) -> OnStuck {
        panic!("a false alarm: {stuck}");
    }
    static CHAIN: Callbacks = Registry::new().with_stuck_hook(hook);
    for _ in 0..300 {
        // Each call waits for the next callback from inside. The last call leaves by itself.
        let all = Arc::new(Barrier::new(4));
        let mut next: Option<Handle> = None;
        let mut chain = Vec::new();
        for _ in 0..4 {
            let (all, waits_for) = (Arc::clone(&all), next);
            let handle = CHAIN
                .register(Box::new(move || {
                    all.wait();
                    if let Some(handle) = waits_for {
                        assert_eq!(CHAIN.revoke_and_wait(handle), Ok(Quiescence::Quiescent));
                    }
                }))
                .leak();
            next = Some(handle);
            chain.push(handle);
        }
        thread::scope(|scope| {
            for &handle in &chain {
                scope.spawn(move || call(&CHAIN, handle));
            }
        });
        let _ = CHAIN.revoke(chain[3]);
        // Two threads inside one callback that both wait for it do not wait for each other.
        let own: Arc<OnceLock<Handle>> = Arc::default();
        let (at, both) = (Arc::clone(&own), Barrier::new(2));
        let handle = CHAIN
            .register(Box::new(move || {
                both.wait();
                let answer = CHAIN.revoke_and_wait(*at.get().unwrap());
                assert_eq!(answer, Ok(Quiescence::DeferredToOuterFrame));
            }))
            .leak();
        own.set(handle).unwrap();
        thread::scope(|scope| {
            scope.spawn(|| call(&CHAIN, handle));
            scope.spawn(|| call(&CHAIN, handle));
        });
    }
}

/// S40: the callback joins a helper thread that waits for the callback. The registry cannot see the join, so the wait
/// is reported as long, with the callback, the thread inside, and the waiting thread. The hook may end the wait.
#[test]
fn self_revoke_through_a_helper_thread_is_reported() {
    static REPORTS: Reports = Mutex::new(Vec::new());
    fn hook(stuck: &Stuck) -> OnStuck {
        REPORTS.lock().unwrap().push(stuck.clone());
        OnStuck::GiveUp
    }
    static HELPED: Callbacks =
        Registry::new().with_stuck_hook(hook).with_wait_limit(Duration::from_millis(20)).with_named_callers();
    let own: Arc<OnceLock<Handle>> = Arc::default();
    let at = Arc::clone(&own);
    let answer = Arc::new(Mutex::new(None));
    let noted = Arc::clone(&answer);
    let handle = HELPED
        .builder()
        .label("joins its revoker")
        .register(Box::new(move || {
            let handle = *at.get().unwrap();
            thread::scope(|scope| {
                let helper = scope.spawn(|| (HELPED.revoke_and_wait(handle), ThreadTag::current()));
                let (answer, helper) = helper.join().unwrap();
                *noted.lock().unwrap() = Some((answer, [helper, ThreadTag::current()]));
            });
        }))
        .leak();
    own.set(handle).unwrap();
    thread::scope(|scope| {
        scope.spawn(|| call(&HELPED, handle));
    });
    let (answer, threads) = answer.lock().unwrap().unwrap();
    assert_eq!(answer, Ok(Quiescence::StillRunning(1)));
    let reports = REPORTS.lock().unwrap();
    assert_eq!(reports.len(), 1);
    assert!(!reports[0].is_deadlock());
    assert_eq!(reports[0].threads(), threads, "the helper and the thread inside");
    let text = reports[0].to_string();
    let [helper, caller] = threads.map(|thread| thread.to_string());
    let registered = concat!("registered ", file!(), ":");
    for part in ["`joins its revoker`", &helper, &caller, registered, "revoked", "limit of 20ms", "1 call still"] {
        assert!(text.contains(part), "{part} is missing: {text}");
    }
    assert_eq!(HELPED.stats().revoking, 0, "over when the call left");
}

/// S42, S52: the waiting thread holds what the callback needs. The wait is reported as long. The hook releases what is
/// held and says to go on waiting, and the wait ends.
#[test]
fn a_lock_held_over_a_wait_is_reported_and_the_wait_goes_on() {
    static REPORTS: Reports = Mutex::new(Vec::new());
    static NEEDED: Mutex<Option<std::sync::mpsc::Sender<()>>> = Mutex::new(None);
    fn hook(stuck: &Stuck) -> OnStuck {
        REPORTS.lock().unwrap().push(stuck.clone());
        NEEDED.lock().unwrap().take();
        OnStuck::Wait
    }
    static LOCKED: Callbacks =
        Registry::new().with_stuck_hook(hook).with_wait_limit(Duration::from_millis(20)).with_named_callers();
    let (sender, receiver) = std::sync::mpsc::channel();
    *NEEDED.lock().unwrap() = Some(sender);
    let (entered, arrivals) = std::sync::mpsc::channel();
    let receiver = Mutex::new(receiver);
    let registration = LOCKED.register(Box::new(move || {
        entered.send(()).unwrap();
        // Returns when the hook has dropped the sender.
        let _ = receiver.lock().unwrap().recv_timeout(LIMIT);
    }));
    let handle = registration.handle();
    thread::scope(|scope| {
        spawn_named(scope, "needs it", || call(&LOCKED, handle));
        arrivals.recv_timeout(LIMIT).unwrap();
        assert_eq!(registration.revoke_and_wait(), Quiescence::Quiescent);
    });
    let reports = REPORTS.lock().unwrap();
    assert_eq!(reports.len(), 1, "once for each wait");
    assert!(reports[0].to_string().contains("\"needs it\""), "{}", reports[0]);
}

/// S42, S52: a wait is reported once it has lasted as long as the registry's limit. Never sooner. A busy machine may
/// make any report later, so one of many attempts has to be in time: a report that waits for twice the limit or more
/// never is.
#[test]
fn a_long_wait_is_reported_when_the_limit_has_passed() {
    const SHORT: Duration = Duration::from_millis(25);
    static REPORTED: Mutex<Option<Instant>> = Mutex::new(None);
    fn hook(stuck: &Stuck) -> OnStuck {
        assert!(!stuck.is_deadlock(), "{stuck}");
        *REPORTED.lock().unwrap() = Some(Instant::now());
        OnStuck::GiveUp
    }
    static SLOW: Callbacks = Registry::new().with_stuck_hook(hook).with_wait_limit(SHORT);
    let (registration, controller, _watch) = parked(&SLOW);
    let handle = registration.handle();
    thread::scope(|scope| {
        scope.spawn(|| call(&SLOW, handle));
        controller.wait_until_stopped();
        let mut after = Vec::new();
        while after.len() < 40 && after.iter().all(|time| *time >= 2 * SHORT) {
            let begun = Instant::now();
            let answer = registration.revoke_and_wait();
            let reported = REPORTED.lock().unwrap().take();
            assert_eq!(answer, Quiescence::StillRunning(1));
            after.push(reported.expect("the hook was called") - begun);
        }
        controller.resume();
        assert!(after.iter().all(|time| *time >= SHORT), "reported too soon: {after:?}");
        assert!(after.iter().any(|time| *time < 2 * SHORT), "never reported in time: {after:?}");
    });
}

latecall::signature! {
    extern "C" fn Scoped(user_data) -> u32;
    late = 0;
    panic = Late;
    registry = Registry::new().with_stuck_hook(|_| OnStuck::GiveUp);
}

/// S41 with a scope: a scope cannot give up, because its callbacks are borrowed, so the other wait does.
#[test]
fn a_scope_in_a_deadlock_is_the_one_that_goes_on_waiting() {
    for _ in 0..200 {
        let outer: Arc<OnceLock<Handle>> = Arc::default();
        let answer = Arc::new(Mutex::new(None));
        let (at, noted) = (Arc::clone(&outer), Arc::clone(&answer));
        // Inside the outer callback a scope lends one that another thread runs, and that waits for the outer one.
        let registration = Scoped::registry().register(Scoped::shared(move || {
            let (entered, borrowed) = (Barrier::new(2), Mutex::new(0));
            thread::scope(|threads| {
                scope::<Scoped, _>(|inner| {
                    let handle = inner.register(Scoped::shared(|| {
                        entered.wait();
                        *noted.lock().unwrap() = Some(Scoped::registry().revoke_and_wait(*at.get().unwrap()));
                        *borrowed.lock().unwrap() += 1;
                        1
                    }));
                    threads.spawn(move || Scoped::function()(handle.as_ptr()));
                    entered.wait();
                });
                // The scope has ended, so the call has, too.
                *borrowed.lock().unwrap()
            })
        }));
        let handle = registration.leak();
        outer.set(handle).unwrap();
        assert_eq!(Scoped::function()(handle.as_ptr()), 1);
        assert_eq!(*answer.lock().unwrap(), Some(Ok(Quiescence::Deadlocked)));
    }
}

//! Deadlocks that are found by one event only: these tests are in a process of their own, one at a time, because every wait
//! that begins anywhere in the process looks for deadlocks as well. S41.
#![allow(clippy::disallowed_types, reason = "a test is outside the crate and has no other locks")]

mod support;

use latecall::registry::{Handle, OnStuck, Quiescence, Registry, Stuck};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Barrier, Mutex, OnceLock};
use std::thread;
use std::time::Duration;
use support::{Callbacks, breakpoint};

static ALONE: Mutex<()> = Mutex::new(());

fn call(registry: &Callbacks, handle: Handle) {
    registry.call(handle.as_ptr(), |f| f()).unwrap();
}

/// S41: a callback that one of the waiting threads is inside, and another thread too, is no deadlock before that one has
/// left; then it is, although nobody begins to wait at that moment.
#[test]
fn a_deadlock_completed_by_a_call_that_leaves_is_found() {
    let _alone = ALONE.lock().unwrap();
    static REPORTS: Mutex<Vec<Stuck>> = Mutex::new(Vec::new());
    static WAITING: AtomicUsize = AtomicUsize::new(0);
    fn hook(stuck: &Stuck) -> OnStuck {
        if !stuck.is_deadlock() {
            // Said once by each thread that waits: the test knows from it that both do.
            WAITING.fetch_add(1, SeqCst);
            return OnStuck::Wait;
        }
        REPORTS.lock().unwrap().push(stuck.clone());
        OnStuck::GiveUp
    }
    static LEAVES: Callbacks = Registry::new().with_stuck_hook(hook).with_wait_limit(Duration::from_millis(1));
    let handles: Arc<OnceLock<[Handle; 2]>> = Arc::default();
    let both = Arc::new(Barrier::new(2));
    let (breakpoint, controller) = breakpoint();
    let breakpoint = Mutex::new(breakpoint);
    let body = |next: usize, breakpoint: Option<Mutex<support::Breakpoint>>| {
        let (handles, both) = (Arc::clone(&handles), Arc::clone(&both));
        move || {
            if let (Some(breakpoint), Some("bystander")) = (&breakpoint, thread::current().name()) {
                return breakpoint.lock().unwrap().stop_here();
            }
            both.wait();
            let _ = LEAVES.revoke_and_wait(handles.get().unwrap()[next]);
        }
    };
    let a = LEAVES.register(Box::new(body(1, None))).leak();
    let b = LEAVES.register(Box::new(body(0, Some(breakpoint)))).leak();
    handles.set([a, b]).unwrap();
    thread::scope(|scope| {
        let bystander =
            thread::Builder::new().name("bystander".into()).spawn_scoped(scope, || call(&LEAVES, b)).unwrap();
        controller.wait_until_stopped();
        let ring = [scope.spawn(|| call(&LEAVES, a)), scope.spawn(|| call(&LEAVES, b))];
        while WAITING.load(SeqCst) < 2 {
            thread::yield_now();
        }
        assert!(REPORTS.lock().unwrap().is_empty(), "the bystander may still do something about it");
        controller.resume();
        bystander.join().unwrap();
        ring.into_iter().for_each(|thread| thread.join().unwrap());
    });
    let reports = REPORTS.lock().unwrap();
    assert!(matches!(&reports[..], [stuck] if stuck.is_deadlock()), "{reports:?}");
}

/// S41: the owner of one registry wants its waits to go on; the other one's ends. If both do, that is their wish.
#[test]
fn a_wait_that_shall_go_on_leaves_it_to_another() {
    let _alone = ALONE.lock().unwrap();
    fn wait(_: &Stuck) -> OnStuck {
        OnStuck::Wait
    }
    fn give_up(_: &Stuck) -> OnStuck {
        OnStuck::GiveUp
    }
    static PATIENT: Callbacks = Registry::new().with_stuck_hook(wait);
    static IMPATIENT: Callbacks = Registry::new().with_stuck_hook(give_up);
    for round in 0..200 {
        let handles: Arc<OnceLock<[Handle; 2]>> = Arc::default();
        let both = Arc::new(Barrier::new(2));
        let body = |other: &'static Callbacks, next: usize, expected: Quiescence| {
            let (handles, both) = (Arc::clone(&handles), Arc::clone(&both));
            move || {
                both.wait();
                assert_eq!(other.revoke_and_wait(handles.get().unwrap()[next]), Ok(expected));
            }
        };
        // What is waited for says whose hook is asked. Either may be the one that completes the ring.
        let a = PATIENT.register(Box::new(body(&IMPATIENT, 1, Quiescence::Deadlocked))).leak();
        let b = IMPATIENT.register(Box::new(body(&PATIENT, 0, Quiescence::Quiescent))).leak();
        handles.set([a, b]).unwrap();
        thread::scope(|scope| {
            let calls: [(&Callbacks, Handle); 2] =
                if round % 2 == 0 { [(&PATIENT, a), (&IMPATIENT, b)] } else { [(&IMPATIENT, b), (&PATIENT, a)] };
            for (registry, handle) in calls {
                scope.spawn(move || call(registry, handle));
            }
        });
    }
}

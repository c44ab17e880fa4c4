//! Deadlocks that only one event can find. These tests have a process of their own and run one at a time, because every
//! wait that begins in the process searches for deadlocks as well. S41.
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

/// S41: a ring of two waiting threads, and a bystander inside one of the callbacks. It is no deadlock before the
/// bystander leaves. Then it is one, and the leaving call finds it, because no wait begins at that moment.
#[test]
fn a_deadlock_completed_by_a_call_that_leaves_is_found() {
    let _alone = ALONE.lock().unwrap();
    static REPORTS: Mutex<Vec<Stuck>> = Mutex::new(Vec::new());
    static WAITING: AtomicUsize = AtomicUsize::new(0);
    fn hook(stuck: &Stuck) -> OnStuck {
        if !stuck.is_deadlock() {
            // Each waiting thread reports its long wait once, so the test knows when both wait.
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
        assert!(REPORTS.lock().unwrap().is_empty(), "no deadlock while the bystander is inside");
        controller.resume();
        bystander.join().unwrap();
        ring.into_iter().for_each(|thread| thread.join().unwrap());
    });
    let reports = REPORTS.lock().unwrap();
    assert!(matches!(&reports[..], [stuck] if stuck.is_deadlock()), "{reports:?}");
}

/// S41: the hook of one registry says to go on waiting, so the wait in the other registry ends.
#[test]
fn a_hook_that_says_wait_leaves_the_deadlock_to_another_wait() {
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
        // The hook is that of the registry whose callback is waited for. Either wait may complete the ring.
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

//! Helpers of several test files: closures whose drops are counted, breakpoints for threads inside a callback and at a
//! stall site, the race of a revocation against a call, and tests that run in a subprocess (`subprocess`).
#![allow(dead_code, unused_imports, reason = "each test file uses its own part")]
#![allow(clippy::disallowed_types, reason = "a test is outside the crate and has no other atomics")]

#[cfg(target_os = "linux")]
pub(crate) mod seccomp;
#[path = "../../src/subprocess.rs"]
mod subprocess;

pub(crate) use subprocess::{command, is_subprocess, isolated, run_in_subprocess};
#[cfg(unix)]
pub(crate) use subprocess::{fork_child, forked, wait_for_child};

use latecall::registry::{Handle, Reason, Registration, Registry, Revoked, StallSite, Status};
use std::cell::RefCell;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Barrier, Mutex};
use std::thread;
use std::time::Duration;

/// How long an operation may take before the test fails it as a hang. A limit, never a synchronisation.
pub(crate) const LIMIT: Duration = Duration::from_secs(30);

/// A value for a closure to own. Its drops are counted.
pub(crate) struct DropProbe(Arc<AtomicUsize>);

impl Drop for DropProbe {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// A probe and the count of its drops.
pub(crate) fn drop_probe() -> (DropProbe, DropCount) {
    let count = Arc::new(AtomicUsize::new(0));
    (DropProbe(Arc::clone(&count)), DropCount(count))
}

/// How often a probe, and so the closure that owns it, has been dropped.
#[derive(Clone)]
pub(crate) struct DropCount(Arc<AtomicUsize>);

impl DropCount {
    /// Drops so far.
    pub(crate) fn drops(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

/// A value whose destructor panics with this message, as a `String`. (`.ci/sanitizers.leaks` has the name of this type,
/// because a swallowed payload is leaked. `panic_any` would hide the name from LeakSanitizer's stacks.)
pub(crate) struct PanicsOnDrop(pub(crate) &'static str);

impl Drop for PanicsOnDrop {
    fn drop(&mut self) {
        panic!("{}", self.0);
    }
}

/// A callback that owns `it` and does nothing.
pub(crate) fn owning<T: Send + Sync + 'static>(it: T) -> Box<dyn Fn() + Send + Sync> {
    Box::new(move || {
        let _owned = &it;
    })
}

/// The stopped thread's side of a breakpoint.
pub(crate) struct Breakpoint {
    arrived: Sender<()>,
    proceed: Receiver<()>,
}

/// The test's side of a breakpoint.
pub(crate) struct Controller {
    arrived: Receiver<()>,
    proceed: Sender<()>,
}

/// A place where a thread stops until the controller resumes it.
pub(crate) fn breakpoint() -> (Breakpoint, Controller) {
    let (arrived, arrivals) = channel();
    let (proceed, orders) = channel();
    (Breakpoint { arrived, proceed: orders }, Controller { arrived: arrivals, proceed })
}

impl Breakpoint {
    pub(crate) fn stop_here(&self) {
        self.arrived.send(()).unwrap();
        match self.proceed.recv_timeout(LIMIT) {
            Err(RecvTimeoutError::Timeout) => panic!("stopped at the breakpoint for longer than {LIMIT:?}"),
            Ok(()) | Err(RecvTimeoutError::Disconnected) => {}
        }
    }
}

impl Controller {
    pub(crate) fn wait_until_stopped(&self) {
        self.arrived.recv_timeout(LIMIT).expect("no thread has stopped at the breakpoint");
    }

    pub(crate) fn resume(&self) {
        self.proceed.send(()).unwrap();
    }
}

/// The registry of most tests. Its callbacks take and return nothing.
pub(crate) type Callbacks = Registry<dyn Fn() + Send + Sync>;

/// The registration of one of [`Callbacks`].
pub(crate) type CallbackRegistration<'r> = Registration<'r, dyn Fn() + Send + Sync>;

/// A registry that lives for ever, for callbacks that use their own registry.
pub(crate) fn leaked_registry() -> &'static Callbacks {
    Box::leak(Box::new(Callbacks::new()))
}

/// Calls as a trampoline would. A late call returns its reason.
pub(crate) fn call(registry: &Callbacks, handle: Handle) -> Result<(), Reason> {
    registry.call(handle.as_ptr(), |f| f()).map_err(|late| late.reason())
}

/// Returns once the callback is revoked with `calls` calls inside. A `revoke_and_wait` of it on another thread has then
/// counted the calls.
pub(crate) fn until_revoked(registry: &Callbacks, handle: Handle, calls: u32) {
    while registry.status(handle) != Ok(Status::Revoking(calls)) {
        thread::yield_now();
    }
}

/// A callback that stops inside, its controller, and the count of its drops.
#[track_caller]
pub(crate) fn parked(registry: &Callbacks) -> (CallbackRegistration<'_>, Controller, DropCount) {
    parked_then(registry, || ())
}

/// As [`parked`]. The callback runs `then` before it returns.
#[track_caller]
pub(crate) fn parked_then(
    registry: &Callbacks,
    then: impl Fn() + Send + Sync + 'static,
) -> (CallbackRegistration<'_>, Controller, DropCount) {
    let ((breakpoint, controller), (probe, watch)) = (breakpoint(), drop_probe());
    let owned = (Mutex::new(breakpoint), probe);
    let registration = registry.register(Box::new(move || {
        let owned = &owned;
        owned.0.lock().unwrap().stop_here();
        then();
    }));
    (registration, controller, watch)
}

/// In each of `rounds` rounds a call races a revocation, and either runs or is late. No call runs after the revoker has
/// returned `Removed`, and each call that it counted runs.
pub(crate) fn race_revoke_and_call(registry: &Callbacks, rounds: u64) {
    let (start, end) = (Barrier::new(2), Barrier::new(2));
    let target = AtomicUsize::new(0);
    let entered = Arc::new(AtomicU64::new(0));
    let drops = Arc::new(AtomicUsize::new(0));
    let (mut ran, mut late) = (0, 0);
    thread::scope(|scope| {
        let caller = scope.spawn(|| {
            let mut outcomes = Vec::with_capacity(rounds as usize);
            for _ in 0..rounds {
                start.wait();
                let handle = Handle::from_bits(target.load(Ordering::Relaxed));
                outcomes.push(registry.call(handle.as_ptr(), |f| f()).is_ok());
                end.wait();
            }
            outcomes
        });
        let mut outcomes = Vec::with_capacity(rounds as usize);
        for _ in 0..rounds {
            let (probe, entered_here) = (DropProbe(Arc::clone(&drops)), Arc::clone(&entered));
            let registration = registry.register(Box::new(move || {
                let _owned = &probe;
                entered_here.fetch_add(1, Ordering::Relaxed);
            }));
            target.store(registration.handle().bits(), Ordering::Relaxed);
            let before = entered.load(Ordering::Relaxed);
            start.wait();
            let revoked = registration.revoke();
            let by_then = entered.load(Ordering::Relaxed) - before;
            end.wait();
            let in_the_end = entered.load(Ordering::Relaxed) - before;
            outcomes.push((revoked, by_then, in_the_end));
        }
        for (ok, (revoked, by_then, in_the_end)) in caller.join().unwrap().into_iter().zip(outcomes) {
            assert_eq!(u64::from(ok), in_the_end);
            match revoked {
                Revoked::Removed => assert_eq!(in_the_end, by_then, "removed, and ran afterwards"),
                Revoked::InFlight(1) => assert_eq!(in_the_end, 1, "in flight, and never ran"),
                other => panic!("{other:?}"),
            }
            if ok { ran += 1 } else { late += 1 }
        }
    });
    assert_eq!(ran + late, rounds);
    assert_eq!(registry.stats().late.total(), late);
    assert_eq!(drops.load(Ordering::Relaxed) as u64, rounds, "each closure dropped exactly once");
}

thread_local! {
    static HELD_AT: RefCell<Vec<(StallSite, Breakpoint)>> = const { RefCell::new(Vec::new()) };
}

/// A stall hook that stops a thread at the sites which it has set with [`stop_this_thread_at`].
pub(crate) fn stall_hook(site: StallSite) {
    let held = HELD_AT.try_with(|held| {
        let mut held = held.borrow_mut();
        held.iter().position(|(at, _)| *at == site).map(|place| held.remove(place).1)
    });
    if let Ok(Some(breakpoint)) = held {
        breakpoint.stop_here();
    }
}

/// Stops the calling thread the next time it comes to `site`.
pub(crate) fn stop_this_thread_at(site: StallSite, breakpoint: Breakpoint) {
    HELD_AT.with(|held| held.borrow_mut().push((site, breakpoint)));
}

//! What several test files need: closures that tell when they are dropped, ways to park a thread inside a callback and at a
//! stall site, the race of a revocation against a call, and (`again`) a test that runs once more in a process of its own.
#![allow(dead_code, unused_imports, reason = "each test file uses its own part")]
#![allow(clippy::disallowed_types, reason = "a test is outside the crate and has no other atomics")]

#[path = "../../src/again.rs"]
mod again;

pub(crate) use again::{again, alone, is_again};

use latecall::registry::{Handle, Reason, Registration, Registry, Revoked, StallSite, Status};
use std::cell::RefCell;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Barrier, Mutex};
use std::thread;
use std::time::Duration;

/// How long anything may take before the test calls it a hang. A limit, never a synchronisation.
pub(crate) const LIMIT: Duration = Duration::from_secs(30);

/// A value to be owned by a closure; its destructor is counted.
pub(crate) struct Grave(Arc<AtomicUsize>);

impl Drop for Grave {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// A grave and its watcher.
pub(crate) fn grave() -> (Grave, Watch) {
    let count = Arc::new(AtomicUsize::new(0));
    (Grave(Arc::clone(&count)), Watch(count))
}

/// Knows how often the closure has been dropped.
#[derive(Clone)]
pub(crate) struct Watch(Arc<AtomicUsize>);

impl Watch {
    /// Drops so far.
    pub(crate) fn drops(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

/// A value whose destructor panics, with these words as a `String`. (`.ci/sanitizers.leaks` knows it by name: a payload that is
/// swallowed is not dropped. Not `panic_any`, which hides that name from LeakSanitizer's stacks.)
pub(crate) struct PanicsOnDrop(pub(crate) &'static str);

impl Drop for PanicsOnDrop {
    fn drop(&mut self) {
        panic!("{}", self.0);
    }
}

/// A callback that does nothing but own `it`.
pub(crate) fn owning<T: Send + Sync + 'static>(it: T) -> Box<dyn Fn() + Send + Sync> {
    Box::new(move || {
        let _owned = &it;
    })
}

/// One side of a meeting: arrive there, and go on when told.
pub(crate) struct Visitor {
    arrived: Sender<()>,
    proceed: Receiver<()>,
}

/// The other side: waits for the visitor, and lets it go on.
pub(crate) struct Host {
    arrived: Receiver<()>,
    proceed: Sender<()>,
}

/// A place where one thread can be held.
pub(crate) fn meeting() -> (Visitor, Host) {
    let (arrived, arrivals) = channel();
    let (proceed, orders) = channel();
    (Visitor { arrived, proceed: orders }, Host { arrived: arrivals, proceed })
}

impl Visitor {
    pub(crate) fn stop_here(&self) {
        self.arrived.send(()).unwrap();
        match self.proceed.recv_timeout(LIMIT) {
            Err(RecvTimeoutError::Timeout) => panic!("held for longer than {LIMIT:?}"),
            Ok(()) | Err(RecvTimeoutError::Disconnected) => {}
        }
    }
}

impl Host {
    pub(crate) fn wait_for_visitor(&self) {
        self.arrived.recv_timeout(LIMIT).expect("nobody came");
    }

    pub(crate) fn let_go(&self) {
        self.proceed.send(()).unwrap();
    }

    /// Whether the visitor has come (again).
    pub(crate) fn has_visitor(&self) -> bool {
        self.arrived.try_recv().is_ok()
    }
}

/// The registry of most tests, whose callbacks take nothing and say nothing.
pub(crate) type Callbacks = Registry<dyn Fn() + Send + Sync>;

/// Who has registered one of [`Callbacks`].
pub(crate) type Owner<'r> = Registration<'r, dyn Fn() + Send + Sync>;

/// A registry without end, for callbacks that use the one they are in.
pub(crate) fn leaked() -> &'static Callbacks {
    Box::leak(Box::new(Callbacks::new()))
}

/// Calls, as the function that C was given would. A late call answers why it is late.
pub(crate) fn call(registry: &Callbacks, handle: Handle) -> Result<(), Reason> {
    registry.call(handle.as_ptr(), |f| f()).map_err(|late| late.reason())
}

/// Returns once the callback is revoked with `calls` inside. Who is revoking it with a wait, on another thread, is then past
/// the point where it could return early.
pub(crate) fn until_revoked(registry: &Callbacks, handle: Handle, calls: u32) {
    while registry.status(handle) != Ok(Status::Revoking(calls)) {
        thread::yield_now();
    }
}

/// A callback that stops inside, and knows when it is dropped.
#[track_caller]
pub(crate) fn parked(registry: &Callbacks) -> (Owner<'_>, Host, Watch) {
    parked_then(registry, || ())
}

/// As [`parked`]; what is to be done before the callback returns is `then`.
#[track_caller]
pub(crate) fn parked_then(registry: &Callbacks, then: impl Fn() + Send + Sync + 'static) -> (Owner<'_>, Host, Watch) {
    let ((visitor, host), (grave, watch)) = (meeting(), grave());
    let owned = (Mutex::new(visitor), grave);
    let registration = registry.register(Box::new(move || {
        let owned = &owned;
        owned.0.lock().unwrap().stop_here();
        then();
    }));
    (registration, host, watch)
}

/// In each of `rounds` rounds either the revoker found nobody or the call ran, with the sums to match, and never both a
/// removal before the call and a run after it.
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
            let (grave, entered_here) = (Grave(Arc::clone(&drops)), Arc::clone(&entered));
            let registration = registry.register(Box::new(move || {
                let _owned = &grave;
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
    static HELD_AT: RefCell<Vec<(StallSite, Visitor)>> = const { RefCell::new(Vec::new()) };
}

/// A stall hook that holds a thread where [`hold_me_at`] told it to; all other threads pass.
pub(crate) fn stall(site: StallSite) {
    let held = HELD_AT.try_with(|held| {
        let mut held = held.borrow_mut();
        held.iter().position(|(at, _)| *at == site).map(|place| held.remove(place).1)
    });
    if let Ok(Some(visitor)) = held {
        visitor.stop_here();
    }
}

/// Holds the calling thread the next time it comes to `site`.
pub(crate) fn hold_me_at(site: StallSite, visitor: Visitor) {
    HELD_AT.with(|held| held.borrow_mut().push((site, visitor)));
}

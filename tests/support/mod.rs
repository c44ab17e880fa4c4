//! What several test files need: a closure that tells when it is dropped, a way to park a thread at a stall site, and a test
//! that runs again in a process of its own.
#![allow(dead_code, reason = "each test file uses its own part")]
#![allow(clippy::disallowed_types, reason = "a test is outside the crate and has no other atomics")]

use latecall::registry::StallSite;
use std::cell::RefCell;
use std::process::{Command, Output};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
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

const AGAIN: &str = "LATECALL_TEST_AGAIN";

/// Runs `test`, which is the test that calls this, once more, alone in a process of its own. There [`is_again`] says so.
pub(crate) fn again<T: Fn()>(test: T) -> Output {
    let _by_its_type = test;
    // The harness names a test by its path within the crate.
    let (_, name) = std::any::type_name::<T>().split_once("::").expect("a function is in a crate");
    let mut me = Command::new(std::env::current_exe().unwrap());
    let out = me.args(["--exact", name, "--nocapture", "--test-threads=1"]).env(AGAIN, "1").output().unwrap();
    let stdout = String::from_utf8_lossy(&out.stdout);
    assert!(stdout.contains("running 1 test\n"), "no test, or more than one, is called {name}: {stdout}");
    out
}

/// Whether this process is one that [`again`] has made.
pub(crate) fn is_again() -> bool {
    std::env::var_os(AGAIN).is_some()
}

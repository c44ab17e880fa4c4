//! Gates: where a program holds a thread to force an order.
//!
//! A gate is soft. A thread that is held goes on when the gate is opened, and also when the monitor finds that nothing
//! else in the program can move: then the order that the program asks for is impossible on this subject (a library that
//! waits, say), and the thread reports that it gave up. So a gate never makes a deadlock, and an order is forced without
//! a single timed wait.
//!
//! Pairs with: `monitor`, which calls [`Gates::give_up`].

use crate::program::{GateId, Site};
use crate::sync::{Condvar, Mutex, MutexGuard};

/// The gates of one run.
#[derive(Debug)]
pub(crate) struct Gates {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    gates: Vec<Gate>,
    /// `stall SITE G` that nobody has passed yet.
    armed: Vec<(Site, GateId)>,
    /// Raised by each [`Gates::give_up`]: whoever waits since before it goes on.
    given_up: u64,
    waiting: usize,
}

#[derive(Debug, Clone, Default)]
struct Gate {
    open: bool,
    /// A thread has been held here, now or before.
    reached: bool,
}

/// How a wait ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Passed {
    /// As the program wants it.
    InOrder,
    /// Nothing else could move.
    GaveUp,
}

impl Gates {
    pub(crate) fn new(count: usize) -> Self {
        let state = State { gates: vec![Gate::default(); count], armed: Vec::new(), given_up: 0, waiting: 0 };
        Gates { state: Mutex::new(state), changed: Condvar::new() }
    }

    /// Waits until the gate is opened.
    pub(crate) fn hold(&self, gate: GateId) -> Passed {
        let mut state = self.lock();
        state.gates[gate.0 as usize].reached = true;
        self.changed.notify_all();
        self.wait(state, |state| state.gates[gate.0 as usize].open)
    }

    /// Lets go whoever is or will be held.
    pub(crate) fn open(&self, gate: GateId) {
        self.lock().gates[gate.0 as usize].open = true;
        self.changed.notify_all();
    }

    /// Waits until somebody is held.
    pub(crate) fn reach(&self, gate: GateId) -> Passed {
        self.wait(self.lock(), |state| state.gates[gate.0 as usize].reached)
    }

    /// The first thread that passes `site` from now on is held at `gate`.
    pub(crate) fn arm(&self, site: Site, gate: GateId) {
        self.lock().armed.push((site, gate));
    }

    /// The gate that a thread which passes `site` is to be held at: taken by the first.
    pub(crate) fn take_armed(&self, site: Site) -> Option<GateId> {
        let mut state = self.lock();
        let at = state.armed.iter().position(|(armed, _)| *armed == site)?;
        Some(state.armed.remove(at).1)
    }

    /// Lets everybody go who waits here now. Answers how many that is.
    pub(crate) fn give_up(&self) -> usize {
        let mut state = self.lock();
        state.given_up += 1;
        self.changed.notify_all();
        state.waiting
    }

    fn wait(&self, mut state: MutexGuard<'_, State>, ready: impl Fn(&State) -> bool) -> Passed {
        let since = state.given_up;
        state.waiting += 1;
        while !ready(&state) && state.given_up == since {
            state = self.changed.wait(state).unwrap_or_else(|poisoned| poisoned.into_inner());
        }
        state.waiting -= 1;
        if ready(&state) { Passed::InOrder } else { Passed::GaveUp }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

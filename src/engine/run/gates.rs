//! Gates: where a program holds a thread to force an order.
//!
//! A gate is soft. A thread held at a gate goes on in one of two cases:
//!
//! * Another thread opens the gate.
//! * The monitor finds that nothing else in the run can move. Then the order that the program asks for is impossible on
//!   this subject (the library waits, say), and the thread reports that it gave up.
//!
//! So a gate never makes a deadlock, and an order is forced without a timed wait.
//!
//! Pairs with: `monitor`, which calls [`Gates::give_up`].

use crate::program::{GateId, Site};
use crate::sync::{Condvar, Mutex, MutexGuard, lock, wait};

/// The gates of one run.
#[derive(Debug)]
pub(crate) struct Gates {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    gates: Vec<Gate>,
    /// The `stall SITE GATE` ops whose site no thread has passed yet.
    armed: Vec<(Site, GateId)>,
    /// Raised by each [`Gates::give_up`]: threads that began to wait before it go on.
    given_up: u64,
    waiting: usize,
}

#[derive(Debug, Clone, Default)]
struct Gate {
    open: bool,
    /// A thread is held here, or was.
    reached: bool,
}

/// How a wait at a gate ended.
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
        let mut state = lock(&self.state);
        state.gates[gate.0 as usize].reached = true;
        self.changed.notify_all();
        self.wait(state, |state| state.gates[gate.0 as usize].open)
    }

    /// Releases the threads that are held at the gate, now or later.
    pub(crate) fn open(&self, gate: GateId) {
        lock(&self.state).gates[gate.0 as usize].open = true;
        self.changed.notify_all();
    }

    /// Waits until a thread is held at the gate.
    pub(crate) fn reach(&self, gate: GateId) -> Passed {
        self.wait(lock(&self.state), |state| state.gates[gate.0 as usize].reached)
    }

    /// The first thread that passes `site` from now on is held at `gate`.
    pub(crate) fn arm(&self, site: Site, gate: GateId) {
        lock(&self.state).armed.push((site, gate));
    }

    /// The gate at which a thread that passes `site` is held. Only the first thread gets it.
    pub(crate) fn take_armed(&self, site: Site) -> Option<GateId> {
        let mut state = lock(&self.state);
        let at = state.armed.iter().position(|(armed, _)| *armed == site)?;
        Some(state.armed.remove(at).1)
    }

    /// Releases all threads that wait at gates now. Returns how many there are.
    pub(crate) fn give_up(&self) -> usize {
        let mut state = lock(&self.state);
        state.given_up += 1;
        self.changed.notify_all();
        state.waiting
    }

    fn wait(&self, mut state: MutexGuard<'_, State>, ready: impl Fn(&State) -> bool) -> Passed {
        let since = state.given_up;
        state.waiting += 1;
        while !ready(&state) && state.given_up == since {
            state = wait(&self.changed, state);
        }
        state.waiting -= 1;
        if ready(&state) { Passed::InOrder } else { Passed::GaveUp }
    }
}

//! Monitors: everything that blocks, but for mutexes and condition variables.
//!
//! A monitor is a loom mutex, a state, and a list of parked threads, which it wakes when the state changes; that orders every
//! operation on one object before the next, also where the real one orders less (two readers of a lock).

use super::Call;
use super::futex::Queue;
use super::time::{limit, limited};
use crate::finding::FindingKind;
use crate::loom_types::{Mutex, thread};
use crate::trace::named;
use crate::world::{Me, waiting, with};
use std::ffi::{c_int, c_uint};
use std::rc::Rc;

type Gate = Rc<Mutex<()>>;

/// The state of a monitor.
#[derive(Debug)]
pub(super) enum State {
    Shared {
        readers: Vec<Me>,
        writer: Option<Me>,
    },
    Semaphore {
        count: c_uint,
    },
    /// `inside`: of rounds that are over, those who have not left yet.
    Barrier {
        needed: c_uint,
        arrived: c_uint,
        inside: c_uint,
        round: u64,
    },
    Once {
        state: OnceState,
    },
    Spin {
        owner: Option<Me>,
    },
    Futex(Queue),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OnceState {
    Not,
    Running,
    Done,
}

pub(super) struct Monitor {
    gate: Gate,
    pub(super) state: State,
    parked: Vec<thread::Thread>,
}

impl Monitor {
    /// Nobody has it, is in it, or waits for it.
    pub(super) fn is_idle(&self) -> bool {
        let idle = match &self.state {
            State::Shared { readers, writer } => readers.is_empty() && writer.is_none(),
            State::Barrier { arrived, inside, .. } => *arrived == 0 && *inside == 0,
            State::Once { state } => *state != OnceState::Running,
            State::Spin { owner } => owner.is_none(),
            State::Semaphore { .. } => true,
            // What is stored in a futex is no other object.
            State::Futex(_) => false,
        };
        idle && self.parked.is_empty()
    }
}

impl Call {
    pub(super) fn make(&self, state: State, did: &'static str) -> c_int {
        self.rewrite(did);
        with(|world| {
            world.objects.destroyed.remove(&self.address);
            let monitor =
                Monitor { gate: Rc::new(named(self.address as u64, || Mutex::new(()))), state, parked: Vec::new() };
            world.objects.monitors.insert(self.address, monitor);
        });
        0
    }

    pub(super) fn gate(&self, fresh: Option<State>) -> Gate {
        let made = with(|world| world.objects.monitors.get(self.address).map(|monitor| monitor.gate.clone()));
        if let Some(gate) = made {
            return gate;
        }
        let Some(state) = fresh else {
            self.convict(FindingKind::Misuse, "an object is used that was not initialised")
        };
        with(|world| {
            // The word at a futex's address is an atomic of that name; no object begins in the middle of it.
            let name = self.address as u64 + u64::from(matches!(state, State::Futex(_)));
            let monitor = Monitor { gate: Rc::new(named(name, || Mutex::new(()))), state, parked: Vec::new() };
            world.objects.monitors.get_or_insert_with(self.address, || monitor).gate.clone()
        })
    }

    /// One attempt, with the state; what it changed may be what parked threads wait for.
    pub(super) fn attempt<R>(&self, fresh: Option<State>, change: impl FnOnce(&mut State) -> Option<R>) -> Option<R> {
        self.attempt_or_park(fresh, change, false)
    }

    /// As `attempt`; a thread that did not succeed and is about to park is put on the list of those to be woken.
    fn attempt_or_park<R>(
        &self,
        fresh: Option<State>,
        change: impl FnOnce(&mut State) -> Option<R>,
        parks: bool,
    ) -> Option<R> {
        let gate = self.gate(fresh);
        let guard = gate.lock().expect("loom's locks are not poisoned");
        let (done, parked) = with(|world| match world.objects.monitors.get_mut(self.address) {
            Some(monitor) => {
                let done = change(&mut monitor.state);
                let parked = done.is_some().then(|| std::mem::take(&mut monitor.parked));
                (done, parked)
            }
            None => (None, None),
        });
        with(|world| world.check_memory(self.me, self.pc, self.address, 4, "use"));
        for thread in parked.into_iter().flatten() {
            thread.unpark();
        }
        if parks && done.is_none() {
            let me = thread::current();
            with(|world| {
                if let Some(monitor) = world.objects.monitors.get_mut(self.address) {
                    monitor.parked.push(me);
                }
            });
        }
        drop(guard);
        done
    }

    /// Attempts until it succeeds.
    pub(super) fn until<R>(
        &self,
        kind: &'static str,
        fresh: impl Fn() -> Option<State>,
        change: impl Fn(&mut State) -> Option<R>,
    ) -> R {
        loop {
            if let Some(done) = self.attempt_or_park(fresh(), &change, true) {
                return done;
            }
            waiting(self.me, self.pc, kind, self.address, thread::park);
        }
    }

    /// Attempts once, for a wait with a limit: the search makes the attempt at every moment at which it may succeed or fail.
    pub(super) fn within<R>(
        &self,
        until: Option<i64>,
        fresh: impl Fn() -> Option<State>,
        change: impl Fn(&mut State) -> Option<R>,
    ) -> Option<R> {
        limit(self.me);
        let done = self.attempt(fresh(), change);
        limited(self.me, done.is_some(), until);
        done
    }
}

//! The session of a run, which its threads share.
//!
//! A library may not be closed under its callers: `shutdown` waits for the ops of other threads, and ops that come
//! later are skipped. Programs without `shutdown` need none of this, and their ops are not counted.

use super::sync::{self, Condvar, Mutex, Outside, OutsideArc, lock, outside, wait};
use crate::ledger::Answer;
use crate::program::{Op, Program};
use crate::subject::Session;

/// The session, and the threads that use it.
#[derive(Debug)]
pub(super) struct SharedSession {
    session: Outside<Option<OutsideArc<dyn Session>>>,
    /// `None`: the program has no `shutdown`.
    users: Option<Users>,
}

#[derive(Debug)]
struct Users {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Ops inside the session.
    inside: usize,
    /// A `shutdown` has begun.
    closing: bool,
}

/// Counts an op as inside the session.
struct Inside<'a>(&'a Users);

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        // When a search has left the interleaving, the locks of the interleaving must not be used any more.
        if !sync::abandoned() {
            lock(&self.0.state).inside -= 1;
            self.0.changed.notify_all();
        }
    }
}

impl SharedSession {
    /// No session yet.
    pub(super) fn new(program: &Program) -> Self {
        let users = program.steps().any(|step| step.op == Op::Shutdown);
        let users = users.then(|| Users { state: Mutex::new(State::default()), changed: Condvar::new() });
        SharedSession { session: Outside::new(None), users }
    }

    pub(super) fn set(&self, session: Box<dyn Session>) {
        *outside(&self.session) = Some(OutsideArc::from(session));
    }

    pub(super) fn take(&self) -> Option<OutsideArc<dyn Session>> {
        outside(&self.session).take()
    }

    /// Does an op in the session. `nested`: the op is in the body of a callback that another op's call has run. A
    /// `shutdown` waits for the outer op, so the nested one may go on.
    pub(super) fn with(&self, nested: bool, f: impl FnOnce(&dyn Session) -> Answer) -> Answer {
        let _inside = if let Some(users) = &self.users {
            let mut state = lock(&users.state);
            if state.closing && !nested {
                return Answer::Skipped;
            }
            state.inside += 1;
            drop(state);
            Some(Inside(users))
        } else {
            None
        };
        self.call(f)
    }

    /// Shuts the session down, once no other thread uses it.
    pub(super) fn shutdown(&self) -> Answer {
        if let Some(users) = &self.users {
            let mut state = lock(&users.state);
            if state.closing {
                return Answer::Skipped;
            }
            state.closing = true;
            while state.inside > 0 {
                state = wait(&users.changed, state);
            }
        }
        self.call(|session| session.shutdown())
    }

    /// Whether the program has shut the session down.
    pub(super) fn is_shut_down(&self) -> bool {
        self.users.as_ref().is_some_and(|users| lock(&users.state).closing)
    }

    fn call(&self, f: impl FnOnce(&dyn Session) -> Answer) -> Answer {
        let session = outside(&self.session).clone();
        session.map_or(Answer::Skipped, |session| f(&*session))
    }
}

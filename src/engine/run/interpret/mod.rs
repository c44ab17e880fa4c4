//! The interpreter: does to a session what a program's ops say, and runs the bodies of its callbacks.
//!
//! Compiled twice, as the registry is: over std for the engines that use real threads ([`super::execute`]), and in
//! `crate::loomed` over loom for the model engine. The two differ in their `Stage`: how threads are started, held and
//! watched.
//!
//! The run's own bookkeeping ([`Outside`], [`Counter`]) is not modelled. State that decides whether an op is done at
//! all is modelled (`registered`, and the users of the session), because otherwise a search would not see that two
//! orders differ.
//!
//! How the parts fit: this file has the run and its life; `threads`: what each thread of the program does; `ops`: one
//! op; `bodies`: what a callback does when it is called; `session`: the session that the threads share.
//!
//! Pairs with: `stage`, of which there are two; `ledger::log`, where events go.

mod bodies;
mod ops;
mod session;
mod threads;

use super::stage::{Stage, ThreadToken};
use super::sync::{self, AtomicBool, AtomicU32, Counter, Outside, OutsideArc, outside};
use crate::engine::run::offered::needs_library_threads;
use crate::engine::run::{RunError, RunOptions};
use crate::ledger::{Event, Ledger, RunId, ThreadNo};
use crate::program::Program;
use crate::subject::{Env, Subject};
use session::SharedSession;
use std::any::Any;
use std::sync::atomic::Ordering::Relaxed;

/// A run.
#[derive(Debug)]
pub(crate) struct Run {
    id: RunId,
    ledger: &'static Ledger,
    program: Program,
    pub(super) stage: Stage,
    session: SharedSession,
    /// For each callback: whether the library has taken it.
    registered: Vec<AtomicBool>,
    /// For each callback: how often it was called.
    calls: Vec<AtomicU32>,
    /// How many ops have asked the library for calls.
    cookies: Counter,
    /// Why there is no verdict: the first reason that a thread of the run met.
    error: Outside<Option<RunError>>,
    churn_made: Counter,
    churn_freed: Counter,
}

impl Run {
    /// A run whose session is open.
    ///
    /// # Errors
    ///
    /// [`RunError::Open`].
    pub(crate) fn open(
        program: &Program,
        subject: &dyn Subject,
        options: &RunOptions,
    ) -> Result<OutsideArc<Self>, RunError> {
        let ledger = Ledger::open();
        let run = OutsideArc::new(Run {
            id: ledger.id(),
            ledger,
            program: program.clone(),
            stage: Stage::new(program, options),
            session: SharedSession::new(program),
            registered: program.callbacks.iter().map(|_| AtomicBool::new(false)).collect(),
            calls: program.callbacks.iter().map(|_| AtomicU32::new(0)).collect(),
            cookies: Counter::new(0),
            error: Outside::new(None),
            churn_made: Counter::new(0),
            churn_freed: Counter::new(0),
        });
        ledger.attach(run.clone());
        let env = Env {
            run: run.id,
            hostile: program.hostile.clone(),
            fail_allocation: program.fail_allocation,
            capacity: program.capacity,
            stalls: Stage::GATED,
            library_threads: if needs_library_threads(program) { Stage::LIBRARY_THREADS } else { 0 },
        };
        match subject.open(&env) {
            Ok(session) => {
                run.session.set(session);
                Ok(run)
            }
            Err(error) => {
                run.abandon();
                Err(RunError::Open(error))
            }
        }
    }

    /// Frees a run of which no thread was started.
    pub(crate) fn abandon(&self) {
        drop(self.session.take());
        self.ledger.detach(usize::MAX);
        self.ledger.close();
    }

    /// Adds the main thread, which is about to be started.
    pub(crate) fn add_main(&self) -> ThreadToken {
        self.stage.add_thread(ThreadNo::MAIN)
    }

    /// What has happened so far; `None` if it is more than the ledger holds.
    pub(crate) fn events(&self) -> Option<Vec<Event>> {
        self.ledger.events()
    }

    /// How many callbacks `churn` has made, and how many of them were freed.
    pub(crate) fn churned(&self) -> (u32, u32) {
        // Relaxed: read after the threads were joined.
        let count = |counter: &Counter| counter.load(Relaxed) as u32;
        (count(&self.churn_made), count(&self.churn_freed))
    }

    /// Why there is no verdict, if there is a reason.
    pub(crate) fn take_error(&self) -> Option<RunError> {
        outside(&self.error).take()
    }

    /// The run is over: no witness finds it any more. Returns false if a thread is still inside a callback of the
    /// run; then the run must not be freed.
    pub(crate) fn retire(&self) -> bool {
        let retired = self.ledger.detach(1 << 20);
        if retired {
            self.ledger.close();
        }
        retired
    }

    fn fail(&self, error: RunError) {
        outside(&self.error).get_or_insert(error);
    }

    /// The subject panicked outside any callback.
    fn panicked(&self, panic: &(dyn Any + Send)) {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
        self.fail(RunError::SubjectPanicked { message: text.unwrap_or("a panic without a message").to_owned() });
    }
}

//! One run: a program, once, on a fresh session of a subject.
//!
//! How the parts fit: [`execute`] is a run with real threads: every engine that uses them comes through it, and what they
//! differ in is which programs they make, and the [`RunOptions`]. `interpret` does what a program says, and `stage` is where:
//! over loom (`loomed`) the model engine puts `model_stage` in its place. What a subject uses of a run is in
//! `subject::env`.
//!
//! Pairs with: `monitor`, which watches the threads; `ledger::log`, where events go; `ledger::judge`, which reads them.

mod interpret;
use crate::sync;
mod stage;

use super::monitor;
use crate::ledger::{Contract, Event, Quarantine, Verdict, judge, log};
use crate::program::{Hostile, Op, Program, Verb};
use crate::subject::{OpenError, Subject};
use crate::sync::{Arc, thread};
use interpret::Run;
use std::any::Any;
use std::fmt;
use std::time::Duration;

/// How a run is run.
#[derive(Debug, Clone)]
pub struct RunOptions {
    /// Disturbs the threads at stall sites and between ops, from this seed; `None`: threads run as they come.
    pub disturb: Option<u64>,
    /// A run in which nothing has moved for so long is a deadlock. Only counts while every thread of the run sleeps.
    pub deadlock_after: Duration,
    /// A run that takes longer than this is given up as a harness error, whatever its threads do.
    pub limit: Duration,
}

impl Default for RunOptions {
    fn default() -> Self {
        RunOptions { disturb: None, deadlock_after: Duration::from_millis(500), limit: Duration::from_secs(60) }
    }
}

/// What a run was.
#[derive(Debug, Clone)]
pub struct RunOutcome {
    /// Everything that happened, in order.
    pub events: Vec<Event>,
    /// What that proves.
    pub verdict: Verdict,
}

/// Why a run has no verdict.
#[derive(Debug)]
#[non_exhaustive]
pub enum RunError {
    /// The subject does not offer what the program needs.
    NotOffered(String),
    /// The subject's library could not be opened.
    Open(OpenError),
    /// The process does not use the quarantine allocator, so a dangling callback would crash it.
    NoQuarantine,
    /// More happened than the ledger holds.
    TooManyEvents,
    /// The subject panicked outside any callback.
    SubjectPanicked(String),
    /// It ran, busily, for longer than [`RunOptions::limit`].
    TooLong(Duration),
    /// A thread of the run could not be started.
    NoThread(std::io::Error),
    /// The model cannot do it.
    Model(latecall_explore::Bound),
}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RunError::NotOffered(what) => f.write_str(what),
            RunError::Open(error) => write!(f, "the subject's library could not be opened: {error}"),
            RunError::NoQuarantine => f.write_str(
                "this process does not use the quarantine, so a callback that is called after it was freed would crash it \
                 instead of being named; add: #[global_allocator] static ALLOCATOR: latecall::ledger::Quarantine = \
                 latecall::ledger::Quarantine::new();",
            ),
            RunError::TooManyEvents => write!(f, "the program made more than {} events; shorten it", log::MAX_EVENTS),
            RunError::SubjectPanicked(message) => write!(f, "the subject panicked outside any callback: {message}"),
            RunError::TooLong(limit) => write!(f, "the program was still running after {} s", limit.as_secs()),
            RunError::Model(bound) => write!(f, "the model is limited to {bound}"),
            RunError::NoThread(error) => write!(f, "a thread could not be started: {error}"),
        }
    }
}

impl std::error::Error for RunError {}

/// The panic that `panic` in a body makes.
pub(crate) struct BodyPanic;

/// Nested firings deeper than this are skipped, so that a body that fires itself ends.
pub(crate) const MAX_DEPTH: u32 = 32;

/// Runs a program once on a fresh session of a subject.
///
/// Blocks until it is over. Never panics and never hangs, whatever the subject does, short of ending the process; a run
/// that hangs is a `Deadlock`, and its threads are abandoned.
///
/// # Errors
///
/// [`RunError`]: there is no verdict.
pub fn execute(program: &Program, subject: &dyn Subject, options: &RunOptions) -> Result<RunOutcome, RunError> {
    applicable(program, subject)?;
    if !Quarantine::is_installed() && !Quarantine::asan_is_present() {
        return Err(RunError::NoQuarantine);
    }
    let run = Run::open(program, subject, options)?;
    let main = Arc::clone(&run);
    let started = run.start();
    let spawned = thread::Builder::new().name("main".into()).spawn(move || main.main(started));
    if let Err(error) = spawned {
        // Nothing of the run has started: let go of everything in order.
        run.abandon();
        return Err(RunError::NoThread(error));
    }
    let end = monitor::watch(&run.stage.watched, &run.stage.gates, options);
    conclude(run, program, subject.contract(), options, end)
}

/// The run has ended, one way or another: judges it, and gives back what it held.
fn conclude(
    run: Arc<Run>,
    program: &Program,
    contract: Contract,
    options: &RunOptions,
    end: monitor::End,
) -> Result<RunOutcome, RunError> {
    let events = run.events();
    match end {
        monitor::End::Finished if run.retire() => {
            let (panicked, churned) = (run.panicked(), run.churned());
            run.let_go();
            if let Some(panicked) = panicked {
                return Err(RunError::SubjectPanicked(panicked));
            }
            let events = events.ok_or(RunError::TooManyEvents)?;
            let verdict = verdict(program, contract, &events, churned);
            Ok(RunOutcome { events, verdict })
        }
        monitor::End::Deadlock => {
            let unfinished = run.stage.watched.unfinished();
            // Its threads will never end: what they use stays.
            std::mem::forget(run);
            let events = events.ok_or(RunError::TooManyEvents)?;
            let mut verdict = judge(program, contract, &events);
            verdict.violations.push(monitor::deadlock(program, &events, &unfinished));
            Ok(RunOutcome { events, verdict })
        }
        // Too long; or a foreign thread is still inside a callback of a run whose threads have all ended.
        monitor::End::TooLong | monitor::End::Finished => {
            std::mem::forget(run);
            Err(RunError::TooLong(options.limit))
        }
    }
}

/// What the events of a run that ended prove. `churned`: see `Run::churned`.
pub(crate) fn verdict(program: &Program, contract: Contract, events: &[Event], churned: (u32, u32)) -> Verdict {
    let mut verdict = judge(program, contract, events);
    super::churned(&mut verdict, churned, events.len());
    verdict
}

/// Whether a program needs threads of the library's own.
pub(crate) fn needs_library_threads(program: &Program) -> bool {
    let verbs = program.verbs();
    let asked = [Verb::Send, Verb::Post, Verb::Barrier].iter().any(|v| verbs.contains(*v));
    let switches = [Hostile::Concurrent, Hostile::FireTlsDestructor];
    asked || program.hostile.iter().any(|h| switches.contains(h))
}

/// Whether the subject offers what the program needs.
///
/// # Errors
///
/// [`RunError::NotOffered`], naming what is missing.
pub fn applicable(program: &Program, subject: &dyn Subject) -> Result<(), RunError> {
    let offer = subject.offer();
    let missing = program.verbs().minus(offer.verbs);
    if !missing.is_empty() {
        let names: Vec<_> = missing.iter().map(|v| format!("`{v}`")).collect();
        return Err(RunError::NotOffered(format!("{} does not offer {}", subject.name(), names.join(", "))));
    }
    if let Some(hostile) = program.hostile.iter().find(|h| !offer.hostile.contains(h)) {
        return Err(RunError::NotOffered(format!("{} makes no promise about `hostile {hostile}`", subject.name())));
    }
    if let Some(site) = program.steps().find_map(|s| match s.op {
        Op::Stall(site, _) if !offer.sites.contains(&site) => Some(site),
        _ => None,
    }) {
        return Err(RunError::NotOffered(format!("{} has no stall site `{site}`", subject.name())));
    }
    Ok(())
}

/// What a panic said.
pub(crate) fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic without a message").to_owned()
}

//! One run: a program, once, on a fresh session of a subject.
//!
//! [`execute`] runs a program on real threads. The engines `replay`, `property`, `stress` and `fuzz` all call it;
//! they differ in the programs that they make and in the [`RunOptions`]. The model engine runs the same interpreter
//! on loom's threads.
//!
//! How the parts fit:
//!
//! * `options`, `outcome`: what a run is given, and what it comes to.
//! * `offered`: whether the subject offers what the program needs.
//! * `interpret`: does what the program says. Compiled twice: here over std, and in `crate::loomed` over loom.
//! * `stage`: the threads that `interpret` runs on. In `crate::loomed` `model_stage` takes its place.
//! * `gates`: where a program holds a thread to force an order.
//! * `monitor`: sees whether a run has ended or cannot go on. `deadlock`: the report of a run that cannot.
//!
//! Pairs with: `subject::env`, what a subject uses of a run; `ledger::log`, where events go; `ledger::judge`, which
//! reads them.

pub(crate) mod deadlock;
pub(crate) mod gates;
mod interpret;
mod monitor;
pub(crate) mod offered;
mod options;
mod outcome;
mod stage;

pub use offered::{Missing, NotOffered, applicable};
pub use options::RunOptions;
pub use outcome::{RunError, RunOutcome};

use crate::ledger::{Contract, Event, Quarantine, Verdict, Violation, ViolationKind, judge};
use crate::program::Program;
use crate::subject::Subject;
use crate::sync;
use crate::sync::{Arc, thread};
use interpret::Run;
use monitor::RunEnd;
use std::cmp::Ordering;

/// Runs a program once on a fresh session of a subject.
///
/// Blocks until the run is over. Never panics and never hangs, unless the subject ends the process. A run that hangs is
/// convicted of `Deadlock`, and its threads are abandoned.
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
    let token = run.add_main();
    let spawned = thread::Builder::new().name("main".into()).spawn(move || main.main(token));
    if let Err(error) = spawned {
        run.abandon();
        return Err(RunError::NoThread(error));
    }
    let end = run.stage.watch(options);
    conclude(run, program, subject.contract(), options, end)
}

/// Judges a run that has ended or cannot go on, and frees what it held if no thread uses it any more.
fn conclude(
    run: Arc<Run>,
    program: &Program,
    contract: Contract,
    options: &RunOptions,
    end: RunEnd,
) -> Result<RunOutcome, RunError> {
    let events = run.events();
    let error = match end {
        RunEnd::Finished if run.retire() => {
            if let Some(error) = run.take_error() {
                return Err(error);
            }
            let events = events.ok_or(RunError::TooManyEvents)?;
            let verdict = verdict(program, contract, &events, run.churned());
            return Ok(RunOutcome { events, verdict });
        }
        RunEnd::Finished => RunError::StillCalled,
        RunEnd::TooLong => RunError::TooLong { limit: options.limit },
        RunEnd::Deadlock => {
            let unfinished = run.stage.unfinished();
            // The run's threads never end, so what they use is never freed.
            std::mem::forget(run);
            let events = events.ok_or(RunError::TooManyEvents)?;
            let mut verdict = judge(program, contract, &events);
            verdict.violations.push(deadlock::violation(program, &events, &unfinished));
            return Ok(RunOutcome { events, verdict });
        }
    };
    // A thread may still use the run.
    std::mem::forget(run);
    Err(error)
}

/// What the events of a run that ended prove. `churned`: see `Run::churned`.
pub(crate) fn verdict(program: &Program, contract: Contract, events: &[Event], churned: (u32, u32)) -> Verdict {
    let mut verdict = judge(program, contract, events);
    verdict.violations.extend(churn_violation(churned, events.len()));
    verdict
}

/// Callbacks that `churn` makes are not in the program, so the judge does not know them: each must have been freed
/// once.
fn churn_violation((made, freed): (u32, u32), events: usize) -> Option<Violation> {
    let kind = match made.cmp(&freed) {
        Ordering::Equal => return None,
        Ordering::Greater => ViolationKind::Leak,
        Ordering::Less => ViolationKind::DoubleDrop,
    };
    let text = format!("`churn` registered and revoked callbacks: {made} in all, of which {freed} were freed");
    Some(Violation { kind, callback: None, text, proof: events.checked_sub(1).into_iter().collect() })
}

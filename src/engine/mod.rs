//! Engines: each runs programs on a subject, and reports what that proved.
//!
//! How the parts fit:
//!
//! * [`run`]: one program, once, with real threads; `gates` and `monitor` are its parts. Every engine but `model` goes through
//!   it; that one has the same interpreter on loom's threads.
//! * [`replay`]: the programs that somebody wrote or kept.
//! * [`property`]: generated programs, shrunk when they fail.
//! * [`stress`]: generated programs of two or more threads, many times, disturbed at the stall sites.
//! * [`model`]: every interleaving of small programs, the C code's included.
//! * [`fuzz`]: what a fuzz target does with a fuzzer's bytes.
//! * [`report`]: what an engine found; [`timeline`]: a run's events as lines.
//!
//! Not here: which subjects and engines make a gate, and what is printed (`gate`, `report`).

pub mod fuzz;
pub(crate) mod gates;
pub mod model;
mod monitor;
pub mod property;
pub mod replay;
pub mod report;
pub mod run;
pub mod stress;
pub mod timeline;

use crate::ledger::{Verdict, Violation, ViolationKind};
use crate::program::generate;
use crate::program::shrink::{self, Tries};
use crate::program::{Hostile, Program, Verb, VerbSet};
use crate::subject::Subject;
use report::{Counterexample, Report};
use run::{RunError, RunOptions, RunOutcome, execute};
use std::time::{Duration, Instant};

/// Runs programs on a subject.
pub trait Engine {
    /// Its name in tables and on the command line.
    fn name(&self) -> &'static str;

    /// Runs, reports. Never panics and never hangs; what kept it from a verdict is in [`Report::error`]. `watch` is told how
    /// it goes, many times a second.
    fn check(&self, subject: &dyn Subject, watch: &mut dyn FnMut(&Report)) -> Report;
}

/// The names of the engines, in the order of the gate.
pub const ENGINES: [&str; 4] = ["replay", "property", "stress", "model"];

/// What to generate for a subject: everything it offers but what never ends within a run.
fn domain(subject: &dyn Subject, without: &[Verb], size: (usize, usize, usize)) -> generate::Domain {
    let offer = subject.offer();
    let (max_threads, max_callbacks, max_steps) = size;
    generate::Domain {
        verbs: offer.verbs.minus(VerbSet::of(without)),
        hostile: offer.hostile.into_iter().filter(|h| *h != Hostile::FireAtexit).collect(),
        sites: offer.sites,
        max_threads,
        max_callbacks,
        max_steps,
    }
}

/// Making a program small ends after this long.
const MINIMISE_FOR: Duration = Duration::from_secs(2);

/// Makes a failing program small. `attempts`: how often a candidate is run before it counts as not failing.
fn minimise(
    subject: &dyn Subject,
    program: Program,
    outcome: RunOutcome,
    kind: ViolationKind,
    attempts: impl Fn(usize) -> Option<RunOptions>,
    max_tries: usize,
) -> (Program, RunOutcome) {
    let mut smallest = (program.clone(), outcome);
    let began = Instant::now();
    let mut fails = |candidate: &Program| {
        for attempt in 0.. {
            if began.elapsed() > MINIMISE_FOR {
                return false; // what is smallest now has failed, and will do
            }
            let Some(mut options) = attempts(attempt) else { return false };
            // A deadlock was found with patience; making its program small may be less patient.
            options.deadlock_after = Duration::from_millis(60);
            match execute(candidate, subject, &options) {
                Ok(outcome) if outcome.verdict.has(kind) => {
                    smallest = (candidate.clone(), outcome);
                    return true;
                }
                Ok(_) => {}
                Err(_) => return false,
            }
        }
        false
    };
    // Each run that hangs takes its time to be called that.
    let tries = Tries { most: if kind == ViolationKind::Deadlock { max_tries.min(60) } else { max_tries } };
    let small = shrink::minimise(&program, &mut fails, tries);
    // The last candidate that failed may have other names than the tidied result: see that fail too.
    fails(&small);
    smallest
}

/// What a run means for a search.
enum Ran {
    /// No rule was broken.
    Clean,
    /// A rule was broken, this one first.
    Broke(RunOutcome, ViolationKind),
    /// The subject does not offer what the program needs: running it again is no use.
    NotOffered,
    /// There is no verdict, and the report says why: the search is over.
    NoVerdict,
}

/// Runs a program once more, counts it in the report and tells; `nth`: how often it was run before.
fn run_again(
    report: &mut Report,
    (program, nth): (&Program, u32),
    subject: &dyn Subject,
    options: &RunOptions,
    watch: &mut dyn FnMut(&Report),
) -> Ran {
    match execute(program, subject, options) {
        Ok(outcome) => {
            report.programs += u64::from(nth == 0);
            report.count(&outcome);
            watch(report);
            match outcome.verdict.violations.first().map(|violation| violation.kind) {
                Some(kind) => Ran::Broke(outcome, kind),
                None => Ran::Clean,
            }
        }
        Err(error) => {
            no_verdict(report, &error);
            if report.error.is_some() { Ran::NoVerdict } else { Ran::NotOffered }
        }
    }
}

/// Puts a failing run into the report.
fn found(report: &mut Report, program: &Program, outcome: &RunOutcome, kind: ViolationKind) {
    report.finding = Counterexample::of(&report.subject, program, outcome, Some(kind));
}

/// What a run that has no verdict means for a report: not offered is a fact about the program, the rest are errors.
fn no_verdict(report: &mut Report, error: &RunError) {
    match error {
        RunError::NotOffered(_) => report.not_offered += 1,
        error => report.error = Some(error.to_string()),
    }
}

/// Callbacks that `churn` made are not in the program; that each of them was freed is checked here.
fn churned(verdict: &mut Verdict, (made, dropped): (u32, u32), end: usize) {
    let kind = match made.cmp(&dropped) {
        std::cmp::Ordering::Equal => return,
        std::cmp::Ordering::Greater => ViolationKind::Leak,
        std::cmp::Ordering::Less => ViolationKind::DoubleDrop,
    };
    let text = format!("of {made} callbacks that `churn` registered and revoked, {dropped} were freed");
    verdict.violations.push(Violation { kind, callback: None, text, proof: end.checked_sub(1).into_iter().collect() });
}

//! What the engines on real threads have in common: which programs suit a subject, what a run means for a search, and
//! how a failing program is made small.

use super::report::{Counterexample, Report};
use super::run::{RunError, RunOptions, RunOutcome, execute};
use crate::ledger::ViolationKind;
use crate::program::generate::Domain;
use crate::program::shrink::{self, Tries};
use crate::program::{Hostile, Program, Verb, VerbSet};
use crate::subject::Subject;
use std::time::{Duration, Instant};

/// The largest programs that an engine generates.
#[derive(Debug, Clone, Copy)]
pub(super) struct Size {
    pub(super) threads: usize,
    pub(super) callbacks: usize,
    pub(super) steps: usize,
}

/// What to generate for a subject: all that it offers, without these ops and without the switch whose effect comes
/// after the run.
pub(super) fn domain(subject: &dyn Subject, without: &[Verb], size: Size) -> Domain {
    let offer = subject.offer();
    Domain {
        verbs: offer.verbs.minus(VerbSet::of(without)),
        hostile: offer.hostile.into_iter().filter(|switch| *switch != Hostile::FireAtexit).collect(),
        sites: offer.sites,
        max_threads: size.threads,
        max_callbacks: size.callbacks,
        max_steps: size.steps,
    }
}

/// What a run means for a search.
pub(super) enum RunResult {
    /// No rule was broken.
    Clean,
    /// A rule was broken, this one first.
    Convicted(RunOutcome, ViolationKind),
    /// The subject does not offer what the program needs: to run it again is no use.
    NotOffered,
    /// There is no verdict, and the report says why: the search is over.
    NoVerdict,
}

/// Runs a program, and counts the run in the report. `nth`: how often the program was run before.
pub(super) fn run_and_count(
    report: &mut Report,
    (program, nth): (&Program, u32),
    subject: &dyn Subject,
    options: &RunOptions,
    watch: &mut dyn FnMut(&Report),
) -> RunResult {
    match execute(program, subject, options) {
        Ok(outcome) => {
            report.programs += u64::from(nth == 0);
            report.count(&outcome);
            watch(report);
            match outcome.verdict.violations.first().map(|violation| violation.kind) {
                Some(kind) => RunResult::Convicted(outcome, kind),
                None => RunResult::Clean,
            }
        }
        Err(error) => {
            record_error(report, &error);
            if report.error.is_some() { RunResult::NoVerdict } else { RunResult::NotOffered }
        }
    }
}

/// Puts a run that broke a rule of this kind into the report.
pub(super) fn record_finding(report: &mut Report, program: &Program, outcome: &RunOutcome, kind: ViolationKind) {
    report.finding = Counterexample::of_run(&report.subject, program, outcome, kind);
}

/// Puts a run that has no verdict into the report. A program that the subject does not offer is counted; anything
/// else is an error.
pub(super) fn record_error(report: &mut Report, error: &RunError) {
    match error {
        RunError::NotOffered(_) => report.not_offered += 1,
        error => report.error = Some(error.to_string()),
    }
}

/// For how long a failing program is made smaller.
const MINIMISE_FOR: Duration = Duration::from_secs(2);
/// A run that hangs takes this long, and a deadlock is made smaller in at most so many runs.
const DEADLOCK_AFTER: Duration = Duration::from_millis(60);
const DEADLOCK_TRIES: usize = 60;

/// Makes a program that breaks a rule small. Returns the smallest program that broke the same rule, and its run.
///
/// `attempts`: the options of each run of a candidate; a candidate that breaks the rule in none of them counts as not
/// failing. `max_tries`: most candidates.
pub(super) fn minimise(
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
                return false; // the smallest program so far has failed, and stands
            }
            let Some(options) = attempts(attempt) else { return false };
            // The deadlock itself was established with the full patience; smaller candidates may be judged with less.
            match execute(candidate, subject, &options.deadlock_after(DEADLOCK_AFTER)) {
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
    let most = if kind == ViolationKind::Deadlock { max_tries.min(DEADLOCK_TRIES) } else { max_tries };
    let small = shrink::minimise(&program, &mut fails, Tries { most });
    // Tidying may have renamed things since the last failing candidate: the tidied program has to fail too.
    fails(&small);
    smallest
}

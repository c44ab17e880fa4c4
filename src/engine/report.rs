//! What an engine found on a subject: the gate collects it, the table prints it, and `--json` writes it.

use super::run::RunOutcome;
use super::timeline;
use crate::ledger::{Violation, ViolationKind};
use crate::program::Program;
use serde::{Deserialize, Serialize};
use std::fmt;

/// What one engine found on one subject. Prints as text for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
#[must_use = "the report says whether a rule was broken: call `check()` in a test"]
pub struct Report {
    /// The subject's name.
    pub subject: String,
    /// The engine's name.
    pub engine: String,
    /// Programs that were run at least once.
    pub programs: u64,
    /// Programs that need what the subject does not offer, and were not run.
    pub not_offered: u64,
    /// Runs; a program may be run several times. For the model engine: interleavings.
    pub runs: u64,
    /// Events of all runs.
    pub events: u64,
    /// Calls in which user code ran.
    pub calls: u64,
    /// Late calls that were defused.
    pub defused: u64,
    /// Orders that programs asked for and that were impossible.
    pub gave_up: u64,
    /// Every interleaving of every program was explored. Only the model engine sets it.
    #[serde(default)]
    pub exhausted: bool,
    /// What limited the search. The report says nothing about what lies beyond the limit.
    pub bounded_by: String,
    /// The first rule that was found broken, with the smallest program that breaks it.
    pub finding: Option<Counterexample>,
    /// Why there is no verdict. The cause is the harness or its environment, not a broken rule.
    pub error: Option<String>,
}

/// A broken rule, and how to see it again. Prints as text for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Counterexample {
    /// The rule and its proof: places in `timeline`.
    pub violation: Violation,
    /// The smallest program that was found to break it, as text: `latecall replay` runs it.
    pub program: String,
    /// How many steps the program has.
    pub steps: usize,
    /// What happened in the run that broke the rule, one line an event. If the run's process died: up to its death.
    pub timeline: Vec<String>,
}

impl Report {
    /// A report of nothing yet.
    pub fn new(subject: &str, engine: &str) -> Self {
        Report {
            subject: subject.to_owned(),
            engine: engine.to_owned(),
            programs: 0,
            not_offered: 0,
            runs: 0,
            events: 0,
            calls: 0,
            defused: 0,
            gave_up: 0,
            exhausted: false,
            bounded_by: String::new(),
            finding: None,
            error: None,
        }
    }

    /// Counts a run.
    pub(super) fn count(&mut self, outcome: &RunOutcome) {
        self.runs += 1;
        self.events += outcome.events.len() as u64;
        self.calls += outcome.verdict.calls as u64;
        self.defused += outcome.verdict.defused as u64;
        self.gave_up += outcome.verdict.gave_up as u64;
    }

    /// Whether something was run, no rule was broken, and there is a verdict.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.runs > 0 && self.finding.is_none() && self.error.is_none()
    }

    /// Passes a test if the report is clean.
    ///
    /// # Panics
    ///
    /// With the report as text, if it is not [clean](Self::is_clean): a rule was broken, there is no verdict, or
    /// nothing was run.
    #[track_caller]
    pub fn check(&self) {
        assert!(self.is_clean(), "{self}");
    }

    /// The rule that was found broken, if one was.
    #[must_use]
    pub fn convicted_of(&self) -> Option<ViolationKind> {
        self.finding.as_ref().map(|finding| finding.violation.kind)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Report { subject, engine, bounded_by, .. } = self;
        write!(f, "{subject}, {engine}: ")?;
        match (&self.error, &self.finding) {
            (Some(error), _) => write!(f, "no verdict: {error}"),
            (None, Some(finding)) => write!(f, "convicted of {finding}"),
            (None, None) if self.runs == 0 && self.not_offered == 0 => f.write_str("nothing ran: there was no program"),
            (None, None) if self.runs == 0 => {
                let programs = counted(self.not_offered, "program");
                write!(f, "nothing ran: the subject does not offer what {programs} would need")
            }
            (None, None) => write!(
                f,
                "no rule broken in {} of {}, {}, {} defused; {}{bounded_by}",
                counted(self.runs, "run"),
                counted(self.programs, "program"),
                counted(self.calls, "call"),
                counted(self.defused, "late call"),
                if self.exhausted { "" } else { "bounded by " },
            ),
        }
    }
}

impl Counterexample {
    /// A broken rule, and the program that breaks it.
    pub fn new(violation: Violation, program: &Program, timeline: Vec<String>) -> Self {
        Counterexample { violation, program: program.to_string(), steps: program.len(), timeline }
    }

    /// The violation of this kind in a run, or the first if there is none of this kind.
    pub(super) fn of_run(subject: &str, program: &Program, outcome: &RunOutcome, kind: ViolationKind) -> Option<Self> {
        let violations = &outcome.verdict.violations;
        let violation = violations.iter().find(|violation| violation.kind == kind).or(violations.first())?;
        let mut program = program.clone();
        program.subject = Some(subject.to_owned());
        let timeline = timeline::lines(&program, &outcome.events);
        Some(Counterexample::new(violation.clone(), &program, timeline))
    }
}

impl fmt::Display for Counterexample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\nthe program:\n{}what happened:\n", self.violation, self.program)?;
        timeline::write(f, &self.timeline, &self.violation.proof)
    }
}

/// A number with a noun: `1 program`, `2 programs`.
pub(crate) fn counted(n: u64, noun: &str) -> String {
    format!("{n} {noun}{}", if n == 1 { "" } else { "s" })
}

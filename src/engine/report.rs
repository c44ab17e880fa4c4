//! What an engine found on a subject: the one form that the gate collects, the table prints and `--json` writes.

use super::run::RunOutcome;
use super::timeline;
use crate::ledger::{Violation, ViolationKind};
use crate::program::Program;
use serde::{Deserialize, Serialize};

/// What one engine found on one subject.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The subject.
    pub subject: String,
    /// The engine.
    pub engine: String,
    /// Programs that were run at least once.
    pub programs: u64,
    /// Programs that do not apply to the subject, and were not run.
    pub not_offered: u64,
    /// Runs: a program may be run several times.
    pub runs: u64,
    /// Events of all runs.
    pub events: u64,
    /// Calls in which user code ran.
    pub calls: u64,
    /// Late calls that were defused.
    pub defused: u64,
    /// Orders that programs asked for and that were impossible.
    pub gave_up: u64,
    /// Every interleaving of every program was explored: the model engine's to say.
    #[serde(default)]
    pub exhausted: bool,
    /// What limited the search: it says nothing about what lies beyond.
    pub bounded_by: String,
    /// The first rule that was found broken, with the smallest program that breaks it.
    pub finding: Option<Counterexample>,
    /// Why there is no verdict: the harness, not the subject.
    pub error: Option<String>,
}

/// A broken rule, and how to see it again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counterexample {
    /// The rule and its proof: places in `timeline`.
    pub violation: Violation,
    /// The smallest program that was found to break it: `latecall replay` runs it.
    pub program: String,
    /// How many steps it has.
    pub steps: usize,
    /// What happened in the run that broke it, one line an event; as far as it came, when its process died.
    pub timeline: Vec<String>,
}

impl Report {
    /// Nothing yet.
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

    /// Whether anything was run, and no rule was broken.
    pub fn is_clean(&self) -> bool {
        self.runs > 0 && self.finding.is_none() && self.error.is_none()
    }

    /// What the finding is, if there is one.
    pub fn convicted_of(&self) -> Option<ViolationKind> {
        self.finding.as_ref().map(|finding| finding.violation.kind)
    }
}

impl Counterexample {
    /// The first broken rule of a run, or the first of these kinds if there is one.
    pub(super) fn of(
        subject: &str,
        program: &Program,
        outcome: &RunOutcome,
        prefer: Option<ViolationKind>,
    ) -> Option<Self> {
        let violations = &outcome.verdict.violations;
        let violation = violations.iter().find(|v| Some(v.kind) == prefer).or(violations.first())?;
        let mut program = program.clone();
        program.subject = Some(subject.to_owned());
        Some(Counterexample {
            violation: violation.clone(),
            program: program.to_string(),
            steps: program.len(),
            timeline: timeline::lines(&program, &outcome.events),
        })
    }
}

//! The model engine: every interleaving of a program, with the C library and the registry both inside loom.
//!
//! A subject's twin ([`Subject::modelled`]) is the same binding, compiled over loom, on the instrumented C library. A
//! program runs on the twin once for each interleaving, and each run is judged by the same ledger as any other run.
//!
//! A single run cannot show whether two events that came in the right order had to. So `order` asks in each
//! interleaving whether something orders them.
//!
//! Gates are dropped from a program, and so are the answers that it expects of its ops: every order is explored anyway.
//!
//! How the parts fit: this file has the engine; `search`: the search of one program; `order`: what orders the events of
//! one interleaving; [`programs`]: the programs that are worth exploring. The explorer is [`latecall_explore`].

mod order;
pub mod programs;
mod search;

pub use search::{Explored, Side, explore};

use super::Engine;
use super::report::{Counterexample, Report};
use super::run::RunError;
use crate::ledger::Violation;
use crate::program::Program;
use crate::subject::Subject;
use latecall_explore::{Bound, Exploration, Extent, Options, Repeats, harness};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Explores programs.
#[derive(Debug, Clone)]
pub struct Model {
    programs: Vec<Program>,
    interleavings: u64,
    preemptions: Option<usize>,
    time: Duration,
}

impl Model {
    /// Explores these programs, the first first; the search ends at the first conviction. Each within 2500
    /// interleavings, or else with at most 2 preemptions; all of them within 200 s.
    pub fn new(programs: Vec<Program>) -> Self {
        Model { programs, interleavings: 2500, preemptions: Some(2), time: Duration::from_secs(200) }
    }

    /// A program is explored exhaustively if so many interleavings are enough (default: 2500).
    #[must_use]
    pub fn max_interleavings(mut self, most: u64) -> Self {
        self.interleavings = most;
        self
    }

    /// A program for which that is not enough is explored once more, with at most so many preemptions in an
    /// interleaving (default: 2). `None`: it is not explored again.
    #[must_use]
    pub fn preemptions(mut self, most: Option<usize>) -> Self {
        self.preemptions = most;
        self
    }

    /// After this time no further program is begun, and the search of the program under way ends (default: 200 s). The
    /// report says so.
    #[must_use]
    pub fn time(mut self, time: Duration) -> Self {
        self.time = time;
        self
    }

    /// Explores a program exhaustively, or if that is too much work within the bound on preemptions.
    fn explore(
        &self,
        program: &Program,
        subject: &dyn Subject,
        time: Duration,
        report: &mut Report,
        watch: &mut dyn FnMut(&Report),
    ) -> Result<Explored, RunError> {
        let mut once = |options: &Options| {
            let before = report.runs;
            let explored = explore(program, subject, options, &mut |interleavings| {
                report.runs = before + interleavings;
                watch(report);
            })?;
            report.runs = before + explored.exploration.interleavings;
            report.events += explored.events;
            report.calls += explored.calls;
            report.defused += explored.defused;
            Ok(explored)
        };
        let (began, options) = (Instant::now(), Options::new().repeats(Repeats::Pruned));
        let explored = once(&options.clone().max_duration(time).max_interleavings(self.interleavings))?;
        match (&explored.exploration.extent, self.preemptions) {
            (Extent::BoundedBy(Bound::Interleavings(_)), Some(most)) => {
                once(&options.max_duration(time.saturating_sub(began.elapsed())).preemptions(most))
            }
            _ => Ok(explored),
        }
    }
}

impl Engine for Model {
    fn name(&self) -> &'static str {
        "model"
    }

    fn check(&self, subject: &dyn Subject, watch: &mut dyn FnMut(&Report)) -> Report {
        let mut report = Report::new(subject.name(), self.name());
        let mut bounds: BTreeMap<String, u64> = BTreeMap::new();
        let (mut exhausted, mut not_begun, began) = (0, 0, Instant::now());
        for (at, program) in self.programs.iter().enumerate() {
            let program = without_gates(program);
            let left = self.time.saturating_sub(began.elapsed());
            if left.is_zero() {
                not_begun = self.programs.len() - at;
                break;
            }
            let explored = match self.explore(&program, subject, left, &mut report, watch) {
                Ok(explored) => explored,
                Err(RunError::NotOffered(_)) => {
                    report.not_offered += 1;
                    continue;
                }
                Err(error) => {
                    report.error = Some(error.to_string());
                    break;
                }
            };
            report.programs += 1;
            watch(&report);
            if let Some(violation) = explored.violation {
                report.finding = Some(counterexample(subject, &program, violation, &explored.exploration));
                break;
            }
            match explored.exploration.extent {
                Extent::BoundedBy(bound) => *bounds.entry(bound.to_string()).or_default() += 1,
                Extent::Exhausted => exhausted += 1,
                Extent::Convicted => unreachable!("a conviction has a violation"),
                // The explorer may gain extents. One without an arm of its own here counts as a bound, so that the
                // report does not call the search exhaustive by mistake.
                other => *bounds.entry(format!("{other:?}")).or_default() += 1,
            }
        }
        report.exhausted = exhausted > 0 && exhausted == report.programs && not_begun == 0;
        let mut parts = Vec::new();
        if exhausted > 0 {
            parts.push(format!("{exhausted} exhausted"));
        }
        parts.extend(bounds.iter().map(|(bound, count)| format!("{count} bounded by {bound}")));
        if not_begun > 0 {
            parts.push(format!("{not_begun} not begun within {} s", self.time.as_secs()));
        }
        report.bounded_by = format!("programs: {}", parts.join(", "));
        report
    }
}

/// A violation with the explorer's timeline, and the places in it that prove the violation.
fn counterexample(
    subject: &dyn Subject,
    program: &Program,
    violation: Violation,
    exploration: &Exploration,
) -> Counterexample {
    let mut program = program.clone();
    program.subject = Some(subject.name().to_owned());
    let Some(finding) = &exploration.finding else { return Counterexample::new(violation, &program, Vec::new()) };
    // The explorer knows in which line of its timeline each of our events is.
    let lines = harness::event_lines(finding);
    let line = |event: &usize| lines.iter().find(|(told, _)| told == event).map(|(_, line)| *line);
    let proof = violation.proof.iter().filter_map(line).collect();
    Counterexample::new(Violation { proof, ..violation }, &program, rows(&finding.timeline))
}

/// The heading and the rows of a timeline, without their numbers.
fn rows(timeline: &str) -> Vec<String> {
    let row = |line: &str| {
        let (number, rest) = line.split_once(" | ")?;
        let number = number.trim();
        (number.is_empty() || number.parse::<usize>().is_ok()).then(|| rest.to_owned())
    };
    timeline.lines().map_while(row).collect()
}

/// The program without gates, and without the answers that its ops must give in the order which the gates force.
#[must_use]
pub fn without_gates(program: &Program) -> Program {
    let mut program = program.clone();
    let bodies = program.callbacks.iter_mut().map(|callback| &mut callback.body);
    let sections = [&mut program.before, &mut program.after].into_iter().chain(&mut program.threads);
    for steps in bodies.chain(sections) {
        steps.retain(|step| !step.op.is_about_gates());
        steps.iter_mut().for_each(|step| step.expect = None);
    }
    program.gates.clear();
    program
}

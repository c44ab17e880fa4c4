//! The model engine: every interleaving of a program, with the C library and the registry both inside loom.
//!
//! A subject's twin ([`Subject::modelled`]) is the same binding, compiled over loom, on the instrumented C library. A program
//! runs on it once for each interleaving, and each is judged by the same ledger as every other run; on top of that `order`
//! asks what a single run cannot show: whether anything orders two events that this interleaving happened to bring in the
//! right order. Gates are dropped from a program, and what it says its ops must answer: every order is explored anyway.
//!
//! How the parts fit: this file searches; `order` watches one interleaving; [`programs`] lists the programs that make sense.
//! The search itself is [`latecall_explore`].

mod order;
pub mod programs;

use super::report::{Counterexample, Report};
use super::run::{self, RunError, applicable};
use super::{Engine, monitor, timeline};
use crate::ledger::{Contract, Event, Violation, ViolationKind, log};
use crate::loomed::run::interpret::Run;
use crate::program::Program;
use crate::subject::Subject;
use crate::sync::{Arc, Mutex, lock};
use latecall_explore::harness::{self, Listener, MOST_THREADS};
use latecall_explore::quarantine::RunBlocks;
use latecall_explore::{self as explorer, Bound, Exploration, Extent, FindingKind, Repeats};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Explores programs.
#[derive(Debug, Clone)]
pub struct Model {
    /// The programs, the smallest first: the search ends at the first that convicts.
    pub programs: Vec<Program>,
    /// Each is explored exhaustively if so many interleavings are enough.
    pub exhaustive: u64,
    /// If they are not, it is explored once more, with so many preemptions in an interleaving at most; none: it is not.
    pub preemptions: Option<usize>,
    /// After this long no further program is begun, and the one that is being explored is given up; the report says so.
    pub time: Duration,
}

/// Where a rule was broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// In the C code alone: it breaks a rule of its own.
    C,
    /// Between the C code and the Rust side: each may be in order for itself.
    Boundary,
}

/// What a search of one program came to.
#[derive(Debug)]
pub struct Explored {
    /// How far it went, and what it found; its timeline is in the words of the program.
    pub exploration: Exploration,
    /// The rule that was broken, if one was.
    pub violation: Option<Violation>,
    /// Where it was broken.
    pub side: Option<Side>,
    /// Calls in which user code ran, in all interleavings.
    pub calls: u64,
    /// Late calls that were defused, in all interleavings.
    pub defused: u64,
    /// Events of all interleavings.
    pub events: u64,
}

/// What the interleavings of a search have in common.
#[derive(Debug, Default)]
struct Common {
    /// Of the interleaving that runs, or ran last.
    events: Vec<Event>,
    /// The last interleaving that was counted: see [`harness::number`].
    counted: u64,
    calls: u64,
    defused: u64,
    all_events: u64,
    violation: Option<Violation>,
    error: Option<RunError>,
}

impl Engine for Model {
    fn name(&self) -> &'static str {
        "model"
    }

    fn check(&self, subject: &dyn Subject, watch: &mut dyn FnMut(&Report)) -> Report {
        let mut report = Report::new(subject.name(), self.name());
        let mut bounds: BTreeMap<String, u64> = BTreeMap::new();
        let (mut exhausted, began) = (0, Instant::now());
        for (at, program) in self.programs.iter().enumerate() {
            let program = freed(program);
            let left = self.time.saturating_sub(began.elapsed());
            if left.is_zero() {
                let beyond = (self.programs.len() - at) as u64;
                bounds.insert(format!("{} s: not begun", self.time.as_secs()), beyond);
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
                report.finding = Some(finding(subject, &program, violation, &explored.exploration));
                break;
            }
            match explored.exploration.extent {
                Extent::BoundedBy(bound) => *bounds.entry(bound.to_string()).or_default() += 1,
                Extent::Exhausted => exhausted += 1,
                Extent::Convicted => unreachable!("a conviction has a violation"),
                // An extent that the explorer adds counts as a bound until it gets a line here.
                other => *bounds.entry(format!("{other:?}")).or_default() += 1,
            }
        }
        let mut parts: Vec<String> =
            bounds.iter().map(|(bound, count)| format!("{count} bounded by {bound}")).collect();
        if exhausted > 0 {
            parts.insert(0, format!("{exhausted} exhausted"));
        }
        report.bounded_by = format!("programs: {}", parts.join(", "));
        report.exhausted = exhausted > 0 && exhausted == report.programs && bounds.is_empty();
        report
    }
}

impl Model {
    /// A program, exhaustively if that is little work, or else within the bound.
    fn explore(
        &self,
        program: &Program,
        subject: &dyn Subject,
        time: Duration,
        report: &mut Report,
        watch: &mut dyn FnMut(&Report),
    ) -> Result<Explored, RunError> {
        let mut once = |options: &explorer::Options| {
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
        let (began, options) = (Instant::now(), explorer::Options::new().repeats(Repeats::Pruned));
        let explored = once(&options.clone().max_duration(time).max_interleavings(self.exhaustive))?;
        match (&explored.exploration.extent, self.preemptions) {
            (Extent::BoundedBy(Bound::Interleavings(_)), Some(most)) => {
                once(&options.max_duration(time.saturating_sub(began.elapsed())).preemptions(most))
            }
            _ => Ok(explored),
        }
    }
}

fn finding(
    subject: &dyn Subject,
    program: &Program,
    violation: Violation,
    exploration: &Exploration,
) -> Counterexample {
    let mut program = program.clone();
    program.subject = Some(subject.name().to_owned());
    let (mut timeline, mut told) = (Vec::new(), Vec::new());
    if let Some(found) = &exploration.finding {
        timeline = rows(&found.timeline);
        told.extend_from_slice(harness::event_lines(found));
    }
    // From events to lines of the timeline.
    let line = |event: &usize| told.iter().find(|(told, _)| told == event).map(|(_, line)| *line);
    let proof = violation.proof.iter().filter_map(line).collect();
    Counterexample {
        violation: Violation { proof, ..violation },
        program: program.to_string(),
        steps: program.len(),
        timeline,
    }
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

/// The program without gates, and without what its ops must answer in the order that the gates force.
#[must_use]
pub fn freed(program: &Program) -> Program {
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

/// Explores every interleaving of a program on a subject's twin, within the limits of `options`.
///
/// Interleavings that repeat one before are left or counted, where the options ask for it, if [`Subject::all_seen`].
///
/// Blocks. `watch` is told how many interleavings there were, many times a second.
///
/// # Errors
///
/// [`RunError`]: there is no verdict. Among them what loom cannot do, said before the search where it can be known.
pub fn explore(
    program: &Program,
    subject: &dyn Subject,
    options: &explorer::Options,
    watch: &mut dyn FnMut(u64),
) -> Result<Explored, RunError> {
    applicable(program, subject)?;
    let twin = subject.modelled().ok_or_else(|| {
        RunError::NotOffered(format!(
            "{} has no twin for the model: its locks would have to be loom's and its C code instrumented",
            subject.name()
        ))
    })?;
    let threads = 1 + program.threads.len() + usize::from(run::needs_library_threads(program));
    if threads > MOST_THREADS {
        return Err(RunError::NotOffered(format!(
            "the program needs {threads} threads (one that begins and ends it, {} of its own, and the library's), and the \
             model has {MOST_THREADS}: give it fewer",
            program.threads.len(),
        )));
    }
    let options = if subject.all_seen() { options.clone() } else { options.clone().repeats(Repeats::Explored) };
    let contract = subject.contract();
    let common = Arc::new(Mutex::new(Common::default()));
    let words = {
        let (common, program) = (Arc::clone(&common), program.clone());
        move |at: usize| timeline::text(&program, &lock(&common).events, at)
    };
    let exploration = {
        let twin: Arc<dyn Subject> = Arc::from(twin);
        let (common, program) = (Arc::clone(&common), program.clone());
        let mut progress = |interleavings: u64, _| watch(interleavings);
        let mut listener = Listener { progress: Some(&mut progress), words: Some(&words) };
        harness::explore_for(&program.to_string(), &options, &mut listener, move || {
            interleaving(&program, &*twin, contract, &common);
        })
    };
    let mut common = lock(&common);
    if let Some(error) = common.error.take() {
        return Err(error);
    }
    let mut violation = match &exploration.finding {
        Some(found) if found.kind == FindingKind::Failed => match common.violation.take() {
            Some(violation) => Some(violation),
            None => return Err(RunError::SubjectPanicked(found.message.clone())),
        },
        Some(found) if found.kind == FindingKind::Deadlock => Some(monitor::deadlock(program, &common.events, &[])),
        Some(found) => {
            Some(Violation { kind: kind(found.kind), callback: None, text: found.message.clone(), proof: Vec::new() })
        }
        None => None,
    };
    if let (Some(violation), Some(true)) =
        (&mut violation, exploration.finding.as_ref().map(|found| found.not_reproduced))
    {
        violation.text += "; the same search did not find it again: the subject does not repeat itself";
    }
    match &exploration.extent {
        Extent::BoundedBy(bound) if is_the_harness(bound) => return Err(RunError::Model(bound.clone())),
        _ => {}
    }
    let side = exploration.finding.as_ref().map(|found| if found.in_c { Side::C } else { Side::Boundary });
    let (calls, defused, events) = (common.calls, common.defused, common.all_events);
    Ok(Explored { exploration, violation, side, calls, defused, events })
}

/// One interleaving.
fn interleaving(program: &Program, twin: &dyn Subject, contract: Contract, common: &Arc<Mutex<Common>>) {
    lock(common).events.clear();
    let scope = RunBlocks::open();
    if let Some(scope) = &scope {
        scope.enter();
    }
    order::begin(program, common);
    log::listen(Some(order::listen));
    let run = match Run::open(program, twin, &run::RunOptions::default()) {
        Ok(run) => run,
        Err(error) => {
            lock(common).error = Some(error);
            explorer::fail("the session could not be opened");
        }
    };
    let started = run.start();
    Run::main(run.clone(), started);
    log::listen(None);
    let (events, panicked, churned) = (run.events(), run.panicked(), run.churned());
    run.retire();
    run.let_go();
    let error = match (panicked, events) {
        (Some(panicked), _) => Err(RunError::SubjectPanicked(panicked)),
        (None, None) => Err(RunError::TooManyEvents),
        (None, Some(events)) => Ok(run::verdict(program, contract, &events, churned)),
    };
    let mut last = None;
    let found = {
        let mut common = lock(common);
        match error {
            Err(error) => {
                let text = error.to_string();
                common.error = Some(error);
                Some(text)
            }
            Ok(verdict) => {
                if harness::number() > common.counted {
                    common.counted = harness::number();
                    common.calls += verdict.calls as u64;
                    common.defused += verdict.defused as u64;
                    common.all_events += common.events.len() as u64;
                }
                // What the ledger proves comes first: it is what happened, and not what might have.
                let violation = verdict.violations.into_iter().next().or_else(order::violation);
                let text = violation.as_ref().map(ToString::to_string);
                last = violation.as_ref().and_then(|violation| violation.proof.iter().max().copied());
                common.violation = violation;
                text
            }
        }
    };
    RunBlocks::leave();
    if let Some(scope) = scope {
        scope.close();
    }
    if let Some(found) = found {
        if let Some(last) = last {
            harness::end_with(last);
        }
        harness::convict(&found);
    }
}

/// What the runtime convicts by itself.
fn kind(kind: FindingKind) -> ViolationKind {
    match kind {
        FindingKind::DataRace => ViolationKind::DataRace,
        FindingKind::UseAfterFree | FindingKind::DoubleFree | FindingKind::ForeignFree | FindingKind::OutOfBounds => {
            ViolationKind::ForeignUseAfterFree
        }
        FindingKind::Leak => ViolationKind::Leak,
        FindingKind::Deadlock | FindingKind::Livelock => ViolationKind::Deadlock,
        // Misuse, an abort, a failed assertion; a kind that the explorer adds is one of C code's own until it gets a line here.
        _ => ViolationKind::Crashed,
    }
}

/// Whether a limit is one of the harness, and not of the search that was asked for.
fn is_the_harness(bound: &Bound) -> bool {
    !matches!(bound, Bound::Interleavings(_) | Bound::Duration(_) | Bound::Preemptions(_) | Bound::Yields)
}

//! The model engine: every interleaving of a program, with the C library and the registry both inside loom.
//!
//! A subject's twin ([`Subject::modelled`]) is the same binding, compiled over loom, on the instrumented C library. A program
//! runs on it once for each interleaving, and each is judged by the same ledger as every other run; on top of that `order`
//! asks what a single run cannot show: whether anything orders two events that this interleaving happened to bring in the
//! right order. Gates are dropped from a program, and what it says its ops must answer: every order is explored anyway.
//!
//! How the parts fit: this file searches; `order` watches one interleaving; [`programs`] lists the programs that make sense.
//! The search itself is [`crate::model`].

mod order;
pub mod programs;

use super::report::{Finding, Report};
use super::run::{self, RunError, applicable};
use super::{Engine, monitor, timeline};
use crate::ledger::{Contract, Event, Violation, ViolationKind, log, quarantine};
use crate::loomed::run::interpret::Run;
use crate::model::{self, Bound, Exploration, Extent, Kind, Listener};
use crate::program::Program;
use crate::subject::Subject;
use crate::sync::{Arc, Mutex, lock};

/// Loom has no more threads than this: the closure's own, the program's, and the library's.
const MOST_THREADS: usize = 5;

/// Explores programs.
#[derive(Debug, Clone)]
pub struct Model {
    /// The programs, the smallest first: the search ends at the first that convicts.
    pub programs: Vec<Program>,
    /// What limits the search of each.
    pub options: model::Options,
}

/// What a search of one program came to.
#[derive(Debug)]
pub struct Explored {
    /// How far it went, and what it found; its timeline is in the words of the program.
    pub exploration: Exploration,
    /// The rule that was broken, if one was.
    pub violation: Option<Violation>,
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
        report.exhausted = true;
        let mut bounds: Vec<String> = Vec::new();
        for program in &self.programs {
            let program = freed(program);
            let before = report.runs;
            let explored = explore(&program, subject, &self.options, &mut |interleavings| {
                report.runs = before + interleavings;
                watch(&report);
            });
            let explored = match explored {
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
            report.runs = before + explored.exploration.interleavings;
            report.events += explored.events;
            report.calls += explored.calls;
            report.defused += explored.defused;
            watch(&report);
            if let Some(violation) = explored.violation {
                report.exhausted = false;
                report.finding = Some(finding(subject, &program, violation, &explored.exploration));
                break;
            }
            if let Extent::BoundedBy(bound) = &explored.exploration.extent {
                report.exhausted = false;
                if !bounds.contains(&bound.to_string()) {
                    bounds.push(bound.to_string());
                }
            }
        }
        report.bounded_by = if bounds.is_empty() {
            format!("{} programs, each exhausted", report.programs)
        } else {
            format!("{} programs; {}", report.programs, bounds.join("; "))
        };
        report.exhausted &= report.programs > 0 && report.error.is_none();
        report
    }
}

fn finding(subject: &dyn Subject, program: &Program, violation: Violation, exploration: &Exploration) -> Finding {
    let mut program = program.clone();
    program.subject = Some(subject.name().to_owned());
    let timeline = exploration.finding.as_ref().map_or("", |finding| &finding.timeline);
    Finding {
        violation,
        program: program.to_string(),
        steps: program.len(),
        timeline: timeline.lines().map(str::to_owned).collect(),
    }
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
/// Blocks. `watch` is told how many interleavings there were, many times a second.
///
/// # Errors
///
/// [`RunError`]: there is no verdict. Among them what loom cannot do, said before the search where it can be known.
pub fn explore(
    program: &Program,
    subject: &dyn Subject,
    options: &model::Options,
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
        model::explore_for(&program.to_string(), options, &mut listener, move || {
            interleaving(&program, &*twin, contract, &common);
        })
    };
    let mut common = lock(&common);
    if let Some(error) = common.error.take() {
        return Err(error);
    }
    let violation = match &exploration.finding {
        Some(found) if found.kind == Kind::Failed => match common.violation.take() {
            Some(violation) => Some(violation),
            None => return Err(RunError::SubjectPanicked(found.message.clone())),
        },
        Some(found) if found.kind == Kind::Deadlock => Some(monitor::deadlock(program, &common.events, &[])),
        Some(found) => {
            Some(Violation { kind: kind(found.kind), callback: None, text: found.message.clone(), proof: Vec::new() })
        }
        None => None,
    };
    match &exploration.extent {
        Extent::BoundedBy(bound) if is_the_harness(bound) => return Err(RunError::Model(bound.clone())),
        _ => {}
    }
    let (calls, defused, events) = (common.calls, common.defused, common.all_events);
    Ok(Explored { exploration, violation, calls, defused, events })
}

/// One interleaving.
fn interleaving(program: &Program, twin: &dyn Subject, contract: Contract, common: &Arc<Mutex<Common>>) {
    lock(common).events.clear();
    let scope = quarantine::Scope::open();
    if let Some(scope) = &scope {
        scope.enter();
    }
    order::begin(program, common);
    log::listen(Some(order::listen));
    let run = match Run::open(program, twin, &run::Options::default()) {
        Ok(run) => run,
        Err(error) => {
            lock(common).error = Some(error);
            model::fail("the session could not be opened");
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
                common.calls += verdict.calls as u64;
                common.defused += verdict.defused as u64;
                common.all_events += common.events.len() as u64;
                // What the ledger proves comes first: it is what happened, and not what might have.
                let violation = verdict.violations.into_iter().next().or_else(order::violation);
                let text = violation.as_ref().map(ToString::to_string);
                last = violation.as_ref().and_then(|violation| violation.proof.iter().max().copied());
                common.violation = violation;
                text
            }
        }
    };
    if std::env::var_os("LATECALL_DUMP").is_some() {
        model::fail("dump");
    }
    quarantine::Scope::leave();
    if let Some(scope) = scope {
        scope.close();
    }
    if let Some(found) = found {
        if let Some(last) = last {
            model::end_with(last);
        }
        model::convict(&found);
    }
}

/// What the runtime convicts by itself.
fn kind(kind: Kind) -> ViolationKind {
    match kind {
        Kind::DataRace => ViolationKind::DataRace,
        Kind::UseAfterFree | Kind::DoubleFree | Kind::ForeignFree | Kind::OutOfBounds => {
            ViolationKind::ForeignUseAfterFree
        }
        Kind::Leak => ViolationKind::Leak,
        Kind::Deadlock | Kind::Livelock => ViolationKind::Deadlock,
        Kind::Misuse | Kind::Aborted | Kind::Failed => ViolationKind::Crashed,
    }
}

/// Whether a limit is one of the harness, and not of the search that was asked for.
fn is_the_harness(bound: &Bound) -> bool {
    !matches!(bound, Bound::Interleavings(_) | Bound::Duration(_) | Bound::Preemptions(_) | Bound::Yields)
}

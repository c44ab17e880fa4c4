//! The search of one program: explores it on the subject's twin, and judges each interleaving.
//!
//! Pairs with: `order`, which watches an interleaving while it runs.

use super::order;
use crate::engine::run::offered::{Missing, NotOffered, applicable, needs_library_threads};
use crate::engine::run::{self, RunError, RunOptions, deadlock};
use crate::engine::timeline;
use crate::ledger::{Contract, Event, Verdict, Violation, ViolationKind, log};
use crate::loomed::run::interpret::Run;
use crate::program::Program;
use crate::subject::Subject;
use crate::sync::{Arc, Mutex, OutsideArc, lock};
use latecall_explore::harness::{self, Listener, MOST_THREADS};
use latecall_explore::quarantine::RunBlocks;
use latecall_explore::{self as explorer, Bound, Exploration, Extent, Finding, FindingKind, Repeats};

/// Where a rule was broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Side {
    /// In the C code alone: it breaks a rule of its own.
    C,
    /// Between the C code and the Rust side: each may be correct by itself.
    Boundary,
}

/// What the search of one program came to.
#[derive(Debug)]
#[non_exhaustive]
#[must_use = "the violation, if there is one, is in it"]
pub struct Explored {
    /// How far the search went, and what it found. Its timeline is in the words of the program.
    pub exploration: Exploration,
    /// The rule that was broken, if one was.
    pub violation: Option<Violation>,
    /// Where the rule was broken.
    pub side: Option<Side>,
    /// Calls in which user code ran, in all interleavings.
    pub calls: u64,
    /// Calls that came after their callback was revoked, and were refused without running it, in all interleavings.
    pub defused: u64,
    /// Events of all interleavings.
    pub events: u64,
}

/// What the interleavings of a search share.
struct Search {
    program: Program,
    contract: Contract,
    /// The events of the interleaving that runs, or ran last.
    events: Arc<Mutex<Vec<Event>>>,
    totals: Mutex<Totals>,
}

#[derive(Debug, Default)]
struct Totals {
    /// The number of the last interleaving that was counted: see [`harness::number`].
    counted: u64,
    calls: u64,
    defused: u64,
    events: u64,
    /// What the interleaving that ended the search broke.
    violation: Option<Violation>,
    /// Why the interleaving that ended the search has no verdict.
    error: Option<RunError>,
}

/// Explores every interleaving of a program on a subject's twin, within the limits of `options`.
///
/// Interleavings that repeat an earlier one are pruned or counted, if the options ask for it and [`Subject::all_seen`]
/// allows it.
///
/// Blocks. `watch` is given the number of interleavings so far, many times a second.
///
/// # Errors
///
/// [`RunError`]: there is no verdict. What the search cannot do is said before the search where it can be known.
pub fn explore(
    program: &Program,
    subject: &dyn Subject,
    options: &explorer::Options,
    watch: &mut dyn FnMut(u64),
) -> Result<Explored, RunError> {
    applicable(program, subject)?;
    let twin = subject.modelled().ok_or_else(|| NotOffered::error(subject, Missing::Twin))?;
    let needed = 1 + program.threads.len() + usize::from(needs_library_threads(program));
    if needed > MOST_THREADS {
        let missing = Missing::Threads { needed, of_program: program.threads.len(), most: MOST_THREADS };
        return Err(NotOffered::error(subject, missing));
    }
    let options = if subject.all_seen() { options.clone() } else { options.clone().repeats(Repeats::Explored) };
    let search = Arc::new(Search {
        program: program.clone(),
        contract: subject.contract(),
        events: Arc::default(),
        totals: Mutex::default(),
    });
    let exploration = {
        let (twin, in_words) = (Arc::<dyn Subject>::from(twin), Arc::clone(&search));
        let words = move |at: usize| timeline::text(&in_words.program, &lock(&in_words.events), at);
        let mut progress = |interleavings: u64, _| watch(interleavings);
        let mut listener = Listener { progress: Some(&mut progress), words: Some(&words) };
        let search = Arc::clone(&search);
        harness::explore_for(&program.to_string(), &options, &mut listener, move || search.interleaving(&*twin))
    };
    let mut totals = lock(&search.totals);
    if let Some(error) = totals.error.take() {
        return Err(error);
    }
    let violation = match &exploration.finding {
        Some(finding) => Some(violation(finding, totals.violation.take(), program, &lock(&search.events))?),
        None => None,
    };
    match &exploration.extent {
        Extent::BoundedBy(bound) if is_of_the_model(bound) => return Err(RunError::Model(bound.clone())),
        _ => {}
    }
    let side = exploration.finding.as_ref().map(|finding| if finding.in_c { Side::C } else { Side::Boundary });
    let Totals { calls, defused, events, .. } = *totals;
    Ok(Explored { exploration, violation, side, calls, defused, events })
}

impl Search {
    /// Runs the program once, in the interleaving that the search has chosen, and judges it. Does not return if a
    /// rule was broken, or if there is no verdict: that ends the search.
    fn interleaving(&self, twin: &dyn Subject) {
        lock(&self.events).clear();
        let blocks = RunBlocks::open();
        if let Some(blocks) = &blocks {
            blocks.enter();
        }
        let end = match self.run(twin) {
            Ok(verdict) => self.count(verdict),
            Err(error) => {
                let text = error.to_string();
                lock(&self.totals).error = Some(error);
                Some((text, None))
            }
        };
        RunBlocks::leave();
        if let Some(blocks) = blocks {
            blocks.close();
        }
        if let Some((text, last)) = end {
            if let Some(last) = last {
                harness::end_with(last);
            }
            harness::convict(&text);
        }
    }

    fn run(&self, twin: &dyn Subject) -> Result<Verdict, RunError> {
        order::begin(&self.program, &self.events);
        log::listen(Some(order::listen));
        let run = match Run::open(&self.program, twin, &RunOptions::default()) {
            Ok(run) => run,
            Err(error) => {
                lock(&self.totals).error = Some(error);
                explorer::fail("the session could not be opened");
            }
        };
        let token = run.add_main();
        OutsideArc::clone(&run).main(token);
        log::listen(None);
        let (events, error, churned) = (run.events(), run.take_error(), run.churned());
        run.retire();
        drop(run);
        match error {
            Some(error) => Err(error),
            None => Ok(run::verdict(&self.program, self.contract, &events.ok_or(RunError::TooManyEvents)?, churned)),
        }
    }

    /// Counts an interleaving. If a rule was broken, returns the report's text and the last event of the proof.
    fn count(&self, verdict: Verdict) -> Option<(String, Option<usize>)> {
        let mut totals = lock(&self.totals);
        // A search that begins again comes by the same interleavings once more.
        if harness::number() > totals.counted {
            totals.counted = harness::number();
            totals.calls += verdict.calls as u64;
            totals.defused += verdict.defused as u64;
            totals.events += lock(&self.events).len() as u64;
        }
        // What the ledger proves comes first: it did happen, and a missing order only says what could have happened.
        totals.violation = verdict.violations.into_iter().next().or_else(order::violation);
        let violation = totals.violation.as_ref()?;
        Some((violation.to_string(), violation.proof.iter().max().copied()))
    }
}

/// What the search found, as a violation. `judged`: what the interleaving that ended the search broke.
fn violation(
    finding: &Finding,
    judged: Option<Violation>,
    program: &Program,
    events: &[Event],
) -> Result<Violation, RunError> {
    let mut violation = match finding.kind {
        FindingKind::Failed => judged.ok_or_else(|| RunError::SubjectPanicked { message: finding.message.clone() })?,
        FindingKind::Deadlock => deadlock::violation(program, events, &[]),
        kind => Violation { kind: rule(kind), callback: None, text: finding.message.clone(), proof: Vec::new() },
    };
    if finding.not_reproduced {
        violation.text += "; a second search did not find it again, so the subject is not deterministic";
    }
    Ok(violation)
}

/// The rule that a finding of the explorer breaks.
fn rule(kind: FindingKind) -> ViolationKind {
    match kind {
        FindingKind::DataRace => ViolationKind::DataRace,
        FindingKind::UseAfterFree | FindingKind::DoubleFree | FindingKind::ForeignFree | FindingKind::OutOfBounds => {
            ViolationKind::ForeignUseAfterFree
        }
        FindingKind::Leak => ViolationKind::Leak,
        FindingKind::Deadlock | FindingKind::Livelock => ViolationKind::Deadlock,
        // Misuse, an abort, a failed assertion. A kind that the explorer adds counts as the C code's own until it is
        // named here.
        _ => ViolationKind::Crashed,
    }
}

/// Whether a limit is one of the model, which raising the search's limits does not lift.
fn is_of_the_model(bound: &Bound) -> bool {
    !matches!(bound, Bound::Interleavings(_) | Bound::Duration(_) | Bound::Preemptions(_) | Bound::Yields)
}

//! The soundness gate: which checks there are, with what budgets, and what they mean together.
//!
//! A check is one engine on one subject, in a process of its own. So a subject that crashes or hangs gets a verdict,
//! and the gate goes on. The gate tells what happens as one stream of [`GateEvent`]s, from which every report is
//! made.
//!
//! How the parts fit:
//!
//! * [`select`]: which checks a filter means. [`names`]: what a name or a pattern means. [`budget`]: how much each
//!   engine does.
//! * [`check`]: one check, as its process runs it. [`child`]: that process, as the gate sees it. `crash_record`: what
//!   the process leaves for the gate to read when it dies. `memfile`: the files that the two share.
//! * [`verdict`]: what a report means, given what is known of the subject. [`exit_code`].
//! * [`event`]: what the gate tells.
//!
//! Not here: terminals, tables and files (package `cargo-latecall`).

pub mod budget;
pub mod check;
pub mod child;
mod crash_record;
pub mod event;
pub mod exit_code;
mod memfile;
pub mod names;
pub mod select;
pub mod verdict;

pub use budget::Budget;
pub use check::{Check, CheckMessage, CheckOptions};
pub use event::{CheckResult, GateEvent, Summary};
pub use names::SelectError;
pub use select::Selection;
pub use verdict::{CheckVerdict, Conclusion, Expected};

use crate::engine::report::Report;
use crate::sync::{AtomicUsize, Ordering, mpsc, thread};
use child::ChildOptions;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// A list of checks, and how they are run.
#[derive(Debug, Clone)]
pub struct Gate {
    checks: Vec<Check>,
    executable: PathBuf,
    jobs: usize,
    limit: Option<Duration>,
}

/// What a worker, which runs checks one after the other, tells the thread that runs the gate.
enum WorkerMessage {
    Started(usize),
    Progress(usize, Box<Report>),
    Ended(usize, Box<CheckResult>),
}

impl Gate {
    /// These checks, as many at once as there are cores. The report has them in this order. `executable` is run as
    /// `EXECUTABLE check …`, and has to be a `latecall` command.
    pub fn new(checks: Vec<Check>, executable: impl Into<PathBuf>) -> Self {
        let jobs = std::thread::available_parallelism().map_or(1, usize::from);
        Gate { checks, executable: executable.into(), jobs, limit: None }
    }

    /// How many checks run at once, at least one (default: as many as there are cores).
    #[must_use]
    pub fn jobs(mut self, jobs: usize) -> Self {
        self.jobs = jobs.max(1);
        self
    }

    /// How long each check may take before it counts as hung (default: [`Budget::limit`]).
    #[must_use]
    pub fn limit(mut self, limit: Duration) -> Self {
        self.limit = Some(limit);
        self
    }

    /// The checks.
    pub fn checks(&self) -> &[Check] {
        &self.checks
    }

    /// Runs the checks. `tell` is given what happens. Never panics: what goes wrong with a check is that check's
    /// verdict.
    pub fn run(&self, tell: &mut dyn FnMut(GateEvent<'_>)) -> Summary {
        let began = Instant::now();
        tell(GateEvent::Started { checks: &self.checks });
        let next = AtomicUsize::new(0);
        let mut results: Vec<Option<CheckResult>> = self.checks.iter().map(|_| None).collect();
        let mut finished = 0;
        thread::scope(|scope| {
            let (to, from) = mpsc::channel();
            // A process is killed when the thread that made it ends (`child::run`), so each worker waits for its own.
            for _ in 0..self.jobs.min(self.checks.len()) {
                let (to, next) = (to.clone(), &next);
                scope.spawn(move || {
                    // Relaxed: the number only has to be taken once; it orders no other access.
                    while let Some((at, check)) = {
                        let at = next.fetch_add(1, Ordering::Relaxed);
                        self.checks.get(at).map(|check| (at, check))
                    } {
                        // Sending cannot fail: the receiver is dropped when all workers have ended.
                        let _ = to.send(WorkerMessage::Started(at));
                        let result = self.check(check, &mut |report| {
                            let _ = to.send(WorkerMessage::Progress(at, Box::new(report.clone())));
                        });
                        let _ = to.send(WorkerMessage::Ended(at, Box::new(result)));
                    }
                });
            }
            drop(to);
            for message in from {
                match message {
                    WorkerMessage::Started(check) => tell(GateEvent::CheckStarted { check }),
                    WorkerMessage::Progress(check, report) => tell(GateEvent::CheckProgress { check, report: &report }),
                    WorkerMessage::Ended(check, result) => {
                        tell(GateEvent::CheckEnded { check });
                        results[check] = Some(*result);
                        while let Some(Some(result)) = results.get(finished) {
                            tell(GateEvent::CheckFinished { check: finished, result });
                            finished += 1;
                        }
                    }
                }
            }
        });
        let results: Vec<CheckResult> = results.into_iter().flatten().collect();
        let summary = Summary::of(&results, milliseconds(began));
        tell(GateEvent::Finished { summary: &summary });
        summary
    }

    fn check(&self, check: &Check, watch: &mut dyn FnMut(&Report)) -> CheckResult {
        let began = Instant::now();
        let limit = self.limit.unwrap_or(check.budget.limit());
        let options = ChildOptions::new(limit).minimise(true);
        let report = child::run(&self.executable, check, options, watch).report;
        CheckResult::new(check.clone(), report, milliseconds(began))
    }
}

fn milliseconds(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}

//! The soundness gate: which checks there are, with what budgets, and what they say together.
//!
//! A check is one engine on one subject, in a process of its own, so that a subject that crashes or hangs is a verdict and
//! not the end of the gate. What happens is told as one stream of [`GateEvent`]s; every report is made from that.
//!
//! How the parts fit:
//!
//! * [`select`]: which checks a filter means; [`names`]: what a name or a pattern means; [`budget`]: how much each engine does.
//! * [`check`]: one check, as its process runs it; [`child`]: that process, as the gate sees it;
//!   `shared`: what it leaves for the gate to read when it dies.
//! * [`verdict`]: what a report says, given what is known of the subject; [`exit_code`].
//! * [`event`]: what is told.
//!
//! Not here: terminals, tables and files (`report`, and the command).

pub mod budget;
pub mod check;
pub mod child;
pub mod event;
pub mod exit_code;
pub mod names;
pub mod select;
mod shared;
pub mod verdict;

pub use budget::Budget;
pub use check::Check;
pub use event::{CheckResult, GateEvent, Summary};
pub use names::SelectError;
pub use select::Selection;
pub use verdict::{CheckVerdict, Conclusion, Expected};

use crate::engine::report::Report;
use crate::sync::{AtomicUsize, Ordering, mpsc, thread};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// What to check, and how.
#[derive(Debug, Clone)]
pub struct Gate {
    /// The checks, in the order of the report.
    pub checks: Vec<Check>,
    /// How many run at once.
    pub jobs: usize,
    /// How long each may take before it counts as hung; `None`: what its budget says.
    pub limit: Option<Duration>,
    /// What is run as `EXECUTABLE check …`: the `latecall` command.
    pub executable: PathBuf,
}

/// What the processes' keepers tell the one who runs the gate.
enum Told {
    Started(usize),
    Progress(usize, Box<Report>),
    Ended(usize, Box<CheckResult>),
}

impl Gate {
    /// These checks, as many at once as there are cores.
    pub fn new(checks: Vec<Check>, executable: PathBuf) -> Self {
        let jobs = std::thread::available_parallelism().map_or(1, usize::from);
        Gate { checks, jobs, limit: None, executable }
    }

    /// Runs it, and tells. Never panics; what goes wrong with a check is that check's verdict.
    pub fn run(&self, tell: &mut dyn FnMut(GateEvent<'_>)) -> Summary {
        let began = Instant::now();
        tell(GateEvent::Started { checks: &self.checks });
        let next = AtomicUsize::new(0);
        let mut results: Vec<Option<CheckResult>> = self.checks.iter().map(|_| None).collect();
        let mut finished = 0;
        thread::scope(|scope| {
            let (to, from) = mpsc::channel();
            // The threads that make the processes must outlive them: see `child`.
            for _ in 0..self.jobs.clamp(1, self.checks.len().max(1)) {
                let (to, next) = (to.clone(), &next);
                scope.spawn(move || {
                    // Relaxed: each check is taken once; nothing else hangs on it.
                    while let Some((at, check)) = {
                        let at = next.fetch_add(1, Ordering::Relaxed);
                        self.checks.get(at).map(|check| (at, check))
                    } {
                        // The receiver is there until all of these threads have ended.
                        let _ = to.send(Told::Started(at));
                        let result = self.check(check, &mut |report| {
                            let _ = to.send(Told::Progress(at, Box::new(report.clone())));
                        });
                        let _ = to.send(Told::Ended(at, Box::new(result)));
                    }
                });
            }
            drop(to);
            for told in from {
                match told {
                    Told::Started(check) => tell(GateEvent::CheckStarted { check }),
                    Told::Progress(check, report) => tell(GateEvent::CheckProgress { check, report: &report }),
                    Told::Ended(check, result) => {
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
        let ask = child::Ask { program: None, repeat: 1, timeline: false, minimise: true, limit };
        let report = child::run(&self.executable, check, ask, watch).report;
        let verdict = CheckVerdict::judge(&check.expected, &report);
        CheckResult { check: check.clone(), verdict, report, milliseconds: milliseconds(began) }
    }
}

fn milliseconds(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}

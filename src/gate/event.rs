//! What the gate tells while it works: one stream of events, from which every report is made.

use super::check::Check;
use super::verdict::{CheckVerdict, Conclusion};
use crate::engine::report::Report;
use serde::{Deserialize, Serialize};

/// What happened. Checks are named by their place in the plan. Several run at once; their beginnings and their progress
/// come as they happen, their ends in the order of the plan, whichever was over first.
#[derive(Debug)]
#[non_exhaustive]
pub enum GateEvent<'a> {
    /// The gate begins.
    Started {
        /// What it will check, in order.
        checks: &'a [Check],
    },
    /// A check begins.
    CheckStarted {
        /// Which.
        check: usize,
    },
    /// How a check is going.
    CheckProgress {
        /// Which.
        check: usize,
        /// So far.
        report: &'a Report,
    },
    /// A check has run; what it says comes with [`GateEvent::CheckFinished`] when its turn has come.
    CheckEnded {
        /// Which.
        check: usize,
    },
    /// What a check says.
    CheckFinished {
        /// Which.
        check: usize,
        /// What it says.
        result: &'a CheckResult,
    },
    /// The gate is over.
    Finished {
        /// What the whole says.
        summary: &'a Summary,
    },
}

/// What a check says, and from what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckResult {
    /// What was checked.
    #[serde(flatten)]
    pub check: Check,
    /// What it says.
    pub verdict: CheckVerdict,
    /// From this.
    pub report: Report,
    /// How long it took.
    pub milliseconds: u64,
}

/// What the whole says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// The worst of all checks.
    pub outcome: Conclusion,
    /// The exit code that goes with it.
    pub exit_code: u8,
    /// Checks in the plan.
    pub checks: usize,
    /// Sound subjects' checks that found nothing.
    pub clean: usize,
    /// Flawed subjects' checks that had to convict, and did.
    pub convicted: usize,
    /// Flawed subjects' checks that did not have to convict; what they found, if anything, is in their reports.
    pub not_required: usize,
    /// Checks that count against [`Conclusion::Sound`].
    pub failed: usize,
    /// Programs, over all checks.
    pub programs: u64,
    /// Runs, over all checks.
    pub runs: u64,
    /// Events, over all checks.
    pub events: u64,
    /// Late calls that were defused, over all checks.
    pub defused: u64,
    /// How long it took.
    pub milliseconds: u64,
}

impl Summary {
    /// Of these results.
    pub fn of(results: &[CheckResult], milliseconds: u64) -> Self {
        let outcome = Conclusion::worst(results.iter().map(|result| result.verdict.conclusion()));
        let count = |which: fn(&CheckVerdict) -> bool| results.iter().filter(|result| which(&result.verdict)).count();
        let sum = |which: fn(&Report) -> u64| results.iter().map(|result| which(&result.report)).sum();
        Summary {
            outcome,
            exit_code: outcome.exit_code(),
            checks: results.len(),
            clean: count(|verdict| *verdict == CheckVerdict::Clean),
            convicted: count(|verdict| matches!(verdict, CheckVerdict::Convicted { .. })),
            not_required: count(|verdict| *verdict == CheckVerdict::NotRequired),
            failed: count(|verdict| verdict.conclusion() != Conclusion::Sound),
            programs: sum(|report| report.programs),
            runs: sum(|report| report.runs),
            events: sum(|report| report.events),
            defused: sum(|report| report.defused),
            milliseconds,
        }
    }
}

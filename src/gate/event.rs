//! What the gate tells while it works: one stream of events, from which every report is made.

use super::check::Check;
use super::verdict::{CheckVerdict, Conclusion};
use crate::engine::report::Report;
use serde::{Deserialize, Serialize};

/// What happened in a gate. Checks are named by their place in [`GateEvent::Started`].
///
/// Several checks run at once. Their beginnings, their progress and their ends come as they happen. Their results
/// ([`GateEvent::CheckFinished`]) come in the order of their places, whichever ended first.
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
    /// A check has ended. Its result comes with [`GateEvent::CheckFinished`], after the results of all checks before
    /// it.
    CheckEnded {
        /// Which.
        check: usize,
    },
    /// The result of a check.
    CheckFinished {
        /// Which.
        check: usize,
        /// Its result.
        result: &'a CheckResult,
    },
    /// The gate is over.
    Finished {
        /// The result of the gate.
        summary: &'a Summary,
    },
}

/// The result of a check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
#[must_use = "the verdict is in it"]
pub struct CheckResult {
    /// What was checked.
    #[serde(flatten)]
    pub check: Check,
    /// What the report means, given what was known of the subject.
    pub verdict: CheckVerdict,
    /// What the engine found.
    pub report: Report,
    /// How long the check took.
    pub milliseconds: u64,
}

impl CheckResult {
    /// Judges a check's report.
    pub fn new(check: Check, report: Report, milliseconds: u64) -> Self {
        let verdict = CheckVerdict::judge(&check.expected, &report);
        CheckResult { check, verdict, report, milliseconds }
    }
}

/// The result of a gate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
#[must_use = "the outcome is in it"]
pub struct Summary {
    /// The worst conclusion of all checks.
    pub outcome: Conclusion,
    /// The exit code that goes with it.
    pub exit_code: u8,
    /// How many checks there were.
    pub checks: usize,
    /// Sound subjects' checks that found nothing.
    pub clean: usize,
    /// Flawed subjects' checks that had to convict, and did.
    pub convicted: usize,
    /// Flawed subjects' checks that did not have to convict. What they found, if anything, is in their reports.
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
    /// How long the gate took.
    pub milliseconds: u64,
}

impl Summary {
    /// The summary of these results.
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

#[cfg(test)]
mod tests {
    use super::super::verdict::Expected;
    use super::*;
    use crate::engine::report::Counterexample;
    use crate::ledger::{Violation, ViolationKind};
    use crate::program::Program;

    fn result(verdict_of: Option<ViolationKind>, expected: Expected, runs: u64) -> CheckResult {
        let violation = |kind| Violation::new(kind, "");
        let finding = verdict_of.map(|kind| Counterexample::new(violation(kind), &Program::default(), Vec::new()));
        let mut report = Report::new("a/subject", "replay");
        (report.runs, report.programs, report.events, report.defused, report.finding) = (runs, 2, 30, 4, finding);
        CheckResult::new(Check::new("a/subject", "replay", expected), report, 5)
    }

    #[test]
    fn a_summary_counts_each_kind_of_verdict_and_is_as_bad_as_the_worst() {
        let flawed =
            |required| Expected::Flawed { defect: String::new(), convicted_of: vec![ViolationKind::Leak], required };
        let leak = Some(ViolationKind::Leak);
        let mut results = vec![
            result(None, Expected::Sound, 1),
            result(None, Expected::Sound, 1),
            result(None, Expected::Sound, 1),
            result(leak, flawed(true), 1),
            result(leak, flawed(true), 1),
            result(None, flawed(false), 1),
        ];
        let good = Summary::of(&results, 9);
        assert_eq!((good.outcome, good.exit_code, good.checks, good.failed), (Conclusion::Sound, 0, 6, 0));
        assert_eq!((good.clean, good.convicted, good.not_required), (3, 2, 1));
        assert_eq!((good.programs, good.runs, good.events, good.defused, good.milliseconds), (12, 6, 180, 24, 9));
        results.extend([result(leak, Expected::Sound, 1), result(None, Expected::Sound, 0)]);
        let bad = Summary::of(&results, 9);
        assert_eq!((bad.outcome, bad.exit_code, bad.checks, bad.failed), (Conclusion::Unsound, 1, 8, 2));
        assert_eq!((bad.clean, bad.convicted, bad.not_required), (3, 2, 1));
    }
}

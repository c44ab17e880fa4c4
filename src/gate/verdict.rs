//! What the report of one check means, and what all checks mean together.
//!
//! Not here: what a run proves (`ledger::judge`). Here reports are judged against what was known of the subject before.

use super::exit_code;
use crate::engine::report::Report;
use crate::ledger::ViolationKind;
use crate::subject::KnownFlaw;
use serde::{Deserialize, Serialize};
use std::fmt;

/// What is known of a subject before it is checked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Expected {
    /// No defect of it is known: nothing must be found.
    Sound,
    /// It has a known defect.
    Flawed {
        /// What is wrong, in a line.
        defect: String,
        /// What a finding has to be: any of these.
        convicted_of: Vec<ViolationKind>,
        /// Whether this engine has to find it.
        required: bool,
    },
}

impl Expected {
    /// What the catalogue knows of a subject and an engine.
    pub fn of(flaw: Option<&KnownFlaw>, engine: &str) -> Self {
        flaw.map_or(Expected::Sound, |flaw| Expected::Flawed {
            defect: flaw.defect.to_owned(),
            convicted_of: flaw.convicted_of.to_vec(),
            required: flaw.convicted_by.contains(&engine),
        })
    }
}

/// What the report of a check means.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
#[must_use = "the verdict says whether the check failed"]
pub enum CheckVerdict {
    /// A sound subject, and nothing was found.
    Clean,
    /// A flawed subject was convicted of its defect.
    Convicted {
        /// The rule it broke.
        of: ViolationKind,
    },
    /// A flawed subject that this engine need not convict. If the engine found the defect all the same, it is in the
    /// report.
    NotRequired,
    /// A flawed subject that this engine has to convict, and nothing was found.
    NotConvicted,
    /// A flawed subject was convicted of a rule that its defect does not break.
    WrongReason {
        /// The rule it broke.
        of: ViolationKind,
    },
    /// A subject that should be sound was convicted.
    Unsound {
        /// The rule it broke.
        of: ViolationKind,
    },
    /// The process died, and the subject is not known to kill processes.
    Crashed,
    /// No program was run.
    NothingRan,
    /// There is no verdict.
    HarnessError {
        /// Why.
        text: String,
    },
}

impl CheckVerdict {
    /// Judges a report.
    pub fn judge(expected: &Expected, report: &Report) -> Self {
        if let Some(text) = &report.error {
            return CheckVerdict::HarnessError { text: text.clone() };
        }
        match (expected, report.convicted_of()) {
            // An engine that finds by luck what it need not find has the same verdict as one that does not.
            (Expected::Flawed { convicted_of, required, .. }, Some(of)) if convicted_of.contains(&of) => {
                if *required {
                    CheckVerdict::Convicted { of }
                } else {
                    CheckVerdict::NotRequired
                }
            }
            (_, Some(ViolationKind::Crashed)) => CheckVerdict::Crashed,
            (Expected::Flawed { .. }, Some(of)) => CheckVerdict::WrongReason { of },
            (Expected::Sound, Some(of)) => CheckVerdict::Unsound { of },
            (_, None) if report.runs == 0 => CheckVerdict::NothingRan,
            (Expected::Sound, None) => CheckVerdict::Clean,
            (Expected::Flawed { required: true, .. }, None) => CheckVerdict::NotConvicted,
            (Expected::Flawed { required: false, .. }, None) => CheckVerdict::NotRequired,
        }
    }

    /// What the verdict means for the gate.
    pub fn conclusion(&self) -> Conclusion {
        use CheckVerdict::*;
        match self {
            Clean | Convicted { .. } | NotRequired => Conclusion::Sound,
            NotConvicted | WrongReason { .. } | Unsound { .. } | Crashed => Conclusion::Unsound,
            HarnessError { .. } => Conclusion::HarnessError,
            NothingRan => Conclusion::NothingRan,
        }
    }
}

impl fmt::Display for CheckVerdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CheckVerdict::Clean => f.write_str("clean"),
            CheckVerdict::Convicted { of } => write!(f, "convicted of {of}"),
            CheckVerdict::NotRequired => f.write_str("not required to convict it"),
            CheckVerdict::NotConvicted => f.write_str("not convicted"),
            CheckVerdict::WrongReason { of } => write!(f, "convicted of {of}, which is not its defect"),
            CheckVerdict::Unsound { of } => write!(f, "unsound: {of}"),
            CheckVerdict::Crashed => f.write_str("crashed"),
            CheckVerdict::NothingRan => f.write_str("nothing ran"),
            CheckVerdict::HarnessError { text } => write!(f, "harness error: {text}"),
        }
    }
}

/// What several checks mean together: the worst of them. Ordered from the best to the worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
#[must_use = "the conclusion says whether the checks passed"]
pub enum Conclusion {
    /// Nothing was found in sound subjects, and no flaw was missed.
    Sound,
    /// A check ran nothing.
    NothingRan,
    /// A check has no verdict.
    HarnessError,
    /// Something is unsound, or a flaw was missed.
    Unsound,
}

impl Conclusion {
    /// Returns the worst of `conclusions`, or [`Conclusion::NothingRan`] if there are none.
    pub fn worst(conclusions: impl IntoIterator<Item = Conclusion>) -> Conclusion {
        conclusions.into_iter().max().unwrap_or(Conclusion::NothingRan)
    }

    /// The command's exit code: see [`exit_code`].
    #[must_use]
    pub fn exit_code(self) -> u8 {
        match self {
            Conclusion::Sound => exit_code::SOUND,
            Conclusion::Unsound => exit_code::UNSOUND,
            Conclusion::HarnessError => exit_code::HARNESS_ERROR,
            Conclusion::NothingRan => exit_code::NOTHING_RAN,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::report::Counterexample;
    use crate::ledger::Violation;
    use crate::program::Program;

    fn report(runs: u64, convicted_of: Option<ViolationKind>) -> Report {
        let violation = |kind| Violation { kind, callback: None, text: String::new(), proof: Vec::new() };
        let finding = convicted_of.map(|kind| Counterexample::new(violation(kind), &Program::default(), Vec::new()));
        Report { runs, finding, ..Report::new("a/subject", "replay") }
    }

    fn flawed(required: bool) -> Expected {
        Expected::Flawed { defect: String::new(), convicted_of: vec![ViolationKind::Leak], required }
    }

    #[test]
    fn each_verdict_has_an_input() {
        use CheckVerdict::*;
        use ViolationKind::{Crashed as Died, Leak, LostCall};
        let broken = Report { error: Some("no library".into()), ..report(3, Some(Leak)) };
        let dies = Expected::Flawed { defect: String::new(), convicted_of: vec![Died], required: true };
        let cases = [
            (Expected::Sound, report(5, None), Clean, Conclusion::Sound),
            (flawed(true), report(5, Some(Leak)), Convicted { of: Leak }, Conclusion::Sound),
            (flawed(false), report(5, Some(Leak)), NotRequired, Conclusion::Sound),
            (dies, report(5, Some(Died)), Convicted { of: Died }, Conclusion::Sound),
            (flawed(false), report(5, None), NotRequired, Conclusion::Sound),
            (flawed(true), report(5, None), NotConvicted, Conclusion::Unsound),
            (flawed(true), report(5, Some(LostCall)), WrongReason { of: LostCall }, Conclusion::Unsound),
            (flawed(false), report(5, Some(LostCall)), WrongReason { of: LostCall }, Conclusion::Unsound),
            (Expected::Sound, report(5, Some(Leak)), Unsound { of: Leak }, Conclusion::Unsound),
            (Expected::Sound, report(5, Some(Died)), Crashed, Conclusion::Unsound),
            (flawed(true), report(5, Some(Died)), Crashed, Conclusion::Unsound),
            (Expected::Sound, report(0, None), NothingRan, Conclusion::NothingRan),
            (flawed(true), report(0, None), NothingRan, Conclusion::NothingRan),
            (flawed(false), report(0, None), NothingRan, Conclusion::NothingRan),
            (flawed(true), broken.clone(), HarnessError { text: "no library".into() }, Conclusion::HarnessError),
            (Expected::Sound, broken, HarnessError { text: "no library".into() }, Conclusion::HarnessError),
        ];
        for (expected, report, verdict, outcome) in cases {
            assert_eq!(CheckVerdict::judge(&expected, &report), verdict, "{expected:?}, {report:?}");
            assert_eq!(verdict.conclusion(), outcome, "{verdict:?}");
        }
    }

    #[test]
    fn the_worst_decides_and_none_is_nothing_ran() {
        use Conclusion::*;
        assert_eq!(Conclusion::worst([]), NothingRan);
        assert_eq!(Conclusion::worst([Sound, Sound]), Sound);
        assert_eq!(Conclusion::worst([Sound, NothingRan]), NothingRan);
        assert_eq!(Conclusion::worst([NothingRan, HarnessError, Sound]), HarnessError);
        assert_eq!(Conclusion::worst([HarnessError, Unsound, NothingRan]), Unsound);
        let codes = [Sound, Unsound, HarnessError, NothingRan].map(Conclusion::exit_code);
        assert_eq!(codes, [0, 1, 3, 4]);
    }
}

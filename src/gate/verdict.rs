//! What one check says, and what all of them say together.
//!
//! Not here: what a run proves (`ledger::judge`). This judges reports against what was known of the subject beforehand.

use super::exit_code;
use crate::engine::report::Report;
use crate::ledger::ViolationKind;
use crate::subject::KnownFlaw;
use serde::{Deserialize, Serialize};
use std::fmt;

/// What is known of a subject before it is checked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Expected {
    /// It is sound, as far as anybody knows: nothing must be found.
    Sound,
    /// It has a defect.
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

/// What a check says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum CheckVerdict {
    /// A sound subject, and nothing was found.
    Clean,
    /// A flawed subject was convicted of its defect.
    Convicted {
        /// The rule it broke.
        of: ViolationKind,
    },
    /// A flawed subject that this engine need not convict; what it found of the defect, if anything, is in the report.
    NotRequired,
    /// A flawed subject that this engine has to convict, and nothing was found.
    NotConvicted,
    /// A flawed subject was convicted of something that its defect is not.
    WrongReason {
        /// The rule it broke.
        of: ViolationKind,
    },
    /// A subject that should be sound was convicted.
    Unsound {
        /// The rule it broke.
        of: ViolationKind,
    },
    /// The process died under a subject that should not kill it.
    Crashed,
    /// No program was run.
    NothingRan,
    /// The harness has no verdict.
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
            // An engine that finds by luck what it need not find says the same in each gate.
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

    /// What it means for the whole.
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

/// What several checks say together: the worst of them. The order is the one in which the exit code is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Conclusion {
    /// As it should be.
    Sound,
    /// Some check ran nothing.
    NothingRan,
    /// Some check has no verdict.
    HarnessError,
    /// Something is unsound, or a flaw was missed.
    Unsound,
}

impl Conclusion {
    /// Of all of these; of none, nothing ran.
    pub fn worst(outcomes: impl IntoIterator<Item = Conclusion>) -> Conclusion {
        outcomes.into_iter().max().unwrap_or(Conclusion::NothingRan)
    }

    /// See [`exit_code`].
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

    fn report(runs: u64, convicted_of: Option<ViolationKind>) -> Report {
        let finding = convicted_of.map(|kind| Counterexample {
            violation: Violation { kind, callback: None, text: String::new(), proof: Vec::new() },
            program: String::new(),
            steps: 0,
            timeline: Vec::new(),
        });
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

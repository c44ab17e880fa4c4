//! How much each engine does.
//!
//! On a flaw that an engine has to convict, the engine gets ten times what it gets on a sound subject. It stops at
//! its first finding, so what it does not need is not spent, and it misses a flaw only if it is unable to find it.

use crate::engine::Engine;
use crate::engine::model::Model;
use crate::engine::property::Property;
use crate::engine::replay::Replay;
use crate::engine::report::counted;
use crate::engine::stress::Stress;
use crate::program::Program;
use crate::subject::KnownFlaw;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::Duration;

/// How much to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Budget {
    /// A few seconds for all bundled subjects: does it work at all?
    Quick,
    /// About a minute for all bundled subjects on two cores: for every change.
    #[default]
    Normal,
    /// Hours for all bundled subjects, most of them the model's: before a release, or overnight.
    Deep,
}

impl Budget {
    /// All budgets, the smallest first.
    pub const ALL: [Budget; 3] = [Budget::Quick, Budget::Normal, Budget::Deep];

    /// The budget's name on the command line and in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Budget::Quick => "quick",
            Budget::Normal => "normal",
            Budget::Deep => "deep",
        }
    }

    /// The budget with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|budget| budget.name() == name)
    }

    /// How often the replay engine runs each program.
    pub const fn repeat(self) -> u32 {
        match self {
            Budget::Quick => 1,
            Budget::Normal => 3,
            Budget::Deep => 50,
        }
    }

    /// How many programs the property engine generates for a sound subject.
    pub const fn cases(self) -> u32 {
        match self {
            Budget::Quick => 100,
            Budget::Normal => 1000,
            Budget::Deep => 50_000,
        }
    }

    /// How many ops the programs have that the model engine explores.
    pub const fn model_ops(self) -> usize {
        match self {
            Budget::Quick | Budget::Normal => 2,
            Budget::Deep => 3,
        }
    }

    /// For how long the model engine works on a subject. With the small budgets it ends long before.
    pub const fn model(self) -> Duration {
        Duration::from_secs(match self {
            Budget::Quick | Budget::Normal => 200,
            Budget::Deep => 3000,
        })
    }

    /// Up to how many interleavings the model engine explores a program exhaustively.
    pub const fn interleavings(self) -> u64 {
        match self {
            Budget::Quick => 100,
            Budget::Normal => 2500,
            Budget::Deep => 2_000_000,
        }
    }

    /// How many preemptions an interleaving has at most in the search of a program for which
    /// [`interleavings`](Self::interleavings) were not enough.
    pub const fn preemptions(self) -> usize {
        match self {
            Budget::Quick => 1,
            Budget::Normal => 2,
            Budget::Deep => 4,
        }
    }

    /// For how long the stress engine works on a sound subject.
    pub const fn stress(self) -> Duration {
        Duration::from_millis(match self {
            Budget::Quick => 100,
            Budget::Normal => 1000,
            Budget::Deep => 40_000,
        })
    }

    /// How long a check may take before it counts as hung. Far more than a check needs.
    pub const fn limit(self) -> Duration {
        Duration::from_secs(match self {
            Budget::Quick => 300,
            Budget::Normal => 300,
            Budget::Deep => 3600,
        })
    }

    /// What bounds the search of each of these engines on a sound subject, in words.
    #[must_use]
    pub fn bounds(self, engines: &[&str]) -> String {
        let of = |engine: &&str| match *engine {
            "replay" => "the seed programs as written".to_owned(),
            "property" => counted(self.cases().into(), "generated program"),
            "stress" => format!("{} ms of generated programs under disturbance", self.stress().as_millis()),
            "model" => format!(
                "programs of {}: every interleaving if {} are enough, otherwise those with at most {}",
                counted(self.model_ops() as u64, "op"),
                self.interleavings(),
                counted(self.preemptions() as u64, "preemption"),
            ),
            other => other.to_owned(),
        };
        format!("budget {self} (on each sound subject {})", engines.iter().map(of).collect::<Vec<_>>().join("; "))
    }

    /// The engine with this name, with this budget; `None`: no engine has this name. `flaw`: the subject's.
    /// `programs`: for the engines that do not make their own.
    pub(super) fn engine(
        self,
        name: &str,
        seed: u64,
        flaw: Option<&KnownFlaw>,
        programs: impl FnOnce() -> Vec<Program>,
    ) -> Option<Box<dyn Engine>> {
        let must_convict = flaw.is_some_and(|flaw| flaw.convicted_by.contains(&name));
        let more = if must_convict { 10 } else { 1 };
        match name {
            "replay" => Some(Box::new(Replay::new(programs()).repeat(self.repeat()))),
            "property" => Some(Box::new(Property::new().cases(self.cases() * more).seed(seed))),
            "stress" => {
                // A number of programs, so that a flaw is not missed because the machine was busy.
                let at_least = if must_convict { 500 } else { 0 };
                Some(Box::new(Stress::new().time(self.stress() * more).seed(seed).at_least(at_least)))
            }
            "model" => {
                let interleavings = if must_convict { 100_000 } else { self.interleavings() };
                let model = Model::new(programs()).max_interleavings(interleavings);
                Some(Box::new(model.preemptions(Some(self.preemptions())).time(self.model())))
            }
            _ => None,
        }
    }
}

impl fmt::Display for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::ENGINES;
    use crate::program::VerbSet;
    use crate::subject::{Env, Offer, OpenError, Session, Subject};

    /// Offers nothing, so that generated programs are empty.
    struct Nothing;

    impl Subject for Nothing {
        fn name(&self) -> &str {
            "nothing"
        }

        fn offer(&self) -> Offer {
            Offer::new(VerbSet::EMPTY)
        }

        fn open(&self, _: &Env) -> Result<Box<dyn Session>, OpenError> {
            Err(OpenError::new("not opened in this test"))
        }
    }

    #[test]
    fn budgets_have_names_that_are_read_back() {
        assert_eq!(Budget::ALL.map(Budget::name), ["quick", "normal", "deep"]);
        assert_eq!(Budget::ALL.map(|budget| Budget::from_name(budget.name())), Budget::ALL.map(Some));
        assert_eq!(Budget::from_name("huge"), None);
    }

    #[test]
    fn a_larger_budget_does_more_and_may_take_longer() {
        for pair in Budget::ALL.windows(2) {
            let (small, large) = (pair[0], pair[1]);
            assert!(small.repeat() < large.repeat() && small.cases() < large.cases());
            assert!(small.model_ops() <= large.model_ops() && small.interleavings() < large.interleavings());
            assert!(small.preemptions() < large.preemptions() && small.stress() < large.stress());
            assert!(small.model() <= large.model() && small.limit() <= large.limit());
            for budget in pair {
                // Ten times the stress engine's time on a flaw, and all of the model's, end before the limit.
                assert!(budget.stress() * 10 < budget.limit() && budget.model() < budget.limit(), "{budget}");
            }
        }
    }

    #[test]
    fn each_engine_gets_ten_times_as_much_on_a_flaw_that_it_has_to_convict() {
        let flaw = |engines| KnownFlaw {
            name: "flawed/test",
            defect: "",
            seen_in: "",
            convicted_of: &[],
            convicted_by: engines,
            program: "",
        };
        let bounds = |name: &str, flaw: Option<&KnownFlaw>| {
            let engine = Budget::Quick.engine(name, 3, flaw, Vec::new).expect("an engine");
            assert_eq!(engine.name(), name);
            // Nothing can be opened, so that each check ends with its first program.
            engine.check(&Nothing, &mut |_| ()).bounded_by
        };
        let required = flaw(&ENGINES);
        let not_required = flaw(&[]);
        for (name, plain, more) in [
            ("replay", "0 programs as written", "0 programs as written"),
            ("property", "100 generated programs, seed 3", "1000 generated programs, seed 3"),
            ("stress", "100 ms of generated programs, seed 3", "1000 ms and at least 500 generated programs, seed 3"),
            ("model", "programs: ", "programs: "),
        ] {
            assert_eq!(bounds(name, None), plain);
            assert_eq!(bounds(name, Some(&not_required)), plain);
            assert_eq!(bounds(name, Some(&required)), more);
        }
        assert!(Budget::Quick.engine("exhaust", 3, None, Vec::new).is_none());
    }
}

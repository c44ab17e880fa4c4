//! How much each engine does.
//!
//! A flaw that an engine has to convict gets ten times what a sound subject gets: the engine stops at its first finding,
//! so what is not needed is not spent, and a flaw is missed only when the engine is really unable to find it.

use crate::engine::Engine;
use crate::engine::model::Model;
use crate::engine::property::Property;
use crate::engine::replay::Replay;
use crate::engine::stress::Stress;
use crate::program::Program;
use crate::subject::KnownFlaw;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::Duration;

/// How much to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Budget {
    /// A few seconds for everything: does it work at all?
    Quick,
    /// About a minute for everything on two cores: what every change is checked with.
    #[default]
    Normal,
    /// Hours for everything, most of them the model's: before a release, or overnight.
    Deep,
}

impl Budget {
    /// All budgets, the smallest first.
    pub const ALL: [Budget; 3] = [Budget::Quick, Budget::Normal, Budget::Deep];

    /// Its name on the command line and in reports.
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

    /// How many programs the property engine makes for a sound subject.
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

    /// For how long the model engine works on a subject: the small budgets are spent long before.
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

    /// How many preemptions an interleaving has at most where that is not enough.
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

    /// How long a check may take, whatever it does, before it counts as hung: far more than it needs.
    pub const fn limit(self) -> Duration {
        Duration::from_secs(match self {
            Budget::Quick => 300,
            Budget::Normal => 300,
            Budget::Deep => 3600,
        })
    }

    /// What bounds the search on each sound subject, in words.
    pub fn bounds(self, engines: &[&str]) -> String {
        let of = |engine: &&str| match *engine {
            "replay" => "the seed programs as written".to_owned(),
            "property" => format!("{} generated programs", self.cases()),
            "stress" => format!("{} ms of generated programs under disturbance", self.stress().as_millis()),
            "model" => format!(
                "every interleaving of small programs of {} ops where {} are enough, or else those with at most {}",
                self.model_ops(),
                self.interleavings(),
                counted(self.preemptions(), "preemption"),
            ),
            other => other.to_owned(),
        };
        format!("budget {self} (on each sound subject {})", engines.iter().map(of).collect::<Vec<_>>().join("; "))
    }

    /// The engine with this name, with this budget. `programs` are for those that do not make their own.
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
            "replay" => Some(Box::new(Replay { programs: programs(), repeat: self.repeat() })),
            "property" => Some(Box::new(Property { cases: self.cases() * more, seed, seeds: None })),
            "stress" => {
                // By programs, so that a flaw is not missed because the machine was busy.
                let at_least = if must_convict { 500 } else { 0 };
                Some(Box::new(Stress { time: self.stress() * more, seed, at_least, ..Stress::default() }))
            }
            "model" => Some(Box::new(Model {
                programs: programs(),
                exhaustive: if must_convict { 100_000 } else { self.interleavings() },
                preemptions: Some(self.preemptions()),
                time: self.model(),
            })),
            _ => None,
        }
    }
}

fn counted(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

impl fmt::Display for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

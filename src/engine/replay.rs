//! The replay engine: programs that somebody wrote or kept.
//!
//! Their orders are forced by gates, so each is run a few times and means the same each time. It finds what the programs
//! say and nothing else.

use super::report::Report;
use super::run::RunOptions;
use super::{Engine, Ran, found, run_again};
use crate::program::Program;
use crate::subject::Subject;

/// Runs programs as they are.
#[derive(Debug, Clone)]
pub struct Replay {
    /// The programs; those that a subject does not offer are counted and not run.
    pub programs: Vec<Program>,
    /// How often each is run, at least once.
    pub repeat: u32,
}

impl Engine for Replay {
    fn name(&self) -> &'static str {
        "replay"
    }

    fn check(&self, subject: &dyn Subject, watch: &mut dyn FnMut(&Report)) -> Report {
        let mut report = Report::new(subject.name(), self.name());
        report.bounded_by = format!("{} programs as written", self.programs.len());
        for program in &self.programs {
            for n in 0..self.repeat.max(1) {
                match run_again(&mut report, (program, n), subject, &RunOptions::default(), watch) {
                    Ran::Clean => {}
                    Ran::Broke(outcome, kind) => {
                        found(&mut report, program, &outcome, kind);
                        return report;
                    }
                    Ran::NotOffered => break,
                    Ran::NoVerdict => return report,
                }
            }
        }
        report
    }
}

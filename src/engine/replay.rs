//! The replay engine: programs that were written by hand, or kept from an earlier finding.
//!
//! The orders of such a program are forced by gates, so each program is run a few times and means the same each time.
//! The engine finds what the programs say, and nothing else.

use super::Engine;
use super::report::{Report, counted};
use super::run::RunOptions;
use super::search::{RunResult, record_finding, run_and_count};
use crate::program::Program;
use crate::subject::Subject;

/// Runs programs as they are.
#[derive(Debug, Clone)]
pub struct Replay {
    programs: Vec<Program>,
    repeat: u32,
}

impl Replay {
    /// Runs each of these programs once. A program that the subject does not offer is counted and not run.
    pub fn new(programs: Vec<Program>) -> Self {
        Replay { programs, repeat: 1 }
    }

    /// How often each program is run, at least once (default: once).
    #[must_use]
    pub fn repeat(mut self, times: u32) -> Self {
        self.repeat = times.max(1);
        self
    }
}

impl Engine for Replay {
    fn name(&self) -> &'static str {
        "replay"
    }

    fn check(&self, subject: &dyn Subject, watch: &mut dyn FnMut(&Report)) -> Report {
        let mut report = Report::new(subject.name(), self.name());
        report.bounded_by = format!("{} as written", counted(self.programs.len() as u64, "program"));
        for program in &self.programs {
            for n in 0..self.repeat {
                match run_and_count(&mut report, (program, n), subject, &RunOptions::default(), watch) {
                    RunResult::Clean => {}
                    RunResult::Convicted(outcome, kind) => {
                        record_finding(&mut report, program, &outcome, kind);
                        return report;
                    }
                    RunResult::NotOffered => break,
                    RunResult::NoVerdict => return report,
                }
            }
        }
        report
    }
}

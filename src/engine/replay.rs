//! The replay engine: programs that somebody wrote or kept.
//!
//! Their orders are forced by gates, so each is run a few times and means the same each time. It finds what the programs
//! say and nothing else.

use super::report::Report;
use super::run::{Options, execute};
use super::{Engine, found, no_verdict};
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
                match execute(program, subject, &Options::default()) {
                    Ok(outcome) => {
                        report.programs += u64::from(n == 0);
                        report.count(&outcome);
                        watch(&report);
                        if let Some(violation) = outcome.verdict.violations.first() {
                            found(&mut report, program, &outcome, violation.kind);
                            return report;
                        }
                    }
                    Err(error) => {
                        no_verdict(&mut report, &error);
                        if report.error.is_some() {
                            return report;
                        }
                        break;
                    }
                }
            }
        }
        report
    }
}

//! The stress engine: generated programs of two or more threads, each many times, disturbed.
//!
//! At each stall site and between ops a thread sometimes lets another go first ([`RunOptions::disturb`]), so that windows of a
//! few instructions are hit often. It finds races that nobody thought of forcing. Bounded by time: a race that it did not
//! find may be there.

use super::report::Report;
use super::run::RunOptions;
use super::{Engine, Ran, domain, found, minimise, run_again};
use crate::program::{Program, Verb, generate};
use crate::subject::Subject;
use std::time::{Duration, Instant};

/// Runs multi-threaded programs for a time.
#[derive(Debug, Clone)]
pub struct Stress {
    /// For how long.
    pub time: Duration,
    /// Where the generator starts: the same seed makes the same programs and the same disturbances.
    pub seed: u64,
    /// How often each program is run.
    pub repeat: u32,
    /// Programs that are run even when the time is over: on a machine that is busy with other things a time says little.
    pub at_least: u64,
}

impl Default for Stress {
    fn default() -> Self {
        Stress { time: Duration::from_millis(900), seed: 1, repeat: 12, at_least: 0 }
    }
}

/// Threads, callbacks and steps of the largest programs.
const SIZE: (usize, usize, usize) = (3, 3, 10);

impl Engine for Stress {
    fn name(&self) -> &'static str {
        "stress"
    }

    fn check(&self, subject: &dyn Subject, watch: &mut dyn FnMut(&Report)) -> Report {
        let mut report = Report::new(subject.name(), self.name());
        report.bounded_by = match (self.time.as_millis(), self.at_least) {
            (time, 0) => format!("{time} ms of generated programs, seed {}", self.seed),
            (time, least) => format!("{time} ms and {least} generated programs, seed {}", self.seed),
        };
        // Gates are for forcing an order: here it is found.
        let domain = domain(subject, &[Verb::Hold, Verb::Open, Verb::Reach, Verb::Stall, Verb::Churn], SIZE);
        let began = Instant::now();
        let mut random = SplitMix(self.seed);
        let mut generated = 0;
        // A subject that two threads cannot use at once has no programs here, however many are generated.
        while began.elapsed() < self.time || (report.programs < self.at_least && generated < 20 * self.at_least) {
            generated += 1;
            let mut program = generate::decode(&records(&mut random), &domain);
            if program.threads.len() < 2 {
                continue;
            }
            // Overlapping calls are what this engine is good at: let them matter more often than generated programs do.
            if domain.verbs.contains(Verb::Exclusive) && random.next().is_multiple_of(4) {
                program.callbacks.iter_mut().filter(|c| c.body.is_empty()).for_each(|c| c.exclusive = true);
            }
            for n in 0..self.repeat {
                let options = RunOptions { disturb: Some(random.next()), ..RunOptions::default() };
                match run_again(&mut report, (&program, n), subject, &options, watch) {
                    Ran::Clean => {}
                    Ran::Broke(outcome, kind) => {
                        let seed = random.next();
                        let attempts = |attempt: usize| {
                            let disturb = Some(SplitMix(seed ^ attempt as u64).next());
                            (attempt < 16).then(|| RunOptions { disturb, ..RunOptions::default() })
                        };
                        let (program, outcome) = minimise(subject, program, outcome, kind, attempts, 400);
                        found(&mut report, &program, &outcome, kind);
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

fn records(random: &mut SplitMix) -> Vec<generate::Record> {
    let n = 3 + random.next() as usize % 8;
    (0..n).map(|_| (random.next() as u32).to_le_bytes()).collect()
}

/// SplitMix64: the same programs for the same seed, whatever a library's generator becomes.
struct SplitMix(u64);

impl SplitMix {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

impl Stress {
    /// A run of one program under this engine's disturbances, `repeat` times, until a rule is broken.
    pub fn check_program(&self, program: &Program, subject: &dyn Subject) -> Report {
        let mut report = Report::new(subject.name(), self.name());
        let mut random = SplitMix(self.seed);
        report.bounded_by = format!("{} runs of one program, seed {}", self.repeat, self.seed);
        for n in 0..self.repeat {
            let options = RunOptions { disturb: Some(random.next()), ..RunOptions::default() };
            match run_again(&mut report, (program, n), subject, &options, &mut |_| {}) {
                Ran::Clean => {}
                Ran::Broke(outcome, kind) => {
                    found(&mut report, program, &outcome, kind);
                    break;
                }
                Ran::NotOffered | Ran::NoVerdict => break,
            }
        }
        report
    }
}

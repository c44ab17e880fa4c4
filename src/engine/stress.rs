//! The stress engine: generated programs of two or more threads, each many times, disturbed.
//!
//! At each stall site and between ops a thread sometimes lets another thread go first ([`RunOptions::disturb`]), so
//! that windows of a few instructions are hit often. The engine finds races for which no program forces the order. It
//! is bounded by time: a race that it did not find may be there.

use super::Engine;
use super::report::{Report, counted};
use super::run::RunOptions;
use super::search::{RunResult, Size, domain, minimise, record_finding, run_and_count};
use crate::program::{Program, Verb, generate};
use crate::subject::Subject;
use std::time::{Duration, Instant};

/// Runs programs of several threads for a time.
#[derive(Debug, Clone)]
pub struct Stress {
    time: Duration,
    seed: u64,
    repeat: u32,
    at_least: u64,
}

impl Default for Stress {
    fn default() -> Self {
        Stress { time: Duration::from_millis(900), seed: 1, repeat: 12, at_least: 0 }
    }
}

impl Stress {
    /// An engine with the default settings: it generates programs from seed 1 for 900 ms, and runs each 12 times.
    pub fn new() -> Self {
        Self::default()
    }

    /// For how long programs are generated and run (default: 900 ms).
    #[must_use]
    pub fn time(mut self, time: Duration) -> Self {
        self.time = time;
        self
    }

    /// The seed of the generator: the same seed makes the same programs and the same disturbances (default: 1).
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// How often each program is run, at least once (default: 12 times).
    #[must_use]
    pub fn repeat(mut self, times: u32) -> Self {
        self.repeat = times.max(1);
        self
    }

    /// How many programs are run even when the time is over (default: none). On a busy machine a time alone says little
    /// about how much was run.
    #[must_use]
    pub fn at_least(mut self, programs: u64) -> Self {
        self.at_least = programs;
        self
    }

    /// Runs one program under this engine's disturbances, [`repeat`](Self::repeat) times or until a rule is broken.
    pub fn check_program(&self, program: &Program, subject: &dyn Subject) -> Report {
        let mut report = Report::new(subject.name(), self.name());
        let mut random = SplitMix(self.seed);
        report.bounded_by = format!("{} of one program, seed {}", counted(self.repeat.into(), "run"), self.seed);
        for n in 0..self.repeat {
            match run_and_count(&mut report, (program, n), subject, &disturbed(&mut random), &mut |_| {}) {
                RunResult::Clean => {}
                RunResult::Convicted(outcome, kind) => {
                    record_finding(&mut report, program, &outcome, kind);
                    break;
                }
                RunResult::NotOffered | RunResult::NoVerdict => break,
            }
        }
        report
    }
}

const SIZE: Size = Size { threads: 3, callbacks: 3, steps: 10 };

impl Engine for Stress {
    fn name(&self) -> &'static str {
        "stress"
    }

    fn check(&self, subject: &dyn Subject, watch: &mut dyn FnMut(&Report)) -> Report {
        let mut report = Report::new(subject.name(), self.name());
        report.bounded_by = match (self.time.as_millis(), self.at_least) {
            (time, 0) => format!("{time} ms of generated programs, seed {}", self.seed),
            (time, least) => {
                format!("{time} ms and at least {}, seed {}", counted(least, "generated program"), self.seed)
            }
        };
        // Gates would force an order, and here the orders are to vary.
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
            // This engine is good at overlapping calls: make them break a rule more often than the generator does.
            if domain.verbs.contains(Verb::Exclusive) && random.next().is_multiple_of(4) {
                program.callbacks.iter_mut().filter(|c| c.body.is_empty()).for_each(|c| c.exclusive = true);
            }
            for n in 0..self.repeat {
                match run_and_count(&mut report, (&program, n), subject, &disturbed(&mut random), watch) {
                    RunResult::Clean => {}
                    RunResult::Convicted(outcome, kind) => {
                        let seed = random.next();
                        let attempts =
                            |attempt: usize| (attempt < 16).then(|| disturbed(&mut SplitMix(seed ^ attempt as u64)));
                        let (program, outcome) = minimise(subject, program, outcome, kind, attempts, 400);
                        record_finding(&mut report, &program, &outcome, kind);
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

/// A run with the next disturbances.
fn disturbed(random: &mut SplitMix) -> RunOptions {
    RunOptions::new().disturb(random.next())
}

fn records(random: &mut SplitMix) -> Vec<generate::Record> {
    let n = 3 + random.next() as usize % 8;
    (0..n).map(|_| (random.next() as u32).to_le_bytes()).collect()
}

/// SplitMix64. Written here so that a seed means the same programs whatever a library's generator becomes.
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

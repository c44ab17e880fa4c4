//! The property engine: programs that proptest generates, shrunk to a minimal one when they fail.
//!
//! The orders of a program are forced by its own gates, and are otherwise those of the operating system. So the
//! engine finds what an order of ops, or one forced race, brings out. It is bounded by the number of programs: what
//! it says about a clean subject holds for those.

use super::Engine;
use super::report::{Report, counted};
use super::run::{RunOptions, RunOutcome, execute};
use super::search::{Size, domain, minimise, record_error, record_finding};
use crate::ledger::ViolationKind;
use crate::program::{Program, generate};
use crate::subject::Subject;
use proptest::test_runner::{
    Config, FileFailurePersistence, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner,
};
use std::cell::RefCell;
use std::path::PathBuf;

/// Generates programs and runs each once.
#[derive(Debug, Clone)]
pub struct Property {
    cases: u32,
    seed: u64,
    failures: Option<PathBuf>,
}

impl Default for Property {
    fn default() -> Self {
        Property { cases: 600, seed: 1, failures: None }
    }
}

impl Property {
    /// 600 programs, from seed 1; the seeds of failures are not kept.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many programs are generated (default: 600).
    #[must_use]
    pub fn cases(mut self, cases: u32) -> Self {
        self.cases = cases;
        self
    }

    /// The seed of the generator: the same seed makes the same programs (default: 1).
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Keeps the proptest seeds of failures in this file, and runs those first.
    #[must_use]
    pub fn keep_failures(mut self, file: impl Into<PathBuf>) -> Self {
        self.failures = Some(file.into());
        self
    }

    fn runner(&self) -> TestRunner {
        let persistence = self.failures.clone().map(|path| {
            // proptest wants a `&'static str`: one path is leaked for each check that keeps failures.
            let path: &'static str = Box::leak(path.display().to_string().into_boxed_str());
            Box::new(FileFailurePersistence::Direct(path)) as Box<_>
        });
        let config =
            Config { cases: self.cases, failure_persistence: persistence, max_shrink_iters: 400, ..Config::default() };
        let mut seed = [0; 32];
        seed[..8].copy_from_slice(&self.seed.to_le_bytes());
        TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &seed))
    }
}

const SIZE: Size = Size { threads: 2, callbacks: 3, steps: 12 };

/// What a search has learned so far. proptest calls through a shared closure, so this is in a cell.
struct Learned<'a, 'b> {
    report: &'a mut Report,
    watch: &'b mut dyn FnMut(&Report),
    /// The rule that the first failing program broke.
    first: Option<ViolationKind>,
    /// The last program that broke it: the smallest, once proptest has shrunk.
    last: Option<(Program, RunOutcome)>,
}

impl Learned<'_, '_> {
    /// Runs a program. An error means to proptest that the program fails. A program without a verdict neither fails nor
    /// passes; its error is in the report, and ends the check once proptest is done.
    fn run(&mut self, program: Program, subject: &dyn Subject) -> Result<(), TestCaseError> {
        if self.first == Some(ViolationKind::Deadlock) {
            // A run that hangs takes half a second to be recognised: leave the shrinking to `minimise`, which has a
            // budget.
            return Ok(());
        }
        let outcome = match execute(&program, subject, &RunOptions::default()) {
            Ok(outcome) => outcome,
            Err(error) => {
                record_error(self.report, &error);
                return Ok(());
            }
        };
        if self.first.is_none() {
            self.report.programs += 1;
            self.report.count(&outcome);
            (self.watch)(self.report);
        }
        match self.first.or(outcome.verdict.violations.first().map(|violation| violation.kind)) {
            Some(kind) if outcome.verdict.has(kind) => {
                self.first = Some(kind);
                self.last = Some((program, outcome));
                Err(TestCaseError::fail(kind.name()))
            }
            _ => Ok(()),
        }
    }
}

impl Engine for Property {
    fn name(&self) -> &'static str {
        "property"
    }

    fn check(&self, subject: &dyn Subject, watch: &mut dyn FnMut(&Report)) -> Report {
        let mut report = Report::new(subject.name(), self.name());
        report.bounded_by = format!("{}, seed {}", counted(self.cases.into(), "generated program"), self.seed);
        let strategy = generate::strategy(domain(subject, &[], SIZE));
        let learned = RefCell::new(Learned { report: &mut report, watch, first: None, last: None });
        let result = self.runner().run(&strategy, |program| learned.borrow_mut().run(program, subject));
        let Learned { first, last, .. } = learned.into_inner();
        if report.error.is_some() {
            return report;
        }
        if let (Err(TestError::Fail(..)), Some(kind), Some((program, outcome))) = (result, first, last) {
            // proptest's smallest program; its structure can be made smaller still.
            let attempts = |attempt| (attempt < 4).then(RunOptions::default);
            let (program, outcome) = minimise(subject, program, outcome, kind, attempts, 1500);
            record_finding(&mut report, &program, &outcome, kind);
        }
        report
    }
}

//! The property engine: programs that proptest generates, shrunk to a minimal one when they fail.
//!
//! A program's orders are forced by its own gates and otherwise as they come, so it finds what an order of ops, or one
//! forced race, brings out. Bounded by the number of cases; what it says about a clean subject holds for those.

use super::report::Report;
use super::run::{RunOptions, RunOutcome, execute};
use super::{Engine, domain, found, minimise, no_verdict};
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
    /// How many programs.
    pub cases: u32,
    /// Where the generator starts: the same seed makes the same programs.
    pub seed: u64,
    /// A file that seeds of failures are kept in, and run from first; `None`: none are kept.
    pub seeds: Option<PathBuf>,
}

impl Default for Property {
    fn default() -> Self {
        Property { cases: 600, seed: 1, seeds: None }
    }
}

/// Threads, callbacks and steps of the largest programs.
const SIZE: (usize, usize, usize) = (2, 3, 12);

impl Engine for Property {
    fn name(&self) -> &'static str {
        "property"
    }

    fn check(&self, subject: &dyn Subject, watch: &mut dyn FnMut(&Report)) -> Report {
        let mut report = Report::new(subject.name(), self.name());
        report.bounded_by = format!("{} generated programs, seed {}", self.cases, self.seed);
        let strategy = generate::strategy(domain(subject, &[], SIZE));
        let persistence = self.seeds.clone().map(|path| {
            // proptest wants a path of the program's, for as long as the program.
            let path: &'static str = Box::leak(path.display().to_string().into_boxed_str());
            Box::new(FileFailurePersistence::Direct(path)) as Box<_>
        });
        let config =
            Config { cases: self.cases, failure_persistence: persistence, max_shrink_iters: 400, ..Config::default() };
        let mut seed = [0; 32];
        seed[..8].copy_from_slice(&self.seed.to_le_bytes());
        let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &seed));

        // proptest calls through a shared closure: what it learns goes through a cell.
        let mut last: Option<(Program, RunOutcome)> = None;
        let learned = RefCell::new((&mut report, watch, None::<ViolationKind>, &mut last));
        let result = runner.run(&strategy, |program: Program| {
            let (report, watch, first, last) = &mut *learned.borrow_mut();
            if *first == Some(ViolationKind::Deadlock) {
                // Each run that hangs takes its time to be called that: leave the shrinking to `minimise`, which has a budget.
                return Ok(());
            }
            match execute(&program, subject, &RunOptions::default()) {
                Ok(outcome) => {
                    if first.is_none() {
                        report.programs += 1;
                        report.count(&outcome);
                        watch(report);
                    }
                    let kind = first.or(outcome.verdict.violations.first().map(|v| v.kind));
                    match kind {
                        Some(kind) if outcome.verdict.has(kind) => {
                            *first = Some(kind);
                            **last = Some((program, outcome));
                            Err(TestCaseError::fail(kind.name()))
                        }
                        _ => Ok(()),
                    }
                }
                Err(error) => {
                    no_verdict(report, &error);
                    // A program without a verdict neither fails nor passes; an error is kept and ends the search below.
                    Ok(())
                }
            }
        });
        let (_, _, first, _) = learned.into_inner();
        if report.error.is_some() {
            return report;
        }
        if let (Err(TestError::Fail(..)), Some(kind), Some((program, outcome))) = (result, first, last) {
            // The last program that failed is the smallest of proptest's. Its structure can be made smaller still.
            let few = |attempt| (attempt < 4).then(RunOptions::default);
            let (program, outcome) = minimise(subject, program, outcome, kind, few, 1500);
            found(&mut report, &program, &outcome, kind);
        }
        report
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::stress::Stress;
    use crate::program::{Hostile, Site, Verb, VerbSet};
    use crate::subject::Env;
    use crate::subject::{Offer, OpenError, Session};
    use crate::sync::Mutex;

    /// Records each program that is about to run on it, and opens no session.
    #[derive(Default)]
    struct Recorder(Mutex<Vec<Program>>);

    impl Subject for Recorder {
        fn name(&self) -> &str {
            "recorder"
        }

        fn offer(&self) -> Offer {
            let (hostile, sites) = (Hostile::ALL.to_vec(), Site::ALL.to_vec());
            Offer { verbs: VerbSet::of(Verb::ALL), hostile, sites, capacity: None }
        }

        fn open(&self, env: &Env) -> Result<Box<dyn Session>, OpenError> {
            self.0.lock().unwrap().push(env.program().unwrap());
            Err(OpenError("this subject only records".to_owned()))
        }
    }

    fn recorded(engine: &dyn Engine) -> Vec<Program> {
        let recorder = Recorder::default();
        let report = engine.check(&recorder, &mut |_| ());
        assert!(report.error.is_some(), "without a session there is no verdict");
        recorder.0.into_inner().unwrap()
    }

    #[test]
    fn the_same_seed_makes_the_same_programs_and_another_seed_makes_others() {
        let programs = |seed| recorded(&Property { cases: 40, seed, seeds: None });
        let first = programs(7);
        assert_eq!(first.len(), 40);
        assert!(first.iter().any(|program| program.len() > 5), "only small programs: they might be the same by chance");
        assert_eq!(first, programs(7));
        let other = programs(8);
        let same = first.iter().zip(&other).filter(|(a, b)| a == b).count();
        assert!(same < 20, "{same} of 40 programs do not depend on the seed");
    }

    #[test]
    fn the_stress_engine_begins_with_the_program_of_its_seed() {
        // It stops at the first program without a verdict.
        let programs = |seed| recorded(&Stress { seed, at_least: 1, ..Stress::default() });
        let firsts: Vec<Vec<Program>> = (0..20).map(programs).collect();
        assert!(firsts.iter().all(|programs| programs.len() == 1));
        for (seed, first) in (0..).zip(&firsts) {
            assert_eq!(*first, programs(seed));
        }
        assert!(firsts[1..].iter().any(|other| *other != firsts[0]), "the seed changes nothing");
    }
}

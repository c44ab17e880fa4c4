//! Every engine on every bundled subject: sound ones come out clean, flawed ones are convicted of their own defect, and
//! what an engine found can be run again.

use latecall::engine::property::Property;
use latecall::engine::replay::Replay;
use latecall::engine::report::Report;
use latecall::engine::run::{RunError, RunOptions, execute};
use latecall::engine::stress::Stress;
use latecall::engine::{ENGINES, Engine};
use latecall::program::Program;
use latecall::subject::Subject;
use latecall_bundled::catalogue::every;
use latecall_bundled::emitter::Api;
use latecall_bundled::flawed::{FLAWS, Flaw};
use std::time::Duration;

#[global_allocator]
static ALLOCATOR: latecall::ledger::Quarantine = latecall::ledger::Quarantine::new();

/// The flaws that can be run in this process, and that `engine` must convict.
fn flaws(engine: &'static str) -> impl Iterator<Item = &'static Flaw> {
    FLAWS.iter().filter(move |flaw| !flaw.crashes && flaw.known.convicted_by.contains(&engine))
}

fn convicts(engine: &dyn Engine, flaw: &Flaw) -> Report {
    let report = engine.check(&flaw.subject(Api::linked()), &mut |_| ());
    let kind = report.convicted_of();
    assert!(
        kind.is_some_and(|kind| flaw.known.convicted_of.contains(&kind)),
        "{} by {}: wants one of {:?}, got {kind:?} ({:?}) in {} runs\n{:#?}",
        flaw.known.name,
        engine.name(),
        flaw.known.convicted_of,
        report.error,
        report.runs,
        report.finding
    );
    report
}

fn finds_nothing_on_sound_subjects(engine: &dyn Engine) {
    for it in every(Api::linked()).iter().filter(|it| it.flaw.is_none()) {
        let report = engine.check(&it.subject, &mut |_| ());
        assert!(report.is_clean(), "{} by {}: {report:#?}", it.subject.name(), engine.name());
        assert!(report.calls > 0, "{} by {}: no call was delivered", it.subject.name(), engine.name());
    }
}

fn of(flaw: &Flaw) -> Program {
    Program::parse(flaw.known.program).unwrap_or_else(|error| panic!("{}: {error}", flaw.known.name))
}

#[test]
fn property_finds_nothing_on_sound_subjects() {
    finds_nothing_on_sound_subjects(&Property { cases: 200, ..Property::default() });
}

#[test]
fn stress_finds_nothing_on_sound_subjects() {
    // At least so many: on a busy machine few are run in the time, and in those of a library that calls once perhaps none is called.
    let stress = Stress { time: Duration::from_millis(300), at_least: 30, ..Stress::default() };
    finds_nothing_on_sound_subjects(&stress);
}

#[test]
fn replay_convicts_each_flaw_of_its_own_defect() {
    for flaw in flaws("replay") {
        convicts(&Replay { programs: vec![of(flaw)], repeat: 1 }, flaw);
    }
}

/// What the gate gives an engine that has to convict. It stops at its first finding.
fn patient() -> Property {
    Property { cases: 10_000, ..Property::default() }
}

#[test]
fn property_convicts_each_flaw_of_its_own_defect() {
    for flaw in flaws("property") {
        let report = convicts(&patient(), flaw);
        let finding = report.finding.unwrap();
        assert!(finding.steps <= 8, "{}: not shrunk:\n{}", flaw.known.name, finding.program);
    }
}

#[test]
fn stress_convicts_each_flaw_of_its_own_defect() {
    for flaw in flaws("stress") {
        // By programs, as the gate does: tests run beside each other, and a time says little then.
        convicts(&Stress { time: Duration::from_secs(8), at_least: 500, ..Stress::default() }, flaw);
    }
}

#[test]
fn every_flaw_is_convicted_by_some_engine_and_names_no_other() {
    for flaw in FLAWS {
        assert!(!flaw.known.convicted_by.is_empty(), "{}", flaw.known.name);
        assert!(flaw.known.convicted_by.iter().all(|name| ENGINES.contains(name)), "{}", flaw.known.name);
    }
}

/// What is a defect in one keeper is not a defect of the program: the same text is clean wherever it can be run.
#[test]
fn programs_that_convict_flaws_are_clean_on_sound_subjects() {
    let mut runs = 0;
    for flaw in FLAWS {
        for it in every(Api::linked()).iter().filter(|it| it.flaw.is_none()) {
            match execute(&of(flaw), &it.subject, &RunOptions::default()) {
                Ok(outcome) => {
                    runs += 1;
                    assert!(
                        outcome.verdict.is_clean(),
                        "{} on {}: {:?}",
                        flaw.known.name,
                        it.subject.name(),
                        outcome.verdict
                    );
                }
                Err(RunError::NotOffered(_)) => {}
                Err(error) => panic!("{} on {}: {error}", flaw.known.name, it.subject.name()),
            }
        }
    }
    assert!(runs > 150, "only {runs} runs");
}

/// A program that property or replay wrote down convicts again, from its text.
#[test]
fn a_finding_replays_from_its_text() {
    for flaw in flaws("property").filter(|flaw| flaw.known.name != "flawed/waits-for-itself") {
        let finding = convicts(&patient(), flaw).finding.unwrap();
        let program = Program::parse(&finding.program).unwrap();
        assert_eq!(program.subject.as_deref(), Some(flaw.known.name));
        let again = Replay { programs: vec![program], repeat: 50 };
        let report = again.check(&flaw.subject(Api::linked()), &mut |_| ());
        assert!(report.finding.is_some(), "{}:\n{}", flaw.known.name, finding.program);
    }
}

/// S99: a program whose order is forced gives the same events, in the same order, each time.
#[test]
fn a_forced_program_gives_the_same_events_each_time() {
    let flaw = FLAWS.iter().find(|flaw| flaw.known.name == "flawed/freed-by-self").unwrap();
    let run = || execute(&of(flaw), &flaw.subject(Api::linked()), &RunOptions::default()).unwrap();
    let first = run();
    for _ in 0..20 {
        let again = run();
        assert_eq!(first.events, again.events);
        assert_eq!(first.verdict, again.verdict);
    }
}

/// The programs themselves are compared where they can be recorded: in the unit tests of `engine::property`.
#[test]
fn property_reports_the_same_number_of_programs_from_the_same_seed() {
    let subject = &every(Api::linked())[1].subject;
    let programs = |seed| {
        let property = Property { cases: 40, seed, seeds: None };
        let report = property.check(subject, &mut |_| ());
        (report.programs, report.bounded_by)
    };
    assert_eq!(programs(7), programs(7));
    assert_ne!(programs(7), programs(8));
}

#[test]
fn property_keeps_the_seed_of_a_failure_and_runs_it_first() {
    let directory = std::env::temp_dir().join(format!("latecall-seeds-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let seeds = directory.join("property.txt");
    let flaw = FLAWS.iter().find(|flaw| flaw.known.name == "flawed/panic-passes").unwrap();
    let property = Property { seeds: Some(seeds.clone()), ..Property::default() };
    let first = convicts(&property, flaw);
    assert!(first.programs > 1, "the first program fails already: this test shows nothing");
    assert!(std::fs::read_to_string(&seeds).unwrap().contains("cc "), "no seed was kept");
    let second = convicts(&property, flaw);
    assert_eq!(second.programs, 1, "the kept seed was not the first to be run");
    std::fs::remove_dir_all(&directory).unwrap();
}

#[test]
fn an_engine_that_ran_nothing_is_not_clean() {
    let subject = &every(Api::linked())[1].subject;
    let nothing = Replay { programs: vec![], repeat: 1 };
    assert!(!nothing.check(subject, &mut |_| ()).is_clean());
    let scoped = Replay { programs: vec![Program::parse("callback a\nbefore\n  invoke a\n").unwrap()], repeat: 1 };
    let report = scoped.check(subject, &mut |_| ());
    assert_eq!((report.runs, report.not_offered), (0, 1));
    assert!(!report.is_clean());
}

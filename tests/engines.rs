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
use latecall_bundled::catalogue::{self, every};
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

fn finds_nothing_on_sound_subjects(engine: &dyn Engine) -> Vec<Report> {
    let sound = every(Api::linked()).into_iter().filter(|it| it.flaw.is_none());
    let check = |it: catalogue::Bundled| {
        let report = engine.check(&it.subject, &mut |_| ());
        report.check();
        assert!(report.calls > 0, "{} by {}: no call was delivered", it.subject.name(), engine.name());
        report
    };
    sound.map(check).collect()
}

fn of(flaw: &Flaw) -> Program {
    Program::parse(flaw.known.program).unwrap_or_else(|error| panic!("{}: {error}", flaw.known.name))
}

#[test]
fn property_finds_nothing_on_sound_subjects() {
    for report in finds_nothing_on_sound_subjects(&Property::new().cases(200)) {
        assert_eq!((report.programs, report.runs), (200, 200), "{}", report.subject);
    }
}

#[test]
fn stress_finds_nothing_on_sound_subjects() {
    // On a busy machine few programs are run in a time, and of a library that calls once perhaps none makes a call.
    let stress = Stress::new().time(Duration::from_millis(300)).at_least(30);
    for report in finds_nothing_on_sound_subjects(&stress) {
        assert!(report.programs >= 30 && report.runs == 12 * report.programs, "{report}");
    }
}

#[test]
fn replay_convicts_each_flaw_of_its_own_defect() {
    for flaw in flaws("replay") {
        let _ = convicts(&Replay::new(vec![of(flaw)]), flaw);
    }
}

/// As many programs as the gate gives an engine that has to convict. The engine stops at its first finding.
fn patient() -> Property {
    Property::new().cases(10_000)
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
        // A number of programs, as in the gate: tests run beside each other, and a time says little then.
        let _ = convicts(&Stress::new().time(Duration::from_secs(8)).at_least(500), flaw);
    }
}

#[test]
fn every_flaw_is_convicted_by_some_engine_and_names_no_other() {
    for flaw in FLAWS {
        assert!(!flaw.known.convicted_by.is_empty(), "{}", flaw.known.name);
        assert!(flaw.known.convicted_by.iter().all(|name| ENGINES.contains(name)), "{}", flaw.known.name);
    }
}

/// A program that convicts a flawed store is no defect by itself: it is clean on every sound subject that can run it.
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

/// A program that the property engine has made smaller convicts again, from its text, of the same defect.
#[test]
fn a_finding_replays_from_its_text() {
    for flaw in flaws("property").filter(|flaw| flaw.known.name != "flawed/waits-for-itself") {
        let finding = convicts(&patient(), flaw).finding.unwrap();
        let program = Program::parse(&finding.program).unwrap();
        assert_eq!(program.subject.as_deref(), Some(flaw.known.name));
        let _ = convicts(&Replay::new(vec![program]).repeat(50), flaw);
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

// The same seed makes the same programs: `engine::tests`, where a subject can see its programs.

#[test]
fn property_keeps_the_seed_of_a_failure_and_runs_it_first() {
    let directory = std::env::temp_dir().join(format!("latecall-seeds-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let seeds = directory.join("property.txt");
    let flaw = FLAWS.iter().find(|flaw| flaw.known.name == "flawed/panic-passes").unwrap();
    let property = Property::new().keep_failures(&seeds);
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
    let engines: [&dyn Engine; 3] =
        [&Replay::new(Vec::new()), &Property::new().cases(0), &Stress::new().time(Duration::ZERO)];
    for engine in engines {
        let report = engine.check(subject, &mut |_| ());
        assert_eq!((report.runs, report.is_clean()), (0, false), "{}", engine.name());
        assert!(report.to_string().ends_with("nothing ran: there was no program"), "{report}");
    }
    let scoped = Replay::new(vec![Program::parse("callback a\nbefore\n  invoke a\n").unwrap()]);
    let report = scoped.check(subject, &mut |_| ());
    assert_eq!((report.runs, report.not_offered), (0, 1));
    assert!(!report.is_clean());
}

/// A user's test is one line: `engine.check(…).check()`. It fails with all that there is to say.
#[test]
fn the_check_of_a_report_panics_with_the_program_and_what_happened() {
    let flaw = FLAWS.iter().find(|flaw| flaw.known.name == "flawed/freed-by-self").unwrap();
    let report = convicts(&Replay::new(vec![of(flaw)]), flaw);
    let panic = std::panic::catch_unwind(|| report.check()).expect_err("a rule was broken");
    let text = panic.downcast_ref::<String>().expect("a text");
    let finding = report.finding.as_ref().unwrap();
    assert!(text.starts_with(&format!("flawed/freed-by-self, replay: convicted of {}", finding.violation)), "{text}");
    assert!(text.contains(&finding.program), "{text}");
    let (proof, lines) = (&finding.violation.proof, &finding.timeline);
    assert!(!proof.is_empty() && lines.len() > proof.len(), "{text}");
    for (at, line) in lines.iter().enumerate() {
        let mark = if proof.contains(&at) { '>' } else { ' ' };
        assert!(text.contains(&format!("\n{mark} {:3}  {line}\n", at + 1)), "{line}: {text}");
    }

    let sound = &every(Api::linked())[1].subject;
    let program = || vec![Program::parse("callback a\nbefore\n  register a\n  fire a\n").unwrap()];
    Replay::new(program()).check(sound, &mut |_| ()).check();
}

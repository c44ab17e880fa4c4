use super::property::Property;
use super::report::{Report, counted};
use super::run::{RunOptions, execute};
use super::stress::Stress;
use super::{ENGINES, Engine};
use crate::ledger::{Answer, Call, EventKind, Witness};
use crate::program::{CallbackId, Hostile, Program, Site, Verb, VerbSet};
use crate::subject::{Env, Offer, OpenError, Session, Subject};
use crate::sync::{Mutex, lock};
use std::collections::HashMap;
use std::time::Duration;

/// A sound subject that keeps the programs that run on it. Its library never calls.
#[derive(Default)]
struct Recorder {
    programs: Mutex<Vec<Program>>,
}

#[derive(Default)]
struct Quiet(Mutex<HashMap<CallbackId, Witness>>);

impl Subject for Recorder {
    fn name(&self) -> &str {
        "recorder"
    }

    fn offer(&self) -> Offer {
        use Verb::{Churn, Forget, Hold, Open, Reach, Register, Revoke, RevokeAndWait};
        Offer::new(VerbSet::of(&[Register, Revoke, RevokeAndWait, Forget, Churn, Hold, Open, Reach]))
    }

    fn open(&self, env: &Env) -> Result<Box<dyn Session>, OpenError> {
        lock(&self.programs).extend(env.program());
        Ok(Box::<Quiet>::default())
    }
}

impl Session for Quiet {
    fn register(&self, witnesses: Vec<Witness>) -> Answer {
        lock(&self.0).extend(witnesses.into_iter().map(|witness| (witness.callback(), witness)));
        Answer::Done
    }

    fn fire(&self, _: CallbackId, _: Call) -> Answer {
        Answer::Skipped
    }

    fn revoke(&self, callback: CallbackId) -> Answer {
        lock(&self.0).remove(&callback).map_or(Answer::AlreadyRevoked, |_| Answer::Removed)
    }

    fn revoke_and_wait(&self, callback: CallbackId) -> Answer {
        lock(&self.0).remove(&callback);
        Answer::Quiescent
    }

    fn forget(&self, _: CallbackId) -> Answer {
        Answer::Done
    }

    fn churn(&self, count: u32, make: &dyn Fn() -> Witness) -> Answer {
        (0..count).for_each(|_| drop(make()));
        Answer::Done
    }

    fn shutdown(&self) -> Answer {
        lock(&self.0).clear();
        Answer::Done
    }
}

/// The programs of all runs of an engine, which finds nothing.
fn programs(engine: &dyn Engine) -> Vec<Program> {
    let recorder = Recorder::default();
    let report = engine.check(&recorder, &mut |_| ());
    report.check();
    let programs = recorder.programs.into_inner().unwrap();
    assert_eq!(programs.len() as u64, report.runs);
    programs
}

/// How many different programs there are.
fn different(programs: &[Program]) -> usize {
    programs.iter().map(ToString::to_string).collect::<std::collections::BTreeSet<_>>().len()
}

#[test]
fn property_makes_the_same_programs_from_the_same_seed() {
    let of = |seed| programs(&Property::new().cases(40).seed(seed));
    let seven = of(7);
    assert_eq!(seven.len(), 40);
    assert!(different(&seven) > 20, "{} different programs of 40", different(&seven));
    assert_eq!(seven, of(7));
    assert_ne!(seven, of(8));
}

#[test]
fn stress_makes_the_same_programs_from_the_same_seed() {
    // Without time, so that both runs end by the number of programs.
    let of = |seed| programs(&Stress::new().time(Duration::ZERO).at_least(20).repeat(2).seed(seed));
    let seven = of(7);
    assert_eq!(seven.len(), 40);
    assert!(different(&seven) > 10, "{} different programs of 20", different(&seven));
    assert!(seven.chunks(2).all(|pair| pair[0] == pair[1]), "each program is run twice");
    assert!(seven.iter().all(|program| program.threads.len() > 1));
    assert_eq!(seven, of(7));
    assert_ne!(seven, of(8));
}

/// Offers everything and keeps the programs that are about to run on it. It opens no session.
#[derive(Default)]
struct Unopened(Mutex<Vec<Program>>);

impl Subject for Unopened {
    fn name(&self) -> &str {
        "unopened"
    }

    fn offer(&self) -> Offer {
        Offer::new(VerbSet::of(Verb::ALL)).with_hostile(Hostile::ALL).with_sites(Site::ALL)
    }

    fn open(&self, env: &Env) -> Result<Box<dyn Session>, OpenError> {
        lock(&self.0).push(env.program().unwrap());
        Err(OpenError::new("this subject only records"))
    }
}

fn unopened(engine: &dyn Engine) -> Vec<Program> {
    let subject = Unopened::default();
    let report = engine.check(&subject, &mut |_| ());
    assert!(report.error.is_some(), "without a session there is no verdict");
    subject.0.into_inner().unwrap()
}

#[test]
fn the_same_seed_makes_the_same_programs_of_all_verbs_and_another_seed_makes_others() {
    let programs = |seed| unopened(&Property::new().cases(40).seed(seed));
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
    let programs = |seed| unopened(&Stress::new().seed(seed).at_least(1));
    let firsts: Vec<Vec<Program>> = (0..20).map(programs).collect();
    assert!(firsts.iter().all(|programs| programs.len() == 1));
    for (seed, first) in (0..).zip(&firsts) {
        assert_eq!(*first, programs(seed));
    }
    assert!(firsts[1..].iter().any(|other| *other != firsts[0]), "the seed changes nothing");
}

#[test]
fn a_report_says_what_it_is_and_what_bounded_it() {
    let mut report = Report::new("a/binding", "property");
    assert_eq!(report.to_string(), "a/binding, property: nothing ran: there was no program");
    report.not_offered = 2;
    let text = "a/binding, property: nothing ran: the subject does not offer what 2 programs would need";
    assert_eq!(report.to_string(), text);
    (report.programs, report.runs, report.calls, report.defused) = (1, 3, 1, 0);
    report.bounded_by = "3 runs of one program".to_owned();
    let text = "a/binding, property: no rule broken in 3 runs of 1 program, 1 call, 0 late calls defused; bounded by 3 runs \
                of one program";
    assert_eq!(report.to_string(), text);
    report.check();
    (report.exhausted, report.bounded_by) = (true, "programs: 1 exhausted".to_owned());
    assert!(report.to_string().ends_with("defused; programs: 1 exhausted"), "{report}");
    report.error = Some("no library".to_owned());
    assert_eq!(report.to_string(), "a/binding, property: no verdict: no library");
    let panic = std::panic::catch_unwind(|| report.check()).expect_err("there is no verdict");
    assert_eq!(panic.downcast_ref::<String>(), Some(&report.to_string()));
}

#[test]
fn numbers_agree_with_their_nouns() {
    let texts = [0, 1, 2].map(|n| counted(n, "run"));
    assert_eq!(texts, ["0 runs", "1 run", "2 runs"]);
}

/// A churned callback that is not freed, or is freed although it was never made, breaks a rule of its own.
#[test]
fn churn_has_to_free_what_it_makes() {
    use crate::ledger::ViolationKind::{DoubleDrop, Leak};
    let kinds = |churned| {
        let verdict = super::run::verdict(&Program::default(), crate::ledger::Contract::default(), &[], churned);
        verdict.violations.iter().map(|violation| violation.kind).collect::<Vec<_>>()
    };
    assert_eq!(kinds((3, 3)), []);
    assert_eq!(kinds((3, 2)), [Leak]);
    assert_eq!(kinds((3, 4)), [DoubleDrop]);
    let churn = Program::parse("before\n  churn 5\n").unwrap();
    let outcome = execute(&churn, &Recorder::default(), &RunOptions::new()).unwrap();
    assert!(outcome.verdict.is_clean(), "{:?}", outcome.verdict);
}

/// Disturbance changes when threads run, and nothing else: a program of one thread has the same events with and
/// without it.
#[test]
fn disturbance_adds_no_event() {
    let program = Program::parse("callback a\nbefore\n  register a\n  revoke a\n  churn 2\n").unwrap();
    let events = |options: &RunOptions| execute(&program, &Recorder::default(), options).unwrap().events;
    let plain = events(&RunOptions::new());
    assert!(plain.iter().any(|event| matches!(event.kind, EventKind::Registered { .. })));
    for seed in 0..20 {
        assert_eq!(events(&RunOptions::new().disturb(seed)), plain, "seed {seed}");
    }
}

#[test]
fn each_engine_has_the_name_by_which_the_gate_knows_it() {
    let engines: [&dyn Engine; 4] = [
        &super::replay::Replay::new(Vec::new()),
        &Property::new(),
        &Stress::new(),
        &super::model::Model::new(Vec::new()),
    ];
    assert_eq!(engines.map(Engine::name), ENGINES);
}

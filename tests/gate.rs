//! What the gate decides without a process of its own: which checks a filter means, how much each engine does, and what
//! a check runs and tells. (`cli/tests/gate.rs` runs gates.)
#![allow(clippy::disallowed_types, reason = "a user's program has no seam")]

use latecall::engine::ENGINES;
use latecall::engine::model::programs::{Size, all};
use latecall::engine::report::Report;
use latecall::gate::check::{modelled_programs, programs};
use latecall::gate::{Budget, Check, CheckMessage, CheckOptions, CheckVerdict, Expected, Gate, Selection, names};
use latecall::ledger::{Answer, Call, Contract, Quarantine, ViolationKind, Witness};
use latecall::program::seeds::SEEDS;
use latecall::program::{CallbackId, Program, Verb, VerbSet};
use latecall::subject::{
    Catalogue, Entry, Env, KnownFlaw, Library, LibraryError, Offer, OpenError, Session, Subject, suits,
};
use std::collections::HashMap;
use std::error::Error;
use std::sync::{Arc, Mutex};
use std::time::Duration;

#[global_allocator]
static ALLOCATOR: Quarantine = Quarantine::new();

const PAGE: &str = include_str!("../docs/gate.md");

/// A binding that is sound, except that a leaky one does not free what is revoked.
#[derive(Clone, Copy)]
struct Plain {
    name: &'static str,
    twin: bool,
    once: bool,
    leaks: bool,
}

#[derive(Default)]
struct Kept {
    witnesses: Mutex<HashMap<CallbackId, Arc<Witness>>>,
    leaks: bool,
    once: bool,
}

impl Subject for Plain {
    fn name(&self) -> &str {
        self.name
    }

    fn offer(&self) -> Offer {
        if self.name == NOTHING.name {
            return Offer::new(VerbSet::EMPTY);
        }
        Offer::new(VerbSet::of(&[Verb::Register, Verb::Fire, Verb::Revoke, Verb::Churn]))
    }

    fn contract(&self) -> Contract {
        if self.once { Contract::one_shot() } else { Contract::default() }
    }

    fn modelled(&self) -> Option<Box<dyn Subject>> {
        self.twin.then(|| -> Box<dyn Subject> { Box::new(*self) })
    }

    fn open(&self, _: &Env) -> Result<Box<dyn Session>, OpenError> {
        Ok(Box::new(Kept { witnesses: Mutex::default(), leaks: self.leaks, once: self.once }))
    }
}

impl Session for Kept {
    fn register(&self, witnesses: Vec<Witness>) -> Answer {
        for witness in witnesses {
            self.witnesses.lock().unwrap().insert(witness.callback(), Arc::new(witness));
        }
        Answer::Done
    }

    fn fire(&self, callback: CallbackId, call: Call) -> Answer {
        let witness = if self.once {
            self.witnesses.lock().unwrap().remove(&callback)
        } else {
            self.witnesses.lock().unwrap().get(&callback).cloned()
        };
        Answer::Value(witness.map_or(0, |witness| witness.call(&call)))
    }

    fn revoke(&self, callback: CallbackId) -> Answer {
        let witness = self.witnesses.lock().unwrap().remove(&callback);
        if self.leaks {
            std::mem::forget(witness);
        }
        Answer::Done
    }

    fn revoke_and_wait(&self, callback: CallbackId) -> Answer {
        self.revoke(callback)
    }

    fn shutdown(&self) -> Answer {
        self.witnesses.lock().unwrap().clear();
        Answer::Done
    }
}

const LEAK: KnownFlaw = KnownFlaw {
    name: "flawed/leak",
    defect: "what is revoked is never freed",
    seen_in: "",
    convicted_of: &[ViolationKind::Leak],
    convicted_by: &["replay", "property"],
    program: "callback a\nbefore\n  register a\n  revoke a\n",
};

/// Two sound subjects, one of them with a twin, one for one call each, and a flawed one.
struct Shelf;

const PLAIN: Plain = Plain { name: "mine/plain", twin: false, once: false, leaks: false };
const TWIN: Plain = Plain { name: "mine/twin", twin: true, ..PLAIN };
const ONCE: Plain = Plain { name: "mine/once", once: true, ..PLAIN };

/// Offers nothing, so nothing runs on it. Not on the shelf.
const NOTHING: Plain = Plain { name: "mine/nothing", ..PLAIN };

impl Catalogue for Shelf {
    fn list(&self, library: &Library) -> Result<Vec<Entry>, LibraryError> {
        if *library != Library::Linked {
            return Err(Box::new(NotLoaded(std::fmt::Error)));
        }
        let flawed = Plain { name: LEAK.name, leaks: true, ..PLAIN };
        Ok(vec![Entry::sound(PLAIN), Entry::sound(TWIN), Entry::sound(ONCE), Entry::flawed(flawed, LEAK)])
    }
}

/// An error with a cause.
#[derive(Debug)]
struct NotLoaded(std::fmt::Error);

impl std::fmt::Display for NotLoaded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("no such file")
    }
}

impl Error for NotLoaded {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.0)
    }
}

fn selected(selection: &Selection) -> Vec<(String, String)> {
    let checks = selection.checks(&Shelf).unwrap();
    checks.into_iter().map(|check| (check.subject, check.engine)).collect()
}

fn pairs(all: &[(&str, &[&str])]) -> Vec<(String, String)> {
    let pair = |subject: &str, engine: &&str| (subject.to_owned(), (*engine).to_owned());
    all.iter().flat_map(|(subject, engines)| engines.iter().map(move |engine| pair(subject, engine))).collect()
}

#[test]
fn a_selection_is_each_subject_with_each_engine_and_the_model_only_for_twins() {
    let without_model = &ENGINES[..3];
    let all = [
        ("mine/plain", without_model),
        ("mine/twin", &ENGINES),
        ("mine/once", without_model),
        ("flawed/leak", without_model),
    ];
    assert_eq!(selected(&Selection::new()), pairs(&all));
    let some = Selection::new().subjects(["flawed/*", "mine/t?in"]).engines(["model", "re*"]);
    assert_eq!(selected(&some), pairs(&[("mine/twin", &["replay", "model"]), ("flawed/leak", &["replay"])]));
    assert_eq!(selected(&Selection::new().subjects(["mine/plain"])), pairs(&all[..1]));
    assert_eq!(selected(&Selection::new().engines(["stress"])).len(), 4);
}

#[test]
fn a_selected_check_has_what_was_asked_for_and_what_is_known_of_its_subject() {
    let selection = Selection::new().subjects(["flawed/leak"]).seed(7).budget(Budget::Deep);
    let expected = |required| Expected::Flawed {
        defect: LEAK.defect.to_owned(),
        convicted_of: vec![ViolationKind::Leak],
        required,
    };
    for (check, required) in selection.checks(&Shelf).unwrap().iter().zip([true, true, false]) {
        assert_eq!((check.seed, check.budget), (7, Budget::Deep));
        assert_eq!(check.library, Library::Linked);
        assert_eq!(check.expected, expected(required), "{}", check.engine);
    }
    let checks = selection.checks(&Shelf).unwrap();
    assert_eq!(Gate::new(checks.clone(), "latecall").checks(), checks);
    let plain = &Selection::new().checks(&Shelf).unwrap()[0];
    assert_eq!((plain.seed, plain.budget, &plain.expected), (1, Budget::Normal, &Expected::Sound));
}

#[test]
fn what_selects_nothing_is_an_error_that_names_what_is_near() {
    let error = |selection: Selection| selection.checks(&Shelf).unwrap_err().to_string();
    let list = "(`latecall list` lists them all)";
    let near = format!("no subject matches `mine/plan`; did you mean `mine/plain`? {list}");
    assert_eq!(error(Selection::new().subjects(["mine/*", "mine/plan"])), near);
    assert_eq!(error(Selection::new().engines(["fuzzing"])), format!("no engine matches `fuzzing` {list}"));
    let unknown = names::find("mine/twim", &Shelf, &Library::Linked).unwrap_err();
    assert_eq!(unknown.to_string(), format!("there is no subject `mine/twim`; did you mean `mine/twin`? {list}"));
    assert!(unknown.source().is_none());
    assert_eq!(names::find("mine/once", &Shelf, &Library::Linked).unwrap().subject.name(), "mine/once");
}

#[test]
fn a_library_that_cannot_be_loaded_is_an_error_in_its_own_words() {
    let library = Library::Object("missing.so".into());
    let error = Selection::new().library(library.clone()).checks(&Shelf).unwrap_err();
    assert_eq!(error.to_string(), "no such file");
    assert!(error.source().is_some_and(|cause| cause.is::<std::fmt::Error>()), "its cause is the library's");
    let mut check = Check::new("mine/plain", "replay", Expected::Sound);
    check.library = library;
    assert_eq!(told(&check, CheckOptions::new()).0.error.as_deref(), Some("no such file"));
}

#[test]
fn a_budget_is_what_the_page_says() {
    let times = |n| match n {
        1 => "once".to_owned(),
        n => format!("{n} times"),
    };
    let thousands = |n: u64| {
        let digits = n.to_string();
        let groups: Vec<&str> = digits.as_bytes().rchunks(3).rev().map(|it| std::str::from_utf8(it).unwrap()).collect();
        groups.join(",")
    };
    for budget in Budget::ALL {
        let row = format!(
            "| `{budget}` | {} | {} | {} s | {}, {}, {} |",
            times(budget.repeat()),
            thousands(budget.cases().into()),
            budget.stress().as_secs_f64(),
            budget.model_ops(),
            thousands(budget.interleavings()),
            budget.preemptions(),
        );
        assert!(PAGE.contains(&row), "{row}");
    }
    assert!(PAGE.contains("The deep budget ends after 50 minutes on a subject"));
    assert_eq!(Budget::Deep.model(), Duration::from_secs(50 * 60));
    assert!(Budget::Quick.model() >= Duration::from_secs(60), "the small budgets end long before");
    let bounds = Budget::Quick.bounds(&["replay", "property", "stress", "model"]);
    assert_eq!(
        bounds,
        "budget quick (on each sound subject the seed programs as written; 100 generated programs; 100 ms of generated \
         programs under disturbance; programs of 2 ops: every interleaving if 100 are enough, otherwise those with at \
         most 1 preemption)"
    );
}

#[test]
fn replay_runs_the_flaws_own_program_then_the_seeds_and_on_a_sound_subject_those_of_all_flaws() {
    let leak = Program::parse(LEAK.program).unwrap();
    let waits = KnownFlaw { program: "callback a\nbefore\n  register a\n  revoke_and_wait a\n", ..LEAK };
    let seeds: Vec<Program> = SEEDS.iter().map(|seed| seed.program()).filter(|program| suits(program, &ONCE)).collect();
    assert!(seeds.len() < SEEDS.len(), "some seeds do not suit every subject");
    let sound = programs(None, &[LEAK, waits], &ONCE);
    assert_eq!(sound[..seeds.len()], seeds);
    assert_eq!(sound[seeds.len()..], [leak.clone(), Program::parse(waits.program).unwrap()]);
    let flawed = programs(Some(&LEAK), &[LEAK, waits], &ONCE);
    assert_eq!((&flawed[0], &flawed[1..]), (&leak, &seeds[..]));
}

#[test]
fn the_model_explores_the_flaws_own_program_and_then_all_of_so_many_ops() {
    let two = all(PLAIN.offer().verbs, Size { ops: 2, in_a_thread: 2 });
    assert!(!two.is_empty());
    assert_eq!(modelled_programs(None, &PLAIN, 2), two);
    let flawed = modelled_programs(Some(&LEAK), &PLAIN, 2);
    assert_eq!((&flawed[0], &flawed[1..]), (&Program::parse(LEAK.program).unwrap(), &two[..]));
}

/// A catalogue of [`NOTHING`], and perhaps a flaw.
struct Only(bool);

impl Catalogue for Only {
    fn list(&self, _: &Library) -> Result<Vec<Entry>, LibraryError> {
        let flawed = self.0.then(|| Entry::flawed(Plain { name: LEAK.name, ..PLAIN }, LEAK));
        Ok([Entry::sound(NOTHING)].into_iter().chain(flawed).collect())
    }
}

/// Runs a check. Its report, and what it told before the report.
fn told(check: &Check, options: CheckOptions) -> (Report, Vec<CheckMessage>) {
    let mut messages = Vec::new();
    let report = check.run(&Shelf, options, &mut |message| messages.push(message));
    assert_eq!(messages.pop(), Some(CheckMessage::Report(report.clone())), "the report is the last message");
    (report, messages)
}

fn check(subject: &str, engine: &str) -> Check {
    let mut check = Check::new(subject, engine, Expected::Sound);
    check.budget = Budget::Quick;
    check
}

#[test]
fn a_check_of_what_there_is_not_has_no_verdict() {
    let (report, messages) = told(&check("mine/plane", "replay"), CheckOptions::new());
    assert_eq!((report.subject.as_str(), report.engine.as_str(), report.runs), ("mine/plane", "replay", 0));
    assert!(report.error.as_ref().is_some_and(|error| error.starts_with("there is no subject `mine/plane`")));
    assert_eq!(messages, []);
    let (report, _) = told(&check("mine/plain", "guess"), CheckOptions::new());
    assert_eq!(report.error.unwrap(), "there is no engine `guess`; there are replay, property, stress, model");
}

#[test]
fn a_check_runs_the_engines_own_programs_on_its_subject() {
    for subject in ["mine/plain", "mine/once"] {
        let (report, messages) = told(&check(subject, "property"), CheckOptions::new());
        report.check();
        assert_eq!((report.subject.as_str(), report.engine.as_str()), (subject, "property"));
        assert_eq!(report.bounded_by, "100 generated programs, seed 1");
        assert!(matches!(&messages[..], [CheckMessage::Progress(_), ..]), "the first progress is told at once");
    }
    let nothing = |shelf: &dyn Catalogue| check(NOTHING.name, "replay").run(shelf, CheckOptions::new(), &mut |_| {});
    let (seeds, with_flaws) = (nothing(&Only(false)), nothing(&Only(true)));
    assert_eq!(with_flaws.not_offered, seeds.not_offered + 1, "the programs of the catalogue's flaws, too");
    let (leaky, _) = told(&check("flawed/leak", "replay"), CheckOptions::new());
    assert_eq!(leaky.convicted_of(), Some(ViolationKind::Leak));
    assert_eq!(leaky.programs, 1, "its own program comes first");
}

#[test]
fn a_check_of_one_program_runs_only_that_and_tells_the_timeline_if_asked_and_clean() {
    let clean = || Program::parse("callback a\nbefore\n  register a\n  fire a 1 2 = 3\n").unwrap();
    for engine in ["replay", "property", "stress"] {
        let (report, messages) = told(&check("mine/plain", engine), CheckOptions::new().program(clean()).repeat(3));
        report.check();
        assert_eq!((report.programs, report.runs, report.engine.as_str()), (1, 3, engine));
        assert_eq!(report.bounded_by, "3 runs of one program");
        assert!(!messages.iter().any(|it| matches!(it, CheckMessage::Timeline(_))), "not asked for");
    }
    let once = |text: &str| {
        let options = CheckOptions::new().program(Program::parse(text).unwrap()).timeline(true).repeat(0);
        let (report, messages) = told(&check("mine/plain", "replay"), options);
        assert_eq!(report.bounded_by, "one run of one program");
        messages.into_iter().find_map(|it| if let CheckMessage::Timeline(lines) = it { Some(lines) } else { None })
    };
    let timeline = once("callback a\nbefore\n  register a\n  fire a 1 2 = 3\n").expect("a timeline");
    assert!(timeline.iter().any(|line| line.contains("fire a 1 2")), "{timeline:#?}");
    assert_eq!(once("callback a\nbefore\n  register a\n  fire a 1 2 = 4\n"), None, "the report has one");
}

#[test]
fn a_check_with_the_model_explores_the_twin() {
    let text = "callback a\nbefore\n  register a\n  fire a\n  revoke a\n";
    let options = || CheckOptions::new().program(Program::parse(text).unwrap());
    let (report, _) = told(&check("mine/twin", "model"), options());
    report.check();
    assert_eq!((report.engine.as_str(), report.exhausted), ("model", true));
    let (report, _) = told(&check("mine/plain", "model"), options());
    assert!(!report.exhausted && report.runs == 0, "it has no twin: {report}");
}

#[test]
fn a_verdict_prints_as_reports_have_it() {
    use CheckVerdict::*;
    let of = ViolationKind::Leak;
    let texts = [
        (Clean, "clean"),
        (Convicted { of }, "convicted of Leak"),
        (NotRequired, "not required to convict it"),
        (NotConvicted, "not convicted"),
        (WrongReason { of }, "convicted of Leak, which is not its defect"),
        (Unsound { of }, "unsound: Leak"),
        (Crashed, "crashed"),
        (NothingRan, "nothing ran"),
        (HarnessError { text: "no library".to_owned() }, "harness error: no library"),
    ];
    for (verdict, text) in texts {
        assert_eq!(verdict.to_string(), text);
    }
}

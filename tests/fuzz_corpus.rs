//! The committed fuzz corpus, replayed without a fuzzer: every input is clean on every sound subject, the same inputs
//! convict flawed subjects, and every text either prints back to itself or is refused at a place.

use latecall::engine::fuzz::{self, Input, Subjects};
use latecall::ledger::{Quarantine, ViolationKind};
use latecall::program::{Verb, VerbSet};
use latecall::subject::{Catalogue, Library};
use latecall_bundled::BUNDLED;
use latecall_bundled::emitter::Api;
use latecall_bundled::flawed::FLAWS;
use std::path::Path;

#[global_allocator]
static ALLOCATOR: Quarantine = Quarantine::new();

/// The inputs of a target, by file name.
fn corpus(target: &str) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let listed = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut inputs: Vec<_> = listed
        .map(|entry| {
            let entry = entry.unwrap();
            (entry.file_name().into_string().unwrap(), std::fs::read(entry.path()).unwrap())
        })
        .collect();
    inputs.sort();
    assert!(inputs.len() >= 10, "{}: {} inputs: nothing is replayed", folder.display(), inputs.len());
    inputs
}

#[test]
fn every_program_is_clean_on_every_sound_subject() {
    let subjects = Subjects::sound(BUNDLED).unwrap();
    let (mut calls, mut defused) = (0, 0);
    for (name, bytes) in corpus("programs") {
        for input in subjects.inputs(&bytes) {
            let outcome = input.check().unwrap_or_else(|failure| panic!("corpus/programs/{name}: {failure}"));
            calls += outcome.verdict.calls;
            defused += outcome.verdict.defused;
        }
    }
    // A corpus in which nothing happens would be clean too.
    assert!(calls > 1000, "{calls} calls");
    assert!(defused > 50, "{defused} late calls");
}

/// A fuzz target is one executable with its sanitizer: it loads no object that has another one.
#[test]
fn a_fuzz_target_runs_the_sound_subjects_that_load_nothing() {
    let listed = BUNDLED.list(&Library::Linked).unwrap();
    let linked = listed.iter().filter(|it| it.flaw.is_none() && !it.subject.name().starts_with("loaded/"));
    let linked: Vec<&str> = linked.map(|it| it.subject.name()).collect();
    let subjects = Subjects::sound(BUNDLED).unwrap();
    assert_eq!(subjects.iter().map(|it| it.name()).collect::<Vec<_>>(), linked);
    assert!(linked.len() < listed.iter().filter(|it| it.flaw.is_none()).count(), "some are loaded");
}

#[test]
fn the_corpus_uses_every_verb() {
    let subjects = Subjects::sound(BUNDLED).unwrap();
    let corpus = corpus("programs");
    let inputs: Vec<Input<'_>> = corpus.iter().flat_map(|(_, bytes)| subjects.inputs(bytes)).collect();
    let used = inputs.iter().fold(VerbSet::default(), |used, input| used.union(input.program().verbs()));
    let offered = subjects.iter().fold(VerbSet::default(), |all, it| all.union(it.offer().verbs));
    // `shutdown` is generated in `after` only; it counts like any other verb.
    let unused = offered.minus(used);
    assert!(unused.is_empty(), "no input uses {:?}", unused.iter().map(Verb::name).collect::<Vec<_>>());
}

/// The replay is able to fail: the same inputs convict what is flawed.
#[test]
fn some_programs_convict_flawed_subjects() {
    let corpus = corpus("programs");
    let mut convicted = Vec::new();
    for flaw in FLAWS {
        // A crash would end this process. A deadlock leaves its threads behind and takes half a second.
        if flaw.crashes || flaw.known.convicted_of.contains(&ViolationKind::Deadlock) {
            continue;
        }
        let subject = flaw.subject(Api::linked());
        let found = corpus.iter().find_map(|(_, bytes)| {
            let failure = Input::new(&subject, bytes).check().err()?;
            let verdict = &failure.outcome.as_ref().ok()?.verdict;
            flaw.known.convicted_of.iter().any(|kind| verdict.has(*kind)).then(|| failure.to_string())
        });
        if let Some(report) = found {
            // The reader of a fuzz target's panic needs all of this.
            assert!(report.starts_with(&format!("{} is convicted\n", flaw.known.name)), "{report}");
            assert!(report.contains(&format!("\nsubject {}\n", flaw.known.name)), "{report}");
            assert!(report.contains("\nwhat happened:\n"), "{report}");
            convicted.push(flaw.known.name);
        }
    }
    assert!(convicted.contains(&"flawed/raw-box"), "{convicted:?}");
    assert!(convicted.len() >= 6, "{convicted:?}");
}

#[test]
fn every_text_is_a_program_that_prints_back_or_is_refused() {
    let programs = corpus("parser").iter().filter(|(_, bytes)| fuzz::parser(bytes)).count();
    assert!(programs >= 5, "only {programs} texts are programs");
}

#[test]
fn an_unknown_subject_is_refused_with_the_names_there_are() {
    let refused = Subjects::named("flawed/raw-bo", BUNDLED).unwrap_err().to_string();
    for name in ["flawed/raw-bo:", "registry/waits", "locked/table", "flawed/raw-box"] {
        assert!(refused.contains(name), "{refused}");
    }
}

//! What the catalogue promises to the gate, the fuzz targets and `latecall list`.

use latecall::engine::run::applicable;
use latecall::program::Program;
use latecall::subject::{Catalogue, Entry, Library, Subject};
use latecall_bundled::BUNDLED;
use latecall_bundled::catalogue::{Bundled, every, find, loaded, modelled_over};
use latecall_bundled::emitter::{Api, Mode, bundled_object, older_object};
use latecall_bundled::flawed::FLAWS;
use std::collections::BTreeSet;

fn libraries() -> [Library; 2] {
    [Library::Linked, Library::Object(bundled_object())]
}

fn names(entries: &[Entry]) -> Vec<String> {
    entries.iter().map(|it| it.subject.name().to_owned()).collect()
}

fn mode_names(prefix: &str) -> Vec<String> {
    Mode::ALL.iter().map(|mode| format!("{prefix}/{}", mode.name())).collect()
}

#[test]
fn names_are_unique() {
    for library in libraries() {
        let names = names(&BUNDLED.list(&library).unwrap());
        let distinct: BTreeSet<&String> = names.iter().collect();
        assert_eq!(distinct.len(), names.len(), "over {library:?} a name is listed twice: {names:#?}");
    }
}

/// `Subject::name` says which characters a name has.
#[test]
fn names_have_only_the_characters_that_subjects_may_use() {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "_/.-".contains(c);
    for name in names(&BUNDLED.list(&Library::Linked).unwrap()) {
        assert!(!name.is_empty() && name.chars().all(allowed), "{name:?} is not [a-z0-9_/.-]+");
    }
}

/// The order of reports: the sound subjects, and then each flaw, in the order of `FLAWS`. Over a shared object there is
/// no second registry.
#[test]
fn the_list_has_two_stores_in_every_mode_the_loaded_registry_and_every_flaw() {
    let flaws = FLAWS.iter().map(|flaw| flaw.known.name.to_owned());
    for library in libraries() {
        let mut expected = [mode_names("registry"), mode_names("locked")].concat();
        if library == Library::Linked {
            expected.extend(mode_names("loaded/registry"));
        }
        expected.extend(flaws.clone());
        assert_eq!(names(&BUNDLED.list(&library).unwrap()), expected, "over {library:?}");
    }
}

/// What is found is what was listed: the same name, flaw and variant, and a subject that offers the same.
#[test]
fn every_listed_subject_is_found_by_its_name() {
    for library in libraries() {
        for listed in BUNDLED.list(&library).unwrap() {
            let name = listed.subject.name();
            let found = BUNDLED.find(name, &library).unwrap();
            let found = found.unwrap_or_else(|| panic!("{name} is listed over {library:?} and not found"));
            assert_eq!(found.subject.name(), name);
            assert_eq!(found.flaw, listed.flaw, "{name}");
            assert_eq!(found.variant, listed.variant, "{name}");
            assert_eq!(found.subject.offer(), listed.subject.offer(), "{name}");
            assert_eq!(found.subject.contract(), listed.subject.contract(), "{name}");
        }
    }
}

#[test]
fn an_unknown_name_finds_nothing() {
    let unknown = ["", "registry", "registry/", "registry/none", "Registry/waits", "flawed/none", "raw-box", "waits"];
    for library in libraries() {
        for name in unknown {
            let found = BUNDLED.find(name, &library).unwrap();
            assert!(found.is_none(), "{name:?} finds {found:?} over {library:?}");
        }
    }
    for name in unknown {
        assert!(find(name, Api::linked()).is_none(), "{name:?}");
        assert!(modelled_over(name, Api::modelled()).is_none(), "{name:?}");
    }
}

/// `loaded/registry/MODE` is for the gate over the linked library. Over a shared object it would be `registry/MODE`
/// again.
#[test]
fn the_loaded_registry_is_found_over_the_linked_library_only() {
    let object = Library::Object(bundled_object());
    for name in mode_names("loaded/registry") {
        assert!(BUNDLED.find(&name, &Library::Linked).unwrap().is_some(), "{name}");
        assert!(BUNDLED.find(&name, &object).unwrap().is_none(), "{name}");
        assert!(find(&name, Api::linked()).is_none(), "{name}: `find` says that it does not find it");
    }
}

#[test]
fn exactly_the_subjects_with_a_known_defect_are_flawed() {
    for entry in BUNDLED.list(&Library::Linked).unwrap() {
        let name = entry.subject.name().to_owned();
        let flaw = FLAWS.iter().find(|flaw| flaw.known.name == name);
        assert_eq!(entry.flaw, flaw.map(|flaw| flaw.known), "{name}");
        assert_eq!(name.starts_with("flawed/"), entry.flaw.is_some(), "{name}");
    }
}

/// The variant is the mode that the subject binds: a sound subject's name ends with it, and a flaw says which it needs.
#[test]
fn the_variant_is_the_mode() {
    for entry in BUNDLED.list(&Library::Linked).unwrap() {
        let name = entry.subject.name();
        let expected = match FLAWS.iter().find(|flaw| flaw.known.name == name) {
            Some(flaw) => flaw.mode.name(),
            None => name.rsplit('/').next().unwrap(),
        };
        assert_eq!(entry.variant, expected, "{name}");
        assert_eq!(entry.subject.contract().once, expected == Mode::Once.name(), "{name}");
    }
}

/// Only what the stores have may differ between the sound subjects of a mode: a rule that blames all of them is wrong,
/// and one that blames a single subject has found something.
#[test]
fn the_sound_subjects_of_a_mode_offer_the_same_ops_and_switches() {
    let all: Vec<Bundled> = every(Api::linked()).into_iter().chain(loaded(Api::linked())).collect();
    let offer = |prefix: &str, mode: Mode| {
        let name = format!("{prefix}/{}", mode.name());
        all.iter().find(|it| it.subject.name() == name).unwrap_or_else(|| panic!("no {name}")).subject.offer()
    };
    for mode in Mode::ALL {
        let registry = offer("registry", mode);
        for prefix in ["locked", "loaded/registry"] {
            let other = offer(prefix, mode);
            assert_eq!(other.verbs, registry.verbs, "{prefix}/{}", mode.name());
            assert_eq!(other.hostile, registry.hostile, "{prefix}/{}", mode.name());
            assert_eq!(other.capacity, registry.capacity, "{prefix}/{}", mode.name());
        }
    }
}

/// A subject that generated programs crash must not take a search down with it. Every other subject has a twin, which
/// `convicted_by` counts on.
#[test]
fn every_subject_has_a_twin_unless_it_crashes() {
    for Bundled { subject, flaw } in every(Api::linked()) {
        let name = subject.name();
        let crashes = flaw.is_some_and(|flaw| flaw.crashes);
        let by_model = flaw.is_none_or(|flaw| flaw.known.convicted_by.contains(&"model"));
        assert_eq!(by_model, !crashes, "{name}: `convicted_by` and `crashes` disagree on the model engine");
        for twin in [subject.modelled(), modelled_over(name, Api::modelled())] {
            assert_eq!(twin.as_ref().map(|twin| twin.name()), (!crashes).then_some(name));
            let Some(twin) = twin else { continue };
            assert_eq!(twin.offer(), subject.offer(), "{name}");
            assert_eq!(twin.contract(), subject.contract(), "{name}");
            assert!(twin.modelled().is_none(), "{name}: the twin has a twin");
        }
    }
}

/// What `applicable` compares: ops, hostile switches and stall sites.
#[test]
fn the_program_of_each_flaw_stays_within_what_its_subject_offers() {
    for flaw in FLAWS {
        let name = flaw.known.name;
        let program = Program::parse(flaw.known.program).unwrap_or_else(|error| panic!("{name}: {error}"));
        applicable(&program, &flaw.subject(Api::linked())).unwrap_or_else(|error| panic!("{name}: {error}"));
    }
}

#[test]
fn a_library_that_cannot_be_loaded_is_an_error_and_not_an_empty_catalogue() {
    for path in ["no/such/libemitter.so".into(), older_object()] {
        let library = Library::Object(path.clone());
        let listed = BUNDLED.list(&library).expect_err("list over an object that cannot be used");
        let found = BUNDLED.find("registry/waits", &library).expect_err("find over an object that cannot be used");
        for text in [listed.to_string(), found.to_string()] {
            assert!(text.contains(&path.display().to_string()), "{text}: no word of {}", path.display());
        }
    }
}

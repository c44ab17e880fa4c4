//! The build helper: each form of input, and each reason to refuse one, with what it tells.
#![cfg(feature = "harness")]

use latecall::model::instrument::{Instrument, Refused};
use std::path::{Path, PathBuf};

fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

fn refused(name: &str, source: &str) -> Refused {
    let folder = folder(name);
    let file = folder.join(format!("{name}.c"));
    std::fs::write(&file, source).unwrap();
    Instrument::new(name).file(file).build(&folder).unwrap_err()
}

#[test]
fn what_blocks_and_is_not_modelled_is_refused_by_name() {
    let source = "#include <poll.h>\nint waits(void) { return poll(0, 0, -1); }\n";
    let refused = refused("polls", source);
    assert!(refused.to_string().contains("`poll` in 0.polls.o"), "{refused}");
    assert!(matches!(refused, Refused::Unmodelled(symbols) if symbols.len() == 1));
}

#[test]
fn thread_local_variables_are_refused_by_name() {
    let refused = refused("locals", "static __thread int mine;\nint *get(void) { return &mine; }\n");
    assert!(refused.to_string().contains("`mine` in 0.locals.o"), "{refused}");
}

#[test]
fn an_object_that_was_not_instrumented_is_refused_by_name() {
    let folder = folder("blind");
    let (source, object) = (folder.join("blind.c"), folder.join("blind.o"));
    std::fs::write(&source, "int f(int *p) { return *p; }\n").unwrap();
    let compiled = std::process::Command::new("cc").arg("-c").arg(&source).arg("-o").arg(&object).status().unwrap();
    assert!(compiled.success());
    let refused = Instrument::new("blind").object(&object).build(&folder).unwrap_err();
    assert_eq!(refused, Refused::NotInstrumented([String::from("blind.o")].into()), "{refused}");
}

#[test]
fn an_existing_archive_is_instrumented() {
    let folder = folder("archive");
    let source = folder.join("twice.c");
    std::fs::write(&source, "#include <stdlib.h>\nint count;\nint *twice(int n) { count += n; return malloc(8); }\n")
        .unwrap();
    let once = Instrument::new("once").file(&source).build(&folder);
    let once = once.unwrap();
    // Its calls of the model have been renamed already: what is left has to be a library like any other.
    let refused = Instrument::new("again").object(&once).build(&folder).unwrap_err();
    assert!(matches!(refused, Refused::NotInstrumented(_)), "{refused}");
    let object = folder.join("twice.o");
    let flags = latecall::model::instrument::COMPILER_FLAGS;
    let compiled =
        std::process::Command::new("cc").args(flags).arg("-c").arg(&source).arg("-o").arg(&object).status().unwrap();
    assert!(compiled.success());
    let archive = Instrument::new("other").object(&object).build(&folder).unwrap();
    let symbols = std::process::Command::new("nm").arg(archive).output().unwrap();
    let symbols = String::from_utf8(symbols.stdout).unwrap();
    for symbol in ["T other_twice", "other_count", "U latecall_model_malloc", "U latecall_model___tsan_write4"] {
        assert!(symbols.contains(symbol), "{symbol}:\n{symbols}");
    }
}

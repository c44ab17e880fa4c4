//! A process without the quarantine allocator, which a binding's author may have forgotten: no verdict, and a sentence
//! that says what to add. (This file must not install the allocator.)

use latecall::engine::Engine;
use latecall::engine::property::Property;
use latecall::engine::run::{RunError, RunOptions, execute};
use latecall::ledger::Quarantine;
use latecall::program::Program;
use latecall_bundled::catalogue::every;
use latecall_bundled::emitter::Api;

#[test]
fn nothing_is_run_without_the_quarantine() {
    assert!(!Quarantine::is_installed());
    let subject = &every(Api::linked())[1].subject;
    let program = Program::parse("callback a\nbefore\n  register a\n").unwrap();
    let error = execute(&program, subject, &RunOptions::default()).unwrap_err();
    assert!(matches!(error, RunError::NoQuarantine), "{error:?}");
    assert!(error.to_string().contains("#[global_allocator]"), "{error}");

    let report = Property::default().check(subject, &mut |_| ());
    assert_eq!(report.runs, 0);
    assert!(report.error.as_ref().is_some_and(|text| text.contains("#[global_allocator]")), "{report}");
    assert!(!report.is_clean());
}

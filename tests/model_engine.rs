//! The model engine: programs, on the same subjects, in every interleaving.
#![cfg(feature = "harness")]

use latecall::emitter::Api;
use latecall::engine::model::{explore, freed};
use latecall::model::Options;
use latecall::program::Program;
use latecall::subject::{Subject, catalogue};

#[global_allocator]
static ALLOCATOR: latecall::ledger::Quarantine = latecall::ledger::Quarantine::new();

#[test]
fn first() {
    for subject in ["registry/waits", "locked/waits", "registry/returns"] {
        for (a, b) in [
            ("fire a 1 2", "revoke_and_wait a"),
            ("fire a 1 2", "revoke a"),
            ("post a 1 2", "revoke_and_wait a"),
            ("fire a\n  fire a", "revoke_and_wait a"),
            ("fire a\n  fire a", "fire a\n  revoke a"),
        ] {
            let text = format!("callback a\nbefore\n  register a\nthread\n  {a}\nthread\n  {b}\n");
            let program = Program::parse(&text).unwrap();
            let subject = catalogue::find(subject, Api::linked()).unwrap();
            let explored = explore(&program, &subject.subject, &Options::new(), &mut |_| {}).unwrap();
            println!(
                "{} | {a} | {b}: {:?} {} calls {} defused {}",
                subject.subject.name(),
                explored.violation,
                explored.exploration,
                explored.calls,
                explored.defused
            );
        }
    }
}

#[test]
fn flaws() {
    for flaw in latecall::flawed::FLAWS {
        let program = freed(&Program::parse(flaw.program).unwrap());
        let subject = flaw.subject(Api::linked());
        if flaw.crashes {
            continue;
        }
        match explore(&program, &subject, &Options::new().max_interleavings(20000), &mut |_| {}) {
            Ok(e) => println!("{}: {:?} {}", flaw.name, e.violation.map(|v| v.to_string()), e.exploration),
            Err(e) => println!("{}: error {e}", flaw.name),
        }
    }
}
#[test]
fn one() {
    let program =
        Program::parse("callback a\nbefore\n  register a\nthread\n  fire a 1 2\nthread\n  revoke_and_wait a\n")
            .unwrap();
    let subject = catalogue::find(&std::env::var("SUBJ").unwrap(), Api::linked()).unwrap();
    match explore(&program, &subject.subject, &Options::new(), &mut |_| {}) {
        Ok(e) => println!("{}", e.exploration),
        Err(e) => println!("{e}"),
    }
}

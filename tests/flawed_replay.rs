#![allow(missing_docs)]
use latecall::emitter::Api;
use latecall::engine::run::{Options, execute};
use latecall::flawed::FLAWS;
use latecall::program::Program;

#[global_allocator]
static ALLOCATOR: latecall::ledger::Quarantine = latecall::ledger::Quarantine::new();

#[test]
fn each_flaw_is_convicted_by_its_own_program() {
    for flaw in FLAWS.iter().filter(|f| !f.crashes) {
        let program = Program::parse(flaw.program).unwrap_or_else(|e| panic!("{}: {e}", flaw.name));
        let t = std::time::Instant::now();
        let outcome = execute(&program, &flaw.subject(Api::linked()), &Options::default()).unwrap();
        println!("{} {:?} {:?}", flaw.name, outcome.verdict, t.elapsed());
        if !outcome.verdict.violations.iter().any(|v| flaw.convicted_of.contains(&v.kind)) { println!("  NOT CONVICTED\n{:#?}", outcome.events); }
    }
}

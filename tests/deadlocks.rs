//! A deadlock is a verdict that names the waiting threads and their callbacks.

use latecall::engine::run::{RunOptions, execute};
use latecall::ledger::{Quarantine, ViolationKind};
use latecall::program::Program;
use latecall_bundled::catalogue::find;
use latecall_bundled::emitter::Api;
use std::time::Duration;

#[global_allocator]
static ALLOCATOR: Quarantine = Quarantine::new();

/// S41: a waits for b and b waits for a. The harness must report the deadlock and must not hang.
#[test]
fn two_callbacks_that_wait_for_each_other_are_named() {
    // Both calls are inside before either waits.
    let text = "callback a\n  hold i\n  revoke_and_wait b\n\
                callback b\n  hold j\n  revoke_and_wait a\n\
                before\n  register a b\n\
                thread\n  fire a\n\
                thread\n  fire b\n\
                thread\n  reach i\n  reach j\n  open i\n  open j\n";
    let program = Program::parse(text).unwrap();
    for name in ["registry/returns", "locked/returns"] {
        let subject = find(name, Api::linked()).unwrap().subject;
        let options = RunOptions::new().deadlock_after(Duration::from_millis(200));
        let outcome = execute(&program, &subject, &options).unwrap();
        assert!(outcome.verdict.has(ViolationKind::Deadlock), "{name}: {:?}", outcome.verdict);
        let text = &outcome.verdict.violations.last().unwrap().text;
        assert!(text.contains("t1, inside `a`, waits in `revoke_and_wait b` for t2"), "{name}: {text}");
        assert!(text.contains("t2, inside `b`, waits in `revoke_and_wait a` for t1"), "{name}: {text}");
    }
}

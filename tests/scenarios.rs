//! The seed programs on every sound subject, linked and loaded. Each seed holds, some subject runs it, each order that
//! it forces was forced, and each of its expectations can fail.

use latecall::engine::run::{RunError, RunOptions, execute};
use latecall::program::Op;
use latecall::program::seeds::SEEDS;
use latecall::subject::{Subject, suits};
use latecall_bundled::catalogue::every;
use latecall_bundled::emitter::{Api, bundled_object};

#[global_allocator]
static ALLOCATOR: latecall::ledger::Quarantine = latecall::ledger::Quarantine::new();

/// Seeds whose order cannot be forced on some library, because it waits where the seed needs it to go on.
const MAY_GIVE_UP: &[&str] = &[
    "s18_waited_for_while_running",
    "s26_two_revokers",
    "s63_panics_while_waited_for",
    // `unsubscribe` waits in these modes, as documented.
    "destroy_notify_misbehaves",
];

fn every_seed_holds_over(api: &'static Api) {
    let mut failures = Vec::new();
    for seed in SEEDS {
        let program = seed.program();
        let mut ran = 0;
        for it in every(api).iter().filter(|it| it.flaw.is_none() && suits(&program, &it.subject)) {
            let outcome = match execute(&program, &it.subject, &RunOptions::default()) {
                Ok(outcome) => outcome,
                Err(RunError::NotOffered(_)) => continue,
                Err(error) => panic!("{} on {}: {error}", seed.name, it.subject.name()),
            };
            ran += 1;
            for violation in &outcome.verdict.violations {
                failures.push(format!("{} on {}: {violation}", seed.name, it.subject.name()));
            }
            if outcome.verdict.gave_up > 0 && !MAY_GIVE_UP.contains(&seed.name) {
                failures.push(format!("{} on {}: its order was not forced", seed.name, it.subject.name()));
            }
        }
        if ran == 0 {
            failures.push(format!("{}: no subject runs it", seed.name));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn every_seed_holds_on_every_sound_subject_linked() {
    every_seed_holds_over(Api::linked());
}

#[test]
fn every_seed_holds_on_every_sound_subject_loaded() {
    every_seed_holds_over(Api::load(&bundled_object()).unwrap());
}

/// With each expectation of each seed made false in turn, the verdict must have a violation.
#[test]
fn every_expectation_of_every_seed_can_fail() {
    use latecall::ledger::ViolationKind;
    use latecall::program::{Expect, Program};
    let mut checked = 0;
    for seed in SEEDS {
        let program = seed.program();
        let subjects = every(Api::linked());
        let Some(it) = subjects.iter().find(|it| {
            it.flaw.is_none()
                && suits(&program, &it.subject)
                && execute(&program, &it.subject, &RunOptions::default()).is_ok()
        }) else {
            panic!("{}: no subject runs it", seed.name)
        };
        let falsify = |program: &mut Program, n: usize| {
            let Program { callbacks, before, threads, after, .. } = program;
            let bodies = callbacks.iter_mut().flat_map(|c| &mut c.body);
            let steps = bodies.chain(before).chain(threads.iter_mut().flatten()).chain(after);
            let step = steps.filter(|s| s.expect.is_some()).nth(n)?;
            step.expect = match step.expect? {
                Expect::Value(v) => Some(Expect::Value(v + 1_000_000)),
                Expect::Late => Some(Expect::Value(1)),
                Expect::Refused if matches!(step.op, Op::Register(_)) => {
                    return None; // A registration can expect no other answer than `refused`.
                }
                Expect::Removed | Expect::InFlight(_) | Expect::AlreadyRevoked => Some(Expect::InFlight(77)),
                Expect::Quiescent => Some(Expect::Deferred),
                Expect::Deferred => Some(Expect::Quiescent),
                Expect::Refused => Some(Expect::Value(1)),
                other => panic!("no false answer in place of `{other}`"),
            };
            Some(())
        };
        for n in 0.. {
            let mut wrong = program.clone();
            if program.steps().filter(|s| s.expect.is_some()).count() <= n {
                break;
            }
            if falsify(&mut wrong, n).is_none() {
                continue;
            }
            let outcome = execute(&wrong, &it.subject, &RunOptions::default()).unwrap();
            assert!(
                outcome.verdict.has(ViolationKind::Unexpected),
                "{}: expectation {n} cannot fail:\n{wrong}\n{:?}",
                seed.name,
                outcome.verdict
            );
            checked += 1;
        }
    }
    assert!(checked > 60, "only {checked} expectations were falsified");
}

//! One run: what it says about a subject that misbehaves in ways no event reports, and about programs it cannot judge.
//! The subjects here are somebody else's: they know the harness by its two traits only.
#![allow(clippy::disallowed_types, reason = "a user's program has no seam")]

use latecall::engine::run::{RunError, RunOptions, execute};
use latecall::ledger::{Answer, Call, Quarantine, ViolationKind, Witness, stray_events};
use latecall::program::{CallbackId, Program, Verb, VerbSet};
use latecall::subject::Env;
use latecall::subject::{Offer, OpenError, Session, Subject};
use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

#[global_allocator]
static ALLOCATOR: Quarantine = Quarantine::new();

/// How a [`Plain`] session misbehaves.
#[derive(Clone, Copy, PartialEq)]
enum Manner {
    Sound,
    /// `revoke` panics.
    Panics,
    /// `revoke` never comes back, and sleeps.
    Sleeps,
    /// `revoke` never comes back, and is busy.
    Spins,
    /// It cannot be opened.
    Closed,
    /// It drops its witnesses at once and calls the freed memory.
    Dangles,
    /// It leaves its witnesses in [`KEPT`], for the time after the run.
    Keeps,
}

static KEPT: Mutex<Vec<Witness>> = Mutex::new(Vec::new());

struct Plain(Manner);

struct Kept {
    witnesses: Mutex<HashMap<CallbackId, Arc<Witness>>>,
    dangling: Mutex<HashMap<CallbackId, usize>>,
    manner: Manner,
}

impl Subject for Plain {
    fn name(&self) -> &str {
        "plain"
    }

    fn offer(&self) -> Offer {
        use Verb::*;
        let verbs = VerbSet::of(&[Register, Fire, Forget, Revoke, RevokeAndWait, Hold, Open, Reach]);
        Offer { verbs, ..Offer::default() }
    }

    fn open(&self, _: &Env) -> Result<Box<dyn Session>, OpenError> {
        if self.0 == Manner::Closed {
            return Err(OpenError("out of handles".to_owned()));
        }
        Ok(Box::new(Kept { witnesses: Mutex::default(), dangling: Mutex::default(), manner: self.0 }))
    }
}

impl Session for Kept {
    fn register(&self, witnesses: Vec<Witness>) -> Answer {
        for witness in witnesses {
            let id = witness.callback();
            if self.manner == Manner::Dangles {
                let address = Box::into_raw(Box::new(witness));
                self.dangling.lock().unwrap().insert(id, address.expose_provenance());
                // SAFETY: just made, freed once; that it is used afterwards is what the test is about.
                drop(unsafe { Box::from_raw(address) });
            } else if self.manner == Manner::Keeps {
                KEPT.lock().unwrap().push(witness);
            } else {
                self.witnesses.lock().unwrap().insert(id, Arc::new(witness));
            }
        }
        Answer::Done
    }

    fn fire(&self, callback: CallbackId, call: Call) -> Answer {
        if let Some(address) = self.dangling.lock().unwrap().get(&callback) {
            // SAFETY: it is not alive. The quarantine keeps its bytes, which is what this shows.
            let witness = unsafe { &*std::ptr::with_exposed_provenance::<Witness>(*address) };
            return Answer::Value(witness.call(&call));
        }
        let witness = self.witnesses.lock().unwrap().get(&callback).cloned();
        Answer::Value(witness.map_or(0, |witness| witness.call(&call)))
    }

    fn revoke(&self, callback: CallbackId) -> Answer {
        match self.manner {
            Manner::Panics => panic!("the binding fell over"),
            Manner::Sleeps => {
                let (never, lock) = (Condvar::new(), Mutex::new(()));
                let mut guard = lock.lock().unwrap();
                loop {
                    guard = never.wait(guard).unwrap();
                }
            }
            Manner::Spins => loop {
                std::hint::spin_loop();
            },
            _ => {
                self.witnesses.lock().unwrap().remove(&callback);
                Answer::Done
            }
        }
    }

    fn revoke_and_wait(&self, callback: CallbackId) -> Answer {
        self.revoke(callback)
    }

    fn shutdown(&self) -> Answer {
        self.witnesses.lock().unwrap().clear();
        Answer::Done
    }
}

fn run(manner: Manner, text: &str) -> Result<latecall::engine::run::RunOutcome, RunError> {
    // Who spins has to meet the limit. Nobody else should: to print a backtrace may take a second.
    let limit = Duration::from_secs(if matches!(manner, Manner::Spins) { 1 } else { 60 });
    let options = RunOptions { deadlock_after: Duration::from_millis(100), limit, ..RunOptions::default() };
    execute(&Program::parse(text).unwrap(), &Plain(manner), &options)
}

const SIMPLE: &str = "callback a\nbefore\n  register a\n  fire a 1 2 = 3\n  revoke a\n";

#[test]
fn a_binding_of_somebody_else_runs() {
    let outcome = run(Manner::Sound, SIMPLE).unwrap();
    assert!(outcome.verdict.is_clean(), "{:?}", outcome.verdict);
    assert_eq!(outcome.verdict.calls, 1);
}

#[test]
fn what_is_not_offered_is_named() {
    let error = run(Manner::Sound, "callback a\nbefore\n  register a\n  post a\n  barrier\n").unwrap_err();
    assert_eq!(error.to_string(), "plain does not offer `post`, `barrier`");
    let error = run(Manner::Sound, "hostile late\n").unwrap_err();
    assert_eq!(error.to_string(), "plain makes no promise about `hostile late`");
}

#[test]
fn a_session_that_cannot_be_opened_is_an_error_and_no_verdict() {
    let error = run(Manner::Closed, SIMPLE).unwrap_err();
    assert!(matches!(error, RunError::Open(_)), "{error:?}");
    assert!(error.to_string().contains("out of handles"), "{error}");
}

#[test]
fn a_binding_that_panics_is_an_error_and_takes_nothing_down() {
    let error = run(Manner::Panics, SIMPLE).unwrap_err();
    assert!(matches!(error, RunError::SubjectPanicked(_)), "{error:?}");
    assert!(error.to_string().contains("the binding fell over"), "{error}");
}

#[test]
fn a_hang_is_a_deadlock_that_names_the_op() {
    let outcome = run(Manner::Sleeps, SIMPLE).unwrap();
    assert!(outcome.verdict.has(ViolationKind::Deadlock), "{:?}", outcome.verdict);
    let text = &outcome.verdict.violations.last().unwrap().text;
    assert!(text.contains("main waits in `revoke a`"), "{text}");
}

/// Busy for ever is not asleep: no deadlock is claimed, and the run ends all the same.
#[test]
fn a_spin_is_no_deadlock_and_ends() {
    let error = run(Manner::Spins, SIMPLE).unwrap_err();
    assert!(matches!(error, RunError::TooLong(_)), "{error:?}");
}

#[test]
fn a_dangling_callback_names_itself() {
    let outcome = run(Manner::Dangles, "callback a\nbefore\n  register a\n  fire a\n").unwrap();
    assert!(outcome.verdict.has(ViolationKind::LateCall), "{:?}", outcome.verdict);
    assert!(outcome.verdict.violations[0].text.contains("`a` ran on main after it was freed"));
}

/// What is called and dropped after the run is in no verdict, and writes into nobody else's log; it is counted. (The gate
/// takes the count for an error: `gate::check`.) No other test of this process keeps a witness for longer than its run.
#[test]
fn what_happens_after_the_run_is_counted() {
    let outcome = run(Manner::Keeps, "callback a\nbefore\n  register a\n  forget a\n").unwrap();
    assert!(outcome.verdict.is_clean(), "{:?}", outcome.verdict);
    let before = stray_events();
    let kept = KEPT.lock().unwrap().pop().unwrap();
    assert_eq!(kept.call(&Call::default()), 0, "its body does not run any more");
    assert_eq!(stray_events() - before, 1);
    kept.probe().used();
    assert_eq!(stray_events() - before, 3, "a block is used, and freed with its probe");
    drop(kept);
    assert_eq!(stray_events() - before, 4);
}

#[test]
fn too_many_events_are_an_error_and_no_verdict() {
    let mut text = "callback a\nbefore\n  register a\n".to_owned();
    text.push_str(&"  fire a\n".repeat(900));
    let mut program = Program::parse(&text).unwrap();
    assert!(execute(&program, &Plain(Manner::Sound), &RunOptions::default()).unwrap().verdict.is_clean());
    // Each call fires again, eight deep at most times: far more than the ledger holds.
    let nested = Program::parse("callback a\n  nth 1 fire a\nbefore\n  register a\n").unwrap();
    let mut step = nested.callbacks[0].body[0].clone();
    step.nth = None;
    program.callbacks[0].body = vec![step];
    let error = execute(&program, &Plain(Manner::Sound), &RunOptions::default()).unwrap_err();
    assert!(matches!(error, RunError::TooManyEvents), "{error:?}");
}

/// `hold` goes on when nobody can open its gate any more, and says so; so does `reach`.
#[test]
fn gates_give_up_when_nothing_else_can_move() {
    let text = "callback a\n  hold g\nbefore\n  register a\nthread\n  fire a\nthread\n  reach h\n";
    let outcome = run(Manner::Sound, text).unwrap();
    assert!(outcome.verdict.is_clean(), "{:?}", outcome.verdict);
    assert_eq!(outcome.verdict.gave_up, 2);
}

#[test]
fn gates_force_an_order_without_giving_up() {
    let text = "callback a\n  hold g\nbefore\n  register a\nthread\n  fire a\nthread\n  reach g\n  open g\n";
    for _ in 0..50 {
        let outcome = run(Manner::Sound, text).unwrap();
        assert!(outcome.verdict.is_clean(), "{:?}", outcome.verdict);
        assert_eq!(outcome.verdict.gave_up, 0);
    }
}

/// A run that hangs keeps its threads; the ones after it are not disturbed.
#[test]
fn a_hung_run_leaves_the_next_ones_alone() {
    for _ in 0..3 {
        assert!(run(Manner::Sleeps, SIMPLE).unwrap().verdict.has(ViolationKind::Deadlock));
        assert!(run(Manner::Sound, SIMPLE).unwrap().verdict.is_clean());
    }
}

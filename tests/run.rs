//! One run: its verdict on a subject that misbehaves in ways which no event reports, and its error for a program that
//! it cannot judge. The subjects here are a user's: they know the harness by its two traits only.
#![allow(clippy::disallowed_types, reason = "a user's program has no seam")]

use latecall::engine::run::{Missing, RunError, RunOptions, RunOutcome, execute};
use latecall::ledger::{
    Answer, Call, EventKind, Quarantine, Section, StepId, ThreadNo, ViolationKind, Witness, stray_events,
};
use latecall::program::{CallbackId, Program, Site, Verb, VerbSet};
use latecall::subject::{Env, Offer, OpenError, Session, Subject};
use std::collections::HashMap;
use std::error::Error;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

#[global_allocator]
static ALLOCATOR: Quarantine = Quarantine::new();

/// How a [`Plain`] session misbehaves.
#[derive(Clone, Copy, PartialEq)]
enum Manner {
    Sound,
    /// `revoke` panics.
    Panics,
    /// `revoke` does not return, and sleeps.
    Sleeps,
    /// `revoke` does not return, and is busy.
    Spins,
    /// It cannot be opened.
    Closed,
    /// It drops its witnesses at once and calls the freed memory.
    Dangles,
    /// It leaves its witnesses in [`KEPT`], for the time after the run.
    Keeps,
}

/// "Too many open files in system".
const ENFILE: i32 = 23;

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
        Offer::new(verbs)
    }

    fn open(&self, _: &Env) -> Result<Box<dyn Session>, OpenError> {
        if self.0 == Manner::Closed {
            return Err(OpenError::new(std::io::Error::from_raw_os_error(ENFILE)));
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
                // SAFETY: the pointer comes from `Box::into_raw` just now and is freed once. The test is about a
                // binding that uses it afterwards.
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
            // SAFETY: the witness is freed, which a binding must not do. The quarantine keeps its bytes until the run
            // is over, so they are still those of a `Witness`.
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

const DEADLOCK_AFTER: Duration = Duration::from_millis(100);

/// The limit of a run. A session that spins has to meet it; no other should, even if it prints a backtrace, which may
/// take a second.
fn limit(manner: Manner) -> Duration {
    Duration::from_secs(if matches!(manner, Manner::Spins) { 1 } else { 60 })
}

fn run(manner: Manner, text: &str) -> Result<RunOutcome, RunError> {
    let options = RunOptions::new().deadlock_after(DEADLOCK_AFTER).limit(limit(manner));
    execute(&Program::parse(text).unwrap(), &Plain(manner), &options)
}

/// Where the op of this step begins, and where the op that begins there ends.
fn span(outcome: &RunOutcome, section: Section, index: u16) -> (usize, usize) {
    let step = StepId { section, index };
    let is_begin = |kind: &EventKind| matches!(kind, EventKind::OpBegin { step: it, .. } if *it == step);
    let begin = outcome.events.iter().position(|event| is_begin(&event.kind)).expect("the op began");
    let thread = outcome.events[begin].thread;
    let ends = |at: &usize| {
        let event = &outcome.events[*at];
        event.thread == thread && matches!(event.kind, EventKind::OpEnd { .. })
    };
    (begin, (begin..outcome.events.len()).find(ends).expect("the op ended"))
}

const SIMPLE: &str = "callback a\nbefore\n  register a\n  fire a 1 2 = 3\n  revoke a\n";

#[test]
fn a_users_binding_runs() {
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
    let error = run(Manner::Sound, "callback a\nbefore\n  register a\n  stall popped g\n").unwrap_err();
    assert!(error.to_string().ends_with("does not offer `stall`"), "the op comes before its site: {error}");
    let mut stalls = Program::parse("callback a\nbefore\n  register a\n  stall popped g\n").unwrap();
    stalls.before.remove(0);
    let error = execute(&stalls, &OneSite, &RunOptions::new()).unwrap_err();
    assert_eq!(error.to_string(), "one-site has no stall site `popped`");
    assert!(matches!(error, RunError::NotOffered(what) if what.missing == Missing::Site(Site::Popped)));
}

/// A subject whose library has one stall site, and not the one that is asked for. It is never opened.
struct OneSite;

impl Subject for OneSite {
    fn name(&self) -> &str {
        "one-site"
    }

    fn offer(&self) -> Offer {
        Offer::new(VerbSet::of(&[Verb::Stall])).with_sites([Site::BeforeCall])
    }

    fn open(&self, _: &Env) -> Result<Box<dyn Session>, OpenError> {
        unreachable!("what it does not offer is not run")
    }
}

#[test]
fn a_session_that_cannot_be_opened_is_an_error_and_no_verdict() {
    let error = run(Manner::Closed, SIMPLE).unwrap_err();
    assert!(matches!(error, RunError::Open(_)), "{error:?}");
    assert!(error.to_string().contains("os error 23"), "{error}");
    // A caller finds the error of the binding itself.
    let open = error.source().expect("a cause").downcast_ref::<OpenError>().expect("an error of `open`");
    let inner = open.get_ref().downcast_ref::<std::io::Error>().expect("an error of the system");
    assert_eq!(inner.raw_os_error(), Some(ENFILE));
}

#[test]
fn a_binding_that_panics_is_an_error_and_takes_nothing_down() {
    let error = run(Manner::Panics, SIMPLE).unwrap_err();
    assert!(matches!(error, RunError::SubjectPanicked { .. }), "{error:?}");
    assert!(error.to_string().contains("the binding fell over"), "{error}");
    assert!(run(Manner::Sound, SIMPLE).unwrap().verdict.is_clean());
}

#[test]
fn a_hang_is_a_deadlock_that_names_the_op() {
    let began = Instant::now();
    let outcome = run(Manner::Sleeps, SIMPLE).unwrap();
    assert!(began.elapsed() >= DEADLOCK_AFTER, "a deadlock after {:?}", began.elapsed());
    assert!(outcome.verdict.has(ViolationKind::Deadlock), "{:?}", outcome.verdict);
    let text = &outcome.verdict.violations.last().unwrap().text;
    assert!(text.contains("main waits in `revoke a`"), "{text}");
}

/// A thread that is busy for ever is not asleep: no deadlock is claimed, and the run ends all the same.
#[test]
fn a_spin_is_no_deadlock_and_ends() {
    let began = Instant::now();
    let error = run(Manner::Spins, SIMPLE).unwrap_err();
    assert!(matches!(error, RunError::TooLong { limit: it } if it == limit(Manner::Spins)), "{error:?}");
    assert!(began.elapsed() >= limit(Manner::Spins), "given up after {:?}", began.elapsed());
    // Four times the limit would be another limit; a busy machine may double it.
    assert!(began.elapsed() < 4 * limit(Manner::Spins), "given up after {:?}", began.elapsed());
}

#[test]
fn a_dangling_callback_names_itself() {
    let outcome = run(Manner::Dangles, "callback a\nbefore\n  register a\n  fire a\n").unwrap();
    assert!(outcome.verdict.has(ViolationKind::LateCall), "{:?}", outcome.verdict);
    assert!(outcome.verdict.violations[0].text.contains("`a` ran on main after it was freed"));
}

/// A call and a drop after the run are in no verdict and in no other run's log; they are counted. (The gate takes the
/// count for an error: `gate::check`.) No other test of this process keeps a witness for longer than its run.
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
    // Each call fires again, down to the greatest depth: far more events than the ledger holds.
    let nested = Program::parse("callback a\n  nth 1 fire a\nbefore\n  register a\n").unwrap();
    let mut step = nested.callbacks[0].body[0].clone();
    step.nth = None;
    program.callbacks[0].body = vec![step];
    let error = execute(&program, &Plain(Manner::Sound), &RunOptions::default()).unwrap_err();
    assert!(matches!(error, RunError::TooManyEvents), "{error:?}");
}

/// `hold` gives up when no thread can open its gate any more, and says so; so does `reach`.
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
        // `reach` waits for the thread that is held, and `hold` waits for `open`.
        let held = |event: &latecall::ledger::Event| matches!(event.kind, EventKind::Held { .. });
        let held = outcome.events.iter().position(held).expect("a thread is held");
        let released = |event: &latecall::ledger::Event| matches!(event.kind, EventKind::LetGo { .. });
        let released = outcome.events.iter().position(released).expect("and released");
        let (_, reached) = span(&outcome, Section::Thread(1), 0);
        let (opens, _) = span(&outcome, Section::Thread(1), 1);
        assert!(held < reached && reached < opens && opens < released, "{:#?}", outcome.events);
        assert_eq!(outcome.events[held].thread, ThreadNo(1));
    }
}

/// A run that hangs keeps its threads. The runs after it are not disturbed.
#[test]
fn a_hung_run_leaves_the_next_ones_alone() {
    for _ in 0..3 {
        assert!(run(Manner::Sleeps, SIMPLE).unwrap().verdict.has(ViolationKind::Deadlock));
        assert!(run(Manner::Sound, SIMPLE).unwrap().verdict.is_clean());
    }
}

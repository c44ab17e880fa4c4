//! What a check does around its engine.

use super::*;
use crate::ledger::{Answer, Call, Witness};
use crate::program::{CallbackId, Verb, VerbSet};
use crate::sync::Arc;

/// A binding whose sessions leave their callbacks here when they are closed.
struct Hoards {
    left: Arc<Mutex<Vec<Witness>>>,
    /// Whether the next session calls and drops the callbacks that it finds.
    and_goes_on: bool,
}

struct Opened {
    left: Arc<Mutex<Vec<Witness>>>,
}

impl Subject for Hoards {
    fn name(&self) -> &str {
        "hoards"
    }

    fn offer(&self) -> Offer {
        Offer::new(VerbSet::of(&[Verb::Register, Verb::Forget]))
    }

    fn open(&self, _: &Env) -> Result<Box<dyn Session>, OpenError> {
        let left = std::mem::take(&mut *self.left.lock().unwrap());
        for witness in left {
            if self.and_goes_on {
                witness.call(&Call::default());
            } else {
                std::mem::forget(witness);
            }
        }
        Ok(Box::new(Opened { left: Arc::clone(&self.left) }))
    }
}

impl Session for Opened {
    fn register(&self, witnesses: Vec<Witness>) -> Answer {
        self.left.lock().unwrap().extend(witnesses);
        Answer::Done
    }

    fn forget(&self, _: CallbackId) -> Answer {
        Answer::Done
    }

    fn fire(&self, _: CallbackId, _: Call) -> Answer {
        Answer::Skipped
    }

    fn revoke(&self, _: CallbackId) -> Answer {
        Answer::Skipped
    }

    fn revoke_and_wait(&self, _: CallbackId) -> Answer {
        Answer::Skipped
    }

    fn shutdown(&self) -> Answer {
        Answer::Done
    }
}

/// The program forgets the callback, so that it is no `Leak`: nothing that a run sees is wrong.
fn report(and_goes_on: bool) -> Report {
    let check = Check::new("hoards", "replay", Expected::Sound);
    let program = Program::parse("callback a\nbefore\n  register a\n  forget a\n").unwrap();
    let options = CheckOptions::new().program(program).repeat(2);
    check.run_on(&Hoards { left: Arc::default(), and_goes_on }, (None, &[]), options, &mut |_| {})
}

#[test]
fn what_happens_after_a_run_is_over_is_not_passed_over() {
    report(false).check();
    let report = report(true);
    assert_eq!((report.runs, report.finding), (2, None));
    let error = report.error.expect("a call and a drop");
    assert!(error.starts_with("2 events came after the end of the run"), "{error}");
}

/// Offers nothing; only the harness's own bookkeeping looks at it.
struct Seen(bool);

impl Subject for Seen {
    fn name(&self) -> &str {
        "seen"
    }

    fn offer(&self) -> Offer {
        Offer::new(VerbSet::EMPTY)
    }

    fn all_seen(&self) -> bool {
        self.0
    }

    fn open(&self, _: &Env) -> Result<Box<dyn Session>, OpenError> {
        Err(OpenError::new("not opened in this test"))
    }
}

#[test]
fn recording_changes_nothing_that_the_model_asks_of_a_subject() {
    for all_seen in [true, false] {
        let subject = RecordedSubject { inner: &Seen(all_seen), recorder: None };
        assert_eq!((subject.name(), subject.all_seen()), ("seen", all_seen));
    }
}

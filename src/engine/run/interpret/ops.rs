//! One op of a program: begins, is done, ends.

use super::sync::{self, Ordering, catch};
use super::{Run, Stage};
use crate::engine::run::gates::Passed;
use crate::ledger::{Answer, Call, EventKind, StepId, ThreadNo, Witness};
use crate::program::{Args, CallbackId, GateId, Op, Step};
use crate::subject::Session;
use std::cell::Cell;
use std::panic::resume_unwind;
use std::sync::atomic::Ordering::Relaxed;

/// Ops that are nested deeper than this are skipped, so that a body which fires its own callback ends.
const MAX_DEPTH: u32 = 32;

sync::local! {
    /// How many ops this thread is inside.
    static DEPTH: Cell<u32> = Cell::new(0);
}

fn depth() -> u32 {
    DEPTH.with(Cell::get)
}

pub(super) fn set_depth(depth: u32) {
    DEPTH.with(|it| it.set(depth));
}

/// The panic of an op `panic`.
struct BodyPanic;

impl Run {
    /// Does an op, and reports its beginning and its end.
    pub(super) fn step(&self, thread: ThreadNo, id: StepId, step: &Step) {
        let calls = matches!(step.op, Op::Fire(..) | Op::Send(..) | Op::Post(..) | Op::Invoke(..) | Op::Enumerate(..));
        // Relaxed: the cookies must only be distinct.
        let cookie = if calls { self.cookies.fetch_add(1, Relaxed) as u32 + 1 } else { 0 };
        self.ledger.report(thread, EventKind::OpBegin { step: id, cookie });
        self.stage.disturb(self.ledger);
        let depth = depth();
        set_depth(depth + 1);
        let result = catch(|| self.op(thread, &step.op, cookie));
        set_depth(depth);
        let answer = match result {
            Ok(answer) => answer,
            Err(panic) if step.op == Op::Panic => {
                self.ledger.report(thread, EventKind::OpEnd { answer: Answer::Done });
                resume_unwind(panic)
            }
            // The panic of a callback's body has come all the way back to the op that asked for the call.
            Err(panic) if panic.is::<BodyPanic>() => {
                self.ledger.report(thread, EventKind::UnwindEscaped);
                Answer::Refused
            }
            Err(panic) => {
                self.panicked(&*panic);
                Answer::Refused
            }
        };
        self.ledger.report(thread, EventKind::OpEnd { answer });
    }

    fn op(&self, thread: ThreadNo, op: &Op, cookie: u32) -> Answer {
        match op {
            Op::Register(ids) => {
                let witnesses: Vec<_> = ids.iter().map(|id| self.witness(*id, thread)).collect();
                let answer = self.using(|session| session.register(witnesses));
                for id in ids {
                    self.taken(thread, *id, answer);
                }
                answer
            }
            Op::Replace(old, new) => {
                let witness = self.witness(*new, thread);
                if !self.is_registered(*old) {
                    return Answer::Skipped;
                }
                let answer = self.using(|session| session.replace(*old, witness));
                self.taken(thread, *new, answer);
                answer
            }
            Op::Invoke(id, args) => {
                let witness = self.witness(*id, thread);
                self.using(|session| session.invoke(witness, call(cookie, *args)))
            }
            Op::Enumerate(id, count) => {
                let witness = self.witness(*id, thread);
                // b = 1: a plain sum is then never 0, which would end the enumeration.
                let call = call(cookie, Some(Args { a: 0, b: 1 }));
                let answer = self.using(|session| session.enumerate(witness, *count, call));
                // A hostile library may have kept the callback: then it can be fired.
                self.set_registered(*id);
                answer
            }
            Op::Fire(id, args) => self.using_registered(*id, |s| s.fire(*id, call(cookie, *args))),
            Op::Send(id, args) => self.using_registered(*id, |s| s.send(*id, call(cookie, *args))),
            Op::Post(id, args) => self.using_registered(*id, |s| s.post(*id, call(cookie, *args))),
            Op::Revoke(id) => self.using_registered(*id, |s| s.revoke(*id)),
            Op::RevokeAndWait(id) => self.using_registered(*id, |s| s.revoke_and_wait(*id)),
            Op::Release(id) => self.using_registered(*id, |s| s.release(*id)),
            Op::Unsubscribe(id) => self.using_registered(*id, |s| s.unsubscribe(*id)),
            Op::Forget(id) => self.using_registered(*id, |s| s.forget(*id)),
            Op::Churn(count) => self.using(|s| {
                s.churn(*count, &|| {
                    self.churn_made.fetch_add(1, Relaxed); // a count, read after the threads were joined
                    Witness::anonymous(self.id)
                })
            }),
            Op::Barrier => self.using(|s| s.barrier()),
            // Nested, it is called from inside a callback: the library has to refuse, and stays open.
            Op::Shutdown if depth() > 1 => self.using(|s| s.shutdown()),
            Op::Shutdown => self.session.shutdown(),
            Op::Hold(gate) => self.hold(thread, *gate),
            Op::Open(gate) => {
                self.stage.open(*gate);
                Answer::Done
            }
            Op::Reach(gate) => {
                if Stage::GATED && self.stage.reach(*gate) == Passed::GaveUp {
                    self.ledger.report(thread, EventKind::LetGo { gate: *gate, gave_up: true });
                }
                Answer::Done
            }
            Op::Stall(site, gate) => {
                self.stage.arm(*site, *gate);
                Answer::Done
            }
            Op::Panic => resume_unwind(Box::new(BodyPanic)),
            Op::Return(_) => Answer::Done,
        }
    }

    /// Holds the thread at a gate.
    pub(super) fn hold(&self, thread: ThreadNo, gate: GateId) -> Answer {
        if Stage::GATED {
            self.ledger.report(thread, EventKind::Held { gate });
            let passed = self.stage.hold(gate);
            self.ledger.report(thread, EventKind::LetGo { gate, gave_up: passed == Passed::GaveUp });
        }
        Answer::Done
    }

    fn witness(&self, id: CallbackId, home: ThreadNo) -> Witness {
        let callback = &self.program.callbacks[id.0 as usize];
        Witness::new(self.id, id, callback.exclusive, callback.confined, home)
    }

    /// Reports whether the library has taken a callback.
    fn taken(&self, thread: ThreadNo, id: CallbackId, answer: Answer) {
        if answer == Answer::Done {
            self.ledger.report(thread, EventKind::Registered { callback: id });
            self.set_registered(id);
        } else {
            self.ledger.report(thread, EventKind::Refused { callback: id });
        }
    }

    fn set_registered(&self, id: CallbackId) {
        // Release: pairs with the Acquire in `is_registered`, so an op on the callback comes after its registration.
        self.registered[id.0 as usize].store(true, Ordering::Release);
    }

    fn is_registered(&self, id: CallbackId) -> bool {
        // Acquire: pairs with the Release in `set_registered`.
        self.registered[id.0 as usize].load(Ordering::Acquire)
    }

    fn using_registered(&self, id: CallbackId, f: impl FnOnce(&dyn Session) -> Answer) -> Answer {
        if self.is_registered(id) { self.using(f) } else { Answer::Skipped }
    }

    /// Does an op in the session, unless the session is closed or the op is nested too deep.
    fn using(&self, f: impl FnOnce(&dyn Session) -> Answer) -> Answer {
        if depth() > MAX_DEPTH { Answer::Skipped } else { self.session.with(depth() > 1, f) }
    }
}

fn call(cookie: u32, args: Option<Args>) -> Call {
    let (a, b) = args.map_or((0, 0), |args| (args.a, args.b));
    Call::new(cookie, a, b)
}

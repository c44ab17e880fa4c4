//! What orders the events of one interleaving.
//!
//! The ledger sees in which order events came. Between two operations of loom's a thread runs on undisturbed, so that the
//! search never brings some orders about that a real machine would: a callback that is entered and a callback that is freed
//! come in whatever order the operations around them have. Loom knows better: it knows what *happened before* what. So
//! each event that a rule is about is also a moment ([`Point`]), and a rule that asks for an order is broken where
//! nothing enforces it, whichever way round the two came.
//!
//! Pairs with: `ledger::judge`, whose rules these are, by their names.

use super::Common;
use crate::ledger::{Answer, Event, EventKind, ThreadNo, Violation, ViolationKind};
use crate::program::{CallbackId, Op, Program};
use crate::sync::{Arc, Mutex, lock};
use latecall_explore::harness::{self, Point};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

thread_local! {
    /// All threads of a search run on one thread of the machine: this is the interleaving that runs.
    static ORDER: RefCell<Option<Order>> = const { RefCell::new(None) };
}

struct Order {
    program: Program,
    common: Arc<Mutex<Common>>,
    callbacks: Vec<Callback>,
    /// The ops that each thread is in.
    ops: BTreeMap<ThreadNo, Vec<Op>>,
    /// Threads whose names the search knows.
    named: BTreeSet<ThreadNo>,
    violation: Option<Violation>,
}

#[derive(Default)]
struct Callback {
    calls: Vec<Call>,
    /// Uses of the block beside it.
    uses: Vec<(usize, ThreadNo, Point)>,
}

struct Call {
    thread: ThreadNo,
    entered: usize,
    /// When it was over, and where among the events that is.
    left: Option<(usize, Point)>,
}

/// An interleaving begins.
pub(super) fn begin(program: &Program, common: &Arc<Mutex<Common>>) {
    let callbacks = program.callbacks.iter().map(|_| Callback::default()).collect();
    let order = Order {
        program: program.clone(),
        common: Arc::clone(common),
        callbacks,
        ops: BTreeMap::new(),
        named: BTreeSet::new(),
        violation: None,
    };
    ORDER.set(Some(order));
}

/// The first rule that an event broke, for want of an order.
pub(super) fn violation() -> Option<Violation> {
    ORDER.with_borrow_mut(|order| order.as_mut()?.violation.take())
}

/// An event was written.
pub(super) fn listen(at: usize, event: &Event) {
    harness::record_event(at);
    let new = ORDER.with_borrow_mut(|order| order.as_mut().is_some_and(|order| order.named.insert(event.thread)));
    if new {
        harness::name_thread(event.thread.name());
    }
    let now = Point::here();
    ORDER.with_borrow_mut(|order| {
        let Some(order) = order else { return };
        lock(&order.common).events.push(*event);
        if let Some(now) = now {
            order.event(at, event, now);
        }
    });
}

impl Order {
    fn event(&mut self, at: usize, event: &Event, now: Point) {
        let thread = event.thread;
        match event.kind {
            EventKind::OpBegin { step: id, .. } => {
                if let Some(step) = self.program.step(id) {
                    self.ops.entry(thread).or_default().push(step.op.clone());
                }
            }
            EventKind::OpEnd { answer } => {
                let op = self.ops.get_mut(&thread).and_then(Vec::pop);
                if let (Some(Op::RevokeAndWait(id) | Op::Release(id)), Answer::Quiescent) = (op, answer) {
                    self.all_left_before(
                        at,
                        thread,
                        id,
                        ViolationKind::RunningAfterQuiescence,
                        "the answer `quiescent`",
                    );
                }
            }
            EventKind::Enter { callback, .. } => {
                if self.program.callbacks.get(callback.0 as usize).is_some_and(|callback| callback.exclusive) {
                    let what = "the next call of the `FnMut`";
                    self.all_left_before(at, thread, callback, ViolationKind::ConcurrentFnMut, what);
                }
                if let Some(callback) = self.callbacks.get_mut(callback.0 as usize) {
                    callback.calls.push(Call { thread, entered: at, left: None });
                }
            }
            EventKind::Leave { callback, .. } | EventKind::Unwind { callback } => {
                let calls = self.callbacks.get_mut(callback.0 as usize).map(|callback| &mut callback.calls);
                let open = calls
                    .and_then(|calls| calls.iter_mut().rev().find(|call| call.thread == thread && call.left.is_none()));
                if let Some(call) = open {
                    call.left = Some((at, now));
                }
            }
            EventKind::Dropped { callback } => {
                self.all_left_before(at, thread, callback, ViolationKind::FreedInFlight, "that it is freed");
            }
            EventKind::BlockUsed { callback } => {
                if let Some(callback) = self.callbacks.get_mut(callback.0 as usize) {
                    callback.uses.push((at, thread, now));
                }
            }
            EventKind::BlockFreed { callback } => {
                let uses = self.callbacks.get(callback.0 as usize).map(|callback| &callback.uses);
                let loose = uses
                    .and_then(|uses| uses.iter().find(|(_, user, when)| *user != thread && !when.happens_before_now()));
                if let Some(&(used, user, _)) = loose {
                    let name = self.program.callback_name(callback).to_owned();
                    let text = format!(
                        "nothing orders {}'s use of the block beside `{name}` before {} frees it",
                        user.name(),
                        thread.name()
                    );
                    self.found(ViolationKind::FreedInFlight, callback, text, vec![used, at]);
                }
            }
            _ => {}
        }
    }

    /// Every call of the callback by another thread that is over must be known here to be over.
    fn all_left_before(&mut self, at: usize, thread: ThreadNo, id: CallbackId, kind: ViolationKind, what: &str) {
        let Some(callback) = self.callbacks.get(id.0 as usize) else { return };
        let loose = callback.calls.iter().find(|call| {
            call.thread != thread && call.left.as_ref().is_some_and(|(_, when)| !when.happens_before_now())
        });
        if let Some(call) = loose {
            let name = self.program.callback_name(id).to_owned();
            let text = format!(
                "nothing orders the end of {}'s call of `{name}` before {what}, by {}: it may come first",
                call.thread.name(),
                thread.name()
            );
            let left = call.left.as_ref().map(|(left, _)| *left);
            let proof = [Some(call.entered), left, Some(at)].into_iter().flatten().collect();
            self.found(kind, id, text, proof);
        }
    }

    fn found(&mut self, kind: ViolationKind, callback: CallbackId, text: String, proof: Vec<usize>) {
        let callback = Some(self.program.callback_name(callback).to_owned());
        self.violation.get_or_insert(Violation { kind, callback, text, proof });
    }
}

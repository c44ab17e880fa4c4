//! What orders the events of one interleaving.
//!
//! The ledger sees in which order events come. Between two operations of loom's a thread runs on undisturbed, so the
//! search never brings about some orders that a real machine would: a callback that is entered and a callback that is
//! freed come in the order that the operations around them have. Loom knows more: which event *happens before* which.
//!
//! So each event that a rule is about is also a [`Point`]. A rule that asks for an order is broken where nothing
//! enforces that order, whichever of the two events came first.
//!
//! Pairs with: `ledger::judge`, which has the same rules by the same names.

use crate::ledger::{Answer, Event, EventKind, ThreadNo, Violation, ViolationKind};
use crate::program::{CallbackId, Op, Program};
use crate::sync::{Arc, Mutex, lock};
use latecall_explore::harness::{self, Point};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

thread_local! {
    /// The interleaving that runs. All threads of a search run on one thread of the machine.
    static ORDER: RefCell<Option<OrderChecker>> = const { RefCell::new(None) };
}

struct OrderChecker {
    program: Program,
    /// Where the search keeps the events of the interleaving.
    events: Arc<Mutex<Vec<Event>>>,
    callbacks: Vec<CallbackHistory>,
    /// The ops that each thread is in.
    ops: BTreeMap<ThreadNo, Vec<Op>>,
    /// The threads whose names the search knows.
    named: BTreeSet<ThreadNo>,
    violation: Option<Violation>,
}

#[derive(Default)]
struct CallbackHistory {
    calls: Vec<CallSpan>,
    /// The uses of the block beside the callback: each with its event and its thread.
    uses: Vec<(usize, ThreadNo, Point)>,
}

/// A call, from its entry to its end.
struct CallSpan {
    thread: ThreadNo,
    entered: usize,
    /// The event that ended the call.
    left: Option<(usize, Point)>,
}

/// An interleaving begins. Its events are put into `events`.
pub(super) fn begin(program: &Program, events: &Arc<Mutex<Vec<Event>>>) {
    let callbacks = program.callbacks.iter().map(|_| CallbackHistory::default()).collect();
    let checker = OrderChecker {
        program: program.clone(),
        events: Arc::clone(events),
        callbacks,
        ops: BTreeMap::new(),
        named: BTreeSet::new(),
        violation: None,
    };
    ORDER.set(Some(checker));
}

/// The first rule that the interleaving broke because nothing enforces an order.
pub(super) fn violation() -> Option<Violation> {
    ORDER.with_borrow_mut(|checker| checker.as_mut()?.violation.take())
}

/// An event was written.
pub(super) fn listen(at: usize, event: &Event) {
    harness::record_event(at);
    let new = ORDER.with_borrow_mut(|checker| checker.as_mut().is_some_and(|it| it.named.insert(event.thread)));
    if new {
        harness::name_thread(event.thread.name());
    }
    let now = Point::here();
    ORDER.with_borrow_mut(|checker| {
        let Some(checker) = checker else { return };
        lock(&checker.events).push(*event);
        if let Some(now) = now {
            checker.event(at, event, now);
        }
    });
}

impl OrderChecker {
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
                    let what = "the answer `quiescent`";
                    self.calls_end_before(at, thread, id, ViolationKind::RunningAfterQuiescence, what);
                }
            }
            EventKind::Enter { callback, .. } => {
                if self.program.callbacks.get(callback.0 as usize).is_some_and(|callback| callback.exclusive) {
                    let what = "the next call of the `FnMut`";
                    self.calls_end_before(at, thread, callback, ViolationKind::ConcurrentFnMut, what);
                }
                if let Some(history) = self.callbacks.get_mut(callback.0 as usize) {
                    history.calls.push(CallSpan { thread, entered: at, left: None });
                }
            }
            EventKind::Leave { callback, .. } | EventKind::Unwind { callback } => {
                let history = self.callbacks.get_mut(callback.0 as usize);
                let mut calls = history.into_iter().flat_map(|history| history.calls.iter_mut().rev());
                if let Some(call) = calls.find(|call| call.thread == thread && call.left.is_none()) {
                    call.left = Some((at, now));
                }
            }
            EventKind::Dropped { callback } => {
                self.calls_end_before(at, thread, callback, ViolationKind::FreedInFlight, "it is freed");
            }
            EventKind::BlockUsed { callback } => {
                if let Some(history) = self.callbacks.get_mut(callback.0 as usize) {
                    history.uses.push((at, thread, now));
                }
            }
            EventKind::BlockFreed { callback } => {
                let uses = self.callbacks.get(callback.0 as usize).into_iter().flat_map(|history| &history.uses);
                let mut unordered = uses.filter(|(_, user, when)| *user != thread && !when.happens_before_now());
                if let Some(&(used, user, _)) = unordered.next() {
                    let (name, user) = (self.program.callback_name(callback), user.name());
                    let text = format!(
                        "nothing orders {user}'s use of the block beside `{name}` before {} frees it",
                        thread.name()
                    );
                    self.record(ViolationKind::FreedInFlight, callback, text, vec![used, at]);
                }
            }
            _ => {}
        }
    }

    /// The end of each call of the callback by another thread must happen before this event, if the call has ended.
    fn calls_end_before(&mut self, at: usize, thread: ThreadNo, id: CallbackId, kind: ViolationKind, what: &str) {
        let Some(history) = self.callbacks.get(id.0 as usize) else { return };
        let unordered = history.calls.iter().find_map(|call| match &call.left {
            Some((left, when)) if call.thread != thread && !when.happens_before_now() => Some((call, *left)),
            _ => None,
        });
        if let Some((call, left)) = unordered {
            let text = format!(
                "nothing orders the end of {}'s call of `{}` before {what}, on {}: the call may still run then",
                call.thread.name(),
                self.program.callback_name(id),
                thread.name()
            );
            let proof = vec![call.entered, left, at];
            self.record(kind, id, text, proof);
        }
    }

    /// Keeps the first violation.
    fn record(&mut self, kind: ViolationKind, callback: CallbackId, text: String, proof: Vec<usize>) {
        let callback = Some(self.program.callback_name(callback).to_owned());
        self.violation.get_or_insert(Violation { kind, callback, text, proof });
    }
}

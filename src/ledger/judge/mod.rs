//! The rules: what the events of a run prove.
//!
//! [`judge`] passes once over the events in their order and keeps what is known of each callback (`state`). Each rule
//! is stated where it is checked:
//!
//! * `lifetime`: freed during a call, freed twice, never freed; memory beside a callback used after it was freed.
//! * `quiescence`: a call that starts after `revoke` or a wait, or that is still running when the wait ends.
//! * `delivery`: a firing that runs another callback, or none, or whose answer is lost.
//! * `threads`: overlapping calls of an `FnMut`; a confined callback on another thread.
//! * `answers`: answers that the program does not expect.
//!
//! An event's time is when it was *reported*. A call reports that it entered after it was admitted, and reports that it
//! left before it stops being counted. No rule convicts a sound binding because of this delay.
//!
//! Elsewhere: deadlocks and crashes, which no event reports (`engine::monitor`, `gate`), and what happens after the run
//! ([`stray_events`](super::stray_events)).

mod answers;
mod delivery;
mod lifetime;
mod quiescence;
mod state;
mod threads;

use super::event::{Answer, Event, EventKind, ThreadNo};
use super::violation::{Verdict, Violation, ViolationKind};
use crate::program::{CallbackId, Op, Program, StepId};
use state::{CallbackState, Firing, Frame, OpenOp};
use std::collections::HashMap;

pub(crate) use answers::describe;

/// What the rules need to know of a subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Contract {
    /// The library calls each callback once and then forgets it. A second firing need not be delivered and must not run
    /// the callback.
    pub once: bool,
}

impl Contract {
    /// The contract of a library that calls each callback once.
    pub const fn one_shot() -> Self {
        Contract { once: true }
    }
}

/// Judges the events of a run of `program`, in their order.
pub fn judge(program: &Program, contract: Contract, events: &[Event]) -> Verdict {
    let mut judge = Judge::new(program, contract);
    for (at, event) in events.iter().enumerate() {
        judge.event(at, *event);
    }
    judge.unserved();
    judge.leaks();
    judge.verdict
}

struct Judge<'a> {
    program: &'a Program,
    contract: Contract,
    /// One for each callback of the program.
    callbacks: Vec<CallbackState>,
    /// The ops that each thread has begun and not ended, the innermost last.
    open: HashMap<ThreadNo, Vec<OpenOp>>,
    /// The firings, by cookie.
    firings: HashMap<u32, Firing>,
    /// Posted firings that must be delivered and for which no barrier has passed yet: the cookie, and where the post
    /// ended.
    posted: Vec<(u32, usize)>,
    /// The session began to close here, by an op or because the program is over. Bodies may still be running on the
    /// library's threads.
    closing: Option<usize>,
    closed: Option<usize>,
    verdict: Verdict,
}

impl<'a> Judge<'a> {
    fn new(program: &'a Program, contract: Contract) -> Self {
        Judge {
            program,
            contract,
            callbacks: program.callbacks.iter().map(|_| CallbackState::default()).collect(),
            open: HashMap::new(),
            firings: HashMap::new(),
            posted: Vec::new(),
            closing: None,
            closed: None,
            verdict: Verdict::default(),
        }
    }

    fn event(&mut self, at: usize, Event { thread, kind }: Event) {
        match kind {
            EventKind::OpBegin { step, cookie } => self.begin(at, thread, step, cookie),
            EventKind::OpEnd { answer } => self.end(at, thread, answer),
            EventKind::Registered { callback } => {
                if let Some(state) = self.state(callback) {
                    state.registered_on = Some(thread);
                }
            }
            EventKind::Enter { callback, cookie, misdirected } => self.enter(at, thread, callback, cookie, misdirected),
            EventKind::Leave { callback, value } => self.leave(thread, callback, Some(value)),
            EventKind::Unwind { callback } => self.leave(thread, callback, None),
            EventKind::Dropped { callback } => self.dropped(at, callback),
            EventKind::Late { cookie } => {
                self.verdict.defused += 1;
                if let Some(firing) = self.firings.get_mut(&cookie) {
                    firing.late = Some(at);
                }
            }
            EventKind::TurnedAway { cookie, .. } => {
                if let Some(firing) = self.firings.get_mut(&cookie) {
                    firing.turned_away = true;
                }
            }
            EventKind::UnwindEscaped => self.unwind_escaped(at, thread),
            EventKind::BlockFreed { callback } => self.block_freed(at, callback),
            EventKind::BlockUsed { callback } => self.block_used(at, callback),
            EventKind::LetGo { gave_up, .. } => self.verdict.gave_up += usize::from(gave_up),
            EventKind::Closing => self.begin_closing(at),
            EventKind::Closed => self.closed = Some(at),
            EventKind::Refused { .. } | EventKind::Held { .. } => {}
        }
    }

    fn begin(&mut self, at: usize, thread: ThreadNo, step: StepId, cookie: u32) {
        let Some(op) = self.program.step(step).map(|step| &step.op) else { return };
        let mut open = OpenOp { at, step, cookie, frames: Vec::new(), deliverable: false };
        for id in op.registers() {
            self.callbacks[id.0 as usize].offered.get_or_insert(at);
        }
        match op {
            Op::Fire(id, _) | Op::Send(id, _) | Op::Post(id, _) | Op::Invoke(id, _) | Op::Enumerate(id, _) => {
                open.deliverable = self.deliverable(*id, op);
                self.firings.insert(cookie, Firing::new(*id, at));
            }
            Op::Revoke(id) | Op::RevokeAndWait(id) | Op::Release(id) | Op::Unsubscribe(id) | Op::Replace(id, _) => {
                let state = &mut self.callbacks[id.0 as usize];
                state.ending.get_or_insert(at);
                if matches!(op, Op::RevokeAndWait(_) | Op::Release(_)) {
                    state.frames.iter_mut().filter(|f| f.thread == thread).for_each(|f| f.waits_for_itself = true);
                }
                open.frames = state.frames.clone();
                if let Op::Replace(_, successor) = op {
                    state.successors.push(*successor);
                }
            }
            Op::Forget(id) => self.callbacks[id.0 as usize].forgotten = true,
            Op::Shutdown => self.begin_closing(at),
            _ => {}
        }
        self.open.entry(thread).or_default().push(open);
    }

    fn end(&mut self, at: usize, thread: ThreadNo, answer: Answer) {
        let Some(open) = self.open.get_mut(&thread).and_then(Vec::pop) else { return };
        let Some(step) = self.program.step(open.step) else { return };
        match &step.op {
            op @ (Op::Fire(id, _) | Op::Send(id, _) | Op::Invoke(id, _) | Op::Enumerate(id, _)) => {
                self.fired(at, &open, *id, op, answer);
            }
            Op::Post(..) if open.deliverable && answer == Answer::Done && !self.contract.once => {
                self.posted.push((open.cookie, at));
            }
            Op::Barrier if answer == Answer::Done => self.barrier(at, open.at),
            Op::Revoke(id) => self.revoked(at, &open, *id, answer),
            Op::RevokeAndWait(id) | Op::Release(id) => self.waited(at, thread, *id, answer),
            _ => {}
        }
        if let Some(expect) = step.expect {
            self.expected(at, &open, &step.op, expect, answer);
        }
    }

    fn enter(&mut self, at: usize, thread: ThreadNo, id: CallbackId, cookie: u32, misdirected: bool) {
        self.verdict.calls += 1;
        self.attribute(at, id, cookie, misdirected);
        let Some(state) = self.state(id) else { return };
        let running = state.frames.first().copied();
        state.entries += 1;
        state.frames.push(Frame { thread, at, cookie, waits_for_itself: false });
        self.started_late(at, thread, id);
        if let Some(frame) = running {
            self.overlapped(at, thread, id, frame);
        }
        self.away_from_home(at, thread, id);
    }

    /// A call of `id` returned `value`, or unwound.
    fn leave(&mut self, thread: ThreadNo, id: CallbackId, value: Option<i64>) {
        let Some(state) = self.state(id) else { return };
        let Some(i) = state.frames.iter().rposition(|f| f.thread == thread) else { return };
        let frame = state.frames.remove(i);
        if let Some(firing) = self.firings.get_mut(&frame.cookie)
            && firing.target == id
        {
            firing.value = value;
            firing.unwound |= value.is_none();
        }
    }

    fn begin_closing(&mut self, at: usize) {
        self.closing.get_or_insert(at);
    }

    /// What is known of a callback; `None` for one that `churn` made.
    fn state(&mut self, id: CallbackId) -> Option<&mut CallbackState> {
        self.callbacks.get_mut(id.0 as usize)
    }

    /// Adds a violation. `text` is given the callback's name.
    fn violated(
        &mut self,
        kind: ViolationKind,
        callback: Option<CallbackId>,
        proof: Vec<usize>,
        text: impl FnOnce(&str) -> String,
    ) {
        let name = callback.map_or("?", |id| self.program.callback_name(id));
        let violation = Violation { kind, callback: callback.map(|_| name.to_owned()), text: text(name), proof };
        self.verdict.violations.push(violation);
    }
}

//! The rules: what the events of a run prove.
//!
//! One pass over the events in their order, keeping what is known of each callback. Each rule is stated where it is
//! checked, with why it cannot be broken by a sound binding: an event's time is when it was *reported*, which is later
//! than a call's admission and earlier than its counting-out, so each rule leaves room for exactly that.
//!
//! Not here: deadlocks and crashes, which no event reports (`engine::monitor`, `gate`), and what happens after the run
//! ([`stray_events`](super::stray_events)).

use super::event::{Answer, Event, EventKind, ThreadNo};
use super::violation::{Verdict, Violation, ViolationKind, named};
use crate::program::{CallbackId, Expect, Hostile, Op, Program, Step, StepId};
use std::collections::HashMap;

/// What the rules need to know of a subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Contract {
    /// A callback is called once and then forgotten by the library: a second firing need not be delivered, and must not
    /// run it.
    pub once: bool,
}

/// Judges a finished run.
pub fn judge(program: &Program, contract: Contract, events: &[Event]) -> Verdict {
    let mut judge = Judge::new(program, contract);
    for (at, event) in events.iter().enumerate() {
        judge.event(at, *event);
    }
    judge.finish()
}

/// A call of user code that has not returned.
#[derive(Debug, Clone, Copy)]
struct Frame {
    thread: ThreadNo,
    at: usize,
    cookie: u32,
    /// Its thread has begun, inside it, to wait for the same callback: others that wait from inside need not wait for it.
    deferring: bool,
}

/// What is known of a callback.
#[derive(Debug, Default)]
struct Known {
    /// Taken by the library, and on which thread.
    registered: Option<(usize, ThreadNo)>,
    /// First sign of it: an op that registers it, whatever came of it.
    offered: Option<usize>,
    dropped: Option<usize>,
    block_freed: Option<usize>,
    /// The first op began that may end it.
    ending: Option<usize>,
    forgotten: bool,
    frames: Vec<Frame>,
    entries: usize,
    /// A `revoke` ended here, and this many more entries may be reported after it.
    revoked: Option<(usize, usize)>,
    /// A `revoke_and_wait` or `release` answered `quiescent` here.
    quiescent: Option<usize>,
    /// A firing of a one-shot that should have run it, or another firing instead, and did not.
    unserved: Option<(usize, usize)>,
    /// Callbacks that an op began to put in its place: a firing of its subscription may run them.
    successors: Vec<CallbackId>,
}

/// An op that has begun and not ended.
#[derive(Debug, Clone)]
struct Open {
    at: usize,
    step: StepId,
    cookie: u32,
    /// For revoking ops: frames of the callback that were open when it began.
    frames: Vec<Frame>,
    /// For firing ops: the callback could be called when it began.
    deliverable: bool,
}

/// A firing.
#[derive(Debug, Clone, Copy)]
struct Firing {
    target: CallbackId,
    at: usize,
    entered: usize,
    late: Option<usize>,
    turned_away: bool,
    /// What the last call of it returned.
    value: Option<i64>,
    /// A call of it unwound: what the library was told is the binding's to say.
    unwound: bool,
}

struct Judge<'a> {
    program: &'a Program,
    contract: Contract,
    known: Vec<Known>,
    open: HashMap<ThreadNo, Vec<Open>>,
    firings: HashMap<u32, Firing>,
    /// Posted firings that were deliverable when posted, with where the post had ended, that have not been settled.
    posted: Vec<(u32, usize)>,
    /// The session has begun to close, by an op or because the program is over: ops in bodies may still be running on the
    /// library's threads.
    closing: Option<usize>,
    closed: Option<usize>,
    verdict: Verdict,
}

impl<'a> Judge<'a> {
    fn new(program: &'a Program, contract: Contract) -> Self {
        let known = program.callbacks.iter().map(|_| Known::default()).collect();
        Judge {
            program,
            contract,
            known,
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
                if let Some(known) = self.known.get_mut(callback.0 as usize) {
                    known.registered = Some((at, thread));
                }
            }
            EventKind::Refused { .. } => {}
            EventKind::Enter { callback, cookie, misdirected } => self.enter(at, thread, callback, cookie, misdirected),
            EventKind::Leave { callback, value } => {
                self.leave(thread, callback, Some(value));
            }
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
            EventKind::UnwindEscaped => {
                let step = self.open.get(&thread).and_then(|ops| ops.last()).map(|op| op.step);
                let callback = step.and_then(|step| self.target(step));
                self.violated(ViolationKind::UnwindEscaped, callback, vec![at], |name| {
                    format!("a panic of `{name}` came out of the library, past C frames")
                });
            }
            EventKind::BlockFreed { callback } => {
                if let Some(known) = self.known.get_mut(callback.0 as usize) {
                    known.block_freed = Some(at);
                }
            }
            EventKind::BlockUsed { callback } => {
                // A block that was freed has no users left, whatever its binding's protocol is.
                if let Some(freed) = self.known.get(callback.0 as usize).and_then(|known| known.block_freed) {
                    self.violated(ViolationKind::FreedInFlight, Some(callback), vec![freed, at], |name| {
                        format!("the block kept beside `{name}` was used after it was freed")
                    });
                }
            }
            EventKind::Held { .. } => {}
            EventKind::LetGo { gave_up, .. } => self.verdict.gave_up += usize::from(gave_up),
            EventKind::Closing => self.closing = Some(self.closing.unwrap_or(at)),
            EventKind::Closed => self.closed = Some(at),
        }
    }

    fn begin(&mut self, at: usize, thread: ThreadNo, step: StepId, cookie: u32) {
        let Some(Step { op, .. }) = self.step(step) else { return };
        let mut open = Open { at, step, cookie, frames: Vec::new(), deliverable: false };
        for id in op.registers() {
            self.known[id.0 as usize].offered.get_or_insert(at);
        }
        match op {
            Op::Fire(id, _) | Op::Send(id, _) | Op::Post(id, _) | Op::Invoke(id, _) | Op::Enumerate(id, _) => {
                let scoped = matches!(op, Op::Invoke(..) | Op::Enumerate(..));
                let known = &self.known[id.0 as usize];
                let spent = self.contract.once && self.firings.values().any(|f| f.target == *id);
                open.deliverable = (scoped || known.registered.is_some())
                    && known.ending.is_none()
                    && self.closing.is_none()
                    && !spent
                    && !self.program.hostile.contains(&Hostile::WrongUserData);
                let firing =
                    Firing { target: *id, at, entered: 0, late: None, turned_away: false, value: None, unwound: false };
                self.firings.insert(cookie, firing);
            }
            Op::Revoke(id) | Op::RevokeAndWait(id) | Op::Release(id) | Op::Unsubscribe(id) | Op::Replace(id, _) => {
                let known = &mut self.known[id.0 as usize];
                known.ending.get_or_insert(at);
                if matches!(op, Op::RevokeAndWait(_) | Op::Release(_)) {
                    known.frames.iter_mut().filter(|f| f.thread == thread).for_each(|f| f.deferring = true);
                }
                open.frames = known.frames.clone();
                if let Op::Replace(_, successor) = op {
                    known.successors.push(*successor);
                }
            }
            Op::Forget(id) => self.known[id.0 as usize].forgotten = true,
            Op::Shutdown => self.closing = Some(self.closing.unwrap_or(at)),
            _ => {}
        }
        self.open.entry(thread).or_default().push(open);
    }

    fn end(&mut self, at: usize, thread: ThreadNo, answer: Answer) {
        let Some(open) = self.open.get_mut(&thread).and_then(Vec::pop) else { return };
        let Some(step) = self.step(open.step) else { return };
        let (op, expect) = (step.op.clone(), step.expect);
        match &op {
            Op::Fire(id, _) | Op::Send(id, _) | Op::Invoke(id, _) | Op::Enumerate(id, _) => {
                self.fired(at, &open, *id, &op, answer);
            }
            Op::Post(..) if open.deliverable && answer == Answer::Done && !self.contract.once => {
                self.posted.push((open.cookie, at));
            }
            Op::Barrier if answer == Answer::Done => self.barrier(at, open.at),
            Op::Revoke(id) => match answer {
                // A call that was in flight may not have reported yet that it entered: as many as were counted and had
                // not reported when the revoke began.
                Answer::InFlight(n) => {
                    let known = &mut self.known[id.0 as usize];
                    let seen = open.frames.iter().filter(|f| known.frames.iter().any(|g| g.at == f.at)).count();
                    known.revoked.get_or_insert((at, (n as usize).saturating_sub(seen)));
                }
                Answer::Removed => {
                    self.known[id.0 as usize].revoked.get_or_insert((at, 0));
                }
                _ => {}
            },
            Op::RevokeAndWait(id) | Op::Release(id) => self.waited(at, thread, *id, answer),
            _ => {}
        }
        if let Some(expect) = expect {
            self.expected(at, &open, expect, answer);
        }
    }

    /// A synchronous firing has ended.
    fn fired(&mut self, at: usize, open: &Open, id: CallbackId, op: &Op, answer: Answer) {
        let Some(firing) = self.firings.get(&open.cookie).copied() else { return };
        let known = &self.known[id.0 as usize];
        if matches!(op, Op::Invoke(..) | Op::Enumerate(..)) {
            self.known[id.0 as usize].ending.get_or_insert(at);
        } else if known.ending.is_some() || self.closing.is_some() {
            return; // it may have come too late: no promise was made
        }
        if !open.deliverable || firing.turned_away || !matches!(answer, Answer::Value(_)) {
            return;
        }
        if self.contract.once && firing.entered == 0 {
            // Another firing may have taken the one call, and not have reported it yet: see `finish`.
            self.known[id.0 as usize].unserved.get_or_insert((open.at, at));
            return;
        }
        match op {
            Op::Enumerate(_, count) => {
                let stops = self.program.callbacks[id.0 as usize].body.iter().any(|s| matches!(s.op, Op::Return(_)))
                    || firing.value == Some(0)
                    || firing.unwound;
                let calls = match answer {
                    Answer::Value(calls) => calls,
                    _ => return,
                };
                if firing.entered as i64 != calls || (!stops && calls != i64::from(*count)) {
                    self.violated(ViolationKind::LostCall, Some(id), vec![open.at, at], |name| {
                        format!(
                            "an enumeration of {count} items answered {calls} calls and ran `{name}` {} times",
                            firing.entered
                        )
                    });
                }
            }
            // A live callback was fired, nothing began to end it before the firing had ended, and it did not run.
            _ if firing.entered == 0 => {
                self.violated(ViolationKind::LostCall, Some(id), vec![open.at, at], |name| {
                    format!("`{name}` was registered and not revoked, was fired, and did not run")
                });
            }
            // It ran once, returned, and the library was told something else. (A hostile library may have called more than
            // once and been told of a late call last.)
            _ => {
                if let (1, Some(value), Answer::Value(told)) = (firing.entered, firing.value, answer)
                    && firing.late.is_none()
                    && value != told
                {
                    self.violated(ViolationKind::LostCall, Some(id), vec![open.at, at], |name| {
                        format!("`{name}` returned {value} and the library was told {told}")
                    });
                }
            }
        }
    }

    /// Its post had ended before the barrier began, and nothing was revoked before the barrier ended: delivered.
    fn barrier(&mut self, at: usize, began: usize) {
        for (cookie, posted) in std::mem::take(&mut self.posted) {
            let firing = self.firings[&cookie];
            let ending = self.known[firing.target.0 as usize].ending;
            if posted > began {
                self.posted.push((cookie, posted));
            } else if firing.entered == 0 && !firing.turned_away && ending.is_none() && self.closing.is_none() {
                self.violated(ViolationKind::LostCall, Some(firing.target), vec![firing.at, at], |name| {
                    format!("a delivery to `{name}` was posted, a barrier passed, and it did not run")
                });
            }
        }
    }

    /// A `revoke_and_wait` or `release` has ended.
    fn waited(&mut self, at: usize, thread: ThreadNo, id: CallbackId, answer: Answer) {
        let frames = self.known[id.0 as usize].frames.clone();
        let still = match answer {
            Answer::Quiescent => frames.first().copied(),
            // Frames of this thread may stay. So may those of threads that waited for the same callback from inside it: two
            // that waited for each other would wait for ever.
            Answer::Deferred => frames.iter().copied().find(|f| f.thread != thread && !f.deferring),
            _ => None,
        };
        if let Some(frame) = still {
            self.violated(ViolationKind::RunningAfterQuiescence, Some(id), vec![frame.at, at], |name| {
                format!("{} was still in `{name}` when the wait for it ended on {}", frame.thread.name(), thread.name())
            });
        }
        let known = &mut self.known[id.0 as usize];
        match answer {
            Answer::Quiescent => known.quiescent = known.quiescent.or(Some(at)),
            // Who is excused from being waited for has entered already, so nothing is left that could still report it.
            Answer::Deferred => known.revoked = known.revoked.or(Some((at, 0))),
            _ => {}
        }
    }

    fn enter(&mut self, at: usize, thread: ThreadNo, id: CallbackId, cookie: u32, misdirected: bool) {
        self.verdict.calls += 1;
        let target = self.firings.get(&cookie).map(|f| (f.target, f.at));
        if id.0 as usize >= self.known.len() {
            if misdirected {
                return;
            }
            let (target, fired) = target.unzip();
            let proof = fired.into_iter().chain([at]).collect();
            self.violated(ViolationKind::Aliased, target, proof, |name| {
                format!("a firing of `{name}` ran a callback that was registered later and never fired")
            });
            return;
        }
        if let Some((target, fired)) = target
            && target != id
            && !misdirected
            && !self.succeeds(target, id)
        {
            let ran = named(self.program, id);
            self.violated(ViolationKind::Aliased, Some(target), vec![fired, at], |name| {
                format!("a firing of `{name}` ran `{ran}`")
            });
        } else if let Some(firing) = self.firings.get_mut(&cookie) {
            firing.entered += 1;
        }
        let callback = &self.program.callbacks[id.0 as usize];
        let known = &mut self.known[id.0 as usize];
        known.entries += 1;
        let spent = self.contract.once && known.entries > 1;
        let home = known.registered.map(|(_, home)| home);
        let overlap = callback.exclusive.then(|| known.frames.first().copied()).flatten();
        let away = callback.confined && home.is_some_and(|home| home != thread);
        let (dropped, quiescent) = (known.dropped, known.quiescent);
        let mut after_revoke = None;
        if let Some((revoked, excused)) = &mut known.revoked {
            match excused.checked_sub(1) {
                Some(left) => *excused = left,
                None => after_revoke = Some(*revoked),
            }
        }
        known.frames.push(Frame { thread, at, cookie, deferring: false });

        if let Some(dropped) = dropped {
            self.violated(ViolationKind::LateCall, Some(id), vec![dropped, at], |name| {
                format!("`{name}` ran on {} after it was freed", thread.name())
            });
        } else if let Some(quiescent) = quiescent {
            self.violated(ViolationKind::StartedAfterQuiescence, Some(id), vec![quiescent, at], |name| {
                format!("`{name}` started on {} after it was said to be quiescent", thread.name())
            });
        } else if let Some(revoked) = after_revoke {
            self.violated(ViolationKind::LateCall, Some(id), vec![revoked, at], |name| {
                format!("`{name}` started on {} after it was revoked", thread.name())
            });
        } else if spent {
            self.violated(ViolationKind::LateCall, Some(id), vec![at], |name| {
                format!("`{name}` is one-shot and ran a second time, on {}", thread.name())
            });
        }
        if let Some(frame) = overlap {
            self.violated(ViolationKind::ConcurrentFnMut, Some(id), vec![frame.at, at], |name| {
                format!(
                    "`{name}` is an FnMut and was entered on {} while {} was in it",
                    thread.name(),
                    frame.thread.name()
                )
            });
        }
        if away {
            self.violated(ViolationKind::WrongThread, Some(id), vec![at], |name| {
                let home = home.map_or_else(String::new, ThreadNo::name);
                format!("`{name}` is confined to {home} and ran on {}", thread.name())
            });
        }
    }

    fn leave(&mut self, thread: ThreadNo, id: CallbackId, value: Option<i64>) {
        let Some(known) = self.known.get_mut(id.0 as usize) else { return };
        let Some(i) = known.frames.iter().rposition(|f| f.thread == thread) else { return };
        let frame = known.frames.remove(i);
        if let Some(firing) = self.firings.get_mut(&frame.cookie)
            && firing.target == id
        {
            firing.value = value;
            firing.unwound |= value.is_none();
        }
    }

    fn dropped(&mut self, at: usize, id: CallbackId) {
        let Some(known) = self.known.get_mut(id.0 as usize) else { return };
        let (first, frame) = (known.dropped, known.frames.first().copied());
        known.dropped.get_or_insert(at);
        if let Some(first) = first {
            self.violated(ViolationKind::DoubleDrop, Some(id), vec![first, at], |name| {
                format!("`{name}` was freed a second time")
            });
        } else if let Some(frame) = frame {
            self.violated(ViolationKind::FreedInFlight, Some(id), vec![frame.at, at], |name| {
                format!("`{name}` was freed while {} was in it", frame.thread.name())
            });
        }
    }

    /// The program says what an op must answer.
    fn expected(&mut self, at: usize, open: &Open, expect: Expect, answer: Answer) {
        let late = self.firings.get(&open.cookie).is_some_and(|f| f.late.is_some() && f.entered == 0);
        let met = match expect {
            Expect::Late => late,
            Expect::Value(v) => answer == Answer::Value(v) && !late,
            Expect::Removed => answer == Answer::Removed,
            Expect::InFlight(n) => answer == Answer::InFlight(n),
            Expect::AlreadyRevoked => answer == Answer::AlreadyRevoked,
            Expect::Quiescent => answer == Answer::Quiescent,
            Expect::Deferred => answer == Answer::Deferred,
            Expect::Refused => answer == Answer::Refused,
        };
        if !met {
            let op = self.step(open.step).map(|s| s.op.clone());
            let verb = op.as_ref().map_or("?", |op| op.verb().name());
            let callback = op.and_then(|op| op.callbacks().first().copied());
            let got = if late { "late".to_owned() } else { describe(answer) };
            self.violated(ViolationKind::Unexpected, callback, vec![open.at, at], |name| {
                format!("`{verb} {name}` must answer {expect} and answered {got}")
            });
        }
    }

    fn finish(mut self) -> Verdict {
        for i in 0..self.known.len() {
            let id = CallbackId(i as u8);
            // What the library had taken when it was ended comes late, and is not lost.
            let ended = self.known[i].ending.into_iter().chain(self.closing).min();
            let late = |f: &Firing| f.late.is_some_and(|late| ended.is_some_and(|ended| ended < late));
            let took = |f: &Firing| f.entered > 0 || f.turned_away || late(f);
            let taken = self.firings.values().any(|f| f.target == id && took(f));
            if let (Some((began, ended)), false) = (self.known[i].unserved, taken) {
                self.violated(ViolationKind::LostCall, Some(id), vec![began, ended], |name| {
                    format!("`{name}` is one-shot, was registered, not revoked, and fired, and no firing ran it")
                });
            }
        }
        // Everything that was offered is freed by the time the session is closed, unless its guard was leaked on purpose.
        if let Some(closed) = self.closed {
            for i in 0..self.known.len() {
                let known = &self.known[i];
                if let (Some(offered), None, false) = (known.offered, known.dropped, known.forgotten) {
                    self.violated(ViolationKind::Leak, Some(CallbackId(i as u8)), vec![offered, closed], |name| {
                        format!("`{name}` was never freed, and the session is closed")
                    });
                }
            }
        }
        self.verdict
    }

    fn violated(
        &mut self,
        kind: ViolationKind,
        callback: Option<CallbackId>,
        proof: Vec<usize>,
        text: impl FnOnce(&str) -> String,
    ) {
        let name = callback.map_or_else(|| "?".to_owned(), |id| named(self.program, id));
        let violation = Violation { kind, callback: callback.map(|_| name.clone()), text: text(&name), proof };
        self.verdict.violations.push(violation);
    }

    /// Whether an op began to put `id` in the place of `target`, or of what was put there.
    fn succeeds(&self, target: CallbackId, id: CallbackId) -> bool {
        // A callback is registered once, so there is no circle.
        self.known[target.0 as usize].successors.iter().any(|next| *next == id || self.succeeds(*next, id))
    }

    fn step(&self, id: StepId) -> Option<&'a Step> {
        self.program.step(id)
    }

    fn target(&self, id: StepId) -> Option<CallbackId> {
        self.step(id)?.op.callbacks().first().copied()
    }
}

/// An answer as the text form writes it.
pub(crate) fn describe(answer: Answer) -> String {
    match answer {
        Answer::Done => "done".to_owned(),
        Answer::Value(v) => v.to_string(),
        Answer::Removed => Expect::Removed.to_string(),
        Answer::InFlight(n) => Expect::InFlight(n).to_string(),
        Answer::AlreadyRevoked => Expect::AlreadyRevoked.to_string(),
        Answer::Quiescent => Expect::Quiescent.to_string(),
        Answer::Deferred => Expect::Deferred.to_string(),
        Answer::Refused => Expect::Refused.to_string(),
        Answer::Skipped => "skipped".to_owned(),
    }
}

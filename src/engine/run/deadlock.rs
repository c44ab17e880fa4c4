//! The report of a run that cannot go on: which op each thread is in, and which thread it waits for.

use crate::ledger::{Event, EventKind, StepId, ThreadNo, Violation, ViolationKind};
use crate::program::{CallbackId, Op, Program};
use std::collections::BTreeMap;

/// For each thread: the ops that it has begun and not ended, each with its place in the events, and the callbacks
/// that it is inside.
#[derive(Default)]
struct Stacks {
    ops: BTreeMap<ThreadNo, Vec<(usize, StepId)>>,
    frames: BTreeMap<ThreadNo, Vec<CallbackId>>,
}

impl Stacks {
    fn of(events: &[Event]) -> Self {
        let mut stacks = Stacks::default();
        for (at, event) in events.iter().enumerate() {
            let ops = stacks.ops.entry(event.thread).or_default();
            let frames = stacks.frames.entry(event.thread).or_default();
            match event.kind {
                EventKind::OpBegin { step, .. } => ops.push((at, step)),
                EventKind::OpEnd { .. } => drop(ops.pop()),
                EventKind::Enter { callback, .. } => frames.push(callback),
                EventKind::Leave { .. } | EventKind::Unwind { .. } => drop(frames.pop()),
                _ => {}
            }
        }
        stacks
    }

    /// The threads for which an op of `thread` may wait.
    fn waits_for(&self, op: &Op, thread: ThreadNo) -> Vec<String> {
        let inside = |which: &dyn Fn(&[CallbackId]) -> bool| {
            let threads = self.frames.iter().filter(|(_, frames)| which(frames));
            threads.map(|(other, _)| if *other == thread { "itself".to_owned() } else { other.name() }).collect()
        };
        match op {
            Op::Revoke(id) | Op::RevokeAndWait(id) | Op::Release(id) | Op::Unsubscribe(id) | Op::Replace(id, _) => {
                inside(&|frames| frames.contains(id))
            }
            Op::Shutdown | Op::Barrier => inside(&|frames| !frames.is_empty()),
            _ => Vec::new(),
        }
    }
}

/// The violation: names what each thread waits in, and for which threads. `unfinished` are the threads that have not
/// ended; they are named when no thread is in an op.
pub(crate) fn violation(program: &Program, events: &[Event], unfinished: &[ThreadNo]) -> Violation {
    let stacks = Stacks::of(events);
    let (mut proof, mut sentences, mut callback) = (Vec::new(), Vec::new(), None);
    for (thread, open) in &stacks.ops {
        let Some((at, id)) = open.last() else { continue };
        let Some(op) = program.step(*id).map(|step| &step.op) else { continue };
        proof.push(*at);
        if let Op::Revoke(id) | Op::RevokeAndWait(id) | Op::Release(id) | Op::Unsubscribe(id) | Op::Replace(id, _) = op
        {
            callback.get_or_insert(*id);
        }
        let mut sentence = thread.name();
        if let Some(inside) = stacks.frames.get(thread).and_then(|frames| frames.last()) {
            sentence += &format!(", inside `{}`,", program.callback_name(*inside));
        }
        let names: Vec<_> = op.callbacks().iter().map(|id| program.callback_name(*id)).collect();
        sentence += &format!(" waits in `{}`", [&[op.verb().name()], &names[..]].concat().join(" "));
        let waits_for = stacks.waits_for(op, *thread);
        if !waits_for.is_empty() {
            sentence += &format!(" for {}", waits_for.join(" and "));
        }
        sentences.push(sentence);
    }
    if sentences.is_empty() {
        let names: Vec<_> = unfinished.iter().map(|thread| thread.name()).collect();
        sentences.push(format!("{} cannot go on, between ops", names.join(" and ")));
    }
    Violation {
        kind: ViolationKind::Deadlock,
        callback: callback.map(|id| program.callback_name(id).to_owned()),
        text: sentences.join("; "),
        proof,
    }
}

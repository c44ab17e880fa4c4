//! Which programs the model engine explores: every program of a size, made of a few ops.
//!
//! A program here is about one callback, `a`, which is registered before the threads start; with `replace` it is
//! about two. Two threads do a few ops each:
//!
//! * *Calls*: `fire` on the calling thread, `post` on a thread of the library's own.
//! * *Ends*: `revoke`, `revoke_and_wait`, `replace`.
//!
//! For a library that retains nothing the ops are `invoke` and `enumerate` instead.
//!
//! Left out without loss:
//!
//! * Programs without a call or without an end: nothing can be late in them.
//! * The same two threads in the other order.
//! * Programs that are the beginning of a longer one: each of their interleavings is the beginning of one of the longer
//!   program's.
//!
//! Left out, and not known to be covered: the other ops (`send`, `release`, `unsubscribe`, `forget`, `barrier`,
//! `churn`, `shutdown` while threads run), what a thread does after its own end of the callback, two replacements,
//! bodies with more than one op, and hostile switches.

use crate::program::{Args, Callback, CallbackId, Op, Program, Step, Verb, VerbSet};

/// How large the programs are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Ops in both threads together, at least 2.
    pub ops: usize,
    /// Most ops in one thread, at least 1.
    pub in_a_thread: usize,
}

const A: CallbackId = CallbackId(0);
const ARGS: Option<Args> = Some(Args { a: 243, b: 257 });

/// The ops that make the library call, and the ops that end a registration, of those that a library with these
/// `verbs` has.
fn alphabet(verbs: VerbSet) -> (Vec<Op>, Vec<Op>) {
    let of = |ops: Vec<Op>| ops.into_iter().filter(|op| verbs.contains(op.verb())).collect();
    let calls = of(vec![Op::Fire(A, ARGS), Op::Post(A, ARGS)]);
    let ends = of(vec![Op::Revoke(A), Op::RevokeAndWait(A), Op::Replace(A, CallbackId(1))]);
    (calls, ends)
}

/// Every program of exactly this size for a library that offers `verbs`, made of the ops that the module's page
/// names. The cheapest to explore come first. For a library that retains nothing the size does not matter.
#[must_use]
pub fn all(verbs: VerbSet, size: Size) -> Vec<Program> {
    if !verbs.contains(Verb::Register) {
        return scoped(verbs);
    }
    let (calls, ends) = alphabet(verbs);
    let mut programs: Vec<Program> = Vec::new();
    for first in 1..size.ops {
        let second = size.ops - first;
        if first < second || first > size.in_a_thread || second > size.in_a_thread {
            continue; // the same threads in the other order
        }
        let (ones, others) = (threads(&calls, &ends, first), threads(&calls, &ends, second));
        for (i, one) in ones.iter().enumerate() {
            for (j, other) in others.iter().enumerate() {
                if first == second && j < i {
                    continue; // the same threads in the other order
                }
                let both = || one.iter().chain(other);
                let replaced = both().filter(|op| op.verb() == Verb::Replace).count();
                if both().any(|op| calls.contains(op)) && both().any(|op| ends.contains(op)) && replaced < 2 {
                    programs.push(program(vec![one.clone(), other.clone()]));
                }
            }
        }
    }
    if size.ops > 2 {
        programs.extend(ending_themselves(&calls, &ends));
    }
    programs.sort_by_key(cost);
    programs
}

/// Programs in which a callback ends itself while it is called, and another thread calls or ends it.
fn ending_themselves(calls: &[Op], ends: &[Op]) -> Vec<Program> {
    let plain: Vec<&Op> = ends.iter().filter(|op| op.verb() != Verb::Replace).collect();
    let others = || calls.iter().chain(plain.iter().copied());
    let with = |end: &Op, other: &Op| {
        let mut program = program(vec![vec![calls[0].clone()], vec![other.clone()]]);
        program.callbacks[0].body = vec![Step::from(end.clone())];
        program
    };
    plain.iter().flat_map(|end| others().map(|other| with(end, other)).collect::<Vec<_>>()).collect()
}

/// Every sequence of `n` ops in which only the last op may end the registration.
fn threads(calls: &[Op], ends: &[Op], n: usize) -> Vec<Vec<Op>> {
    let mut sequences: Vec<Vec<Op>> = vec![Vec::new()];
    for i in 0..n {
        let last = i + 1 == n;
        let longer = |ops: &Vec<Op>| {
            let next = calls.iter().chain(if last { ends } else { &[] });
            let ops = ops.clone();
            next.map(move |op| [&ops[..], std::slice::from_ref(op)].concat()).collect::<Vec<_>>()
        };
        sequences = sequences.iter().flat_map(longer).collect();
    }
    sequences
}

/// Programs for a library that retains nothing and calls back before it returns: on two threads at once, and nested
/// in a callback.
fn scoped(verbs: VerbSet) -> Vec<Program> {
    let calls: Vec<fn(CallbackId) -> Op> = vec![|id| Op::Invoke(id, ARGS), |id| Op::Enumerate(id, 2)];
    let calls: Vec<_> = calls.into_iter().filter(|call| verbs.contains(call(A).verb())).collect();
    let mut programs = Vec::new();
    for (i, one) in calls.iter().enumerate() {
        for other in &calls[i..] {
            programs.push(program(vec![vec![one(A)], vec![other(CallbackId(1))]]));
        }
    }
    if verbs.contains(Verb::Invoke) {
        // Not with `enumerate`, each of whose calls would register the nested callback.
        let invoke = |id| Op::Invoke(CallbackId(id), ARGS);
        let mut nested = program(vec![vec![invoke(0)], vec![invoke(2)]]);
        nested.callbacks[0].body = vec![Step::from(invoke(1))];
        programs.push(nested);
    }
    programs
}

/// A rough estimate of how large the search will be. Calls on a thread of the library's own cost most.
fn cost(program: &Program) -> usize {
    let of = |op: &Op| match op.verb() {
        Verb::Post | Verb::Send => 4,
        Verb::RevokeAndWait => 2,
        _ => 1,
    };
    program.steps().map(|step| of(&step.op)).sum()
}

fn program(threads: Vec<Vec<Op>>) -> Program {
    let steps = |ops: Vec<Op>| ops.into_iter().map(Step::from).collect::<Vec<_>>();
    let ids = threads.iter().flatten().flat_map(Op::callbacks).map(|id| id.0).max().unwrap_or(0);
    let callbacks = (0..=ids).map(|i| Callback::new(char::from(b'a' + i)));
    let scoped = threads.iter().flatten().any(|op| matches!(op, Op::Invoke(..) | Op::Enumerate(..)));
    Program {
        callbacks: callbacks.collect(),
        before: if scoped { Vec::new() } else { steps(vec![Op::Register(vec![A])]) },
        threads: threads.into_iter().map(steps).collect(),
        ..Program::default()
    }
}

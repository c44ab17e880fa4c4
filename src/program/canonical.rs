//! The tidy form of a program: nothing declared that is not used, everything numbered and named in the order in which it
//! stands. Generated and minimised programs are tidied, so that programs that do the same read the same.

use super::valid::gate_of;
use super::{CallbackId, GateId, Op, Program, Step};

/// `program` without callbacks and gates that nothing uses; callbacks are named `a`, `b`, … and gates `g`, `h`, ….
///
/// A callback is used when a section names it, or the body of a used callback does. The program's callback ids must be
/// its own (as in every valid program); gates may be numbered in any order.
#[must_use]
pub fn tidy(program: &Program) -> Program {
    let used = used_callbacks(program);
    let mut tidy = program.clone();
    let mut new_ids = Vec::with_capacity(used.len());
    let mut kept = 0;
    for used in &used {
        new_ids.push(CallbackId(kept));
        kept += u8::from(*used);
    }
    let mut keep = used.into_iter();
    tidy.callbacks.retain(|_| keep.next().unwrap_or(false));
    for (i, callback) in tidy.callbacks.iter_mut().enumerate() {
        callback.name = name('a', i);
    }
    for step in steps_mut(&mut tidy) {
        for id in callback_ids_mut(&mut step.op) {
            if let Some(new) = new_ids.get(id.0 as usize) {
                *id = *new;
            }
        }
    }
    number_gates(&mut tidy);
    for (i, gate) in tidy.gates.iter_mut().enumerate() {
        *gate = name('g', i);
    }
    tidy
}

/// Drops the gates that no op names, and numbers the others in the order in which they appear: what
/// [`validate`](super::validate) asks for.
pub fn number_gates(program: &mut Program) {
    let mut order: Vec<GateId> = Vec::new();
    for step in program.steps() {
        if let Some(gate) = gate_of(&step.op)
            && !order.contains(&gate)
        {
            order.push(gate);
        }
    }
    let names = order.iter().map(|gate| program.gate_name(*gate).to_owned()).collect();
    for step in steps_mut(program) {
        if let Op::Hold(gate) | Op::Open(gate) | Op::Reach(gate) | Op::Stall(_, gate) = &mut step.op {
            let place = order.iter().position(|old| old == gate).unwrap_or(0);
            *gate = GateId(place as u8);
        }
    }
    program.gates = names;
}

/// Every step, wherever it stands, in the order of [`Program::steps`].
pub(super) fn steps_mut(program: &mut Program) -> impl Iterator<Item = &mut Step> {
    let bodies = program.callbacks.iter_mut().flat_map(|callback| &mut callback.body);
    let threads = program.threads.iter_mut().flatten();
    bodies.chain(&mut program.before).chain(threads).chain(&mut program.after)
}

/// The callbacks that an op names, to be changed.
pub(super) fn callback_ids_mut(op: &mut Op) -> Vec<&mut CallbackId> {
    match op {
        Op::Register(ids) => ids.iter_mut().collect(),
        Op::Invoke(id, _) | Op::Enumerate(id, _) | Op::Fire(id, _) | Op::Send(id, _) | Op::Post(id, _) => vec![id],
        Op::Revoke(id) | Op::RevokeAndWait(id) | Op::Release(id) | Op::Unsubscribe(id) | Op::Forget(id) => vec![id],
        Op::Replace(old, new) => vec![old, new],
        _ => Vec::new(),
    }
}

/// For each callback, whether anything can come to it.
fn used_callbacks(program: &Program) -> Vec<bool> {
    let mut used = vec![false; program.callbacks.len()];
    let sections = program.before.iter().chain(program.threads.iter().flatten()).chain(&program.after);
    let mut found: Vec<CallbackId> = sections.flat_map(|step| step.op.callbacks()).collect();
    while let Some(id) = found.pop() {
        if let Some(seen) = used.get_mut(id.0 as usize)
            && !std::mem::replace(seen, true)
        {
            let body = &program.callbacks[id.0 as usize].body;
            found.extend(body.iter().flat_map(|step| step.op.callbacks()));
        }
    }
    used
}

/// The `i`th name from `first` on: the letters up to `z`, then the same letters with 1, 2, ….
fn name(first: char, i: usize) -> String {
    let letters: Vec<char> = (first..='z').collect();
    let letter = letters[i % letters.len()];
    match i / letters.len() {
        0 => letter.to_string(),
        round => format!("{letter}{round}"),
    }
}

//! The tidy form of a program: no unused declarations, and callbacks and gates named in the order in which they stand.
//! Generated and minimised programs are tidied, so that programs that do the same read the same.

use super::{CallbackId, GateId, Program};

/// `program` without unused callbacks and gates. Callbacks are named `a`, `b`, … and gates `g`, `h`, ….
///
/// A callback is used if a section names it, or if the body of a used callback names it. Every callback identifier in
/// `program` must refer to a callback (in a valid program it does). Gates may be numbered in any order.
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
    for step in tidy.steps_mut() {
        for id in step.op.callbacks_mut() {
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

/// Removes the gates that no op names and numbers the others in the order in which they appear, as
/// [`validate`](super::validate) requires.
pub fn number_gates(program: &mut Program) {
    let mut order: Vec<GateId> = Vec::new();
    for gate in program.steps().filter_map(|step| step.op.gate()) {
        if !order.contains(&gate) {
            order.push(gate);
        }
    }
    let names = order.iter().map(|gate| program.gate_name(*gate).to_owned()).collect();
    for gate in program.steps_mut().filter_map(|step| step.op.gate_mut()) {
        let place = order.iter().position(|old| old == gate).unwrap_or(0);
        *gate = GateId(place as u8);
    }
    program.gates = names;
}

/// For each callback, whether it is used.
fn used_callbacks(program: &Program) -> Vec<bool> {
    let mut used = vec![false; program.callbacks.len()];
    let mut found: Vec<CallbackId> = program.section_steps().flat_map(|step| step.op.callbacks()).collect();
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

/// The `i`th name: the letters from `first` to `z`, then the same letters followed by 1, 2, ….
fn name(first: char, i: usize) -> String {
    let letters: Vec<char> = (first..='z').collect();
    let letter = letters[i % letters.len()];
    match i / letters.len() {
        0 => letter.to_string(),
        round => format!("{letter}{round}"),
    }
}

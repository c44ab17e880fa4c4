//! Which of two failing programs is the better one to read.

use crate::program::op::Args;
use crate::program::{Callback, Op, Program, Returns, Step};

/// The cost of reading a program, the weightiest component first. Compare two costs as arrays.
pub(super) fn cost(program: &Program) -> [u64; 7] {
    let in_bodies: usize = program.callbacks.iter().map(|callback| callback.body.len()).sum();
    let in_threads: usize = program.threads.iter().map(Vec::len).sum();
    let header = program.hostile.len()
        + usize::from(program.capacity.is_some())
        + usize::from(program.fail_allocation.is_some());
    let attributes: usize = program.callbacks.iter().map(attributes).sum();
    let limits = u64::from(program.capacity.unwrap_or(0)) + u64::from(program.fail_allocation.unwrap_or(0));
    [
        program.len() as u64,
        program.threads.len() as u64,
        program.callbacks.len() as u64,
        (header + attributes) as u64,
        // Steps on threads are harder to follow than steps that run alone. Steps in bodies are the hardest.
        (3 * in_bodies + 2 * in_threads + program.after.len()) as u64,
        program.steps().map(words).sum(),
        program.steps().map(magnitude).fold(limits, u64::saturating_add),
    ]
}

fn attributes(callback: &Callback) -> usize {
    let flags = [callback.exclusive, callback.confined, callback.returns == Returns::Counting];
    flags.into_iter().filter(|flag| *flag).count()
}

/// The number of optional words in a step. A call on another thread counts as one word more.
fn words(step: &Step) -> u64 {
    let of_op = match &step.op {
        Op::Register(ids) => ids.len() as u64,
        Op::Send(..) | Op::Post(..) => 1,
        _ => 0,
    };
    let args = 2 * u64::from(step.op.args().is_some());
    of_op + args + u64::from(step.expect.is_some()) + u64::from(step.nth.is_some())
}

/// The sum of a step's numbers.
fn magnitude(step: &Step) -> u64 {
    let of_op = match &step.op {
        Op::Enumerate(_, n) | Op::Churn(n) => u64::from(*n),
        Op::Return(value) => value.unsigned_abs(),
        op => op.args().map_or(0, |Args { a, b }| a.unsigned_abs().saturating_add(b.unsigned_abs())),
    };
    of_op.saturating_add(u64::from(step.nth.unwrap_or(0)))
}

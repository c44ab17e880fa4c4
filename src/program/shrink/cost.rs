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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_is_easier_to_read_costs_less() {
        let cost_of = |text: &str| cost(&Program::parse(text).unwrap_or_else(|error| panic!("{error}")));
        let pairs = [
            // Fewer steps, threads, callbacks, and words of the header and of callbacks, in that order.
            ("thread\nthread\n  churn 9\n", "before\n  barrier\n  barrier\n"),
            ("callback a\nthread\n  barrier\n", "thread\nthread\n  barrier\n"),
            ("hostile late\nhostile twice\n", "callback a\n"),
            ("hostile late\n", "hostile late\ncapacity 1\n"),
            ("capacity 9\n", "fail_allocation 1\ncapacity 1\n"),
            ("callback a exclusive\n", "callback a counting exclusive\n"),
            ("callback a counting\n", "callback a exclusive confined\n"),
            // A step is easiest to follow in `before`, then in `after`, then on a thread, then in a body.
            ("before\n  barrier\n", "after\n  barrier\n"),
            ("thread\n  barrier\nafter\n  barrier\n  barrier\n", "thread\n  barrier\n  barrier\nafter\n  barrier\n"),
            (
                "callback a\n  panic\nthread\n  barrier\n  barrier\n",
                "callback a\n  panic\n  panic\nthread\n  barrier\n",
            ),
            // Fewer words in the steps.
            ("callback a\nbefore\n  fire a 9 9\n", "callback a\nbefore\n  fire a 1 1 = 2\n"),
            ("callback a\nbefore\n  fire a = 2\n", "callback a\nbefore\n  fire a 1 1\n"),
            ("callback a\n  nth 9 fire a\n", "callback a\n  fire a 0 0\n"),
            ("callback a\nbefore\n  fire a\n", "callback a\nbefore\n  send a\n"),
            ("callback a\nbefore\n  fire a\n", "callback a\nbefore\n  post a\n"),
            ("callback a\nbefore\n  send a = 2\n", "callback a\nbefore\n  send a 1 1\n"),
            ("callback a\ncallback b\nbefore\n  register a\n", "callback a\ncallback b\nbefore\n  register a b\n"),
            ("callback a\n  panic\n", "callback a\n  nth 1 panic\n"),
            // Smaller numbers.
            ("capacity 4\n", "capacity 5\n"),
            ("fail_allocation 4\n", "fail_allocation 5\n"),
            ("fail_allocation 4\ncapacity 4\n", "fail_allocation 4\ncapacity 5\n"),
            ("before\n  churn 1\n", "before\n  churn 2\n"),
            ("callback a\n  return 1\n", "callback a\n  return -2\n"),
            ("callback a\n  nth 1 return 1\n", "callback a\n  nth 2 return 1\n"),
            ("callback a\nbefore\n  enumerate a 1\n", "callback a\nbefore\n  enumerate a 2\n"),
            ("callback a\nbefore\n  fire a 1 2\n", "callback a\nbefore\n  fire a -2 2\n"),
            ("callback a\nbefore\n  fire a 1 2\n", "callback a\nbefore\n  fire a 1 -3\n"),
        ];
        for (easier, harder) in pairs {
            assert!(cost_of(easier) < cost_of(harder), "this should cost less:\n{easier}\nthan this:\n{harder}");
        }
    }
}

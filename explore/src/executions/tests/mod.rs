//! What the search finds, against numbers from the literature and against an oracle.

mod consistent;
mod explored;
mod litmus;
mod mixes;
mod oracle;
mod program;
mod random;
mod relation;

use super::*;
use std::rc::Rc;
use std::sync::atomic::Ordering;

/// An atomic variable, for the programs of these tests.
#[derive(Clone)]
struct Variable(Rc<Tag>);

impl Variable {
    fn new(value: u64) -> Self {
        Self(Rc::new(Tag::new(value)))
    }

    fn read(&self, order: Order, action: Action) -> u64 {
        ask(Request::Read { tag: &*self.0, order, action })
    }

    fn store(&self, value: u64, order: Ordering) {
        ask(Request::Write { tag: &*self.0, order: Order::of(order), value });
    }
}

fn fence(order: Ordering) {
    ask(Request::Fence(Order::of(order)));
}

/// How the runs of a program ended.
#[derive(Debug, Default)]
struct Counts {
    executions: u64,
    deadlocks: u64,
    blocked: u64,
    failures: Vec<Failure>,
}

/// Runs everything, also after a failure. `ended` is called after each run. After [`End::Learnt`] all begins again.
fn count(program: impl Fn() + 'static, mut ended: impl FnMut(&mut Runner, &End)) -> Counts {
    let mut counts = Counts::default();
    visit(program, 10_000, 64 * 1024, |runner| {
        let end = runner.run();
        ended(runner, &end);
        match end {
            End::Execution => counts.executions += 1,
            End::Deadlock(_) => counts.deadlocks += 1,
            End::Blocked | End::Assumed => counts.blocked += 1,
            End::Failed(failure) => counts.failures.push(failure),
            End::Learnt => counts = Counts::default(),
            End::TooLong => panic!("an execution of a small program does not end"),
        }
        true
    });
    counts
}

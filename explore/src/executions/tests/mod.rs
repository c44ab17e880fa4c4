//! What the search finds, against numbers from the literature and against an oracle.

mod litmus;
mod oracle;
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

    fn load(&self, order: Ordering) -> u64 {
        self.read(Order::of(order), Action::Load)
    }

    fn store(&self, value: u64, order: Ordering) {
        ask(Request::Write { tag: &*self.0, order: Order::of(order), value });
    }

    fn add(&self, operand: u64, order: Ordering) -> u64 {
        self.read(Order::of(order), Action::Add { operand, mask: u64::MAX })
    }

    fn compare(&self, expected: u64, new: u64, order: Ordering) -> bool {
        let success = Order::of(order);
        let failure = Order { releases: false, ..success };
        self.read(success, Action::Compare { expected, new, success, failure }) == expected
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
fn count(program: impl Fn() + 'static, mut ended: impl FnMut(&End)) -> Counts {
    let mut counts = Counts::default();
    visit(program, 10_000, 64 * 1024, |runner| {
        let end = runner.run();
        ended(&end);
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

/// The number of executions of threads that are spawned one after another.
fn executions(threads: &[fn(&[Variable])]) -> u64 {
    let threads = threads.to_vec();
    let counts = count(
        move || {
            let variables: Vec<Variable> = (0..4).map(|_| Variable::new(0)).collect();
            for thread in &threads {
                let (thread, variables) = (*thread, variables.clone());
                ask(Request::Spawn(Entry(Box::new(move || thread(&variables)))));
            }
        },
        |_| (),
    );
    assert_eq!(counts.failures, []);
    counts.executions
}

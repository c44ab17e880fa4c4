//! Explores a [`Program`].

use super::program::{Instruction, Mode, Outcome, Program};
use super::*;
use std::cell::RefCell;
use std::collections::BTreeMap;

/// What the search finds.
pub(super) struct Found {
    /// How many executions there are of each outcome.
    pub(super) outcomes: BTreeMap<Outcome, u64>,
    pub(super) races: bool,
    pub(super) deadlocks: bool,
    /// How many runs were neither executions nor deadlocks.
    pub(super) blocked: u64,
}

/// How awaits are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Awaits {
    /// As operations of the search.
    Events,
    /// As loops, which the search has to find.
    Loops,
}

/// What a run of a program uses.
struct Memory {
    variables: Vec<Variable>,
    locks: Vec<Tag>,
    cells: Vec<RefCell<Shadow>>,
    outcome: RefCell<Outcome>,
    /// The await that each thread is in, or was in last.
    awaits: RefCell<Vec<Option<Instruction>>>,
    written: Awaits,
}

/// # Panics
///
/// If a run fails in another way than by a race.
pub(super) fn explored(program: &Program, written: Awaits) -> Found {
    let program = program.0.clone();
    let memory: Rc<RefCell<Option<Rc<Memory>>>> = Rc::default();
    let current = Rc::clone(&memory);
    let (mut outcomes, mut deadlocks) = (BTreeMap::new(), false);
    let counts = count(
        move || {
            let memory = Rc::new(Memory {
                variables: (0..8).map(|_| Variable::new(0)).collect(),
                locks: (0..2).map(|_| Tag::new(0)).collect(),
                cells: (0..2).map(|_| RefCell::new(Shadow::new())).collect(),
                outcome: RefCell::new(vec![Vec::new(); program.len()]),
                awaits: RefCell::new(vec![None; program.len()]),
                written,
            });
            *current.borrow_mut() = Some(Rc::clone(&memory));
            for (thread, instructions) in program.iter().enumerate() {
                let (instructions, memory) = (instructions.clone(), Rc::clone(&memory));
                let body = move || instructions.into_iter().for_each(|it| memory.execute(thread, it));
                ask(Request::Spawn(Entry(Box::new(body))));
            }
        },
        |runner, end| {
            let memory = memory.borrow_mut().take().expect("the run has begun");
            match end {
                End::Execution => *outcomes.entry(memory.outcome.take()).or_default() += 1,
                End::Deadlock(_) => deadlocks |= memory.waits_for_ever(runner),
                End::Learnt => {
                    outcomes.clear();
                    deadlocks = false;
                }
                _ => {}
            }
        },
    );
    let races = counts.failures.iter().all(|it| matches!(it, Failure::Race(_)));
    assert!(races, "{:?}", counts.failures);
    Found { outcomes, races: !counts.failures.is_empty(), deadlocks, blocked: counts.blocked }
}

fn ordering(mode: Mode) -> Ordering {
    match mode {
        Mode::Relaxed => Ordering::Relaxed,
        Mode::Acquire => Ordering::Acquire,
        Mode::Release => Ordering::Release,
        Mode::AcqRel => Ordering::AcqRel,
        Mode::SeqCst => Ordering::SeqCst,
    }
}

impl Memory {
    fn execute(&self, thread: usize, instruction: Instruction) {
        use Instruction::*;
        let read = |place: usize, mode, action| {
            let value = self.variables[place].read(Order::of(ordering(mode)), action);
            self.outcome.borrow_mut()[thread].push(value);
            value
        };
        let plain = |cell: usize, access| {
            with(|runner| {
                if self.cells[cell].borrow_mut().access(runner, access, std::panic::Location::caller()).is_some() {
                    runner.fail(Failure::Race(String::new()));
                }
            });
        };
        match instruction {
            Load(place, mode) => drop(read(place, mode, Action::Load)),
            Store(place, mode, value) => self.variables[place].store(value, ordering(mode)),
            Add(place, mode, operand) => drop(read(place, mode, Action::Add { operand, mask: u64::MAX })),
            Swap(place, mode, new) => drop(read(place, mode, Action::Swap(new))),
            Compare(place, mode, expected, new) => {
                let success = Order::of(ordering(mode));
                let failure = Order { releases: false, ..success };
                read(place, mode, Action::Compare { expected, new, success, failure });
            }
            Await(mode, count, loads) if self.written == Awaits::Loops => {
                let found = self.poll(mode, &loads[..count]);
                self.outcome.borrow_mut()[thread].extend(&found[..count]);
            }
            Await(mode, count, loads) => {
                self.awaits.borrow_mut()[thread] = Some(instruction);
                let mut held = false;
                for (place, expected) in &loads[..count - 1] {
                    held |= read(*place, mode, Action::Load) == *expected;
                }
                let (place, operand) = loads[count - 1];
                let test = Test { holds: |value, operand| value == operand, operand };
                read(place, mode, if held { Action::Load } else { Action::Await(test) });
                self.awaits.borrow_mut()[thread] = None;
            }
            Fence(mode) => fence(ordering(mode)),
            Lock(lock) => drop(ask(Request::Lock(&self.locks[lock]))),
            Unlock(lock) => drop(ask(Request::Unlock(&self.locks[lock]))),
            PlainRead(cell) => plain(cell, Access::Read),
            PlainWrite(cell) => plain(cell, Access::Write),
        }
    }

    #[inline(never)]
    fn poll(&self, mode: Mode, loads: &[(usize, u64)]) -> [u64; 3] {
        loop {
            let mut found = [0; 3];
            let mut held = false;
            for (found, (place, expected)) in found.iter_mut().zip(loads) {
                *found = self.variables[*place].read(Order::of(ordering(mode)), Action::Load);
                held |= *found == *expected;
            }
            if held {
                return found;
            }
        }
    }

    /// Whether no await of several locations would find its value in the newest one of a location: the search by itself
    /// looks only at the last.
    fn waits_for_ever(&self, runner: &mut Runner) -> bool {
        self.awaits.borrow().iter().flatten().all(|instruction| {
            let Instruction::Await(_, count, loads) = *instruction else { unreachable!("an await") };
            loads[..count].iter().all(|(place, expected)| {
                let newest = self.variables[*place].0.location(runner.run_number()).map_or(0, |location| {
                    let graph = runner.graph();
                    graph.written(location, graph.newest(location))
                });
                newest != *expected
            })
        })
    }
}

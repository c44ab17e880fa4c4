//! Random programs: the search and the oracle find the same executions.

use super::oracle::{self, Instruction, Mode, Outcome};
use super::*;
use std::cell::RefCell;
use std::collections::BTreeMap;

/// A generator of numbers, by Marsaglia's xorshift.
struct Random(u64);

impl Random {
    fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % limit
    }
}

/// What random programs consist of.
#[derive(Debug, Clone, Copy)]
struct Taste {
    /// In each 8 instructions, about so many awaits.
    awaits: usize,
    /// And so many pairs of lock and unlock.
    locks: usize,
    plain: usize,
    /// Whether awaits are written as loops, which the search has to find.
    loops: bool,
}

fn program(random: &mut Random, taste: Taste) -> Vec<Vec<Instruction>> {
    const MODES: [Mode; 5] = [Mode::Relaxed, Mode::Acquire, Mode::Release, Mode::AcqRel, Mode::SeqCst];
    let threads = 2 + random.below(3);
    let total = 4 + random.below(4);
    let locations = 1 + random.below(3);
    let mut program = vec![Vec::new(); threads];
    let mut value = 0;
    for _ in 0..total {
        let thread = random.below(threads);
        let place = random.below(locations);
        let mode = MODES[random.below(5)];
        let load = [Mode::Relaxed, Mode::Acquire, Mode::SeqCst][random.below(3)];
        let store = [Mode::Relaxed, Mode::Release, Mode::SeqCst][random.below(3)];
        let kind = random.below(8);
        let list = &mut program[thread];
        if kind < taste.awaits {
            list.push(Instruction::Await(place, load, 1 + random.below(2) as u64));
        } else if kind < taste.awaits + taste.locks {
            let lock = random.below(2);
            let at = random.below(list.len() + 1);
            list.insert(at, Instruction::Lock(lock));
            list.push(Instruction::Unlock(lock));
        } else if kind < taste.awaits + taste.locks + taste.plain {
            let cell = random.below(2);
            list.push(if random.below(2) == 0 { Instruction::PlainRead(cell) } else { Instruction::PlainWrite(cell) });
        } else {
            value = value % 2 + 1;
            list.push(match random.below(8) {
                0..=2 => Instruction::Load(place, load),
                3 | 4 => Instruction::Store(place, store, value),
                5 => Instruction::Add(place, mode, 1),
                6 if random.below(2) == 0 => Instruction::Swap(place, mode, value),
                6 => Instruction::Compare(place, mode, random.below(2) as u64, 2),
                _ => Instruction::Fence(MODES[1 + random.below(4)]),
            });
        }
    }
    // A lock that is taken twice by one thread would wait for itself: such programs have no execution to compare.
    for list in &mut program {
        let mut held = [false; 2];
        let mut matched = Vec::new();
        for instruction in list.drain(..) {
            match instruction {
                Instruction::Lock(lock) if !held[lock] => held[lock] = true,
                Instruction::Unlock(lock) if held[lock] => held[lock] = false,
                Instruction::Lock(_) | Instruction::Unlock(_) => continue,
                _ => {}
            }
            matched.push(instruction);
        }
        *list = matched;
    }
    program
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

struct Memory {
    variables: Vec<Variable>,
    locks: Vec<Tag>,
    cells: Vec<RefCell<Shadow>>,
    loops: bool,
}

#[inline(never)]
fn poll(variable: &Variable, mode: Mode, expected: u64) -> u64 {
    loop {
        let value = variable.load(ordering(mode));
        if value == expected {
            return value;
        }
    }
}

fn step(instruction: Instruction, memory: &Memory) -> Option<u64> {
    use Instruction::*;
    let variable = |place: usize| &memory.variables[place];
    let plain = |cell: usize, access| {
        with(|runner| {
            if memory.cells[cell].borrow_mut().access(runner, access, std::panic::Location::caller()).is_some() {
                runner.fail(Failure::Race(String::new()));
            }
        });
    };
    match instruction {
        Load(place, mode) => return Some(variable(place).load(ordering(mode))),
        Store(place, mode, value) => variable(place).store(value, ordering(mode)),
        Add(place, mode, operand) => return Some(variable(place).add(operand, ordering(mode))),
        Swap(place, mode, new) => return Some(variable(place).read(Order::of(ordering(mode)), Action::Swap(new))),
        Compare(place, mode, expected, new) => {
            let success = Order::of(ordering(mode));
            let failure = Order { releases: false, ..success };
            return Some(variable(place).read(success, Action::Compare { expected, new, success, failure }));
        }
        Await(place, mode, expected) if memory.loops => return Some(poll(variable(place), mode, expected)),
        Await(place, mode, operand) => {
            let test = Test { holds: |value, operand| value == operand, operand };
            return Some(variable(place).read(Order::of(ordering(mode)), Action::Await(test)));
        }
        Fence(mode) => fence(ordering(mode)),
        Lock(lock) => drop(ask(Request::Lock(&memory.locks[lock]))),
        Unlock(lock) => drop(ask(Request::Unlock(&memory.locks[lock]))),
        PlainRead(cell) => plain(cell, Access::Read),
        PlainWrite(cell) => plain(cell, Access::Write),
    }
    None
}

/// How many executions the search finds of each outcome, and whether it finds a race.
fn explored(program: &[Vec<Instruction>], loops: bool) -> (BTreeMap<Outcome, u64>, bool) {
    let program = program.to_vec();
    let outcome: Rc<RefCell<Outcome>> = Rc::default();
    let shared = Rc::clone(&outcome);
    let mut outcomes = BTreeMap::new();
    let counts = count(
        move || {
            *shared.borrow_mut() = vec![Vec::new(); program.len()];
            let memory = Rc::new(Memory {
                variables: (0..3).map(|_| Variable::new(0)).collect(),
                locks: (0..2).map(|_| Tag::new(0)).collect(),
                cells: (0..2).map(|_| RefCell::new(Shadow::new())).collect(),
                loops,
            });
            for (thread, instructions) in program.iter().enumerate() {
                let (instructions, memory, shared) = (instructions.clone(), Rc::clone(&memory), Rc::clone(&shared));
                let body = move || {
                    for instruction in instructions {
                        if let Some(value) = step(instruction, &memory) {
                            shared.borrow_mut()[thread].push(value);
                        }
                    }
                };
                ask(Request::Spawn(Entry(Box::new(body))));
            }
        },
        |end| match end {
            End::Execution => *outcomes.entry(outcome.borrow().clone()).or_default() += 1,
            End::Learnt => outcomes.clear(),
            _ => {}
        },
    );
    let races = counts.failures.iter().all(|it| matches!(it, Failure::Race(_)));
    assert!(races, "{:?}", counts.failures);
    (outcomes, !counts.failures.is_empty())
}

fn compare(seeds: std::ops::Range<u64>, taste: Taste) -> (u64, u64) {
    let (mut executions, mut racy) = (0, 0);
    for seed in seeds {
        let program = program(&mut Random::new(seed), taste);
        let expected = oracle::executions(&program);
        let (outcomes, races) = explored(&program, taste.loops);
        assert_eq!(races, taste.plain > 0 && oracle::races(&program), "seed {seed}: a race, in {program:#?}");
        if !races {
            assert_eq!(outcomes, expected.outcomes, "seed {seed}: {program:#?}");
        }
        executions += expected.outcomes.values().sum::<u64>();
        racy += u64::from(races);
    }
    (executions, racy)
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|it| it.parse().ok()).unwrap_or(default)
}

#[test]
fn random_programs_have_the_executions_that_the_oracle_finds() {
    let programs = number("LATECALL_PROGRAMS", 1_000);
    for taste in [
        Taste { awaits: 0, locks: 0, plain: 0, loops: false },
        Taste { awaits: 3, locks: 0, plain: 0, loops: false },
        Taste { awaits: 1, locks: 3, plain: 0, loops: false },
        Taste { awaits: 1, locks: 1, plain: 3, loops: false },
        Taste { awaits: 2, locks: 1, plain: 0, loops: true },
    ] {
        // Each loop is tried many times, so programs with loops take ten times as long as others.
        let programs = if taste.loops { programs.div_ceil(4) } else { programs };
        let (executions, racy) = compare(0..programs, taste);
        assert!(executions > programs / 2, "{executions} executions of {programs} programs: nothing to compare");
        assert_eq!(racy > 0, taste.plain > 0, "{taste:?}");
    }
}

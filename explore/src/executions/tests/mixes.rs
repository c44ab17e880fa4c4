//! Litmus families: one shape with every mix of orders and fences. The search and the oracle agree on each, and how
//! many mixes have how many executions is written here, so that a change of the model shows even where both change.

use super::explored::{Awaits, explored};
use super::oracle;
use super::program::{Instruction, Mode, Program};
use std::collections::BTreeMap;

/// Which mixes of a shape there are.
#[derive(Debug, Clone, Copy)]
enum Mix {
    /// Each access has each order, and between two accesses is each fence, or none.
    Full,
    /// All accesses of a thread have orders of one kind, and its fences are full fences, sequentially consistent, or
    /// none.
    Even,
}

/// Name, shape, mixes, and how many mixes have how many executions.
type Family = (&'static str, &'static str, Mix, &'static [(u64, u64)]);

const FAMILIES: &[Family] = &[
    ("SB", "x=1 y? | y=1 x?", Mix::Full, &[(3, 169), (4, 1856)]),
    ("MP", "x=1 y=1 | y? x?", Mix::Full, &[(3, 1521), (4, 504)]),
    ("LB", "x? y=1 | y? x=1", Mix::Full, &[(3, 2025)]),
    ("2+2W", "x=1 y=2 | y=1 x=2", Mix::Full, &[(3, 169), (4, 1856)]),
    ("S", "x=2 y=1 | y? x=1", Mix::Full, &[(3, 1521), (4, 504)]),
    ("R", "x=1 y=1 | y=2 x?", Mix::Full, &[(3, 169), (4, 1856)]),
    ("CoRR", "x=1 x=2 | x? x?", Mix::Full, &[(6, 2025)]),
    ("CoWR", "x=1 x? | x=2", Mix::Full, &[(3, 135)]),
    ("CoRW", "x? x=1 | x=2", Mix::Full, &[(3, 135)]),
    ("SB of exchanges", "x<1 y? | y=1 x?", Mix::Full, &[(3, 247), (4, 3128)]),
    ("MP of increments", "x=1 y+1 | y+1 x?", Mix::Full, &[(3, 3969), (4, 1656)]),
    ("WRC", "x=1 | x? y=1 | y? x?", Mix::Full, &[(7, 4563), (8, 1512)]),
    ("RWC", "x=1 | x? y? | y=1 x?", Mix::Full, &[(7, 367), (8, 5708)]),
    ("W+RWC", "x=1 z=1 | z? y? | y=1 x?", Mix::Even, &[(7, 215), (8, 514)]),
    ("ISA2", "x=1 y=1 | y? z=1 | z? x?", Mix::Even, &[(7, 512), (8, 217)]),
    ("Z6", "x=1 y=1 | y=2 z=1 | z? x?", Mix::Even, &[(7, 215), (8, 514)]),
    ("3.SB", "x=1 y? | y=1 z? | z=1 x?", Mix::Even, &[(7, 125), (8, 604)]),
    ("3.LB", "x? y=1 | y? z=1 | z? x=1", Mix::Even, &[(7, 729)]),
    ("3.2W", "x=1 y=2 | y=1 z=2 | z=1 x=2", Mix::Even, &[(7, 125), (8, 604)]),
    ("WWC", "x=2 | x? y=1 | y? x=1", Mix::Even, &[(9, 192), (10, 51)]),
    ("WRW+WR", "x=2 | x? y=1 | y=2 x?", Mix::Even, &[(7, 49), (8, 194)]),
    ("IRIW", "x=1 | y=1 | x? y? | y? x?", Mix::Even, &[(15, 109), (16, 620)]),
    ("IRRWIW", "x=1 | x? y? | y=2 | y? x=2", Mix::Even, &[(21, 109), (22, 467), (24, 153)]),
];

/// Every way to write one thread.
fn threads(shape: &[Instruction], mix: Mix) -> Vec<Vec<Instruction>> {
    let mut all = vec![Vec::new()];
    let fences = match mix {
        Mix::Full => vec![None, Some(Mode::Acquire), Some(Mode::Release), Some(Mode::AcqRel), Some(Mode::SeqCst)],
        Mix::Even => vec![None, Some(Mode::AcqRel), Some(Mode::SeqCst)],
    };
    for (at, instruction) in shape.iter().enumerate() {
        if at > 0 {
            let fenced = |thread: &Vec<Instruction>| {
                let extended = |fence: &Option<Mode>| thread.iter().copied().chain(fence.map(Instruction::Fence));
                fences.iter().map(|fence| extended(fence).collect::<Vec<_>>()).collect::<Vec<_>>()
            };
            all = all.iter().flat_map(fenced).collect();
        }
        let ordered = |thread: &Vec<Instruction>| {
            let with = |mode: Mode| {
                let mut instruction = *instruction;
                *instruction.mode().expect("an access") = mode;
                thread.iter().copied().chain([instruction]).collect::<Vec<_>>()
            };
            orders(instruction).iter().map(|mode| with(*mode)).collect::<Vec<_>>()
        };
        all = all.iter().flat_map(ordered).collect();
    }
    let strength = |instruction: &Instruction| {
        orders(instruction).iter().position(|it| *instruction.clone().mode().expect("an access") == *it)
    };
    let even = |thread: &Vec<Instruction>| {
        let mut kinds = thread.iter().filter(|it| !matches!(it, Instruction::Fence(_))).map(strength);
        let first = kinds.next();
        kinds.all(|it| Some(it) == first)
    };
    all.retain(|thread| matches!(mix, Mix::Full) || even(thread));
    all
}

/// The orders that an access may have, from the weakest on.
fn orders(instruction: &Instruction) -> &'static [Mode] {
    match instruction {
        Instruction::Load(..) => &[Mode::Relaxed, Mode::Acquire, Mode::SeqCst],
        Instruction::Store(..) => &[Mode::Relaxed, Mode::Release, Mode::SeqCst],
        _ => &[Mode::Relaxed, Mode::Acquire, Mode::Release, Mode::AcqRel, Mode::SeqCst],
    }
}

fn mixes(shape: &str, mix: Mix) -> Vec<Program> {
    let mut all = vec![Vec::new()];
    for thread in &Program::new(shape).0 {
        let ways = threads(thread, mix);
        let with = |program: &Vec<Vec<Instruction>>| {
            let extended = |way: &Vec<Instruction>| program.iter().chain([way]).cloned().collect::<Vec<_>>();
            ways.iter().map(extended).collect::<Vec<_>>()
        };
        all = all.iter().flat_map(with).collect();
    }
    all.into_iter().map(Program).collect()
}

fn check(families: &[Family]) {
    let mut wrong = Vec::new();
    for (name, shape, mix, expected) in families {
        let mut numbers: BTreeMap<u64, u64> = BTreeMap::new();
        for program in mixes(shape, *mix) {
            let (found, judged) = (explored(&program, Awaits::Events).outcomes, oracle::executions(&program));
            assert_eq!(found, judged.outcomes, "{name}: {program}");
            *numbers.entry(judged.number()).or_default() += 1;
        }
        let numbers: Vec<(u64, u64)> = numbers.into_iter().collect();
        if numbers != *expected {
            wrong.push(format!("{name}: {numbers:?}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_mix_of_orders_and_fences() {
    check(FAMILIES);
}

//! A slow second opinion: all executions of a small program by brute force, judged by the definitions of the memory
//! model. Shares nothing with the search.

use super::consistent::{consistent, location_is_coherent};
use super::program::{Instruction, Mode, Outcome, Program};
use super::relation::Relation;
use std::collections::BTreeMap;

#[derive(Debug, Default)]
pub(super) struct Executions {
    /// How many executions there are of each outcome, of those in which each thread comes to its end.
    pub(super) outcomes: BTreeMap<Outcome, u64>,
    /// Whether some execution has a race of plain accesses, be it one in which threads wait for ever.
    pub(super) races: bool,
    /// Whether in some execution threads wait for ever.
    pub(super) deadlocks: bool,
}

impl Executions {
    pub(super) fn number(&self) -> u64 {
        self.outcomes.values().sum()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    Read,
    Write,
    Fence,
    Lock,
    Unlock,
    PlainRead,
    PlainWrite,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Event {
    /// None: an initial write.
    pub(super) thread: Option<usize>,
    pub(super) what: What,
    pub(super) place: usize,
    pub(super) mode: Mode,
    instruction: Option<Instruction>,
    /// The write of a read-modify-write: its read.
    pub(super) read: Option<usize>,
    /// How many loads of the same await come before this one.
    nth: usize,
}

/// The writes of each location, and the locks of each lock, in their order. True: of a lock.
pub(super) type Orders = BTreeMap<(bool, usize), Vec<usize>>;

/// What the enumeration looks for, and what it has found.
struct Enumeration {
    threads: usize,
    /// Where threads wait for ever. None if none does.
    waits: Vec<Instruction>,
    found: Executions,
}

/// All consistent executions.
pub(super) fn executions(program: &Program) -> Executions {
    // Each thread to its end, or to one of its waits.
    let ends = |instructions: &Vec<Instruction>| {
        let waits = (0..instructions.len()).filter(|at| instructions[*at].may_wait());
        [instructions.len()].into_iter().chain(waits).collect::<Vec<_>>()
    };
    let ends: Vec<Vec<usize>> = program.0.iter().map(ends).collect();
    let combinations = ends.iter().map(Vec::len).product::<usize>();
    let mut enumeration = Enumeration { threads: program.0.len(), waits: Vec::new(), found: Executions::default() };
    for mut combination in 0..combinations {
        enumeration.waits.clear();
        let mut cut = Vec::new();
        for (instructions, ends) in program.0.iter().zip(&ends) {
            let end = ends[combination % ends.len()];
            combination /= ends.len();
            cut.push(&instructions[..end]);
            enumeration.waits.extend(instructions.get(end));
        }
        let events = events_of(&cut);
        let mut from = vec![None; events.len()];
        enumeration.choose_sources(&events, 0, &mut from);
    }
    enumeration.found
}

fn events_of(threads: &[&[Instruction]]) -> Vec<Event> {
    let mut events = Vec::new();
    let locations = 1 + threads.iter().copied().flatten().filter_map(highest).max().unwrap_or(0);
    for place in 0..locations {
        let (what, mode) = (What::Write, Mode::Relaxed);
        events.push(Event { thread: None, what, place, mode, instruction: None, read: None, nth: 0 });
    }
    for (thread, instructions) in threads.iter().enumerate() {
        for instruction in *instructions {
            let (thread, instruction) = (Some(thread), Some(*instruction));
            let event = |what, place, mode| Event { thread, what, place, mode, instruction, read: None, nth: 0 };
            use Instruction::*;
            match instruction.expect("it is one") {
                Load(place, mode) => events.push(event(What::Read, place, mode)),
                Await(mode, count, loads) => {
                    let load = |nth: usize| Event { nth, ..event(What::Read, loads[nth].0, mode) };
                    events.extend((0..count).map(load));
                }
                Store(place, mode, _) => events.push(event(What::Write, place, mode)),
                Add(place, mode, _) | Swap(place, mode, _) | Compare(place, mode, ..) => {
                    events.push(event(What::Read, place, mode));
                    events.push(Event { read: Some(events.len() - 1), ..event(What::Write, place, mode) });
                }
                Fence(mode) => events.push(event(What::Fence, usize::MAX, mode)),
                Lock(lock) => events.push(event(What::Lock, lock, Mode::Relaxed)),
                Unlock(lock) => events.push(event(What::Unlock, lock, Mode::Relaxed)),
                PlainRead(cell) => events.push(event(What::PlainRead, cell, Mode::Relaxed)),
                PlainWrite(cell) => events.push(event(What::PlainWrite, cell, Mode::Relaxed)),
            }
        }
    }
    events
}

/// The highest number of a location that the instruction uses.
fn highest(instruction: &Instruction) -> Option<usize> {
    use Instruction::*;
    match *instruction {
        Load(place, _) | Store(place, ..) | Add(place, ..) | Swap(place, ..) | Compare(place, ..) => Some(place),
        Await(_, count, loads) => loads[..count].iter().map(|it| it.0).max(),
        Fence(_) | Lock(_) | Unlock(_) | PlainRead(_) | PlainWrite(_) => None,
    }
}

/// The value that an event reads or writes; none for a write that does not happen. The sources have no cycle.
fn value(events: &[Event], from: &[Option<usize>], event: usize) -> Option<u64> {
    let it = events[event];
    if it.what == What::Read {
        return value(events, from, from[event].expect("each read has a source"));
    }
    let read = |write: Event| value(events, from, write.read.expect("a read-modify-write"));
    match it.instruction {
        None => Some(0),
        Some(Instruction::Store(_, _, value)) => Some(value),
        Some(Instruction::Swap(_, _, value)) => read(it).map(|_| value),
        Some(Instruction::Add(_, _, operand)) => read(it).map(|value| value.wrapping_add(operand)),
        Some(Instruction::Compare(_, _, expected, new)) => {
            read(it).and_then(|value| (value == expected).then_some(new))
        }
        Some(other) => unreachable!("{other:?} has no value"),
    }
}

impl Enumeration {
    /// Every way to choose what each read reads from.
    fn choose_sources(&mut self, events: &[Event], at: usize, from: &mut Vec<Option<usize>>) {
        let Some(read) = (at..events.len()).find(|at| events[*at].what == What::Read) else {
            return self.values(events, from);
        };
        for write in 0..events.len() {
            let it = events[write];
            // A write that comes later in the read's thread would close a cycle of program order and reads-from.
            let later = write > read && it.thread == events[read].thread;
            if it.what == What::Write && it.place == events[read].place && !later {
                from[read] = Some(write);
                self.choose_sources(events, read + 1, from);
            }
        }
    }

    /// Drops the writes that do not happen, and the choices in which an event reads from one, or an await does not
    /// hold.
    fn values(&mut self, events: &[Event], from: &[Option<usize>]) {
        let source = |a, b| from[b] == Some(a);
        let size = events.len();
        let order = |a: usize, b: usize| events[a].thread.is_some() && events[a].thread == events[b].thread && a < b;
        if !Relation::new(size, |a, b| order(a, b) || source(a, b)).closure().irreflexive() {
            return;
        }
        let mut numbers = vec![None; size];
        let mut present = Vec::new();
        let mut outcome = vec![Vec::new(); self.threads];
        for (at, event) in events.iter().enumerate() {
            if matches!(event.what, What::Read | What::Write) {
                match (value(events, from, at), event.what, event.instruction) {
                    (None, What::Read, _) => return,
                    (None, ..) => continue,
                    (Some(_), What::Read, Some(Instruction::Await(_, count, loads)))
                        // Judged at its last load.
                        if event.nth + 1 == count
                            && (0..count).all(|nth| value(events, from, at - event.nth + nth) != Some(loads[nth].1)) =>
                    {
                        return;
                    }
                    (Some(value), What::Read, _) => outcome[event.thread.expect("not initial")].push(value),
                    _ => {}
                }
            }
            numbers[at] = Some(present.len());
            present.push(at);
        }
        let mut kept: Vec<Event> = Vec::new();
        let mut sources = Vec::new();
        for at in &present {
            let mut event = events[*at];
            event.read = event.read.and_then(|read| numbers[read]);
            if let (What::Read, Some(Instruction::Compare(_, mode, expected, _))) = (event.what, event.instruction)
                && value(events, from, *at) != Some(expected)
            {
                event.mode = mode.without_release();
            }
            kept.push(event);
            sources.push(from[*at].and_then(|write| numbers[write]));
        }
        self.choose_orders(&kept, &sources, &mut Orders::new(), &outcome);
    }

    /// Every coherence order of each location, and every order of the critical sections of each lock.
    fn choose_orders(&mut self, events: &[Event], from: &[Option<usize>], orders: &mut Orders, outcome: &Outcome) {
        let of = |event: &Event| match event.what {
            What::Write => Some((false, event.place)),
            What::Lock => Some((true, event.place)),
            _ => None,
        };
        let placed = |orders: &Orders, at: usize| {
            of(&events[at]).is_some_and(|key| orders.get(&key).is_some_and(|it| it.contains(&at)))
        };
        let open = (0..events.len()).find_map(|at| of(&events[at]).filter(|_| !placed(orders, at)));
        let Some(open) = open else {
            return self.judge(events, from, orders, outcome);
        };
        let first = orders.get(&open).is_none_or(Vec::is_empty) && !open.0;
        let rest: Vec<usize> = (0..events.len())
            .filter(|at| of(&events[*at]) == Some(open) && !placed(orders, *at))
            // The initial write is the first.
            .filter(|at| !first || events[*at].thread.is_none())
            .collect();
        for at in &rest {
            orders.entry(open).or_default().push(*at);
            // The last one completes the order.
            if open.0 || rest.len() > 1 || location_is_coherent(events, from, &orders[&open]) {
                self.choose_orders(events, from, orders, outcome);
            }
            orders.get_mut(&open).expect("it was just used").pop();
        }
    }

    fn judge(&mut self, events: &[Event], from: &[Option<usize>], orders: &Orders, outcome: &Outcome) {
        let Some(races) = consistent(events, from, orders) else { return };
        self.found.races |= races;
        if self.waits.is_empty() {
            *self.found.outcomes.entry(outcome.clone()).or_default() += 1;
            return;
        }
        // A thread waits for ever if what it waits for is not so in the end.
        let last = |lock: bool, place: usize| orders.get(&(lock, place)).and_then(|order| order.last().copied());
        let for_ever = |wait: &Instruction| match *wait {
            Instruction::Await(_, count, loads) => loads[..count].iter().all(|(place, expected)| {
                let newest = last(false, *place).map_or(0, |write| value(events, from, write).expect("it happens"));
                newest != *expected
            }),
            Instruction::Lock(lock) => {
                last(true, lock).is_some_and(|at| super::consistent::unlock_of(events, at).is_none())
            }
            other => unreachable!("{other} does not wait"),
        };
        self.found.deadlocks |= self.waits.iter().all(for_ever);
    }
}

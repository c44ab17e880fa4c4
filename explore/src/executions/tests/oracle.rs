//! A slow second opinion: all executions of a small program by brute force, judged by the definitions of the memory
//! model as relations between events. Shares nothing with the search.

use super::relation::Relation;
use std::collections::BTreeMap;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    Relaxed,
    Acquire,
    Release,
    AcqRel,
    SeqCst,
}

impl Mode {
    fn acquires(self) -> bool {
        matches!(self, Mode::Acquire | Mode::AcqRel | Mode::SeqCst)
    }

    fn releases(self) -> bool {
        matches!(self, Mode::Release | Mode::AcqRel | Mode::SeqCst)
    }
}

/// One instruction of a program without jumps. Locations, locks and cells are numbered apart, from 0.
#[derive(Debug, Clone, Copy)]
pub(super) enum Instruction {
    Load(usize, Mode),
    Store(usize, Mode, u64),
    Add(usize, Mode, u64),
    Swap(usize, Mode, u64),
    /// A compare-exchange, which fails with this order without its release.
    Compare(usize, Mode, u64, u64),
    Fence(Mode),
    /// Waits until the location has this value.
    Await(usize, Mode, u64),
    Lock(usize),
    Unlock(usize),
    PlainRead(usize),
    PlainWrite(usize),
}

/// What each thread reads, in its order. Each load, exchange and await has an entry.
pub(super) type Outcome = Vec<Vec<u64>>;

#[derive(Debug, Default)]
pub(super) struct Executions {
    /// How many executions there are of each outcome.
    pub(super) outcomes: BTreeMap<Outcome, u64>,
    /// How many executions have a race of plain accesses.
    pub(super) racy: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    Read,
    Write,
    Fence,
    Lock,
    Unlock,
    PlainRead,
    PlainWrite,
}

#[derive(Debug, Clone, Copy)]
struct Event {
    /// None: an initial write.
    thread: Option<usize>,
    what: What,
    place: usize,
    mode: Mode,
    instruction: Option<Instruction>,
    /// The write of a read-modify-write: its read.
    read: Option<usize>,
}

/// All consistent executions in which each thread comes to its end.
pub(super) fn executions(program: &[Vec<Instruction>]) -> Executions {
    let mut events = Vec::new();
    let locations = 1 + program.iter().flatten().filter_map(location).max().unwrap_or(0);
    for place in 0..locations {
        let initial =
            Event { thread: None, what: What::Write, place, mode: Mode::Relaxed, instruction: None, read: None };
        events.push(initial);
    }
    for (thread, instructions) in program.iter().enumerate() {
        for instruction in instructions {
            let event = |what, place, mode| Event {
                thread: Some(thread),
                what,
                place,
                mode,
                instruction: Some(*instruction),
                read: None,
            };
            use Instruction::*;
            match *instruction {
                Load(place, mode) | Await(place, mode, _) => events.push(event(What::Read, place, mode)),
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
    assert!(events.len() <= 64, "a program of at most 64 events");
    let mut found = Executions::default();
    let mut from = vec![None; events.len()];
    choose_sources(&events, 0, &mut from, program.len(), &mut found);
    found
}

/// Whether some execution has a race, be it one in which threads wait for ever.
pub(super) fn races(program: &[Vec<Instruction>]) -> bool {
    // Each thread to its end, or to one of its waits.
    let ends = |instructions: &Vec<Instruction>| {
        let waits = |at: &usize| matches!(instructions[*at], Instruction::Await(..) | Instruction::Lock(_));
        (0..instructions.len()).filter(waits).chain([instructions.len()]).collect::<Vec<_>>()
    };
    let ends: Vec<Vec<usize>> = program.iter().map(ends).collect();
    let combinations = ends.iter().map(Vec::len).product::<usize>();
    (0..combinations).any(|mut combination| {
        let cut = program.iter().zip(&ends).map(|(instructions, ends)| {
            let end = ends[combination % ends.len()];
            combination /= ends.len();
            instructions[..end].to_vec()
        });
        executions(&cut.collect::<Vec<_>>()).racy > 0
    })
}

fn location(instruction: &Instruction) -> Option<usize> {
    use Instruction::*;
    match *instruction {
        Load(place, _)
        | Store(place, ..)
        | Add(place, ..)
        | Swap(place, ..)
        | Compare(place, ..)
        | Await(place, ..) => Some(place),
        Fence(_) | Lock(_) | Unlock(_) | PlainRead(_) | PlainWrite(_) => None,
    }
}

/// Every way to choose what each read reads from.
fn choose_sources(events: &[Event], at: usize, from: &mut Vec<Option<usize>>, threads: usize, found: &mut Executions) {
    let Some(read) = (at..events.len()).find(|at| events[*at].what == What::Read) else {
        return values(events, from, threads, found);
    };
    for write in 0..events.len() {
        let it = events[write];
        if it.what == What::Write && it.place == events[read].place && it.read != Some(read) {
            from[read] = Some(write);
            choose_sources(events, read + 1, from, threads, found);
        }
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

/// Drops the writes that do not happen, and the choices in which an event reads from one, or an await does not hold.
fn values(events: &[Event], from: &[Option<usize>], threads: usize, found: &mut Executions) {
    let source = |a, b| from[b] == Some(a);
    let size = events.len();
    let order = |a: usize, b: usize| events[a].thread.is_some() && events[a].thread == events[b].thread && a < b;
    if !Relation::new(size, |a, b| order(a, b) || source(a, b)).closure().irreflexive() {
        return;
    }
    let mut numbers = vec![None; size];
    let mut present = Vec::new();
    let mut outcome = vec![Vec::new(); threads];
    for (at, event) in events.iter().enumerate() {
        if matches!(event.what, What::Read | What::Write) {
            match (value(events, from, at), event.what, event.instruction) {
                (None, What::Read, _) => return,
                (None, ..) => continue,
                (Some(value), What::Read, Some(Instruction::Await(_, _, expected))) if value != expected => return,
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
            event.mode = match mode {
                Mode::Release => Mode::Relaxed,
                Mode::AcqRel => Mode::Acquire,
                other => other,
            };
        }
        kept.push(event);
        sources.push(from[*at].and_then(|write| numbers[write]));
    }
    let mut orders: BTreeMap<(bool, usize), Vec<usize>> = BTreeMap::new();
    choose_orders(&kept, &sources, &mut orders, &outcome, found);
}

/// Every coherence order of each location, and every order of the critical sections of each lock.
fn choose_orders(
    events: &[Event],
    from: &[Option<usize>],
    orders: &mut BTreeMap<(bool, usize), Vec<usize>>,
    outcome: &Outcome,
    found: &mut Executions,
) {
    let of = |event: &Event| match event.what {
        What::Write => Some((false, event.place)),
        What::Lock => Some((true, event.place)),
        _ => None,
    };
    let placed = |at: usize| of(&events[at]).is_some_and(|key| orders.get(&key).is_some_and(|it| it.contains(&at)));
    let Some(open) = (0..events.len()).filter_map(|at| (!placed(at)).then(|| of(&events[at])).flatten()).next() else {
        if let Some(racy) = consistent(events, from, orders) {
            *found.outcomes.entry(outcome.clone()).or_default() += 1;
            found.racy += u64::from(racy);
        }
        return;
    };
    let first = orders.get(&open).is_none_or(Vec::is_empty) && !open.0;
    let rest: Vec<usize> = (0..events.len())
        .filter(|at| of(&events[*at]) == Some(open) && !placed(*at))
        // The initial write is the first.
        .filter(|at| !first || events[*at].thread.is_none())
        .collect();
    for at in rest {
        orders.entry(open).or_default().push(at);
        choose_orders(events, from, orders, outcome, found);
        orders.get_mut(&open).expect("it was just used").pop();
    }
}

/// None: inconsistent. Otherwise whether plain accesses race.
fn consistent(events: &[Event], from: &[Option<usize>], orders: &BTreeMap<(bool, usize), Vec<usize>>) -> Option<bool> {
    let size = events.len();
    let is = |what: What| move |at: usize| events[at].what == what;
    let ordered = |lock: bool, a: usize, b: usize| {
        let place = |at: usize| orders[&(lock, events[at].place)].iter().position(|it| *it == at);
        events[a].place == events[b].place && place(a) < place(b)
    };
    let po = Relation::new(size, |a, b| match (events[a].thread, events[b].thread) {
        (Some(a_thread), Some(b_thread)) => a_thread == b_thread && a < b,
        (None, Some(_)) => true,
        _ => false,
    });
    let rf = Relation::new(size, |a, b| from[b] == Some(a));
    let write = is(What::Write);
    let co = Relation::new(size, |a, b| a != b && write(a) && write(b) && ordered(false, a, b));
    // An unlock is followed by the next lock of the same lock.
    let lock = is(What::Lock);
    let unlock_of = |a: usize| {
        (a..size).find(|b| {
            events[*b].what == What::Unlock
                && events[*b].place == events[a].place
                && events[*b].thread == events[a].thread
        })
    };
    let handed = Relation::new(size, |a, b| {
        (0..size)
            .any(|owner| lock(owner) && lock(b) && owner != b && ordered(true, owner, b) && unlock_of(owner) == Some(a))
    });
    // A lock that is never unlocked is followed by no other lock.
    let stuck = |a: usize, b: usize| a != b && lock(a) && lock(b) && ordered(true, a, b) && unlock_of(a).is_none();
    if (0..size).any(|a| (0..size).any(|b| stuck(a, b))) {
        return None;
    }
    if !po.or(&rf).or(&handed).closure().irreflexive() {
        return None;
    }
    let rmw = Relation::new(size, |a, b| events[b].read == Some(a));
    let fr = rf.inverse().then(&co);
    let eco = rf.or(&co).or(&fr).closure();
    // Atomicity.
    if !rmw.then(&fr.then(&co).inverse()).irreflexive() {
        return None;
    }
    // Synchronises-with and happens-before.
    let all = |holds: &dyn Fn(usize) -> bool| Relation::on(size, holds);
    let fences = all(&is(What::Fence));
    let sequence = all(&write).then(&rf.then(&rmw).closure().optional());
    let releases = all(&|at| events[at].mode.releases() && matches!(events[at].what, What::Write | What::Fence));
    let acquires = all(&|at| events[at].mode.acquires() && matches!(events[at].what, What::Read | What::Fence));
    let sw = releases
        .then(&fences.then(&po).optional())
        .then(&sequence)
        .then(&rf)
        .then(&po.then(&fences).optional())
        .then(&acquires);
    let hb = po.or(&sw).or(&handed).closure();
    // Coherence.
    if !hb.then(&eco.optional()).irreflexive() {
        return None;
    }
    // Sequential consistency.
    let same = |a: usize, b: usize| {
        let memory = |at: usize| matches!(events[at].what, What::Read | What::Write);
        memory(a) && memory(b) && events[a].place == events[b].place
    };
    let scb = po.or(&po.then(&hb).then(&po)).or(&hb.and(same)).or(&co).or(&fr);
    let sc = all(&|at| events[at].mode == Mode::SeqCst);
    let sc_fences = sc.then(&fences);
    let base = sc.or(&sc_fences.then(&hb.optional())).then(&scb).then(&sc.or(&hb.optional().then(&sc_fences)));
    let between = sc_fences.then(&hb.or(&hb.then(&eco).then(&hb))).then(&sc_fences);
    if !base.or(&between).closure().irreflexive() {
        return None;
    }
    let plain = |at: usize| matches!(events[at].what, What::PlainRead | What::PlainWrite);
    Some((0..size).any(|a| {
        (0..size).any(|b| {
            plain(a)
                && events[b].what == What::PlainWrite
                && a != b
                && events[a].place == events[b].place
                && !hb.has(a, b)
                && !hb.has(b, a)
        })
    }))
}

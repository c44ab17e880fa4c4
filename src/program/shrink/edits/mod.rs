//! The edits that can make a program smaller or plainer, and which of them a program offers.

mod apply;

use crate::program::{CallbackId, GateId, Op, Program, Section, Step, StepId, Verb};

/// One edit.
#[derive(Debug, Clone, Copy)]
pub(super) enum Edit {
    /// Removes a thread.
    Thread(usize),
    /// Removes a callback and every step that names it.
    Callback(CallbackId),
    /// Removes a gate and every step that names it.
    Gate(GateId),
    /// Removes neighbouring steps.
    Steps { section: Section, start: usize, len: usize },
    /// Moves a thread's steps to the end of `before`.
    ThreadIntoBefore(usize),
    /// Moves a thread's steps to the start of `after`.
    ThreadIntoAfter(usize),
    /// Makes one thread of two: the steps of the first, then those of the second.
    Join(usize, usize),
    /// Switches off the hostile switch at this index.
    Hostile(usize),
    /// Removes `capacity`.
    Capacity,
    /// Removes `fail_allocation`.
    FailAllocation,
    /// Makes a callback return the sum of its arguments.
    ReturnsSum(CallbackId),
    /// Removes the attribute `exclusive` of a callback.
    NotExclusive(CallbackId),
    /// Removes the attribute `confined` of a callback.
    NotConfined(CallbackId),
    /// Removes one of several callbacks that a step registers.
    Entry { step: StepId, entry: usize },
    /// Removes the expectation of a step.
    Expect(StepId),
    /// Removes the arguments of a step.
    Arguments(StepId),
    /// Removes the `nth` of a step, so that it runs in every call.
    Nth(StepId),
    /// Replaces `send` or `post` by `fire`: the library calls on this thread instead of its own.
    OnThisThread(StepId),
    /// Moves a step to the end of `before`.
    StepIntoBefore(StepId),
    /// Moves a step to the start of `after`.
    StepIntoAfter(StepId),
    /// Makes a number of a step smaller: 0 is its `nth`, the others are those of its op, in order.
    Number { step: StepId, number: usize, smaller: Smaller },
    /// Makes `capacity` and `fail_allocation` smaller.
    Limits(Smaller),
}

/// How a number gets smaller, in the order in which the ways are tried.
#[derive(Debug, Clone, Copy)]
pub(super) enum Smaller {
    Least,
    Half,
    ByOne,
}

impl Smaller {
    const ALL: [Smaller; 3] = [Smaller::Least, Smaller::Half, Smaller::ByOne];

    /// A number nearer to `least` than `n`.
    fn than(self, n: i64, least: i64) -> i64 {
        match self {
            Smaller::Least => least,
            Smaller::Half => n / 2,
            Smaller::ByOne => n - n.signum(),
        }
    }
}

/// A group of edits. The groups are tried in the order of [`Group::ALL`], the largest edits first.
#[derive(Debug, Clone, Copy)]
pub(super) enum Group {
    /// Removes threads, callbacks and gates.
    Parts,
    /// Removes runs of steps: the longest section as a whole first, then halves of that length.
    Runs,
    /// Makes threads part of other sections.
    Merges,
    /// Removes switches, limits and attributes.
    Switches,
    /// Makes single steps plainer, or moves them to a plainer place.
    Steps,
    /// Makes numbers smaller.
    Numbers,
}

impl Group {
    pub(super) const ALL: [Group; 6] =
        [Group::Parts, Group::Runs, Group::Merges, Group::Switches, Group::Steps, Group::Numbers];

    /// The edits of this group that `program` offers.
    pub(super) fn edits(self, program: &Program) -> Vec<Edit> {
        match self {
            Group::Parts => parts(program),
            Group::Runs => runs(program),
            Group::Merges => merges(program),
            Group::Switches => switches(program),
            Group::Steps => steps(program).flat_map(|(id, step)| plainer(id, step)).collect(),
            Group::Numbers => numbers(program),
        }
    }
}

fn parts(program: &Program) -> Vec<Edit> {
    let threads = (0..program.threads.len()).map(Edit::Thread);
    let callbacks = callbacks(program).map(Edit::Callback);
    let gates = (0..program.gates.len()).map(|i| Edit::Gate(GateId(i as u8)));
    threads.chain(callbacks).chain(gates).collect()
}

fn runs(program: &Program) -> Vec<Edit> {
    let lengths: Vec<(Section, usize)> =
        sections(program).map(|section| (section, program.section(section).map_or(0, <[Step]>::len))).collect();
    let mut edits = Vec::new();
    let mut len = lengths.iter().map(|(_, total)| *total).max().unwrap_or(0);
    while len > 0 {
        for (section, total) in lengths.iter().copied().filter(|(_, total)| *total >= len) {
            edits.extend((0..total).step_by(len).map(|start| Edit::Steps { section, start, len }));
        }
        len /= 2;
    }
    edits
}

fn merges(program: &Program) -> Vec<Edit> {
    let n = program.threads.len();
    let alone = (0..n).flat_map(|i| [Edit::ThreadIntoBefore(i), Edit::ThreadIntoAfter(i)]);
    let joined = (0..n).flat_map(|i| (0..n).filter(move |j| *j != i).map(move |j| Edit::Join(i, j)));
    alone.chain(joined).collect()
}

fn switches(program: &Program) -> Vec<Edit> {
    let hostile = (0..program.hostile.len()).map(Edit::Hostile);
    let limits = [Edit::Capacity, Edit::FailAllocation];
    let attributes =
        callbacks(program).flat_map(|id| [Edit::ReturnsSum(id), Edit::NotExclusive(id), Edit::NotConfined(id)]);
    hostile.chain(limits).chain(attributes).collect()
}

fn plainer(id: StepId, step: &Step) -> Vec<Edit> {
    let mut edits = Vec::new();
    if let Op::Register(ids) = &step.op
        && ids.len() > 1
    {
        edits.extend((0..ids.len()).map(|entry| Edit::Entry { step: id, entry }));
    }
    if step.expect.is_some() {
        edits.push(Edit::Expect(id));
    }
    if step.nth.is_some() && !calls_or_waits(step.op.verb()) {
        edits.push(Edit::Nth(id));
    }
    if step.op.args().is_some() {
        edits.push(Edit::Arguments(id));
    }
    match id.section {
        // A `fire` in place of a delivery would make the body call more often.
        Section::Body(_) => return edits,
        Section::Thread(_) => edits.extend([Edit::StepIntoBefore(id), Edit::StepIntoAfter(id)]),
        Section::After => edits.push(Edit::StepIntoBefore(id)),
        Section::Before => {}
    }
    if matches!(step.op, Op::Send(..) | Op::Post(..)) {
        edits.push(Edit::OnThisThread(id));
    }
    edits
}

/// Whether an op in a body must keep its `nth`: it calls or waits, so without `nth` the program might not end.
fn calls_or_waits(verb: Verb) -> bool {
    !matches!(verb, Verb::Revoke | Verb::Forget | Verb::Churn | Verb::Hold | Verb::Open | Verb::Panic | Verb::Return)
}

fn numbers(program: &Program) -> Vec<Edit> {
    let of_step = |(id, step): (StepId, &Step)| {
        let last = match &step.op {
            op if op.args().is_some() => 2,
            Op::Enumerate(..) | Op::Churn(_) | Op::Return(_) => 1,
            _ => 0,
        };
        let numbers = usize::from(step.nth.is_none())..=last;
        numbers.flat_map(move |number| Smaller::ALL.map(|smaller| Edit::Number { step: id, number, smaller }))
    };
    steps(program).flat_map(of_step).chain(Smaller::ALL.map(Edit::Limits)).collect()
}

fn callbacks(program: &Program) -> impl Iterator<Item = CallbackId> + use<> {
    (0..program.callbacks.len()).map(|i| CallbackId(i as u8))
}

fn sections(program: &Program) -> impl Iterator<Item = Section> + use<> {
    let threads = (0..program.threads.len()).map(|i| Section::Thread(i as u8));
    threads.chain([Section::After, Section::Before]).chain(callbacks(program).map(Section::Body))
}

fn steps(program: &Program) -> impl Iterator<Item = (StepId, &Step)> {
    sections(program).flat_map(|section| {
        let steps = program.section(section).unwrap_or_default().iter().enumerate();
        steps.map(move |(i, step)| (StepId { section, index: i as u16 }, step))
    })
}

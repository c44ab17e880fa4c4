//! The single changes that can make a program smaller or plainer.

use crate::program::canonical::{callback_ids_mut, steps_mut};
use crate::program::op::Args;
use crate::program::valid::gate_of;
use crate::program::{CallbackId, GateId, Kind, Op, Program, Step, Verb};

/// A list of steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum List {
    Body(usize),
    Before,
    Thread(usize),
    After,
}

/// One change.
#[derive(Debug, Clone, Copy)]
pub(super) enum Edit {
    /// Leaves out a thread.
    Thread(usize),
    /// Leaves out a callback with every step that names it.
    Callback(usize),
    /// Leaves out a gate with every step that names it.
    Gate(GateId),
    /// Leaves out neighbouring steps.
    Steps {
        list: List,
        start: usize,
        len: usize,
    },
    /// A thread's steps run at the end of `before`.
    ThreadIntoBefore(usize),
    /// A thread's steps run at the start of `after`.
    ThreadIntoAfter(usize),
    /// Two threads become one, the second's steps last.
    Join(usize, usize),
    /// The Nth hostile switch is off.
    Hostile(usize),
    /// No `capacity`, no `fail_allocation`.
    Capacity,
    FailAllocation,
    /// A callback without one of its attributes.
    Sum(usize),
    Shared(usize),
    Unconfined(usize),
    /// One callback fewer in a table.
    Entry {
        list: List,
        at: usize,
        entry: usize,
    },
    Expect {
        list: List,
        at: usize,
    },
    Arguments {
        list: List,
        at: usize,
    },
    /// In every call instead of the Nth.
    Nth {
        list: List,
        at: usize,
    },
    /// The library calls on this thread instead of its own.
    HereAndNow {
        list: List,
        at: usize,
    },
    /// To the end of `before`.
    StepIntoBefore {
        list: List,
        at: usize,
    },
    /// To the start of `after`.
    StepIntoAfter {
        list: List,
        at: usize,
    },
    /// Another number for the one at this place.
    Number {
        list: List,
        at: usize,
        number: usize,
        smaller: Smaller,
    },
    /// Another number for the `capacity` and the `fail_allocation`.
    Limits(Smaller),
}

/// How a number gets smaller: try these in this order.
#[derive(Debug, Clone, Copy)]
pub(super) enum Smaller {
    Least,
    Half,
    Less,
}

impl Smaller {
    const ALL: [Smaller; 3] = [Smaller::Least, Smaller::Half, Smaller::Less];

    /// A number nearer to `least`.
    fn than(self, n: i64, least: i64) -> i64 {
        match self {
            Smaller::Least => least,
            Smaller::Half => n / 2,
            Smaller::Less => n - n.signum(),
        }
    }
}

/// Edits that are tried together; the groups are tried in order.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kinds {
    /// Threads, callbacks, gates.
    Parts,
    /// Runs of steps, halves of each list first.
    Runs,
    /// Threads that become part of others.
    Merges,
    /// Switches, limits, attributes.
    Frills,
    /// Steps that become plainer or move to a plainer place.
    Details,
    /// Smaller numbers.
    Numbers,
}

impl Kinds {
    pub(super) const ALL: [Kinds; 6] =
        [Kinds::Parts, Kinds::Runs, Kinds::Merges, Kinds::Frills, Kinds::Details, Kinds::Numbers];

    /// The edits of these kinds that a program has places for.
    pub(super) fn of(self, program: &Program) -> Vec<Edit> {
        match self {
            Kinds::Parts => parts(program),
            Kinds::Runs => runs(program),
            Kinds::Merges => merges(program),
            Kinds::Frills => frills(program),
            Kinds::Details => places(program).flat_map(|(list, at, step)| details(list, at, step)).collect(),
            Kinds::Numbers => numbers(program),
        }
    }
}

fn parts(program: &Program) -> Vec<Edit> {
    let threads = (0..program.threads.len()).map(Edit::Thread);
    let callbacks = (0..program.callbacks.len()).map(Edit::Callback);
    let gates = (0..program.gates.len()).map(|i| Edit::Gate(GateId(i as u8)));
    threads.chain(callbacks).chain(gates).collect()
}

fn runs(program: &Program) -> Vec<Edit> {
    let lists: Vec<List> = lists(program).collect();
    let longest = lists.iter().map(|list| steps(program, *list).len()).max().unwrap_or(0);
    let mut edits = Vec::new();
    let mut len = longest;
    while len > 0 {
        for list in &lists {
            let total = steps(program, *list).len();
            if total >= len {
                edits.extend((0..total).step_by(len).map(|start| Edit::Steps { list: *list, start, len }));
            }
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

fn frills(program: &Program) -> Vec<Edit> {
    let hostile = (0..program.hostile.len()).map(Edit::Hostile);
    let limits = [Edit::Capacity, Edit::FailAllocation];
    let attributes = (0..program.callbacks.len()).flat_map(|i| [Edit::Sum(i), Edit::Shared(i), Edit::Unconfined(i)]);
    hostile.chain(limits).chain(attributes).collect()
}

fn details(list: List, at: usize, step: &Step) -> Vec<Edit> {
    let mut edits = Vec::new();
    if let Op::Register(ids) = &step.op
        && ids.len() > 1
    {
        edits.extend((0..ids.len()).map(|entry| Edit::Entry { list, at, entry }));
    }
    if step.expect.is_some() {
        edits.push(Edit::Expect { list, at });
    }
    if step.nth.is_some() && !calls_or_waits(step.op.verb()) {
        edits.push(Edit::Nth { list, at });
    }
    if let Op::Fire(_, args) | Op::Send(_, args) | Op::Post(_, args) | Op::Invoke(_, args) = &step.op
        && args.is_some()
    {
        edits.push(Edit::Arguments { list, at });
    }
    match list {
        // A call instead of a delivery would make the body call more.
        List::Body(_) => return edits,
        List::Thread(_) => {
            edits.extend([Edit::StepIntoBefore { list, at }, Edit::StepIntoAfter { list, at }]);
        }
        List::After => edits.push(Edit::StepIntoBefore { list, at }),
        List::Before => {}
    }
    if matches!(step.op, Op::Send(..) | Op::Post(..)) {
        edits.push(Edit::HereAndNow { list, at });
    }
    edits
}

/// Ops that a body may do once and not in every call: without `nth` the program might not end.
fn calls_or_waits(verb: Verb) -> bool {
    !matches!(verb, Verb::Revoke | Verb::Forget | Verb::Churn | Verb::Hold | Verb::Open | Verb::Panic | Verb::Return)
}

fn numbers(program: &Program) -> Vec<Edit> {
    let of_step = |(list, at, step): (List, usize, &Step)| {
        let count = match &step.op {
            Op::Fire(_, Some(_)) | Op::Send(_, Some(_)) | Op::Post(_, Some(_)) | Op::Invoke(_, Some(_)) => 2,
            Op::Enumerate(..) | Op::Churn(_) | Op::Return(_) => 1,
            _ => 0,
        };
        let numbers = usize::from(step.nth.is_none())..=count;
        numbers.flat_map(move |number| Smaller::ALL.map(|smaller| Edit::Number { list, at, number, smaller }))
    };
    places(program).flat_map(of_step).chain(Smaller::ALL.map(Edit::Limits)).collect()
}

fn lists(program: &Program) -> impl Iterator<Item = List> + use<> {
    let threads = (0..program.threads.len()).map(List::Thread);
    let bodies = (0..program.callbacks.len()).map(List::Body);
    threads.chain([List::After, List::Before]).chain(bodies)
}

fn steps(program: &Program, list: List) -> &[Step] {
    match list {
        List::Body(i) => program.callbacks.get(i).map_or(&[], |callback| &callback.body),
        List::Before => &program.before,
        List::Thread(i) => program.threads.get(i).map_or(&[], |thread| thread),
        List::After => &program.after,
    }
}

fn places(program: &Program) -> impl Iterator<Item = (List, usize, &Step)> {
    lists(program).flat_map(|list| steps(program, list).iter().enumerate().map(move |(at, step)| (list, at, step)))
}

impl Edit {
    /// The program with this change, where it has a place for it.
    pub(super) fn apply(self, program: &Program) -> Option<Program> {
        let mut edited = program.clone();
        edited.edit(self)?;
        Some(edited)
    }
}

impl Program {
    fn list_mut(&mut self, list: List) -> Option<&mut Vec<Step>> {
        match list {
            List::Body(i) => self.callbacks.get_mut(i).map(|callback| &mut callback.body),
            List::Before => Some(&mut self.before),
            List::Thread(i) => self.threads.get_mut(i),
            List::After => Some(&mut self.after),
        }
    }

    fn step_mut(&mut self, list: List, at: usize) -> Option<&mut Step> {
        self.list_mut(list)?.get_mut(at)
    }

    fn take_step(&mut self, list: List, at: usize) -> Option<Step> {
        let steps = self.list_mut(list)?;
        (at < steps.len()).then(|| steps.remove(at))
    }

    fn take_thread(&mut self, i: usize) -> Option<Vec<Step>> {
        (i < self.threads.len()).then(|| self.threads.remove(i))
    }

    fn retain_steps(&mut self, keep: impl Fn(&Step) -> bool) {
        self.callbacks.iter_mut().for_each(|callback| callback.body.retain(&keep));
        self.threads.iter_mut().for_each(|thread| thread.retain(&keep));
        self.before.retain(&keep);
        self.after.retain(&keep);
    }

    fn edit(&mut self, edit: Edit) -> Option<()> {
        match edit {
            Edit::Thread(i) => drop(self.take_thread(i)?),
            Edit::Callback(i) => self.drop_callback(i)?,
            Edit::Gate(gate) => self.retain_steps(|step| gate_of(&step.op) != Some(gate)),
            Edit::Steps { list, start, len } => {
                let steps = self.list_mut(list)?;
                let end = (start + len).min(steps.len());
                steps.drain(start.min(end)..end);
            }
            Edit::ThreadIntoBefore(i) => {
                let thread = self.take_thread(i)?;
                self.before.extend(thread);
            }
            Edit::ThreadIntoAfter(i) => {
                let mut after = self.take_thread(i)?;
                after.append(&mut self.after);
                self.after = after;
            }
            Edit::Join(i, j) => {
                let mut second = std::mem::take(self.threads.get_mut(j)?);
                self.threads.get_mut(i)?.append(&mut second);
                self.threads.remove(j);
            }
            Edit::Hostile(i) => drop((i < self.hostile.len()).then(|| self.hostile.remove(i))?),
            Edit::Capacity => drop(self.capacity.take()?),
            Edit::FailAllocation => drop(self.fail_allocation.take()?),
            Edit::Sum(i) => self.callbacks.get_mut(i)?.kind = Kind::Sum,
            Edit::Shared(i) => self.callbacks.get_mut(i)?.exclusive = false,
            Edit::Unconfined(i) => self.callbacks.get_mut(i)?.confined = false,
            Edit::Entry { list, at, entry } => match &mut self.step_mut(list, at)?.op {
                Op::Register(ids) if entry < ids.len() => drop(ids.remove(entry)),
                _ => return None,
            },
            Edit::Expect { list, at } => drop(self.step_mut(list, at)?.expect.take()?),
            Edit::Nth { list, at } => drop(self.step_mut(list, at)?.nth.take()?),
            Edit::Arguments { list, at } => *arguments(&mut self.step_mut(list, at)?.op)? = None,
            Edit::HereAndNow { list, at } => {
                let step = self.step_mut(list, at)?;
                if let Op::Send(id, args) | Op::Post(id, args) = step.op {
                    step.op = Op::Fire(id, args);
                }
            }
            Edit::StepIntoBefore { list, at } => {
                let step = self.take_step(list, at)?;
                self.before.push(step);
            }
            Edit::StepIntoAfter { list, at } => {
                let step = self.take_step(list, at)?;
                self.after.insert(0, step);
            }
            Edit::Number { list, at, number, smaller } => {
                let step = self.step_mut(list, at)?;
                lower(step, number, smaller)?;
            }
            Edit::Limits(smaller) => {
                for limit in [&mut self.capacity, &mut self.fail_allocation].into_iter().flatten() {
                    *limit = lower_count(*limit, 1, smaller);
                }
            }
        }
        Some(())
    }

    /// Leaves out a callback and the steps that name it; a table loses its entry.
    fn drop_callback(&mut self, i: usize) -> Option<()> {
        (i < self.callbacks.len()).then(|| self.callbacks.remove(i))?;
        let gone = CallbackId(i as u8);
        for step in steps_mut(self) {
            if let Op::Register(ids) = &mut step.op {
                ids.retain(|id| *id != gone);
            }
        }
        self.retain_steps(|step| match &step.op {
            Op::Register(ids) => !ids.is_empty(),
            op => !op.callbacks().contains(&gone),
        });
        for step in steps_mut(self) {
            for id in callback_ids_mut(&mut step.op) {
                id.0 -= u8::from(*id > gone);
            }
        }
        Some(())
    }
}

fn arguments(op: &mut Op) -> Option<&mut Option<Args>> {
    match op {
        Op::Fire(_, args) | Op::Send(_, args) | Op::Post(_, args) | Op::Invoke(_, args) => Some(args),
        _ => None,
    }
}

/// Lowers a number of a step: 0 is its `nth`, others are those of its op in order.
fn lower(step: &mut Step, number: usize, smaller: Smaller) -> Option<()> {
    if number == 0 {
        let nth = step.nth.as_mut()?;
        *nth = lower_count(*nth, 1, smaller);
        return Some(());
    }
    match &mut step.op {
        Op::Enumerate(_, n) => *n = lower_count(*n, 0, smaller),
        Op::Churn(n) => *n = lower_count(*n, 1, smaller),
        Op::Return(value) => *value = smaller.than(*value, 0),
        op => {
            let Args { a, b } = arguments(op)?.as_mut()?;
            let argument = if number == 1 { a } else { b };
            *argument = smaller.than(*argument, 0);
        }
    }
    Some(())
}

fn lower_count(n: u32, least: u32, smaller: Smaller) -> u32 {
    u32::try_from(smaller.than(n.into(), least.into())).map_or(least, |n| n.max(least))
}

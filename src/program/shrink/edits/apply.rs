//! Applying an edit to a program.

use super::{Edit, Smaller};
use crate::program::op::Args;
use crate::program::{CallbackId, Op, Program, Returns, Step, StepId};

impl Edit {
    /// The edited program, or `None` if the program has nothing at the edit's place.
    pub(in crate::program::shrink) fn apply(self, program: &Program) -> Option<Program> {
        let mut edited = program.clone();
        edited.edit(self)?;
        Some(edited)
    }
}

impl Program {
    fn edit(&mut self, edit: Edit) -> Option<()> {
        match edit {
            Edit::Thread(i) => drop(self.take_thread(i)?),
            Edit::Callback(id) => self.remove_callback(id)?,
            Edit::Gate(gate) => self.retain_steps(|step| step.op.gate() != Some(gate)),
            Edit::Steps { section, start, len } => {
                let steps = self.section_mut(section)?;
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
            Edit::ReturnsSum(id) => self.callbacks.get_mut(id.0 as usize)?.returns = Returns::Sum,
            Edit::NotExclusive(id) => self.callbacks.get_mut(id.0 as usize)?.exclusive = false,
            Edit::NotConfined(id) => self.callbacks.get_mut(id.0 as usize)?.confined = false,
            Edit::Entry { step, entry } => match &mut self.step_mut(step)?.op {
                Op::Register(ids) if entry < ids.len() => drop(ids.remove(entry)),
                _ => return None,
            },
            Edit::Expect(step) => drop(self.step_mut(step)?.expect.take()?),
            Edit::Nth(step) => drop(self.step_mut(step)?.nth.take()?),
            Edit::Arguments(step) => *self.step_mut(step)?.op.args_mut()? = None,
            Edit::OnThisThread(step) => {
                let step = self.step_mut(step)?;
                if let Op::Send(id, args) | Op::Post(id, args) = step.op {
                    step.op = Op::Fire(id, args);
                }
            }
            Edit::StepIntoBefore(step) => {
                let step = self.take_step(step)?;
                self.before.push(step);
            }
            Edit::StepIntoAfter(step) => {
                let step = self.take_step(step)?;
                self.after.insert(0, step);
            }
            Edit::Number { step, number, smaller } => lower(self.step_mut(step)?, number, smaller)?,
            Edit::Limits(smaller) => {
                for limit in [&mut self.capacity, &mut self.fail_allocation].into_iter().flatten() {
                    *limit = lower_count(*limit, 1, smaller);
                }
            }
        }
        Some(())
    }

    fn take_thread(&mut self, i: usize) -> Option<Vec<Step>> {
        (i < self.threads.len()).then(|| self.threads.remove(i))
    }

    fn take_step(&mut self, id: StepId) -> Option<Step> {
        let steps = self.section_mut(id.section)?;
        let i = id.index as usize;
        (i < steps.len()).then(|| steps.remove(i))
    }

    fn retain_steps(&mut self, keep: impl Fn(&Step) -> bool) {
        self.callbacks.iter_mut().for_each(|callback| callback.body.retain(&keep));
        self.threads.iter_mut().for_each(|thread| thread.retain(&keep));
        self.before.retain(&keep);
        self.after.retain(&keep);
    }

    /// Removes a callback and the steps that name it. A `register` of several callbacks keeps the others.
    fn remove_callback(&mut self, id: CallbackId) -> Option<()> {
        let i = id.0 as usize;
        (i < self.callbacks.len()).then(|| self.callbacks.remove(i))?;
        for step in self.steps_mut() {
            if let Op::Register(ids) = &mut step.op {
                ids.retain(|other| *other != id);
            }
        }
        self.retain_steps(|step| match &step.op {
            Op::Register(ids) => !ids.is_empty(),
            op => !op.callbacks().contains(&id),
        });
        for step in self.steps_mut() {
            for other in step.op.callbacks_mut() {
                other.0 -= u8::from(*other > id);
            }
        }
        Some(())
    }
}

/// Makes a number of a step smaller; see [`Edit::Number`].
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
            let Args { a, b } = op.args_mut()?.as_mut()?;
            let argument = if number == 1 { a } else { b };
            *argument = smaller.than(*argument, 0);
        }
    }
    Some(())
}

fn lower_count(n: u32, least: u32, smaller: Smaller) -> u32 {
    u32::try_from(smaller.than(n.into(), least.into())).map_or(least, |n| n.max(least))
}

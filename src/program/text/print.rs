//! The canonical text of a program: `Display` writes it, and `parse` reads it back to an equal program.

use std::fmt;

use crate::program::op::Args;
use crate::program::{CallbackId, GateId, Op, Program, Returns, Step};

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(subject) = &self.subject {
            writeln!(f, "subject {subject}")?;
        }
        for hostile in &self.hostile {
            writeln!(f, "hostile {hostile}")?;
        }
        if let Some(n) = self.fail_allocation {
            writeln!(f, "fail_allocation {n}")?;
        }
        if let Some(n) = self.capacity {
            writeln!(f, "capacity {n}")?;
        }
        for callback in &self.callbacks {
            let returns = match callback.returns {
                Returns::Sum => "",
                Returns::Counting => " counting",
            };
            let exclusive = if callback.exclusive { " exclusive" } else { "" };
            let confined = if callback.confined { " confined" } else { "" };
            writeln!(f, "callback {}{returns}{exclusive}{confined}", callback.name)?;
            self.write_steps(f, &callback.body)?;
        }
        self.write_section(f, "before", &self.before)?;
        for thread in &self.threads {
            writeln!(f, "thread")?;
            self.write_steps(f, thread)?;
        }
        self.write_section(f, "after", &self.after)
    }
}

impl Program {
    /// The line of `step` in the text form, without indentation. `step` need not be one of the program's.
    pub fn step_text(&self, step: &Step) -> String {
        StepText(self, step).to_string()
    }

    fn write_section(&self, f: &mut fmt::Formatter<'_>, name: &str, steps: &[Step]) -> fmt::Result {
        if !steps.is_empty() {
            writeln!(f, "{name}")?;
        }
        self.write_steps(f, steps)
    }

    fn write_steps(&self, f: &mut fmt::Formatter<'_>, steps: &[Step]) -> fmt::Result {
        steps.iter().try_for_each(|step| writeln!(f, "  {}", StepText(self, step)))
    }
}

struct StepText<'a>(&'a Program, &'a Step);

impl fmt::Display for StepText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let StepText(program, step) = self;
        let callback = |id: &CallbackId| program.callback_name(*id);
        let gate = |id: &GateId| program.gate_name(*id);
        if let Some(n) = step.nth {
            write!(f, "nth {n} ")?;
        }
        write!(f, "{}", step.op.verb())?;
        match &step.op {
            Op::Register(ids) => ids.iter().try_for_each(|id| write!(f, " {}", callback(id)))?,
            Op::Invoke(id, args) | Op::Fire(id, args) | Op::Send(id, args) | Op::Post(id, args) => {
                write!(f, " {}", callback(id))?;
                if let Some(Args { a, b }) = args {
                    write!(f, " {a} {b}")?;
                }
            }
            Op::Enumerate(id, n) => write!(f, " {} {n}", callback(id))?,
            Op::Revoke(id) | Op::RevokeAndWait(id) | Op::Release(id) | Op::Unsubscribe(id) | Op::Forget(id) => {
                write!(f, " {}", callback(id))?;
            }
            Op::Replace(old, new) => write!(f, " {} {}", callback(old), callback(new))?,
            Op::Churn(n) => write!(f, " {n}")?,
            Op::Hold(id) | Op::Open(id) | Op::Reach(id) => write!(f, " {}", gate(id))?,
            Op::Stall(site, id) => write!(f, " {site} {}", gate(id))?,
            Op::Return(value) => write!(f, " {value}")?,
            Op::Barrier | Op::Shutdown | Op::Panic => {}
        }
        match &step.expect {
            Some(expect) => write!(f, " = {expect}"),
            None => Ok(()),
        }
    }
}

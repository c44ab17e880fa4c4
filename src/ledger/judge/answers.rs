//! Rules about answers: `Unexpected`, `UnwindEscaped`.

use super::state::OpenOp;
use super::{Answer, Judge};
use crate::ledger::event::ThreadNo;
use crate::ledger::violation::ViolationKind;
use crate::program::{Expect, Op};

impl Judge<'_> {
    /// An op must answer what the program says.
    pub(super) fn expected(&mut self, at: usize, open: &OpenOp, op: &Op, expect: Expect, answer: Answer) {
        let late = self.firings.get(&open.cookie).is_some_and(|f| f.late.is_some() && f.entered == 0);
        let met = match expect {
            Expect::Late => late,
            Expect::Value(v) => answer == Answer::Value(v) && !late,
            Expect::Removed => answer == Answer::Removed,
            Expect::InFlight(n) => answer == Answer::InFlight(n),
            Expect::AlreadyRevoked => answer == Answer::AlreadyRevoked,
            Expect::Quiescent => answer == Answer::Quiescent,
            Expect::Deferred => answer == Answer::Deferred,
            Expect::Refused => answer == Answer::Refused,
        };
        if !met {
            let got = if late { Expect::Late.to_string() } else { describe(answer) };
            self.violated(ViolationKind::Unexpected, op.callbacks().first().copied(), vec![open.at, at], |name| {
                format!("`{} {name}` must answer {expect} and answered {got}", op.verb())
            });
        }
    }

    /// A callback's panic must not come out of the library.
    pub(super) fn unwind_escaped(&mut self, at: usize, thread: ThreadNo) {
        let step = self.open.get(&thread).and_then(|ops| ops.last()).map(|op| op.step);
        let op = step.and_then(|step| self.program.step(step)).map(|step| &step.op);
        let callback = op.and_then(|op| op.callbacks().first().copied());
        self.violated(ViolationKind::UnwindEscaped, callback, vec![at], |name| {
            format!("a panic of `{name}` came out of the library, past C frames")
        });
    }
}

/// An answer as the text form writes it.
pub(crate) fn describe(answer: Answer) -> String {
    match answer {
        Answer::Done => "done".to_owned(),
        Answer::Value(v) => v.to_string(),
        Answer::Removed => Expect::Removed.to_string(),
        Answer::InFlight(n) => Expect::InFlight(n).to_string(),
        Answer::AlreadyRevoked => Expect::AlreadyRevoked.to_string(),
        Answer::Quiescent => Expect::Quiescent.to_string(),
        Answer::Deferred => Expect::Deferred.to_string(),
        Answer::Refused => Expect::Refused.to_string(),
        Answer::Skipped => "skipped".to_owned(),
    }
}

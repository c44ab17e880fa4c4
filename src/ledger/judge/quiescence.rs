//! Rules about the end of a registration: `LateCall`, `StartedAfterQuiescence`, `RunningAfterQuiescence`.

use super::state::{Frame, OpenOp};
use super::{Answer, Judge};
use crate::ledger::event::ThreadNo;
use crate::ledger::violation::ViolationKind;
use crate::program::CallbackId;

impl Judge<'_> {
    /// A `revoke` has ended.
    pub(super) fn revoked(&mut self, at: usize, open: &OpenOp, id: CallbackId, answer: Answer) {
        let state = &mut self.callbacks[id.0 as usize];
        let unreported = match answer {
            // A call that was in flight may report only later that it entered. The calls that were running when the
            // `revoke` began, and still are, have reported already.
            Answer::InFlight(n) => {
                let running = |frame: &&Frame| state.frames.iter().any(|running| running.at == frame.at);
                (n as usize).saturating_sub(open.frames.iter().filter(running).count())
            }
            Answer::Removed => 0,
            _ => return,
        };
        state.revoked.get_or_insert((at, unreported));
    }

    /// A `revoke_and_wait` or `release` has ended: no call that it had to wait for is running.
    pub(super) fn waited(&mut self, at: usize, thread: ThreadNo, id: CallbackId, answer: Answer) {
        let state = &mut self.callbacks[id.0 as usize];
        let running = match answer {
            Answer::Quiescent => {
                state.quiescent.get_or_insert(at);
                state.frames.first().copied()
            }
            Answer::Deferred => {
                // A call that need not be waited for has entered already, so no call may report later that it entered.
                state.revoked.get_or_insert((at, 0));
                // Calls of this thread may be running. So may calls whose thread waits for the same callback from
                // inside: two such threads would otherwise wait for each other for ever.
                state.frames.iter().copied().find(|frame| frame.thread != thread && !frame.waits_for_itself)
            }
            _ => return,
        };
        if let Some(frame) = running {
            self.violated(ViolationKind::RunningAfterQuiescence, Some(id), vec![frame.at, at], |name| {
                format!("{} was still in `{name}` when the wait for it ended on {}", frame.thread.name(), thread.name())
            });
        }
    }

    /// A call starts: the callback must not be freed, quiescent, revoked, or one-shot and run before. The first of
    /// these that holds is reported.
    pub(super) fn started_late(&mut self, at: usize, thread: ThreadNo, id: CallbackId) {
        let one_shot = self.contract.once;
        let state = &mut self.callbacks[id.0 as usize];
        let mut after_revoke = None;
        if let Some((revoked, unreported)) = &mut state.revoked {
            match unreported.checked_sub(1) {
                Some(left) => *unreported = left,
                None => after_revoke = Some(*revoked),
            }
        }
        let again = one_shot && state.entries > 1;
        let on = thread.name();
        if let Some(dropped) = state.dropped {
            self.violated(ViolationKind::LateCall, Some(id), vec![dropped, at], |name| {
                format!("`{name}` ran on {on} after it was freed")
            });
        } else if let Some(quiescent) = state.quiescent {
            self.violated(ViolationKind::StartedAfterQuiescence, Some(id), vec![quiescent, at], |name| {
                format!("`{name}` started on {on} after it was said to be quiescent")
            });
        } else if let Some(revoked) = after_revoke {
            self.violated(ViolationKind::LateCall, Some(id), vec![revoked, at], |name| {
                format!("`{name}` started on {on} after it was revoked")
            });
        } else if again {
            self.violated(ViolationKind::LateCall, Some(id), vec![at], |name| {
                format!("`{name}` is one-shot and ran a second time, on {on}")
            });
        }
    }
}

//! Rules about threads: `ConcurrentFnMut`, `WrongThread`.

use super::Judge;
use super::state::Frame;
use crate::ledger::event::ThreadNo;
use crate::ledger::violation::ViolationKind;
use crate::program::CallbackId;

impl Judge<'_> {
    /// A call has started while another one, `running`, has not returned: the callback must not be an `FnMut`.
    pub(super) fn overlapped(&mut self, at: usize, thread: ThreadNo, id: CallbackId, running: Frame) {
        if self.program.callbacks[id.0 as usize].exclusive {
            self.violated(ViolationKind::ConcurrentFnMut, Some(id), vec![running.at, at], |name| {
                let (on, other) = (thread.name(), running.thread.name());
                format!("`{name}` is an FnMut and was entered on {on} while {other} was in it")
            });
        }
    }

    /// A call has started: a confined callback must be on the thread that registered it.
    pub(super) fn away_from_home(&mut self, at: usize, thread: ThreadNo, id: CallbackId) {
        if let Some(home) = self.callbacks[id.0 as usize].registered_on
            && home != thread
            && self.program.callbacks[id.0 as usize].confined
        {
            self.violated(ViolationKind::WrongThread, Some(id), vec![at], |name| {
                format!("`{name}` is confined to {} and ran on {}", home.name(), thread.name())
            });
        }
    }
}

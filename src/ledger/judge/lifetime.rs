//! Rules about memory: `FreedInFlight`, `DoubleDrop`, `Leak`.

use super::Judge;
use crate::ledger::violation::ViolationKind;
use crate::program::CallbackId;

impl Judge<'_> {
    /// A closure is freed once, and not while a call of it is running.
    pub(super) fn dropped(&mut self, at: usize, id: CallbackId) {
        let Some(state) = self.state(id) else { return };
        let (first, running) = (state.dropped, state.frames.first().copied());
        state.dropped.get_or_insert(at);
        if let Some(first) = first {
            self.violated(ViolationKind::DoubleDrop, Some(id), vec![first, at], |name| {
                format!("`{name}` was freed a second time")
            });
        } else if let Some(frame) = running {
            self.violated(ViolationKind::FreedInFlight, Some(id), vec![frame.at, at], |name| {
                format!("`{name}` was freed while {} was in it", frame.thread.name())
            });
        }
    }

    pub(super) fn block_freed(&mut self, at: usize, id: CallbackId) {
        if let Some(state) = self.state(id) {
            state.block_freed = Some(at);
        }
    }

    /// A block is not used after it was freed, whatever the binding's protocol is.
    pub(super) fn block_used(&mut self, at: usize, id: CallbackId) {
        if let Some(freed) = self.state(id).and_then(|state| state.block_freed) {
            self.violated(ViolationKind::FreedInFlight, Some(id), vec![freed, at], |name| {
                format!("a block of memory that belongs to `{name}` was used after it was freed")
            });
        }
    }

    /// Every callback that was offered is freed by the time the session is closed, unless its guard was leaked on
    /// purpose.
    pub(super) fn leaks(&mut self) {
        let Some(closed) = self.closed else { return };
        for i in 0..self.callbacks.len() {
            let state = &self.callbacks[i];
            if let (Some(offered), None, false) = (state.offered, state.dropped, state.forgotten) {
                self.violated(ViolationKind::Leak, Some(CallbackId(i as u8)), vec![offered, closed], |name| {
                    format!("`{name}` was never freed, and the session is closed")
                });
            }
        }
    }
}

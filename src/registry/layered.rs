//! What `crate::signature` needs of a registry and nobody else: the way in without a report, the report without the way
//! in, and counters.

use super::Registry;
use super::announced::Place;
use super::error::{Reason, Refused};
use super::handle::Handle;
use super::revoke::Quiescence;
use super::sync::Ordering;
use super::wait::Patience;

impl<F: ?Sized> Registry<F> {
    /// [`call`](Registry::call), where a refusal is neither counted nor told to anybody: the caller does, or tries
    /// another handle.
    #[inline]
    pub(crate) fn attempt<T>(&self, handle: Handle, run: impl FnOnce(&F) -> T) -> Result<T, Reason> {
        self.call_handle(handle, run).map_err(|refused: Refused| refused.reason)
    }

    /// Counts and reports a call that was let in and then refused by the callback itself.
    #[cold]
    pub(crate) fn refuse(&self, handle: Handle, reason: Reason) {
        // 0: there is no such slot.
        let current_generation = self.resolve(handle).map_or(0, |slot| slot.word(handle.index()).generation());
        let _ = self.core.late_call(handle, Refused { reason, current_generation });
    }

    #[cold]
    pub(crate) fn count_panic(&self) {
        // Relaxed: a statistic.
        self.core.panics.fetch_add(1, Ordering::Relaxed);
    }

    #[cold]
    pub(crate) fn count_swallowed_panic(&self) {
        // Relaxed: a statistic.
        self.core.swallowed_panics.fetch_add(1, Ordering::Relaxed);
    }

    /// All that is known about `handle`, whatever it is.
    #[cfg_attr(not(feature = "capi"), allow(dead_code, reason = "asked by C"))]
    pub(crate) fn explain(&self, handle: Handle) -> String {
        let refused = match self.resolve(handle) {
            Ok(slot) => {
                let word = slot.word(handle.index());
                if word.generation() == handle.generation() && word.has_closure() {
                    return self.inspect(handle).to_string();
                }
                self.core.refused(handle, word)
            }
            Err(refused) => refused,
        };
        super::report::make(&self.core, handle, refused).to_string()
    }

    /// Revokes and does not return while anybody can be inside, whatever it takes.
    pub(crate) fn revoke_and_outlast(&self, handle: Handle) {
        match self.revoke_patiently(handle, None, Patience::Regardless) {
            // Rejected: it was revoked before, and its slot has been vacated since.
            Ok(Quiescence::Quiescent) | Err(_) => {}
            Ok(_) => {
                // A frame outside the scope that made the registration cannot be one of its calls; should the stack be
                // other than that, to return would be a use after free.
                eprintln!("latecall: a scope ended inside its own callback\n{}", self.describe(handle));
                std::process::abort();
            }
        }
    }
}

/// `const`, for the macro.
impl<F: ?Sized> Registry<F> {
    /// What reports call the registry, unless it has a name, and its callbacks; and where it is.
    #[doc(hidden)]
    #[must_use]
    pub const fn of_signature(
        mut self,
        name: &'static str,
        callback_type: fn() -> &'static str,
        place: fn() -> Place,
    ) -> Self {
        self.core.place = Some(place);
        if self.core.settings.name.is_none() {
            self.core.settings.name = Some(name);
        }
        self.core.callback_type = callback_type;
        self
    }
}

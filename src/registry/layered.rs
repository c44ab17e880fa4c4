//! What `crate::signature` and `crate::capi` need of a registry and other users do not: a call without a report, a
//! report without a call, and counters.

use super::announced::Place;
use super::error::{Exhausted, Reason, Refused, Rejected, Shortage};
use super::handle::Handle;
use super::revoke::Quiescence;
use super::site::Site;
use super::sync::Ordering;
use super::wait::Patience;
use super::{Builder, Registry};
use std::time::Duration;

impl<F: ?Sized> Registry<F> {
    /// [`call`](Registry::call), but a refusal is neither counted nor reported: the caller does both, or tries another
    /// handle.
    #[inline]
    pub(crate) fn attempt<T>(&self, handle: Handle, run: impl FnOnce(&F) -> T) -> Result<T, Reason> {
        self.call_handle(handle, run).map_err(|refused: Refused| refused.reason)
    }

    /// Counts and reports a call that the registry admitted and the callback itself refused.
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

    /// The verbs that wait, for a caller whose place is not one in Rust code. `limit`: `None` waits for ever.
    #[cfg_attr(not(feature = "capi"), allow(dead_code, reason = "called by `latecall_revoke_and_wait`"))]
    pub(crate) fn wait_from(
        &self,
        handle: Handle,
        at: Option<Site>,
        limit: Option<Duration>,
    ) -> Result<Quiescence, Rejected> {
        let patience = match limit {
            None => Patience::Forever,
            Some(Duration::ZERO) => Patience::None,
            Some(limit) => super::wait::patience(limit),
        };
        self.revoke_patiently(handle, at, patience)
    }

    /// All that is known about `handle`, which may be any value.
    #[cfg_attr(not(feature = "capi"), allow(dead_code, reason = "called by `latecall_report`"))]
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

    /// Revokes, and returns only when no call can be inside; otherwise aborts the process.
    pub(crate) fn revoke_and_outlast(&self, handle: Handle) {
        match self.revoke_patiently(handle, None, Patience::Regardless) {
            // Rejected: the registration was revoked before, and its slot has been vacated since.
            Ok(Quiescence::Quiescent) | Err(_) => {}
            Ok(_) => {
                // The scope that made the registration lies outside all its calls, so this is unreachable unless stacks
                // are switched. To return then would be a use after free.
                eprintln!(
                    "latecall: a scope ended on a thread that is still inside the scope's callback, whose data would be freed \
                     under the running call. Was the stack switched? Aborting.\n{}",
                    self.describe(handle)
                );
                std::process::abort();
            }
        }
    }
}

impl<'r, F: ?Sized> Builder<'r, F> {
    /// The error of a registration that was not tried, because something else ran out.
    pub(crate) fn give_up(self, callback: Box<F>, shortage: Shortage) -> Exhausted<'r, F> {
        Exhausted::of(&self.registry.core, callback, shortage, self.notify)
    }
}

/// For statics that the macro `signature!` makes.
impl<F: ?Sized> Registry<F> {
    /// The registry's name in reports, unless it has one, the type of its callbacks, and its address.
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

    /// Keeps the object loaded, whatever the declaration says: code pages jump to its code.
    #[doc(hidden)]
    #[must_use]
    pub const fn pinned(mut self) -> Self {
        self.core.settings.pin = true;
        self
    }
}

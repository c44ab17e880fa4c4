//! What a late call causes besides being refused: the policy, which does not apply any more when the process exits.

use super::error::{LateCall, OnItsThread, Refused};
use super::handle::Handle;
use super::sync::{Flag, MODELLED, Ordering};
use super::{Core, Registry};
use std::fmt;

/// What a registry does about a late call, besides refusing and counting it. The trampoline decides what C gets for a
/// result.
///
/// [`Registry::with_late_policy`] sets the policy of a registry, and
/// [`Builder::late_policy`](super::Builder::late_policy) that of one registration. When the process has begun to exit,
/// every policy is [`Count`](LatePolicy::Count): see [`Registry::with_late_policy`].
#[derive(Clone, Copy)]
#[non_exhaustive]
pub enum LatePolicy {
    /// Does nothing more; the default.
    Count,
    /// Prints the report on standard error.
    Report,
    /// Calls a function, on the thread of the late call, with no lock held. The function may use the registry. It must
    /// not panic, unless the trampoline catches the panic, as those of [`signature!`](crate::signature!) do.
    Hook(fn(&LateCall<'_>)),
    /// Prints the report on standard error and aborts the process.
    Abort,
}

impl fmt::Debug for LatePolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Count => "Count",
            Self::Report => "Report",
            Self::Hook(_) => "Hook",
            Self::Abort => "Abort",
        })
    }
}

impl<F: ?Sized> Registry<F> {
    /// What to do about late calls of registrations that have no policy of their own.
    ///
    /// When the process exits, late calls are only counted, whatever the policy: destructors and `atexit` functions of
    /// C libraries call the callbacks that they kept, and a report or an abort would be of no use.
    ///
    /// The first registration of the process, in any registry, gives a function to `atexit`; the exit begins when that
    /// function runs. `atexit` functions run in reverse order, so a late call from a function that was added later is
    /// still an ordinary late call.
    ///
    /// ```
    /// use latecall::registry::{LatePolicy, Registry};
    /// static R: Registry<dyn Fn() + Send + Sync> = Registry::new().with_late_policy(LatePolicy::Report);
    /// assert!(R.call(std::ptr::null_mut(), |f| f()).is_err()); // and prints a report
    /// ```
    #[must_use]
    pub const fn with_late_policy(mut self, policy: LatePolicy) -> Self {
        self.core.settings.late_policy = policy;
        self
    }

    /// [`with_late_policy`](Registry::with_late_policy) with [`LatePolicy::Hook`].
    ///
    /// ```
    /// use latecall::registry::{LateCall, Registry};
    /// fn log(late: &LateCall<'_>) {
    ///     eprintln!("{late}");
    /// }
    /// static R: Registry<dyn Fn() + Send + Sync> = Registry::new().with_late_hook(log);
    /// assert!(R.call(std::ptr::null_mut(), |f| f()).is_err());
    /// ```
    #[must_use]
    pub const fn with_late_hook(self, hook: fn(&LateCall<'_>)) -> Self {
        self.with_late_policy(LatePolicy::Hook(hook))
    }
}

impl Core {
    /// Counts a late call and follows the policy.
    #[inline]
    pub(super) fn late_call(&self, handle: Handle, refused: Refused) -> LateCall<'_> {
        // Relaxed: a statistic.
        self.late_calls[refused.reason.number()].fetch_add(1, Ordering::Relaxed);
        if !matches!(self.settings.late_policy, LatePolicy::Count) || self.extras.any_policy() {
            self.follow_policy(handle, refused);
        }
        LateCall { core: self, handle, refused, _on_its_thread: OnItsThread([]) }
    }

    /// Not part of `late_call`, so that `late_call` can return its result in registers.
    #[cold]
    #[inline(never)]
    fn follow_policy(&self, handle: Handle, refused: Refused) {
        let policy = self.late_policy(handle, refused);
        if matches!(policy, LatePolicy::Count) || exiting() {
            return;
        }
        let late = LateCall { core: self, handle, refused, _on_its_thread: OnItsThread([]) };
        match policy {
            LatePolicy::Count => {}
            LatePolicy::Report => eprintln!("latecall: {late}"),
            LatePolicy::Hook(hook) => hook(&late),
            LatePolicy::Abort => {
                eprintln!(
                    "latecall: {late}\nlatecall: aborting, because the policy for late calls is LatePolicy::Abort"
                );
                std::process::abort();
            }
        }
    }

    fn late_policy(&self, handle: Handle, refused: Refused) -> LatePolicy {
        let own = refused.reason.of_a_registration().then(|| self.extras.policy(handle)).flatten();
        own.unwrap_or(self.settings.late_policy)
    }
}

/// Process-wide, and not modelled: no order depends on it.
static EXITING: Flag = Flag::new(false);

/// Whether the process has begun to exit.
pub(super) fn exiting() -> bool {
    // Relaxed: a thread that sees it late prints a report that is of no use.
    EXITING.load(Ordering::Relaxed)
}

/// Gives `atexit` the function that sets `EXITING`; called at the first registration of each registry.
pub(super) fn watch_exit() {
    extern "C" fn begun() {
        // Relaxed: see `exiting`.
        EXITING.store(true, Ordering::Relaxed);
    }
    unsafe extern "C" {
        safe fn atexit(function: extern "C" fn()) -> std::ffi::c_int;
    }
    static WATCHED: Flag = Flag::new(false);
    // Relaxed: only one thread may find false, and nothing else depends on the order.
    if !MODELLED && !cfg!(miri) && !WATCHED.swap(true, Ordering::Relaxed) {
        // If `atexit` has no room for the function, late calls at exit follow the policy. Relaxed: see `would_know`.
        WATCHING.store(atexit(begun) == 0, Ordering::Relaxed);
    }
}

static WATCHING: Flag = Flag::new(false);

/// Whether `exiting` is true when the process exits.
pub(super) fn would_know() -> bool {
    // Relaxed: asked by functions that run after every use of the object.
    WATCHING.load(Ordering::Relaxed)
}

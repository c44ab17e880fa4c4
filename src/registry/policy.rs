//! What happens to a late call besides being refused, and the end of the process, where nothing happens.

use super::error::{LateCall, OnItsThread, Refused};
use super::handle::Handle;
use super::sync::{AtomicBool, Flag, MODELLED, Mutex, Ordering, lock};
use super::{Core, Registry};
use std::collections::BTreeMap;
use std::fmt;

/// What a registry does about a late call, besides refusing and counting it. What C gets for a result is the
/// trampoline's business.
///
/// Set for a registry by [`Registry::with_late_policy`], for one registration by
/// [`Builder::late_policy`](super::Builder::late_policy); the latter holds until the slot has another tenant with one. Once the process has begun to exit
/// every policy is [`Count`](LatePolicy::Count) (S81): see [`Registry::with_late_policy`].
#[derive(Clone, Copy)]
#[non_exhaustive]
pub enum LatePolicy {
    /// Nothing; the default.
    Count,
    /// Prints the report on standard error.
    Report,
    /// Tells a function, on the thread that called, with no lock held. It may use the registry; it must not panic if C
    /// is to be returned to, unless the trampoline catches it, as those of [`signature!`](crate::signature!) do.
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
    /// What to do about late calls, where a registration has no policy of its own.
    ///
    /// When the process exits, late calls are only counted, whatever the policy: destructors and `atexit` functions of C
    /// libraries call what they kept, and neither a report nor an abort would help anybody then. "Exits" begins
    /// when a function runs that the process's first registration in any registry has given to `atexit`; such functions
    /// run in the reverse order, so a call from one that was added later is still an ordinary late call.
    ///
    /// ```
    /// use latecall::registry::{LatePolicy, Registry};
    /// static R: Registry<dyn Fn() + Send + Sync> = Registry::new().with_late_policy(LatePolicy::Report);
    /// assert!(R.call(std::ptr::null_mut(), |f| f()).is_err()); // and says so
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
    /// Counts a late call and does what the policy says.
    #[inline]
    pub(super) fn late_call(&self, handle: Handle, refused: Refused) -> LateCall<'_> {
        // Relaxed: a statistic.
        self.late_calls[refused.reason.number()].fetch_add(1, Ordering::Relaxed);
        if !matches!(self.settings.late_policy, LatePolicy::Count) || self.own_policies.are_any() {
            self.follow_policy(handle, refused);
        }
        LateCall { core: self, handle, refused, _on_its_thread: OnItsThread([]) }
    }

    /// Apart from `late`, which would otherwise keep what it returns in memory.
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
                eprintln!("latecall: {late}\nlatecall: the policy for late calls is to abort");
                std::process::abort();
            }
        }
    }

    fn late_policy(&self, handle: Handle, refused: Refused) -> LatePolicy {
        let own = refused.reason.of_a_registration().then(|| self.own_policies.of(handle)).flatten();
        own.unwrap_or(self.settings.late_policy)
    }
}

/// By the index of a handle.
pub(super) type ByIndex = BTreeMap<u32, (Handle, LatePolicy)>;

/// The policies of registrations that have their own: at most one for each slot.
pub(super) struct OwnPolicies {
    /// Whether there are any, so that registries without need not look. Not modelled: the slot's word orders it.
    any: AtomicBool,
    pub(super) by_index: Mutex<ByIndex>,
}

impl OwnPolicies {
    super::sync::const_fn! {
        pub(super) const fn new() -> Self {
            Self { any: AtomicBool::new(false), by_index: Mutex::new(BTreeMap::new()) }
        }
    }

    /// Before the registration is published: whoever has its handle comes after.
    pub(super) fn set(&self, handle: Handle, policy: LatePolicy) {
        lock(&self.by_index).insert(handle.index(), (handle, policy));
        // Relaxed: ordered before any use of the handle by what publishes the slot.
        self.any.store(true, Ordering::Relaxed);
    }

    #[inline]
    fn are_any(&self) -> bool {
        // Relaxed: see `set`.
        self.any.load(Ordering::Relaxed)
    }

    fn of(&self, handle: Handle) -> Option<LatePolicy> {
        if !self.are_any() {
            return None;
        }
        let policies = lock(&self.by_index);
        policies.get(&handle.index()).filter(|(of, _)| *of == handle).map(|(_, policy)| *policy)
    }
}

/// Process-wide, and not modelled: no order depends on it.
static EXITING: Flag = Flag::new(false);

/// Whether the process has begun to exit.
pub(super) fn exiting() -> bool {
    // Relaxed: who sees it late reports what it need not.
    EXITING.load(Ordering::Relaxed)
}

/// Sees to it that `exiting` is told; called once a registry, at its first registration.
pub(super) fn watch_exit() {
    extern "C" fn begun() {
        // Relaxed: as above.
        EXITING.store(true, Ordering::Relaxed);
    }
    unsafe extern "C" {
        safe fn atexit(function: extern "C" fn()) -> std::ffi::c_int;
    }
    static WATCHED: Flag = Flag::new(false);
    // Relaxed: it only has to be done once.
    if !MODELLED && !cfg!(miri) && !WATCHED.swap(true, Ordering::Relaxed) {
        // If there is no room for one more the process exits as if nobody had asked.
        let _ = atexit(begun);
    }
}

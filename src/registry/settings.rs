//! The settings of a new registry: the `with_*` functions. Two groups are elsewhere: late calls in `policy.rs`, and the
//! pinning of shared objects in `module.rs`.

use super::handle::Layout;
#[cfg(test)]
use super::mutation::Mutation;
use super::policy::LatePolicy;
use super::stall::StallSite;
use super::stuck::{OnStuck, Stuck};
use super::{Registry, fence};
use std::time::Duration;

#[derive(Clone, Copy)]
pub(super) struct Settings {
    pub(super) name: Option<&'static str>,
    pub(super) late_policy: LatePolicy,
    pub(super) stuck_hook: Option<fn(&Stuck) -> OnStuck>,
    pub(super) wait_limit: Duration,
    pub(super) name_callers: bool,
    /// Whether the shared object that the registry is in is kept loaded.
    pub(super) pin: bool,
    pub(super) stall_hook: Option<fn(StallSite)>,
    pub(super) tombstones: usize,
    pub(super) capacity_limit: usize,
    pub(super) generation_bits: u32,
    pub(super) in_flight_limit: u32,
    #[cfg(test)]
    pub(super) mutation: Option<Mutation>,
}

impl Settings {
    pub(super) const DEFAULT: Self = Self {
        name: None,
        late_policy: LatePolicy::Count,
        stuck_hook: None,
        wait_limit: Duration::from_secs(10),
        name_callers: false,
        pin: true,
        stall_hook: None,
        tombstones: 1000,
        capacity_limit: usize::MAX,
        generation_bits: Layout::HERE.generation_bits,
        in_flight_limit: u32::MAX,
        #[cfg(test)]
        mutation: None,
    };

    /// Whether every call has to take the slow path.
    pub(super) const fn is_watched(&self) -> bool {
        self.stall_hook.is_some() || self.in_flight_limit != u32::MAX || self.name_callers
    }
}

/// Makes calls execute full fences, in the whole process and for good, instead of relying on Linux's `membarrier`.
///
/// A call then costs some 40 ns more. You need this only if `membarrier` works when the process makes its first call of
/// a callback, and a seccomp filter that is installed later refuses it: a revocation then aborts the process, because
/// it could not be done safely. Where `membarrier` is missing or refused from the start, and on other systems than
/// Linux, calls execute full fences anyway.
///
/// Returns whether calls execute full fences. False: a callback has been called before, by any registry of this
/// process, and nothing was changed.
///
/// ```
/// assert!(latecall::registry::use_portable_fences());
/// ```
#[must_use = "false means that nothing was changed"]
pub fn use_portable_fences() -> bool {
    fence::use_portable()
}

impl<F: ?Sized> Registry<F> {
    /// Names the registry in reports.
    #[must_use]
    pub const fn with_name(mut self, name: &'static str) -> Self {
        self.core.settings.name = Some(name);
        self
    }

    /// How many tombstones to keep: 0 or more, by default 1000.
    ///
    /// A tombstone keeps the slot of an ended registration out of use, and keeps what late-call reports say about that
    /// registration: its label, and where it was registered and revoked. The oldest tombstones are flushed first, and
    /// sooner than at this limit if slots run out. A late call is *detected* with or without its tombstone, because the
    /// generation in its handle is stale.
    #[must_use]
    pub const fn with_tombstones(mut self, count: usize) -> Self {
        self.core.settings.tombstones = count;
        self
    }

    /// The maximum number of slots, at least 1: so many callbacks can be registered at a time. A number above what an
    /// index can name (2^24; 2^14 on 32-bit targets) is the same as no limit.
    ///
    /// # Panics
    /// If `slots` is 0. In a `static` this is a compile error.
    #[must_use]
    pub const fn with_capacity_limit(mut self, slots: usize) -> Self {
        assert!(slots > 0, "with_capacity_limit: a registry needs at least 1 slot");
        self.core.settings.capacity_limit = slots;
        self
    }

    /// How many bits of generation to use: a slot retires after its registration number 2^`bits` − 1. Fewer bits
    /// than the default (28; 12 on 32-bit targets) are useful only in tests and models.
    ///
    /// # Panics
    /// If `bits` is 0 or more than the default. In a `static` this is a compile error.
    #[must_use]
    pub const fn with_generation_bits(mut self, bits: u32) -> Self {
        assert!(
            bits > 0 && bits <= Layout::HERE.generation_bits,
            "with_generation_bits: from 1 to 28 bits (12 on 32-bit targets)"
        );
        self.core.settings.generation_bits = bits;
        self
    }

    /// The maximum number of calls that run in one callback at a time: 1 up to `u32::MAX`, the default, which is no
    /// limit. A call above the limit is refused with [`Reason::Exhausted`](super::Reason::Exhausted).
    ///
    /// With a limit, calls are counted under the registry's lock, which makes them slower.
    ///
    /// # Panics
    /// If `calls` is 0. In a `static` this is a compile error.
    #[must_use]
    pub const fn with_in_flight_limit(mut self, calls: u32) -> Self {
        assert!(calls > 0, "with_in_flight_limit: a callback must admit at least 1 call");
        self.core.settings.in_flight_limit = calls;
        self
    }

    /// Decides what to do about a wait that never ends, or that has lasted for longer than
    /// [`with_wait_limit`](Registry::with_wait_limit).
    ///
    /// The hook runs on the waiting thread, with no lock held. Without a hook both kinds of wait are printed on
    /// standard error; a wait that never ends then gives up, and a long one continues.
    ///
    /// ```
    /// use latecall::registry::{OnStuck, Registry, Stuck};
    /// fn report(stuck: &Stuck) -> OnStuck {
    ///     eprintln!("{stuck}"); // the callback, where it was registered and revoked, the threads
    ///     if stuck.is_deadlock() { OnStuck::GiveUp } else { OnStuck::Wait }
    /// }
    /// static R: Registry<dyn Fn() + Send + Sync> = Registry::new().with_stuck_hook(report);
    /// # drop(R.register(Box::new(|| ())));
    /// ```
    #[must_use]
    pub const fn with_stuck_hook(mut self, hook: fn(&Stuck) -> OnStuck) -> Self {
        self.core.settings.stuck_hook = Some(hook);
        self
    }

    /// How long a wait may last before it is reported, by default 10 s. Each wait is reported once.
    ///
    /// ```
    /// use latecall::registry::Registry;
    /// use std::time::Duration;
    /// static R: Registry<dyn Fn() + Send + Sync> =
    ///     Registry::new().with_wait_limit(Duration::from_secs(1)).with_named_callers();
    /// # drop(R.register(Box::new(|| ())));
    /// ```
    #[must_use]
    pub const fn with_wait_limit(mut self, limit: Duration) -> Self {
        self.core.settings.wait_limit = limit;
        self
    }

    /// Notes which threads are inside which callback, so that [`Outstanding::threads`](super::Outstanding::threads) and
    /// [`Stuck`] can name them. Each call then takes a lock twice, so use this to find a fault and not in production.
    #[must_use]
    pub const fn with_named_callers(mut self) -> Self {
        self.core.settings.name_callers = true;
        self
    }

    /// A function to be called at each [`StallSite`], with no lock held; for tests, which park threads there.
    #[doc(hidden)]
    #[must_use]
    pub const fn with_stall_hook(mut self, hook: fn(StallSite)) -> Self {
        self.core.settings.stall_hook = Some(hook);
        self
    }

    /// A registry without the rule that `mutation` removes, for the models.
    #[cfg(test)]
    #[allow(dead_code, reason = "used in the copy over loom")]
    pub(crate) const fn with_mutation(mut self, mutation: Mutation) -> Self {
        self.core.settings.mutation = Some(mutation);
        self
    }
}

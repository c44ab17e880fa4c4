//! Counters, for checks at the end of a test and for dashboards. The registry decides nothing by them.

use super::Registry;
use super::error::Reason;
use super::sync::{Ordering, lock};

/// A registry's counters at one moment; made by [`Registry::stats`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
#[must_use]
pub struct Stats {
    /// Registrations that are not revoked.
    pub live: u64,
    /// Revoked registrations that are not over: calls are running, the destructor is running, or the revocation was
    /// [deferred](Registry::revoke_deferred).
    pub revoking: u64,
    /// Registrations ever made.
    pub registered: u64,
    /// Registrations ever revoked.
    pub revoked: u64,
    /// Closures dropped after their registration was revoked.
    pub closures_dropped: u64,
    /// Panics that trampolines made with [`signature!`](crate::signature!) have caught.
    pub panics: u64,
    /// Panics that were caught and not resumed:
    ///
    /// * of destroy notifies and completions;
    /// * of closures' destructors, while the thread was already unwinding, or after another destructor of the same
    ///   [`reclaim`](Registry::reclaim) had panicked;
    /// * of the payload of a caught panic, when it was dropped.
    pub swallowed_panics: u64,
    /// Late calls.
    pub late: LateCounts,
    /// Slots whose generations are used up.
    pub slots_retired: u64,
    /// Slots that have ever been used.
    pub slots_used: u64,
    /// Tombstones kept now.
    pub tombstones: u64,
    /// Tombstones flushed so far.
    pub tombstones_flushed: u64,
}

/// Late calls by [`Reason`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct LateCounts([u64; Reason::COUNT]);

impl LateCounts {
    /// Late calls refused for `reason`.
    #[must_use]
    pub fn of(&self, reason: Reason) -> u64 {
        self.0[reason.number()]
    }

    /// Late calls refused for any reason.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }
}

impl<F: ?Sized> Registry<F> {
    /// The current counters. Those of registrations, slots and tombstones are read together, under the registry's lock;
    /// late calls and panics are counted apart from them. Any thread may ask.
    ///
    /// ```
    /// use latecall::registry::Registry;
    /// static R: Registry<dyn Fn() + Send + Sync> = Registry::new();
    /// let registration = R.register(Box::new(|| ()));
    /// assert_eq!((R.stats().live, R.stats().registered), (1, 1));
    /// drop(registration);
    /// assert_eq!((R.stats().live, R.stats().tombstones), (0, 1));
    /// ```
    pub fn stats(&self) -> Stats {
        let core = &self.core;
        let mut stats = Stats::default();
        {
            let bookkeeping = lock(&core.bookkeeping);
            stats.registered = bookkeeping.registered;
            stats.revoked = bookkeeping.revoked;
            stats.closures_dropped = bookkeeping.dropped;
            stats.slots_retired = bookkeeping.retired.into();
            stats.slots_used = bookkeeping.used().into();
            stats.tombstones = bookkeeping.tombstones() as u64;
            stats.tombstones_flushed = bookkeeping.flushed;
        }
        stats.live = stats.registered - stats.revoked;
        stats.revoking = stats.revoked - stats.closures_dropped;
        // Relaxed: statistics.
        stats.panics = core.panics.load(Ordering::Relaxed);
        stats.swallowed_panics = core.swallowed_panics.load(Ordering::Relaxed);
        for (count, counter) in stats.late.0.iter_mut().zip(&core.late_calls) {
            // Relaxed: statistics.
            *count = counter.load(Ordering::Relaxed);
        }
        stats
    }
}

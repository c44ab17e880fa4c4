//! Counters, for accounting at the end of a test and for dashboards. They decide nothing.

use super::error::Reason;

/// A registry's counters at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Registrations that are not revoked.
    pub live: u64,
    /// Registrations that are revoked and whose closure has not been dropped: calls are running, or its destructor is.
    pub revoking: u64,
    /// Registrations ever made.
    pub registered: u64,
    /// Registrations ever revoked.
    pub revoked: u64,
    /// Closures dropped after their registration was revoked.
    pub closures_dropped: u64,
    /// Panics that trampolines made with [`signature!`](crate::signature!) have caught.
    pub panics: u64,
    /// Payloads of panics whose own destructor panicked, and destructors of closures that panicked while their thread was already unwinding; the second panic was swallowed.
    pub swallowed_panics: u64,
    /// Late calls.
    pub late: LateCounts,
    /// Slots whose generations are used up.
    pub slots_retired: u64,
    /// Slots that ever had a tenant.
    pub slots_used: u64,
    /// Tombstones kept now.
    pub tombstones: u64,
    /// Tombstones flushed so far.
    pub tombstones_flushed: u64,
}

/// Late calls by [`Reason`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LateCounts(pub(super) [u64; Reason::COUNT]);

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

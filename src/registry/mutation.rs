//! Rules of the protocol that a test can remove, to show that the models notice (`models.rs`, `convictions.rs`).
//!
//! Only the tests of this crate can make a registry with a mutation. Elsewhere `Core::mutated` is the constant `false`.

/// The rule that is removed, by what happens instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(not(test), allow(dead_code, reason = "made in tests only"))]
pub(crate) enum Mutation {
    /// Revoking drops the closure even if calls are inside.
    FreeWhileRunning,
    /// A call does not look at the word a second time, after it has put its handle into the cell.
    CheckThenEnter,
    /// A call that has put its handle into the cell does not fence before it looks at the word again.
    NoLightFence,
    /// A revoker that has closed a slot executes no fence before it counts.
    NoHeavyFence,
    /// A revoker does not fence between Counting and the count.
    NoFenceBeforeCount,
    /// A revoker takes its thread for the only one with a record, without looking.
    AlwaysSole,
    /// A call clears its cell with a Relaxed store, which publishes nothing.
    LeaveRelaxed,
    /// A call that leaves does not look at the word again.
    LeaveWithoutSecondLook,
    /// A call that is refused at the second look does not ask whether a revoker has counted it.
    RefuseWithoutAsking,
    /// A waiting thread goes on when the last call has left, before the closure is dropped.
    WakeBeforeDrop,
    /// A recycled slot keeps its generation.
    KeepGeneration,
    /// A thread that waits inside the callback counts as a call to wait for.
    WaitForWaiters,
    /// The last call to leave a revoked callback changes the word and wakes no waiting thread.
    SkipWakeUp,
    /// `revoke_then` looks whether the registration is over, and takes the lock afterwards.
    LookBeforeLocking,
    /// The destroy notify runs before the closure is dropped.
    NotifyBeforeDrop,
    /// Closing first lists what is registered, and then refuses further registrations.
    CloseAfterListing,
}

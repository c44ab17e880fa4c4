//! Rules of the protocol that a test can take away, to show that the models notice (`models.rs`).
//!
//! Outside this crate's own tests no registry can be made with one, and every question about one is the constant `false`.

/// A rule that is not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(not(test), allow(dead_code, reason = "made in tests only"))]
pub(crate) enum Mutation {
    /// Revoking drops the closure even if calls are inside.
    FreeWhileRunning,
    /// Entering checks first and counts afterwards.
    CheckThenEnter,
    /// A call that stands in its cell does not fence before it looks at the word again.
    NoLightFence,
    /// A revoker that has closed a slot does not fence at all before it counts.
    NoHeavyFence,
    /// A revoker does not fence between Counting and the count.
    NoFenceBeforeCount,
    /// A revoker takes itself for the only thread without looking.
    AlwaysSole,
    /// Leaving publishes nothing: the cell is cleared with a Relaxed store.
    LeaveRelaxed,
    /// A call that leaves does not look at the word again.
    LeaveWithoutSecondLook,
    /// A call that is refused at the second look does not ask whether it was counted.
    RefuseWithoutAsking,
    /// A waiter goes on when the last call has left, before the closure is dropped.
    WakeBeforeDrop,
    /// A recycled slot keeps its generation.
    KeepGeneration,
    /// A thread that waits inside the callback counts as a call to wait for.
    WaitForWaiters,
    /// The last to leave a revoked callback changes the word and tells nobody.
    SkipWakeUp,
    /// Who asks to be told looks whether it is over, and takes the lock afterwards.
    LookBeforeLocking,
    /// The destroy notify runs before the closure is dropped.
    NotifyBeforeDrop,
    /// Closing lists what is registered, and refuses further registrations afterwards.
    CloseAfterListing,
}

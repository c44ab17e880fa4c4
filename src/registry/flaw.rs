//! Rules of the protocol that a test can take away, to show that the models notice (`models.rs`).
//!
//! Outside this crate's own tests no registry can be made with one, and every question about one is the constant `false`.

/// A rule that is not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(not(test), allow(dead_code, reason = "made in tests only"))]
pub(crate) enum Flaw {
    /// Revoking drops the closure even if calls are inside.
    FreeWhileRunning,
    /// Entering checks first and counts afterwards.
    CheckThenEnter,
    /// Leaving publishes nothing: its compare-exchange is Relaxed.
    LeaveRelaxed,
    /// A waiter goes on when the last call has left, before the closure is dropped.
    WakeBeforeDrop,
    /// A recycled slot keeps its generation.
    KeepGeneration,
    /// A thread that waits inside the callback counts as a call to wait for.
    WaitForWaiters,
    /// The last to leave a revoked callback changes the word and tells nobody.
    ForgetToServe,
    /// Who asks to be told looks whether it is over, and takes the lock afterwards.
    LookBeforeLocking,
    /// The destroy notify runs before the closure is dropped.
    NotifyBeforeDrop,
    /// Closing lists what is registered, and refuses further registrations afterwards.
    CloseAfterListing,
}

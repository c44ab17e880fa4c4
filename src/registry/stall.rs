//! Stall sites: named places where a test can stop a thread, to force an order of events.
//!
//! Not for production. No hook is set by default, and an unset hook costs one predictable branch.

/// A place inside the registry. No lock is held at any of these places.
#[doc(hidden)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StallSite {
    /// A call has its handle and has not looked it up.
    BeforeAcquire,
    /// A call is counted in; the closure has not begun.
    AfterAcquire,
    /// The closure has returned or unwound; the call is still counted.
    BeforeRelease,
    /// The call is counted out. If it was the last call of a revoked callback, the closure is not dropped yet and no
    /// waiting thread has been woken.
    AfterRelease,
    /// The callback is revoked. If no call was inside, its closure is not dropped yet.
    Revoked,
    /// The closure is dropped, its tombstone is written, and waiting threads have been woken.
    TombstoneWritten,
    /// This slot, or one that became free earlier, has been listed for reuse.
    SlotListed,
}

//! Named places where a test can park a thread, so that an order of events is forced and not hoped for.
//!
//! Not a feature for production: no hook is set by default, and an unset hook costs one predictable branch.

/// A place inside the registry. No lock is held at any of them.
#[doc(hidden)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StallSite {
    /// A call has its handle and has not looked it up (S21).
    BeforeAcquire,
    /// A call is counted in; the closure has not begun.
    AfterAcquire,
    /// The closure has returned or unwound; the call is still counted.
    BeforeRelease,
    /// The call is counted out; if it was the last of a revoked callback, the closure is not dropped yet and nobody who
    /// waits has been told.
    AfterRelease,
    /// The callback is revoked; if nobody was inside, its closure is not dropped yet.
    Revoked,
    /// The closure is dropped and its tombstone is written; who waits has been told.
    TombstoneWritten,
    /// A slot (this or an older one) has been listed for reuse.
    SlotListed,
}

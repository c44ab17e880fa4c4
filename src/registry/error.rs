//! Why a handle was refused, or a registration could not be made. A distinct reason for each misuse (S11, S36).

use super::completion::BoxedOnce;
use super::handle::Handle;
use super::report::LateReport;
use super::sync::Outside;
use super::{Core, report};
use std::fmt;

/// Why a registry refused a handle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// The handle is 0, which is never issued: C passed `NULL`, or a zeroed structure.
    Null,
    /// The slot it names has never had a tenant.
    OutOfRange,
    /// It carries another registry's id, or was issued by a registry, since dropped, that had this one's id (S83).
    WrongRegistry,
    /// The slot exists and has not reached that generation: the handle was made up.
    Unissued,
    /// Its registration is over; the slot may have had other tenants since (S85). The closure is gone, or about to be:
    /// nobody is known to be inside.
    Stale,
    /// Its registration has been revoked; calls that were running then are still running.
    Revoking,
    /// As many calls are inside the callback as its registry allows (S87); or there was no memory to write down one more.
    Exhausted,
    /// It is a callback of the right signature, and the function was compiled for another (S96).
    WrongType,
    /// The callback belongs to another thread than the one that calls (S60).
    WrongThread,
    /// The callback may be entered by one call at a time, and one is inside (S50).
    Busy,
    /// The callback was for one call, and another has it (S51).
    Spent,
    /// The object that the callback is about is gone (S13).
    OwnerGone,
    /// The callback's switch has nothing armed (S32).
    Unarmed,
}

impl Reason {
    /// How many reasons there are.
    pub(super) const COUNT: usize = 13;

    pub(super) const fn number(self) -> usize {
        self as usize
    }

    /// Whether the handle is one that was issued, so that there is something to tell about it.
    pub(super) const fn of_a_registration(self) -> bool {
        !matches!(self, Self::Null | Self::OutOfRange | Self::WrongRegistry | Self::Unissued)
    }

    pub(super) fn sentence(self) -> &'static str {
        match self {
            Self::Null => "the handle is NULL, which is never issued",
            Self::OutOfRange => "the handle names a slot that never had a tenant",
            Self::WrongRegistry => "the handle was issued by another registry",
            Self::Unissued => "the handle has a generation that was never issued",
            Self::Stale => "the registration is over and the closure is gone",
            Self::Revoking => "the registration has been revoked; earlier calls are still running",
            Self::Exhausted => "the in-flight counter is at its maximum",
            Self::WrongType => "the function was compiled for another closure of this signature",
            Self::WrongThread => "the callback is confined to another thread",
            Self::Busy => "the callback is exclusive and a call is inside",
            Self::Spent => "the callback was for one call and has had it",
            Self::OwnerGone => "the object that the callback is about is gone",
            Self::Unarmed => "the callback's switch has nothing armed",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.sentence())
    }
}

/// A refusal, with what the slot was then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refused {
    pub(super) reason: Reason,
    /// 0: there is no such slot.
    pub(super) current_generation: u32,
}

impl Refused {
    pub(super) const fn unknown(reason: Reason) -> Self {
        Self { reason, current_generation: 0 }
    }

    pub(super) fn current(self) -> Option<u32> {
        (self.current_generation > 0).then_some(self.current_generation)
    }
}

/// A handle given to [`Registry::revoke`](super::Registry::revoke) or
/// [`Registry::revoke_and_wait`](super::Registry::revoke_and_wait) that names nothing which could be revoked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rejected {
    pub(super) handle: Handle,
    pub(super) refused: Refused,
}

impl Rejected {
    /// The handle as it was given.
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.handle
    }

    /// Why: [`Reason::Null`], [`Reason::OutOfRange`], [`Reason::WrongRegistry`], [`Reason::Unissued`] or
    /// [`Reason::Stale`].
    #[must_use]
    pub fn reason(&self) -> Reason {
        self.refused.reason
    }

    /// The generation the slot is at, if the handle names a slot of this registry.
    #[must_use]
    pub fn current_generation(&self) -> Option<u32> {
        self.refused.current()
    }
}

impl fmt::Display for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} rejected: {}", self.handle, self.refused.reason)
    }
}

impl std::error::Error for Rejected {}

/// What ran out when a registration could not be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Shortage {
    /// Every slot is live, being revoked, or retired.
    Slots,
    /// As many registries are in use in this process as ids can tell apart.
    RegistryIds,
    /// Memory for the slot or its bookkeeping could not be had.
    Memory,
    /// The registry has been [closed](super::Registry::close) (S28).
    Closed,
    /// The [`Switch`](crate::signature::Switch) has been shut down: nothing is armed any more (S32).
    ShutDown,
}

impl fmt::Display for Shortage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Slots => "every slot is live, being revoked, or retired",
            Self::RegistryIds => "as many registries are in use as ids can tell apart",
            Self::Memory => "memory for the slot could not be had",
            Self::Closed => "the registry has been closed",
            Self::ShutDown => "the switch has been shut down",
        })
    }
}

/// A registration that could not be made, with the closure handed back: nothing was half-registered, and the caller
/// owns what it owned before (S48, S89).
///
/// If there is a [destroy notify](super::Builder::destroy_notify), dropping this drops the closure and then runs it.
pub struct Exhausted<F: ?Sized> {
    /// `None` only while this is taken apart.
    callback: Option<Box<F>>,
    shortage: Shortage,
    /// In a lock, which is never taken, so that the whole can be shared.
    notify: Outside<Option<BoxedOnce>>,
}

impl<F: ?Sized> Exhausted<F> {
    pub(crate) fn new(callback: Box<F>, shortage: Shortage, notify: Option<BoxedOnce>) -> Self {
        Self { callback: Some(callback), shortage, notify: Outside::new(notify) }
    }

    /// What ran out.
    #[must_use]
    pub fn shortage(&self) -> Shortage {
        self.shortage
    }

    /// The closure that was not registered. Nothing has been destroyed, so a destroy notify is dropped and not run.
    #[must_use]
    pub fn into_callback(mut self) -> Box<F> {
        self.notify = Outside::new(None);
        self.callback.take().unwrap_or_else(|| unreachable!("taken once"))
    }
}

impl<F: ?Sized> Drop for Exhausted<F> {
    fn drop(&mut self) {
        drop(self.callback.take());
        let notify = self.notify.get_mut().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(notify) = notify.take() {
            notify();
        }
    }
}

impl<F: ?Sized> fmt::Debug for Exhausted<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exhausted").field("shortage", &self.shortage).finish_non_exhaustive()
    }
}

impl<F: ?Sized> fmt::Display for Exhausted<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "registry exhausted: {}", self.shortage)
    }
}

impl<F: ?Sized> std::error::Error for Exhausted<F> {}

/// A call that the registry refused: nobody's closure ran.
///
/// Making one costs no allocation and no lock. Its [`Display`](fmt::Display) is the full report, which takes the
/// registry's lock for a moment; [`report`](LateCall::report) gives the same as a value. It is not `Send`, because the
/// report names the thread that called; the [`LateReport`] is.
#[derive(Clone, Copy)]
pub struct LateCall<'r> {
    pub(super) core: &'r Core,
    pub(super) handle: Handle,
    pub(super) refused: Refused,
    pub(super) _on_its_thread: OnItsThread,
}

/// Nothing, and not `Send`.
#[derive(Clone, Copy)]
pub(super) struct OnItsThread(pub(super) [*const (); 0]);

impl LateCall<'_> {
    /// The handle the caller came with.
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.handle
    }

    /// Why it was refused.
    #[must_use]
    pub fn reason(&self) -> Reason {
        self.refused.reason
    }

    /// The generation the slot was at, if the handle names a slot of this registry. When the slot is vacant this is the
    /// generation that its next tenant will have.
    #[must_use]
    pub fn current_generation(&self) -> Option<u32> {
        self.refused.current()
    }

    /// All that is known, as a value: who registered and revoked what, where, how long ago, and who calls now.
    ///
    /// Takes the registry's lock and allocates. Must not be called from an allocator or a signal handler.
    #[must_use]
    pub fn report(&self) -> LateReport {
        report::make(self.core, self.handle, self.refused)
    }
}

impl fmt::Display for LateCall<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.report(), f)
    }
}

impl fmt::Debug for LateCall<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LateCall")
            .field("handle", &self.handle)
            .field("reason", &self.refused.reason)
            .field("current_generation", &self.current_generation())
            .finish()
    }
}

impl std::error::Error for LateCall<'_> {}

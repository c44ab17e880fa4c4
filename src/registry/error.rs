//! Why a handle was refused, or why a registration could not be made. Each misuse has a reason of its own.

use super::completion::Notify;
use super::handle::Handle;
use super::report::LateReport;
use super::sync::Outside;
use super::{Core, report};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Why a registry refused a handle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// The handle is 0, which is never issued: C passed `NULL`, or a zeroed structure.
    Null,
    /// The handle names a slot that has never had a registration.
    OutOfRange,
    /// The handle was issued by another registry. Either that registry has another id, or it has been dropped and this
    /// registry has its id now.
    WrongRegistry,
    /// The slot exists and has not reached the handle's generation: no registry issued this handle.
    Unissued,
    /// The registration is over, and no call is known to be inside. The closure has been dropped or is about to be. The
    /// slot may belong to another registration now.
    Stale,
    /// The registration has been revoked, and calls that started before are still running.
    Revoking,
    /// As many calls are inside the callback as its registry allows, or there was no memory to note one more.
    Exhausted,
    /// The callback has the right signature, but the called function was compiled for another closure.
    WrongType,
    /// The callback is confined to one thread, and another thread called.
    WrongThread,
    /// The callback admits one call at a time, and one is inside.
    Busy,
    /// The callback was for one call, and another call has used it.
    Spent,
    /// The object that the callback refers to weakly has been dropped.
    OwnerGone,
    /// The callback's switch has no callback armed.
    Unarmed,
}

impl Reason {
    /// How many reasons there are.
    pub(super) const COUNT: usize = 13;

    pub(super) const fn number(self) -> usize {
        self as usize
    }

    /// Whether the handle was issued by this registry, so that the registry may know its history.
    pub(super) const fn of_a_registration(self) -> bool {
        !matches!(self, Self::Null | Self::OutOfRange | Self::WrongRegistry | Self::Unissued)
    }

    pub(super) fn sentence(self) -> &'static str {
        match self {
            Self::Null => "the handle is NULL, which is never issued",
            Self::OutOfRange => "the handle names a slot that never had a registration",
            Self::WrongRegistry => "the handle was issued by another registry",
            Self::Unissued => "the handle has a generation that was never issued",
            Self::Stale => "the registration is over and the closure is gone",
            Self::Revoking => "the registration has been revoked; earlier calls are still running",
            Self::Exhausted => "as many calls are inside the callback as can be counted",
            Self::WrongType => "the called function belongs to a closure of another type",
            Self::WrongThread => "the callback is confined to another thread than the one that called",
            Self::Busy => "the callback admits one call at a time, and one is inside",
            Self::Spent => "the callback was for one call, and another call has used it",
            Self::OwnerGone => "the object that the callback refers to weakly has been dropped",
            Self::Unarmed => "the callback's switch has no callback armed",
        }
    }

    /// What a person can do about a refused call, in one sentence without a full stop.
    pub(super) fn advice(self) -> &'static str {
        match self {
            Self::Null => "make the C library pass the user data that was registered together with the function",
            Self::OutOfRange | Self::Unissued => {
                "look for user data that is corrupted, truncated or not a handle at all"
            }
            Self::WrongRegistry => "call the function that belongs to the registry which issued the handle",
            Self::Stale | Self::Revoking => {
                "unregister from the C library before the registration is revoked or dropped"
            }
            Self::Exhausted => "raise `with_in_flight_limit`, or let fewer calls overlap or nest",
            Self::WrongType => "give the C library the function that `inlined` returned with this callback",
            Self::WrongThread => "make the C library call on the registering thread, or register a `shared` callback",
            Self::Busy => "use `Overlap::Serialise`, or register a `shared` callback",
            Self::Spent => "register a callback for each call, or register a `shared` callback",
            Self::OwnerGone => "keep the object alive until the C library is unregistered",
            Self::Unarmed => "arm the switch with `replace` before the C library calls",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.sentence())
    }
}

/// A refusal, with the state of the slot at that time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refused {
    pub(super) reason: Reason,
    /// The slot's generation; 0 if there is no such slot.
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

/// A handle that names no registration which the registry still has: the error of
/// [`Registry::revoke`](super::Registry::revoke) and of every other verb that takes a handle, except `call`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rejected {
    pub(super) handle: Handle,
    pub(super) refused: Refused,
}

impl Rejected {
    /// The rejected handle.
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.handle
    }

    /// Why it was rejected: [`Reason::Null`], [`Reason::OutOfRange`], [`Reason::WrongRegistry`], [`Reason::Unissued`]
    /// or [`Reason::Stale`].
    #[must_use]
    pub fn reason(&self) -> Reason {
        self.refused.reason
    }

    /// The slot's generation at that time, if the handle names a slot of this registry.
    #[must_use]
    pub fn current_generation(&self) -> Option<u32> {
        self.refused.current()
    }
}

impl fmt::Display for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} names no registration of this registry: {}", self.handle, self.refused.reason)
    }
}

impl std::error::Error for Rejected {}

/// What ran out when a registration could not be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Shortage {
    /// Every slot is live, being revoked, or retired. Retired slots have used up their generations.
    Slots,
    /// Every registry id of this process is in use, or has used up its generations.
    RegistryIds,
    /// The allocator returned no memory for the slot or for the registry's notes.
    Memory,
    /// The registry has been [closed](super::Registry::close).
    Closed,
    /// There is no address for a [`Thunk`](crate::thunk::Thunk): the signature's pool is used up, no code page can be
    /// mapped, and the quarantine keeps the addresses of dead thunks.
    Thunks,
    /// The [`Switch`](crate::signature::Switch) has been shut down and cannot be armed any more.
    ShutDown,
}

impl fmt::Display for Shortage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Slots => {
                "every slot is live, being revoked, or retired; drop registrations or raise the capacity limit"
            }
            Self::RegistryIds => "every registry id of this process is in use; drop registries or share one",
            Self::Memory => "the allocator returned no memory for the slot",
            Self::Closed => "the registry has been closed; register before `close`",
            Self::Thunks => {
                "no address for a thunk is left: drop thunks, or declare the signature with a larger `pool` or a smaller `quarantine`"
            }
            Self::ShutDown => "the switch has been shut down; make a new one",
        })
    }
}

impl std::error::Error for Shortage {}

/// A registration that could not be made. It owns the closure: nothing was half-registered.
///
/// Dropping this value drops the closure, and then runs the [destroy notify](super::Builder::destroy_notify) if there
/// is one. If the closure's destructor panics, the notify runs all the same, and then the panic is resumed. A panic of
/// the notify is swallowed and counted in [`Stats::swallowed_panics`](super::Stats::swallowed_panics) of the registry.
pub struct Exhausted<'r, F: ?Sized> {
    /// `None` only inside `into_callback` and `drop`.
    callback: Option<Box<F>>,
    shortage: Shortage,
    /// The lock makes this type `Sync`. No thread ever takes it.
    notify: Outside<Option<Box<Notify>>>,
    /// The registry that counts swallowed panics; `None` if it was not asked.
    core: Option<&'r Core>,
}

impl<'r, F: ?Sized> Exhausted<'r, F> {
    pub(crate) fn new(callback: Box<F>, shortage: Shortage) -> Self {
        Self { callback: Some(callback), shortage, notify: Outside::new(None), core: None }
    }

    pub(super) fn of(core: &'r Core, callback: Box<F>, shortage: Shortage, notify: Option<Box<Notify>>) -> Self {
        Self { callback: Some(callback), shortage, notify: Outside::new(notify), core: Some(core) }
    }

    /// What ran out.
    #[must_use]
    pub fn shortage(&self) -> Shortage {
        self.shortage
    }

    /// The closure that was not registered. A destroy notify is dropped without being run, because nothing was
    /// destroyed.
    #[must_use]
    pub fn into_callback(mut self) -> Box<F> {
        self.notify = Outside::new(None);
        self.callback.take().unwrap_or_else(|| {
            unreachable!("only `into_callback` and `drop` take the callback, and both consume `self`")
        })
    }
}

impl<F: ?Sized> Drop for Exhausted<'_, F> {
    fn drop(&mut self) {
        let callback = self.callback.take();
        let Some(core) = self.core else { return drop(callback) };
        let outcome = catch_unwind(AssertUnwindSafe(|| drop(callback)));
        let notify = self.notify.get_mut().unwrap_or_else(std::sync::PoisonError::into_inner);
        core.run_notify(notify.take());
        if let Err(panic) = outcome {
            core.resume_or_swallow(panic);
        }
    }
}

impl<F: ?Sized> fmt::Debug for Exhausted<'_, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exhausted").field("shortage", &self.shortage).finish_non_exhaustive()
    }
}

impl<F: ?Sized> fmt::Display for Exhausted<'_, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "registry exhausted, callback not registered: {}", self.shortage)
    }
}

impl<F: ?Sized> std::error::Error for Exhausted<'_, F> {}

/// A call that the registry refused. No closure ran.
///
/// A refusal takes no lock and allocates nothing. [`Display`](fmt::Display) writes the full report, which takes the
/// registry's lock for a moment and allocates. [`report`](LateCall::report) returns the same report as a value. A
/// `LateCall` is not `Send`, because the report names the thread that called; the [`LateReport`] is `Send`.
#[derive(Clone, Copy)]
pub struct LateCall<'r> {
    pub(super) core: &'r Core,
    pub(super) handle: Handle,
    pub(super) refused: Refused,
    pub(super) _on_its_thread: OnItsThread,
}

/// Makes the type that contains it neither `Send` nor `Sync`.
#[derive(Clone, Copy)]
pub(super) struct OnItsThread(pub(super) [*const (); 0]);

impl LateCall<'_> {
    /// The handle that was called.
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.handle
    }

    /// Why the call was refused.
    #[must_use]
    pub fn reason(&self) -> Reason {
        self.refused.reason
    }

    /// The slot's generation at that time, if the handle names a slot of this registry. For a vacant slot it is the
    /// generation of the slot's next registration.
    #[must_use]
    pub fn current_generation(&self) -> Option<u32> {
        self.refused.current()
    }

    /// Everything known about the call, as a value: what was registered and revoked, where, when and by which threads,
    /// and which thread called.
    ///
    /// Takes the registry's lock and allocates. Call it on the thread that made the call, and neither from an allocator
    /// nor from a signal handler.
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

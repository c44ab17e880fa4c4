//! The owner of a thunk, and its builder.

use super::bare::{self, Bare};
use super::stock::Lease;
use crate::registry::{self, Exhausted, LatePolicy};
use crate::signature::{Boxed, Callback, Registered, Signature};
use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;

/// A function for C that runs one closure, and the closure's registration.
///
/// It is a [`Registration`](registry::Registration) by `Deref`, with all verbs. Dropping it is
/// [`revoke_and_wait`](registry::Registration::revoke_and_wait). The function itself stays valid for ever: when the
/// callback is over, it returns the late value and reports the call.
///
/// ```
/// use latecall::registry::Quiescence;
///
/// latecall::signature! {
///     /// `int (*)(int)`
///     extern "C" fn Next(number: i32) -> i32;
///     late = -1;
///     panic = Late;
/// }
/// let step = 2;
/// let next = Next::thunk(move |number| number + step);
/// let function: extern "C" fn(i32) -> i32 = next.as_fn(); // all that C gets
/// assert_eq!(function(40), 42);
/// assert_eq!(next.revoke_and_wait(), Quiescence::Quiescent);
/// assert_eq!(function(40), -1); // late
/// ```
#[must_use = "dropping a Thunk revokes its callback at once"]
pub struct Thunk<S: Bare> {
    registration: Registered<S>,
    lease: Lease,
}

impl<S: Bare> Thunk<S> {
    /// A thunk for a callback of any kind; for `shared` ones the signature's own `thunk` is shorter.
    ///
    /// Any thread may call this, also from inside a callback. Late-call reports give the place of this call as
    /// "registered".
    ///
    /// # Panics
    /// As [`Builder::thunk`].
    ///
    /// ```
    /// use latecall::{signature::Overlap, thunk::Thunk};
    ///
    /// latecall::signature! {
    ///     extern "C" fn Tick() -> u32;
    ///     late = 0;
    ///     panic = Late;
    /// }
    /// let mut count = 0;
    /// let tick = Thunk::<Tick>::new(Tick::exclusive(Overlap::Serialise, move || { count += 1; count }));
    /// assert_eq!((tick.as_fn()(), tick.as_fn()()), (1, 2));
    /// ```
    #[track_caller]
    pub fn new(callback: Boxed<'static, S>) -> Self {
        Self::builder().thunk(callback)
    }

    /// As [`new`](Self::new), with failure as a value.
    ///
    /// # Errors
    /// As [`Builder::try_thunk`].
    #[track_caller]
    pub fn try_new(callback: Boxed<'static, S>) -> Result<Self, Exhausted<'static, Callback<S::Target<'static>>>> {
        Self::builder().try_thunk(callback)
    }

    /// A thunk with more to say than its callback, such as a label.
    pub fn builder() -> Builder<S> {
        Builder { registration: S::registry().builder() }
    }

    /// The function for C. It may be called on any thread, at any time, for ever.
    ///
    /// While this `Thunk` exists, the address belongs to its callback alone, also after a revocation. Later the address
    /// may be given to another callback; see [Addresses](super#addresses).
    #[must_use]
    pub fn as_fn(&self) -> S::Function {
        bare::function::<S>(&self.lease)
    }

    /// Makes the callback permanent, as [`Registration::leak`](registry::Registration::leak) does.
    ///
    /// ```
    /// latecall::signature! {
    ///     extern "C" fn Answer() -> u8;
    ///     late = 0;
    ///     panic = Late;
    /// }
    /// let function = Answer::thunk(|| 42).leak();
    /// assert_eq!(function(), 42);
    /// ```
    #[must_use = "the function is all that is left of the thunk"]
    pub fn leak(self) -> S::Function {
        let Self { registration, lease } = self;
        let _ = registration.leak();
        bare::function::<S>(&lease)
    }

    /// Ends the registration without finding out whether calls are running, as
    /// [`Registration::revoke_deferred`](registry::Registration::revoke_deferred) does.
    ///
    /// # Panics
    /// As [`Registry::reclaim`](registry::Registry::reclaim), if this call reclaims.
    #[track_caller]
    pub fn revoke_deferred(self) {
        // The owner's lease ends after the registration, in the order of the fields.
        let Self { registration, lease: _lease } = self;
        registration.revoke_deferred();
    }
}

impl<S: Bare> Deref for Thunk<S> {
    type Target = Registered<S>;

    fn deref(&self) -> &Registered<S> {
        &self.registration
    }
}

impl<S: Bare> fmt::Debug for Thunk<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Thunk")
            .field("signature", &S::NAME)
            .field("function", &self.lease.code())
            .field("registration", &self.registration)
            .finish()
    }
}

/// A thunk that is being described; see [`Thunk::builder`].
#[must_use = "a builder makes nothing until it is given a callback"]
pub struct Builder<S: Signature> {
    registration: registry::Builder<'static, Callback<S::Target<'static>>>,
}

impl<S: Bare> Builder<S> {
    /// Names the thunk in reports.
    pub fn label(self, label: impl Into<Cow<'static, str>>) -> Self {
        Self { registration: self.registration.label(label) }
    }

    /// What to do about late calls of this thunk; see [`registry::Builder::late_policy`].
    pub fn late_policy(self, policy: LatePolicy) -> Self {
        Self { registration: self.registration.late_policy(policy) }
    }

    /// A function that runs when the callback has been dropped; see [`registry::Builder::destroy_notify`].
    pub fn destroy_notify(self, notify: impl FnOnce() + Send + 'static) -> Self {
        Self { registration: self.registration.destroy_notify(notify) }
    }

    /// Makes the thunk.
    ///
    /// # Panics
    /// If no address can be had or the signature's registry is exhausted or closed; the unwinding drops `callback`. Use
    /// [`try_thunk`](Self::try_thunk) where that can happen.
    #[track_caller]
    pub fn thunk(self, callback: Boxed<'static, S>) -> Thunk<S> {
        match self.try_thunk(callback) {
            Ok(thunk) => thunk,
            Err(exhausted) => panic!("signature {}: no thunk can be made: {}", S::NAME, exhausted.shortage()),
        }
    }

    /// As [`thunk`](Self::thunk), with failure as a value.
    ///
    /// # Errors
    /// [`Exhausted`], which gives the callback back. [`Exhausted::shortage`] is
    /// [`Shortage::Thunks`](registry::Shortage::Thunks) if no address can be had; else what the registry is short of.
    #[track_caller]
    pub fn try_thunk(
        self,
        mut callback: Boxed<'static, S>,
    ) -> Result<Thunk<S>, Exhausted<'static, Callback<S::Target<'static>>>> {
        let (lease, own) = match Lease::pair(&S::parts()) {
            Ok(pair) => pair,
            Err(shortage) => return Err(self.registration.give_up(callback, shortage)),
        };
        S::set_lease(callback.get_mut(), lease);
        let registration = self.registration.try_register(callback)?;
        own.arm(registration.handle());
        Ok(Thunk { registration, lease: own })
    }
}

impl<S: Signature> fmt::Debug for Builder<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder").field("registration", &self.registration).finish()
    }
}

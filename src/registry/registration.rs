//! The owner's guard: while it lives and is not revoked, calls with its handle run the closure.

use super::Registry;
use super::handle::Handle;
use super::revoke::{Quiescence, Revoked};
use super::site::Site;
use super::wait::Patience;
use std::fmt;
use std::mem::ManuallyDrop;

/// The owner of one registered callback. Dropping it is [`revoke_and_wait`](Registration::revoke_and_wait).
///
/// A registration borrows its registry, so it cannot outlive the registry. It may be sent to another thread and dropped
/// there. It may be dropped from inside its own callback: the closure is then dropped when the outermost call returns.
/// Forgetting a registration (`std::mem::forget`) is safe, and the same as [`leak`](Registration::leak) without the
/// handle.
///
/// ```
/// use latecall::registry::{Reason, Registry};
/// static R: Registry<dyn Fn(u64) -> u64 + Send + Sync> = Registry::new();
///
/// let registration = R.register(Box::new(|x| x + 1));
/// let user_data = registration.handle().as_ptr(); // give this to C
/// assert_eq!(R.call(user_data, |f| f(1)).unwrap(), 2);
/// drop(registration);
/// assert_eq!(R.call(user_data, |f| f(1)).unwrap_err().reason(), Reason::Stale);
/// ```
#[must_use = "dropping a Registration revokes its callback at once"]
pub struct Registration<'r, F: ?Sized> {
    registry: &'r Registry<F>,
    handle: Handle,
}

impl<'r, F: ?Sized> Registration<'r, F> {
    pub(super) fn new(registry: &'r Registry<F>, handle: Handle) -> Self {
        Self { registry, handle }
    }

    /// The value to give to C. It stays a valid argument for ever; it names no closure any more when the registration
    /// ends.
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.handle
    }

    /// The registry that holds the closure.
    #[must_use]
    pub fn registry(&self) -> &'r Registry<F> {
        self.registry
    }

    /// Revokes: no call that starts after this runs the closure. Never waits for a call.
    ///
    /// # Panics
    /// As [`Registry::revoke`].
    ///
    /// ```
    /// use latecall::registry::{Registry, Revoked};
    /// static R: Registry<dyn Fn() + Send + Sync> = Registry::new();
    /// let registration = R.register(Box::new(|| ()));
    /// assert_eq!(registration.revoke(), Revoked::Removed);
    /// assert_eq!(registration.revoke(), Revoked::AlreadyRevoked);
    /// ```
    #[track_caller]
    pub fn revoke(&self) -> Revoked {
        self.registry.revoke_at(self.handle, Some(Site::caller())).unwrap_or(Revoked::AlreadyRevoked)
    }

    /// Revokes and returns when no other thread is inside the callback. [`Registry::revoke_and_wait`] says what is
    /// waited for. It may be repeated, also by several threads: all of them return after the last call has returned.
    ///
    /// # Panics
    /// As [`Registry::revoke_and_wait`].
    ///
    /// ```
    /// use latecall::registry::{Quiescence, Registry};
    /// static R: Registry<dyn Fn() + Send + Sync> = Registry::new();
    /// let registration = R.register(Box::new(|| ()));
    /// assert_eq!(registration.revoke_and_wait(), Quiescence::Quiescent);
    /// ```
    #[track_caller]
    pub fn revoke_and_wait(&self) -> Quiescence {
        self.wait_at(Some(Site::caller()))
    }

    /// Ends the registration without finding out whether calls are running: the closure is dropped later, with others.
    /// [`Registry::revoke_deferred`] says when.
    ///
    /// # Panics
    /// As [`Registry::reclaim`], if this call reclaims.
    ///
    /// ```
    /// use latecall::registry::Registry;
    /// static R: Registry<dyn Fn() + Send + Sync> = Registry::new();
    /// let registration = R.register(Box::new(|| ()));
    /// let user_data = registration.handle().as_ptr();
    /// registration.revoke_deferred();
    /// assert!(R.call(user_data, |f| f()).is_err());
    /// assert_eq!(R.reclaim(), 1);
    /// ```
    #[track_caller]
    pub fn revoke_deferred(self) {
        let this = ManuallyDrop::new(self);
        // An error, or false: the registration was revoked before, and ends without this.
        let _ = this.registry.revoke_deferred_at(this.handle, Site::caller());
    }

    fn wait_at(&self, at: Option<Site>) -> Quiescence {
        // The handle was issued, so it is rejected only if the slot has been vacated since: the registration is over.
        self.registry.revoke_patiently(self.handle, at, Patience::Forever).unwrap_or(Quiescence::Quiescent)
    }

    /// Makes the callback permanent: it lives until it is revoked by handle, or as long as the registry.
    ///
    /// ```
    /// use latecall::registry::Registry;
    /// static R: Registry<dyn Fn() -> u8 + Send + Sync> = Registry::new();
    /// let for_ever = R.register(Box::new(|| 7)).leak();
    /// assert_eq!(R.call(for_ever.as_ptr(), |f| f()).unwrap(), 7);
    /// ```
    #[must_use = "the handle is all that is left of the registration"]
    pub fn leak(self) -> Handle {
        ManuallyDrop::new(self).handle
    }
}

impl<F: ?Sized> Drop for Registration<'_, F> {
    fn drop(&mut self) {
        let _ = self.wait_at(None);
    }
}

impl<F: ?Sized> fmt::Debug for Registration<'_, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Registration").field(&self.handle).finish()
    }
}

//! A callback that can be replaced as one unit: C keeps one handle, Rust changes what is behind it.
//!
//! What C holds names a forwarder; what the forwarder runs is a registration of its own, found by its handle. To replace
//! is to exchange that handle and to revoke the one that was there: the old callback ends as any other does, after its
//! own calls, and no call sees parts of two (S31).

use super::{Boxed, Callback, Signature};
use crate::registry::{Exhausted, Handle, Quiescence, Reason, Revoked, Shortage};
use crate::sync::{Arc, AtomicUsize, Mutex, Ordering, lock};
use std::fmt;
use std::marker::PhantomData;

struct State<S> {
    /// The handle of what is armed; 0 for nothing.
    armed: AtomicUsize,
    /// Held while `armed` is written; says whether it is so for good.
    shut: Mutex<Shut>,
    _signature: PhantomData<fn() -> S>,
}

#[derive(Default)]
struct Shut {
    down: bool,
    ignored: u64,
}

impl<S: Signature> State<S> {
    /// Takes out what is armed. Nothing is dropped here: `shut` is held.
    fn disarm(&self, down: bool) -> Handle {
        let mut shut = lock(&self.shut);
        shut.down |= down;
        // AcqRel pairs with the Acquire in `forward` and with the other writers.
        Handle::from_bits(self.armed.swap(0, Ordering::AcqRel))
    }
}

/// What C's handle stands for: runs what is armed.
pub struct Switched<S: Signature>(Arc<State<S>>);

impl<S: Signature> Switched<S> {
    /// A forwarder and its owner.
    pub fn new() -> (Self, Switch<S>) {
        let state =
            Arc::new(State { armed: AtomicUsize::new(0), shut: Mutex::new(Shut::default()), _signature: PhantomData });
        (Self(Arc::clone(&state)), Switch(state))
    }

    /// Runs `run` on what is armed, once, or says why not.
    pub fn forward<R>(&self, mut run: impl FnMut(&Callback<S::Target<'static>>, Handle) -> R) -> Result<R, Reason> {
        loop {
            // Acquire pairs with the AcqRel of `disarm` and `replace`.
            let armed = self.0.armed.load(Ordering::Acquire);
            if armed == 0 {
                return Err(Reason::Unarmed);
            }
            let handle = Handle::from_bits(armed);
            match S::registry().attempt(handle, |callback| run(callback, handle)) {
                Ok(answer) => return Ok(answer),
                // It was revoked between the load and the call. If it was replaced the new one is there by now.
                // Acquire: as above.
                Err(_) if self.0.armed.load(Ordering::Acquire) != armed => {}
                Err(reason) => return Err(reason),
            }
        }
    }
}

impl<S: Signature> Drop for Switched<S> {
    fn drop(&mut self) {
        // C's handle is gone, so nothing can reach what is armed; and nothing may be armed any more.
        let _ = S::registry().revoke(self.0.disarm(true));
    }
}

/// Says what is behind a handle that C keeps; made by a signature's `switch`.
///
/// ```
/// use latecall::registry::Revoked;
///
/// latecall::signature! {
///     pub extern "C" fn OnTick(user_data) -> u32;
///     late = 0;
///     panic = Abort;
/// }
/// let (callback, switch) = OnTick::switch();
/// let registration = OnTick::registry().register(callback);
/// let tick = || OnTick::function()(registration.handle().as_ptr());
///
/// assert_eq!(tick(), 0); // nothing is armed yet: refused
/// assert_eq!(switch.replace(OnTick::shared(|| 1)).unwrap(), None);
/// assert_eq!(tick(), 1);
/// assert_eq!(switch.replace(OnTick::shared(|| 2)).unwrap(), Some(Revoked::Removed));
/// assert_eq!(tick(), 2);
/// let _ = switch.revoke(); // may be armed again
/// assert_eq!(switch.replace(OnTick::shared(|| 3)).unwrap(), None);
/// let _ = switch.shutdown(); // may not
/// assert!(switch.replace(OnTick::shared(|| 4)).is_err());
/// assert_eq!((tick(), switch.ignored()), (0, 1));
/// ```
pub struct Switch<S: Signature>(Arc<State<S>>);

impl<S: Signature> Switch<S> {
    /// Arms `callback` in place of what was armed, which is revoked: calls that are inside it finish, calls that start
    /// from here on run `callback`. `None` if nothing was armed. Any thread may replace, also from inside either.
    ///
    /// # Errors
    /// [`Exhausted`] with `callback`; what was armed stays. [`Shortage::ShutDown`] after
    /// [`shutdown`](Switch::shutdown), or when C's handle has been revoked; those are counted (S32).
    ///
    /// # Panics
    /// With the panic of the old callback's destructor, after everything has been put in order.
    #[track_caller]
    pub fn replace(
        &self,
        callback: Boxed<'static, S>,
    ) -> Result<Option<Revoked>, Exhausted<Callback<S::Target<'static>>>> {
        let mut shut = lock(&self.0.shut);
        if shut.down {
            shut.ignored += 1;
            return Err(Exhausted::new(callback, Shortage::ShutDown, None));
        }
        let armed = S::registry().try_register(callback)?.leak();
        // AcqRel pairs with the Acquire in `forward` and with the other writers.
        let old = Handle::from_bits(self.0.armed.swap(armed.bits(), Ordering::AcqRel));
        // No lock is held where the old callback may be dropped.
        drop(shut);
        Ok(S::registry().revoke(old).ok())
    }

    /// Revokes what is armed, and does not wait; [`Revoked::AlreadyRevoked`] if nothing is. Something else may be armed
    /// later.
    #[track_caller]
    pub fn revoke(&self) -> Revoked {
        S::registry().revoke(self.0.disarm(false)).unwrap_or(Revoked::AlreadyRevoked)
    }

    /// Revokes what is armed and waits for it, as [`Registry::revoke_and_wait`](crate::registry::Registry::revoke_and_wait).
    #[track_caller]
    pub fn revoke_and_wait(&self) -> Quiescence {
        S::registry().revoke_and_wait(self.0.disarm(false)).unwrap_or(Quiescence::Quiescent)
    }

    /// As [`revoke`](Switch::revoke), for good: nothing is armed any more, also not by a callback that is running now and
    /// arms its successor (S32, S33).
    #[track_caller]
    pub fn shutdown(&self) -> Revoked {
        S::registry().revoke(self.0.disarm(true)).unwrap_or(Revoked::AlreadyRevoked)
    }

    /// As [`shutdown`](Switch::shutdown), and waits as [`revoke_and_wait`](Switch::revoke_and_wait).
    #[track_caller]
    pub fn shutdown_and_wait(&self) -> Quiescence {
        S::registry().revoke_and_wait(self.0.disarm(true)).unwrap_or(Quiescence::Quiescent)
    }

    /// How many callbacks came after the shutdown and were not armed.
    #[must_use]
    pub fn ignored(&self) -> u64 {
        lock(&self.0.shut).ignored
    }
}

impl<S: Signature> Clone for Switch<S> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<S: Signature> fmt::Debug for Switch<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Relaxed: a glance.
        let armed = Handle::from_bits(self.0.armed.load(Ordering::Relaxed));
        f.debug_struct("Switch").field("signature", &S::NAME).field("armed", &armed).finish_non_exhaustive()
    }
}

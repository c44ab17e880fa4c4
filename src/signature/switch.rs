//! A callback that can be replaced as one unit: C keeps one handle, and Rust exchanges the callback that it runs.
//!
//! C's handle names a forwarder. The forwarder runs the *armed* callback, which is a registration of its own, and which
//! the forwarder finds by its handle. `replace` exchanges that handle, and revokes the old one. The old callback then
//! ends like any other, after its calls, and each call runs one callback as a whole.

use super::{Boxed, Callback, Signature};
use crate::registry::{Exhausted, Handle, Quiescence, Reason, Revoked, Shortage};
use crate::sync::{Arc, AtomicUsize, Mutex, Ordering, lock};
use std::fmt;
use std::marker::PhantomData;

struct State<S> {
    /// The handle of the armed callback; 0: none is armed.
    armed: AtomicUsize,
    /// Locked for each write of `armed`.
    shut: Mutex<Shut>,
    _signature: PhantomData<fn() -> S>,
}

#[derive(Default)]
struct Shut {
    /// No callback may be armed any more.
    down: bool,
    /// Callbacks that were refused since.
    ignored: u64,
}

impl<S: Signature> State<S> {
    /// Takes out the handle of the armed callback, for the caller to revoke. Does not revoke, because that may run a
    /// destructor, and `shut` is locked here.
    fn disarm(&self, down: bool) -> Handle {
        let mut shut = lock(&self.shut);
        shut.down |= down;
        // Release: pairs with the Acquire loads in `forward`. Acquire: pairs with the Release of the swap in `replace`.
        Handle::from_bits(self.armed.swap(0, Ordering::AcqRel))
    }
}

/// The forwarder, which C's handle names: runs the armed callback.
pub struct Switched<S: Signature>(Arc<State<S>>);

impl<S: Signature> Switched<S> {
    /// A forwarder and its owner.
    pub fn new() -> (Self, Switch<S>) {
        let state =
            Arc::new(State { armed: AtomicUsize::new(0), shut: Mutex::new(Shut::default()), _signature: PhantomData });
        (Self(Arc::clone(&state)), Switch(state))
    }

    /// Runs `run` once, on the armed callback.
    ///
    /// # Errors
    /// [`Reason::Unarmed`] if no callback is armed. The registry's reason if it refuses the armed callback's handle.
    pub fn forward<R>(&self, mut run: impl FnMut(&Callback<S::Target<'static>>, Handle) -> R) -> Result<R, Reason> {
        loop {
            // Acquire: pairs with the Release of the swaps in `replace` and `disarm`.
            let armed = self.0.armed.load(Ordering::Acquire);
            if armed == 0 {
                return Err(Reason::Unarmed);
            }
            let handle = Handle::from_bits(armed);
            match S::registry().attempt(handle, |callback| run(callback, handle)) {
                Ok(answer) => return Ok(answer),
                // The handle was revoked between the load and the call. If the callback was replaced, `armed` has the
                // new handle by now, because `replace` writes it before it revokes. Acquire: pairs with the Release
                // there.
                Err(_) if self.0.armed.load(Ordering::Acquire) != armed => {}
                Err(reason) => return Err(reason),
            }
        }
    }
}

impl<S: Signature> Drop for Switched<S> {
    fn drop(&mut self) {
        // C's handle has been revoked, so no call can reach the armed callback, and arming another one is useless.
        let _ = S::registry().revoke(self.0.disarm(true));
    }
}

/// Exchanges the callback that a handle of C runs. Made by a signature's `switch`, together with the callback to
/// register.
///
/// The callback that is currently run is the *armed* one; there is none at first. Clones of a `Switch` are one switch.
/// Any thread may use it, also from inside the callbacks. Dropping it changes nothing.
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
/// let _ = switch.revoke(); // another one may be armed later
/// assert_eq!(switch.replace(OnTick::shared(|| 3)).unwrap(), None);
/// let _ = switch.shutdown(); // none may be armed any more
/// assert!(switch.replace(OnTick::shared(|| 4)).is_err());
/// assert_eq!((tick(), switch.ignored()), (0, 1));
/// ```
pub struct Switch<S: Signature>(Arc<State<S>>);

impl<S: Signature> Switch<S> {
    /// Arms `callback` and revokes the callback that was armed before. Calls that start after this run `callback`;
    /// calls that are running the old callback finish. Does not wait.
    ///
    /// Returns what the revocation of the old callback found; `None` if none was armed. Any thread may call this, also
    /// from inside the old or the new callback.
    ///
    /// # Errors
    /// [`Exhausted`], which gives `callback` back. The old callback stays armed. The shortage is [`Shortage::ShutDown`]
    /// after [`shutdown`](Switch::shutdown), or when C's handle has been revoked; [`ignored`](Switch::ignored) counts
    /// these.
    ///
    /// # Panics
    /// With the panic of the old callback's destructor. `callback` is armed then.
    #[track_caller]
    pub fn replace(
        &self,
        callback: Boxed<'static, S>,
    ) -> Result<Option<Revoked>, Exhausted<'static, Callback<S::Target<'static>>>> {
        let mut shut = lock(&self.0.shut);
        if shut.down {
            shut.ignored += 1;
            return Err(Exhausted::new(callback, Shortage::ShutDown));
        }
        let armed = S::registry().try_register(callback)?.leak();
        // Release: pairs with the Acquire loads in `forward`. Acquire: pairs with the Release of the other swaps.
        let old = Handle::from_bits(self.0.armed.swap(armed.bits(), Ordering::AcqRel));
        // Unlocked before the revocation, which may drop the old callback: its destructor may use this switch.
        drop(shut);
        Ok(S::registry().revoke(old).ok())
    }

    /// Revokes the armed callback. Does not wait. Another callback may be armed later.
    ///
    /// Returns [`Revoked::AlreadyRevoked`] if no callback is armed.
    ///
    /// # Panics
    /// With the panic of the callback's destructor, after it has been revoked.
    #[track_caller]
    pub fn revoke(&self) -> Revoked {
        S::registry().revoke(self.0.disarm(false)).unwrap_or(Revoked::AlreadyRevoked)
    }

    /// Revokes the armed callback and waits for its calls on other threads, as
    /// [`Registry::revoke_and_wait`](crate::registry::Registry::revoke_and_wait) does. Another callback may be armed
    /// later.
    ///
    /// Returns [`Quiescence::Quiescent`] if no callback is armed; a callback that was revoked before is not waited for.
    ///
    /// # Panics
    /// With the panic of the callback's destructor, after it has been revoked.
    #[track_caller]
    pub fn revoke_and_wait(&self) -> Quiescence {
        S::registry().revoke_and_wait(self.0.disarm(false)).unwrap_or(Quiescence::Quiescent)
    }

    /// Revokes the armed callback as [`revoke`](Switch::revoke) does, and refuses every later
    /// [`replace`](Switch::replace). A callback that is still running and tries to arm its successor is refused, too.
    ///
    /// # Panics
    /// With the panic of the callback's destructor, after the shutdown.
    #[track_caller]
    pub fn shutdown(&self) -> Revoked {
        S::registry().revoke(self.0.disarm(true)).unwrap_or(Revoked::AlreadyRevoked)
    }

    /// Shuts down as [`shutdown`](Switch::shutdown) does, and waits as [`revoke_and_wait`](Switch::revoke_and_wait)
    /// does.
    ///
    /// # Panics
    /// With the panic of the callback's destructor, after the shutdown.
    #[track_caller]
    pub fn shutdown_and_wait(&self) -> Quiescence {
        S::registry().revoke_and_wait(self.0.disarm(true)).unwrap_or(Quiescence::Quiescent)
    }

    /// How many callbacks [`replace`](Switch::replace) has refused because of the shutdown.
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
        // Relaxed: only printed.
        let armed = Handle::from_bits(self.0.armed.load(Ordering::Relaxed));
        f.debug_struct("Switch").field("signature", &S::NAME).field("armed", &armed).finish_non_exhaustive()
    }
}

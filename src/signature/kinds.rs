//! The kinds of callback that any thread may run. Each wrapper gives a call access to its closure, or refuses the call
//! with a [`Reason`]. The macro implements the signature's trait for all of them.

use crate::registry::{Handle, Reason, Registry, Status, ThreadTag};
use crate::sync::{Arc, Condvar, Mutex, Weak, lock, wait_for};
use std::time::Duration;

/// `Fn + Send + Sync`: needs no protection.
pub struct Shared<C>(pub C);

/// `FnOnce + Send`: the first call takes it, and revokes the registration.
pub struct Once<C>(Mutex<Option<C>>);

impl<C> Once<C> {
    /// A callback that has not been called.
    pub fn new(run: C) -> Self {
        Self(Mutex::new(Some(run)))
    }

    /// Takes the closure out, for the caller to run. Revokes the registration first, so that every call that starts
    /// from here on is late, including a call that the closure itself makes.
    ///
    /// # Errors
    /// [`Reason::Spent`] if another call has taken it.
    #[track_caller]
    pub fn take<F: ?Sized>(&self, registry: &Registry<F>, handle: Handle) -> Result<C, Reason> {
        let run = lock(&self.0).take().ok_or(Reason::Spent)?;
        // The callback is not dropped here, because this call is in flight. An error means that it was revoked
        // meanwhile.
        let _ = registry.revoke(handle);
        Ok(run)
    }
}

/// What happens to a call of an `exclusive` callback while another call is running it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Overlap {
    /// The call is refused with [`Reason::Busy`].
    Reject,
    /// The call waits until the running call has returned. Exceptions:
    ///
    /// * The running call is on the same thread, so that the wait would never end: refused with [`Reason::Busy`].
    /// * The callback is revoked while the call waits: refused with [`Reason::Revoking`], within about 2 ms.
    Serialise,
}

/// `FnMut + Send`: runs one call at a time.
pub struct Exclusive<C> {
    overlap: Overlap,
    /// The number of the thread that runs the closure; 0: none does.
    inside: Mutex<u64>,
    left: Condvar,
    /// Only the thread that `inside` names locks it, so it is never contended.
    run: Mutex<C>,
}

/// How often a waiting call checks whether the callback has been revoked. A callback that waits for its own quiescence
/// waits at most this long for each call that waits for its turn. The end of a turn is signalled by `left`, not polled.
const REVOCATION_CHECK: Duration = Duration::from_millis(2);

impl<C> Exclusive<C> {
    /// A callback that no call is running.
    pub fn new(run: C, overlap: Overlap) -> Self {
        Self { overlap, inside: Mutex::new(0), left: Condvar::new(), run: Mutex::new(run) }
    }

    /// Runs `run` on the closure, alone.
    ///
    /// # Errors
    /// [`Reason::Busy`] or [`Reason::Revoking`], as [`Overlap`] says.
    pub fn with<F: ?Sized, R>(
        &self,
        registry: &Registry<F>,
        handle: Handle,
        run: impl FnOnce(&mut C) -> R,
    ) -> Result<R, Reason> {
        let me = ThreadTag::current().number();
        let mut inside = lock(&self.inside);
        while *inside != 0 {
            if *inside == me || self.overlap == Overlap::Reject {
                return Err(Reason::Busy);
            }
            if !matches!(registry.status(handle), Ok(Status::Live(_))) {
                return Err(Reason::Revoking);
            }
            inside = wait_for(&self.left, inside, REVOCATION_CHECK);
        }
        *inside = me;
        drop(inside);
        // Ends the turn also if `run` unwinds.
        let _turn = Turn(self);
        Ok(run(&mut lock(&self.run)))
    }
}

struct Turn<'a, C>(&'a Exclusive<C>);

impl<C> Drop for Turn<'_, C> {
    fn drop(&mut self) {
        *lock(&self.0.inside) = 0;
        self.0.left.notify_one();
    }
}

/// `Fn(&T, ..)` with a `T` that another part of the program owns. Only a running call keeps the `T` alive.
pub struct Weakly<T, C> {
    target: Weak<T>,
    /// The closure to run on the object.
    pub run: C,
}

impl<T, C> Weakly<T, C> {
    /// A callback on `target`, which it does not keep alive.
    pub fn new(target: &Arc<T>, run: C) -> Self {
        Self { target: Arc::downgrade(target), run }
    }

    /// The object, kept alive by the returned `Arc`.
    ///
    /// # Errors
    /// [`Reason::OwnerGone`] if the object has been dropped. The registration is revoked then, as no call can succeed.
    #[track_caller]
    pub fn target<F: ?Sized>(&self, registry: &Registry<F>, handle: Handle) -> Result<Arc<T>, Reason> {
        self.target.upgrade().ok_or_else(|| {
            let _ = registry.revoke(handle);
            Reason::OwnerGone
        })
    }
}

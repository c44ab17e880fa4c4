//! The kinds of callback that any thread may run. Each wrapper lets a call in to what it wraps, or gives the [`Reason`]
//! why not; the macro implements the signature's trait for all of them.

use crate::registry::{Handle, Reason, Registry, Status, ThreadTag};
use crate::sync::{Arc, Condvar, Mutex, Weak, lock, wait_for};
use std::time::Duration;

/// `Fn + Send + Sync`: let in as it is.
pub struct Shared<C>(pub C);

/// `FnOnce + Send`: the first call gets it, and revokes the registration (S51).
pub struct Once<C>(Mutex<Option<C>>);

impl<C> Once<C> {
    /// A callback that has not been called.
    pub fn new(run: C) -> Self {
        Self(Mutex::new(Some(run)))
    }

    /// What to run. Revoking before it runs makes every call that starts from here on late in the usual way, also one
    /// that it makes itself.
    #[track_caller]
    pub fn take<F: ?Sized>(&self, registry: &Registry<F>, handle: Handle) -> Result<C, Reason> {
        let run = lock(&self.0).take().ok_or(Reason::Spent)?;
        // This call is inside, so nothing is dropped here. It may have been revoked since it was entered.
        let _ = registry.revoke(handle);
        Ok(run)
    }
}

/// What happens to a call of an exclusive callback while another call is inside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Overlap {
    /// It is refused with [`Reason::Busy`].
    Reject,
    /// It waits for its turn, unless it is made from inside the call that it would wait for: that is refused with
    /// [`Reason::Busy`]. When the callback is revoked, calls that still wait are refused with [`Reason::Revoking`].
    Serialise,
}

/// `FnMut + Send`: never two at a time (S50).
pub struct Exclusive<C> {
    overlap: Overlap,
    /// The number of the thread inside; 0 for none.
    inside: Mutex<u64>,
    left: Condvar,
    /// Locked by the thread that `inside` names alone, so never contended.
    run: Mutex<C>,
}

/// How often a call that waits for its turn looks whether the callback has been revoked meanwhile. It bounds how long
/// a callback that waits for its own quiescence waits for those; turns themselves are told, not looked for.
const REVOCATION_CHECK: Duration = Duration::from_millis(2);

impl<C> Exclusive<C> {
    /// A callback that nobody is inside.
    pub fn new(run: C, overlap: Overlap) -> Self {
        Self { overlap, inside: Mutex::new(0), left: Condvar::new(), run: Mutex::new(run) }
    }

    /// Runs `run` on the callback when nobody else does.
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
        // Also when `run` unwinds.
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

/// `Fn(&T, ..)` with a `T` that is somebody else's: kept alive for the time of a call, and no longer (S13).
pub struct Weakly<T, C> {
    target: Weak<T>,
    /// What to run on the object.
    pub run: C,
}

impl<T, C> Weakly<T, C> {
    /// A callback on `target`, which it does not keep alive.
    pub fn new(target: &Arc<T>, run: C) -> Self {
        Self { target: Arc::downgrade(target), run }
    }

    /// The object. When it is gone the registration is revoked: there is nothing left for it to do.
    #[track_caller]
    pub fn target<F: ?Sized>(&self, registry: &Registry<F>, handle: Handle) -> Result<Arc<T>, Reason> {
        self.target.upgrade().ok_or_else(|| {
            let _ = registry.revoke(handle);
            Reason::OwnerGone
        })
    }
}

//! Registries of which the process knows where they are: those that said that they stay there.
//!
//! A registry is a value, and may be moved while nobody borrows it; so by itself it cannot be found by what is not on the
//! stack of somebody who uses it. Two need that: `fork`, which takes its locks (`fork`), and the end of a thread inside one of
//! its callbacks (`ended`), where the frames that borrowed it are gone.

use super::fork;
use super::handle::Handle;
use super::record::Cell;
use super::sync::{Outside, outside};
use super::{Core, Registry};

/// Where a registry is, for good.
#[doc(hidden)]
#[derive(Clone, Copy)]
pub struct Place {
    pub(super) core: &'static Core,
    registry: *const (),
    leave: fn(Place, &Cell, Handle),
}

// SAFETY: the registry is shared for good, and `leave`, which is all that uses it, is called only for what was called on the
// same thread: its callbacks are as `Send` and `Sync` as that took.
unsafe impl Send for Place {}
// SAFETY: as above.
unsafe impl Sync for Place {}

/// Lock order: this, then that of waits, then each registry's, then that of ids.
pub(super) static ANNOUNCED: Outside<Vec<Place>> = Outside::new(Vec::new());

impl<F: ?Sized + 'static> Registry<F> {
    /// Says to the process that this registry stays where it is. Once is enough; any thread may say so. It is said for the
    /// registries of signatures when their first callback is registered, and for those of C when they are made. From here on:
    ///
    /// * `fork`, whichever thread calls it, waits until nobody is in the middle of one of this registry's verbs, so that the
    ///   child may use the registry (S71). Otherwise the child must not use `register`, `revoke` or `reclaim` of a registry that
    ///   other threads were using; `call` is safe. A registration that another thread was about to revoke, or drop, may never
    ///   be over in the child.
    /// * A thread that ends inside one of its callbacks is counted out when its last thread-local is gone (S56). Otherwise that
    ///   call is in flight for good.
    ///
    /// On Unix, or Linux for the latter; elsewhere nothing changes.
    ///
    /// ```
    /// use latecall::registry::Registry;
    /// static R: Registry<dyn Fn() + Send + Sync> = Registry::new();
    /// R.announce();
    /// ```
    pub fn announce(&'static self) {
        announce(self.place());
    }

    /// Where it is, for good.
    #[doc(hidden)]
    pub const fn place(&'static self) -> Place {
        fn leave<F: ?Sized + 'static>(place: Place, cell: &Cell, handle: Handle) {
            // SAFETY: `registry` is from a `&'static Registry<F>`, below.
            let registry = unsafe { &*place.registry.cast::<Registry<F>>() };
            registry.leave_for_good(cell, handle);
        }
        Place { core: &self.core, registry: (&raw const *self).cast(), leave: leave::<F> }
    }
}

impl<F: ?Sized> Registry<F> {
    /// Before the first registration.
    #[cold]
    pub(super) fn announce_itself(&self) {
        match self.core.place {
            // One that is not pinned may be unloaded.
            Some(place) if self.core.settings.pin => announce(place()),
            _ => fork::watch(),
        }
    }
}

fn announce(place: Place) {
    fork::watch();
    let mut announced = outside(&ANNOUNCED);
    if !announced.iter().any(|other| std::ptr::eq(other.core, place.core)) {
        announced.push(place);
    }
}

/// The call of `handle` that stands in `cell`, whose frames are gone, leaves, if it is known where the registry is.
pub(super) fn leave(cell: &Cell, handle: Handle) {
    let of_handle = |place: &&Place| place.core.id() == handle.registry_id();
    let found = outside(&ANNOUNCED).iter().find(of_handle).copied();
    // No lock is held: what leaves last runs the closure's destructor.
    if let Some(place) = found {
        (place.leave)(place, cell, handle);
    }
}

//! Announced registries: those whose address the process knows, because they are never moved.
//!
//! A registry is a value and may be moved while it is not borrowed, so code that does not borrow it cannot find it. Two
//! modules need to find registries without borrowing them: `fork`, which takes their locks, and `ended`, for a thread
//! that has ended inside a callback and whose frames, with their borrows, are gone.

use super::bookkeeping::Bookkeeping;
use super::fork;
use super::handle::Handle;
use super::record::Cell;
use super::sync::{Outside, outside};
use super::{Core, Registry};

/// The permanent address of a registry.
#[doc(hidden)]
#[derive(Clone, Copy)]
pub struct Place {
    pub(super) core: &'static Core,
    registry: *const (),
    leave: fn(Place, &Cell, Handle),
    /// For a child process; see `Registry::adopt`.
    pub(super) adopt: fn(Place, &mut Bookkeeping),
}

// SAFETY: `registry` is borrowed for ever as shared. Only `leave` and `adopt` dereference it. `leave` runs only on a
// thread that has made a call of that registry, which compiled only because the registry's callbacks may be used on that
// thread. `adopt` uses no callback.
unsafe impl Send for Place {}
// SAFETY: a shared `Place` gives access to nothing that a copy of it (it is `Copy` and `Send`) does not.
unsafe impl Sync for Place {}

/// Lock order: this lock, then `stuck::WAITS`, then the locks of each registry, then `ids::IDS`.
pub(super) static ANNOUNCED: Outside<Vec<Place>> = Outside::new(Vec::new());

impl<F: ?Sized + 'static> Registry<F> {
    /// Announces to the process that this registry is never moved. Any thread may call it, and once is enough.
    /// Registries of signatures are announced when their first callback is registered, registries of C when they are
    /// created.
    ///
    /// An announced registry is treated differently in two cases:
    ///
    /// * *`fork`* (on Unix). The thread that forks first waits until no other thread holds one of this registry's
    ///   locks, so the child may use the registry. The child must not use `register`, `revoke` or `reclaim` of a
    ///   registry that is not announced and that other threads were using; `call` is safe. A registration that another
    ///   thread was about to revoke or drop may never be over in the child, announced or not.
    /// * *A thread that ends inside one of the callbacks* (on Linux). Its calls are counted out when the thread's last
    ///   thread-local is gone. In a registry that is not announced these calls are in flight for ever.
    ///
    /// On other systems nothing changes.
    ///
    /// ```
    /// use latecall::registry::Registry;
    /// static R: Registry<dyn Fn() + Send + Sync> = Registry::new();
    /// R.announce();
    /// ```
    pub fn announce(&'static self) {
        announce(self.place());
    }

    /// The permanent address of this registry.
    #[doc(hidden)]
    pub const fn place(&'static self) -> Place {
        fn leave<F: ?Sized + 'static>(place: Place, cell: &Cell, handle: Handle) {
            // SAFETY: `leave::<F>` is stored below, beside the address of a `&'static Registry<F>`.
            let registry = unsafe { &*place.registry.cast::<Registry<F>>() };
            registry.leave_for_good(cell, handle);
        }
        fn adopt<F: ?Sized + 'static>(place: Place, bookkeeping: &mut Bookkeeping) {
            // SAFETY: `adopt::<F>` is stored below, beside the address of a `&'static Registry<F>`.
            let registry = unsafe { &*place.registry.cast::<Registry<F>>() };
            registry.adopt(bookkeeping);
        }
        Place { core: &self.core, registry: (&raw const *self).cast(), leave: leave::<F>, adopt: adopt::<F> }
    }
}

impl<F: ?Sized> Registry<F> {
    /// Announces this registry if its address is known to be permanent. Called before the first registration.
    #[cold]
    pub(super) fn announce_itself(&self) {
        match self.core.place {
            // The object of a registry that is not pinned may be unloaded, and the registry with it.
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

/// Ends the call of `handle` in `cell`, whose frames are gone, if the registry is announced.
pub(super) fn leave(cell: &Cell, handle: Handle) {
    let of_handle = |place: &&Place| place.core.id() == handle.registry_id();
    let found = outside(&ANNOUNCED).iter().find(of_handle).copied();
    // No lock is held here: the last call to leave runs the closure's destructor.
    if let Some(place) = found {
        (place.leave)(place, cell, handle);
    }
}

//! Announced registries: those whose address the process knows, because they are never moved.
//!
//! A registry is a value and may be moved while it is not borrowed, so code that does not borrow it cannot find it. Two
//! modules need to find registries without borrowing them: `fork`, which takes their locks, and `ended`, for a thread
//! that has ended inside a callback and whose frames, with their borrows, are gone.

use super::bookkeeping::Bookkeeping;
use super::fork::{self, Locks};
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
// thread that has made a call of that registry, which compiled only because the registry's callbacks may be used on
// that thread. `adopt` uses no callback.
unsafe impl Send for Place {}
// SAFETY: a shared `Place` gives access to nothing that a copy of it (it is `Copy` and `Send`) does not.
unsafe impl Sync for Place {}

/// The announced registries, the latest first. Each has its successor in its `Core`, so that the list needs no memory.
pub(super) struct Announced(Option<Place>);

/// A registry's entry in the list. Used under the lock of `ANNOUNCED`.
pub(super) struct Link {
    listed: bool,
    next: Option<Place>,
    /// The locks of the registry that a thread holds while it forks.
    pub(super) held: Held,
}

/// Used only by the thread that forks.
pub(super) struct Held(pub(super) Option<Locks>);

// SAFETY: a guard has to be dropped on the thread that has locked. The thread that forks puts the guards here and takes
// them out again, in the parent as in the child, where it is the only thread.
unsafe impl Send for Held {}

impl Link {
    pub(super) const fn new() -> Self {
        Self { listed: false, next: None, held: Held(None) }
    }
}

impl Announced {
    pub(super) fn all(&self) -> impl Iterator<Item = Place> + use<> {
        let mut at = self.0;
        std::iter::from_fn(move || {
            let place = at?;
            at = outside(&place.core.announced).next;
            Some(place)
        })
    }
}

/// Lock order: this lock, then `Core::announced` of one registry at a time, then `stuck::WAITS`, then the other locks
/// of each registry, then `ids::IDS`.
pub(super) static ANNOUNCED: Outside<Announced> = Outside::new(Announced(None));

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
    let mut link = outside(&place.core.announced);
    if !link.listed {
        link.listed = true;
        link.next = announced.0.replace(place);
    }
}

/// Ends the call of `handle` in `cell`, whose frames are gone, if the registry is announced.
pub(super) fn leave(cell: &Cell, handle: Handle) {
    let found = outside(&ANNOUNCED).all().find(|place| place.core.id() == handle.registry_id());
    // No lock is held here: the last call to leave runs the closure's destructor.
    if let Some(place) = found {
        (place.leave)(place, cell, handle);
    }
}

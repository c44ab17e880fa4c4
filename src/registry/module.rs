//! Pinning: keeps the shared object with the trampolines loaded.
//!
//! A registry refuses late calls for ever, but a library that holds a trampoline's address calls *code*, which must
//! stay loaded. The code of an executable always does. The code of a plug-in, a shared object that its host unloads,
//! does not. So the object is pinned at the first registration: `dlclose` then succeeds and leaves the object in
//! memory. The cost is the plug-in's code and data, once.
//!
//! Pinning is implemented and tested on Linux with glibc. musl never unloads an object. Other systems pin nothing.
//!
//! An object that is not pinned gives back what the process had for it when it is unloaded (`unload`).

use super::Registry;
use super::sync::MODELLED;

impl<F: ?Sized> Registry<F> {
    /// Allows the shared object that contains the registry to be unloaded. Without this, the object is pinned at the
    /// first registration (on Linux with glibc; elsewhere nothing is pinned).
    ///
    /// For a plug-in that its host must be able to unload, and whose C library promises to stop calling. Before the
    /// plug-in agrees to be unloaded, it should [`close`](Registry::close) the registry, and refuse while anything is
    /// [`outstanding`](Registry::outstanding), which says where each registration was made. After unloading, a late
    /// call runs code that is gone. If the object is loaded again, its registry may issue handles that it issued
    /// before. This crate cannot detect either.
    ///
    /// When the object is unloaded (on Linux with glibc), what the process had for it goes, too: a key for
    /// thread-specific data, and the memory of each `static` registry of the object with nothing outstanding. Such a
    /// registry must not have been moved to another place after its first registration, unless it has been dropped
    /// there.
    ///
    /// ```
    /// use latecall::registry::{Close, Quiescence, Registry};
    /// static R: Registry<dyn Fn() + Send + Sync> = Registry::new().with_unpinned_module();
    ///
    /// /// The host calls this before it unloads the plug-in; 0 allows it.
    /// extern "C" fn plugin_stop() -> i32 {
    ///     let answer = R.close(Close::Abort);
    ///     for registration in R.outstanding() {
    ///         eprintln!("still in use: {registration}");
    ///     }
    ///     i32::from(answer != Quiescence::Quiescent)
    /// }
    /// assert_eq!(plugin_stop(), 0);
    /// ```
    #[must_use]
    pub const fn with_unpinned_module(mut self) -> Self {
        self.core.settings.pin = false;
        self
    }

    /// Pins the object, before the first registration. No lock may be held: a thread that registers while its object is
    /// being loaded already holds the dynamic loader's lock, so any other lock would be taken in two orders.
    #[cold]
    pub(super) fn pin_module(&self) {
        if MODELLED || !self.core.settings.pin {
            return;
        }
        // The object of a static registry, which has its trampolines as well. For a registry on the heap, the object of
        // this crate.
        pin((&raw const *self).cast());
        pin((pin as fn(*const ())) as *const ());
    }
}

#[cfg(all(target_os = "linux", target_env = "gnu", not(miri)))]
mod unload {
    use super::super::bookkeeping::Bookkeeping;
    use super::super::sync::{MODELLED, Ordering, Outside, lock, outside};
    use super::super::{Registry, ended, policy};

    /// A registry in static memory of the object.
    struct Unpinned {
        registry: *const (),
        /// Clause 1: the argument is `registry`, which is still there, and no other thread uses it.
        give_back: unsafe fn(*const ()),
    }

    // SAFETY: the pointer is used only when the object is unloaded, when no other thread runs its code.
    unsafe impl Send for Unpinned {}

    /// Without memory for its entry, a registry keeps its memory when the object goes.
    static UNPINNED: Outside<Vec<Unpinned>> = Outside::new(Vec::new());

    /// Runs when the object is unloaded, and when the process exits.
    ///
    /// The function that `policy` gave to `atexit` tells the two apart. When the process exits, functions of `atexit`
    /// run before all functions of this table. When an object is unloaded, the C library's entry of the object's own
    /// table runs them, and that entry is the first one of the table, which is run from its end.
    #[used]
    #[unsafe(link_section = ".fini_array")]
    static AT_THE_END: extern "C" fn() = at_the_end;

    extern "C" fn at_the_end() {
        // When the process exits, other threads may still run code of this object.
        if MODELLED || !policy::would_know() || policy::exiting() {
            return;
        }
        ended::unload();
        for unpinned in std::mem::take(&mut *outside(&UNPINNED)) {
            // SAFETY: (1) the registry is in static memory of this object, and was neither dropped, which would have
            // removed the entry, nor moved, as `with_unpinned_module` asks. The host that unloads an object sees to it
            // that no thread runs its code.
            unsafe { (unpinned.give_back)(unpinned.registry) };
        }
    }

    impl<F: ?Sized> Registry<F> {
        /// Before the first registration: lists a registry whose memory is to be given back with its object.
        pub(in super::super) fn note_unpinned(&self) {
            unsafe fn give_back<F: ?Sized>(registry: *const ()) {
                // SAFETY: by clause 1 of `Unpinned::give_back` this is the registry whose `note_unpinned` has stored
                // `give_back::<F>`.
                let registry = unsafe { &*registry.cast::<Registry<F>>() };
                // SAFETY: (1) by clause 1 of `Unpinned::give_back`.
                unsafe { registry.give_memory_back() };
            }
            let here = &raw const *self;
            if MODELLED || self.core.settings.pin || super::object_of(here.cast()).is_none() {
                return;
            }
            let mut all = outside(&UNPINNED);
            // Relaxed: written and read under this lock, or by a thread that has the registry to itself.
            let listed = self.core.unpinned_at.load(Ordering::Relaxed).is_null();
            if listed && all.try_reserve(1).is_ok() {
                all.push(Unpinned { registry: here.cast(), give_back: give_back::<F> });
                self.core.unpinned_at.store(here.cast_mut().cast(), Ordering::Relaxed);
            }
        }

        /// The registry is being dropped.
        pub(in super::super) fn forget_unpinned(&self) {
            // Relaxed: see `note_unpinned`.
            let at = self.core.unpinned_at.load(Ordering::Relaxed);
            if !at.is_null() {
                outside(&UNPINNED).retain(|unpinned| !std::ptr::eq(unpinned.registry, at));
            }
        }

        /// Frees what the registry keeps, unless something is outstanding.
        ///
        /// # Safety
        /// 1. No other thread uses the registry.
        unsafe fn give_memory_back(&self) {
            let mut bookkeeping = lock(&self.core.bookkeeping);
            if bookkeeping.registered != bookkeeping.revoked || bookkeeping.revoked != bookkeeping.dropped {
                return;
            }
            *bookkeeping = Bookkeeping::new();
            // Destructors of the object's statics may still try.
            bookkeeping.closed = true;
            drop(bookkeeping);
            // SAFETY: (1) no call is inside, because nothing is outstanding, and by our clause 1 no other thread uses
            // the table. No slot is found in it after this.
            unsafe { self.table.clear() };
            // SAFETY: (1) by our clause 1.
            unsafe { self.core.extras.clear() };
        }
    }
}

#[cfg(not(all(target_os = "linux", target_env = "gnu", not(miri))))]
impl<F: ?Sized> Registry<F> {
    pub(super) fn note_unpinned(&self) {}
    pub(super) fn forget_unpinned(&self) {}
}

/// The file of the executable or shared object that an address is in; `None` on the heap and on stacks.
#[cfg(all(target_os = "linux", target_env = "gnu", not(miri)))]
fn object_of(inside: *const ()) -> Option<*const std::ffi::c_char> {
    use std::ffi::{c_char, c_int, c_void};
    use std::mem::MaybeUninit;

    #[repr(C)]
    struct Found {
        file: *const c_char,
        base: *mut c_void,
        symbol: *const c_char,
        address: *mut c_void,
    }
    unsafe extern "C" {
        fn dladdr(address: *const c_void, found: *mut Found) -> c_int;
    }
    let mut found = MaybeUninit::<Found>::uninit();
    // SAFETY: `dladdr` takes any address and does not dereference it, and `found` may be written.
    if unsafe { dladdr(inside.cast(), found.as_mut_ptr()) } == 0 {
        return None;
    }
    // SAFETY: `dladdr` did not return 0, so it has written `found`.
    Some(unsafe { found.assume_init_ref() }.file)
}

#[cfg(all(target_os = "linux", target_env = "gnu", not(miri)))]
fn pin(inside: *const ()) {
    use std::ffi::{c_char, c_int, c_void};

    unsafe extern "C" {
        fn dlopen(file: *const c_char, flags: c_int) -> *mut c_void;
    }
    const LAZY: c_int = 1;
    const NOLOAD: c_int = 4;
    const NODELETE: c_int = 0x1000;

    let Some(file) = object_of(inside) else { return };
    // SAFETY: `file` is a string of the loader, valid while the object is loaded. With NOLOAD nothing is loaded and no
    // constructor runs: the loader only marks the object that it has loaded already. Failure is harmless for an
    // executable, which is never unloaded. The returned handle is never closed, which keeps the object loaded as well.
    let _ = unsafe { dlopen(file, LAZY | NOLOAD | NODELETE) };
}

#[cfg(not(all(target_os = "linux", target_env = "gnu", not(miri))))]
fn pin(_inside: *const ()) {}

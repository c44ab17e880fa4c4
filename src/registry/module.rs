//! Pinning: keeps the shared object with the trampolines loaded.
//!
//! A registry refuses late calls for ever, but a library that holds a trampoline's address calls *code*, which must
//! stay loaded. The code of an executable always does. The code of a plug-in, a shared object that its host unloads,
//! does not. So the object is pinned at the first registration: `dlclose` then succeeds and leaves the object in
//! memory. The cost is the plug-in's code and data, once.
//!
//! Pinning is implemented and tested on Linux with glibc. musl never unloads an object. Other systems pin nothing.

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
fn pin(inside: *const ()) {
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
        fn dlopen(file: *const c_char, flags: c_int) -> *mut c_void;
    }
    const LAZY: c_int = 1;
    const NOLOAD: c_int = 4;
    const NODELETE: c_int = 0x1000;

    let mut found = MaybeUninit::<Found>::uninit();
    // SAFETY: `dladdr` takes any address and does not dereference it, and `found` may be written.
    if unsafe { dladdr(inside.cast(), found.as_mut_ptr()) } == 0 {
        return; // The address is on the heap, in no object.
    }
    // SAFETY: `dladdr` did not return 0, so it has written `found`.
    let file = unsafe { found.assume_init_ref() }.file;
    // SAFETY: `file` is a string of the loader, valid while the object is loaded. With NOLOAD nothing is loaded and no
    // constructor runs: the loader only marks the object that it has loaded already. Failure is harmless for an
    // executable, which is never unloaded. The returned handle is never closed, which keeps the object loaded as well.
    let _ = unsafe { dlopen(file, LAZY | NOLOAD | NODELETE) };
}

#[cfg(not(all(target_os = "linux", target_env = "gnu", not(miri))))]
fn pin(_inside: *const ()) {}

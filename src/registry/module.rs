//! Keeping the code of trampolines where it is.
//!
//! A registry refuses late calls for ever, but a library that holds the trampoline's address calls *code*, and that must
//! be there. In an executable it is. In a shared object that the host unloads (a plug-in) it is not, so at the first
//! registration the object is pinned: `dlclose` then does what it says and the code stays (S77). What a plug-in costs
//! when it stays is its code and data, once.
//!
//! Done where it is needed and has been tried: Linux with glibc. musl never unloads. Elsewhere nothing is done.

use super::Registry;
use super::sync::MODELLED;

impl<F: ?Sized> Registry<F> {
    /// Lets the shared object that the registry is in be unloaded, which is otherwise pinned at the first registration
    /// (on Linux with glibc; elsewhere nothing is pinned).
    ///
    /// For a plug-in whose host will not have it otherwise, and whose library promises to call no more. Before it
    /// agrees to be unloaded it should [`close`](Registry::close), and refuse while anything is
    /// [`outstanding`](Registry::outstanding), which says where each registration was made (S77). After that a late
    /// call is a call of code that is gone, and when the object is loaded again, handles of its former life may come
    /// up again (S79): nothing in this crate can help then.
    ///
    /// ```
    /// use latecall::registry::{Close, Quiescence, Registry};
    /// static R: Registry<dyn Fn() + Send + Sync> = Registry::new().with_unpinned_module();
    ///
    /// /// What the host asks before it unloads the plug-in: 0 if it may.
    /// extern "C" fn plugin_stop() -> i32 {
    ///     let answer = R.close(Close::Abort);
    ///     for registration in R.outstanding() {
    ///         eprintln!("not now: {registration}");
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

    /// Before the first registration. No lock is held: the dynamic loader has one of its own, which a thread that
    /// registers while its object is being loaded already holds.
    #[cold]
    pub(super) fn pin_module(&self) {
        if MODELLED || !self.core.settings.pin {
            return;
        }
        // The object that a static registry is in, which is that of its trampolines; and, for a registry on the heap, that
        // of this crate.
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
    // SAFETY: any address may be asked about, and `found` may be written.
    if unsafe { dladdr(inside.cast(), found.as_mut_ptr()) } == 0 {
        return; // in no object: on the heap
    }
    // SAFETY: the answer was not 0, so it has been written.
    let file = unsafe { found.assume_init_ref() }.file;
    // SAFETY: `file` is the loader's own string. With NOLOAD nothing is loaded and no constructor runs; the object is
    // found among those that are there and marked. For an executable, which is never unloaded, the answer does not
    // matter. The handle is not closed: it is one more reason to stay.
    let _ = unsafe { dlopen(file, LAZY | NOLOAD | NODELETE) };
}

#[cfg(not(all(target_os = "linux", target_env = "gnu", not(miri))))]
fn pin(_inside: *const ()) {}

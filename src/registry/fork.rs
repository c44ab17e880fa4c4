//! `fork`: in the child only the thread that forked exists; calls that others were in the middle of will never return.
//!
//! The child forgets them before `fork` returns there, so nobody waits for them and nothing they used is leaked for ever.
//! What `fork` does to a lock that another thread held at that moment is not healed: see `docs/limits.md`.

use super::frame;
use super::record;
#[cfg(unix)]
use super::stuck;

/// Has the child of a later `fork` forget the other threads. Costs a load when it has been asked before.
#[cfg(unix)]
pub(super) fn watch() {
    use super::sync::{Counter, MODELLED, Ordering};
    use std::ffi::c_int;

    unsafe extern "C" {
        fn pthread_atfork(
            prepare: Option<extern "C" fn()>,
            parent: Option<extern "C" fn()>,
            child: Option<extern "C" fn()>,
        ) -> c_int;
    }
    static WATCHED: Counter = Counter::new(0);

    // Relaxed: that the handler is installed once is all; a fork that overlaps the first call may miss it.
    if MODELLED || WATCHED.swap(1, Ordering::Relaxed) != 0 {
        return;
    }
    // SAFETY: the handler is a function of this module, which stays loaded as long as the C library knows of it (a shared
    // object's handlers are taken back when it is unloaded), and does in a child what may be done there: it stores to
    // memory that was there before.
    let status = unsafe { pthread_atfork(None, None, Some(in_child)) };
    // Out of memory: forking will then leave counts behind, as it would have without this.
    let _ = status;
}

#[cfg(unix)]
extern "C" fn in_child() {
    record::forget_others(frame::has_borrowed);
    stuck::forget_others();
}

#[cfg(not(unix))]
pub(super) fn watch() {}

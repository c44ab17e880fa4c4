//! The one lock over the lists of all stocks, and what a fork does with it.
//!
//! The lock is held for a few loads and stores, and nothing else is locked or called meanwhile. One lock for the whole
//! process, because a fork has to take it: a lock that another thread holds at that moment stays locked in the child.

use crate::sync::{Flag, Ordering, Outside, OutsideGuard, outside};

static LISTS: Outside<()> = Outside::new(());

/// Locks the lists.
pub(super) fn lock() -> OutsideGuard<'static, ()> {
    static WATCHED: Flag = Flag::new(false);
    // Relaxed: the exchange only makes sure that the handlers are installed once. A fork that overlaps the first call
    // of this function may miss them.
    if !WATCHED.load(Ordering::Relaxed) && !WATCHED.swap(true, Ordering::Relaxed) {
        fork::watch();
    }
    outside(&LISTS)
}

#[cfg(unix)]
mod fork {
    use super::LISTS;
    use crate::sync::{OutsideGuard, local, outside_within};
    use std::cell::Cell;
    use std::ffi::c_int;
    use std::mem::ManuallyDrop;
    use std::time::{Duration, Instant};

    /// How long a fork waits for the lock. (A signal handler that forks may have interrupted the thread that holds it.)
    const LONGEST: Duration = Duration::from_secs(1);

    local! {
        /// The lock, on a thread that is forking. Without a destructor, so that a thread may fork while its locals are
        /// being destroyed.
        static HELD: Cell<Option<ManuallyDrop<OutsideGuard<'static, ()>>>> = Cell::new(None);
    }

    unsafe extern "C" {
        fn pthread_atfork(
            prepare: Option<extern "C" fn()>,
            parent: Option<extern "C" fn()>,
            child: Option<extern "C" fn()>,
        ) -> c_int;
    }

    /// Makes each fork hold the lock, so that the lists are whole in the child.
    pub(super) fn watch() {
        // SAFETY: the handlers are functions of this object, and the C library removes an object's handlers when it
        // unloads the object. In the child, `ends` only unlocks what its own thread has locked.
        let status = unsafe { pthread_atfork(Some(begins), Some(ends), Some(ends)) };
        // An error means that memory cannot be had. A child of a fork in the middle of a list then must not use thunks.
        let _ = status;
    }

    extern "C" fn begins() {
        let guard = outside_within(&LISTS, Instant::now() + LONGEST);
        HELD.with(|held| held.set(guard.map(ManuallyDrop::new)));
    }

    extern "C" fn ends() {
        drop(HELD.with(Cell::take).map(ManuallyDrop::into_inner));
    }
}

#[cfg(not(unix))]
mod fork {
    pub(super) fn watch() {}
}

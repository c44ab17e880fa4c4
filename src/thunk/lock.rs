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
    /// The test holds the lock most of the time, on a machine that may be busy.
    const LONGEST: Duration = Duration::from_secs(if cfg!(test) { 60 } else { 1 });

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

#[cfg(all(test, target_os = "linux", not(miri)))]
mod tests {
    use super::*;
    use crate::sync::thread;
    use std::ffi::c_int;
    use std::hint::black_box;

    unsafe extern "C" {
        fn fork() -> c_int;
        fn waitpid(child: c_int, status: *mut c_int, options: c_int) -> c_int;
        fn _exit(status: c_int) -> !;
        fn alarm(seconds: u32) -> u32;
    }

    /// S71: another thread holds the lock most of the time while this one forks. In the child the lock is free.
    #[test]
    fn a_fork_waits_for_the_lock() {
        let stop = Flag::new(false);
        let work = |steps: u32| (0..steps).for_each(|step| _ = black_box(step));
        drop(lock());
        thread::scope(|scope| {
            // Relaxed, both: nothing depends on when the thread stops.
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let locked = lock();
                    work(20_000);
                    drop(locked);
                    // Without a break, this thread might never be interrupted without the lock.
                    work(4_000);
                }
            });
            for _ in 0..8 {
                // SAFETY: the child takes the lock, and ends without running anything else.
                let child = unsafe { fork() };
                if child == 0 {
                    // SAFETY: a child that hangs is ended by a signal, which the parent sees.
                    unsafe { alarm(10) };
                    drop(lock());
                    // SAFETY: ends the child.
                    unsafe { _exit(7) };
                }
                let mut status = 0;
                // SAFETY: `status` may be written.
                let ended = unsafe { waitpid(child, &raw mut status, 0) };
                stop.fetch_or(ended != child || status != 7 << 8, Ordering::Relaxed);
                assert_eq!((ended, status), (child, 7 << 8));
            }
            stop.store(true, Ordering::Relaxed);
        });
    }
}

//! `fork`: in the child only the thread that forked exists; calls that others were in the middle of will never return.
//!
//! The child forgets them before `fork` returns there, so nobody waits for them and nothing they used is leaked for ever.
//!
//! **Locks.** One that another thread held at that moment would stay locked in the child for good. So `fork` first takes
//! them: those of the process, and those of each registry that has been [announced](super::announced). They are held for
//! moments only, nothing runs under them but this crate's code and the allocator's, and a thread that runs a callback, a
//! destructor or a hook holds none. Should one not come free within [`LONGEST`] (a signal handler forks, and has interrupted
//! who holds it), `fork` goes on without it: it never hangs, and the child must not use what that lock guards.

use super::announced::{ANNOUNCED, Place};
use super::bookkeeping::Bookkeeping;
use super::completion::Notifies;
use super::ids::{self, Ids};
use super::outstanding::CallersInside;
use super::policy::ByIndex;
use super::stuck::{self, Waits};
use super::sync::{Flag, MODELLED, MutexGuard, Ordering, OutsideGuard, local, lock_within, outside_within};
use super::thread::ThreadTag;
use super::{Core, frame, record};
use std::cell::Cell;
use std::ptr;
use std::time::{Duration, Instant};

/// How long `fork` waits for all locks together.
const LONGEST: Duration = Duration::from_secs(1);

/// The locks of a registry, as far as they came free.
struct Locks {
    bookkeeping: Option<MutexGuard<'static, Bookkeeping>>,
    callers: Option<MutexGuard<'static, CallersInside>>,
    policies: Option<MutexGuard<'static, ByIndex>>,
    notifies: Option<MutexGuard<'static, Notifies>>,
}

/// What a thread holds while it forks.
struct Held {
    announced: Option<OutsideGuard<'static, Vec<Place>>>,
    waits: Option<OutsideGuard<'static, Waits>>,
    registries: Vec<Locks>,
    ids: Option<OutsideGuard<'static, Ids>>,
}

local! {
    /// On a thread that is forking: its box of what it holds; else null.
    static HELD: Cell<*mut Held> = Cell::new(ptr::null_mut());
}

/// Has later forks take the locks, and their children forget the other threads. Costs a load when it has been asked before.
pub(super) fn watch() {
    static WATCHED: Flag = Flag::new(false);

    // Relaxed: that the handlers are installed once is all; a fork that overlaps the first call may miss them.
    if !MODELLED && !WATCHED.load(Ordering::Relaxed) && !WATCHED.swap(true, Ordering::Relaxed) {
        install();
    }
}

#[cfg(not(unix))]
fn install() {}

#[cfg(unix)]
fn install() {
    use std::ffi::c_int;
    unsafe extern "C" {
        fn pthread_atfork(
            prepare: Option<extern "C" fn()>,
            parent: Option<extern "C" fn()>,
            child: Option<extern "C" fn()>,
        ) -> c_int;
    }
    // SAFETY: the handlers are functions of this module, which stays loaded as long as the C library knows of them (a shared
    // object's handlers are taken back when it is unloaded). The one for the child does what may be done there: it stores to
    // memory that was there before, and unlocks what its own thread has locked.
    let status = unsafe { pthread_atfork(Some(begins), Some(ends_in_parent), Some(ends_in_child)) };
    // Out of memory: forking will then leave counts behind, as it would have without this.
    let _ = status;
}

extern "C" fn begins() {
    let until = Instant::now() + LONGEST;
    let Some(announced) = outside_within(&ANNOUNCED, until) else { return };
    let waits = outside_within(&stuck::WAITS, until);
    let registries = announced.iter().map(|place| place.core.locks(until)).collect();
    let ids = outside_within(&ids::IDS, until);
    let held = Box::into_raw(Box::new(Held { announced: Some(announced), waits, registries, ids }));
    HELD.with(|place| place.set(held));
}

extern "C" fn ends_in_parent() {
    let held = HELD.with(|place| place.replace(ptr::null_mut()));
    if !held.is_null() {
        // SAFETY: from `Box::into_raw` in `begins`, on this thread, and taken out of its place for good.
        drop(unsafe { Box::from_raw(held) });
    }
}

extern "C" fn ends_in_child() {
    record::forget_others(frame::has_borrowed);
    let held = HELD.with(|place| place.replace(ptr::null_mut()));
    // SAFETY: null or from `Box::into_raw` in `begins`, on this thread, and taken out of its place for good. The memory is
    // not given back: this is no place to call the allocator.
    let Some(held) = (unsafe { held.as_mut() }) else { return };
    if let Some(waits) = &mut held.waits {
        waits.forget_others();
    }
    for registry in &mut held.registries {
        registry.forget_others();
        // One by one, for they do not own memory, and the vector does.
        (registry.bookkeeping, registry.callers, registry.policies, registry.notifies) = (None, None, None, None);
    }
    (held.ids, held.waits, held.announced) = (None, None, None);
}

impl Core {
    fn locks(&'static self, until: Instant) -> Locks {
        Locks {
            bookkeeping: lock_within(&self.bookkeeping, until),
            callers: lock_within(&self.callers.0, until),
            policies: lock_within(&self.own_policies.by_index, until),
            notifies: lock_within(&self.destroy_notifies.notifies, until),
        }
    }
}

impl Locks {
    fn forget_others(&mut self) {
        let me = ThreadTag::current();
        if let Some(bookkeeping) = &mut self.bookkeeping {
            bookkeeping.forget_other_waiters(me);
        }
        if let Some(callers) = &mut self.callers {
            callers.retain(|(_, thread)| *thread == me);
        }
    }
}

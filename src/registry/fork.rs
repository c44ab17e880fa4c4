//! `fork`: only the thread that forked exists in the child, so the calls of other threads will never return there.
//!
//! The child forgets those calls before `fork` returns, so no thread waits for them and what they used is not leaked
//! for ever.
//!
//! **Locks.** A lock that another thread holds when a process forks stays locked in the child for ever. So `fork` first
//! takes the locks of the process, and the locks of each [announced](super::announced) registry. All of them are held
//! for moments only: only code of this crate and of the allocator runs under them, never a callback, a destructor or a
//! hook. If a lock does not come free within [`LONGEST`], `fork` continues without it, because it must never hang.
//! (That happens if a signal handler forks and has interrupted the thread that holds the lock.) The child must then not
//! use the data that this lock guards.

use super::announced::{ANNOUNCED, Announced};
use super::bookkeeping::Bookkeeping;
use super::handle::Handle;
use super::ids::{self, Ids};
use super::outstanding::CallersInside;
use super::site::{CSite, SITES};
use super::slot::State;
use super::stuck::{self, Waits};
use super::sync::{
    Flag, MODELLED, MutexGuard, Ordering, Outside, OutsideGuard, local, lock_within, outside, outside_within,
};
use super::thread::ThreadTag;
use super::{Core, Registry, frame, record};
use std::cell::Cell;
use std::mem::ManuallyDrop;
use std::time::{Duration, Instant};

/// How long `fork` waits, for all locks together. A test of this crate holds one of them most of the time, on a machine
/// that may be busy.
const LONGEST: Duration = Duration::from_secs(if cfg!(test) { 60 } else { 1 });

/// The lock over the addresses of thunks (`crate::thunk`), of the whole process. It is held for a few loads and stores,
/// and nothing else is locked or called meanwhile. It is here because a fork has to hold it.
static ADDRESSES: Outside<()> = Outside::new(());

/// Locks the addresses of thunks. A fork that other threads make meanwhile waits, so they are whole in the child.
pub(crate) fn lock_addresses() -> OutsideGuard<'static, ()> {
    watch();
    outside(&ADDRESSES)
}

/// The locks of a registry; `None` for each that did not come free in time.
pub(super) struct Locks {
    bookkeeping: Option<MutexGuard<'static, Bookkeeping>>,
    callers: Option<MutexGuard<'static, CallersInside>>,
}

/// What a thread holds while it forks, besides the locks of the registries, which are in their `Core::announced`.
struct Held {
    announced: OutsideGuard<'static, Announced>,
    waits: Option<OutsideGuard<'static, Waits>>,
    _ids: Option<OutsideGuard<'static, Ids>>,
    _sites: Option<OutsideGuard<'static, Vec<&'static CSite>>>,
    _addresses: Option<OutsideGuard<'static, ()>>,
}

local! {
    /// What the thread holds, if it is forking. `ManuallyDrop`, so that the thread-local has no destructor.
    static HELD: Cell<Option<ManuallyDrop<Held>>> = Cell::new(None);
}

/// Installs the handlers of `fork`: they take the locks, and make a child forget the other threads. Costs one load once
/// installed.
pub(super) fn watch() {
    static WATCHED: Flag = Flag::new(false);

    // Relaxed: the exchange only makes sure that the handlers are installed once. A fork that overlaps the first call
    // of this function may miss them.
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
    // SAFETY: the handlers are functions of this object, and the C library removes an object's handlers when it unloads
    // the object. The handler for the child only does what is allowed in a child: it stores to existing memory, and
    // unlocks locks that its own thread has locked.
    let status = unsafe { pthread_atfork(Some(begins), Some(ends_in_parent), Some(ends_in_child)) };
    // An error means that memory cannot be had. A child then keeps the calls of other threads, as it would without
    // handlers.
    let _ = status;
}

// None of these functions allocates: a fork does not fail for lack of memory, and a child must not call the allocator.

extern "C" fn begins() {
    let until = Instant::now() + LONGEST;
    let Some(announced) = outside_within(&ANNOUNCED, until) else { return };
    let waits = outside_within(&stuck::WAITS, until);
    for place in announced.all() {
        outside(&place.core.announced).held.0 = Some(place.core.locks(until));
    }
    let ids = outside_within(&ids::IDS, until);
    let sites = outside_within(&SITES, until);
    let addresses = outside_within(&ADDRESSES, until);
    let held = Held { announced, waits, _ids: ids, _sites: sites, _addresses: addresses };
    HELD.with(|it| it.set(Some(ManuallyDrop::new(held))));
}

extern "C" fn ends_in_parent() {
    let Some(held) = HELD.with(Cell::take) else { return };
    for place in held.announced.all() {
        outside(&place.core.announced).held.0 = None;
    }
    drop(ManuallyDrop::into_inner(held));
}

extern "C" fn ends_in_child() {
    record::forget_others();
    let Some(mut held) = HELD.with(Cell::take) else { return };
    if let Some(waits) = &mut held.waits {
        waits.forget_others();
    }
    for place in held.announced.all() {
        let locks = outside(&place.core.announced).held.0.take();
        let Some(mut locks) = locks else { continue };
        locks.forget_others();
        if let Some(bookkeeping) = &mut locks.bookkeeping {
            (place.adopt)(place, bookkeeping);
        }
    }
    drop(ManuallyDrop::into_inner(held));
}

impl<F: ?Sized> Registry<F> {
    /// In a child process after `fork`: what threads that do not exist here were in the middle of ending is left to any
    /// thread that asks (`see_to`). Calls no allocator and no destructor. The calls of other threads are forgotten.
    pub(super) fn adopt(&self, bookkeeping: &mut Bookkeeping) {
        for index in 0..bookkeeping.used() {
            let Some(slot) = self.table.get(index) else { continue };
            let word = slot.word(index);
            let handle = Handle::pack(index, word.generation(), self.core.id());
            let calls = match word.state() {
                // Its revoker was about to count, or the revocation is deferred and nothing is missing.
                State::Closing if !bookkeeping.is_deferred(index) => record::mark(handle.bits()),
                State::Revoking => record::marked(handle.bits()),
                // Its closure was being dropped, and not by this thread: a part of the destructor may have run, and the
                // rest never will.
                State::Quiescent if frame::own(handle.bits()).destructors == 0 => 0,
                _ => continue,
            };
            slot.transition(handle, word.state(), if calls == 0 { State::Idle } else { State::Revoking });
        }
    }
}

impl Core {
    fn locks(&'static self, until: Instant) -> Locks {
        Locks { bookkeeping: lock_within(&self.bookkeeping, until), callers: lock_within(&self.callers.0, until) }
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

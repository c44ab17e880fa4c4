//! How a binding keeps its callbacks while the library holds them.
//!
//! A [`CallbackStore`] takes a witness, which stands for a user's closure, and says what to pass to the library for it:
//! a function, a `void *`, and perhaps a destroy notify. All subjects share the binding ([`super::binding`]). The sound
//! stores ([`super::registry`], [`super::locked`]) and the ones in `flawed` differ in their stores only.

use super::sync::{AtomicBool, Counter, Ordering, Outside, OutsideArc, local, outside};
use crate::emitter::{Callback, Destroy, EmitterEvent};
use latecall::internal;
use latecall::ledger::{Answer, Call, RunId, Turned, Witness};
use latecall::program::Site;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::ffi::c_void;
use std::sync::atomic::Ordering::Relaxed;

/// Stores the callbacks of one run.
///
/// A sound store never lets a call of the library reach a witness that has been dropped, whenever the call comes. The
/// stores in `flawed` each break this rule or another one on purpose.
pub trait CallbackStore: Send + Sync {
    /// Stores a callback.
    ///
    /// # Errors
    ///
    /// The store is full. The witness has been dropped.
    fn insert(&self, witness: Witness) -> Result<Stored, NoRoom>;

    /// The library has refused the callback and will not call it.
    fn refused(&self, key: Key) {
        self.revoke_and_wait(key);
    }

    /// Lets no new call start. Does not wait.
    fn revoke(&self, key: Key) -> Answer;

    /// Lets no new call start. Waits for the calls in flight, except for those on this thread's stack.
    fn revoke_and_wait(&self, key: Key) -> Answer;

    /// The owner has leaked its guard, so the callback is never revoked.
    fn forget(&self, key: Key);

    /// Whether the store leaves waiting to the library. If so, the binding ends a subscription in the way that the
    /// library's mode provides. If not, the binding asks the library not to wait: a wait in the library and a wait in
    /// the store excuse different threads, and together they can deadlock.
    fn relies_on_library(&self) -> bool {
        false
    }
}

/// A store's name for a callback.
pub type Key = usize;

/// The store is full.
#[derive(Debug)]
pub struct NoRoom;

/// A callback in a store: its key, and what to pass to the library for it.
#[derive(Debug, Clone, Copy)]
pub struct Stored {
    /// The store's name for the callback.
    pub key: Key,
    /// The function.
    pub callback: Callback,
    /// The function's user data.
    pub user_data: *mut c_void,
    /// The destroy notify.
    pub destroy: Option<Destroy>,
}

/// A call from the library, as a trampoline receives it.
#[derive(Debug, Clone, Copy)]
pub struct Delivery {
    run: Option<RunId>,
    /// What to pass to the witness.
    pub call: Call,
}

impl Delivery {
    /// Reads the library's event.
    ///
    /// # Safety
    ///
    /// 1. `event` is aligned, and points to an initialised event that no thread writes to during this call.
    pub unsafe fn from_event(event: *const EmitterEvent) -> Self {
        // SAFETY: a read needs an aligned pointer to an initialised value that no thread writes to. Our caller
        // guarantees all three for `event` (clause 1).
        let event = unsafe { *event };
        let mut call = Call::new(event.cookie as u32, event.a as i64, event.b as i64);
        call.misdirected = event.user_data_of != event.subscription;
        Delivery { run: internal::run_from_bits(event.owner as u64), call }
    }

    /// The run that the call belongs to, as [`Env::to_bits`](latecall::subject::Env::to_bits) names it; 0: none.
    pub fn run(&self) -> u64 {
        self.run.map_or(0, internal::run_to_bits)
    }

    /// Says that this thread is at a stall site of the run, which may hold the thread there.
    pub fn pass(&self, site: Site) {
        if let Some(run) = self.run {
            internal::pass_in(run, site);
        }
    }

    /// Reports that the call came late and ran no user code.
    pub fn late(&self) {
        if let Some(run) = self.run {
            internal::late_in(run, &self.call);
        }
    }
}

/// What a sound store holds for each callback.
pub type Closure = dyn Fn(&Delivery) -> i64 + Send + Sync;

/// A closure that calls the witness, and turns away the calls that the callback's type does not allow: calls on another
/// thread if the callback is confined, calls that overlap if it is exclusive. With `once`, the library promises one
/// call for each callback, and every further call is late.
pub fn checked_closure(witness: Witness, once: bool) -> Box<Closure> {
    let busy = AtomicBool::new(false);
    let spent = AtomicBool::new(false);
    Box::new(move |delivery| {
        struct Leave<'a>(&'a AtomicBool);
        impl Drop for Leave<'_> {
            fn drop(&mut self) {
                // Release: pairs with the Acquire swap of `busy` in `checked_closure`, by the next call.
                self.0.store(false, Ordering::Release);
            }
        }
        let call = &delivery.call;
        if witness.confined() && !witness.at_home() {
            witness.turn_away(call, Turned::WrongThread);
            return 0;
        }
        // AcqRel: pairs with itself. Only the first of several calls goes on; no other data depends on `spent`.
        if once && spent.swap(true, Ordering::AcqRel) {
            delivery.late();
            return 0;
        }
        if witness.exclusive() {
            // Acquire: pairs with the Release store in `Leave::drop`. This call sees what the previous call did.
            if busy.swap(true, Ordering::Acquire) {
                witness.turn_away(call, Turned::Busy);
                return 0;
            }
            let _leave = Leave(&busy);
            return witness.call(call);
        }
        witness.call(call)
    })
}

/// Identifies a thread: no two threads of the process have the same tag, even if one has ended. In destructors of
/// thread-locals a tag still works; std's thread id does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ThreadTag(u64);

impl ThreadTag {
    /// The calling thread's tag.
    pub fn here() -> Self {
        static NEXT: Counter = Counter::new(1);
        local! {
            static TAG: Cell<u64> = Cell::new(0);
        }
        TAG.with(|tag| {
            if tag.get() == 0 {
                tag.set(NEXT.fetch_add(1, Relaxed)); // Relaxed: the numbers need only be distinct
            }
            ThreadTag(tag.get())
        })
    }
}

/// Finds the store of a run, for trampolines whose user data is only a number.
#[derive(Debug)]
pub struct Directory<T>(Outside<Option<BTreeMap<u64, OutsideArc<T>>>>);

impl<T> Directory<T> {
    /// A directory of no stores.
    pub const fn new() -> Self {
        Directory(Outside::new(None))
    }

    /// Lists the store of a run that begins.
    pub fn insert(&self, run: u64, store: &OutsideArc<T>) {
        outside(&self.0).get_or_insert_default().insert(run, OutsideArc::clone(store));
    }

    /// The store of a run; `None`: the run is over.
    pub fn get(&self, run: u64) -> Option<OutsideArc<T>> {
        outside(&self.0).as_ref()?.get(&run).cloned()
    }

    /// Removes the store of a run that is over.
    pub fn remove(&self, run: u64) {
        if let Some(map) = &mut *outside(&self.0) {
            map.remove(&run);
        }
    }
}

impl<T> Default for Directory<T> {
    fn default() -> Self {
        Directory::new()
    }
}

//! What stands between C and a callback.
//!
//! A [`CallbackStore`] takes a witness and says what the library is to be given for it: a function, a `void *`, perhaps
//! a destroy notify. The binding ([`super::binding`]) is the same for all; the sound stores ([`super::registry`],
//! [`super::locked`]) and the ones in `flawed` differ in nothing but this.

use super::sync::{AtomicBool, Counter, Ordering, Outside, OutsideArc, local, outside};
use crate::emitter::{Callback, Destroy, EmitterEvent};
use latecall::internal;
use latecall::ledger::{Answer, Call, RunId, Turned, Witness};
use latecall::program::Site;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::ffi::c_void;
use std::sync::atomic::Ordering::Relaxed;

/// Keeps callbacks for the library. One per run.
pub trait CallbackStore: Send + Sync {
    /// Takes a callback.
    ///
    /// # Errors
    ///
    /// The store has no room; the witness has been dropped.
    fn keep(&self, witness: Witness) -> Result<Kept, NoRoom>;

    /// The library refused it: it will not be called.
    fn refused(&self, key: Key) {
        self.revoke_and_wait(key);
    }

    /// No new call starts; does not wait.
    fn revoke(&self, key: Key) -> Answer;

    /// No new call starts; waits until quiescent, frames of this thread excepted.
    fn revoke_and_wait(&self, key: Key) -> Answer;

    /// The owner's guard is leaked: never revoked.
    fn forget(&self, key: Key);

    /// Whether waiting is left to the library: then the binding asks it to end a subscription in its own way. Otherwise
    /// it is asked not to wait, since two waiters that do not know of each other's excuses can wait for each other.
    fn relies_on_library(&self) -> bool {
        false
    }
}

/// A store's name for a callback.
pub type Key = usize;

/// No room for another callback.
#[derive(Debug)]
pub struct NoRoom;

/// What the library is to be given.
#[derive(Debug, Clone, Copy)]
pub struct Kept {
    /// The store's name for it.
    pub key: Key,
    /// The function.
    pub callback: Callback,
    /// Its user data.
    pub user_data: *mut c_void,
    /// The destroy notify.
    pub destroy: Option<Destroy>,
}

/// A call as it arrives in a trampoline.
#[derive(Debug, Clone, Copy)]
pub struct Delivery {
    run: Option<RunId>,
    /// What the witness is told.
    pub call: Call,
}

impl Delivery {
    /// Reads the event.
    ///
    /// # Safety
    ///
    /// 1. `event` points to an event that is valid for the call.
    pub unsafe fn of(event: *const EmitterEvent) -> Self {
        // SAFETY: our caller guarantees (1), that `event` points to an event that is valid for the call.
        let event = unsafe { *event };
        let mut call = Call::new(event.cookie as u32, event.a as i64, event.b as i64);
        call.misdirected = event.user_data_of != event.subscription;
        Delivery { run: internal::run_from_bits(event.owner as u64), call }
    }

    /// The run it belongs to, as [`Env::to_bits`](latecall::subject::Env::to_bits).
    pub fn run(&self) -> u64 {
        self.run.map_or(0, internal::run_to_bits)
    }

    /// This thread is at a stall site.
    pub fn pass(&self, site: Site) {
        if let Some(run) = self.run {
            internal::pass_in(run, site);
        }
    }

    /// The call was late and was defused.
    pub fn late(&self) {
        if let Some(run) = self.run {
            internal::late_in(run, &self.call);
        }
    }
}

/// A closure as a registry of `dyn Fn` keeps it.
pub type Closure = dyn Fn(&Delivery) -> i64 + Send + Sync;

/// The closure that a careful user of a registry registers: one that turns away calls which the callback's type does
/// not allow. `once`: the library promises one call, and a second is late.
pub fn careful(witness: Witness, once: bool) -> Box<Closure> {
    let busy = AtomicBool::new(false);
    let spent = AtomicBool::new(false);
    Box::new(move |delivery| {
        struct Leave<'a>(&'a AtomicBool);
        impl Drop for Leave<'_> {
            fn drop(&mut self) {
                self.0.store(false, Ordering::Release); // pairs with the Acquire of the next call's swap
            }
        }
        let call = &delivery.call;
        if witness.confined() && !witness.at_home() {
            witness.turn_away(call, Turned::WrongThread);
            return 0;
        }
        // AcqRel: the first of several calls wins, and nothing else is told by it.
        if once && spent.swap(true, Ordering::AcqRel) {
            delivery.late();
            return 0;
        }
        if witness.exclusive() {
            // Acquire: pairs with the Release in `Leave`: what the last call did is seen by this one.
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

/// Names a thread for as long as the process lives: no two threads get the same tag. Works in the destructors of
/// thread-locals too, where std's own thread id is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ThreadTag(u64);

impl ThreadTag {
    /// The calling thread.
    pub fn here() -> Self {
        static NEXT: Counter = Counter::new(1);
        local! {
            static TAG: Cell<u64> = Cell::new(0);
        }
        TAG.with(|tag| {
            if tag.get() == 0 {
                tag.set(NEXT.fetch_add(1, Relaxed)); // only distinct numbers are wanted
            }
            ThreadTag(tag.get())
        })
    }
}

/// Stores by run, for trampolines whose user data is only a number.
#[derive(Debug)]
pub struct Directory<T>(Outside<Option<BTreeMap<u64, OutsideArc<T>>>>);

impl<T> Directory<T> {
    /// An empty one.
    pub const fn new() -> Self {
        Directory(Outside::new(None))
    }

    /// Lists a store for a run.
    pub fn insert(&self, run: u64, store: &OutsideArc<T>) {
        outside(&self.0).get_or_insert_default().insert(run, OutsideArc::clone(store));
    }

    /// The store of a run that is not over.
    pub fn get(&self, run: u64) -> Option<OutsideArc<T>> {
        outside(&self.0).as_ref()?.get(&run).cloned()
    }

    /// The run is over.
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

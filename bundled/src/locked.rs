//! The simplest sound store: a map behind a lock, whose entries count the calls inside.
//!
//! It is slow and can be checked by reading. It is compared with the store over the registry: both must give the same
//! answers to every program. `Entry` counts the calls inside. Some stores in `flawed` use it too, and make one mistake
//! around it.

use super::lookup::Lookup;
use super::store::{CallbackStore, Closure, Delivery, Directory, Key, NoRoom, Stored, ThreadTag, checked_closure};
use super::sync::{AtomicUsize, Condvar, Mutex, MutexGuard, Ordering, OutsideArc, catch};
use crate::emitter::EmitterEvent;
use latecall::ledger::{Answer, Witness};
use latecall::program::Site;
use std::ffi::c_void;
use std::fmt;
use std::panic::resume_unwind;

static MAPS: Directory<Map> = Directory::new();

/// Stores callbacks in a map for one run.
#[derive(Debug)]
pub struct LockedStore {
    run: u64,
    once: bool,
    map: OutsideArc<Map>,
}

/// Entries by user data. User data are numbers from 1 up, and no number is used twice.
#[derive(Debug)]
pub(crate) struct Map {
    entries: Lookup<usize, OutsideArc<Entry>>,
    last: AtomicUsize,
}

/// A callback, and the threads that are inside it.
pub(crate) struct Entry {
    state: Mutex<State>,
    /// Notified in three cases: a call has returned, a thread begins to wait from inside, the closure has been dropped.
    changed: Condvar,
}

struct State {
    closure: Option<OutsideArc<Closure>>,
    revoked: bool,
    /// The number of threads that wait for `changed`.
    waiting: usize,
    /// The thread of each call in flight. A thread that is inside twice is listed twice.
    inside: Vec<ThreadTag>,
    /// Threads that have waited from inside. Other threads that wait from inside do not wait for them.
    excused: Vec<ThreadTag>,
    /// The thread that is dropping the closure at the moment.
    dropping: Option<ThreadTag>,
}

/// The call came after the entry was revoked.
#[derive(Debug)]
pub(crate) struct Late;

impl LockedStore {
    /// An empty store for a run. `once`: the library promises one call for each callback.
    pub fn new(run: u64, once: bool) -> Self {
        let map = OutsideArc::new(Map::new());
        MAPS.insert(run, &map);
        LockedStore { run, once, map }
    }
}

impl Drop for LockedStore {
    fn drop(&mut self) {
        MAPS.remove(self.run);
    }
}

impl CallbackStore for LockedStore {
    fn insert(&self, witness: Witness) -> Result<Stored, NoRoom> {
        let key = self.map.insert(checked_closure(witness, self.once));
        Ok(Stored { key, callback: called, user_data: std::ptr::without_provenance_mut(key), destroy: None })
    }

    fn revoke(&self, key: Key) -> Answer {
        self.map.get(key).map_or(Answer::Skipped, |entry| entry.revoke())
    }

    fn revoke_and_wait(&self, key: Key) -> Answer {
        self.map.get(key).map_or(Answer::Skipped, |entry| entry.revoke_and_wait())
    }

    fn forget(&self, key: Key) {
        std::mem::forget(self.map.get(key));
    }
}

unsafe extern "C-unwind" fn called(user_data: *mut c_void, event: *const EmitterEvent) -> isize {
    // SAFETY: 1. the header promises an `emitter_event` that is valid until the callback returns, and `EmitterEvent`
    // has its layout. The library does not write to it meanwhile.
    let delivery = unsafe { Delivery::from_event(event) };
    delivery.pass(Site::BeforeAcquire);
    let entry = MAPS.get(delivery.run()).and_then(|map| map.get(user_data.addr()));
    match entry.ok_or(Late).and_then(|entry| entry.call(&delivery)) {
        // A panic must not unwind into C. It ends here, and the callback returns 0 to the library.
        Ok(result) => result.unwrap_or(0) as isize,
        Err(Late) => {
            delivery.late();
            0
        }
    }
}

impl Map {
    pub(crate) fn new() -> Self {
        Map { entries: Lookup::new(), last: AtomicUsize::new(0) }
    }

    pub(crate) fn insert(&self, closure: Box<Closure>) -> Key {
        // Relaxed: the numbers need only be distinct.
        let key = self.last.fetch_add(1, Ordering::Relaxed) + 1;
        self.entries.insert(key, OutsideArc::new(Entry::new(closure)));
        key
    }

    pub(crate) fn get(&self, key: Key) -> Option<OutsideArc<Entry>> {
        self.entries.get(key)
    }
}

impl Entry {
    pub(crate) fn new(closure: Box<Closure>) -> Self {
        let state = State {
            closure: Some(OutsideArc::from(closure)),
            revoked: false,
            waiting: 0,
            inside: Vec::new(),
            excused: Vec::new(),
            dropping: None,
        };
        Entry { state: Mutex::new(state), changed: Condvar::new() }
    }

    /// Runs the closure, unless the entry is revoked. Returns the closure's panic as a value.
    pub(crate) fn call(&self, delivery: &Delivery) -> Result<Result<i64, Panic>, Late> {
        let me = ThreadTag::here();
        let closure = {
            let mut state = self.lock();
            if state.revoked {
                return Err(Late);
            }
            let closure = state.closure.clone().ok_or(Late)?;
            state.inside.push(me);
            closure
        };
        delivery.pass(Site::AfterAcquire);
        let result = catch(|| closure(delivery));
        delivery.pass(Site::BeforeRelease);
        // From here on no call holds a reference of its own, so that `finish` drops the closure.
        drop(closure);
        let mut state = self.lock();
        if let Some(at) = state.inside.iter().rposition(|t| *t == me) {
            state.inside.remove(at);
        }
        if !state.inside.contains(&me) {
            state.excused.retain(|t| *t != me);
        }
        self.finish(state);
        delivery.pass(Site::AfterRelease);
        Ok(result)
    }

    /// Lets no new call start.
    pub(crate) fn revoke(&self) -> Answer {
        let mut state = self.lock();
        let answer = match (state.revoked, state.inside.len()) {
            (true, _) => Answer::AlreadyRevoked,
            (false, 0) => Answer::Removed,
            (false, n) => Answer::InFlight(n as u32),
        };
        state.revoked = true;
        self.finish(state);
        answer
    }

    /// Lets no new call start. When this returns, no call is running on another thread.
    pub(crate) fn revoke_and_wait(&self) -> Answer {
        self.revoke();
        self.wait_for_others()
    }

    /// The second half of [`Entry::revoke_and_wait`]: waits until the calls on other threads have returned.
    pub(crate) fn wait_for_others(&self) -> Answer {
        let me = ThreadTag::here();
        let mut state = self.lock();
        let inside = state.inside.contains(&me);
        if !inside && state.dropping == Some(me) {
            return Answer::Deferred; // the closure's own destructor calls this
        }
        if inside {
            state.excused.push(me);
            self.wake_waiting(&state);
        }
        self.wait(state, |state| {
            if inside {
                state.inside.iter().all(|t| state.excused.contains(t))
            } else {
                state.inside.is_empty() && !(state.revoked && state.closure.is_some()) && state.dropping.is_none()
            }
        });
        if inside { Answer::Deferred } else { Answer::Quiescent }
    }

    /// Waits until no thread is inside, not even this one.
    pub(crate) fn wait_until_empty(&self) {
        self.wait(self.lock(), |state| state.inside.is_empty() && state.dropping.is_none());
    }

    fn wait(&self, mut state: MutexGuard<'_, State>, done: impl Fn(&State) -> bool) {
        while !done(&state) {
            state.waiting += 1;
            state = self.changed.wait(state).unwrap_or_else(|poisoned| poisoned.into_inner());
            state.waiting -= 1;
        }
    }

    /// Drops the closure if the entry is revoked and no call is inside. Wakes the waiting threads. No lock is held
    /// while the closure is dropped.
    fn finish(&self, mut state: MutexGuard<'_, State>) {
        if !state.revoked || !state.inside.is_empty() || state.closure.is_none() {
            self.wake_waiting(&state);
            return;
        }
        let closure = state.closure.take();
        state.dropping = Some(ThreadTag::here());
        drop(state);
        // A destructor that panics must not leave other threads waiting.
        let dropped = catch(|| drop(closure));
        let mut state = self.lock();
        state.dropping = None;
        self.wake_waiting(&state);
        drop(state);
        if let Err(panic) = dropped {
            resume_unwind(panic);
        }
    }

    /// Wakes the waiting threads, so that each checks its condition again.
    #[track_caller]
    fn wake_waiting(&self, state: &State) {
        if state.waiting > 0 {
            self.changed.notify_all();
        }
    }

    #[track_caller]
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Entry")
    }
}

/// The payload of a closure's panic.
pub(crate) type Panic = Box<dyn std::any::Any + Send>;

//! A sound store of the plainest kind: a locked map of counted entries. Slow, and easy to see through: a second opinion
//! on the registry, since both must answer every program alike.
//!
//! `Entry` is the part that counts the calls inside; the stores in `flawed` use it too, and each gets one thing wrong
//! around it.

use super::lookup::Lookup;
use super::store::{CallbackStore, Closure, Delivery, Directory, Kept, Key, NoRoom, ThreadTag, careful};
use super::sync::{AtomicUsize, Condvar, Mutex, MutexGuard, Ordering, OutsideArc, catch};
use crate::emitter::EmitterEvent;
use latecall::ledger::{Answer, Witness};
use latecall::program::Site;
use std::ffi::c_void;
use std::fmt;
use std::panic::resume_unwind;

static MAPS: Directory<Map> = Directory::new();

/// Keeps callbacks in a map of its run.
#[derive(Debug)]
pub struct LockedStore {
    run: u64,
    once: bool,
    map: OutsideArc<Map>,
}

/// Entries by user data, which counts up and is never given out twice; 0 is none.
#[derive(Debug)]
pub(crate) struct Map {
    entries: Lookup<usize, OutsideArc<Entry>>,
    last: AtomicUsize,
}

/// A callback, and the threads that are in it.
pub(crate) struct Entry {
    state: Mutex<State>,
    /// Notified when a call has left, a thread waits from inside, or the closure has been dropped.
    changed: Condvar,
}

struct State {
    closure: Option<OutsideArc<Closure>>,
    revoked: bool,
    /// Threads that wait for `changed`.
    waiting: usize,
    /// One for each call in flight.
    inside: Vec<ThreadTag>,
    /// Threads that have waited from inside: no other wait from inside waits for them.
    excused: Vec<ThreadTag>,
    /// The closure is being dropped, by this thread.
    dropping: Option<ThreadTag>,
}

/// The call came after the entry was revoked.
#[derive(Debug)]
pub(crate) struct Late;

impl LockedStore {
    /// A map for a run.
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
    fn keep(&self, witness: Witness) -> Result<Kept, NoRoom> {
        let key = self.map.insert(careful(witness, self.once));
        Ok(Kept { key, callback: called, user_data: std::ptr::without_provenance_mut(key), destroy: None })
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
    // SAFETY: the library's event is valid until this returns.
    let delivery = unsafe { Delivery::of(event) };
    delivery.pass(Site::BeforeAcquire);
    let entry = MAPS.get(delivery.run()).and_then(|map| map.get(user_data.addr()));
    match entry.ok_or(Late).and_then(|entry| entry.call(&delivery)) {
        // A panic may not pass C: it ends here, and the library is told 0.
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
        // Relaxed: only distinct numbers are wanted.
        let key = self.last.fetch_add(1, Ordering::Relaxed) + 1;
        self.entries.put(key, OutsideArc::new(Entry::new(closure)));
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

    /// Runs the closure, unless revoked. A panic of it is handed back.
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
        // The entry's own reference is the last one from here on: `settle` drops the closure.
        drop(closure);
        let mut state = self.lock();
        if let Some(at) = state.inside.iter().rposition(|t| *t == me) {
            state.inside.remove(at);
        }
        if !state.inside.contains(&me) {
            state.excused.retain(|t| *t != me);
        }
        self.settle(state);
        delivery.pass(Site::AfterRelease);
        Ok(result)
    }

    /// No call starts from now on.
    pub(crate) fn revoke(&self) -> Answer {
        let mut state = self.lock();
        let answer = match (state.revoked, state.inside.len()) {
            (true, _) => Answer::AlreadyRevoked,
            (false, 0) => Answer::Removed,
            (false, n) => Answer::InFlight(n as u32),
        };
        state.revoked = true;
        self.settle(state);
        answer
    }

    /// No call starts from now on, and none is running on another thread when this returns.
    pub(crate) fn revoke_and_wait(&self) -> Answer {
        self.revoke();
        self.wait_for_others()
    }

    /// The second half of [`Entry::revoke_and_wait`]: none that was running on another thread is when this returns.
    pub(crate) fn wait_for_others(&self) -> Answer {
        let me = ThreadTag::here();
        let mut state = self.lock();
        let inside = state.inside.contains(&me);
        if !inside && state.dropping == Some(me) {
            return Answer::Deferred; // called by the closure's own destructor
        }
        if inside {
            state.excused.push(me);
            self.tell(&state);
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

    /// Waits until no thread is inside, this thread included.
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

    /// Drops the closure if it is revoked and no call is inside, with no lock held. Wakes the waiting threads.
    fn settle(&self, mut state: MutexGuard<'_, State>) {
        if !state.revoked || !state.inside.is_empty() || state.closure.is_none() {
            self.tell(&state);
            return;
        }
        let closure = state.closure.take();
        state.dropping = Some(ThreadTag::here());
        drop(state);
        // A destructor that panics must not leave the waiters waiting.
        let dropped = catch(|| drop(closure));
        let mut state = self.lock();
        state.dropping = None;
        self.tell(&state);
        drop(state);
        if let Err(panic) = dropped {
            resume_unwind(panic);
        }
    }

    /// Wakes the waiting threads, because something has changed.
    #[track_caller]
    fn tell(&self, state: &State) {
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

/// What a panicking closure left.
pub(crate) type Panic = Box<dyn std::any::Any + Send>;

//! A sound keeper of the plainest kind: a locked map of counted entries. Slow, and easy to see through: a second opinion
//! on the registry, since both must answer every program alike.

use super::keeper::{Closure, Delivery, Directory, Keeper, Kept, Key, NoRoom, careful};
use crate::emitter::Event;
use crate::ledger::{Answer, Witness};
use crate::program::Site;
use crate::sync::thread::{ThreadId, current};
use crate::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::collections::HashMap;
use std::ffi::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind};

static MAPS: Directory<Map> = Directory::new();

/// Keeps callbacks in a map of its run.
#[derive(Debug)]
pub struct LockedKeeper {
    run: u64,
    once: bool,
    map: Arc<Map>,
}

#[derive(Debug, Default)]
struct Map {
    /// Entries by user data, which counts up and is never given out twice. 0 is none.
    entries: Mutex<(usize, HashMap<usize, Arc<Entry>>)>,
}

/// A callback and who is in it.
struct Entry {
    state: Mutex<State>,
    left: Condvar,
}

impl std::fmt::Debug for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Entry")
    }
}

struct State {
    closure: Option<Arc<Closure>>,
    revoked: bool,
    /// One for each call in flight. std never gives a thread id out twice.
    inside: Vec<ThreadId>,
    /// Threads that have waited from inside: nobody who waits from inside waits for them.
    excused: Vec<ThreadId>,
    /// The closure is being dropped, by this thread.
    dropping: Option<ThreadId>,
}

impl LockedKeeper {
    /// A map for a run.
    pub fn new(run: u64, once: bool) -> Self {
        let map = Arc::new(Map::default());
        MAPS.insert(run, &map);
        LockedKeeper { run, once, map }
    }

    fn entry(&self, key: Key) -> Option<Arc<Entry>> {
        self.map.lock().1.get(&key).cloned()
    }
}

impl Drop for LockedKeeper {
    fn drop(&mut self) {
        MAPS.remove(self.run);
    }
}

impl Map {
    fn lock(&self) -> MutexGuard<'_, (usize, HashMap<usize, Arc<Entry>>)> {
        self.entries.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Entry {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Revoked and empty: drops the closure, with no lock held.
    fn settle(&self, mut state: MutexGuard<'_, State>) {
        if state.revoked
            && state.inside.is_empty()
            && let Some(closure) = state.closure.take()
        {
            state.dropping = Some(current().id());
            drop(state);
            // A destructor that panics must not leave the waiters waiting.
            let dropped = catch_unwind(AssertUnwindSafe(|| drop(closure)));
            self.lock().dropping = None;
            self.left.notify_all();
            if let Err(panic) = dropped {
                std::panic::resume_unwind(panic);
            }
        } else {
            drop(state);
            self.left.notify_all();
        }
    }

    fn revoke(&self) -> Answer {
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

    fn revoke_and_wait(&self) -> Answer {
        let me = current().id();
        self.revoke();
        let mut state = self.lock();
        let inside = state.inside.contains(&me);
        if !inside && state.dropping == Some(me) {
            return Answer::Deferred; // called by the closure's own destructor
        }
        if inside {
            state.excused.push(me);
            self.left.notify_all();
        }
        loop {
            let done = if inside {
                state.inside.iter().all(|t| state.excused.contains(t))
            } else {
                state.inside.is_empty() && state.closure.is_none() && state.dropping.is_none()
            };
            if done {
                break;
            }
            state = self.left.wait(state).unwrap_or_else(|poisoned| poisoned.into_inner());
        }
        if inside { Answer::Deferred } else { Answer::Quiescent }
    }
}

impl Keeper for LockedKeeper {
    fn keep(&self, witness: Witness) -> Result<Kept, NoRoom> {
        let state = State {
            closure: Some(Arc::from(careful(witness, self.once))),
            revoked: false,
            inside: Vec::new(),
            excused: Vec::new(),
            dropping: None,
        };
        let mut entries = self.map.lock();
        entries.0 += 1;
        let key = entries.0;
        entries.1.insert(key, Arc::new(Entry { state: Mutex::new(state), left: Condvar::new() }));
        Ok(Kept { key, callback: called, user_data: std::ptr::without_provenance_mut(key), destroy: None })
    }

    fn revoke(&self, key: Key) -> Answer {
        self.entry(key).map_or(Answer::Skipped, |entry| entry.revoke())
    }

    fn revoke_and_wait(&self, key: Key) -> Answer {
        self.entry(key).map_or(Answer::Skipped, |entry| entry.revoke_and_wait())
    }

    fn forget(&self, key: Key) {
        std::mem::forget(self.entry(key));
    }
}

unsafe extern "C-unwind" fn called(user_data: *mut c_void, event: *const Event) -> isize {
    // SAFETY: the library's event is valid until this returns.
    let delivery = unsafe { Delivery::of(event) };
    delivery.pass(Site::BeforeAcquire);
    let entry = MAPS.get(delivery.run()).and_then(|map| map.lock().1.get(&user_data.addr()).cloned());
    let Some(entry) = entry else {
        delivery.late();
        return 0;
    };
    let mut state = entry.lock();
    let closure = match &state.closure {
        Some(closure) if !state.revoked => Arc::clone(closure),
        _ => {
            drop(state);
            delivery.late();
            return 0;
        }
    };
    let me = current().id();
    state.inside.push(me);
    drop(state);
    delivery.pass(Site::AfterAcquire);
    let value = catch_unwind(AssertUnwindSafe(|| closure(&delivery))).unwrap_or(0);
    delivery.pass(Site::BeforeRelease);
    // The entry's own reference is the last one from here on: `settle` drops the closure.
    drop(closure);
    let mut state = entry.lock();
    if let Some(at) = state.inside.iter().rposition(|t| *t == me) {
        state.inside.remove(at);
    }
    if !state.inside.contains(&me) {
        state.excused.retain(|t| *t != me);
    }
    entry.settle(state);
    delivery.pass(Site::AfterRelease);
    value as isize
}

//! A store whose waiter frees the lock that its waker is still using.
//!
//! Leaving is: count down, then tell the waiter, through the block's own lock and condition. A waiter that comes in
//! between sees a count of 0, returns, and frees the block.

use super::super::locked::Panic;
use super::super::store::{CallbackStore, Closure, Delivery, Directory, Kept, Key, NoRoom, ThreadTag, careful};
use super::super::sync::{Condvar, Mutex, MutexGuard, OutsideArc, catch};
use crate::emitter::EmitterEvent;
use latecall::ledger::{Answer, Probe, Witness};
use latecall::program::Site;
use latecall::subject::Env;
use std::collections::BTreeMap;
use std::ffi::c_void;

static ALL: Directory<Inner> = Directory::new();

/// The store.
#[derive(Debug)]
pub struct WaiterFrees {
    run: u64,
    inner: OutsideArc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    /// Addresses of blocks, by handle, which counts up.
    blocks: Mutex<(usize, BTreeMap<Key, usize>)>,
}

struct Block {
    closure: Box<Closure>,
    state: Mutex<State>,
    idle: Condvar,
    probe: Probe,
}

#[derive(Default)]
struct State {
    inside: Vec<ThreadTag>,
    /// Revoked by a thread that was inside: the last to leave frees the block.
    orphaned: bool,
}

impl Block {
    #[track_caller]
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Inner {
    #[track_caller]
    fn lock(&self) -> MutexGuard<'_, (usize, BTreeMap<Key, usize>)> {
        self.blocks.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl WaiterFrees {
    /// A store for a run.
    pub fn new(env: &Env) -> Self {
        let run = env.to_bits();
        let inner = OutsideArc::new(Inner::default());
        ALL.insert(run, &inner);
        WaiterFrees { run, inner }
    }
}

impl Drop for WaiterFrees {
    fn drop(&mut self) {
        ALL.remove(self.run);
        let keys: Vec<Key> = self.inner.lock().1.keys().copied().collect();
        for key in keys {
            self.revoke_and_wait(key);
        }
    }
}

impl CallbackStore for WaiterFrees {
    fn keep(&self, witness: Witness) -> Result<Kept, NoRoom> {
        let probe = witness.probe();
        let block = Block { closure: careful(witness, false), state: Mutex::default(), idle: Condvar::new(), probe };
        let mut blocks = self.inner.lock();
        blocks.0 += 1;
        let key = blocks.0;
        blocks.1.insert(key, Box::into_raw(Box::new(block)).expose_provenance());
        Ok(Kept { key, callback: called, user_data: std::ptr::without_provenance_mut(key), destroy: None })
    }

    /// Cannot be told without waiting: this store only has the one verb.
    fn revoke(&self, key: Key) -> Answer {
        self.revoke_and_wait(key)
    }

    fn revoke_and_wait(&self, key: Key) -> Answer {
        let Some(address) = self.inner.lock().1.remove(&key) else { return Answer::AlreadyRevoked };
        let block = std::ptr::with_exposed_provenance_mut::<Block>(address);
        {
            // SAFETY: from `Box::into_raw` in `keep`; taken out of the map, so no other thread frees it.
            let block = unsafe { &*block };
            let mut state = block.lock();
            if state.inside.contains(&ThreadTag::here()) {
                state.orphaned = true;
                return Answer::Done; // claims nothing: other threads may be inside as well
            }
            while !state.inside.is_empty() {
                state = block.idle.wait(state).unwrap_or_else(|poisoned| poisoned.into_inner());
            }
        }
        // SAFETY: from `Box::into_raw` in `keep`, and taken out of the map, so freed once. The defect: the last call to
        // leave may not have notified `idle` yet, and still uses the block.
        drop(unsafe { Box::from_raw(block) });
        Answer::Quiescent
    }

    fn forget(&self, key: Key) {
        self.inner.lock().1.remove(&key);
    }
}

unsafe extern "C-unwind" fn called(user_data: *mut c_void, event: *const EmitterEvent) -> isize {
    // SAFETY: the library's event is valid until this returns.
    let delivery = unsafe { Delivery::of(event) };
    delivery.pass(Site::BeforeAcquire);
    let entered = ALL.get(delivery.run()).and_then(|inner| {
        let blocks = inner.lock();
        let address = *blocks.1.get(&user_data.addr())?;
        let block = std::ptr::with_exposed_provenance::<Block>(address);
        // SAFETY: listed, so alive; counted in while the map's lock keeps it listed.
        let block = unsafe { &*block };
        block.lock().inside.push(ThreadTag::here());
        Some(block)
    });
    let Some(block) = entered else {
        delivery.late();
        return 0;
    };
    delivery.pass(Site::AfterAcquire);
    let result: Result<i64, Panic> = catch(|| (block.closure)(&delivery));
    delivery.pass(Site::BeforeRelease);
    let orphaned = {
        let mut state = block.lock();
        if let Some(at) = state.inside.iter().rposition(|t| *t == ThreadTag::here()) {
            state.inside.remove(at);
        }
        state.orphaned && state.inside.is_empty()
    };
    if orphaned {
        // SAFETY: from `Box::into_raw` in `keep`; out of the map, and no thread is inside or waiting.
        drop(unsafe { Box::from_raw(std::ptr::from_ref(block).cast_mut()) });
    } else {
        delivery.pass(Site::AfterRelease);
        block.probe.used();
        block.idle.notify_all();
    }
    result.unwrap_or(0) as isize
}

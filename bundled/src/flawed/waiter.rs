//! A store whose waiting thread frees the condition variable that the waking thread is still using.
//!
//! A call that returns first removes itself from the list of calls inside, under the block's lock, and then notifies
//! the block's condition variable. A thread that waits, or begins to wait, between the two finds the list empty,
//! returns, and frees the block. The call then notifies a condition variable that is gone.

use super::super::locked::Panic;
use super::super::store::{
    CallbackStore, Closure, Delivery, Directory, Key, NoRoom, Stored, ThreadTag, checked_closure,
};
use super::super::sync::{Condvar, Mutex, MutexGuard, OutsideArc, catch};
use crate::emitter::EmitterEvent;
use latecall::ledger::{Answer, Probe, Witness};
use latecall::program::Site;
use latecall::subject::Env;
use std::collections::BTreeMap;
use std::ffi::c_void;

static ALL: Directory<Inner> = Directory::new();

/// The store with this defect.
#[derive(Debug)]
pub struct WaiterFrees {
    run: u64,
    inner: OutsideArc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    blocks: Mutex<Blocks>,
}

#[derive(Debug, Default)]
struct Blocks {
    /// The last key that was used. Keys count up from 1.
    last: Key,
    /// The address of each block.
    addresses: BTreeMap<Key, usize>,
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
    /// A thread that was inside has revoked the callback. The last call to return frees the block.
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
    fn lock(&self) -> MutexGuard<'_, Blocks> {
        self.blocks.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl WaiterFrees {
    /// An empty store for a run.
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
        let keys: Vec<Key> = self.inner.lock().addresses.keys().copied().collect();
        for key in keys {
            self.revoke_and_wait(key);
        }
    }
}

impl CallbackStore for WaiterFrees {
    fn insert(&self, witness: Witness) -> Result<Stored, NoRoom> {
        let probe = witness.probe();
        let block =
            Block { closure: checked_closure(witness, false), state: Mutex::default(), idle: Condvar::new(), probe };
        let mut blocks = self.inner.lock();
        blocks.last += 1;
        let key = blocks.last;
        blocks.addresses.insert(key, Box::into_raw(Box::new(block)).expose_provenance());
        Ok(Stored { key, callback: called, user_data: std::ptr::without_provenance_mut(key), destroy: None })
    }

    /// Waits, too: this store can only free a block after waiting.
    fn revoke(&self, key: Key) -> Answer {
        self.revoke_and_wait(key)
    }

    fn revoke_and_wait(&self, key: Key) -> Answer {
        let Some(address) = self.inner.lock().addresses.remove(&key) else { return Answer::AlreadyRevoked };
        let block = std::ptr::with_exposed_provenance_mut::<Block>(address);
        {
            // SAFETY: a reference needs an aligned pointer to a block that is alive. `insert` got the address from
            // `Box::into_raw`. This thread has taken the address out of the map, and the block is not orphaned, so no
            // other thread frees the block.
            let block = unsafe { &*block };
            let mut state = block.lock();
            if state.inside.contains(&ThreadTag::here()) {
                state.orphaned = true;
                return Answer::Done; // claims nothing: other threads may be inside, too
            }
            while !state.inside.is_empty() {
                state = block.idle.wait(state).unwrap_or_else(|poisoned| poisoned.into_inner());
            }
        }
        // SAFETY: `from_raw` needs a pointer from `Box::into_raw` that is freed once and no longer used. `insert` got
        // the address from `Box::into_raw`. This thread has taken it out of the map, and the block is not orphaned, so
        // no other thread frees it. The defect: the last call may not have notified `idle` yet, and still uses the
        // block.
        drop(unsafe { Box::from_raw(block) });
        Answer::Quiescent
    }

    fn forget(&self, key: Key) {
        self.inner.lock().addresses.remove(&key);
    }
}

unsafe extern "C-unwind" fn called(user_data: *mut c_void, event: *const EmitterEvent) -> isize {
    // SAFETY: 1. the header promises an `emitter_event` that is valid until the callback returns, and `EmitterEvent`
    // has its layout. The library does not write to it meanwhile.
    let delivery = unsafe { Delivery::from_event(event) };
    delivery.pass(Site::BeforeAcquire);
    let entered = ALL.get(delivery.run()).and_then(|inner| {
        let blocks = inner.lock();
        let address = *blocks.addresses.get(&user_data.addr())?;
        let block = std::ptr::with_exposed_provenance::<Block>(address);
        // SAFETY: a reference needs an aligned pointer to a block that is alive. The address is in the map, so the
        // block has not been freed. This call enters `inside` before it releases the map's lock. A thread that takes
        // the address out of the map afterwards waits until this call has left `inside`. The defect: this call uses the
        // block after that.
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
        // SAFETY: `from_raw` needs a pointer from `Box::into_raw` that is freed once and no longer used. `insert` got
        // the address from `Box::into_raw`. The thread that set `orphaned` has taken it out of the map, so no call
        // enters any more and no thread waits. This call was the last one inside. The defect: an earlier call may still
        // be about to notify `idle`.
        drop(unsafe { Box::from_raw(std::ptr::from_ref(block).cast_mut()) });
    } else {
        delivery.pass(Site::AfterRelease);
        block.probe.used();
        block.idle.notify_all();
    }
    result.unwrap_or(0) as isize
}

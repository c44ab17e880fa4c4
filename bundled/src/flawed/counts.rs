//! Stores that count the calls inside a callback, as `locked` does, and leave one step out or do it wrong.

use super::super::locked::{Late, Map};
use super::super::store::{
    CallbackStore, Closure, Delivery, Directory, Key, NoRoom, Stored, ThreadTag, checked_closure,
};
use super::super::sync::{Mutex, MutexGuard, OutsideArc};
use crate::emitter::EmitterEvent;
use latecall::ledger::{Answer, Turned, Witness};
use latecall::program::Site;
use latecall::subject::Env;
use std::ffi::c_void;
use std::panic::resume_unwind;

/// What is wrong with the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Defect {
    /// Calls of an exclusive callback may overlap.
    SharedFnMut,
    /// A confined callback runs on any thread.
    AnyThread,
    /// A panic unwinds into the library.
    PanicPasses,
    /// Every call is refused as late.
    RejectsAll,
    /// `revoke_and_wait` revokes and does not wait.
    NoWait,
    /// `revoke_and_wait` waits and does not revoke.
    StillListed,
    /// `revoke_and_wait` waits for the calling thread's own frames.
    WaitsForItself,
    /// `revoke_and_wait` knows the thread of the call that was entered last, and of no other call.
    OneThreadId,
}

static ALL: Directory<Inner> = Directory::new();

/// A store with one of these defects.
#[derive(Debug)]
pub struct Counted {
    run: u64,
    inner: OutsideArc<Inner>,
}

#[derive(Debug)]
struct Inner {
    defect: Defect,
    map: Map,
    /// The call that was entered last and has not returned: its thread and its callback.
    executing: Mutex<Option<(ThreadTag, Key)>>,
}

impl Inner {
    #[track_caller]
    fn executing(&self) -> MutexGuard<'_, Option<(ThreadTag, Key)>> {
        self.executing.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Counted {
    /// An empty store for a run.
    pub fn new(env: &Env, defect: Defect) -> Self {
        let run = env.to_bits();
        let inner = OutsideArc::new(Inner { defect, map: Map::new(), executing: Mutex::new(None) });
        ALL.insert(run, &inner);
        Counted { run, inner }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        ALL.remove(self.run);
    }
}

impl CallbackStore for Counted {
    fn insert(&self, witness: Witness) -> Result<Stored, NoRoom> {
        let closure: Box<Closure> = match self.inner.defect {
            Defect::SharedFnMut | Defect::AnyThread => {
                let confined = self.inner.defect == Defect::SharedFnMut && witness.confined();
                Box::new(move |delivery| {
                    if confined && !witness.at_home() {
                        witness.turn_away(&delivery.call, Turned::WrongThread);
                        return 0;
                    }
                    witness.call(&delivery.call)
                })
            }
            _ => checked_closure(witness, false),
        };
        let key = self.inner.map.insert(closure);
        Ok(Stored { key, callback: called, user_data: std::ptr::without_provenance_mut(key), destroy: None })
    }

    fn revoke(&self, key: Key) -> Answer {
        match (self.inner.map.get(key), self.inner.defect) {
            (None, _) => Answer::Skipped,
            (Some(_), Defect::StillListed) => Answer::Done,
            (Some(entry), _) => entry.revoke(),
        }
    }

    fn revoke_and_wait(&self, key: Key) -> Answer {
        let Some(entry) = self.inner.map.get(key) else { return Answer::Skipped };
        match self.inner.defect {
            Defect::NoWait => {
                entry.revoke();
                Answer::Quiescent
            }
            Defect::StillListed => entry.wait_for_others(),
            Defect::WaitsForItself => {
                entry.revoke();
                entry.wait_until_empty();
                Answer::Quiescent
            }
            Defect::OneThreadId => {
                entry.revoke();
                if *self.inner.executing() == Some((ThreadTag::here(), key)) {
                    return Answer::Deferred;
                }
                entry.wait_until_empty();
                Answer::Quiescent
            }
            _ => entry.revoke_and_wait(),
        }
    }

    fn forget(&self, key: Key) {
        std::mem::forget(self.inner.map.get(key));
    }
}

unsafe extern "C-unwind" fn called(user_data: *mut c_void, event: *const EmitterEvent) -> isize {
    // SAFETY: 1. the header promises an `emitter_event` that is valid until the callback returns, and `EmitterEvent`
    // has its layout. The library does not write to it meanwhile.
    let delivery = unsafe { Delivery::from_event(event) };
    delivery.pass(Site::BeforeAcquire);
    let Some(inner) = ALL.get(delivery.run()) else {
        delivery.late();
        return 0;
    };
    if inner.defect == Defect::RejectsAll {
        delivery.late();
        return 0;
    }
    let key = user_data.addr();
    let outer = inner.executing().replace((ThreadTag::here(), key));
    let result = inner.map.get(key).ok_or(Late).and_then(|entry| entry.call(&delivery));
    *inner.executing() = outer;
    match result {
        Ok(Ok(value)) => value as isize,
        Ok(Err(panic)) if inner.defect == Defect::PanicPasses => resume_unwind(panic),
        Ok(Err(_)) => 0,
        Err(Late) => {
            delivery.late();
            0
        }
    }
}

//! The store over [`latecall::registry::Registry`], which production code would use: one registry as a `static`.

use super::latecall_registry::{Handle, OnStuck, Quiescence, Registration, Registry, Revoked, StallSite, Stuck};
use super::store::{CallbackStore, Closure, Delivery, Key, NoRoom, Stored, checked_closure};
use super::sync::{Mutex, MutexGuard, OutsideArc, catch, global};
use crate::emitter::EmitterEvent;
use latecall::ledger::{Answer, Witness};
use latecall::program::Site;
use latecall::subject;
use std::collections::BTreeMap;
use std::ffi::c_void;

global! {
    /// One registry for all runs of the process. A binding in production has one registry for all of its callbacks,
    /// too.
    static CALLBACKS: Registry<Closure> =
        Registry::new().with_name("emitter callbacks").with_stall_hook(stalled).with_stuck_hook(keep_waiting);
}

/// Keeps a deadlocked wait waiting. In every subject, the monitor of the run finds the deadlocks.
fn keep_waiting(_: &Stuck) -> OnStuck {
    OnStuck::Wait
}

/// Stores callbacks in the registry.
#[derive(Debug, Default)]
pub struct RegistryStore {
    once: bool,
    guards: Mutex<BTreeMap<Key, OutsideArc<Registration<'static, Closure>>>>,
}

impl RegistryStore {
    /// An empty store. `once`: the library promises one call for each callback.
    pub fn new(once: bool) -> Self {
        RegistryStore { once, guards: Mutex::default() }
    }

    #[track_caller]
    fn guards(&self) -> MutexGuard<'_, BTreeMap<Key, OutsideArc<Registration<'static, Closure>>>> {
        self.guards.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn guard(&self, key: Key) -> Option<OutsideArc<Registration<'static, Closure>>> {
        self.guards().get(&key).cloned()
    }
}

impl CallbackStore for RegistryStore {
    fn insert(&self, witness: Witness) -> Result<Stored, NoRoom> {
        let registration = CALLBACKS.try_register(checked_closure(witness, self.once)).map_err(|_| NoRoom)?;
        let handle = registration.handle();
        self.guards().insert(handle.bits(), OutsideArc::new(registration));
        Ok(Stored { key: handle.bits(), callback: called, user_data: handle.as_ptr(), destroy: Some(destroyed) })
    }

    fn revoke(&self, key: Key) -> Answer {
        match self.guard(key).map(|guard| guard.revoke()) {
            Some(Revoked::Removed) => Answer::Removed,
            Some(Revoked::InFlight(n)) => Answer::InFlight(n),
            Some(Revoked::AlreadyRevoked) => Answer::AlreadyRevoked,
            Some(other) => unreachable!("`revoke` returned {other:?}, which this subject does not know: add it here"),
            None => Answer::Skipped,
        }
    }

    fn revoke_and_wait(&self, key: Key) -> Answer {
        match self.guard(key).map(|guard| guard.revoke_and_wait()) {
            Some(Quiescence::Quiescent) => Answer::Quiescent,
            Some(Quiescence::DeferredToOuterFrame) => Answer::Deferred,
            Some(other) => {
                unreachable!("`revoke_and_wait` returned {other:?}, although `keep_waiting` lets no wait give up")
            }
            None => Answer::Skipped,
        }
    }

    fn forget(&self, key: Key) {
        std::mem::forget(self.guards().remove(&key));
    }
}

/// The trampoline, which the library calls for every callback.
unsafe extern "C-unwind" fn called(user_data: *mut c_void, event: *const EmitterEvent) -> isize {
    // SAFETY: 1. the header promises an `emitter_event` that is valid until the callback returns, and `EmitterEvent`
    // has its layout. The library does not write to it meanwhile.
    let delivery = unsafe { Delivery::from_event(event) };
    // A panic must not unwind into C. It ends here, and the callback returns 0 to the library.
    let call = |f: &Closure| catch(|| f(&delivery)).unwrap_or(0);
    match CALLBACKS.call(user_data, call) {
        Ok(value) => value as isize,
        Err(_late) => {
            delivery.late();
            0
        }
    }
}

/// The destroy notify: the library promises no further call. A call that comes after it is late.
unsafe extern "C-unwind" fn destroyed(user_data: *mut c_void) {
    // The callback may be revoked already: by its owner, or by an earlier notify of a hostile library.
    let _ = CALLBACKS.revoke(Handle::from_ptr(user_data));
}

fn stalled(site: StallSite) {
    subject::pass(match site {
        StallSite::BeforeAcquire => Site::BeforeAcquire,
        StallSite::AfterAcquire => Site::AfterAcquire,
        StallSite::BeforeRelease => Site::BeforeRelease,
        StallSite::AfterRelease => Site::AfterRelease,
        StallSite::Revoked => Site::Revoked,
        StallSite::TombstoneWritten => Site::TombstoneWritten,
        StallSite::SlotListed => Site::SlotListed,
        _ => return, // a site that programs have no name for
    });
}

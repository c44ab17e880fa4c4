//! The store that production code would use: [`latecall::registry::Registry`], as a `static`.

use super::latecall_registry::{Handle, OnStuck, Quiescence, Registration, Registry, Revoked, StallSite, Stuck};
use super::store::{CallbackStore, Closure, Delivery, Kept, Key, NoRoom, careful};
use super::sync::{Mutex, MutexGuard, OutsideArc, catch, global};
use crate::emitter::EmitterEvent;
use latecall::ledger::{Answer, Witness};
use latecall::program::Site;
use latecall::subject;
use std::collections::BTreeMap;
use std::ffi::c_void;

global! {
    /// One registry for all runs of the process, as a binding would have it.
    static CALLBACKS: Registry<Closure> =
        Registry::new().with_name("emitter callbacks").with_stall_hook(stalled).with_stuck_hook(go_on_waiting);
}

/// The monitor of a run is the judge of deadlocks, for this subject as for all others.
fn go_on_waiting(_: &Stuck) -> OnStuck {
    OnStuck::Wait
}

/// Keeps callbacks in the registry.
#[derive(Debug, Default)]
pub struct RegistryStore {
    once: bool,
    guards: Mutex<BTreeMap<Key, OutsideArc<Registration<'static, Closure>>>>,
}

impl RegistryStore {
    /// For a library that promises one call per subscription, or any number.
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
    fn keep(&self, witness: Witness) -> Result<Kept, NoRoom> {
        let registration = CALLBACKS.try_register(careful(witness, self.once)).map_err(|_| NoRoom)?;
        let handle = registration.handle();
        self.guards().insert(handle.bits(), OutsideArc::new(registration));
        Ok(Kept { key: handle.bits(), callback: called, user_data: handle.as_ptr(), destroy: Some(destroyed) })
    }

    fn revoke(&self, key: Key) -> Answer {
        match self.guard(key).map(|guard| guard.revoke()) {
            Some(Revoked::Removed) => Answer::Removed,
            Some(Revoked::InFlight(n)) => Answer::InFlight(n),
            Some(Revoked::AlreadyRevoked) => Answer::AlreadyRevoked,
            Some(other) => unreachable!("no other answer is known: {other:?}"),
            None => Answer::Skipped,
        }
    }

    fn revoke_and_wait(&self, key: Key) -> Answer {
        match self.guard(key).map(|guard| guard.revoke_and_wait()) {
            Some(Quiescence::Quiescent) => Answer::Quiescent,
            Some(Quiescence::DeferredToOuterFrame) => Answer::Deferred,
            Some(other) => unreachable!("waits for as long as it takes, and does not give up: {other:?}"),
            None => Answer::Skipped,
        }
    }

    fn forget(&self, key: Key) {
        std::mem::forget(self.guards().remove(&key));
    }
}

/// The trampoline: the one function that the library is ever given.
unsafe extern "C-unwind" fn called(user_data: *mut c_void, event: *const EmitterEvent) -> isize {
    // SAFETY: the library's event is valid until this returns.
    let delivery = unsafe { Delivery::of(event) };
    // A panic may not pass C: it ends here, and the library is told 0.
    let call = |f: &Closure| catch(|| f(&delivery)).unwrap_or(0);
    match CALLBACKS.call(user_data, call) {
        Ok(value) => value as isize,
        Err(_late) => {
            delivery.late();
            0
        }
    }
}

/// The destroy notify: the library says that it will not call again. Whatever it does afterwards is late.
unsafe extern "C-unwind" fn destroyed(user_data: *mut c_void) {
    // A second notify, or one for a handle whose owner was first, finds it revoked: that is no error here.
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
        _ => return, // no program can name it
    });
}

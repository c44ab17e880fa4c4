//! Stores that give the library a pointer to memory of their own.

use super::super::store::{CallbackStore, Delivery, Kept, Key, NoRoom};
use super::super::sync::{Mutex, MutexGuard};
use crate::emitter::{Destroy, EmitterEvent};
use latecall::ledger::{Answer, Witness};
use latecall::program::Site;
use std::collections::BTreeSet;
use std::ffi::c_void;

/// Boxes that their owner has not freed, by address.
#[derive(Debug, Default)]
struct Owned(Mutex<BTreeSet<Key>>);

impl Owned {
    fn keep(&self, witness: Witness) -> Key {
        let key = Box::into_raw(Box::new(witness)).expose_provenance();
        self.lock().insert(key);
        key
    }

    /// Frees a box, once.
    fn free(&self, key: Key) -> Answer {
        if !self.lock().remove(&key) {
            return Answer::AlreadyRevoked;
        }
        // SAFETY: 1. from `Box::into_raw` in `keep`; 2. taken out of the set, so freed once by the owner. The
        // defect: these stores do not rule out that the library still uses it, or that another path frees it too.
        drop(unsafe { Box::from_raw(std::ptr::with_exposed_provenance_mut::<Witness>(key)) });
        Answer::Done
    }

    #[track_caller]
    fn lock(&self) -> MutexGuard<'_, BTreeSet<Key>> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        let left: Vec<Key> = self.lock().iter().copied().collect();
        for key in left {
            self.free(key);
        }
    }
}

/// The trampoline of all of them.
unsafe extern "C-unwind" fn called(user_data: *mut c_void, event: *const EmitterEvent) -> isize {
    // SAFETY: the library's event is valid until this returns.
    let delivery = unsafe { Delivery::of(event) };
    delivery.pass(Site::BeforeAcquire);
    // SAFETY: points to a witness that is alive, if the owner is right about when the library's last call is. It is
    // not: then the bytes are in quarantine and still name the witness, or the page is gone.
    let witness = unsafe { &*user_data.cast::<Witness>() };
    witness.call(&delivery.call) as isize
}

/// The destroy notify of those that have one.
unsafe extern "C-unwind" fn destroyed(user_data: *mut c_void) {
    // SAFETY: 1. from `Box::into_raw` in `keep`. 2. That it is not freed already is what `freed_by_both` gets wrong.
    drop(unsafe { Box::from_raw(user_data.cast::<Witness>()) });
}

fn kept(key: Key) -> Kept {
    Kept { key, callback: called, user_data: std::ptr::with_exposed_provenance_mut(key), destroy: None }
}

/// Frees the box when unsubscribe has returned.
#[derive(Debug)]
pub struct RawBox {
    owned: Owned,
    destroy: Option<Destroy>,
}

impl RawBox {
    /// Only the owner frees.
    pub fn freed_by_owner() -> Self {
        RawBox { owned: Owned::default(), destroy: None }
    }

    /// So does the destroy notify.
    pub fn freed_by_both() -> Self {
        RawBox { owned: Owned::default(), destroy: Some(destroyed) }
    }
}

impl CallbackStore for RawBox {
    fn keep(&self, witness: Witness) -> Result<Kept, NoRoom> {
        Ok(Kept { destroy: self.destroy, ..kept(self.owned.keep(witness)) })
    }

    fn revoke(&self, key: Key) -> Answer {
        self.owned.free(key)
    }

    fn revoke_and_wait(&self, key: Key) -> Answer {
        self.owned.free(key)
    }

    fn forget(&self, key: Key) {
        self.owned.lock().remove(&key);
    }

    fn relies_on_library(&self) -> bool {
        true
    }
}

/// Frees the box in the destroy notify only, as one should; a library that refuses a registration sends none.
#[derive(Debug, Default)]
pub struct LeakOnRefusal;

impl CallbackStore for LeakOnRefusal {
    fn keep(&self, witness: Witness) -> Result<Kept, NoRoom> {
        let key = Box::into_raw(Box::new(witness)).expose_provenance();
        Ok(Kept { destroy: Some(destroyed), ..kept(key) })
    }

    fn refused(&self, _key: Key) {}

    fn revoke(&self, _key: Key) -> Answer {
        Answer::Done
    }

    fn revoke_and_wait(&self, _key: Key) -> Answer {
        Answer::Done
    }

    fn forget(&self, _key: Key) {}

    fn relies_on_library(&self) -> bool {
        true
    }
}

/// Keeps each witness in a page of its own, and unmaps the page when unsubscribe has returned: a late call does not
/// find old bytes there, it faults.
#[derive(Debug, Default)]
pub struct Unmapped(Mutex<BTreeSet<Key>>);

const PAGE: usize = 4096;

impl Unmapped {
    #[track_caller]
    fn lock(&self) -> MutexGuard<'_, BTreeSet<Key>> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn unmap(&self, key: Key) -> Answer {
        if !self.lock().remove(&key) {
            return Answer::AlreadyRevoked;
        }
        let page = std::ptr::with_exposed_provenance_mut::<Witness>(key);
        // SAFETY: written in `keep`, and taken out of the set, so dropped once.
        unsafe { std::ptr::drop_in_place(page) };
        // SAFETY: mapped in `keep` with this length, and unmapped once. The defect: a call may
        // still use it.
        unsafe { libc::munmap(page.cast(), PAGE) };
        Answer::Done
    }
}

impl CallbackStore for Unmapped {
    fn keep(&self, witness: Witness) -> Result<Kept, NoRoom> {
        let (access, kind) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
        // SAFETY: asks for fresh memory, anywhere.
        let page = unsafe { libc::mmap(std::ptr::null_mut(), PAGE, access, kind, -1, 0) };
        if page == libc::MAP_FAILED {
            return Err(NoRoom);
        }
        // SAFETY: fresh, writable, aligned to a page and larger than a witness.
        unsafe { page.cast::<Witness>().write(witness) };
        let key = page.expose_provenance();
        self.lock().insert(key);
        Ok(kept(key))
    }

    fn revoke(&self, key: Key) -> Answer {
        self.unmap(key)
    }

    fn revoke_and_wait(&self, key: Key) -> Answer {
        self.unmap(key)
    }

    fn forget(&self, key: Key) {
        self.lock().remove(&key);
    }

    fn relies_on_library(&self) -> bool {
        true
    }
}

impl Drop for Unmapped {
    fn drop(&mut self) {
        let left: Vec<Key> = self.lock().iter().copied().collect();
        for key in left {
            self.unmap(key);
        }
    }
}

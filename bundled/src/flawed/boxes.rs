//! Stores whose user data points to the witness itself, in memory that the store frees.

use super::super::store::{CallbackStore, Delivery, Key, NoRoom, Stored};
use super::super::sync::{Mutex, MutexGuard};
use crate::emitter::{Destroy, EmitterEvent};
use latecall::ledger::{Answer, Witness};
use latecall::program::Site;
use std::collections::BTreeSet;
use std::ffi::c_void;

/// The addresses of boxes that the owner has not freed.
#[derive(Debug, Default)]
struct Owned(Mutex<BTreeSet<Key>>);

impl Owned {
    fn insert(&self, witness: Witness) -> Key {
        let key = Box::into_raw(Box::new(witness)).expose_provenance();
        self.lock().insert(key);
        key
    }

    /// Frees a box, unless the owner has freed it before.
    fn free(&self, key: Key) -> Answer {
        if !self.lock().remove(&key) {
            return Answer::AlreadyRevoked;
        }
        // SAFETY: `from_raw` needs a pointer from `Box::into_raw` that is freed once and no longer used. `insert` got
        // the address from `Box::into_raw`. The address was still in the set, so the owner has not freed the box. The
        // defect: the library may still use the box, or the destroy notify may have freed it. The quarantine keeps the
        // bytes.
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
        let remaining: Vec<Key> = self.lock().iter().copied().collect();
        for key in remaining {
            self.free(key);
        }
    }
}

/// The trampoline of these stores.
unsafe extern "C-unwind" fn called(user_data: *mut c_void, event: *const EmitterEvent) -> isize {
    // SAFETY: 1. the header promises an `emitter_event` that is valid until the callback returns, and `EmitterEvent`
    // has its layout. The library does not write to it meanwhile.
    let delivery = unsafe { Delivery::from_event(event) };
    delivery.pass(Site::BeforeAcquire);
    // SAFETY: a reference needs an aligned pointer to a witness that is alive and not written to. `user_data` is the
    // address of a witness that the store has boxed or written to a page. The defect: the witness may have been
    // dropped. Then a box's bytes are in quarantine and still name the callback, and a page is unmapped, so that this
    // call faults.
    let witness = unsafe { &*user_data.cast::<Witness>() };
    witness.call(&delivery.call) as isize
}

/// The destroy notify of the stores that have one.
unsafe extern "C-unwind" fn destroyed(user_data: *mut c_void) {
    // SAFETY: `from_raw` needs a pointer from `Box::into_raw` that is freed once and no longer used. The user data is
    // the address that `Box::into_raw` returned. The defect of `freed_by_both`: the owner frees the box as well.
    drop(unsafe { Box::from_raw(user_data.cast::<Witness>()) });
}

fn stored(key: Key) -> Stored {
    Stored { key, callback: called, user_data: std::ptr::with_exposed_provenance_mut(key), destroy: None }
}

/// Frees the box when unsubscribe has returned, although a call may still use the box.
#[derive(Debug)]
pub struct RawBox {
    owned: Owned,
    destroy: Option<Destroy>,
}

impl RawBox {
    /// The owner frees the box.
    pub fn freed_by_owner() -> Self {
        RawBox { owned: Owned::default(), destroy: None }
    }

    /// The owner frees the box, and so does the destroy notify.
    pub fn freed_by_both() -> Self {
        RawBox { owned: Owned::default(), destroy: Some(destroyed) }
    }
}

impl CallbackStore for RawBox {
    fn insert(&self, witness: Witness) -> Result<Stored, NoRoom> {
        Ok(Stored { destroy: self.destroy, ..stored(self.owned.insert(witness)) })
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

/// Frees the box in the destroy notify only. A library that refuses a registration sends no destroy notify, so the box
/// leaks.
#[derive(Debug, Default)]
pub struct LeakOnRefusal;

impl CallbackStore for LeakOnRefusal {
    fn insert(&self, witness: Witness) -> Result<Stored, NoRoom> {
        let key = Box::into_raw(Box::new(witness)).expose_provenance();
        Ok(Stored { destroy: Some(destroyed), ..stored(key) })
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

/// Stores each witness in a page of its own, and unmaps the page when unsubscribe has returned. A late call faults,
/// instead of reading old bytes.
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
        // SAFETY: `drop_in_place` needs a valid witness that is dropped once and no longer used. `insert` wrote the
        // witness to this page, and the page was still in the set, so it has not been dropped. The defect: a call may
        // still use it.
        unsafe { std::ptr::drop_in_place(page) };
        // SAFETY: `munmap` needs a range of whole pages that no code uses any more. `insert` mapped this page with this
        // length, and the set has it once, so it is unmapped once. The defect: a call may still use the page.
        unsafe { libc::munmap(page.cast(), PAGE) };
        Answer::Done
    }
}

impl CallbackStore for Unmapped {
    fn insert(&self, witness: Witness) -> Result<Stored, NoRoom> {
        let (access, kind) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
        // SAFETY: without `MAP_FIXED`, and with a null address, `mmap` only adds a mapping where there is none.
        let page = unsafe { libc::mmap(std::ptr::null_mut(), PAGE, access, kind, -1, 0) };
        if page == libc::MAP_FAILED {
            return Err(NoRoom);
        }
        // SAFETY: `write` needs an aligned pointer to writable memory that is large enough. The page is new, readable
        // and writable. A page is larger than a witness, and aligned more strictly.
        unsafe { page.cast::<Witness>().write(witness) };
        let key = page.expose_provenance();
        self.lock().insert(key);
        Ok(stored(key))
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
        let remaining: Vec<Key> = self.lock().iter().copied().collect();
        for key in remaining {
            self.unmap(key);
        }
    }
}

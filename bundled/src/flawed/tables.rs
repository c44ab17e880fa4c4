//! Stores whose user data is the number of a slot in a table.

use super::super::locked::{Entry, Late};
use super::super::store::{CallbackStore, Delivery, Directory, Key, NoRoom, Stored, checked_closure};
use super::super::sync::{Mutex, MutexGuard, OutsideArc};
use crate::emitter::EmitterEvent;
use latecall::ledger::{Answer, Witness};
use latecall::program::Site;
use latecall::subject::Env;
use std::ffi::c_void;

/// What is wrong with the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Defect {
    /// The entry is looked up under the lock, and called after the lock is released. Calls inside are not counted.
    CheckThenCall,
    /// The handle is the slot's number, so that a handle of an earlier callback finds the slot's present one.
    NoGeneration,
    /// The handle has a generation of two bits. After four callbacks in a slot, handles repeat.
    GenerationWraps,
}

static ALL: Directory<Inner> = Directory::new();

/// A store with one of these defects.
#[derive(Debug)]
pub struct Table {
    run: u64,
    inner: OutsideArc<Inner>,
}

#[derive(Debug)]
struct Inner {
    defect: Defect,
    slots: Mutex<Vec<Slot>>,
}

#[derive(Debug, Default)]
struct Slot {
    content: Content,
    /// The number of callbacks that the slot has held before.
    generation: usize,
    /// The owner has leaked its guard, so the box is never freed.
    forgotten: bool,
}

#[derive(Debug, Default)]
enum Content {
    #[default]
    None,
    /// An entry that counts its calls, and whose closure the last call drops. Sound, except for the handle.
    Counted(OutsideArc<Entry>),
    /// The address of a box.
    Raw(usize),
}

impl Inner {
    #[track_caller]
    fn lock(&self) -> MutexGuard<'_, Vec<Slot>> {
        self.slots.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// The handle of the callback in a slot. Never 0.
    fn handle(&self, index: usize, generation: usize) -> Key {
        let generation = match self.defect {
            Defect::NoGeneration => 0,
            Defect::GenerationWraps => generation % 4,
            Defect::CheckThenCall => generation,
        };
        (index + 1) | generation << 16
    }

    fn find<'s>(&self, slots: &'s mut [Slot], handle: Key) -> Option<&'s mut Slot> {
        let index = (handle & 0xffff).checked_sub(1)?;
        let slot = slots.get_mut(index)?;
        (self.handle(index, slot.generation) == handle).then_some(slot)
    }

    fn take(&self, handle: Key) -> Content {
        let mut slots = self.lock();
        match self.find(&mut slots, handle) {
            Some(slot) => {
                slot.generation += 1;
                slot.forgotten = false;
                std::mem::take(&mut slot.content)
            }
            None => Content::None,
        }
    }
}

impl Table {
    /// An empty table for a run.
    pub fn new(env: &Env, defect: Defect) -> Self {
        let run = env.to_bits();
        let inner = OutsideArc::new(Inner { defect, slots: Mutex::default() });
        ALL.insert(run, &inner);
        Table { run, inner }
    }
}

impl Drop for Table {
    fn drop(&mut self) {
        ALL.remove(self.run);
        for slot in self.inner.lock().drain(..) {
            match slot.content {
                Content::Raw(address) if !slot.forgotten => free(address),
                _ => {}
            }
        }
    }
}

fn free(address: usize) {
    // SAFETY: `from_raw` needs a pointer from `Box::into_raw` that is freed once and no longer used. `insert` got the
    // address from `Box::into_raw`. Each caller has taken the address out of its slot, so no other caller frees it. The
    // defect of `CheckThenCall`: a call may still use the box.
    drop(unsafe { Box::from_raw(std::ptr::with_exposed_provenance_mut::<Witness>(address)) });
}

impl CallbackStore for Table {
    fn insert(&self, witness: Witness) -> Result<Stored, NoRoom> {
        let content = match self.inner.defect {
            Defect::CheckThenCall => Content::Raw(Box::into_raw(Box::new(witness)).expose_provenance()),
            _ => Content::Counted(OutsideArc::new(Entry::new(checked_closure(witness, false)))),
        };
        let mut slots = self.inner.lock();
        let index = slots.iter().position(|slot| matches!(slot.content, Content::None)).unwrap_or_else(|| {
            slots.push(Slot::default());
            slots.len() - 1
        });
        slots[index].content = content;
        let key = self.inner.handle(index, slots[index].generation);
        Ok(Stored { key, callback: called, user_data: std::ptr::without_provenance_mut(key), destroy: None })
    }

    fn revoke(&self, key: Key) -> Answer {
        match self.inner.take(key) {
            Content::None => Answer::AlreadyRevoked,
            Content::Counted(entry) => entry.revoke(),
            Content::Raw(address) => {
                free(address);
                Answer::Done
            }
        }
    }

    fn revoke_and_wait(&self, key: Key) -> Answer {
        match self.inner.take(key) {
            Content::None => Answer::AlreadyRevoked,
            Content::Counted(entry) => entry.revoke_and_wait(),
            Content::Raw(address) => {
                free(address);
                Answer::Done
            }
        }
    }

    fn forget(&self, key: Key) {
        let mut slots = self.inner.lock();
        if let Some(slot) = self.inner.find(&mut slots, key) {
            slot.forgotten = true;
            if let Content::Counted(entry) = &slot.content {
                std::mem::forget(OutsideArc::clone(entry));
            }
        }
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
    enum Found {
        Counted(OutsideArc<Entry>),
        Raw(usize),
    }
    let found = {
        let mut slots = inner.lock();
        inner.find(&mut slots, user_data.addr()).and_then(|slot| match &slot.content {
            Content::None => None,
            Content::Counted(entry) => Some(Found::Counted(OutsideArc::clone(entry))),
            Content::Raw(address) => Some(Found::Raw(*address)),
        })
    };
    let result = match found {
        None => Err(Late),
        Some(Found::Counted(entry)) => entry.call(&delivery).map(|result| result.unwrap_or(0)),
        Some(Found::Raw(address)) => {
            delivery.pass(Site::AfterAcquire);
            // SAFETY: a reference needs an aligned pointer to a witness that is alive and not written to. The witness
            // was alive while this call held the lock. The defect: it may have been freed since. Then its bytes are in
            // quarantine, where no code writes to them.
            let witness = unsafe { &*std::ptr::with_exposed_provenance::<Witness>(address) };
            Ok(witness.call(&delivery.call))
        }
    };
    match result {
        Ok(value) => value as isize,
        Err(Late) => {
            delivery.late();
            0
        }
    }
}

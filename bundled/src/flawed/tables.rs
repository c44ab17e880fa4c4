//! Stores that give the library the number of a slot, and look it up.

use super::super::locked::{Entry, Late};
use super::super::store::{CallbackStore, Delivery, Directory, Kept, Key, NoRoom, careful};
use super::super::sync::{Mutex, MutexGuard, OutsideArc};
use crate::emitter::EmitterEvent;
use latecall::ledger::{Answer, Witness};
use latecall::program::Site;
use latecall::subject::Env;
use std::ffi::c_void;

/// What is wrong with the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Defect {
    /// The entry is looked up under the lock and called after the lock is released. Calls inside are not counted.
    CheckThenCall,
    /// The handle is the slot's number.
    NoGeneration,
    /// The handle has two bits of generation.
    GenerationWraps,
}

static ALL: Directory<Inner> = Directory::new();

/// The store.
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
    tenant: Tenant,
    /// How many tenants it has had.
    generation: usize,
    /// The owner's guard was leaked: the box is never freed.
    forgotten: bool,
}

#[derive(Debug, Default)]
enum Tenant {
    #[default]
    None,
    /// Counted, and freed by the last leaver: sound but for the handle.
    Counted(OutsideArc<Entry>),
    /// The address of a box.
    Raw(usize),
}

impl Inner {
    #[track_caller]
    fn lock(&self) -> MutexGuard<'_, Vec<Slot>> {
        self.slots.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// The handle of a slot's tenant: never 0.
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

    fn take(&self, handle: Key) -> Tenant {
        let mut slots = self.lock();
        match self.find(&mut slots, handle) {
            Some(slot) => {
                slot.generation += 1;
                slot.forgotten = false;
                std::mem::take(&mut slot.tenant)
            }
            None => Tenant::None,
        }
    }
}

impl Table {
    /// A table for a run.
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
            match slot.tenant {
                Tenant::Raw(address) if !slot.forgotten => free(address),
                _ => {}
            }
        }
    }
}

fn free(address: usize) {
    // SAFETY: 1. from `Box::into_raw` in `keep`; 2. taken out of its slot, so freed once. The defect of
    // `CheckThenCall`: a call may still use it.
    drop(unsafe { Box::from_raw(std::ptr::with_exposed_provenance_mut::<Witness>(address)) });
}

impl CallbackStore for Table {
    fn keep(&self, witness: Witness) -> Result<Kept, NoRoom> {
        let tenant = match self.inner.defect {
            Defect::CheckThenCall => Tenant::Raw(Box::into_raw(Box::new(witness)).expose_provenance()),
            _ => Tenant::Counted(OutsideArc::new(Entry::new(careful(witness, false)))),
        };
        let mut slots = self.inner.lock();
        let index = slots.iter().position(|slot| matches!(slot.tenant, Tenant::None)).unwrap_or_else(|| {
            slots.push(Slot::default());
            slots.len() - 1
        });
        slots[index].tenant = tenant;
        let key = self.inner.handle(index, slots[index].generation);
        Ok(Kept { key, callback: called, user_data: std::ptr::without_provenance_mut(key), destroy: None })
    }

    fn revoke(&self, key: Key) -> Answer {
        match self.inner.take(key) {
            Tenant::None => Answer::AlreadyRevoked,
            Tenant::Counted(entry) => entry.revoke(),
            Tenant::Raw(address) => {
                free(address);
                Answer::Done
            }
        }
    }

    fn revoke_and_wait(&self, key: Key) -> Answer {
        match self.inner.take(key) {
            Tenant::None => Answer::AlreadyRevoked,
            Tenant::Counted(entry) => entry.revoke_and_wait(),
            Tenant::Raw(address) => {
                free(address);
                Answer::Done
            }
        }
    }

    fn forget(&self, key: Key) {
        let mut slots = self.inner.lock();
        if let Some(slot) = self.inner.find(&mut slots, key) {
            slot.forgotten = true;
            if let Tenant::Counted(entry) = &slot.tenant {
                std::mem::forget(OutsideArc::clone(entry));
            }
        }
    }
}

unsafe extern "C-unwind" fn called(user_data: *mut c_void, event: *const EmitterEvent) -> isize {
    // SAFETY: the library's event is valid until this returns.
    let delivery = unsafe { Delivery::of(event) };
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
        inner.find(&mut slots, user_data.addr()).and_then(|slot| match &slot.tenant {
            Tenant::None => None,
            Tenant::Counted(entry) => Some(Found::Counted(OutsideArc::clone(entry))),
            Tenant::Raw(address) => Some(Found::Raw(*address)),
        })
    };
    let result = match found {
        None => Err(Late),
        Some(Found::Counted(entry)) => entry.call(&delivery).map(|result| result.unwrap_or(0)),
        Some(Found::Raw(address)) => {
            delivery.pass(Site::AfterAcquire);
            // SAFETY: a witness that was alive when the lock was held. It may have been freed since: that is the
            // defect, and the quarantine keeps its bytes.
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

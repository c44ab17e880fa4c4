//! The records of the process: taking one, giving it back, finding all of them.

use super::sync::{AtomicPtr, AtomicUsize, FIXED_RECORDS, MODELLED, Ordering, array_of, global};
use super::{Record, fence, own};
use std::ptr;

struct Pool {
    /// Needs no memory from an allocator: the first threads can call when there is none, and in a signal handler.
    fixed: [Record; FIXED_RECORDS],
    /// How many of the fixed records are listed.
    listed: AtomicUsize,
    /// Every record that was ever owned, newest first.
    head: AtomicPtr<Record>,
    /// How many records are owned.
    owners: AtomicUsize,
}

global! {
    static POOL: Pool = Pool {
        fixed: array_of![Record::new(); FIXED_RECORDS],
        listed: AtomicUsize::new(0),
        head: AtomicPtr::new(ptr::null_mut()),
        owners: AtomicUsize::new(0),
    };
}

/// Every record that was ever owned.
pub(super) fn all() -> impl Iterator<Item = &'static Record> {
    // Acquire pairs with the Release of the exchange in `list`: a record that is found is initialised, and so are the
    // records listed before it.
    let mut at: *const Record = POOL.head.load(Ordering::Acquire);
    std::iter::from_fn(move || {
        if at.is_null() {
            return None;
        }
        // SAFETY: a listed record is in the pool or was leaked by `list`. Neither is ever freed or borrowed
        // exclusively.
        let record = unsafe { &*at };
        // Relaxed: written before the record was listed, and not since.
        at = record.next.load(Ordering::Relaxed);
        Some(record)
    })
}

/// Takes a record for the caller alone. `None`: memory for it cannot be had.
pub(in super::super) fn borrow() -> Option<&'static Record> {
    // Relaxed: a guess, which the exchange checks. Acquire pairs with the Release of `Record::give_back`. Relaxed
    // (failure): another thread was first, and nothing of the record is used.
    let take = |record: &&Record| {
        !record.owned.load(Ordering::Relaxed)
            && record.owned.compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed).is_ok()
    };
    let record = all().find(take).or_else(list)?;
    // SeqCst, and a full fence: with the load in `sole`. Either `sole` finds this thread counted, or this thread's
    // calls find the slot closed. The fence also stands between the increment and every later call with the record.
    POOL.owners.fetch_add(1, Ordering::SeqCst);
    fence::full();
    Some(record)
}

/// Lists a record that was never owned before, owned by the caller.
fn list() -> Option<&'static Record> {
    // Relaxed: the number only has to be different for each caller.
    let number = POOL.listed.fetch_add(1, Ordering::Relaxed);
    let record = match POOL.fixed.get(number) {
        Some(record) => record,
        None => {
            // Relaxed: keeps the number from ever wrapping around to a fixed record.
            POOL.listed.store(FIXED_RECORDS, Ordering::Relaxed);
            let mut room: Vec<Record> = Vec::new();
            room.try_reserve_exact(1).ok()?;
            room.push(Record::new());
            &room.leak()[0]
        }
    };
    // Relaxed: published by the exchange below.
    record.owned.store(true, Ordering::Relaxed);
    // Relaxed: a guess, which the exchange checks.
    let mut head = POOL.head.load(Ordering::Relaxed);
    loop {
        // Relaxed: published by the exchange below.
        record.next.store(head, Ordering::Relaxed);
        let new = ptr::from_ref(record).cast_mut();
        // Release pairs with the Acquire of `all`. Relaxed (failure): the next guess.
        match POOL.head.compare_exchange_weak(head, new, Ordering::Release, Ordering::Relaxed) {
            Ok(_) => return Some(record),
            Err(seen) => head = seen,
        }
    }
}

impl Record {
    /// Gives the record back for reuse. Only for its owner, and with no call in it.
    pub(in super::super) fn give_back(&self) {
        // Release pairs with the Acquire of `Record::is_owned`, and with the Acquire of the exchange in `borrow` by
        // which the next owner takes the record.
        self.owned.store(false, Ordering::Release);
        // AcqRel, after the last use of the record. Release pairs with the Acquire of the load in `sole`: a thread that
        // finds itself alone has seen what the others did. Acquire keeps the chain: each decrement passes on what the
        // earlier ones have published.
        POOL.owners.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Whether no other thread has a record, so that no other thread can be inside any callback.
///
/// The caller has just changed a slot's word by a SeqCst read-modify-write.
pub(in super::super) fn sole() -> bool {
    if MODELLED {
        // loom treats SeqCst accesses as AcqRel; this fence has the effect of the real access.
        fence::full();
    }
    // SeqCst orders this load after the caller's read-modify-write, and pairs with the increment and the fence in
    // `borrow`: either this load sees the increment, or the other thread sees the slot's new word after its fence.
    // Acquire, which SeqCst includes, pairs with the Release of the decrement in `Record::give_back`.
    POOL.owners.load(Ordering::SeqCst) == usize::from(own::existing().is_some())
}

/// In a child process after `fork`: clears the records of all other threads, which do not exist there. `mine` picks the
/// records that the calling thread has borrowed.
pub(in super::super) fn forget_others(mine: impl Fn(*const Record) -> bool) {
    let own = own::existing();
    let mut owners = 0;
    for record in all() {
        if own.is_some_and(|own| ptr::eq(record, own)) || mine(record) {
            owners += 1;
            continue;
        }
        // Relaxed, all stores of this function: the process has one thread.
        for cell in &record.cells {
            cell.handle.store(0, Ordering::Relaxed);
            cell.mark.store(0, Ordering::Relaxed);
        }
        record.owned.store(false, Ordering::Relaxed);
    }
    POOL.owners.store(owners, Ordering::Relaxed);
}

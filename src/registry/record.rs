//! What each thread is inside of, where revokers can read it: one record per thread, with a cell per call.
//!
//! A call stores its handle into a cell of its own thread and clears the cell when it is done; nobody else writes there,
//! so that callers share nothing. Who revokes reads all records. *In flight* means: the handle stands in a cell, and the
//! revoker has *marked* that cell; the mark beside it is written and read under the registry's lock only.
//!
//! Records are never given back: a revoker may be reading one whose thread ends. A thread that ends leaves its record to
//! another; one that ends inside a callback leaves it to nobody, and its cells stay as they are. A call that finds no free
//! cell in its thread's record (it is nested deeper than [`DEPTH`], or the thread is being torn down and has given its
//! record back) borrows a record for itself.
//!
//! A signal handler may call, too, and hit anywhere: a cell that is taken is passed over, and one that looks free is taken
//! and freed again before the interrupted code goes on.
//!
//! Handles of all registries stand in the same cells: a handle carries its registry's id.

use super::handle::Handle;
use super::sync::{
    AtomicBool, AtomicPtr, AtomicUsize, Counter, DEPTH, FIXED_RECORDS, MODELLED, Ordering, array_of, const_fn, global,
    local, own_load, thread_word,
};
use super::{announced, ended, fence};
use std::cell::Cell as PlainCell;
use std::ptr;

/// Where one call stands.
#[repr(C)]
pub(super) struct Cell {
    /// The bits of the handle of the call that stands here; 0: free.
    handle: AtomicUsize,
    /// The bits of the handle that a revoker has counted here; not reset when the cell is cleared, but by who leaves. Read
    /// and written under the lock of the handle's registry only, which is what orders it; hence not modelled.
    mark: Counter,
}

/// A thread's calls.
#[repr(C, align(128))]
pub(super) struct Record {
    cells: [Cell; DEPTH],
    /// Never free: it stops who looks for a free cell, one after the other.
    end: Cell,
    /// Whether a thread, or a call, has it. Taken with Acquire, left with Release: what the next owner finds is what the
    /// last one left.
    owned: AtomicBool,
    /// The record listed before this one; does not change once this one is listed.
    next: AtomicPtr<Record>,
}

/// The records of the process.
struct Pool {
    /// Needs no memory: the first threads can call even when there is none, and in a signal handler.
    fixed: [Record; FIXED_RECORDS],
    /// How many of the fixed ones have been listed.
    listed: AtomicUsize,
    /// Every record that was ever owned, newest first.
    head: AtomicPtr<Record>,
    /// How many are owned.
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

local! {
    /// The thread's record, also when its word (`thread_word`) does not say so because fences are symmetric.
    static OWN: PlainCell<*const Record> = PlainCell::new(ptr::null());
}

const TAKEN: usize = usize::MAX;

impl Cell {
    const_fn! {
        const fn new(handle: usize) -> Self {
            Self { handle: AtomicUsize::new(handle), mark: Counter::new(0) }
        }
    }

    #[inline(always)]
    fn is_free(&self) -> bool {
        // SAFETY: (1) the cells that a thread asks about are its own, or of a record that it has just taken.
        unsafe { own_load(&self.handle) == 0 }
    }

    /// The call of `bits` stands here. A fence has to follow before the slot's word is looked at.
    #[inline(always)]
    pub(super) fn take(&self, bits: usize) {
        // Release pairs with the Acquire of a revoker's scan, like `clear`: if that finds the handle of this call here, it
        // has seen the calls that stood here before leave.
        self.handle.store(bits, Ordering::Release);
    }

    /// The call that stood here has left. A fence has to follow before the slot's word is looked at again.
    ///
    /// `order` is Release, which pairs with the Acquire of a revoker's scan: what the call did happens before the closure's
    /// destructor. Models take it away.
    #[inline(always)]
    pub(super) fn clear(&self, order: Ordering) {
        self.handle.store(0, order);
    }

    /// The handle of the call that stands here.
    #[inline(always)]
    pub(super) fn handle(&self) -> Handle {
        // SAFETY: (1) the cells that a thread asks about are its own.
        Handle::from_bits(unsafe { own_load(&self.handle) })
    }

    /// Whether a revoker of `bits` has counted this cell. Under the lock of its registry.
    pub(super) fn is_marked(&self, bits: usize) -> bool {
        // Relaxed: the lock orders it.
        self.mark.load(Ordering::Relaxed) == bits as u64
    }

    /// Takes the mark back. Under the lock of the registry of `bits`.
    pub(super) fn unmark(&self, bits: usize) {
        if self.is_marked(bits) {
            // Relaxed: the lock orders it.
            self.mark.store(0, Ordering::Relaxed);
        }
    }
}

impl Record {
    const_fn! {
        const fn new() -> Self {
            Self {
                cells: array_of![Cell::new(0); DEPTH],
                end: Cell::new(TAKEN),
                owned: AtomicBool::new(false),
                next: AtomicPtr::new(ptr::null_mut()),
            }
        }
    }

    pub(super) fn free_cell(&self) -> Option<&Cell> {
        self.cells.iter().find(|cell| cell.is_free())
    }

    fn calls_of(&self, bits: usize) -> impl Iterator<Item = &Cell> {
        // Acquire pairs with the Release of `take` and `clear`: what is not found here any more has left, and what it did
        // is seen.
        self.cells.iter().filter(move |cell| cell.handle.load(Ordering::Acquire) == bits)
    }

    /// Whether somebody has it. Nobody stands in a record that nobody has.
    fn is_owned(&self) -> bool {
        // Acquire pairs with the Release of `give_back`: the calls that stood here are seen to have left.
        self.owned.load(Ordering::Acquire)
    }

    /// Gives a borrowed record back.
    pub(super) fn give_back(&self) {
        // Release pairs with the Acquire of `is_owned`, and of the exchange by which the next owner takes it.
        self.owned.store(false, Ordering::Release);
        // AcqRel, after the last use: Release pairs with the Acquire of `sole`: who finds itself alone has seen what the
        // others did. Acquire keeps the chain: each of these passes on what it has seen of those before.
        POOL.owners.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Every record that was ever owned.
fn all() -> impl Iterator<Item = &'static Record> {
    // Acquire pairs with the Release of `list`: a record that is found is found initialised, as are those before it.
    let mut at: *const Record = POOL.head.load(Ordering::Acquire);
    std::iter::from_fn(move || {
        if at.is_null() {
            return None;
        }
        // SAFETY: what is listed is in the pool or was leaked; neither is ever given back or borrowed exclusively.
        let record = unsafe { &*at };
        // Relaxed: written before the record was listed, and not since.
        at = record.next.load(Ordering::Relaxed);
        Some(record)
    })
}

/// A record for the caller alone; `None` when memory for it cannot be had.
pub(super) fn borrow() -> Option<&'static Record> {
    // Relaxed: a guess. Acquire pairs with the Release of `give_back`. Relaxed (failure): somebody else has it.
    let idle = |record: &&Record| {
        !record.owned.load(Ordering::Relaxed)
            && record.owned.compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed).is_ok()
    };
    let record = all().find(idle).or_else(list)?;
    // SeqCst, and a full fence: with `sole`. Either that finds this thread counted, or this thread's calls find the slot
    // closed. The fence also stands between this and every later call with the record.
    POOL.owners.fetch_add(1, Ordering::SeqCst);
    fence::full();
    Some(record)
}

/// A record that nobody ever owned, owned by the caller.
fn list() -> Option<&'static Record> {
    // Relaxed: only the number matters, and it is never given out twice.
    let number = POOL.listed.fetch_add(1, Ordering::Relaxed);
    let record = match POOL.fixed.get(number) {
        Some(record) => record,
        None => {
            // Relaxed: keeps the number from ever coming round again.
            POOL.listed.store(FIXED_RECORDS, Ordering::Relaxed);
            let mut room: Vec<Record> = Vec::new();
            room.try_reserve_exact(1).ok()?;
            room.push(Record::new());
            &room.leak()[0]
        }
    };
    // Relaxed: published below.
    record.owned.store(true, Ordering::Relaxed);
    // Relaxed: a guess for the exchange.
    let mut head = POOL.head.load(Ordering::Relaxed);
    loop {
        // Relaxed: published by the exchange.
        record.next.store(head, Ordering::Relaxed);
        let new = ptr::from_ref(record).cast_mut();
        // Release pairs with the Acquire of `all`. Relaxed (failure): a guess again.
        match POOL.head.compare_exchange_weak(head, new, Ordering::Release, Ordering::Relaxed) {
            Ok(_) => return Some(record),
            Err(seen) => head = seen,
        }
    }
}

/// Gives the thread's record to the next one when the thread ends.
struct Guard;

impl Drop for Guard {
    fn drop(&mut self) {
        if !MODELLED {
            leave_thread();
        }
    }
}

// Not the seam's: a model's threads say themselves when they leave. What is made here orders nothing.
thread_local! {
    static GUARD: Guard = const { Guard };
}

/// The calling thread has done with its record. From here on its calls borrow one each.
pub(crate) fn leave_thread() {
    let own = OWN.with(PlainCell::get);
    if own.is_null() {
        return;
    }
    thread_word::set(thread_word::NOWHERE);
    OWN.with(|place| place.set(ptr::null()));
    // SAFETY: `OWN` is null or a record of `all`.
    let own = unsafe { &*own };
    // A thread that ends inside a callback was never seen to leave it, and must not be taken to have.
    if own.cells.iter().all(Cell::is_free) {
        if !MODELLED {
            ended::has_left();
        }
        own.give_back();
    }
}

/// The thread that had `record` has ended inside the calls that stand in it.
pub(super) fn leave_for_good(record: &Record) {
    for cell in record.cells.iter().filter(|cell| !cell.is_free()) {
        announced::leave(cell, cell.handle());
    }
    if record.cells.iter().all(Cell::is_free) {
        record.give_back();
    }
}

/// The thread's own record. `None`: the thread is being torn down, or memory cannot be had.
pub(super) fn own() -> Option<&'static Record> {
    let own = OWN.with(PlainCell::get);
    if !own.is_null() {
        // SAFETY: `OWN` is null or a record of `all`.
        return Some(unsafe { &*own });
    }
    if !MODELLED && GUARD.try_with(|_| ()).is_err() {
        return None;
    }
    // Before the record can be seen: see `fence::heavy`.
    let asymmetric = fence::asymmetric();
    super::fork::watch();
    let record = borrow()?;
    if OWN.with(PlainCell::get).is_null() {
        OWN.with(|place| place.set(record));
        if !MODELLED {
            ended::begins(record);
        }
        if asymmetric {
            thread_word::set(ptr::from_ref(record).cast());
        }
        Some(record)
    } else {
        // A signal handler has been here in the meantime.
        record.give_back();
        own_again()
    }
}

#[cold]
fn own_again() -> Option<&'static Record> {
    // SAFETY: `OWN` is null or a record of `all`.
    unsafe { OWN.with(PlainCell::get).as_ref() }
}

/// A free cell of the calling thread's record, if it is the first or the second: what nearly every call finds.
#[inline(always)]
pub(super) fn cell() -> Option<&'static Cell> {
    let first: *const Cell = thread_word::get().cast();
    if MODELLED && first.is_null() {
        // So that a model's first calls, which are all it has, take the usual way.
        let own = own()?;
        return own.free_cell();
    }
    // SAFETY: the word points to a record, whose cells come first (`repr(C)`) and which is never given back, or nowhere,
    // which is as long as two cells and looks like two that are taken.
    let cell = unsafe { &*first };
    if cell.is_free() {
        return Some(cell);
    }
    cold();
    // SAFETY: as above: a record has at least one cell and an end.
    let second = unsafe { first.add(1) };
    // SAFETY: as above.
    let cell = unsafe { &*second };
    cell.is_free().then_some(cell)
}

/// Where this is called is not where calls usually come.
#[cold]
fn cold() {}

/// Calls of `bits` that stand in the calling thread's record.
pub(super) fn own_calls(bits: usize) -> u32 {
    own_if_any().map_or(0, |own| own.calls_of(bits).count() as u32)
}

/// Tells `see` the bits of the handle of each call that stands in the calling thread's record.
pub(super) fn each_own(mut see: impl FnMut(usize)) {
    for cell in own_if_any().into_iter().flat_map(|own| &own.cells) {
        if !cell.is_free() {
            see(cell.handle().bits());
        }
    }
}

fn own_if_any() -> Option<&'static Record> {
    // SAFETY: `OWN` is null or a record of `all`.
    unsafe { OWN.with(PlainCell::get).as_ref() }
}

/// Calls of `bits` that stand anywhere, those that will find that they have come too late included. A moment's view.
pub(super) fn calls(bits: usize) -> u32 {
    all().filter(|record| record.is_owned()).map(|record| record.calls_of(bits).count() as u32).sum()
}

/// Marks the calls of `bits` and says how many there are.
///
/// Under the lock of the registry of `bits`, in which the slot's word has been changed to Revoking, a full fence after
/// that, and a heavy fence after it was changed to Closing: then every call that has found it Live and has not left stands
/// in a cell, and every other that does will ask, under the lock, whether it is marked.
pub(super) fn mark(bits: usize) -> u32 {
    all().filter(|record| record.is_owned()).map(|record| mark_in(record, bits)).sum()
}

/// As `mark`, for all handles that `wanted` picks.
pub(super) fn mark_those(wanted: impl Fn(usize) -> bool) -> u32 {
    let mut count = 0;
    for cell in all().filter(|record| record.is_owned()).flat_map(|record| &record.cells) {
        // Acquire: as in `calls_of`.
        let bits = cell.handle.load(Ordering::Acquire);
        if bits != 0 && wanted(bits) {
            // Relaxed: the lock orders it.
            cell.mark.store(bits as u64, Ordering::Relaxed);
            count += 1;
        }
    }
    count
}

/// As `mark`, for a thread that is `sole`.
pub(super) fn mark_own(bits: usize) -> u32 {
    own_if_any().map_or(0, |own| mark_in(own, bits))
}

fn mark_in(record: &Record, bits: usize) -> u32 {
    // Relaxed: the lock orders it.
    record.calls_of(bits).map(|cell| cell.mark.store(bits as u64, Ordering::Relaxed)).count() as u32
}

/// How many marks of `bits` there are. Under the lock of the registry of `bits`.
pub(super) fn marked(bits: usize) -> u32 {
    all().map(|record| record.cells.iter().filter(|cell| cell.is_marked(bits)).count() as u32).sum()
}

/// Whether no other thread has a record, so that no other thread can be inside anything.
///
/// The caller has just changed a slot's word by a SeqCst read-modify-write.
pub(super) fn sole() -> bool {
    if MODELLED {
        // loom takes SeqCst accesses for AcqRel; the fence says what is meant.
        fence::full();
    }
    // SeqCst: with the caller's read-modify-write before this, and the increment and the fence of `borrow`: either this
    // load sees the increment, or what comes after that fence sees the word changed. Acquire pairs with the Release of
    // `give_back`.
    POOL.owners.load(Ordering::SeqCst) == usize::from(own_if_any().is_some())
}

/// In a child process: the threads of the others do not exist, so their calls are over. `mine`: records that the calling
/// thread has borrowed.
pub(super) fn forget_others(mine: impl Fn(*const Record) -> bool) {
    let own = OWN.with(PlainCell::get);
    let mut owners = 0;
    for record in all() {
        if ptr::eq(record, own) || mine(record) {
            owners += 1;
            continue;
        }
        // Relaxed, all of them: there is one thread.
        for cell in &record.cells {
            cell.handle.store(0, Ordering::Relaxed);
            cell.mark.store(0, Ordering::Relaxed);
        }
        record.owned.store(false, Ordering::Relaxed);
    }
    POOL.owners.store(owners, Ordering::Relaxed);
}

//! Which calls each thread is inside of, where revokers can read it: one record per thread, with one cell per call.
//!
//! A call stores its handle into a cell of its own thread's record and clears the cell when it is done. No other thread
//! writes to a cell's handle, so calls on different threads share no written memory. A revoker reads all records. A
//! call is *in flight* if its handle is in a cell and a revoker has *marked* that cell. The mark, beside the handle, is
//! read and written under the registry's lock only.
//!
//! Records are never freed, because a revoker may be reading one while its thread ends. A thread that ends gives its
//! record back for reuse, and from then on does not lead to it any more. It keeps the record as long as a call is in
//! it: a callback may end the process (`exit`), which destroys the thread's locals under the running call. A call
//! borrows a record for itself if it finds no free cell in its thread's record. That happens in two cases:
//!
//! * the call is nested deeper than [`DEPTH`];
//! * the thread is being torn down and has given its record back.
//!
//! A signal handler may call as well, at any point of the interrupted code. It passes over a cell that is taken. It
//! takes a cell that looks free, and frees the cell again before the interrupted code goes on.
//!
//! Handles of all registries are in the same cells: a handle carries its registry's id.
//!
//! The parts: this file is a record and its cells, `pool` has all records of the process, `own` is the calling thread's
//! record, `marks` is what revokers do with the cells.

mod marks;
mod own;
mod pool;

pub(super) use marks::{calls, mark, mark_own, mark_those, marked};
#[cfg(test)]
#[allow(unused_imports, reason = "used by the models of the copy over loom")]
pub(crate) use own::leave_thread;
pub(super) use own::{calls_by, cell, each_own, leave_for_good, own};
pub(super) use pool::{borrow, forget_others, sole};

use super::handle::Handle;
use super::sync::{AtomicUsize, Counter, DEPTH, Ordering, array_of, const_fn, own_load};
use super::{announced, ended, fence, fork, frame, sync};

/// The place of one call.
#[repr(C)]
pub(super) struct Cell {
    /// The bits of the handle of the call in this cell; 0 if the cell is free.
    handle: AtomicUsize,
    /// The bits of the handle that a revoker has counted here. Clearing the cell does not reset the mark; the call that
    /// leaves does. Read and written only under the lock of that handle's registry, which orders the accesses, so the
    /// models do not need to see them.
    mark: Counter,
}

/// A thread's calls.
#[repr(C, align(128))]
pub(super) struct Record {
    cells: [Cell; DEPTH],
    /// Never free: ends a search for a free cell that goes from cell to cell.
    end: Cell,
    /// The number of the owning thread (`thread::number`), 0 while there is none. By it a thread finds its own calls in
    /// every phase of its end, and a thread that has ended inside callbacks is found. Written by the owner only; see
    /// `pool.rs`, `owned_by`. Whether there is an owner is a bit of `pool.rs`.
    owner: Counter,
}

/// The handle in [`Record::end`]: no registration has it.
const TAKEN: usize = usize::MAX;

impl Cell {
    const_fn! {
        const fn new(handle: usize) -> Self {
            Self { handle: AtomicUsize::new(handle), mark: Counter::new(0) }
        }
    }

    /// Whether no call is in this cell. Only for a cell of the calling thread's record, or of a record that it has
    /// borrowed.
    #[inline(always)]
    fn is_free(&self) -> bool {
        // SAFETY: (1) only the owner of a record stores to the handles of its cells, and the calling thread is the
        // owner.
        unsafe { own_load(&self.handle) == 0 }
    }

    /// Puts the call of `bits` into this cell. A fence has to follow before the slot's word is read.
    #[inline(always)]
    pub(super) fn take(&self, bits: usize) {
        // Release pairs with the Acquire of a revoker's scan (`Record::calls_of`): a scan that finds this call's handle
        // has seen the calls that were in this cell before leave.
        self.handle.store(bits, Ordering::Release);
    }

    /// Takes the call out of this cell. A fence has to follow before the slot's word is read again.
    ///
    /// `order` is Release, which pairs with the Acquire of a revoker's scan (`Record::calls_of`): what the call did
    /// happens before the closure's destructor. The models weaken it, to show that they would notice.
    #[inline(always)]
    pub(super) fn clear(&self, order: Ordering) {
        self.handle.store(0, order);
    }

    /// The handle of the call in this cell. Only for a cell of the calling thread's record.
    #[inline(always)]
    pub(super) fn handle(&self) -> Handle {
        // SAFETY: (1) only the owner of a record stores to the handles of its cells, and the calling thread is the
        // owner.
        Handle::from_bits(unsafe { own_load(&self.handle) })
    }

    /// Whether a revoker of `bits` has counted this cell. Under the lock of the registry of `bits`.
    pub(super) fn is_marked(&self, bits: usize) -> bool {
        // Relaxed: the registry's lock orders all accesses to marks.
        self.mark.load(Ordering::Relaxed) == bits as u64
    }

    /// Takes the mark back. Under the lock of the registry of `bits`.
    pub(super) fn unmark(&self, bits: usize) {
        if self.is_marked(bits) {
            // Relaxed: the registry's lock orders all accesses to marks.
            self.mark.store(0, Ordering::Relaxed);
        }
    }

    /// Sets the mark. Under the lock of the registry of `bits`.
    fn set_mark(&self, bits: usize) {
        // Relaxed: the registry's lock orders all accesses to marks.
        self.mark.store(bits as u64, Ordering::Relaxed);
    }
}

impl Record {
    const_fn! {
        const fn new() -> Self {
            Self {
                cells: array_of![Cell::new(0); DEPTH],
                end: Cell::new(TAKEN),
                owner: Counter::new(0),
            }
        }
    }

    /// A free cell. Only for the owner of the record.
    pub(super) fn free_cell(&self) -> Option<&Cell> {
        self.cells.iter().find(|cell| cell.is_free())
    }

    /// Whether no call is in this record. Only for the owner of the record.
    fn is_empty(&self) -> bool {
        self.cells.iter().all(Cell::is_free)
    }

    /// The cells with the handle `bits`.
    fn calls_of(&self, bits: usize) -> impl Iterator<Item = &Cell> {
        // Acquire pairs with the Release of `Cell::take` and `Cell::clear`: a call that this scan does not find any
        // more has left, and what it did is visible.
        self.cells.iter().filter(move |cell| cell.handle.load(Ordering::Acquire) == bits)
    }
}

//! The calling thread's record: taken at the thread's first call, given back when the thread ends.

use super::super::thread;
use super::pool::{borrow, owned_by};
use super::sync::{MODELLED, local, thread_word};
use super::{Cell, Record, announced, ended, fence, fork, frame};
use std::cell::Cell as PlainCell;
use std::ptr;

local! {
    /// The thread's record, or null. Set even while the thread's word (`thread_word`) does not point to the record,
    /// because fences are symmetric.
    static OWN: PlainCell<*const Record> = PlainCell::new(ptr::null());
}

local! {
    /// The thread is ending: if it has no record, it takes none, because nothing would give that one back.
    static ENDING: PlainCell<bool> = PlainCell::new(false);
}

/// Gives the thread's record back when the thread ends.
struct Guard;

impl Drop for Guard {
    fn drop(&mut self) {
        if !MODELLED {
            leave_thread();
        }
    }
}

// From std on both sides of `sync`: the threads of a model call `leave_thread` themselves. Creating this value orders
// nothing.
thread_local! {
    static GUARD: Guard = const { Guard };
}

/// The calling thread's record, if it has one.
pub(super) fn existing() -> Option<&'static Record> {
    // SAFETY: `OWN` is null or points to a record that `borrow` gave out, and records are never freed.
    unsafe { OWN.with(PlainCell::get).as_ref() }
}

/// The calling thread's record; takes one if it has none. `None`: the thread is being torn down, or memory cannot be
/// had.
pub(in super::super) fn own() -> Option<&'static Record> {
    if let Some(own) = existing() {
        return Some(own);
    }
    if ENDING.with(PlainCell::get) || (!MODELLED && GUARD.try_with(|_| ()).is_err()) {
        return None;
    }
    // Before the record can be seen by a revoker: `fence::heavy` relies on it.
    let asymmetric = fence::asymmetric();
    fork::watch();
    let record = borrow()?;
    if OWN.with(PlainCell::get).is_null() {
        OWN.with(|place| place.set(record));
        if !MODELLED {
            ended::begins();
        }
        if asymmetric {
            thread_word::set(ptr::from_ref(record).cast());
        }
        Some(record)
    } else {
        // A signal handler has called on this thread in the meantime, and has taken a record for the thread.
        record.give_back();
        existing()
    }
}

/// The calling thread's locals are being destroyed: gives its record back, unless calls are in it. From here on each
/// call of a thread without a record borrows one.
pub(crate) fn leave_thread() {
    ENDING.with(|ending| ending.set(true));
    give_back_own();
}

/// Gives the calling thread's record back if no call is in it. The thread does not lead to the record any more before
/// another thread can take it.
fn give_back_own() {
    let Some(own) = existing().filter(|own| own.is_empty()) else { return };
    thread_word::set(thread_word::NOWHERE);
    OWN.with(|place| place.set(ptr::null()));
    if !MODELLED {
        ended::has_left();
    }
    own.give_back();
}

/// The calling thread is ending, and has no stack with calls any more: ends the calls that it has not left, and gives
/// its records back. Calls may follow, from other destructors of the thread.
pub(in super::super) fn leave_for_good() {
    ENDING.with(|ending| ending.set(true));
    frame::forget();
    for record in owned_by(thread::number()) {
        for cell in record.cells.iter().filter(|cell| !cell.is_free()) {
            announced::leave(cell, cell.handle());
        }
        // The thread's own record is given back below.
        if record.is_empty() && existing().is_none_or(|own| !ptr::eq(own, record)) {
            record.give_back();
        }
    }
    give_back_own();
}

/// A free cell of the calling thread's record, if the first or the second is free: nearly every call finds one.
#[inline(always)]
pub(in super::super) fn cell() -> Option<&'static Cell> {
    let first: *const Cell = thread_word::get().cast();
    if MODELLED && first.is_null() {
        // A model's threads make few calls, so the first call of each must take the usual way already.
        let own = own()?;
        return own.free_cell();
    }
    // SAFETY: the word points to a record, which is never freed and whose cells come first (`repr(C)`), or to
    // `NOWHERE`, which is as long as two cells and looks like two cells that are taken.
    let cell = unsafe { &*first };
    if cell.is_free() {
        return Some(cell);
    }
    cold();
    // SAFETY: a record has at least one cell and an end after it, and `NOWHERE` is as long as two cells, so the second
    // cell is in the same object as the first.
    let second = unsafe { first.add(1) };
    // SAFETY: what the word points to begins with two cells and is never freed.
    let cell = unsafe { &*second };
    cell.is_free().then_some(cell)
}

/// Tells the compiler that the branch which calls this is unlikely.
#[cold]
fn cold() {}

/// How many calls of `bits` the thread with the number `thread` is inside of.
pub(in super::super) fn calls_by(thread: u64, bits: usize) -> u32 {
    owned_by(thread).map(|record| record.calls_of(bits).count() as u32).sum()
}

/// Runs `see` with the bits of the handle of each call that the calling thread is inside of.
pub(in super::super) fn each_own(mut see: impl FnMut(usize)) {
    for cell in owned_by(thread::number()).flat_map(|own| &own.cells) {
        if !cell.is_free() {
            see(cell.handle().bits());
        }
    }
}

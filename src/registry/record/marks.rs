//! What revokers do with the cells: count calls, mark the calls that they have counted, count marks.

use super::pool::owned;
use super::sync::Ordering;
use super::{Record, own};

/// How many calls of `bits` are in any cell at this moment, with those that are about to be refused.
pub(in super::super) fn calls(bits: usize) -> u32 {
    owned().map(|record| record.calls_of(bits).count() as u32).sum()
}

/// Marks the calls of `bits` and returns how many there are.
///
/// Under the lock of the registry of `bits`. The caller has changed the slot's word to Closing, then executed a heavy
/// fence, then changed the word to Counting, then executed a full fence. Then every call that found the slot Live and
/// has not left is in a cell. Every other call that is in a cell will ask, under the lock, whether it is marked.
pub(in super::super) fn mark(bits: usize) -> u32 {
    owned().map(|record| mark_in(record, bits)).sum()
}

/// Does what [`mark`] does, for all handles that `wanted` picks.
pub(in super::super) fn mark_those(wanted: impl Fn(usize) -> bool) -> u32 {
    let mut count = 0;
    for cell in owned().flat_map(|record| &record.cells) {
        // Acquire pairs with the Release of `Cell::take` and `Cell::clear`: a call that is not found here any more has
        // left, and what it did is visible.
        let bits = cell.handle.load(Ordering::Acquire);
        if bits != 0 && wanted(bits) {
            cell.set_mark(bits);
            count += 1;
        }
    }
    count
}

/// Does what [`mark`] does, on a thread for which [`sole`](super::sole) is true.
pub(in super::super) fn mark_own(bits: usize) -> u32 {
    own::existing().map_or(0, |own| mark_in(own, bits))
}

fn mark_in(record: &Record, bits: usize) -> u32 {
    record.calls_of(bits).map(|cell| cell.set_mark(bits)).count() as u32
}

/// How many cells are marked with `bits`. Under the lock of the registry of `bits`.
pub(in super::super) fn marked(bits: usize) -> u32 {
    // A marked cell is in a record that has an owner: its call takes the mark back before it returns.
    owned().map(|record| record.cells.iter().filter(|cell| cell.is_marked(bits)).count() as u32).sum()
}

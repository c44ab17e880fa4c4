//! What this thread is inside of that its record does not show: a list threaded through the thread's own stack.
//!
//! A thread that asks to wait for a callback must know whether it would wait for itself, at any depth (S37, S38, S43). Its
//! calls stand in its record (`record.rs`). What does not are closures' destructors, and calls that had to borrow a
//! record. The list's head is a thread-local with a constant initial value and no destructor, so it works while a thread
//! is being torn down (S57). A thread id would tell nothing: ids are reused (S58).

use super::record::{self, Record};
use super::sync::local;
use std::cell::Cell;
use std::ptr;

/// What a frame is doing with the closure of its handle.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Doing {
    /// Running it; the call stands in this borrowed record.
    BorrowedCall(*const Record),
    /// Dropping it.
    Destructor,
}

struct Frame {
    /// The bits of the handle.
    handle: usize,
    doing: Doing,
    below: *const Frame,
}

local! {
    static TOP: Cell<*const Frame> = Cell::new(ptr::null());
}

/// Runs `run` with a frame for `handle` on this thread's list; the frame is gone when `run` has returned or unwound.
#[inline]
pub(super) fn on_stack<T>(handle: usize, doing: Doing, run: impl FnOnce() -> T) -> T {
    struct Pop(*const Frame);
    impl Drop for Pop {
        fn drop(&mut self) {
            TOP.with(|top| top.set(self.0));
        }
    }
    let frame = Frame { handle, doing, below: TOP.with(Cell::get) };
    // Declared after the frame, so dropped before it.
    let _pop = Pop(frame.below);
    TOP.with(|top| top.set(&raw const frame));
    run()
}

/// What this thread is doing with one closure.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Own {
    /// Calls of it.
    pub(super) calls: u32,
    /// Destructors of it.
    pub(super) destructors: u32,
}

fn visit(mut see: impl FnMut(&Frame)) {
    let mut at = TOP.with(Cell::get);
    while !at.is_null() {
        // SAFETY: every pointer in the list is to the local variable of an `on_stack` of this thread that has neither
        // returned nor unwound: its `Pop` would have taken it off the list. Frames are not written after they are
        // listed.
        let frame = unsafe { &*at };
        see(frame);
        at = frame.below;
    }
}

/// Counts what this thread is doing with the closure of `handle`, at any depth.
pub(super) fn own(handle: usize) -> Own {
    let mut own = Own { calls: record::own_calls(handle), destructors: 0 };
    visit(|frame| {
        if frame.handle == handle {
            match frame.doing {
                Doing::BorrowedCall(_) => own.calls += 1,
                Doing::Destructor => own.destructors += 1,
            }
        }
    });
    own
}

/// Whether a call of this thread stands in that record.
pub(super) fn has_borrowed(record: *const Record) -> bool {
    let mut found = false;
    visit(|frame| found |= frame.doing == Doing::BorrowedCall(record));
    found
}

/// Tells `see` the bits of the handle of everything that this thread is inside of, calls and destructors, once for each.
pub(super) fn each(mut see: impl FnMut(usize)) {
    record::each_own(&mut see);
    visit(|frame| see(frame.handle));
}

/// Whether this thread is inside any callback or destructor.
pub(super) fn any() -> bool {
    let mut any = false;
    each(|_| any = true);
    any
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::panic::catch_unwind;

    #[test]
    fn frames_are_counted_at_any_depth_and_gone_after_an_unwind() {
        if super::super::sync::MODELLED {
            return; // The models use the list; this test is about the list alone and runs over std.
        }
        let (a, b) = (8, 16);
        let call = Doing::BorrowedCall(ptr::without_provenance(128));
        on_stack(a, call, || {
            on_stack(b, call, || {
                on_stack(a, Doing::Destructor, || {
                    assert_eq!(own(a), Own { calls: 1, destructors: 1 });
                    assert_eq!(own(b), Own { calls: 1, destructors: 0 });
                });
            });
            let unwound = catch_unwind(|| {
                let call = Doing::BorrowedCall(ptr::without_provenance(128));
                on_stack(8, call, || panic!("out"))
            });
            assert!(unwound.is_err());
            assert_eq!(own(a), Own { calls: 1, destructors: 0 });
            assert!(has_borrowed(ptr::without_provenance(128)) && !has_borrowed(ptr::without_provenance(256)));
        });
        assert_eq!(own(a), Own::default());
    }
}

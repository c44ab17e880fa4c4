//! What the calling thread is inside of that its record does not show: a linked list whose entries are on the thread's
//! stack.
//!
//! A thread that waits for a callback must know whether it would wait for itself, at any depth. Most of its calls are
//! in records that have its number (`record/mod.rs`). This list has the rest: closures' destructors. The list's head is
//! a thread-local with a constant initial value and no destructor, so the list works while a thread is being torn down.
//! Thread ids cannot answer the question, because the system reuses them.

use super::sync::local;
use super::{record, thread};
use std::cell::Cell;
use std::ptr;

/// A destructor of a closure.
struct Frame {
    /// The bits of the handle.
    handle: usize,
    below: *const Frame,
}

local! {
    static TOP: Cell<*const Frame> = Cell::new(ptr::null());
}

/// Runs `drop`, which drops the closure of `handle`, with a frame on this thread's list. The frame is taken off when
/// `drop` returns or unwinds.
#[inline]
pub(super) fn on_stack<T>(handle: usize, drop: impl FnOnce() -> T) -> T {
    struct Pop(*const Frame);
    impl Drop for Pop {
        fn drop(&mut self) {
            TOP.with(|top| top.set(self.0));
        }
    }
    let frame = Frame { handle, below: TOP.with(Cell::get) };
    // Declared after the frame, so that the frame is taken off the list before it is gone.
    let _pop = Pop(frame.below);
    TOP.with(|top| top.set(&raw const frame));
    drop()
}

/// Empties the list of a thread whose stack is gone.
pub(super) fn forget() {
    TOP.with(|top| top.set(ptr::null()));
}

/// How often the calling thread is inside one closure.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Own {
    /// Calls of the closure.
    pub(super) calls: u32,
    /// Destructors of the closure.
    pub(super) destructors: u32,
}

fn visit(mut see: impl FnMut(&Frame)) {
    let mut at = TOP.with(Cell::get);
    while !at.is_null() {
        // SAFETY: every pointer in the list is to a local variable of an `on_stack` of this thread that has neither
        // returned nor unwound, because its `Pop` would have taken the pointer off the list. Frames are not written
        // once listed.
        let frame = unsafe { &*at };
        see(frame);
        at = frame.below;
    }
}

/// Counts the calling thread's calls and destructors of the closure of `handle`, at any depth.
pub(super) fn own(handle: usize) -> Own {
    let mut own = Own { calls: record::calls_by(thread::number(), handle), destructors: 0 };
    visit(|frame| own.destructors += u32::from(frame.handle == handle));
    own
}

/// The frames that a thread's list had at one moment.
pub(super) struct Frames(*const Frame);

impl Frames {
    #[cfg(test)]
    pub(super) const NONE: Self = Self(ptr::null());

    /// How many of them are of `handle`.
    ///
    /// # Safety
    /// 1. The thread has not left any of these frames, and does not leave them meanwhile.
    pub(super) unsafe fn count(&self, handle: usize) -> u32 {
        let mut count = 0;
        let mut at = self.0;
        // SAFETY: null, or by clause 1 a frame that the thread has not left. Frames are not written once listed.
        while let Some(frame) = unsafe { at.as_ref() } {
            count += u32::from(frame.handle == handle);
            at = frame.below;
        }
        count
    }
}

/// The frames of the calling thread.
pub(super) fn frames() -> Frames {
    Frames(TOP.with(Cell::get))
}

/// Runs `see` once for each call and each destructor that the calling thread is inside of, with the bits of its handle.
pub(super) fn each(mut see: impl FnMut(usize)) {
    record::each_own(&mut see);
    visit(|frame| see(frame.handle));
}

/// Whether the calling thread is inside any callback or destructor.
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
            return; // The models exercise the list; this test of the list alone runs over std.
        }
        let (a, b) = (8, 16);
        let of = |destructors| Own { calls: 0, destructors };
        on_stack(a, || {
            on_stack(b, || {
                on_stack(a, || assert_eq!((own(a), own(b)), (of(2), of(1))));
            });
            let unwound = catch_unwind(|| on_stack(8, || panic!("out")));
            assert!(unwound.is_err());
            assert_eq!((own(a), own(b)), (of(1), of(0)));
        });
        assert_eq!(own(a), Own::default());
    }
}

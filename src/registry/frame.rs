//! Which callbacks this thread is inside: a list of frames threaded through the thread's own stack.
//!
//! A thread that asks to wait for a callback must know whether it would wait for itself, at any depth (S37, S38, S43).
//! The frames know; a recorded thread id would not (S58: ids are reused). The list's head is a thread-local with a
//! constant initial value and no destructor, so calls made while a thread is being torn down work as any other (S57).
//!
//! Not counted here: anybody else's frames. Those are the count in the slot's word.

use super::sync::local;
use std::cell::Cell;
use std::ptr;

/// What a frame is doing with a slot's closure.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Doing {
    /// Running it.
    Call,
    /// Dropping it.
    Destructor,
}

struct Frame {
    /// The slot's address: slots do not move, and outlive every frame that names them.
    slot: *const (),
    doing: Doing,
    below: *const Frame,
}

local! {
    static TOP: Cell<*const Frame> = Cell::new(ptr::null());
}

/// Runs `run` with a frame for `slot` on this thread's list; the frame is gone when `run` has returned or unwound.
#[inline]
pub(super) fn on_stack<T>(slot: *const (), doing: Doing, run: impl FnOnce() -> T) -> T {
    struct Pop(*const Frame);
    impl Drop for Pop {
        fn drop(&mut self) {
            TOP.with(|top| top.set(self.0));
        }
    }
    let frame = Frame { slot, doing, below: TOP.with(Cell::get) };
    // Declared after the frame, so dropped before it.
    let _pop = Pop(frame.below);
    TOP.with(|top| top.set(&raw const frame));
    run()
}

/// This thread's frames of one slot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Own {
    /// Calls of its closure.
    pub(super) calls: u32,
    /// Destructors of its closure.
    pub(super) destructors: u32,
}

/// Counts this thread's frames of `slot`, at any depth.
pub(super) fn own(slot: *const ()) -> Own {
    let mut own = Own::default();
    let mut at = TOP.with(Cell::get);
    while !at.is_null() {
        // SAFETY: every pointer in the list is to the local variable of an `on_stack` of this thread that has neither
        // returned nor unwound: its `Pop` would have taken it off the list. Frames are not written after they are
        // listed.
        let frame = unsafe { &*at };
        if frame.slot == slot {
            match frame.doing {
                Doing::Call => own.calls += 1,
                Doing::Destructor => own.destructors += 1,
            }
        }
        at = frame.below;
    }
    own
}

/// Whether this thread is inside any callback or destructor.
pub(super) fn any() -> bool {
    !TOP.with(Cell::get).is_null()
}

/// Tells `visit` the slot of each of this thread's frames, innermost first.
pub(super) fn each(mut visit: impl FnMut(*const ())) {
    let mut at = TOP.with(Cell::get);
    while !at.is_null() {
        // SAFETY: as in `own`.
        let frame = unsafe { &*at };
        visit(frame.slot);
        at = frame.below;
    }
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
        let (a, b) = (ptr::without_provenance(8), ptr::without_provenance(16));
        on_stack(a, Doing::Call, || {
            on_stack(b, Doing::Call, || {
                on_stack(a, Doing::Destructor, || {
                    assert_eq!(own(a), Own { calls: 1, destructors: 1 });
                    assert_eq!(own(b), Own { calls: 1, destructors: 0 });
                });
            });
            let unwound = catch_unwind(|| on_stack(ptr::without_provenance(8), Doing::Call, || panic!("out")));
            assert!(unwound.is_err());
            assert_eq!(own(a), Own { calls: 1, destructors: 0 });
        });
        assert_eq!(own(a), Own::default());
    }
}

//! Places in an interleaving where every thread that can go on has to be tried, though loom has found no reason.
//!
//! Loom tries another thread where it finds that an operation depends on one before it; `model/trace/tree.rs` says where that is not
//! enough. What more it takes is made of the same thing. Whoever is about to take a step touches an object that nobody else
//! knows. The [`BacktrackHelper`], a thread that waits from the beginning of the interleaving to its end, then touches those of the places
//! that are wanted: loom would try the keeper before the step, and as the keeper could not go on there, it tries all that could.
//!
//! Only where more than two threads run at a time, since only there is a place ever wanted: it is one operation more for each step.

use super::{guarded, op};
use crate::trace;
use loom::sync::Condvar;
use loom::thread::{Builder, Thread, current, park};
use std::rc::Rc;

/// What a thread has touched that was about to take a step.
pub(crate) type Touched = Rc<Condvar>;

pub(super) fn touch(touched: &Touched) {
    op(|| touched.notify_all());
}

/// The same, and nobody comes between.
pub(crate) fn touch_at_once(touched: &Touched) {
    at_once(|| touched.notify_all());
}

fn at_once<R>(f: impl FnOnce() -> R) -> R {
    loom::stop_exploring();
    let done = op(f);
    loom::explore();
    done
}

/// The calling thread is about to take a step.
pub(super) struct Step(Touched);

impl Step {
    /// `None`: nobody has to know. Others may run before this returns.
    pub(super) fn new() -> Option<Self> {
        if !trace::comes() {
            return None;
        }
        let touched = Touched::default();
        touch(&touched);
        trace::comes().then_some(Self(touched))
    }

    /// It takes it: `f`, an operation of loom's that gives loom nothing to choose, and never waits. Nobody comes between.
    pub(super) fn takes<R>(self, f: impl FnOnce() -> R) -> R {
        trace::came(self.0);
        at_once(f)
    }
}

/// The calling thread takes a step: `f`, which is as for [`Step::takes`].
pub(super) fn step<R>(f: impl FnOnce() -> R) -> R {
    match Step::new() {
        Some(step) => step.takes(f),
        None => op(f),
    }
}

/// The calling thread is about to take a step for which it touches this, which others touch too.
pub(super) fn comes_with(shared: &Touched) {
    match Step::new() {
        Some(Step(touched)) => {
            touch_at_once(shared);
            trace::came(touched);
        }
        None => {
            touch(shared);
            // Others may have come for a step of theirs meanwhile.
            trace::comes();
            trace::came(Touched::clone(shared));
        }
    }
}

/// The calling thread takes a step in which loom has a choice of what it finds. Others may come between; then it is explored
/// from before this what they do.
pub(super) fn chooses<R>(f: impl FnOnce() -> R) -> R {
    if let Some(Step(touched)) = Step::new() {
        trace::came(touched);
    }
    op(f)
}

/// The thread that keeps the places.
#[derive(Debug)]
pub(crate) struct BacktrackHelper(Thread);

impl BacktrackHelper {
    /// An interleaving begins, in its first thread: the keeper waits before anything is done.
    pub(crate) fn wait() -> Self {
        let first = current();
        let keeper = Builder::new().spawn(move || {
            first.unpark();
            guarded(park);
            for touched in trace::wanted() {
                touch(&touched);
            }
        });
        guarded(park);
        Self(keeper.expect("loom refuses no thread").thread().clone())
    }
}

/// The calling thread ends.
pub(crate) fn ends() {
    if let Some(BacktrackHelper(keeper)) = trace::ends_the_last() {
        keeper.unpark();
    }
}

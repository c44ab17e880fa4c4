//! Where a thread cannot go on and loom picks another: each of those that could run has to be picked once.
//!
//! Loom picks any, and comes back for another only where it finds two operations that depend on each other, in what follows. But
//! where repeats are left, nothing may follow: what was picked may repeat an interleaving at once, and then nobody would ever
//! learn what the others would have come to from there (`release_ended_by_a_store` in `tests/model_c` is one that was lost). So
//! whoever is about to wait or to end does an operation for each thread that may run next, on an object that only those two
//! know. An interleaving that is left does the other half on its way to its end: each thread that would have been
//! something new to pick there (`model/trace.rs` says which) operates on its object, and loom turns the two round.
//!
//! With two threads there is nothing to pick.

use super::guarded;
use crate::ledger::quarantine::Scope;
use crate::model::{MOST_THREADS, Me, current, switches, trace};
use loom::sync::Condvar;
use std::rc::Rc;

/// The switches of an interleaving so far, each with its objects by thread.
pub(crate) struct Switches {
    rows: Vec<[Option<Rc<Condvar>>; MOST_THREADS]>,
    threads: [Progress; MOST_THREADS],
}

/// What a thread is up to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    None,
    Runs,
    /// It waits for the end of this thread.
    Joins(Me),
    Ended,
}

impl Switches {
    /// An interleaving begins: with one thread.
    pub(crate) fn new() -> Self {
        let mut threads = [Progress::None; MOST_THREADS];
        threads[0] = Progress::Runs;
        Self { rows: Vec::new(), threads }
    }

    fn may_run(&self, thread: Me) -> bool {
        match self.threads[thread] {
            Progress::None | Progress::Ended => false,
            Progress::Runs => true,
            Progress::Joins(other) => self.threads[other] == Progress::Ended,
        }
    }

    /// This thread is about to stop: what it has to touch, if there is anything to pick.
    fn stops(&mut self, me: Me) -> Vec<Rc<Condvar>> {
        let others: Vec<Me> = (0..MOST_THREADS).filter(|&other| other != me && self.may_run(other)).collect();
        if others.len() < 2 {
            return Vec::new();
        }
        let mut row = [const { None }; MOST_THREADS];
        let touched = others.iter().map(|&other| {
            let object = Rc::new(Condvar::new());
            row[other] = Some(Rc::clone(&object));
            object
        });
        let touched = touched.collect();
        self.rows.push(row);
        touched
    }
}

fn touch(all: &[Rc<Condvar>]) {
    for object in all {
        Scope::suspended(|| guarded(|| object.notify_all()));
    }
}

/// The calling thread is about to wait, or to end.
pub(super) fn stops() {
    let me = if trace::may_leave() { current() } else { return };
    loop {
        let row = switches(|switches| switches.rows.len());
        let touched = switches(|switches| switches.stops(me));
        if touched.is_empty() {
            return;
        }
        let before = trace::happened();
        touch(&touched);
        // Others may have come between, and then it is another place.
        if trace::happened() == before {
            trace::switches(row);
            return;
        }
    }
}

/// What the calling thread is up to from now on.
fn progresses(to: Progress) {
    if trace::leaves() {
        let me = current();
        switches(|switches| switches.threads[me] = to);
    }
}

/// The calling thread is about to wait for the end of another.
pub(super) fn joins(other: Me) {
    progresses(Progress::Joins(other));
    stops();
}

/// And it has ended.
pub(super) fn joined() {
    progresses(Progress::Runs);
}

/// There is another thread.
pub(super) fn spawned(child: Me) {
    switches(|switches| switches.threads[child] = Progress::Runs);
}

/// The calling thread ends.
pub(crate) fn ends() {
    progresses(Progress::Ended);
    stops();
}

/// The calling thread should have been picked at these switches.
pub(crate) fn pick_at(numbers: &[usize]) {
    let me = current();
    let objects = |switches: &mut Switches| numbers.iter().filter_map(|&at| switches.rows[at][me].take()).collect();
    touch(&switches::<Vec<_>>(objects));
}

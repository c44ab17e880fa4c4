//! The memory of a search does not grow with the number of executions.

use latecall_explore::executions::explore;
use latecall_explore::sync::Mutex;
use latecall_explore::{Bound, Extent, Options, thread};
use std::cell::{Cell, RefCell};
use std::rc::Rc;

const EXECUTIONS: u64 = 1_000_000;
/// Pages come and go: that many KiB more than after a tenth of the executions are still flat.
const GOAL: u64 = 256;

/// KiB of memory that the process has now.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("this is Linux");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("it has one");
    line.split_whitespace().nth(1).and_then(|it| it.parse().ok()).expect("a number of KiB")
}

/// Whether the goal is reached.
pub(super) fn print() -> bool {
    let (runs, seen) = (Cell::new(0), Rc::new(RefCell::new(Vec::new())));
    let noted = Rc::clone(&seen);
    let explored = explore("memory", &Options::new().max_interleavings(EXECUTIONS), move || {
        runs.set(runs.get() + 1);
        if runs.get() % (EXECUTIONS / 10) == 0 {
            noted.borrow_mut().push(resident());
        }
        // Two threads take a lock 12 times each: 2,704,156 executions.
        let lock = Rc::new(Mutex::new(0));
        let shared = Rc::clone(&lock);
        let other = thread::spawn(move || (0..12).for_each(|_| *shared.lock() += 1));
        (0..12).for_each(|_| *lock.lock() += 1);
        other.join();
    });
    assert_eq!(explored.extent, Extent::BoundedBy(Bound::Interleavings(EXECUTIONS)), "{explored}");
    let seen = seen.borrow();
    let (first, most) = (seen[0], seen.iter().max().copied().expect("ten"));
    let reached = most <= first + GOAL;
    let verdict = if reached { "" } else { "  MISSED" };
    println!("memory of a search of {EXECUTIONS} executions (goal: flat)");
    println!("{first} KiB after a tenth, at most {most} KiB after that, {:.1?}{verdict}", explored.elapsed);
    reached
}

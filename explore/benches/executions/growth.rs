//! What an event costs in short executions and in long ones.

use latecall_explore::executions::explore;
use latecall_explore::sync::Mutex;
use latecall_explore::sync::atomic::{AtomicU64, Ordering};
use latecall_explore::{Options, thread};
use std::rc::Rc;
use std::time::Duration;

/// An event of a long execution costs at most so much more than one of a short execution.
const GOAL: f64 = 3.0;
const EVENTS: [usize; 4] = [50, 200, 1_000, 2_000];
const ROUNDS: usize = 5;

/// What `threads` threads do: the first two take a lock three times each, and each works on a variable of its own
/// in between, which adds no executions.
fn program(threads: usize, operations: usize, order: Ordering) {
    let shared = Rc::new((Mutex::new(()), (0..threads).map(|_| AtomicU64::new(0)).collect::<Vec<_>>()));
    let part = move |me: usize, shared: &(Mutex<()>, Vec<AtomicU64>)| {
        for round in 0..3 {
            if me < 2 {
                drop(shared.0.lock());
            }
            for _ in 0..(operations + 2 - round) / 3 {
                shared.1[me].fetch_add(1, order);
            }
        }
    };
    let others: Vec<_> = (1..threads)
        .map(|me| {
            let shared = Rc::clone(&shared);
            thread::spawn(move || part(me, &shared))
        })
        .collect();
    part(0, &shared);
    others.into_iter().for_each(|it| it.join());
}

/// Events besides the operations on own variables: begins, ends, joins, locks.
fn fixed(threads: usize) -> usize {
    4 * threads - 3 + 2 * 3 * 4
}

/// What an event costs in executions of about so many events.
fn cost(threads: usize, events: usize, order: Ordering) -> Duration {
    // An operation is a read and a write.
    let operations = events.saturating_sub(fixed(threads)) / (2 * threads);
    let events = fixed(threads) + 2 * operations * threads;
    let explored = explore("growth", &Options::new().max_branches(usize::MAX), move || {
        program(threads, operations, order);
    });
    explored.check();
    assert_eq!(explored.executions, 20, "two threads take a lock three times each");
    explored.elapsed.div_f64((explored.executions as usize * events) as f64)
}

/// Whether the goal is reached.
pub(super) fn print() -> bool {
    println!("an event in executions of so many events (goal: at most {GOAL} times the cost)");
    println!("{:32} {:>9} {:>9} {:>9} {:>9} {:>7}", "", EVENTS[0], EVENTS[1], EVENTS[2], EVENTS[3], "ratio");
    let mut reached = true;
    for (name, threads, order) in [
        ("2 threads, acquire and release", 2, Ordering::AcqRel),
        ("2 threads, SeqCst", 2, Ordering::SeqCst),
        ("4 threads, acquire and release", 4, Ordering::AcqRel),
    ] {
        let mut costs = [Duration::MAX; 4];
        for _ in 0..ROUNDS {
            for (cheapest, events) in costs.iter_mut().zip(EVENTS) {
                *cheapest = cost(threads, events, order).min(*cheapest);
            }
        }
        let ratio = costs[3].as_secs_f64() / costs[0].as_secs_f64();
        let verdict = if ratio <= GOAL { "" } else { "  MISSED" };
        reached &= ratio <= GOAL;
        let [a, b, c, d] = costs;
        println!("{name:32} {a:>9.0?} {b:>9.0?} {c:>9.0?} {d:>9.0?} {ratio:>7.2}{verdict}");
    }
    reached
}

//! The same programs for this crate and for loom.
#![allow(clippy::disallowed_types, reason = "counters around loom, which asks for programs that can be sent")]

use latecall_explore::Options;
use latecall_explore::executions::explore;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// An execution costs at most this part of an interleaving.
const GOAL: f64 = 1.0 / 3.0;
/// Loom stops here.
const MOST_INTERLEAVINGS: usize = 20_000;
const ROUNDS: u32 = 5;
/// How long a round repeats the search, at least.
const ROUND: Duration = Duration::from_millis(50);

/// The programs, on the types that `$types` has.
macro_rules! programs {
    ($side:ident { $($types:tt)* }) => {
        mod $side {
            use std::rc::Rc;
            $($types)*

            /// Runs `part(0)` on the main thread, and the others on threads of their own.
            fn threads<S: 'static>(number: usize, state: S, part: fn(usize, &S)) {
                let state = Rc::new(state);
                let spawn_one = |nth| {
                    let state = Rc::clone(&state);
                    spawn(move || part(nth, &state))
                };
                let others: Vec<_> = (1..number).map(spawn_one).collect();
                part(0, &state);
                others.into_iter().for_each(join);
            }

            fn two() -> [AtomicU64; 2] {
                [AtomicU64::new(0), AtomicU64::new(0)]
            }

            fn store_buffering() {
                threads(2, two(), |me, x| {
                    x[me].store(1, SeqCst);
                    x[1 - me].load(SeqCst);
                });
            }

            fn message() {
                threads(2, (UnsafeCell::new(0_u64), AtomicU64::new(0)), |me, (data, flag)| {
                    if me == 0 {
                        // SAFETY: no thread reads before the flag is set.
                        data.with_mut(|data| unsafe { *data = 1 });
                        flag.store(1, Release);
                    } else if flag.load(Acquire) == 1 {
                        // SAFETY: the flag says that the data was written.
                        assert_eq!(data.with(|data| unsafe { *data }), 1);
                    }
                });
            }

            fn increments(number: usize, times: usize) {
                let state = (AtomicU64::new(0), times);
                threads(number, state, |_, (x, times)| {
                    for _ in 0..*times {
                        x.fetch_add(1, AcqRel);
                    }
                });
            }

            fn loads_and_stores(number: usize, times: usize) {
                threads(number, (AtomicU64::new(0), times), |_, (x, times)| {
                    for _ in 0..*times {
                        let value = x.load(Relaxed);
                        x.store(value + 1, Relaxed);
                    }
                });
            }

            fn locked(number: usize, times: usize) {
                let state = (Mutex::new(0), times);
                threads(number, state, |_, (lock, times)| (0..*times).for_each(|_| with_lock(lock, |it| *it += 1)));
            }

            /// A stack of numbered nodes that are not used again: each thread pushes one but the first, which pops.
            fn stack() {
                let state = (AtomicU64::new(0), [AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0)]);
                threads(3, state, |me, (top, next)| {
                    loop {
                        let found = top.load(Acquire);
                        let new = if me == 0 {
                            if found == 0 {
                                break;
                            }
                            next[found as usize].load(Relaxed)
                        } else {
                            next[me].store(found, Relaxed);
                            me as u64
                        };
                        if top.compare_exchange(found, new, AcqRel, Relaxed).is_ok() {
                            break;
                        }
                    }
                });
            }

            fn readers() {
                threads(3, two(), |me, x| {
                    if me == 0 {
                        x[0].store(1, Release);
                        x[1].store(1, Release);
                    } else {
                        x[2 - me].load(Acquire);
                        x[me - 1].load(Acquire);
                    }
                });
            }

            /// Independent reads of independent writes.
            fn iriw() {
                threads(4, two(), |me, x| {
                    if me < 2 {
                        x[me].store(1, Release);
                    } else {
                        x[me - 2].load(Acquire);
                        x[3 - me].load(Acquire);
                    }
                });
            }

            pub(super) const ALL: &[fn()] = &[
                store_buffering,
                message,
                || increments(2, 4),
                || increments(3, 2),
                || loads_and_stores(2, 2),
                || loads_and_stores(3, 1),
                || locked(2, 6),
                || locked(3, 2),
                stack,
                readers,
                iriw,
            ];
        }
    };
}

const NAMES: &[&str] = &[
    "store buffering, SeqCst",
    "message passing, plain data",
    "increments, 2 threads × 4",
    "increments, 3 threads × 2",
    "load and store, 2 threads × 2",
    "load and store, 3 threads × 1",
    "a lock, 2 threads × 6",
    "a lock, 3 threads × 2",
    "stack, 2 push and 1 pops",
    "2 readers of 2 stores",
    "IRIW, acquire and release",
];

programs!(ours {
    use latecall_explore::cell::UnsafeCell;
    use latecall_explore::sync::Mutex;
    use latecall_explore::sync::atomic::{AtomicU64, Ordering::*};
    use latecall_explore::thread::{JoinHandle, spawn};

    fn join(handle: JoinHandle<()>) {
        handle.join();
    }

    fn with_lock(lock: &Mutex<u64>, f: impl FnOnce(&mut u64)) {
        f(&mut lock.lock());
    }
});

programs!(looms {
    use loom::cell::UnsafeCell;
    use loom::sync::Mutex;
    use loom::sync::atomic::{AtomicU64, Ordering::*};
    use loom::thread::{JoinHandle, spawn};

    fn join(handle: JoinHandle<()>) {
        handle.join().expect("a thread that does not panic");
    }

    fn with_lock(lock: &Mutex<u64>, f: impl FnOnce(&mut u64)) {
        f(&mut lock.lock().expect("a lock that is not poisoned"));
    }
});

/// How many executions there are, and what one costs.
fn explored(program: fn()) -> (u64, Duration) {
    let mut times = 0;
    let began = Instant::now();
    let explored = loop {
        let explored = explore("program", &Options::new(), program);
        explored.check();
        times += 1;
        // Long enough to be timed.
        if began.elapsed() >= ROUND {
            break explored;
        }
    };
    (explored.executions, began.elapsed().div_f64((times * explored.executions) as f64))
}

/// How many interleavings there are, and what one costs.
fn interleaved(program: fn()) -> (u64, Duration) {
    let mut times = 0;
    let began = Instant::now();
    let interleavings = loop {
        let counted = Arc::new(AtomicU64::new(0));
        let counts = Arc::clone(&counted);
        let mut model = loom::model::Builder::new();
        model.max_permutations = Some(MOST_INTERLEAVINGS);
        model.preemption_bound = None;
        model.check(move || {
            // Relaxed: a count, of one thread.
            counts.fetch_add(1, Ordering::Relaxed);
            program();
        });
        times += 1;
        if began.elapsed() >= ROUND {
            // Relaxed: a count, of one thread.
            break counted.load(Ordering::Relaxed);
        }
    };
    (interleavings, began.elapsed().div_f64((times * interleavings) as f64))
}

/// Whether the goal is reached.
pub(super) fn print() -> bool {
    println!("an execution beside an interleaving of loom's (goal: at most a third of its cost)");
    println!(
        "{:32} {:>10} {:>13} {:>9} {:>9} {:>7} {:>9}",
        "", "executions", "interleavings", "each", "each", "ratio", "in all"
    );
    let mut reached = true;
    for ((name, program), loomed) in NAMES.iter().zip(ours::ALL).zip(looms::ALL) {
        let ((executions, mut mine), (interleavings, mut theirs)) = (explored(*program), interleaved(*loomed));
        for _ in 1..ROUNDS {
            mine = mine.min(explored(*program).1);
            theirs = theirs.min(interleaved(*loomed).1);
        }
        let ratio = mine.as_secs_f64() / theirs.as_secs_f64();
        let all = ratio * executions as f64 / interleavings as f64;
        let capped = if interleavings >= MOST_INTERLEAVINGS as u64 { "over " } else { "" };
        let verdict = if ratio <= GOAL { "" } else { "  MISSED" };
        reached &= ratio <= GOAL;
        println!(
            "{name:32} {executions:>10} {:>13} {:>9.1?} {:>9.1?} {ratio:>7.3} {:>9}{verdict}",
            format!("{capped}{interleavings}"),
            mine,
            theirs,
            format!("1/{:.0}", 1.0 / all),
        );
    }
    reached
}

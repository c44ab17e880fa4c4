//! Programs of any number of threads, whose numbers of executions are known: by counting, or as GenMC publishes them
//! for its tests of these names.

use super::all;
use Ordering::{AcqRel, Acquire, Relaxed, Release, SeqCst};
use latecall_explore::sync::Mutex;
use latecall_explore::sync::atomic::{AtomicU64, Ordering, fence};
use latecall_explore::{cell::UnsafeCell, executions::assume, thread};
use std::rc::Rc;

/// The number of executions of so many threads that share what `make` makes.
fn executions<S: 'static>(threads: usize, make: fn() -> S, part: fn(usize, &S)) -> u64 {
    let explored = all(move || {
        let shared = Rc::new(make());
        for me in 0..threads {
            let shared = Rc::clone(&shared);
            thread::spawn(move || part(me, &shared));
        }
    });
    explored.check();
    explored.executions
}

/// The numbers for the numbers of threads in `threads`.
fn series<S: 'static>(threads: std::ops::RangeInclusive<usize>, make: fn() -> S, part: fn(usize, &S)) -> Vec<u64> {
    threads.map(|threads| executions(threads, make, part)).collect()
}

fn one() -> AtomicU64 {
    AtomicU64::new(0)
}

fn some<const N: usize>() -> [AtomicU64; N] {
    [(); N].map(|()| one())
}

fn compare(x: &AtomicU64, expected: u64, new: u64) {
    let _ = x.compare_exchange(expected, new, Relaxed, Relaxed);
}

fn read(x: &AtomicU64) {
    x.load(Acquire);
}

fn add(x: &AtomicU64, order: Ordering) {
    x.fetch_add(1, order);
}

#[test]
fn increments_have_an_order_for_each_location() {
    // n!, (n!)² and (n!)³.
    fn each<const N: usize>(_: usize, x: &[AtomicU64; N]) {
        for x in x {
            add(x, Relaxed);
        }
    }
    assert_eq!(series(2..=7, some::<1>, each), [2, 6, 24, 120, 720, 5_040]);
    assert_eq!(series(2..=4, some::<2>, each), [4, 36, 576]);
    assert_eq!(series(2..=4, some::<3>, each), [8, 216, 13_824]);
}

#[test]
fn loads_and_stores_have_an_order_and_sources() {
    // Each of n! orders of the stores with n! ways to read.
    let parts: [fn(usize, &AtomicU64); 2] = [
        |me, x| x.store(x.load(Relaxed) + (1 << me), Release),
        |me, x| {
            x.load(Relaxed);
            x.store(me as u64, Release);
        },
    ];
    for part in parts {
        assert_eq!(series(2..=4, one, part), [4, 36, 576]);
    }
    // A thread that only stores besides.
    let store_first: fn(usize, &AtomicU64) = |me, x| {
        if me > 0 {
            x.load(Relaxed);
        }
        x.store(1.max(me as u64), Release);
    };
    assert_eq!(series(3..=5, one, store_first), [22, 300, 6_576]);
}

#[test]
fn compare_exchanges() {
    // The first one wins.
    assert_eq!(series(2..=5, one, |me, x| compare(x, 0, me as u64 + 1)), [2, 3, 4, 5]);
    // Each expects what the one before it writes.
    let rotate = |me: usize, x: &AtomicU64| compare(x, me as u64, me as u64 + 1);
    assert_eq!(series(2..=7, one, rotate), [2, 5, 14, 43, 144, 523]);
    // With a store after each.
    let store = |me: usize, x: &AtomicU64| {
        compare(x, 0, 1);
        x.store(me as u64 + 3, Release);
    };
    assert_eq!(series(2..=5, one, store), [6, 66, 1_200, 32_880]);
    // With one thread that stores what they expect.
    let expected = |me: usize, x: &AtomicU64| match me {
        0 => x.store(2, Release),
        _ => compare(x, 2, 3),
    };
    assert_eq!(series(3..=7, one, expected), [5, 13, 33, 81, 193]);
    // A store beside increments is one more in their order.
    let increment = |me: usize, x: &AtomicU64| match me {
        0 => x.store(42, Release),
        _ => add(x, Relaxed),
    };
    assert_eq!(series(3..=5, one, increment), [6, 24, 120]);
}

#[test]
fn readers_and_writers() {
    let set = |me: usize, x: &AtomicU64| match me {
        0 => x.store(42, Release),
        _ => read(x),
    };
    // 2ⁿ.
    assert_eq!(series(3..=7, one, set), [4, 8, 16, 32, 64]);
    // n! orders, and n + 1 ways to read.
    let write = |me: usize, x: &AtomicU64| match me {
        0 => read(x),
        _ => x.store(me as u64, Release),
    };
    assert_eq!(series(3..=6, one, write), [6, 24, 120, 720]);
    // Two threads store to one location, and look at it after they have looked for what the others store.
    let coherent = |me: usize, x: &[AtomicU64; 3]| match me {
        0 | 1 => {
            x[0].store(me as u64 + 1, Release);
            x[me + 1].load(Acquire);
            x[0].load(Acquire);
        }
        _ => x[1..].iter().for_each(|x| x.store(me as u64, Release)),
    };
    assert_eq!(series(2..=5, some::<3>, coherent), [4, 16, 144, 2_304]);
    // The first looks for the last zero, the others make each one more than what comes before it.
    let last = executions(6, some::<6>, |me, x| {
        if me == 0 {
            let mut at = 5;
            while x[at].load(Acquire) != 0 {
                at -= 1;
            }
        } else {
            x[me].store(x[me - 1].load(Acquire) + 1, Release);
        }
    });
    assert_eq!(last, 64);
}

#[test]
fn locks_have_an_order() {
    let make = || (Mutex::new(()), one());
    let part = |_: usize, (lock, x): &(Mutex<()>, AtomicU64)| {
        let _guard = lock.lock();
        x.store(x.load(Relaxed) + 1, Relaxed);
    };
    assert_eq!(series(2..=7, make, part), [2, 6, 24, 120, 720, 5_040]);
}

/// A flag that is set after data, and the data's state when the flag is seen: no race.
#[test]
fn data_behind_a_flag() {
    type Shared = (UnsafeCell<u64>, AtomicU64);
    let make: fn() -> Shared = || (UnsafeCell::new(0), one());
    fn put((data, flag): &Shared, fenced: bool) {
        // SAFETY: the other threads look at the flag first, which the search checks.
        data.with_mut(|data| unsafe { *data = 1 });
        if fenced {
            fence(Release);
        }
        flag.store(1, if fenced { Relaxed } else { Release });
    }
    fn change(data: &UnsafeCell<u64>) {
        // SAFETY: the flag says that the other thread has written, which the search checks.
        data.with_mut(|data| unsafe { *data = 2 });
    }
    // Seen directly, after an increment, and after two compare-exchanges with fences.
    let passed = executions(2, make, |me, shared| match me {
        0 => put(shared, false),
        _ if shared.1.load(Acquire) == 1 => change(&shared.0),
        _ => {}
    });
    let incremented = executions(3, make, |me, shared| match me {
        0 => put(shared, false),
        1 => add(&shared.1, Relaxed),
        _ if shared.1.load(Acquire) > 1 => change(&shared.0),
        _ => {}
    });
    let compared = executions(4, make, |me, shared| match me {
        0 => put(shared, true),
        1 => compare(&shared.1, 2, 3),
        2 => compare(&shared.1, 1, 2),
        _ if shared.1.load(Relaxed) > 2 => {
            fence(Acquire);
            change(&shared.0);
        }
        _ => {}
    });
    assert_eq!([passed, incremented, compared], [2, 6, 14]);
}

#[test]
fn mutual_exclusion_by_loads_and_stores() {
    // Dekker's flags: in the critical section is at most one.
    let dekker = executions(2, some::<3>, |me, x| {
        x[me].store(1, Relaxed);
        fence(SeqCst);
        if x[1 - me].load(Relaxed) == 0 {
            x[2].store(me as u64, Relaxed);
            assert_eq!(x[2].load(Relaxed), me as u64, "both are inside");
        }
    });
    assert_eq!(dekker, 3);
    // Peterson's lock, of the executions in which no thread has to wait.
    let peterson = |store: Ordering, load: Ordering| {
        let explored = all(move || {
            let x = Rc::new(some::<4>());
            for me in 0..2 {
                let x = Rc::clone(&x);
                thread::spawn(move || {
                    x[me].store(1, store);
                    x[2].store(1 - me as u64, store);
                    assume(x[1 - me].load(load) != 1 || x[2].load(load) != 1 - me as u64);
                    x[3].store(me as u64, store);
                    x[3].load(load);
                    x[me].store(0, store);
                });
            }
        });
        explored.check();
        explored.executions
    };
    assert_eq!([peterson(Release, Acquire), peterson(SeqCst, SeqCst)], [22, 4]);
}

#[test]
fn increments_of_one_thread_after_another() {
    // n threads of m increments each: (n·m)! / (m!)ⁿ.
    for (threads, times, expected) in [(2, 3, 20), (2, 6, 924), (3, 2, 90), (3, 3, 1_680), (4, 2, 2_520)] {
        let explored = all(move || {
            let x = Rc::new(one());
            for _ in 0..threads {
                let x = Rc::clone(&x);
                thread::spawn(move || (0..times).for_each(|_| add(&x, AcqRel)));
            }
        });
        explored.check();
        assert_eq!(explored.executions, expected, "{threads} threads, {times} times");
    }
}

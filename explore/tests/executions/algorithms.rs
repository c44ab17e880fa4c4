//! Algorithms that rest on memory orders, each beside a form with one mistake. The search exhausts the first and
//! convicts the second.
//!
//! Where a number of executions is given with a reason, it was counted by hand. The others are what the search found
//! when the test was written: they show a change, and nothing else vouches for them.

use super::{all, convicted};
use Ordering::{AcqRel, Acquire, Relaxed, Release, SeqCst};
use latecall_explore::cell::UnsafeCell;
use latecall_explore::executions::Explored;
use latecall_explore::sync::atomic::{AtomicU64, Ordering, fence};
use latecall_explore::{FindingKind, thread};
use std::rc::Rc;

/// Data that is not atomic.
pub(super) struct Data(UnsafeCell<u64>);

impl Data {
    pub(super) fn new() -> Self {
        Self(UnsafeCell::new(0))
    }

    #[track_caller]
    pub(super) fn get(&self) -> u64 {
        // SAFETY: the algorithm says that no thread writes, which the search checks.
        self.0.with(|it| unsafe { *it })
    }

    #[track_caller]
    pub(super) fn set(&self, value: u64) {
        // SAFETY: the algorithm says that no other thread is here, which the search checks.
        self.0.with_mut(|it| unsafe { *it = value });
    }
}

pub(super) fn atomics<const N: usize>() -> [AtomicU64; N] {
    [(); N].map(|()| AtomicU64::new(0))
}

/// So many threads that share `shared`; then `end` with all they did.
pub(super) fn run<S: 'static>(
    threads: usize,
    shared: impl Fn() -> S + 'static,
    part: impl Fn(usize, &S) + Copy + 'static,
    end: impl Fn(&S) + 'static,
) -> Explored {
    all(move || {
        let shared = Rc::new(shared());
        let spawn = |me| {
            let shared = Rc::clone(&shared);
            thread::spawn(move || part(me, &shared))
        };
        let spawned: Vec<_> = (0..threads).map(spawn).collect();
        spawned.into_iter().for_each(|it| it.join());
        end(&shared);
    })
}

pub(super) fn number(explored: &Explored) -> u64 {
    explored.check();
    explored.executions
}

/// A writer, and readers that go by a sequence number.
fn seqlock(fenced: bool) -> Explored {
    let part = move |me: usize, (sequence, data): &(AtomicU64, [AtomicU64; 2])| {
        if me == 0 {
            sequence.store(1, Relaxed);
            fence(Release);
            data.iter().for_each(|it| it.store(7, Relaxed));
            sequence.store(2, Release);
        } else {
            let before = sequence.load(Acquire);
            let found = [data[0].load(Relaxed), data[1].load(Relaxed)];
            if fenced {
                fence(Acquire);
            }
            if before % 2 == 0 && sequence.load(Relaxed) == before {
                assert_eq!(found[0], found[1], "torn");
            }
        }
    };
    run(2, || (AtomicU64::new(0), atomics()), part, |_| ())
}

#[test]
fn a_sequence_lock_needs_the_readers_fence() {
    assert_eq!(number(&seqlock(true)), 14);
    convicted(&seqlock(false), FindingKind::Failed, "torn");
}

/// Treiber's stack of numbered nodes that are not used again. The first thread pops.
struct Stack {
    top: AtomicU64,
    next: [Data; 3],
}

fn treiber(threads: usize, push: Ordering) -> Explored {
    let part = move |me: usize, it: &Stack| loop {
        let top = it.top.load(Acquire);
        if me == 0 {
            if top == 0 {
                return;
            }
            let next = it.next[top as usize].get();
            if it.top.compare_exchange(top, next, Acquire, Relaxed).is_ok() {
                return;
            }
        } else {
            it.next[me].set(top);
            if it.top.compare_exchange(top, me as u64, push, Relaxed).is_ok() {
                return;
            }
        }
    };
    let shared = || Stack { top: AtomicU64::new(0), next: [(); 3].map(|()| Data::new()) };
    run(threads, shared, part, |_| ())
}

#[test]
fn treibers_stack_releases_what_it_pushes() {
    assert_eq!([2, 3].map(|threads| number(&treiber(threads, Release))), [2, 22]);
    convicted(&treiber(2, Relaxed), FindingKind::DataRace, "nothing orders the two");
}

/// Michael's and Scott's queue. Node 3 is the dummy; threads 1 and 2 put in the nodes of their numbers.
struct Queue {
    head: AtomicU64,
    tail: AtomicU64,
    next: [AtomicU64; 4],
    value: [Data; 4],
}

fn michael_scott(threads: usize, link: Ordering) -> Explored {
    let part = move |me: usize, it: &Queue| {
        if me > 0 {
            it.value[me].set(me as u64);
        }
        loop {
            let (head, tail) = (it.head.load(Acquire), it.tail.load(Acquire));
            let end = if me == 0 { head } else { tail };
            let next = it.next[end as usize].load(Acquire);
            if me > 0 && next == 0 {
                if it.next[tail as usize].compare_exchange(0, me as u64, link, Relaxed).is_ok() {
                    let _ = it.tail.compare_exchange(tail, me as u64, Release, Relaxed);
                    return;
                }
            } else if me == 0 && next == 0 {
                return;
            } else if me > 0 || head == tail {
                // Helps the thread that has put `next` in.
                let _ = it.tail.compare_exchange(tail, next, Release, Relaxed);
            } else if it.head.compare_exchange(head, next, AcqRel, Relaxed).is_ok() {
                assert_eq!(it.value[next as usize].get(), next);
                return;
            }
        }
    };
    let shared = || Queue {
        head: AtomicU64::new(3),
        tail: AtomicU64::new(3),
        next: atomics(),
        value: [(); 4].map(|()| Data::new()),
    };
    run(threads, shared, part, |_| ())
}

#[test]
fn michaels_and_scotts_queue_releases_what_it_links() {
    assert_eq!([2, 3].map(|threads| number(&michael_scott(threads, Release))), [4, 176]);
    convicted(&michael_scott(2, Relaxed), FindingKind::DataRace, "nothing orders the two");
}

/// Chase's and Lev's deque: its owner pushes two and pops two, another thread steals one.
struct Deque {
    top: AtomicU64,
    bottom: AtomicU64,
    items: [AtomicU64; 4],
    taken: [AtomicU64; 4],
}

fn chase_lev(fenced: bool) -> Explored {
    let part = move |me: usize, it: &Deque| {
        let full = || {
            if fenced {
                fence(SeqCst)
            }
        };
        let take = |item: u64| assert_eq!(it.taken[item as usize].fetch_add(1, Relaxed), 0, "taken twice");
        if me == 0 {
            // From 1 on, so that an empty deque needs no negative number.
            for item in 1..=2 {
                let bottom = it.bottom.load(Relaxed);
                it.items[bottom as usize].store(item, Relaxed);
                it.bottom.store(bottom + 1, Release);
            }
            for _ in 0..2 {
                let bottom = it.bottom.load(Relaxed) - 1;
                it.bottom.store(bottom, Relaxed);
                full();
                let top = it.top.load(Relaxed);
                if top > bottom {
                    it.bottom.store(bottom + 1, Relaxed);
                } else if top < bottom || it.top.compare_exchange(top, top + 1, SeqCst, Relaxed).is_ok() {
                    take(it.items[bottom as usize].load(Relaxed));
                    if top == bottom {
                        it.bottom.store(bottom + 1, Relaxed);
                    }
                } else {
                    it.bottom.store(bottom + 1, Relaxed);
                }
            }
        } else {
            for _ in 0..2 {
                let top = it.top.load(Acquire);
                full();
                if top < it.bottom.load(Acquire) {
                    let item = it.items[top as usize].load(Relaxed);
                    if it.top.compare_exchange(top, top + 1, SeqCst, Relaxed).is_ok() {
                        take(item);
                    }
                }
            }
        }
    };
    let shared = || Deque { top: AtomicU64::new(1), bottom: AtomicU64::new(1), items: atomics(), taken: atomics() };
    run(2, shared, part, |_| ())
}

#[test]
fn chases_and_levs_deque_needs_its_fences() {
    convicted(&chase_lev(false), FindingKind::Failed, "taken twice");
    assert_eq!(number(&chase_lev(true)), 96);
}

/// Read, copy, update: a writer puts up a new version, waits until no reader is inside, and reuses the old one.
fn rcu(readers: usize, fenced: bool) -> Explored {
    let part = move |me: usize, (current, inside, versions): &(AtomicU64, [AtomicU64; 3], [Data; 2])| {
        let full = || {
            if fenced {
                fence(SeqCst)
            }
        };
        if me == 0 {
            versions[1].set(1);
            current.store(1, Release);
            full();
            (1..=readers).for_each(|reader| while inside[reader].load(Acquire) == 1 {});
            versions[0].set(7);
        } else {
            inside[me].store(1, Relaxed);
            full();
            let version = current.load(Acquire);
            assert_eq!(versions[version as usize].get(), version);
            inside[me].store(0, Release);
        }
    };
    let shared = || (AtomicU64::new(0), atomics(), [Data::new(), Data::new()]);
    run(readers + 1, shared, part, |_| ())
}

#[test]
fn read_copy_update_needs_its_fences() {
    assert_eq!([1, 2].map(|readers| number(&rcu(readers, true))), [3, 9]);
    convicted(&rcu(1, false), FindingKind::DataRace, "nothing orders the two");
}

/// A barrier: the last thread to come lets the others go on. Each reads what the next one wrote before.
fn barrier(threads: usize, open: Ordering) -> Explored {
    let part = move |me: usize, (count, opened, data): &(AtomicU64, AtomicU64, [Data; 4])| {
        data[me].set(1);
        if count.fetch_add(1, AcqRel) == threads as u64 - 1 {
            opened.store(1, open);
        } else {
            while opened.load(Acquire) == 0 {}
        }
        assert_eq!(data[(me + 1) % threads].get(), 1);
    };
    let shared = || (AtomicU64::new(0), AtomicU64::new(0), [(); 4].map(|()| Data::new()));
    run(threads, shared, part, |_| ())
}

#[test]
fn a_barrier_has_the_orders_in_which_threads_come() {
    assert_eq!([2, 3, 4].map(|threads| number(&barrier(threads, Release))), [2, 6, 24]);
    convicted(&barrier(2, Relaxed), FindingKind::DataRace, "nothing orders the two");
}

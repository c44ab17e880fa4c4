//! Locks, condition variables, and waiting for a value.

use super::{all, convicted};
use latecall_explore::executions::Explored;
use latecall_explore::sync::atomic::{AtomicU32, Ordering};
use latecall_explore::sync::{Condvar, Mutex};
use latecall_explore::{FindingKind, thread};
use std::rc::Rc;

/// Two parties of one lock, which each takes `n` times.
fn handover(n: usize) -> u64 {
    let explored = all(move || {
        let lock = Rc::new(Mutex::new(0));
        let shared = Rc::clone(&lock);
        let other = thread::spawn(move || (0..n).for_each(|_| *shared.lock() += 1));
        (0..n).for_each(|_| *lock.lock() += 1);
        other.join();
        assert_eq!(*lock.lock(), 2 * n);
    });
    explored.check();
    explored.executions
}

#[test]
fn a_lock_is_handed_over_in_as_many_ways_as_there_are_orders() {
    // 2n over n.
    assert_eq!([1, 2, 3, 4, 5].map(handover), [2, 6, 20, 70, 252]);
}

#[test]
fn locks_in_two_orders_deadlock() {
    let explored = all(|| {
        let locks = Rc::new((Mutex::new(()), Mutex::new(())));
        let shared = Rc::clone(&locks);
        let other = thread::spawn(move || {
            let _second = shared.1.lock();
            let _first = shared.0.lock();
        });
        let first = locks.0.lock();
        let second = locks.1.lock();
        drop((first, second));
        other.join();
    });
    convicted(&explored, FindingKind::Deadlock, "thread 1 waits for a lock that thread 0 holds");
    assert!(explored.finding.unwrap().timeline.contains("queues for"), "a timeline");
}

#[test]
fn a_value_that_never_comes_is_a_deadlock() {
    let explored = all(|| {
        AtomicU32::new(0).wait_until_eq(1, Ordering::Acquire);
    });
    convicted(&explored, FindingKind::Deadlock, "thread 0 waits for a value");
}

#[test]
fn a_wait_is_one_event_however_long_it_takes() {
    let explored = all(|| {
        let turn = Rc::new(AtomicU32::new(0));
        let shared = Rc::clone(&turn);
        let other = thread::spawn(move || {
            for round in 0..10 {
                shared.wait_until_eq(2 * round + 1, Ordering::Acquire);
                shared.store(2 * round + 2, Ordering::Release);
            }
        });
        for round in 0..10 {
            turn.store(2 * round + 1, Ordering::Release);
            turn.wait_until_eq(2 * round + 2, Ordering::Acquire);
        }
        other.join();
    });
    explored.check();
    assert_eq!(explored.executions, 1);
}

/// A thread waits for a value that the other sets under the lock.
fn handed(check_first: bool) -> Explored {
    all(move || {
        let shared = Rc::new((Mutex::new(false), Condvar::new()));
        let other = {
            let shared = Rc::clone(&shared);
            thread::spawn(move || {
                *shared.0.lock() = true;
                shared.1.notify_one();
            })
        };
        let mut ready = shared.0.lock();
        while !check_first || !*ready {
            ready = shared.1.wait(ready);
            if *ready {
                break;
            }
        }
        drop(ready);
        other.join();
    })
}

#[test]
fn a_notification_that_nobody_waits_for_is_lost() {
    handed(true).check();
    convicted(&handed(false), FindingKind::Deadlock, "thread 0 waits for a value");
}

#[test]
fn one_notification_wakes_one_thread_and_each_may_be_the_one() {
    fn waiters(notify: fn(&Condvar)) -> Explored {
        all(move || {
            let shared = Rc::new((Mutex::new((0, false)), Condvar::new()));
            let threads: Vec<_> = (0..2)
                .map(|_| {
                    let shared = Rc::clone(&shared);
                    thread::spawn(move || {
                        let mut state = shared.0.lock();
                        state.0 += 1;
                        while !state.1 {
                            state = shared.1.wait(state);
                        }
                    })
                })
                .collect();
            shared.0.lock().1 = true;
            notify(&shared.1);
            threads.into_iter().for_each(thread::JoinHandle::join);
        })
    }
    waiters(Condvar::notify_all).check();
    convicted(&waiters(Condvar::notify_one), FindingKind::Deadlock, "waits for a value");
}

//! Exploring Rust code: counts that are known, and findings of each kind.

use latecall_explore::cell::UnsafeCell;
use latecall_explore::executions::{Explored, assume, choose, explore};
use latecall_explore::sync::atomic::{AtomicBool, AtomicPtr, AtomicU8, AtomicU32, AtomicUsize, Ordering, fence};
use latecall_explore::sync::{Arc, Condvar, Mutex};
use latecall_explore::{Bound, Extent, FindingKind, Options, thread};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

fn all(program: impl Fn() + 'static) -> Explored {
    explore("test", &Options::new(), program)
}

#[track_caller]
fn convicted(explored: &Explored, kind: FindingKind, message: &str) {
    let finding = explored.finding.as_ref().unwrap_or_else(|| panic!("{explored}"));
    assert_eq!((&explored.extent, finding.kind), (&Extent::Convicted, kind), "{explored}");
    assert!(finding.message.contains(message), "{explored}");
}

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

/// Data that is written before a flag is set.
fn message(store: Ordering, load: Ordering) -> Explored {
    all(move || {
        let shared = Rc::new((UnsafeCell::new(0), AtomicBool::new(false)));
        let (data, flag) = &*shared;
        let writer = {
            let shared = Rc::clone(&shared);
            thread::spawn(move || {
                // SAFETY: the flag says that no thread reads yet.
                shared.0.with_mut(|data| unsafe { *data = 7 });
                shared.1.store(true, store);
            })
        };
        if flag.load(load) {
            // SAFETY: the flag says that it was written, which the search checks.
            assert_eq!(data.with(|data| unsafe { *data }), 7);
        }
        writer.join();
    })
}

#[test]
fn released_data_is_seen_and_relaxed_data_is_a_race() {
    let explored = message(Ordering::Release, Ordering::Acquire);
    explored.check();
    assert_eq!(explored.executions, 2);
    for (store, load) in [(Ordering::Relaxed, Ordering::Acquire), (Ordering::Release, Ordering::Relaxed)] {
        convicted(&message(store, load), FindingKind::DataRace, "nothing orders the two");
    }
}

#[test]
fn fences_order_what_relaxed_accesses_do_not() {
    let explored = all(|| {
        let shared = Rc::new((UnsafeCell::new(0), AtomicBool::new(false)));
        let writer = {
            let shared = Rc::clone(&shared);
            thread::spawn(move || {
                // SAFETY: no thread reads before the flag is set.
                shared.0.with_mut(|data| unsafe { *data = 7 });
                fence(Ordering::Release);
                shared.1.store(true, Ordering::Relaxed);
            })
        };
        if shared.1.load(Ordering::Relaxed) {
            fence(Ordering::Acquire);
            // SAFETY: the flag says that it was written, which the search checks.
            assert_eq!(shared.0.with(|data| unsafe { *data }), 7);
        }
        writer.join();
    });
    explored.check();
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

#[test]
fn a_panic_is_found_with_what_led_to_it() {
    let explored = all(|| {
        let shared = Rc::new([AtomicU8::new(0), AtomicU8::new(0)]);
        let other = {
            let shared = Rc::clone(&shared);
            thread::spawn(move || {
                shared[0].store(1, Ordering::Relaxed);
                shared[1].load(Ordering::Relaxed)
            })
        };
        shared[1].store(1, Ordering::Relaxed);
        let mine = shared[0].load(Ordering::Relaxed);
        assert!(mine + other.join() > 0, "both read nothing");
    });
    convicted(&explored, FindingKind::Failed, "both read nothing");
    let timeline = explored.finding.unwrap().timeline;
    assert!(timeline.contains("reads 0 at first at #") && timeline.contains("executions.rs:"), "{timeline}");
}

#[test]
fn numbers_wrap_at_their_own_width() {
    all(|| {
        let small = AtomicU8::new(250);
        assert_eq!(small.fetch_add(10, Ordering::Relaxed), 250);
        assert_eq!(small.fetch_sub(5, Ordering::Relaxed), 4);
        assert_eq!(small.load(Ordering::Relaxed), 255);
    })
    .check();
}

/// A stack of nodes that are never given back.
fn stack(push: Ordering) -> Explored {
    struct Node {
        value: UnsafeCell<u32>,
        next: *const Node,
    }
    all(move || {
        let top = Rc::new(AtomicPtr::<Node>::new(std::ptr::null_mut()));
        let pusher = {
            let top = Rc::clone(&top);
            thread::spawn(move || {
                for value in 1..=2 {
                    let mut next = top.load(Ordering::Relaxed);
                    loop {
                        let node = Box::leak(Box::new(Node { value: UnsafeCell::new(0), next }));
                        // SAFETY: the node is this thread's until it is on the stack.
                        node.value.with_mut(|it| unsafe { *it = value });
                        match top.compare_exchange(next, node, push, Ordering::Relaxed) {
                            Ok(_) => break,
                            Err(found) => next = found,
                        }
                    }
                }
            })
        };
        // SAFETY: nodes are never freed, and only `value` changes after a node was made.
        if let Some(node) = unsafe { top.load(Ordering::Acquire).as_ref() } {
            // SAFETY: a node on the stack does not change, which the search checks.
            let value = node.value.with(|it| unsafe { *it });
            assert_eq!(value == 2, !node.next.is_null());
        }
        pusher.join();
    })
}

#[test]
fn pointers_may_have_other_values_in_each_run() {
    let explored = stack(Ordering::Release);
    explored.check();
    assert_eq!(explored.executions, 3);
    convicted(&stack(Ordering::Relaxed), FindingKind::DataRace, "");
}

#[test]
fn statics_begin_anew_in_each_execution() {
    static COUNT: AtomicUsize = AtomicUsize::new(5);
    let explored = all(|| {
        let other = thread::spawn(|| COUNT.fetch_add(1, Ordering::Relaxed));
        COUNT.fetch_add(1, Ordering::Relaxed);
        other.join();
        assert_eq!(COUNT.load(Ordering::Relaxed), 7);
    });
    explored.check();
    assert_eq!(explored.executions, 2);
}

#[test]
fn the_last_owner_sees_what_the_others_did() {
    struct Written(UnsafeCell<u32>);
    impl Drop for Written {
        fn drop(&mut self) {
            // SAFETY: the last owner drops it, which the search checks.
            self.0.with_mut(|value| unsafe { *value = 0 });
        }
    }
    let explored = all(|| {
        let first = Arc::new(Written(UnsafeCell::new(1)));
        let second = Arc::clone(&first);
        let other = thread::spawn(move || {
            // SAFETY: an owner reads, and the value is not dropped before it lets go.
            second.0.with(|value| unsafe { *value })
        });
        // SAFETY: this owner reads before it lets go.
        first.0.with(|value| unsafe { *value });
        drop(first);
        other.join();
    });
    explored.check();
}

#[test]
fn what_outlives_a_run_is_noticed_and_no_verdict() {
    let runs = Cell::new(0);
    let explored = all(move || {
        runs.set(runs.get() + 1);
        let shared = Rc::new(AtomicU32::new(0));
        let other = Rc::clone(&shared);
        thread::spawn(move || other.store(1, Ordering::Relaxed));
        if runs.get() == 1 {
            shared.load(Ordering::Relaxed);
        } else {
            fence(Ordering::SeqCst);
        }
    });
    let Extent::BoundedBy(Bound::Unmodelled(why)) = &explored.extent else { panic!("{explored}") };
    assert!(why.contains("thread 0 did something else"), "{why}");
}

#[test]
fn limits_are_bounds_and_only_if_something_is_left() {
    let program = || {
        let shared = Rc::new(AtomicU32::new(0));
        let other = Rc::clone(&shared);
        thread::spawn(move || other.store(1, Ordering::Relaxed));
        shared.load(Ordering::Relaxed);
    };
    let explored = explore("two", &Options::new().max_interleavings(1), program);
    assert_eq!((explored.executions, &explored.extent), (1, &Extent::BoundedBy(Bound::Interleavings(1))));
    explore("two", &Options::new().max_interleavings(2), program).check();
    let explored = explore("two", &Options::new().max_duration(Duration::ZERO), program);
    assert_eq!(explored.extent, Extent::BoundedBy(Bound::Duration(Duration::ZERO)));
    let explored = explore("short", &Options::new().max_branches(3), program);
    assert_eq!(explored.extent, Extent::BoundedBy(Bound::Branches(3)));
}

#[test]
fn a_loop_that_never_ends_is_cut_short() {
    let explored = explore("loop", &Options::new().max_branches(100), || {
        let shared = AtomicU32::new(0);
        while shared.load(Ordering::Relaxed) == 0 {}
    });
    assert_eq!((explored.executions, explored.extent), (0, Extent::BoundedBy(Bound::Branches(100))));
}

#[test]
fn as_many_threads_as_wanted() {
    let explored = all(|| {
        let order = Rc::new(RefCell::new(Vec::new()));
        let threads: Vec<_> = (0..40)
            .map(|number| {
                let order = Rc::clone(&order);
                thread::spawn(move || order.borrow_mut().push(number))
            })
            .collect();
        threads.into_iter().for_each(thread::JoinHandle::join);
        assert_eq!(order.borrow().len(), 40);
    });
    explored.check();
    assert_eq!(explored.executions, 1);
}

#[test]
#[should_panic(expected = "deadlock after 0 executions")]
fn check_fails_after_a_finding() {
    all(|| {
        AtomicU32::new(0).wait_while_eq(0, Ordering::Relaxed);
    })
    .check();
}

#[test]
#[should_panic(expected = "only inside of a search")]
fn the_types_are_refused_outside_of_a_search() {
    AtomicU32::new(0).load(Ordering::Relaxed);
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

#[test]
fn choices_are_explored_and_assumptions_leave_executions_out() {
    let seen = Rc::new(RefCell::new(Vec::new()));
    let shared = Rc::clone(&seen);
    let explored = all(move || {
        let chosen = choose(5);
        assume(chosen.is_multiple_of(2));
        shared.borrow_mut().push(chosen);
    });
    explored.check();
    assert_eq!((explored.executions, &*seen.borrow()), (3, &vec![0, 2, 4]));
}

#[test]
fn a_choice_after_a_read_is_made_once_for_each_value_read() {
    let explored = all(|| {
        let shared = Rc::new(AtomicU32::new(0));
        let writer = {
            let shared = Rc::clone(&shared);
            thread::spawn(move || shared.store(1, Ordering::Relaxed))
        };
        // Both come before the store at first, and the load is then revisited.
        shared.load(Ordering::Relaxed);
        choose(2);
        writer.join();
    });
    explored.check();
    assert_eq!(explored.executions, 4);
}

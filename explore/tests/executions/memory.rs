//! Atomic variables, data that they guard, and values that differ between runs.

use super::{all, convicted};
use latecall_explore::cell::UnsafeCell;
use latecall_explore::executions::Explored;
use latecall_explore::sync::Arc;
use latecall_explore::sync::atomic::{AtomicBool, AtomicPtr, AtomicU8, AtomicUsize, Ordering, fence};
use latecall_explore::{FindingKind, thread};
use std::rc::Rc;

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

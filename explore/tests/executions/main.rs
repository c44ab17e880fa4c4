//! Exploring Rust code: counts that are known, and findings of each kind.

mod algorithms;
mod families;
mod locks;
mod loops;
mod memory;
mod waits;

use latecall_explore::executions::{Explored, assume, choose, explore};
use latecall_explore::sync::atomic::{AtomicU8, AtomicU32, Ordering, fence};
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

/// That example is compiled and run with the documentation of `executions`.
#[test]
fn the_example_of_the_page_is_that_of_the_documentation() {
    let page = include_str!("../../../docs/explore.md");
    let documentation = include_str!("../../src/executions/mod.rs").replace("//!", "").replace("\n ", "\n");
    let example = page.split("```rust,ignore\n").nth(1).and_then(|it| it.split("```").next()).expect("an example");
    assert!(example.contains("explored.check()") && documentation.contains(example), "{example}");
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
    assert!(timeline.contains("reads 0 at first at #") && timeline.contains("executions/main.rs:"), "{timeline}");
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
        while shared.swap(0, Ordering::Relaxed) == 0 {}
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
fn an_assumption_that_fails_at_first_may_hold_with_a_later_store() {
    let explored = all(|| {
        let shared = Rc::new(AtomicU32::new(0));
        let other = Rc::clone(&shared);
        thread::spawn(move || assume(other.load(Ordering::Relaxed) == 1));
        thread::spawn(move || shared.store(1, Ordering::Relaxed));
    });
    explored.check();
    assert_eq!((explored.executions, explored.blocked), (1, 1));
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

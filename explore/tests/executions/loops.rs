//! Loops that wait, without a word of the program that they do.

use super::{all, convicted};
use latecall_explore::executions::Explored;
use latecall_explore::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use latecall_explore::{Extent, FindingKind, Options, executions, thread};
use std::cell::Cell;
use std::collections::BTreeSet;
use std::rc::Rc;

use Ordering::{Acquire, Relaxed, Release, SeqCst};

/// Two flags, one for each of two threads.
type Flags = Rc<[AtomicU32; 2]>;

fn flags() -> (Flags, Flags) {
    let flags = Rc::new([AtomicU32::new(0), AtomicU32::new(0)]);
    (Rc::clone(&flags), flags)
}

/// Executions and blocked runs of a search that is exhaustive.
fn numbers(explored: &Explored) -> (u64, u64) {
    explored.check();
    (explored.executions, explored.blocked)
}

#[test]
fn a_loop_that_polls_a_flag_is_one_event() {
    let explored = all(|| {
        let (flags, shared) = flags();
        let other = thread::spawn(move || shared[0].store(1, Release));
        while flags[0].load(Acquire) == 0 {}
        other.join();
    });
    assert_eq!(numbers(&explored).0, 1);
    assert!(explored.blocked <= 1, "the run in which the old value is read, at most once: {explored}");
}

#[test]
fn a_loop_that_tries_a_lock_is_one_event_each_time() {
    // Two threads take a spin lock of two instructions twice each: 4 over 2.
    let explored = all(|| {
        fn twice(locked: &AtomicBool, value: &Cell<u32>) {
            for _ in 0..2 {
                while locked.compare_exchange(false, true, Acquire, Relaxed).is_err() {}
                value.set(value.get() + 1);
                locked.store(false, Release);
            }
        }
        let lock = Rc::new((AtomicBool::new(false), Cell::new(0)));
        let shared = Rc::clone(&lock);
        let other = thread::spawn(move || twice(&shared.0, &shared.1));
        twice(&lock.0, &lock.1);
        other.join();
        assert_eq!(lock.1.get(), 4);
    });
    assert_eq!(numbers(&explored).0, 6);
}

#[test]
fn a_ticket_lock_has_an_execution_for_each_order() {
    let explored = all(|| {
        let (tickets, _) = flags();
        let enter = |tickets: Flags| {
            move || {
                let mine = tickets[0].fetch_add(1, Relaxed);
                while tickets[1].load(Acquire) != mine {}
                tickets[1].store(mine + 1, Release);
            }
        };
        let others = [thread::spawn(enter(Rc::clone(&tickets))), thread::spawn(enter(Rc::clone(&tickets)))];
        enter(Rc::clone(&tickets))();
        others.into_iter().for_each(thread::JoinHandle::join);
    });
    assert_eq!(numbers(&explored).0, 6);
}

#[test]
fn a_counted_loop_has_an_execution_for_each_round_in_which_the_value_comes() {
    let explored = all(|| {
        let (flags, shared) = flags();
        let other = thread::spawn(move || shared[0].store(1, Release));
        for _ in 0..3 {
            if flags[0].load(Acquire) == 1 {
                break;
            }
        }
        other.join();
    });
    // In the first, second or third round, or in none.
    assert_eq!(numbers(&explored), (4, 0));
}

#[test]
fn reads_that_a_loop_keeps_are_no_wait() {
    let explored = all(|| {
        let (flags, shared) = flags();
        let other = thread::spawn(move || shared[0].store(1, Relaxed));
        let mut read = [0; 3];
        for value in &mut read {
            *value = flags[0].load(Relaxed);
        }
        other.join();
    });
    assert_eq!(numbers(&explored), (4, 0));
}

#[test]
fn a_loop_that_notes_that_it_waited_still_does_both() {
    let seen = Rc::new(std::cell::RefCell::new(BTreeSet::new()));
    let all_seen = Rc::clone(&seen);
    let explored = all(move || {
        let (flags, shared) = flags();
        let other = thread::spawn(move || shared[0].store(1, Release));
        let mut waited = false;
        while flags[0].load(Acquire) == 0 {
            waited = true;
        }
        other.join();
        seen.borrow_mut().insert(waited);
    });
    assert_eq!(numbers(&explored).0, 2);
    assert_eq!(all_seen.borrow().len(), 2);
}

#[test]
fn a_counter_on_the_heap_is_noticed() {
    let explored = all(|| {
        let (flags, shared) = flags();
        let other = thread::spawn(move || shared[0].store(1, Release));
        let left = Box::new(Cell::new(4_u32));
        while flags[0].load(Acquire) == 0 {
            left.set(left.get() - 1);
            if left.get() == 0 {
                break;
            }
        }
        other.join();
    });
    assert_eq!(numbers(&explored), (5, 0));
}

#[test]
fn a_loop_that_nothing_ends_is_a_deadlock() {
    let explored = all(|| {
        let (flags, shared) = flags();
        let other = thread::spawn(move || shared[0].store(1, Release));
        while flags[1].load(Acquire) == 0 {}
        other.join();
    });
    convicted(&explored, FindingKind::Deadlock, "thread 0 waits for a value");
}

#[test]
fn a_loop_over_two_flags_waits_for_either() {
    let explored = all(|| {
        let (flags, _) = flags();
        let set = |which: usize, flags: &Flags| {
            let flags = Rc::clone(flags);
            thread::spawn(move || flags[which].store(1, Release))
        };
        let others = [set(0, &flags), set(1, &flags)];
        while flags[0].load(Acquire) == 0 && flags[1].load(Acquire) == 0 {}
        others.into_iter().for_each(thread::JoinHandle::join);
    });
    // The first is seen; or the first is not and the second is.
    assert_eq!(numbers(&explored).0, 2);
}

#[test]
fn a_loop_over_two_flags_that_never_come_is_a_deadlock() {
    let explored = all(|| {
        let (flags, shared) = flags();
        let other = thread::spawn(move || shared[0].store(2, SeqCst));
        while flags[0].load(Acquire) != 1 && flags[1].load(Acquire) != 1 {}
        other.join();
    });
    convicted(&explored, FindingKind::Deadlock, "thread 0 waits for a value");
}

#[test]
fn a_loop_with_an_effect_is_bounded() {
    let explored = executions::explore("a swap that polls", &Options::new().max_branches(40), || {
        let (flags, shared) = flags();
        let other = thread::spawn(move || shared[0].store(1, Release));
        while flags[0].swap(2, Acquire) != 1 {}
        other.join();
    });
    assert!(matches!(explored.extent, Extent::BoundedBy(_)), "{explored}");
    let text = explored.to_string();
    assert!(text.contains("most events of an execution that was cut short: executions/loops.rs:"), "{text}");
}

#[test]
fn a_thread_that_waits_can_be_woken_many_times() {
    let explored = all(|| {
        let (turn, shared) = flags();
        let other = thread::spawn(move || {
            for round in 0..5 {
                while shared[0].load(Acquire) != 2 * round + 1 {}
                shared[0].store(2 * round + 2, Release);
            }
        });
        for round in 0..5 {
            while turn[0].load(Acquire) != 2 * round {}
            turn[0].store(2 * round + 1, Release);
        }
        other.join();
    });
    assert_eq!(numbers(&explored).0, 1);
}

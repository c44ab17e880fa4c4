//! Litmus tests by name. The numbers are those that GenMC publishes.

use super::*;
use Ordering::{AcqRel, Acquire, Relaxed, Release, SeqCst};

#[test]
fn store_buffering_has_four_executions_relaxed_and_three_sequentially_consistent() {
    let relaxed: [fn(&[Variable]); 2] = [
        |v| {
            v[0].store(1, Relaxed);
            v[1].load(Relaxed);
        },
        |v| {
            v[1].store(1, Relaxed);
            v[0].load(Relaxed);
        },
    ];
    assert_eq!(executions(&relaxed), 4);
    let sc: [fn(&[Variable]); 2] = [
        |v| {
            v[0].store(1, SeqCst);
            v[1].load(SeqCst);
        },
        |v| {
            v[1].store(1, SeqCst);
            v[0].load(SeqCst);
        },
    ];
    assert_eq!(executions(&sc), 3);
    let fences: [fn(&[Variable]); 2] = [
        |v| {
            v[0].store(1, Relaxed);
            fence(SeqCst);
            v[1].load(Relaxed);
        },
        |v| {
            v[1].store(1, Relaxed);
            fence(SeqCst);
            v[0].load(Relaxed);
        },
    ];
    assert_eq!(executions(&fences), 3);
}

#[test]
fn iriw_has_sixteen_executions() {
    let threads: [fn(&[Variable]); 4] = [
        |v| v[0].store(1, Release),
        |v| v[1].store(1, Release),
        |v| {
            v[0].load(Acquire);
            v[1].load(Acquire);
        },
        |v| {
            v[1].load(Acquire);
            v[0].load(Acquire);
        },
    ];
    assert_eq!(executions(&threads), 16);
}

#[test]
fn n_increments_have_n_factorial_executions() {
    let add: fn(&[Variable]) = |v| {
        v[0].add(1, AcqRel);
    };
    for (n, expected) in [(2, 2), (3, 6), (4, 24), (5, 120), (6, 720)] {
        assert_eq!(executions(&vec![add; n]), expected);
    }
}

#[test]
fn compare_exchanges_on_one_value() {
    let compare: fn(&[Variable]) = |v| {
        v[0].compare(0, 1, AcqRel);
    };
    assert_eq!(executions(&[compare; 2]), 2);
}

#[test]
fn of_the_ways_to_wait_in_vain_one_is_kept() {
    let counts = count(
        || {
            let variable = Variable::new(0);
            let writer = variable.clone();
            ask(Request::Spawn(Entry(Box::new(move || {
                writer.store(1, Relaxed);
                writer.store(2, Relaxed);
            }))));
            let test = Test { holds: |value, operand| value == operand, operand: 1 };
            variable.read(Order::of(Relaxed), Action::Await(test));
        },
        |_| (),
    );
    // The wait may see 1, or miss it; that it sees 0 at first is no third way.
    assert_eq!((counts.executions, counts.deadlocks, counts.blocked), (1, 1, 0));
}

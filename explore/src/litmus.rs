//! Small programs of loads, stores and fences, explored with repeats left, counted, and not looked for: all three have to find
//! the same outcomes, and at least those of every order of the operations one after the other.
//!
//! What a search may lose is lost here first: no lock and no C code stands in the way.
#![allow(clippy::disallowed_types, reason = "what proptest's macros expand to")]

use super::{Extent, Options, Repeats, explore};
use crate::loom_types::{AtomicUsize, Ordering, fence, thread};
use crate::std_types::{Arc, Mutex, lock};
use loom::model::Builder as Model;
use proptest::prelude::*;
use std::collections::BTreeSet;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Op {
    /// Of variable 0 or 1.
    Load(usize, Strength),
    /// Stores a value that no other operation stores.
    Store(usize, Strength),
    Swap(usize, Strength),
    /// Expects what it was at first.
    Exchange(usize, Strength),
    /// Stores if what the thread has found last is not what a variable was at first.
    Then(usize, Strength),
    Fence,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Strength {
    Relaxed,
    Ordered,
}

use Op::{Exchange, Fence, Load, Store, Swap, Then};
use Strength::{Ordered, Relaxed};

/// What each thread's loads found, and what the variables held in the end.
type Outcome = Vec<Vec<usize>>;
type Threads = Vec<Vec<Op>>;

fn order(strength: Strength, ordered: Ordering) -> Ordering {
    if strength == Ordered { ordered } else { Ordering::Relaxed }
}

/// The value that the operation at this place stores.
fn value(thread: usize, op: usize) -> usize {
    10 * (thread + 1) + op
}

fn run(thread: usize, ops: &[Op], variables: &[AtomicUsize; 2]) -> Vec<usize> {
    let mut found = Vec::new();
    for (place, &op) in ops.iter().enumerate() {
        let new = value(thread, place);
        match op {
            Load(of, strength) => found.push(variables[of].load(order(strength, Ordering::Acquire))),
            Store(of, strength) => variables[of].store(new, order(strength, Ordering::Release)),
            Swap(of, strength) => found.push(variables[of].swap(new, order(strength, Ordering::AcqRel))),
            Exchange(of, strength) => {
                let success = order(strength, Ordering::AcqRel);
                let seen = variables[of].compare_exchange(0, new, success, Ordering::Relaxed);
                found.push(seen.unwrap_or_else(|other| other));
            }
            Then(of, strength) if has_changed(&found) => variables[of].store(new, order(strength, Ordering::Release)),
            Then(..) => {}
            Fence => fence(Ordering::SeqCst),
        }
    }
    found
}

/// Whether what was found last is not what a variable was at first.
fn has_changed(found: &[usize]) -> bool {
    found.last().is_some_and(|&last| last != 0)
}

/// Has `explore` run the program in each interleaving. The outcomes, and what it answers.
fn outcomes<R>(threads: &Threads, explore: impl FnOnce(Box<dyn Fn() + Send + Sync>) -> R) -> (BTreeSet<Outcome>, R) {
    let outcomes = Arc::new(Mutex::new(BTreeSet::new()));
    let (all, threads) = (Arc::clone(&outcomes), threads.clone());
    let answer = explore(Box::new(move || {
        let variables = Arc::new([AtomicUsize::new(0), AtomicUsize::new(0)]);
        let spawn = |(number, ops): (usize, &Vec<Op>)| {
            let (ops, variables) = (ops.clone(), Arc::clone(&variables));
            thread::spawn(move || run(number, &ops, &variables))
        };
        let running: Vec<_> = threads.iter().enumerate().map(spawn).collect();
        let mut outcome: Outcome =
            running.into_iter().map(|thread| thread.join().expect("it does not panic")).collect();
        outcome.push(variables.iter().map(|variable| variable.load(Ordering::Relaxed)).collect());
        lock(&all).insert(outcome);
    }));
    let outcomes = std::mem::take(&mut *lock(&outcomes));
    (outcomes, answer)
}

/// Outcomes of all orders of the operations one after the other.
fn one_after_the_other(threads: &Threads) -> BTreeSet<Outcome> {
    fn go(threads: &Threads, at: &mut [usize], held: [usize; 2], outcome: &mut Outcome, all: &mut BTreeSet<Outcome>) {
        let mut over = true;
        for thread in 0..threads.len() {
            let Some(&op) = threads[thread].get(at[thread]) else { continue };
            over = false;
            let (mut held, new, seen) = (held, value(thread, at[thread]), outcome[thread].len());
            match op {
                Load(of, _) => outcome[thread].push(held[of]),
                Store(of, _) => held[of] = new,
                Swap(of, _) => outcome[thread].push(std::mem::replace(&mut held[of], new)),
                Exchange(of, _) => {
                    outcome[thread].push(held[of]);
                    held[of] = if held[of] == 0 { new } else { held[of] };
                }
                Then(of, _) if has_changed(&outcome[thread]) => held[of] = new,
                Then(..) | Fence => {}
            }
            at[thread] += 1;
            go(threads, at, held, outcome, all);
            at[thread] -= 1;
            outcome[thread].truncate(seen);
        }
        if over {
            all.insert(outcome.iter().cloned().chain([held.to_vec()]).collect());
        }
    }
    let mut all = BTreeSet::new();
    go(threads, &mut vec![0; threads.len()], [0; 2], &mut vec![Vec::new(); threads.len()], &mut all);
    all
}

/// Whether some order of the stores to each variable goes with what was found: no thread goes back in it, an exchange finds the
/// store before its own, and the last is what is held in the end. Loom also finds outcomes for which there is none: it settles
/// the order of stores only as far as somebody has seen it.
fn coherent(threads: &Threads, outcome: &Outcome) -> bool {
    let last = &outcome[threads.len()];
    (0..2).all(|variable| {
        let mut accesses = Vec::new();
        for (thread, ops) in threads.iter().enumerate() {
            let mut found = outcome[thread].iter().copied();
            let (mut mine, mut so_far) = (Vec::new(), Vec::new());
            for (place, &op) in ops.iter().enumerate() {
                let new = value(thread, place);
                let (of, found, new) = match op {
                    Load(of, _) => (of, found.next(), None),
                    Store(of, _) => (of, None, Some(new)),
                    Swap(of, _) => (of, found.next(), Some(new)),
                    Exchange(of, _) => {
                        let seen = found.next();
                        (of, seen, (seen == Some(0)).then_some(new))
                    }
                    Then(of, _) if has_changed(&so_far) => (of, None, Some(new)),
                    Then(..) | Fence => continue,
                };
                so_far.extend(found);
                if of == variable {
                    mine.push((found, new));
                }
            }
            accesses.push(mine);
        }
        let mut stores: Vec<usize> = accesses.iter().flatten().filter_map(|&(_, new)| new).collect();
        some_order(&mut stores, 0, &mut |order| {
            let at = |value| order.iter().position(|&store| store == value).map_or(0, |place| place + 1);
            let forth = |accesses: &Vec<(Option<usize>, Option<usize>)>| {
                let mut now = 0;
                accesses.iter().all(|&(found, new)| {
                    let begins = now;
                    let reads = found.is_none_or(|found| {
                        now = at(found);
                        now >= begins
                    });
                    reads
                        && new.is_none_or(|new| {
                            let before = std::mem::replace(&mut now, at(new));
                            if found.is_some() { now == before + 1 } else { now > before }
                        })
                })
            };
            order.last().copied().unwrap_or(0) == last[variable] && accesses.iter().all(forth)
        })
    })
}

/// Whether `fits` says so of some order of what comes from `from` on.
fn some_order(of: &mut Vec<usize>, from: usize, fits: &mut impl FnMut(&[usize]) -> bool) -> bool {
    if from >= of.len() {
        return fits(of);
    }
    (from..of.len()).any(|next| {
        of.swap(from, next);
        let found = some_order(of, from + 1, fits);
        of.swap(from, next);
        found
    })
}

/// Explores it in all three ways. The outcomes.
fn check(threads: &Threads) -> BTreeSet<Outcome> {
    let with = |repeats| outcomes(threads, |run| explore("litmus", &Options::new().repeats(repeats), run));
    let (explored, exploration) = with(Repeats::Explored);
    let (counted, counts) = with(Repeats::Counted);
    let (left, leaves) = with(Repeats::Pruned);
    for exploration in [&exploration, &counts, &leaves] {
        assert_eq!(exploration.extent, Extent::Exhausted, "{threads:?}: {exploration}");
    }
    let expected = one_after_the_other(threads);
    let missing: Vec<_> = expected.difference(&explored).collect();
    assert!(missing.is_empty(), "{threads:?}: lost {missing:?}");
    // Or nothing that is lost below would count.
    assert!(expected.iter().all(|outcome| coherent(threads, outcome)), "{threads:?}: {expected:?}");
    assert_eq!(explored, counted, "{threads:?}: counting changes what is found");
    assert!(left.is_subset(&explored), "{threads:?}: leaving finds {:?}", left.difference(&explored));
    let lost: Vec<_> = explored.difference(&left).filter(|outcome| coherent(threads, outcome)).collect();
    assert!(lost.is_empty(), "{threads:?}: leaving loses {lost:?}");
    left
}

/// Explores it with repeats left; it has to find what every order of the operations comes to. How many interleavings it took, and
/// how many of them were left.
fn check_orders(threads: &Threads) -> (u64, u64) {
    let explored = |run| explore("litmus", &Options::new().repeats(Repeats::Pruned), run);
    let (left, exploration) = outcomes(threads, explored);
    assert_eq!(exploration.extent, Extent::Exhausted, "{threads:?}: {exploration}");
    let expected = one_after_the_other(threads);
    let lost: Vec<_> = expected.difference(&left).collect();
    assert!(lost.is_empty(), "{threads:?}: lost {lost:?}");
    (exploration.interleavings, exploration.repeats)
}

/// Who loads last before a store hides from loom that others loaded before.
fn hides_a_load() -> Threads {
    vec![vec![Load(0, Relaxed)], vec![Load(0, Relaxed), Store(0, Relaxed)]]
}

/// What the checks here are for: loom by itself, without a search of `model` around it, loses an outcome.
#[test]
fn loom_by_itself_loses_what_the_checks_here_ask_for() {
    let (found, ()) = outcomes(&hides_a_load(), |run| Model::new().check(run));
    let lost: Vec<_> = one_after_the_other(&hides_a_load()).difference(&found).cloned().collect();
    assert_eq!(lost, [vec![vec![value(1, 1)], vec![0], vec![value(1, 1), 0]]]);
}

#[test]
fn loads_that_loom_forgets_are_turned_round_with_the_store() {
    let found = check(&hides_a_load());
    let first = |outcome: &Outcome| outcome[0][0];
    assert_eq!(found.iter().map(first).collect::<BTreeSet<_>>(), BTreeSet::from([0, value(1, 1)]));
}

/// Two full fences come in either order, also where nothing else does.
#[test]
fn full_fences_come_in_either_order() {
    let sides = |fences: bool| -> Threads {
        let side = |mine, other| {
            let ops = [Store(mine, Relaxed), Fence, Load(other, Relaxed)];
            ops.into_iter().filter(|&op| fences || op != Fence).collect()
        };
        vec![side(0, 1), side(1, 0)]
    };
    let neither = |found: &BTreeSet<Outcome>| found.iter().any(|outcome| outcome[0] == [0] && outcome[1] == [0]);
    assert!(neither(&check(&sides(false))), "store buffering without fences");
    assert!(!neither(&check(&sides(true))), "store buffering with fences");
}

/// A load that really is of a weaker order than any in which operations come one after the other is not left.
#[test]
fn a_stale_load_behind_a_newer_one_is_found() {
    let found = check(&vec![vec![Store(0, Relaxed), Store(1, Relaxed)], vec![Load(1, Relaxed), Load(0, Relaxed)]]);
    assert!(found.iter().any(|outcome| outcome[1] == [value(0, 1), 0]), "{found:?}");
    let found = check(&vec![vec![Store(0, Ordered), Store(1, Ordered)], vec![Load(1, Ordered), Load(0, Ordered)]]);
    assert!(!found.iter().any(|outcome| outcome[1] == [value(0, 1), 0]), "{found:?}");
}

/// A third thread has to be picked where one that stops leaves two, and the first picked only repeats an interleaving.
#[test]
fn a_store_that_only_some_interleavings_have_is_found_by_others() {
    let found = check(&vec![vec![Load(0, Ordered)], vec![Swap(0, Ordered)], vec![Load(0, Relaxed), Then(0, Relaxed)]]);
    assert!(found.iter().any(|outcome| outcome[0] == [value(2, 1)]), "{found:?}");
}

/// A third thread has to come before an operation with which another races: of that other, what comes next there has been
/// explored, and depends on the third's.
#[test]
fn a_race_is_led_to_by_a_third_thread() {
    check_orders(&vec![
        vec![Load(1, Relaxed), Swap(0, Relaxed), Exchange(1, Relaxed)],
        vec![Store(0, Relaxed), Store(1, Relaxed), Load(0, Relaxed)],
        vec![Load(1, Relaxed), Store(1, Relaxed)],
    ]);
}

/// Where another comes between what a load touches and the load, it is explored from before the touch.
#[test]
fn who_comes_in_the_middle_of_a_load_comes_before_it() {
    check_orders(&vec![vec![Load(0, Relaxed)], vec![Store(0, Relaxed)], vec![Load(0, Relaxed), Store(0, Relaxed)]]);
    check_orders(&vec![
        vec![Load(0, Relaxed), Store(1, Relaxed)],
        vec![Load(1, Relaxed), Then(0, Relaxed)],
        vec![Store(1, Relaxed), Load(1, Relaxed)],
    ]);
    check_orders(&vec![
        vec![Swap(0, Relaxed), Store(1, Relaxed)],
        vec![Load(1, Relaxed), Load(1, Relaxed), Load(0, Relaxed)],
    ]);
}

/// With no two operations that depend on each other there is one interleaving, and none to be left, but for the loads in the end.
#[test]
fn threads_that_share_nothing_have_one_interleaving() {
    let (interleavings, left) = check_orders(&vec![vec![Store(0, Relaxed)], vec![Store(1, Relaxed)]]);
    assert_eq!(interleavings - left, 1, "{interleavings}, {left} left");
}

/// Leaving repeats takes a thread where three run, and here there is none to spare: they are counted.
#[test]
fn with_no_thread_to_spare_repeats_are_not_left() {
    let of = |variable| vec![Exchange(variable, Relaxed)];
    let threads = vec![of(0), of(0), of(0), of(1)];
    let counted = |run| explore("litmus", &Options::new().repeats(Repeats::Counted), run);
    let (_, counted) = outcomes(&threads, counted);
    assert_eq!(check_orders(&threads), (counted.interleavings, counted.repeats));
}

fn op() -> impl Strategy<Value = Op> {
    let strength = || prop_oneof![Just(Relaxed), Just(Ordered)];
    prop_oneof![
        4 => (0..2_usize, strength()).prop_map(|(of, strength)| Load(of, strength)),
        4 => (0..2_usize, strength()).prop_map(|(of, strength)| Store(of, strength)),
        1 => (0..2_usize, strength()).prop_map(|(of, strength)| Swap(of, strength)),
        1 => (0..2_usize, strength()).prop_map(|(of, strength)| Exchange(of, strength)),
        2 => (0..2_usize, strength()).prop_map(|(of, strength)| Then(of, strength)),
        1 => Just(Fence),
    ]
}

/// What is no outcome is told from what is.
#[test]
fn outcomes_that_go_back_are_not_coherent() {
    let threads = vec![vec![Store(0, Relaxed), Load(0, Relaxed)], vec![Swap(0, Relaxed)]];
    let (one, other) = (value(0, 0), value(1, 0));
    let outcome = |load, swap, last| vec![vec![load], vec![swap], vec![last, 0]];
    assert!(coherent(&threads, &outcome(other, one, other)));
    assert!(!coherent(&threads, &outcome(0, one, other)), "it reads what was before its own store");
    assert!(!coherent(&threads, &outcome(one, one, one)), "what came last is not held");
    assert!(!coherent(&threads, &outcome(other, 0, other)), "the swap did not find the store before its own");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn two_threads_find_the_same_however_repeats_are_treated(threads in prop::collection::vec(prop::collection::vec(op(), 1..5), 2)) {
        check(&threads);
    }

    #[test]
    fn three_threads_find_the_same_however_repeats_are_treated(threads in prop::collection::vec(prop::collection::vec(op(), 1..3), 3)) {
        check(&threads);
    }

    #[test]
    fn two_threads_come_in_every_order_where_repeats_are_left(threads in prop::collection::vec(prop::collection::vec(op(), 1..7), 2)) {
        check_orders(&threads);
    }

    #[test]
    fn three_threads_come_in_every_order_where_repeats_are_left(threads in prop::collection::vec(prop::collection::vec(op(), 1..4), 3)) {
        check_orders(&threads);
    }
}

//! Overlapping calls of an `FnMut`; a confined callback on another thread.

use super::*;

#[test]
fn an_exclusive_callback_entered_twice() {
    let both = then([(T1, enter(A, 0)), (T2, enter(A, 0)), (T1, leave(A, 0)), (T2, leave(A, 0))]);
    assert_eq!(judged("callback a exclusive\nbefore\n register a\n", &both), [V::ConcurrentFnMut]);
    assert_eq!(judged("callback a\nbefore\n register a\n", &both), []);
    let nested = then([(T1, enter(A, 0)), (T1, enter(A, 0))]);
    assert_eq!(judged("callback a exclusive\nbefore\n register a\n", &nested), [V::ConcurrentFnMut]);
}

#[test]
fn a_confined_callback_on_another_thread() {
    let on = |thread| then([(thread, enter(A, 0)), (thread, leave(A, 0))]);
    let program = "callback a confined\nbefore\n register a\n";
    assert_eq!(judged(program, &on(T1)), [V::WrongThread]);
    assert_eq!(judged(program, &on(MAIN)), []);
}

#[test]
fn the_proof_of_an_overlap_is_the_oldest_running_call() {
    let events = then([(T1, enter(A, 0)), (T2, enter(A, 0)), (MAIN, enter(A, 0))]);
    let found = violations("callback a exclusive\nbefore\n register a\n", Contract::default(), &events);
    assert_eq!(found.iter().map(|v| &*v.proof).collect::<Vec<_>>(), [[3, 4], [3, 5]]);
}

//! Freed during a call, freed twice, never freed; memory beside a callback used after it was freed.

use super::*;

#[test]
fn dropping_during_a_call_is_freeing_in_flight() {
    let events = then([(T1, enter(A, 0)), (MAIN, Dropped { callback: A }), (T1, leave(A, 0))]);
    assert_eq!(judged(FIRED_T1, &events), [V::FreedInFlight]);
    let unwound = then([(T1, enter(A, 0)), (T1, Unwind { callback: A }), (MAIN, Dropped { callback: A })]);
    assert_eq!(judged(FIRED_T1, &unwound), []);
}

#[test]
fn a_block_used_after_it_was_freed() {
    let freed = then([(T1, BlockFreed { callback: A }), (T2, BlockUsed { callback: A })]);
    assert_eq!(judged(FIRED_T1, &freed), [V::FreedInFlight]);
    let used = then([(T2, BlockUsed { callback: A }), (T1, BlockFreed { callback: A })]);
    assert_eq!(judged(FIRED_T1, &used), []);
}

#[test]
fn dropping_twice() {
    let events = then([(MAIN, Dropped { callback: A }), (T1, Dropped { callback: A })]);
    assert_eq!(judged(FIRED_T1, &events), [V::DoubleDrop]);
}

#[test]
fn never_dropped_is_a_leak_once_the_session_is_closed() {
    assert_eq!(judged(FIRED_T1, &then([(MAIN, Closed)])), [V::Leak]);
    assert_eq!(judged(FIRED_T1, &then([])), [], "a run that did not end has not leaked yet");
    let dropped = then([(MAIN, Dropped { callback: A }), (MAIN, Closed)]);
    assert_eq!(judged(FIRED_T1, &dropped), []);
    let forgotten = "callback a\nbefore\n register a\n forget a\n";
    assert_eq!(judged(forgotten, &then([(MAIN, before(1)), (MAIN, end(Answer::Done)), (MAIN, Closed)])), []);
    // Refused: the closure was handed over, so the binding has to free it.
    let refused = [(MAIN, before(0)), (MAIN, Refused { callback: A }), (MAIN, end(Answer::Refused)), (MAIN, Closed)];
    assert_eq!(judged(FIRED_T1, &refused), [V::Leak]);
}

#[test]
fn the_proof_of_freeing_in_flight_names_the_call_that_is_still_running() {
    let two = then([
        (T1, enter(A, 0)),
        (T2, enter(A, 0)),
        (T1, leave(A, 0)),
        (MAIN, Dropped { callback: A }),
        (MAIN, Dropped { callback: A }),
        (MAIN, Dropped { callback: A }),
    ]);
    let found = violations(FIRED_T1, Contract::default(), &two);
    let said: Vec<_> = found.iter().map(|v| (&*v.text, &*v.proof)).collect();
    assert_eq!(
        said,
        [
            ("`a` was freed while t2 was in it", &[4, 6][..]),
            ("`a` was freed a second time", &[6, 7]),
            ("`a` was freed a second time", &[6, 8])
        ]
    );
    let both = then([(T1, enter(A, 0)), (T2, enter(A, 0)), (MAIN, Dropped { callback: A })]);
    assert_eq!(violations(FIRED_T1, Contract::default(), &both)[0].proof, [3, 5], "the oldest of two running calls");
}

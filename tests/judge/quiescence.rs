//! Calls that start too late, or that are still running when a wait for them ends.

use super::*;

#[test]
fn a_call_after_the_drop_is_late() {
    let dropped = then([(MAIN, Dropped { callback: A }), (T1, enter(A, 0)), (T1, leave(A, 0))]);
    assert_eq!(judged(FIRED_T1, &dropped), [V::LateCall]);
    let alive = then([(T1, enter(A, 0)), (T1, leave(A, 0)), (MAIN, Dropped { callback: A })]);
    assert_eq!(judged(FIRED_T1, &alive), []);
}

fn revoked(answer: Answer) -> Vec<(ThreadNo, EventKind)> {
    let t1 = |index| begin(Section::Thread(0), index, 1);
    then([
        (T1, t1(0)),
        (T2, begin(Section::Thread(1), 0, 0)),
        (T2, end(answer)),
        (T1, enter(A, 1)),
        (T1, leave(A, 0)),
        (T1, end(Answer::Value(0))),
    ])
}

#[test]
fn a_call_after_revoke_removed_it_is_late_and_one_in_flight_is_not() {
    assert_eq!(judged(FIRED_T1, &revoked(Answer::Removed)), [V::LateCall]);
    // It was let in before, and only then reported that it entered.
    assert_eq!(judged(FIRED_T1, &revoked(Answer::InFlight(1))), []);
    let second = [(T1, enter(A, 1)), (T1, leave(A, 0))];
    let more: Vec<_> = revoked(Answer::InFlight(1)).into_iter().chain(second).collect();
    assert_eq!(judged(FIRED_T1, &more), [V::LateCall], "one was in flight, two came");
}

#[test]
fn a_call_that_was_seen_before_revoke_uses_up_its_count() {
    let events = then([
        (T1, begin(Section::Thread(0), 0, 1)),
        (T1, enter(A, 1)),
        (T2, begin(Section::Thread(1), 0, 0)),
        (T2, end(Answer::InFlight(1))),
        (T1, leave(A, 0)),
        (T1, end(Answer::Value(0))),
        (T1, enter(A, 0)),
        (T1, leave(A, 0)),
    ]);
    assert_eq!(judged(FIRED_T1, &events), [V::LateCall]);
}

#[test]
fn starting_after_quiescence() {
    let waited = |answer| {
        then([
            (T2, begin(Section::Thread(1), 0, 0)),
            (T2, end(answer)),
            (T1, begin(Section::Thread(0), 0, 1)),
            (T1, enter(A, 1)),
            (T1, leave(A, 0)),
            (T1, end(Answer::Value(0))),
        ])
    };
    assert_eq!(judged(WAITED, &waited(Answer::Quiescent)), [V::StartedAfterQuiescence]);
    assert_eq!(judged(WAITED, &waited(Answer::Deferred)), [V::LateCall]);
    assert_eq!(judged(WAITED, &waited(Answer::Done)), [], "a binding that claims nothing is held to nothing");
}

#[test]
fn running_after_quiescence() {
    let waited = |answer| {
        then([
            (T1, begin(Section::Thread(0), 0, 1)),
            (T1, enter(A, 1)),
            (T2, begin(Section::Thread(1), 0, 0)),
            (T2, end(answer)),
            (T1, leave(A, 0)),
            (T1, end(Answer::Value(0))),
        ])
    };
    assert_eq!(judged(WAITED, &waited(Answer::Quiescent)), [V::RunningAfterQuiescence]);
    assert_eq!(judged(WAITED, &waited(Answer::Deferred)), [V::RunningAfterQuiescence], "t2 is not inside");
}

#[test]
fn two_that_wait_from_inside_excuse_each_other() {
    let program = "callback a\n revoke_and_wait a\nbefore\n register a\nthread\n fire a\nthread\n fire a\n";
    let body = || begin(Section::Body(A), 0, 0);
    let both = then([
        (T1, enter(A, 0)),
        (T2, enter(A, 0)),
        (T1, body()),
        (T2, body()),
        (T1, end(Answer::Deferred)),
        (T2, end(Answer::Deferred)),
        (T1, leave(A, 0)),
        (T2, leave(A, 0)),
    ]);
    assert_eq!(judged(program, &both), []);
    let one = then([
        (T1, enter(A, 0)),
        (T2, enter(A, 0)),
        (T1, body()),
        (T1, end(Answer::Deferred)),
        (T2, leave(A, 0)),
        (T1, leave(A, 0)),
    ]);
    assert_eq!(judged(program, &one), [V::RunningAfterQuiescence], "t2 was not waiting");
}

#[test]
fn the_proof_of_a_late_call_is_the_first_thing_that_forbids_it() {
    // Revoked, revoked and waited for from inside, quiescent, freed: each time the proof is the strongest that holds.
    let program = "callback a\n revoke_and_wait a\nbefore\n register a\n revoke a\n revoke_and_wait a\n";
    let call = [(T1, enter(A, 0)), (T1, leave(A, 0))];
    let revoked = [(MAIN, before(1)), (MAIN, end(Answer::Removed))];
    let deferred = [(T2, begin(Section::Body(A), 0, 0)), (T2, end(Answer::Deferred))];
    let quiescent = [(MAIN, before(2)), (MAIN, end(Answer::Quiescent))];
    let parts =
        [&call[..], &revoked, &call, &deferred, &call, &quiescent, &call, &[(MAIN, Dropped { callback: A })], &call];
    let found = violations(program, Contract::default(), &then(parts.concat()));
    let said: Vec<_> = found.iter().map(|v| (v.kind, &*v.proof)).collect();
    let expected = [
        (V::LateCall, &[6, 7][..]),
        (V::LateCall, &[6, 11]),
        (V::StartedAfterQuiescence, &[14, 15]),
        (V::LateCall, &[17, 18]),
    ];
    assert_eq!(said, expected);
}

#[test]
fn a_second_revocation_does_not_replace_the_proof_of_the_first() {
    let program = "callback a\nbefore\n register a\n revoke a\n revoke a\n release a\n release a\n";
    let ended = |index, answer| [(MAIN, before(index)), (MAIN, end(answer))];
    let call = [(T1, enter(A, 0)), (T1, leave(A, 0))];
    let revoked = [ended(1, Answer::Removed), ended(2, Answer::Removed), call].concat();
    let waited = [ended(3, Answer::Quiescent), ended(4, Answer::Quiescent), call].concat();
    let found = violations(program, Contract::default(), &then([revoked, waited].concat()));
    let said: Vec<_> = found.iter().map(|v| (v.kind, &*v.proof)).collect();
    assert_eq!(said, [(V::LateCall, &[4, 7][..]), (V::StartedAfterQuiescence, &[10, 13])]);
}

#[test]
fn the_proof_that_a_wait_ended_too_early_is_the_oldest_running_call() {
    let events = then([
        (T1, enter(A, 0)),
        (T2, enter(A, 0)),
        (MAIN, begin(Section::Thread(1), 0, 0)),
        (MAIN, end(Answer::Quiescent)),
    ]);
    let found = violations(WAITED, Contract::default(), &events);
    let said: Vec<_> = found.iter().map(|v| (v.kind, &*v.text, &*v.proof)).collect();
    let text = "t1 was still in `a` when the wait for it ended on main";
    assert_eq!(said, [(V::RunningAfterQuiescence, text, &[3, 6][..])]);
}

#[test]
fn of_the_calls_in_flight_those_that_have_reported_are_not_excused_again() {
    let program = "callback a\nbefore\n register a\n revoke a\n";
    // Three in flight, of which t1 and t2 have reported: one more may.
    let revoked = [(T1, enter(A, 0)), (T2, enter(A, 0)), (MAIN, before(1)), (MAIN, end(Answer::InFlight(3)))];
    let third = [(ThreadNo(3), enter(A, 0))];
    assert_eq!(judged(program, &then(revoked.into_iter().chain(third))), []);
    let fourth = [(ThreadNo(4), enter(A, 0))];
    assert_eq!(judged(program, &then(revoked.into_iter().chain(third).chain(fourth))), [V::LateCall]);
}

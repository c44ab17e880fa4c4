//! Firings that run another callback, or none, or whose answer is lost.

use super::*;

#[test]
fn a_firing_that_runs_another_callback() {
    let fired = |callback, misdirected| {
        then([
            (MAIN, begin(Section::Before, 1, 7)),
            (MAIN, Enter { callback, cookie: 7, misdirected }),
            (MAIN, leave(callback, 0)),
            (MAIN, end(Answer::Value(0))),
        ])
    };
    assert_eq!(judged(FIRED, &fired(B, false)), [V::Aliased, V::LostCall]);
    assert_eq!(judged(FIRED, &fired(A, false)), []);
    let churned = CallbackId(u8::MAX);
    assert_eq!(judged(FIRED, &fired(churned, false)), [V::Aliased, V::LostCall]);
    // The library says that it mixed the user data up: the binding delivered what it was given.
    assert_eq!(judged(FIRED, &fired(B, true)), []);
    assert_eq!(judged(FIRED, &fired(churned, true)), [V::LostCall], "and a's own call is owed all the same");
}

#[test]
fn a_successor_may_run_for_a_replaced_callback() {
    let program = "callback a\ncallback b\nbefore\n register a\nthread\n fire a\nthread\n replace a b\n";
    let events = then([
        (T2, begin(Section::Thread(1), 0, 0)),
        (T1, begin(Section::Thread(0), 0, 3)),
        (T1, enter(B, 3)),
        (T1, leave(B, 0)),
        (T1, end(Answer::Value(0))),
        (T2, end(Answer::Done)),
    ]);
    assert_eq!(judged(program, &events), []);
}

#[test]
fn a_live_callback_that_does_not_run_is_a_lost_call() {
    assert_eq!(judged(FIRED, &fired_and(&[], Answer::Value(0))), [V::LostCall]);
    assert_eq!(judged(FIRED, &fired_and(&[Late { cookie: 7 }], Answer::Value(0))), [V::LostCall], "it was not late");
    assert_eq!(judged(FIRED, &fired_and(&[enter(A, 7), leave(A, 5)], Answer::Value(5))), []);
    assert_eq!(judged(FIRED, &fired_and(&[], Answer::Refused)), []);
    let away = TurnedAway { callback: A, cookie: 7, why: Turned::Busy };
    assert_eq!(judged(FIRED, &fired_and(&[away], Answer::Value(0))), []);
}

#[test]
fn an_answer_that_does_not_come_back_is_a_lost_call() {
    assert_eq!(judged(FIRED, &fired_and(&[enter(A, 7), leave(A, 5)], Answer::Value(6))), [V::LostCall]);
    let once = judged_with(FIRED, Contract::one_shot(), &fired_and(&[enter(A, 7), leave(A, 5)], Answer::Value(6)));
    assert_eq!(once, [V::LostCall], "of a one-shot as well");
}

#[test]
fn a_callback_that_somebody_began_to_revoke_owes_nothing() {
    let events = then([
        (T1, begin(Section::Thread(0), 0, 1)),
        (T2, begin(Section::Thread(1), 0, 0)),
        (T1, end(Answer::Value(0))),
        (T2, end(Answer::Removed)),
    ]);
    assert_eq!(judged(FIRED_T1, &events), []);
}

#[test]
fn what_was_posted_before_a_barrier_has_run_after_it() {
    let program = "callback a\nbefore\n register a\n post a\n barrier\n";
    let posted = |ran: bool| {
        let mut events = then([(MAIN, begin(Section::Before, 1, 4)), (MAIN, end(Answer::Done)), (MAIN, before(2))]);
        if ran {
            events.extend([(ThreadNo(100), enter(A, 4)), (ThreadNo(100), leave(A, 0))]);
        }
        events.push((MAIN, end(Answer::Done)));
        events
    };
    assert_eq!(judged(program, &posted(false)), [V::LostCall]);
    assert_eq!(judged(program, &posted(true)), []);
    // Posted while the barrier was already waiting: it need not wait for that.
    let program = "callback a\nbefore\n register a\nthread\n post a\nthread\n barrier\n";
    let racing = then([
        (T1, begin(Section::Thread(0), 0, 4)),
        (T2, begin(Section::Thread(1), 0, 0)),
        (T1, end(Answer::Done)),
        (T2, end(Answer::Done)),
    ]);
    assert_eq!(judged(program, &racing), []);
}

/// Only a barrier that has passed says that deliveries were made.
#[test]
fn a_barrier_that_did_not_pass_proves_nothing() {
    let program = "callback a\nbefore\n register a\n post a\n barrier\n barrier\n";
    let barrier = |index, answer| [(MAIN, before(index)), (MAIN, end(answer))];
    let posted = then([(MAIN, begin(Section::Before, 1, 4)), (MAIN, end(Answer::Done))]);
    for answer in [Answer::Skipped, Answer::Refused] {
        let events: Vec<_> = posted.iter().copied().chain(barrier(2, answer)).collect();
        assert_eq!(judged(program, &events), [], "{answer:?}");
        let passed: Vec<_> = events.into_iter().chain(barrier(3, Answer::Done)).collect();
        assert_eq!(judged(program, &passed), [V::LostCall], "the delivery is still owed");
    }
}

#[test]
fn a_post_that_had_not_ended_when_the_barrier_began_is_not_owed() {
    let program = "callback a\nbefore\n register a\nthread\n post a\nthread\n barrier\n";
    let (post, barrier) = (begin(Section::Thread(0), 0, 4), begin(Section::Thread(1), 0, 0));
    let done = end(Answer::Done);
    // The queue may have taken it after the barrier looked.
    assert_eq!(judged(program, &then([(T1, post), (T2, barrier), (T1, done), (T2, done)])), []);
    assert_eq!(judged(program, &then([(T1, post), (T1, done), (T2, barrier), (T2, done)])), [V::LostCall]);
}

#[test]
fn an_enumeration_makes_as_many_calls_as_it_says() {
    let program = "callback a\nbefore\n enumerate a 2\n";
    let calls = |n: usize, answer| {
        let mut events = vec![(MAIN, begin(Section::Before, 0, 1))];
        for _ in 0..n {
            events.extend([(MAIN, enter(A, 1)), (MAIN, leave(A, 1))]);
        }
        events.push((MAIN, end(Answer::Value(answer))));
        events
    };
    assert_eq!(judged(program, &calls(2, 2)), []);
    assert_eq!(judged(program, &calls(1, 2)), [V::LostCall]);
    assert_eq!(judged(program, &calls(1, 1)), [V::LostCall], "nothing stopped it");
}

#[test]
fn one_shot_runs_once_and_not_twice() {
    let once = Contract::one_shot();
    let program = "callback a\nbefore\n register a\n fire a\n fire a\n";
    let second = |kinds: &[EventKind]| {
        let mut events = fired_and(&[enter(A, 7), leave(A, 0)], Answer::Value(0));
        events.push((MAIN, begin(Section::Before, 2, 8)));
        events.extend(kinds.iter().map(|kind| (MAIN, *kind)));
        events.push((MAIN, end(Answer::Value(0))));
        events
    };
    assert_eq!(judged_with(program, once, &second(&[])), []);
    assert_eq!(judged_with(program, once, &second(&[enter(A, 8), leave(A, 0)])), [V::LateCall]);
    let never = fired_and(&[], Answer::Value(0));
    assert_eq!(judged_with(program, once, &never), [V::LostCall]);
    // Another firing had taken the one call, and came too late with it: after the end, but not before.
    let late_at_the_end = |closing: bool| {
        let mut events = fired_and(&[], Answer::Value(0));
        events.extend([(MAIN, begin(Section::Before, 2, 8)), (MAIN, end(Answer::Value(0)))]);
        events.extend(closing.then_some((MAIN, Closing)));
        events.push((T1, Late { cookie: 8 }));
        events
    };
    assert_eq!(judged_with(program, once, &late_at_the_end(true)), []);
    assert_eq!(judged_with(program, once, &late_at_the_end(false)), [V::LostCall]);
}

#[test]
fn an_enumeration_may_stop_early_only_if_a_call_stops_it() {
    let judged_with_body = |body: &str, leaves: EventKind| {
        let program = format!("callback a\n{body}before\n enumerate a 3\n");
        let events = [begin(Section::Before, 0, 1), enter(A, 1), leaves, end(Answer::Value(1))];
        judged(&program, &events.map(|kind| (MAIN, kind)))
    };
    assert_eq!(judged_with_body("", leave(A, 1)), [V::LostCall]);
    assert_eq!(judged_with_body("", leave(A, 0)), [], "0 stops it");
    assert_eq!(judged_with_body("", Unwind { callback: A }), [], "a panic may stop it");
    assert_eq!(judged_with_body(" return 1\n", leave(A, 1)), [], "the library may have been told another value");
}

#[test]
fn the_proof_of_a_one_shot_that_never_ran_is_its_first_firing() {
    let program = "callback a\nbefore\n register a\n fire a\n fire a\n";
    let mut events = fired_and(&[], Answer::Value(0));
    events.extend([(MAIN, begin(Section::Before, 2, 8)), (MAIN, end(Answer::Value(0)))]);
    let found = violations(program, Contract::one_shot(), &events);
    assert_eq!(found.iter().map(|v| (v.kind, &*v.proof)).collect::<Vec<_>>(), [(V::LostCall, &[3, 4][..])]);
}

/// A firing at an event that makes the registration end, or that shows that there is none, owes no call.
#[test]
fn a_firing_that_cannot_be_delivered_owes_nothing() {
    let nothing_ran = |cookie, section, index| [(T1, begin(section, index, cookie)), (T1, end(Answer::Value(0)))];
    let fired = nothing_ran(1, Section::Thread(0), 0);
    assert_eq!(judged("callback a\nthread\n fire a\n", &fired), [], "never registered");
    assert_eq!(judged("callback a\nthread\n invoke a\n", &fired), [V::LostCall], "a scope registers by itself");
    let mixed_up = "hostile wrong_user_data\ncallback a\nbefore\n register a\nthread\n fire a\n";
    assert_eq!(judged(mixed_up, &then(fired)), [], "the library may have passed another user data");
    // A scope that begins when the session closes, or when the callback is being revoked.
    let scope = "callback a\nbefore\n revoke a\nthread\n invoke a\n";
    let closing = [(MAIN, Closing)].into_iter().chain(fired).collect::<Vec<_>>();
    assert_eq!(judged(scope, &closing), []);
    let ending = [(MAIN, before(0))].into_iter().chain(fired).collect::<Vec<_>>();
    assert_eq!(judged(scope, &ending), []);
}

#[test]
fn a_post_is_owed_only_if_it_was_deliverable_and_done() {
    let posted = |registered: bool, answer| {
        let events = [begin(Section::Thread(0), 0, 4), end(answer), begin(Section::Thread(0), 1, 0), end(Answer::Done)];
        let events = events.map(|kind| (T1, kind));
        if registered { then(events) } else { events.to_vec() }
    };
    let program = "callback a\nbefore\n register a\nthread\n post a\n barrier\n";
    assert_eq!(judged(program, &posted(true, Answer::Done)), [V::LostCall]);
    assert_eq!(judged(program, &posted(true, Answer::Refused)), []);
    assert_eq!(judged(program, &posted(false, Answer::Done)), []);
}

#[test]
fn a_post_that_races_one_barrier_is_owed_to_the_next() {
    let program = "callback a\nbefore\n register a\nthread\n post a\nthread\n barrier\n barrier\n";
    let barrier = |index| begin(Section::Thread(1), index, 0);
    let done = end(Answer::Done);
    let racing = [(T1, begin(Section::Thread(0), 0, 4)), (T2, barrier(0)), (T1, done), (T2, done)];
    assert_eq!(judged(program, &then(racing)), []);
    let next = [(T2, barrier(1)), (T2, done)];
    assert_eq!(judged(program, &then(racing.into_iter().chain(next))), [V::LostCall]);
}

#[test]
fn the_one_call_of_a_one_shot_may_be_that_of_another_firing() {
    let program =
        "callback a\ncallback b\nbefore\n register a b\n fire a\n fire a\n fire b\n revoke a\n revoke a\n shutdown\n";
    let run = |after: &[EventKind]| {
        let first = [begin(Section::Before, 1, 7), end(Answer::Value(0)), begin(Section::Before, 2, 8)];
        let events: Vec<_> = first.iter().chain(after).map(|kind| (MAIN, *kind)).collect();
        judged_with(program, Contract::one_shot(), &then(events))
    };
    let done = end(Answer::Value(0));
    assert_eq!(run(&[done]), [V::LostCall]);
    assert_eq!(run(&[enter(A, 8), leave(A, 0), done]), []);
    assert_eq!(run(&[TurnedAway { callback: A, cookie: 8, why: Turned::Busy }, done]), []);
    // The first revocation counts, not a later one and not the end of the session.
    let removed = end(Answer::Removed);
    assert_eq!(run(&[done, before(4), removed, Late { cookie: 8 }, before(5), removed, Closing]), []);
    assert_eq!(run(&[done, Late { cookie: 8 }, before(4), removed, Closing]), [V::LostCall]);
    // `shutdown` begins to close the session.
    assert_eq!(run(&[done, before(6), Late { cookie: 8 }, Closing]), []);
    // A firing of b neither takes a's call nor uses up b's.
    let b_registered = [Registered { callback: B }, enter(A, 8), leave(A, 0), done, begin(Section::Before, 3, 9), done];
    assert_eq!(run(&b_registered), [V::LostCall]);
    let b_ran = [done, begin(Section::Before, 3, 9), enter(B, 9), leave(B, 0), done];
    assert_eq!(run(&b_ran), [V::LostCall]);
}

#[test]
fn the_first_identifier_that_the_program_does_not_have_is_a_churned_callback() {
    let events =
        [begin(Section::Before, 1, 7), enter(CallbackId(2), 7), leave(CallbackId(2), 0), end(Answer::Value(0))];
    assert_eq!(judged(FIRED, &then(events.map(|kind| (MAIN, kind)))), [V::Aliased, V::LostCall]);
}

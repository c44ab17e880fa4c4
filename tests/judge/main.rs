//! Each rule of the ledger: events that break it, and the nearest events that do not.

use latecall::ledger::EventKind::{self, *};
use latecall::ledger::{Answer, Contract, Event, Section, StepId, ThreadNo, Turned, ViolationKind as V, judge};
use latecall::program::{CallbackId, GateId, Program};

const A: CallbackId = CallbackId(0);
const B: CallbackId = CallbackId(1);
const MAIN: ThreadNo = ThreadNo(0);
const T1: ThreadNo = ThreadNo(1);
const T2: ThreadNo = ThreadNo(2);

/// The broken rules of these events, in order.
fn judged(program: &str, events: &[(ThreadNo, EventKind)]) -> Vec<V> {
    judged_with(program, Contract::default(), events)
}

fn judged_with(program: &str, contract: Contract, events: &[(ThreadNo, EventKind)]) -> Vec<V> {
    let program = Program::parse(program).unwrap();
    let events: Vec<Event> = events.iter().map(|&(thread, kind)| Event { thread, kind }).collect();
    let verdict = judge(&program, contract, &events);
    for violation in &verdict.violations {
        assert!(violation.proof.iter().all(|at| *at < events.len()), "a proof points nowhere: {violation:?}");
        assert!(!violation.text.contains('?'), "a violation without a name: {violation}");
    }
    verdict.violations.iter().map(|v| v.kind).collect()
}

fn begin(section: Section, index: u16, cookie: u32) -> EventKind {
    OpBegin { step: StepId { section, index }, cookie }
}

fn before(index: u16) -> EventKind {
    begin(Section::Before, index, 0)
}

fn end(answer: Answer) -> EventKind {
    OpEnd { answer }
}

fn enter(callback: CallbackId, cookie: u32) -> EventKind {
    Enter { callback, cookie, misdirected: false }
}

fn leave(callback: CallbackId, value: i64) -> EventKind {
    Leave { callback, value }
}

/// `register a` as the first step of `before`.
fn registered() -> Vec<(ThreadNo, EventKind)> {
    vec![(MAIN, before(0)), (MAIN, Registered { callback: A }), (MAIN, end(Answer::Done))]
}

/// Those, then these.
fn then(events: impl IntoIterator<Item = (ThreadNo, EventKind)>) -> Vec<(ThreadNo, EventKind)> {
    registered().into_iter().chain(events).collect()
}

const FIRED: &str = "callback a\ncallback b\nbefore\n register a\n fire a\n";
const FIRED_T1: &str = "callback a\nbefore\n register a\nthread\n fire a\nthread\n revoke a\n";
const WAITED: &str = "callback a\nbefore\n register a\nthread\n fire a\nthread\n revoke_and_wait a\n";

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
    // Refused: the closure was handed over, so somebody has to free it.
    let refused = [(MAIN, before(0)), (MAIN, Refused { callback: A }), (MAIN, end(Answer::Refused)), (MAIN, Closed)];
    assert_eq!(judged(FIRED_T1, &refused), [V::Leak]);
}

fn fired_and(events: &[EventKind], answer: Answer) -> Vec<(ThreadNo, EventKind)> {
    let mut all = then([(MAIN, begin(Section::Before, 1, 7))]);
    all.extend(events.iter().map(|kind| (MAIN, *kind)));
    all.push((MAIN, end(answer)));
    all
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
    let once = Contract { once: true };
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
fn a_panic_that_comes_out_of_the_library() {
    let events = fired_and(&[enter(A, 7), Unwind { callback: A }, UnwindEscaped], Answer::Refused);
    assert_eq!(judged(FIRED, &events), [V::UnwindEscaped]);
    let contained = fired_and(&[enter(A, 7), Unwind { callback: A }], Answer::Value(0));
    assert_eq!(judged(FIRED, &contained), []);
}

#[test]
fn an_op_that_does_not_answer_as_the_program_says() {
    let program = |expect: &str| format!("callback a\nbefore\n register a\n fire a = {expect}\n");
    let ran = fired_and(&[enter(A, 7), leave(A, 5)], Answer::Value(5));
    assert_eq!(judged(&program("5"), &ran), []);
    assert_eq!(judged(&program("6"), &ran), [V::Unexpected]);
    assert_eq!(judged(&program("late"), &ran), [V::Unexpected]);
    let released = "callback a\nbefore\n register a\n release a\n fire a = late\n";
    let late = then([
        (MAIN, before(1)),
        (MAIN, end(Answer::Quiescent)),
        (MAIN, begin(Section::Before, 2, 9)),
        (MAIN, Late { cookie: 9 }),
        (MAIN, end(Answer::Value(0))),
    ]);
    assert_eq!(judged(released, &late), []);
    let expects_zero = released.replace("late", "0");
    assert_eq!(judged(&expects_zero, &late), [V::Unexpected], "late is not the value 0");
}

#[test]
fn gates_that_gave_up_are_counted_and_are_no_violation() {
    let program = Program::parse("callback a\n hold g\nbefore\n register a\nthread\n open g\n").unwrap();
    let events = [
        Event { thread: T1, kind: Held { gate: GateId(0) } },
        Event { thread: T1, kind: LetGo { gate: GateId(0), gave_up: true } },
    ];
    let verdict = judge(&program, Contract::default(), &events);
    assert!(verdict.is_clean());
    assert_eq!(verdict.gave_up, 1);
}

/// The judge reads what a broken run left behind: it must not fall over.
#[test]
fn events_in_no_order_do_not_panic() {
    let kinds = [
        end(Answer::Done),
        before(99),
        begin(Section::Body(CallbackId(60)), 3, 5),
        Registered { callback: CallbackId(60) },
        Dropped { callback: CallbackId(60) },
        BlockUsed { callback: CallbackId(60) },
        BlockFreed { callback: CallbackId(60) },
        Unwind { callback: CallbackId(60) },
        leave(CallbackId(60), 0),
        UnwindEscaped,
        Closed,
        Late { cookie: 1234 },
    ];
    let program = Program::parse("").unwrap();
    for first in kinds {
        for second in kinds {
            let events = [Event { thread: T1, kind: first }, Event { thread: T2, kind: second }];
            judge(&program, Contract::default(), &events);
        }
    }
}

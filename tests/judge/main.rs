//! Each rule of the ledger: events that break it, and the nearest events that do not.

mod answers;
mod delivery;
mod lifetime;
mod names;
mod quiescence;
mod threads;

use latecall::ledger::EventKind::{self, *};
use latecall::ledger::{
    Answer, Contract, Event, Section, StepId, ThreadNo, Turned, Violation, ViolationKind as V, judge,
};
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
    violations(program, contract, events).iter().map(|v| v.kind).collect()
}

fn violations(program: &str, contract: Contract, events: &[(ThreadNo, EventKind)]) -> Vec<Violation> {
    let program = Program::parse(program).unwrap();
    let events: Vec<Event> = events.iter().map(|&(thread, kind)| Event::new(thread, kind)).collect();
    let verdict = judge(&program, contract, &events);
    for violation in &verdict.violations {
        assert!(violation.proof.iter().all(|at| *at < events.len()), "a proof points nowhere: {violation:?}");
        assert!(!violation.text.contains('?'), "a violation without a name: {violation}");
    }
    verdict.violations
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

fn fired_and(events: &[EventKind], answer: Answer) -> Vec<(ThreadNo, EventKind)> {
    let mut all = then([(MAIN, begin(Section::Before, 1, 7))]);
    all.extend(events.iter().map(|kind| (MAIN, *kind)));
    all.push((MAIN, end(answer)));
    all
}

#[test]
fn gates_that_gave_up_are_counted_and_are_no_violation() {
    let program = Program::parse("callback a\n hold g\nbefore\n register a\nthread\n open g\n").unwrap();
    let events = [Event::new(T1, Held { gate: GateId(0) }), Event::new(T1, LetGo { gate: GateId(0), gave_up: true })];
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
            let events = [Event::new(T1, first), Event::new(T2, second)];
            let _ = judge(&program, Contract::default(), &events);
        }
    }
}

#[test]
fn calls_and_late_calls_are_counted() {
    let program = Program::parse(FIRED).unwrap();
    let kinds =
        [enter(A, 0), leave(A, 0), Late { cookie: 0 }, enter(A, 0), leave(A, 0), Late { cookie: 9 }, enter(A, 0)];
    let events: Vec<Event> = kinds.into_iter().map(|kind| Event::new(T1, kind)).collect();
    let verdict = judge(&program, Contract::default(), &events);
    assert_eq!((verdict.calls, verdict.defused, verdict.gave_up), (3, 2, 0));
}

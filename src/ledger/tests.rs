//! The log and the witness by themselves: which run an event belongs to, and what a callback reports of its life.
//! (Events that come after the end of their run are counted for the whole process, so `tests/run.rs` has them.)

use super::event::{Call, Event, EventKind, ThreadNo, Turned};
use super::log::{self, Interpreter, Ledger, MAX_EVENTS, RunId};
use super::witness::{Witness, inside_callback};
use crate::program::{CallbackId, Program, Site};
use crate::sync::{Arc, AtomicUsize, Mutex, Ordering, catch, lock, thread};
use std::any::Any;
use std::cell::RefCell;

const A: CallbackId = CallbackId(3);
const T1: ThreadNo = ThreadNo(1);

/// A run whose callbacks do what the test says.
struct Run<F> {
    body: F,
    anonymous: AtomicUsize,
}

impl<F: Fn(CallbackId, &Call) -> i64 + Send + Sync> Interpreter for Run<F> {
    fn program(&self) -> Program {
        Program::default()
    }

    fn body(&self, callback: CallbackId, _: ThreadNo, call: &Call) -> i64 {
        (self.body)(callback, call)
    }

    fn at(&self, _: ThreadNo, _: Site) {}

    fn anonymous_dropped(&self) {
        self.anonymous.fetch_add(1, Ordering::Relaxed);
    }
}

/// A ledger that this thread works for, as thread `t1`, with a run whose bodies are `body`.
fn opened<F: Fn(CallbackId, &Call) -> i64 + Send + Sync + 'static>(body: F) -> (&'static Ledger, Arc<Run<F>>) {
    let ledger = Ledger::open();
    let run = Arc::new(Run { body, anonymous: AtomicUsize::new(0) });
    ledger.attach(run.clone());
    log::enter_run(ledger.id(), T1);
    (ledger, run)
}

fn closed(ledger: &'static Ledger) {
    log::leave_run();
    assert!(ledger.detach(1), "no thread is in the run");
    ledger.close();
}

fn kinds(ledger: &Ledger) -> Vec<EventKind> {
    ledger.events().expect("few events").iter().map(|event| event.kind).collect()
}

#[test]
fn an_identifier_reads_back_from_its_integer_which_is_neither_null_nor_an_address() {
    let ledger = Ledger::open();
    let id = ledger.id();
    let bits = id.to_bits();
    assert_eq!(RunId::from_bits(bits), Some(id));
    ledger.close();
    let again = Ledger::open();
    assert_ne!(again.id().to_bits(), bits, "another run");
    assert_eq!(RunId::from_bits(again.id().to_bits()), Some(again.id()));
    assert_ne!(again.id(), id);
    again.close();
    let local = 0;
    for other in [0, u64::MAX, bits | 1 << 63, (&raw const local).addr() as u64] {
        assert_eq!(RunId::from_bits(other), None, "{other:#x}");
    }
}

#[test]
fn two_runs_at_once_have_ledgers_of_their_own() {
    let (one, two) = (Ledger::open(), Ledger::open());
    assert_ne!(one.id().to_bits(), two.id().to_bits());
    one.report(T1, EventKind::Closing);
    assert_eq!((one.progress(), two.progress()), (1, 0));
    for ledger in [one, two] {
        assert!(Ledger::find(ledger.id()).is_some_and(|found| std::ptr::eq(found, ledger)));
        ledger.close();
    }
}

#[test]
fn a_run_is_found_until_it_is_over() {
    let ledger = Ledger::open();
    let id = ledger.id();
    assert!(Ledger::for_event(id).is_some_and(|found| std::ptr::eq(found, ledger)));
    ledger.close();
    assert!(Ledger::find(id).is_none());
}

#[test]
fn the_next_run_of_a_ledger_begins_with_an_empty_log() {
    let first = Ledger::open();
    for _ in 0..3 {
        first.report(T1, EventKind::Closed);
    }
    first.close();
    // Other tests take ledgers, too: some of these runs have the ledger of the first.
    let runs: Vec<_> = (0..4).map(|_| Ledger::open()).collect();
    for ledger in runs {
        assert_eq!(ledger.progress(), 0);
        assert_eq!(ledger.events(), Some(vec![]));
        ledger.close();
    }
}

#[test]
fn events_are_in_the_order_of_their_reports_until_there_are_too_many() {
    let ledger = Ledger::open();
    let at = |i: usize| Event::new(ThreadNo(2), EventKind::Leave { callback: A, value: i as i64 });
    for i in 0..MAX_EVENTS {
        assert_eq!(ledger.progress(), i);
        ledger.report(at(i).thread, at(i).kind);
    }
    let events = ledger.events().expect("the log is full and no more");
    assert_eq!(events.len(), MAX_EVENTS);
    assert!(events.iter().enumerate().all(|(i, event)| *event == at(i)));
    ledger.report(T1, EventKind::Closed);
    assert_eq!(ledger.events(), None, "an event is missing");
    ledger.close();
}

thread_local! {
    static HEARD: RefCell<Vec<(usize, Event)>> = const { RefCell::new(Vec::new()) };
}

#[test]
fn a_listener_hears_each_event_of_its_thread_with_its_place() {
    let ledger = Ledger::open();
    ledger.report(T1, EventKind::Closing);
    log::listen(Some(|at, event| HEARD.with_borrow_mut(|heard| heard.push((at, *event)))));
    ledger.report(T1, EventKind::UnwindEscaped);
    thread::scope(|scope| scope.spawn(|| ledger.report(T1, EventKind::Closing)).join().unwrap());
    ledger.report(T1, EventKind::Closed);
    log::listen(None);
    ledger.report(T1, EventKind::Closing);
    let event = |kind| Event::new(T1, kind);
    assert_eq!(HEARD.take(), [(1, event(EventKind::UnwindEscaped)), (3, event(EventKind::Closed))]);
    ledger.close();
}

#[test]
fn a_thread_keeps_its_number_in_a_run_and_a_foreign_thread_is_given_one() {
    let (one, two) = (Ledger::open(), Ledger::open());
    let foreign = |n| ThreadNo(ThreadNo::FIRST_FOREIGN + n);
    log::enter_run(one.id(), T1);
    assert_eq!(log::here(), Some((one.id(), T1)));
    assert_eq!(one.thread_no(one.id()), T1);
    let numbers = || [one.thread_no(one.id()), one.thread_no(one.id())];
    let other = || thread::scope(|scope| scope.spawn(numbers).join().unwrap());
    assert_eq!(other(), [foreign(0); 2]);
    assert_eq!(other(), [foreign(1); 2], "another thread");
    // This thread's number in the one run says nothing about the other.
    assert_eq!(two.thread_no(two.id()), foreign(0));
    two.report_here(two.id(), EventKind::Closed);
    assert_eq!(two.events(), Some(vec![Event::new(foreign(0), EventKind::Closed)]));
    log::leave_run();
    assert_eq!(log::here(), None);
    one.close();
    two.close();
}

#[test]
fn a_run_is_reached_by_its_identifier_until_it_is_taken_out_and_then_it_is_freed() {
    let ledger = Ledger::open();
    let id = ledger.id();
    let run = Arc::new(Run { body: |_: CallbackId, _: &Call| 5, anonymous: AtomicUsize::new(0) });
    let value = |id| ledger.with_run(id, |run| run.body(A, T1, &Call::default()));
    assert_eq!(value(id), None, "no run yet");
    ledger.attach(run.clone());
    assert_eq!(value(id), Some(5));
    assert_eq!(Arc::strong_count(&run), 2);
    assert!(ledger.detach(1));
    assert_eq!(Arc::strong_count(&run), 1, "freed");
    assert_eq!(value(id), None);
    assert!(ledger.detach(1), "there is no run, and no thread in it");
    ledger.close();
    // The next run of the ledger is not reached by the identifier of the last.
    let next = Ledger::open();
    next.attach(run.clone());
    assert_eq!(next.with_run(id, |_| ()), None);
    assert_eq!(next.with_run(next.id(), |_| ()), Some(()));
    closed(next);
}

#[test]
fn a_run_that_a_thread_is_in_is_not_freed() {
    let (ledger, run) = opened(|_, _| 0);
    let id = ledger.id();
    assert_eq!(ledger.with_run(id, |_| ledger.detach(3)), Some(false));
    assert_eq!(Arc::strong_count(&run), 2, "the thread inside may use it");
    assert!(ledger.detach(1), "the thread has left");
    closed(ledger);
}

#[test]
fn a_witness_says_what_its_callback_is() {
    let ledger = Ledger::open();
    for (exclusive, confined) in [(false, false), (true, false), (false, true)] {
        let witness = Witness::new(ledger.id(), A, exclusive, confined, T1);
        assert_eq!((witness.callback(), witness.exclusive(), witness.confined()), (A, exclusive, confined));
    }
    log::leave_run();
    ledger.close();
}

#[test]
fn a_witness_is_at_home_on_the_thread_that_registered_it_while_the_run_lasts() {
    let (ledger, _run) = opened(|_, _| 0);
    let witness = Witness::new(ledger.id(), A, false, true, T1);
    assert!(witness.at_home());
    assert!(thread::scope(|scope| scope.spawn(|| !witness.at_home()).join().unwrap()), "another thread");
    assert!(!Witness::new(ledger.id(), A, false, true, ThreadNo(2)).at_home());
    let forgotten = Witness::new(ledger.id(), A, false, true, T1);
    drop(witness);
    closed(ledger);
    assert!(!forgotten.at_home(), "the run is over");
    std::mem::forget(forgotten); // its drop would come after the run
}

#[test]
fn a_call_runs_the_body_and_reports_that_it_entered_and_what_it_returned() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let written: Arc<Mutex<Option<&'static Ledger>>> = Arc::default();
    let (inside, log) = (seen.clone(), written.clone());
    let (ledger, _run) = opened(move |callback, call| {
        lock(&inside).push((callback, call.a, inside_callback(), lock(&log).expect("set").progress()));
        -7
    });
    *lock(&written) = Some(ledger);
    let witness = Witness::new(ledger.id(), A, false, false, T1);
    let misdirected = Call { misdirected: true, ..Call::new(9, 20, 0) };
    assert!(!inside_callback());
    assert_eq!(witness.call(&Call::new(8, 10, 0)), -7);
    assert!(!inside_callback());
    assert_eq!(witness.call(&misdirected), -7);
    drop(witness);
    // The body runs after `Enter` and before `Leave`.
    assert_eq!(*lock(&seen), [(A, 10, true, 1), (A, 20, true, 3)]);
    let expected = [
        EventKind::Enter { callback: A, cookie: 8, misdirected: false },
        EventKind::Leave { callback: A, value: -7 },
        EventKind::Enter { callback: A, cookie: 9, misdirected: true },
        EventKind::Leave { callback: A, value: -7 },
        EventKind::Dropped { callback: A },
    ];
    assert_eq!(kinds(ledger), expected);
    assert!(ledger.events().unwrap().iter().all(|event| event.thread == T1));
    closed(ledger);
}

#[test]
fn a_thread_is_inside_a_callback_until_its_outermost_call_has_returned() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let inner: Arc<Mutex<Option<Witness>>> = Arc::default();
    let (to, nested) = (seen.clone(), inner.clone());
    let (ledger, _run) = opened(move |callback, _| {
        if callback == A {
            lock(&nested).as_ref().expect("an inner callback").call(&Call::default());
        }
        lock(&to).push((callback, inside_callback()));
        0
    });
    let outer = Witness::new(ledger.id(), A, false, false, T1);
    *lock(&inner) = Some(Witness::new(ledger.id(), CallbackId(4), false, false, T1));
    outer.call(&Call::default());
    assert_eq!(*lock(&seen), [(CallbackId(4), true), (A, true)]);
    assert!(!inside_callback());
    drop((outer, lock(&inner).take()));
    closed(ledger);
}

#[test]
fn a_call_that_panics_reports_that_it_unwound_and_is_left() {
    let (ledger, _run) = opened(|_, _| std::panic::panic_any("the body says so"));
    let witness = Witness::new(ledger.id(), A, false, false, T1);
    let panic: Box<dyn Any + Send> = catch(|| witness.call(&Call::new(6, 0, 0))).unwrap_err();
    assert_eq!(panic.downcast_ref::<&str>(), Some(&"the body says so"));
    assert!(!inside_callback());
    let entered = EventKind::Enter { callback: A, cookie: 6, misdirected: false };
    assert_eq!(kinds(ledger), [entered, EventKind::Unwind { callback: A }]);
    drop(witness);
    closed(ledger);
}

#[test]
fn a_churned_callback_runs_nothing_and_is_counted_when_it_is_freed() {
    let (ledger, run) = opened(|_, _| panic!("nothing runs"));
    let witness = Witness::anonymous(ledger.id());
    assert_eq!(witness.call(&Call::new(5, 0, 0)), 0);
    let probe = witness.probe();
    probe.used();
    drop(probe);
    assert_eq!(run.anonymous.load(Ordering::Relaxed), 0);
    drop(witness);
    assert_eq!(run.anonymous.load(Ordering::Relaxed), 1);
    let unknown = CallbackId(u8::MAX);
    assert_eq!(kinds(ledger), [EventKind::Enter { callback: unknown, cookie: 5, misdirected: false }]);
    closed(ledger);
}

#[test]
fn what_a_binding_does_beside_a_call_is_reported_for_its_callback() {
    let (ledger, _run) = opened(|_, _| 0);
    let witness = Witness::new(ledger.id(), A, true, false, T1);
    witness.turn_away(&Call::new(4, 0, 0), Turned::Busy);
    let probe = witness.probe();
    probe.used();
    drop(witness);
    drop(probe);
    let expected = [
        EventKind::TurnedAway { callback: A, cookie: 4, why: Turned::Busy },
        EventKind::BlockUsed { callback: A },
        EventKind::Dropped { callback: A },
        EventKind::BlockFreed { callback: A },
    ];
    assert_eq!(kinds(ledger), expected);
    closed(ledger);
}

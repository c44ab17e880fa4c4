//! What a late call's report says. S04, S84.
#![allow(clippy::disallowed_types, reason = "a test is outside the crate and has no other locks")]

use crate::support::meeting;
use latecall::registry::{Handle, LateReport, Reason, Registry, Status};
use std::sync::Mutex;
use std::thread;

type Callbacks = Registry<dyn Fn(u64) -> u64 + Send + Sync>;

/// S04: type, label, both places, both threads, how long ago, the calling thread, both generations.
#[test]
fn the_report_names_everything_that_a_person_needs() {
    let registry = Callbacks::new().with_name("events").with_capacity_limit(1);
    let (registered_on, registration) = (line!(), registry.builder().label("tick").register(Box::new(|x| x)));
    let handle = registration.handle();
    let revoked_on = thread::scope(|scope| {
        let revoker = thread::Builder::new().name("the revoker".into());
        let revoke = || (line!(), registration.revoke()).0;
        revoker.spawn_scoped(scope, revoke).unwrap().join().unwrap()
    });
    let report: LateReport = thread::scope(|scope| {
        let caller = thread::Builder::new().name("the emitter".into());
        let call = || registry.call(handle.as_ptr(), |f| f(1)).unwrap_err().report();
        caller.spawn_scoped(scope, call).unwrap().join().unwrap()
    });
    assert_eq!(report.reason(), Reason::Stale);
    assert_eq!(report.handle(), handle);
    assert_eq!(report.registry(), Some("events"));
    assert_eq!(report.label(), Some("tick"));
    assert!(report.callback_type().contains("Fn(u64) -> u64"), "{}", report.callback_type());
    let (registered, revoked) = (report.registered().unwrap(), report.revoked().unwrap());
    assert_eq!(registered.location().map(|at| (at.file(), at.line())), Some((file!(), registered_on)));
    assert_eq!(revoked.location().map(|at| (at.file(), at.line())), Some((file!(), revoked_on)));
    assert!(registered.ago() >= revoked.ago());
    let threads = [registered.thread(), revoked.thread(), report.caller()].map(|thread| thread.number());
    assert!(threads[0] != threads[1] && threads[1] != threads[2] && threads[0] != threads[2], "{threads:?}");
    if cfg!(target_os = "linux") {
        assert_eq!(revoked.thread().name(), Some("the revoker"));
        assert_eq!(report.caller().name(), Some("the emitter"));
    }
    assert!(!report.tombstone_flushed());

    let text = report.to_string();
    let expected = [
        "late call of `tick`: ".to_owned(),
        "in registry `events`".to_owned(),
        format!("handle      slot 0, generation {}, registry {}", handle.generation(), handle.registry_id()),
        format!("registered  {}:{registered_on}:", file!()),
        format!("revoked     {}:{revoked_on}:", file!()),
        format!("called by   {}", report.caller()),
    ];
    for part in expected {
        assert!(text.contains(&part), "no {part:?} in\n{text}");
    }
}

/// Only one thing has no place: dropping the owner. The report says that much.
#[test]
fn the_report_says_when_the_owner_was_dropped() {
    let registry = Callbacks::new();
    let handle = registry.register(Box::new(|x| x)).handle();
    let late = registry.call(handle.as_ptr(), |f| f(1)).unwrap_err();
    assert!(late.report().revoked().unwrap().location().is_none());
    assert!(late.to_string().contains("revoked     by dropping the Registration"), "{late}");
}

/// A call during revocation is explained before there is a tombstone.
#[test]
fn a_call_during_revocation_is_explained_as_well() {
    let registry = Callbacks::new();
    let (visitor, host) = meeting();
    let visitor = Mutex::new(visitor);
    let registration = registry.builder().label("busy").register(Box::new(move |x| {
        visitor.lock().unwrap().stop_here();
        x
    }));
    let handle = registration.handle();
    thread::scope(|scope| {
        scope.spawn(|| registry.call(handle.as_ptr(), |f| f(1)).is_ok());
        host.wait_for_visitor();
        let _ = registration.revoke();
        assert_eq!(registry.status(handle), Ok(Status::Revoking(1)));
        let report = registry.call(handle.as_ptr(), |f| f(1)).unwrap_err().report();
        assert_eq!((report.reason(), report.label()), (Reason::Revoking, Some("busy")));
        assert!(report.revoked().is_some());
        host.let_go();
    });
}

/// Handles that never were a registration's have no history, and the report does not make one up.
#[test]
fn the_report_invents_nothing() {
    let registry = Callbacks::new();
    let live = registry.builder().label("innocent").register(Box::new(|x| x));
    for forged in [0, usize::MAX, live.handle().bits() + 1, live.handle().bits() ^ (1 << (usize::BITS - 2))] {
        let late = registry.call(Handle::from_bits(forged).as_ptr(), |f| f(1)).unwrap_err();
        let report = late.report();
        assert!(report.label().is_none() && report.registered().is_none() && report.revoked().is_none(), "{report}");
        assert!(!report.tombstone_flushed(), "{report}");
        assert!(!report.to_string().contains("innocent"), "{report}");
    }
}

/// A report is a value and an error like any other: it can be sent, kept, boxed, cloned.
#[test]
fn a_report_can_be_sent_to_another_thread() {
    fn kept<T: Send + Sync + Clone + std::error::Error + 'static>(
        report: T,
    ) -> Box<dyn std::error::Error + Send + Sync> {
        Box::new(report)
    }
    let registry = Callbacks::new();
    let report = registry.call(std::ptr::null_mut(), |f| f(1)).unwrap_err().report();
    drop(registry);
    assert!(kept(report).to_string().contains("NULL"));
}

/// The hook gets every late call, on the calling thread, and a refusal that nobody displays costs no lock: it is made here
/// while a hook of the same registry is being run.
#[test]
fn the_late_hook_is_told_of_every_late_call() {
    static SEEN: Mutex<Vec<Reason>> = Mutex::new(Vec::new());
    static HOOKED: Registry<dyn Fn(u64) -> u64 + Send + Sync> = Registry::new().with_late_hook(|late| {
        SEEN.lock().unwrap().push(late.reason());
    });
    let stale = HOOKED.register(Box::new(|x| x)).handle();
    for handle in [stale, Handle::NULL, Handle::from_bits(usize::MAX)] {
        assert!(HOOKED.call(handle.as_ptr(), |f| f(1)).is_err());
    }
    assert_eq!(*SEEN.lock().unwrap(), [Reason::Stale, Reason::Null, Reason::WrongRegistry]);
    assert_eq!(HOOKED.stats().late.total(), 3);
}

//! A C library that keeps the pointer in a static (`native/tests/registry/kept_pointer.c`).

use crate::support::drop_probe;
use latecall::registry::{LateCall, LateReport, Reason, Registry};
use latecall::thunk::Thunk;
use std::ffi::c_int;
use std::sync::Mutex;
use std::sync::atomic::{AtomicI32, Ordering::Relaxed};

unsafe extern "C" {
    safe fn kept_takes_callback(callback: Option<extern "C" fn(c_int, c_int) -> c_int>, n: c_int, m: c_int) -> c_int;
    safe fn kept_calls_again(n: c_int, m: c_int) -> c_int;
}

static REPORTS: Mutex<Vec<LateReport>> = Mutex::new(Vec::new());

fn note(late: &LateCall<'_>) {
    REPORTS.lock().unwrap().push(late.report());
}

latecall::signature! {
    /// `int (*)(int, int)`
    extern "C" fn GetNumber(n: c_int, m: c_int) -> c_int;
    late = -1;
    panic = Late;
    registry = Registry::new().with_late_hook(note);
}

/// S03 (MarshalDelegate2): 501, then 0, then released; no late call. S05: released, called by the library, then
/// unregistered: the call is reported and runs nothing. One test, because the library has one static.
#[test]
fn c_keeps_the_pointer_in_a_static_and_both_orders_end_well() {
    let number = |probe| {
        let x = AtomicI32::new(0);
        move |n, m| {
            let _owned = &probe;
            n + m + x.fetch_add(1, Relaxed) + 1
        }
    };
    let (probe, drops) = drop_probe();
    let thunk = GetNumber::thunk(number(probe));
    assert_eq!(kept_takes_callback(Some(thunk.as_fn()), 243, 257), 501);
    assert_eq!(kept_calls_again(243, 257), 502, "the closure keeps its count");
    assert_eq!(kept_takes_callback(None, 243, 257), 0);
    drop(thunk);
    assert_eq!((kept_calls_again(243, 257), drops.drops()), (-2, 1));
    assert!(REPORTS.lock().unwrap().is_empty());

    let (probe, drops) = drop_probe();
    let thunk = Thunk::<GetNumber>::builder().label("the number").thunk(GetNumber::shared(number(probe)));
    assert_eq!(kept_takes_callback(Some(thunk.as_fn()), 243, 257), 501);
    drop(thunk);
    assert_eq!((kept_calls_again(243, 257), drops.drops()), (-1, 1));
    assert_eq!(kept_takes_callback(None, 243, 257), 0);
    let reports = REPORTS.lock().unwrap();
    let [report] = &reports[..] else { panic!("{reports:?}") };
    assert_eq!((report.reason(), report.label()), (Reason::Stale, Some("the number")));
    let registered = report.registered().unwrap().location().unwrap();
    assert_eq!(registered.file(), file!());
}

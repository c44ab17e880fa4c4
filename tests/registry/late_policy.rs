//! What a late call causes besides its refusal, and that it causes nothing at the end of the process. S04, S81, S84.
#![allow(clippy::disallowed_types, reason = "a test is outside the crate and has no other locks")]

use crate::support::{Callbacks, is_subprocess, run_in_subprocess};
use latecall::registry::{Handle, LateCall, LatePolicy, Reason};
use std::sync::Mutex;

fn late(registry: &Callbacks, handle: Handle) -> Reason {
    registry.call(handle.as_ptr(), |f| f()).unwrap_err().reason()
}

/// A registration's own policy holds, also after its tombstone has been flushed, until the slot has another
/// registration with a policy of its own. The registry's policy holds for all others, and for handles that were never
/// issued.
#[test]
fn a_registration_may_have_a_policy_of_its_own() {
    static SEEN: Mutex<Vec<&str>> = Mutex::new(Vec::new());
    fn own(_: &LateCall<'_>) {
        SEEN.lock().unwrap().push("own");
    }
    fn common(_: &LateCall<'_>) {
        SEEN.lock().unwrap().push("common");
    }
    let registry = Callbacks::new().with_late_hook(common).with_tombstones(1);
    let with = registry.builder().late_policy(LatePolicy::Hook(own)).register(Box::new(|| ())).handle();
    assert_eq!(late(&registry, with), Reason::Stale);
    assert_eq!(late(&registry, Handle::NULL), Reason::Null);
    let without = registry.register(Box::new(|| ())).handle();
    assert_eq!(late(&registry, without), Reason::Stale);
    // The first tombstone has been flushed.
    assert_eq!(late(&registry, with), Reason::Stale);
    // A later registration in the first slot has a policy of its own. The registry's policy holds for the first one
    // again.
    let quiet = registry.builder().late_policy(LatePolicy::Count).register(Box::new(|| ())).handle();
    assert_eq!(quiet.index(), with.index());
    assert_eq!(late(&registry, quiet), Reason::Stale);
    assert_eq!(late(&registry, with), Reason::Stale);
    assert_eq!(*SEEN.lock().unwrap(), ["own", "common", "common", "own", "common"]);
    assert_eq!(registry.stats().late.total(), 6);
}

static REPORTING: Callbacks = Callbacks::new().with_late_policy(LatePolicy::Report);
static ABORTING: Callbacks = Callbacks::new().with_late_policy(LatePolicy::Abort);

/// S04
#[test]
fn a_report_goes_to_standard_error() {
    if is_subprocess() {
        let handle = REPORTING.builder().label("spoken of").register(Box::new(|| ())).handle();
        assert_eq!(late(&REPORTING, handle), Reason::Stale);
        return;
    }
    let out = run_in_subprocess(&a_report_goes_to_standard_error);
    let stderr = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "{stderr}");
    assert!(stderr.contains("latecall: late call of `spoken of`"), "{stderr}");
}

/// S04: the process ends at the first late call, as in .NET.
#[test]
fn abort_reports_and_ends_the_process() {
    if is_subprocess() {
        let handle = ABORTING.builder().label("last words").register(Box::new(|| ())).handle();
        let _ = late(&ABORTING, handle);
        println!("survived");
        return;
    }
    let out = run_in_subprocess(&abort_reports_and_ends_the_process);
    let (stdout, stderr) = (String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    assert!(!out.status.success() && !stdout.contains("survived"), "{stdout}\n{stderr}");
    // A panic would end the process with an exit code.
    assert!(!cfg!(unix) || out.status.code().is_none(), "not aborted: {}", out.status);
    assert!(stderr.contains("late call of `last words`") && stderr.contains("policy"), "{stderr}");
}

/// S81: late calls after `main`, from a function that was given to `atexit` before the first registration, and so runs
/// after the registry's function. They are counted, and neither reported nor aborted on. The exit code stays.
#[test]
#[cfg(unix)]
fn a_late_call_while_the_process_exits_is_quiet() {
    static HANDLES: Mutex<[Option<Handle>; 2]> = Mutex::new([None; 2]);
    extern "C" fn at_exit() {
        let [reported, aborted] = HANDLES.lock().unwrap().map(Option::unwrap);
        assert_eq!(late(&REPORTING, reported), Reason::Stale);
        assert_eq!(late(&ABORTING, aborted), Reason::Stale);
        assert_eq!(late(&ABORTING, Handle::NULL), Reason::Null);
        let counts = (REPORTING.stats().late.total(), ABORTING.stats().late.total());
        // Not `println`: the test harness may have captured standard output.
        eprintln!("counted {counts:?}");
    }
    unsafe extern "C" {
        safe fn atexit(function: extern "C" fn()) -> std::ffi::c_int;
    }
    if is_subprocess() {
        assert_eq!(atexit(at_exit), 0);
        let register = |registry: &'static Callbacks| Some(registry.register(Box::new(|| ())).handle());
        *HANDLES.lock().unwrap() = [register(&REPORTING), register(&ABORTING)];
        std::process::exit(7);
    }
    let out = run_in_subprocess(&a_late_call_while_the_process_exits_is_quiet);
    let stderr = String::from_utf8_lossy(&out.stderr);
    assert_eq!(out.status.code(), Some(7), "{stderr}");
    assert!(stderr.contains("counted (1, 2)"), "{stderr}");
    assert!(!stderr.contains("late call"), "{stderr}");
}

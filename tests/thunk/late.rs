//! What a late call of a thunk does and says.

use latecall::registry::{LateCall, LatePolicy, LateReport, Reason};
use latecall::thunk::Thunk;
use std::sync::Mutex;

/// S03 and S05 (MarshalDelegate2): the library keeps the pointer in a static.
mod library {
    use std::ffi::c_int;
    use std::sync::Mutex;

    pub(super) type Callback = extern "C" fn(c_int, c_int) -> c_int;
    static KEPT: Mutex<Option<Callback>> = Mutex::new(None);

    /// Keeps `callback` and calls it; `None` unregisters.
    pub(super) fn takes_callback(callback: Option<Callback>, n: c_int, m: c_int) -> c_int {
        *KEPT.lock().unwrap() = callback;
        callback.map_or(0, |callback| callback(n, m))
    }

    /// Calls what it has kept.
    pub(super) fn calls_again(n: c_int, m: c_int) -> Option<c_int> {
        let kept = *KEPT.lock().unwrap();
        kept.map(|callback| callback(n, m))
    }
}

/// S03: 501, then 0, then released, and no late call. S05: released first; the library's call is reported, and runs
/// nothing.
#[test]
fn a_kept_pointer_gives_501_then_0_and_the_inverse_order_is_reported() {
    use std::ffi::c_int;
    static REPORTS: Mutex<Vec<LateReport>> = Mutex::new(Vec::new());
    fn note(late: &LateCall<'_>) {
        REPORTS.lock().unwrap().push(late.report());
    }
    latecall::signature! {
        extern "C" fn GetNumber(n: c_int, m: c_int) -> c_int;
        late = -1;
        panic = Late;
        registry = latecall::registry::Registry::new().with_late_hook(note);
    }
    let number = || {
        let x = std::sync::atomic::AtomicI32::new(0);
        move |n, m| n + m + x.fetch_add(1, std::sync::atomic::Ordering::Relaxed) + 1
    };

    let thunk = GetNumber::thunk(number());
    assert_eq!(library::takes_callback(Some(thunk.as_fn()), 243, 257), 501);
    assert_eq!(library::takes_callback(None, 243, 257), 0);
    drop(thunk);
    assert_eq!(library::calls_again(243, 257), None);
    assert_eq!(GetNumber::registry().stats().late.total(), 0);

    let thunk = Thunk::<GetNumber>::builder().label("number");
    let (registered_on, thunk) = (line!(), thunk.thunk(GetNumber::shared(number())));
    assert_eq!(library::takes_callback(Some(thunk.as_fn()), 243, 257), 501);
    let (revoked_on, _) = (line!(), thunk.revoke_and_wait());
    drop(thunk);
    assert_eq!(library::calls_again(243, 257), Some(-1));
    assert_eq!(library::takes_callback(None, 243, 257), 0);

    let reports = REPORTS.lock().unwrap();
    let [report] = &reports[..] else { panic!("{reports:?}") };
    assert_eq!(
        (report.reason(), report.label(), report.registry()),
        (Reason::Stale, Some("number"), Some("GetNumber"))
    );
    let place =
        |what: Option<latecall::registry::Provenance>| what.unwrap().location().map(|at| (at.file(), at.line()));
    assert_eq!(place(report.registered()), Some((file!(), registered_on)));
    assert_eq!(place(report.revoked()), Some((file!(), revoked_on)));
    assert!(report.callback_type().contains("fn(n: c_int, m: c_int"), "{report}");
}

/// Each address in the quarantine is explained, the oldest too.
#[test]
fn every_dead_address_has_its_tombstone() {
    const DEAD: usize = if cfg!(miri) { 50 } else { 1500 };
    static LABELS: Mutex<Vec<String>> = Mutex::new(Vec::new());
    fn note(late: &LateCall<'_>) {
        LABELS.lock().unwrap().push(late.report().label().unwrap_or("no tombstone").to_owned());
    }
    latecall::signature! {
        extern "C" fn Dead();
        panic = Late;
        pool = 1600;
        quarantine = (DEAD);
    }
    let functions: Vec<_> = (0..DEAD)
        .map(|number| {
            let builder = Thunk::<Dead>::builder().label(number.to_string()).late_policy(LatePolicy::Hook(note));
            builder.thunk(Dead::shared(|| ())).as_fn()
        })
        .collect();
    functions.iter().for_each(|function| function());
    let labels = LABELS.lock().unwrap();
    assert!(labels.iter().enumerate().all(|(number, label)| *label == number.to_string()), "{labels:?}");
    assert_eq!(labels.len(), DEAD);
}

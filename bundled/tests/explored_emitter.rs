//! The bundled C library, its own sources, inside loom: a callback in Rust, unsubscribing against firing; and the
//! library with one rule broken.
#![allow(clippy::disallowed_types, reason = "a user's program has no seam")]
#![allow(clippy::arc_with_non_send_sync, reason = "loom's threads are threads of one thread")]

use latecall_bundled as _; // links the instrumented emitter
use latecall_explore::{Exploration, FindingKind, Options, explore, fail, note, replay};
use latecall_fixtures as _;
use std::ffi::c_void;
use std::ptr::null_mut;
use std::sync::Arc;

const WAITS: u32 = 1;
const RETURNS: u32 = 2;

#[repr(C)]
struct Config {
    size: u32,
    mode: u32,
    workers: u32,
    hostile: u32,
    capacity: u32,
    fail_allocation: u32,
    owner: *mut c_void,
    stall: Option<extern "C-unwind" fn(*mut c_void, u32, u64)>,
    stall_data: *mut c_void,
}

type Callback = extern "C-unwind" fn(*mut c_void, *const c_void) -> isize;

/// The library, or a mutant of it.
#[derive(Clone, Copy)]
struct Library {
    open: unsafe extern "C-unwind" fn(*const Config, *mut *mut c_void) -> u32,
    close: unsafe extern "C-unwind" fn(*mut c_void) -> u32,
    subscribe: unsafe extern "C-unwind" fn(*mut c_void, Callback, *mut c_void, *const c_void, *mut u64) -> u32,
    unsubscribe: unsafe extern "C-unwind" fn(*mut c_void, u64) -> u32,
    post: unsafe extern "C-unwind" fn(*mut c_void, u64, u64, isize, isize) -> u32,
}

macro_rules! library {
    ($name:ident, $open:literal, $close:literal, $subscribe:literal, $unsubscribe:literal, $post:literal) => {
        mod $name {
            use super::{Callback, Config, Library, c_void};
            unsafe extern "C-unwind" {
                #[link_name = $open]
                fn open(config: *const Config, out: *mut *mut c_void) -> u32;
                #[link_name = $close]
                fn close(emitter: *mut c_void) -> u32;
                #[link_name = $subscribe]
                fn subscribe(
                    emitter: *mut c_void,
                    f: Callback,
                    data: *mut c_void,
                    d: *const c_void,
                    out: *mut u64,
                ) -> u32;
                #[link_name = $unsubscribe]
                fn unsubscribe(emitter: *mut c_void, id: u64) -> u32;
                #[link_name = $post]
                fn post(emitter: *mut c_void, id: u64, cookie: u64, a: isize, b: isize) -> u32;
            }
            pub(super) const LIBRARY: Library = Library { open, close, subscribe, unsubscribe, post };
        }
    };
}

library!(
    sound,
    "model_emitter_emitter_open",
    "model_emitter_emitter_close",
    "model_emitter_emitter_subscribe",
    "model_emitter_emitter_unsubscribe",
    "model_emitter_emitter_post"
);
library!(
    forgets_to_wait,
    "mutant_forgets_to_wait_emitter_open",
    "mutant_forgets_to_wait_emitter_close",
    "mutant_forgets_to_wait_emitter_subscribe",
    "mutant_forgets_to_wait_emitter_unsubscribe",
    "mutant_forgets_to_wait_emitter_post"
);
library!(
    counts_out_early,
    "mutant_counts_out_early_emitter_open",
    "mutant_counts_out_early_emitter_close",
    "mutant_counts_out_early_emitter_subscribe",
    "mutant_counts_out_early_emitter_unsubscribe",
    "mutant_counts_out_early_emitter_post"
);
library!(
    signals_first,
    "mutant_signals_first_emitter_open",
    "mutant_signals_first_emitter_close",
    "mutant_signals_first_emitter_subscribe",
    "mutant_signals_first_emitter_unsubscribe",
    "mutant_signals_first_emitter_post"
);

library!(
    waits_too_late,
    "mutant_waits_too_late_emitter_open",
    "mutant_waits_too_late_emitter_close",
    "mutant_waits_too_late_emitter_subscribe",
    "mutant_waits_too_late_emitter_unsubscribe",
    "mutant_waits_too_late_emitter_post"
);
library!(
    notifies_early,
    "mutant_notifies_early_emitter_open",
    "mutant_notifies_early_emitter_close",
    "mutant_notifies_early_emitter_subscribe",
    "mutant_notifies_early_emitter_unsubscribe",
    "mutant_notifies_early_emitter_post"
);
library!(
    notifies_outside,
    "mutant_notifies_outside_emitter_open",
    "mutant_notifies_outside_emitter_close",
    "mutant_notifies_outside_emitter_subscribe",
    "mutant_notifies_outside_emitter_unsubscribe",
    "mutant_notifies_outside_emitter_post"
);
/// What the callback closes over.
struct Payload {
    freed: loom::cell::UnsafeCell<bool>,
    calls: loom::sync::atomic::AtomicUsize,
}

extern "C-unwind" fn callback(user_data: *mut c_void, _: *const c_void) -> isize {
    // SAFETY: the payload is freed only in name: its memory is kept to the end of the interleaving.
    let payload = unsafe { &*user_data.cast::<Payload>() };
    note("callback runs");
    let freed = payload.freed.with(|freed| {
        // SAFETY: loom fails the model when another thread writes meanwhile.
        unsafe { *freed }
    });
    if freed {
        fail("late call: user_data was freed");
    }
    let freed = payload.freed.with(|freed| {
        // SAFETY: loom fails the model when another thread writes meanwhile; `with` only lends the pointer.
        unsafe { *freed }
    });
    if freed {
        fail("user_data was freed while it was called");
    }
    // Relaxed: a count.
    payload.calls.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    0
}

/// The library's last use of user data.
extern "C-unwind" fn destroy(user_data: *mut c_void) {
    // SAFETY: as in `callback`.
    let payload = unsafe { &*user_data.cast::<Payload>() };
    note("destroy notify runs");
    payload.freed.with_mut(|freed| {
        // SAFETY: loom fails the model when another thread reads or writes meanwhile.
        unsafe { *freed = true }
    });
}

/// One worker delivers, and two threads unsubscribe; the library frees. When unsubscribing has returned, the notify is
/// over.
fn unsubscribe_twice(library: Library, posts: bool) {
    let config = config(WAITS, posts.into());
    let payload =
        Arc::new(Payload { freed: loom::cell::UnsafeCell::new(false), calls: loom::sync::atomic::AtomicUsize::new(0) });
    let user_data = Arc::as_ptr(&payload).cast_mut().cast();
    let (mut emitter, mut id) = (null_mut(), 0);
    // SAFETY: a valid config, and a place for the answer.
    assert_eq!(unsafe { (library.open)(&raw const config, &raw mut emitter) }, 0);
    let notify = destroy as *const c_void;
    // SAFETY: the emitter is open, and the payload lives to the end of this function.
    assert_eq!(unsafe { (library.subscribe)(emitter, callback, user_data, notify, &raw mut id) }, 0);
    if posts {
        // SAFETY: the emitter is open.
        assert_eq!(unsafe { (library.post)(emitter, id, 1, 0, 0) }, 0);
    }
    let unsubscribes = {
        let (payload, emitter) = (Arc::clone(&payload), emitter.expose_provenance());
        move || {
            // SAFETY: the emitter is open until both threads have returned from this.
            unsafe { (library.unsubscribe)(std::ptr::with_exposed_provenance_mut(emitter), id) };
            let freed = payload.freed.with(|freed| {
                // SAFETY: loom fails the model when another thread writes meanwhile.
                unsafe { *freed }
            });
            if !freed {
                fail("unsubscribing has returned, and the destroy notify has not run");
            }
        }
    };
    let other = (!posts).then(|| loom::thread::spawn(unsubscribes.clone()));
    unsubscribes();
    if let Some(other) = other {
        other.join().unwrap();
    }
    // SAFETY: open, and used no more.
    assert_eq!(unsafe { (library.close)(emitter) }, 0);
}

fn config(mode: u32, workers: u32) -> Config {
    Config {
        size: size_of::<Config>() as u32,
        mode,
        workers,
        hostile: 0,
        capacity: 0,
        fail_allocation: 0,
        owner: null_mut(),
        stall: None,
        stall_data: null_mut(),
    }
}

/// One worker delivers while this thread unsubscribes and frees.
fn unsubscribe_against_delivery(library: Library, mode: u32) {
    let config = config(mode, 1);
    let payload =
        Box::new(Payload { freed: loom::cell::UnsafeCell::new(false), calls: loom::sync::atomic::AtomicUsize::new(0) });
    let user_data = (&raw const *payload).cast_mut().cast();
    let (mut emitter, mut id) = (null_mut(), 0);
    // SAFETY: a valid config, and a place for the answer.
    assert_eq!(unsafe { (library.open)(&raw const config, &raw mut emitter) }, 0);
    // SAFETY: the emitter is open, and the payload lives to the end of this function.
    assert_eq!(unsafe { (library.subscribe)(emitter, callback, user_data, null_mut(), &raw mut id) }, 0);
    // SAFETY: the emitter is open.
    assert_eq!(unsafe { (library.post)(emitter, id, 1, 0, 0) }, 0);
    // SAFETY: the emitter is open.
    unsafe { (library.unsubscribe)(emitter, id) };
    note("frees user_data");
    payload.freed.with_mut(|freed| {
        // SAFETY: loom fails the model when another thread reads meanwhile.
        unsafe { *freed = true }
    });
    // SAFETY: open, and used no more.
    assert_eq!(unsafe { (library.close)(emitter) }, 0);
}

fn run(name: &str, library: Library, mode: u32) -> Exploration {
    run_body(name, move || unsubscribe_against_delivery(library, mode))
}

fn run_body(name: &str, body: impl Fn() + Copy + Send + Sync + 'static) -> Exploration {
    let exploration = explore(name, &Options::new(), body);
    println!("{exploration}");
    if let Some(finding) = &exploration.finding {
        let again = replay(name, &Options::new(), finding, body);
        assert_eq!(
            again.finding.map(|again| again.timeline),
            Some(finding.timeline.clone()),
            "{name}: not the same again"
        );
    }
    exploration
}

#[test]
fn unsubscribing_that_waits_is_exhausted() {
    let exploration = run("unsubscribe that waits", sound::LIBRARY, WAITS);
    exploration.check();
    assert!(exploration.interleavings > 10, "{exploration}");
}

#[test]
fn unsubscribing_that_returns_is_convicted_of_a_late_call() {
    let exploration = run("unsubscribe that returns", sound::LIBRARY, RETURNS);
    let finding = exploration.finding.as_ref().expect("a late call");
    assert!(matches!(finding.kind, FindingKind::Failed | FindingKind::DataRace), "{exploration}");
    assert!(finding.timeline.contains("callback runs") && finding.timeline.contains("fire.c"), "{exploration}");
    assert!(finding.interleaving < 1000, "{exploration}");
}

#[test]
fn mutants_of_the_library_are_convicted() {
    let exploration = run("forgets to wait", forgets_to_wait::LIBRARY, WAITS);
    assert!(matches!(exploration.finding.expect("a late call").kind, FindingKind::Failed | FindingKind::DataRace));
    let exploration = run("counts out early", counts_out_early::LIBRARY, WAITS);
    assert!(matches!(exploration.finding.expect("a late call").kind, FindingKind::Failed | FindingKind::DataRace));
    let exploration = run("signals first", signals_first::LIBRARY, WAITS);
    exploration.assert_convicted(FindingKind::Deadlock);
}

#[test]
fn a_wake_up_between_looking_and_waiting_is_a_deadlock() {
    let exploration = run("waits too late", waits_too_late::LIBRARY, WAITS);
    let finding = exploration.assert_convicted(FindingKind::Deadlock);
    assert!(finding.message.contains("condition") && finding.timeline.contains("frame.c"), "{finding}");
}

#[test]
fn a_destroy_notify_comes_after_the_last_call_and_before_unsubscribing_returns() {
    for (name, posts) in [("a call and a notify", true), ("two unsubscribe", false)] {
        let exploration = run_body(name, move || unsubscribe_twice(sound::LIBRARY, posts));
        exploration.check();
        assert!(exploration.interleavings > 5, "{exploration}");
    }
    let exploration = run_body("notifies early", || unsubscribe_twice(notifies_early::LIBRARY, true));
    let finding = exploration.finding.expect("a notify before the last call has ended");
    assert!(
        matches!(finding.kind, FindingKind::Failed | FindingKind::DataRace) && finding.timeline.contains("notify"),
        "{finding}"
    );
    let exploration = run_body("notifies outside", || unsubscribe_twice(notifies_outside::LIBRARY, false));
    let finding = exploration.finding.expect("unsubscribing that returns before the notify has run");
    assert!(matches!(finding.kind, FindingKind::Failed | FindingKind::DataRace), "{finding}");
}

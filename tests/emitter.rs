//! The C library from Rust: the linked copy and the object that is loaded at run time behave alike, and an object that
//! is not the library is refused with a reason.
#![allow(clippy::disallowed_types, reason = "a user's program has no seam")]

use latecall_bundled::emitter::{
    Api, Config, Emitter, EmitterEvent, LoadError, Mode, Status, bundled_object, older_object,
};
use std::ffi::c_void;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

unsafe extern "C-unwind" fn sum(_user_data: *mut c_void, event: *const EmitterEvent) -> isize {
    // SAFETY: the library's event is valid until this returns.
    let event = unsafe { &*event };
    event.a + event.b
}

unsafe extern "C-unwind" fn counting(user_data: *mut c_void, event: *const EmitterEvent) -> isize {
    // SAFETY: every use below passes a counter that outlives the emitter.
    let calls = unsafe { &*user_data.cast::<AtomicUsize>() };
    // SAFETY: the library's event is valid until this returns.
    let event = unsafe { &*event };
    event.a + event.b + calls.fetch_add(1, Ordering::SeqCst) as isize + 1
}

unsafe extern "C-unwind" fn notified(user_data: *mut c_void) {
    // SAFETY: every use below passes a counter that outlives the emitter.
    unsafe { &*user_data.cast::<AtomicUsize>() }.fetch_add(1000, Ordering::SeqCst);
}

fn over_both(test: impl Fn(&'static Api)) {
    test(Api::linked());
    test(Api::load(&bundled_object()).unwrap());
}

fn open(api: &'static Api, mode: Mode) -> Emitter {
    // SAFETY: 1. the config sets no hook, so there is none that could read what it must not.
    unsafe { Emitter::open(api, &Config::new(mode)) }.unwrap()
}

fn close(emitter: &Emitter) -> Status {
    // SAFETY: 1. each test closes its emitter last.
    unsafe { emitter.close() }
}

#[test]
fn linked_and_loaded_are_two_libraries_of_one_version() {
    let loaded = Api::load(&bundled_object()).unwrap();
    assert!(!std::ptr::eq(loaded, Api::linked()));
    assert_eq!(loaded.abi_version(), Api::linked().abi_version());
    assert_eq!(Api::linked().origin(), "linked");
    assert_eq!(loaded.origin(), bundled_object().display().to_string());
}

/// S02, MarshalDelegate1: 500.
#[test]
fn call_scoped_use_gives_500() {
    over_both(|api| {
        let emitter = open(api, Mode::Scoped);
        // SAFETY: 1. `sum` reads no user data.
        let answer = unsafe { emitter.invoke(sum, std::ptr::null_mut(), 1, 243, 257) };
        assert_eq!(answer, (Status::OK, 500));
        assert_eq!(emitter.live(), 0, "nothing is retained");
        assert_eq!(close(&emitter), Status::OK);
    });
}

/// S03, MarshalDelegate2: 501, then 0 after unregistering, and only then release.
#[test]
fn retained_use_gives_501_then_0() {
    over_both(|api| {
        let calls = AtomicUsize::new(0);
        let emitter = open(api, Mode::Deferred);
        // SAFETY: 1., 2. `calls` outlives the emitter.
        let id = unsafe { emitter.subscribe(counting, (&raw const calls).cast_mut().cast(), Some(notified)) }.unwrap();
        assert_eq!(emitter.fire(id, 1, 243, 257), (Status::OK, 501));
        assert_eq!(calls.load(Ordering::SeqCst), 1, "not notified while subscribed");
        assert_eq!(emitter.unsubscribe(id), Status::OK);
        assert_eq!(emitter.fire(id, 2, 243, 257), (Status::NOT_FOUND, 0));
        assert_eq!(calls.load(Ordering::SeqCst), 1001, "called once, notified once");
        assert_eq!(close(&emitter), Status::OK);
        assert_eq!(calls.load(Ordering::SeqCst), 1001);
    });
}

#[test]
fn the_library_says_what_its_statuses_mean() {
    over_both(|api| {
        for n in 0..=8 {
            let text = api.status_text(Status(n));
            assert!(text.len() > 2, "{n}: {text}");
            assert_eq!(text, Status(n).to_string());
        }
        assert_eq!(Status(0).ok(), Ok(()));
        assert_eq!(Status::FULL.ok(), Err(Status::FULL));
    });
}

/// Rust's layouts are those that the library was compiled with: the library refuses a config of another size, and puts
/// the owner and the cookie where `EmitterEvent` has them.
#[test]
fn layouts_agree_with_the_header() {
    unsafe extern "C-unwind" fn look(user_data: *mut c_void, event: *const EmitterEvent) -> isize {
        // SAFETY: the library's event is valid until this returns.
        let event = unsafe { *event };
        let owner = event.owner.addr() == 0x0123_4567;
        let ids = event.subscription != 0 && event.user_data_of == event.subscription && !event.source.is_null();
        isize::from(owner && ids && event.cookie == 99 && event.a == -7 && event.b == 8 && user_data.addr() == 42)
    }
    over_both(|api| {
        let mut config = Config::new(Mode::Returns);
        config.owner = std::ptr::without_provenance_mut(0x0123_4567);
        // SAFETY: 1. the config sets no hook.
        let emitter = unsafe { Emitter::open(api, &config) }.unwrap();
        // SAFETY: 1. `look` only compares the user data and does not follow it.
        let id = unsafe { emitter.subscribe(look, std::ptr::without_provenance_mut(42), None) }.unwrap();
        assert_eq!(emitter.fire(id, 99, -7, 8), (Status::OK, 1));
        assert_eq!(close(&emitter), Status::OK);

        config.size += 8;
        // SAFETY: 1. the config sets no hook.
        let refused = unsafe { Emitter::open(api, &config) }.unwrap_err();
        assert_eq!(refused, Status::BAD_ARGUMENT);
    });
}

#[test]
fn a_missing_object_is_named() {
    let path = Path::new("no/such/libemitter.so");
    let error = Api::load(path).unwrap_err();
    assert!(matches!(error, LoadError::Open { .. }), "{error:?}");
    let text = error.to_string();
    assert!(text.contains("no/such/libemitter.so") && text.contains("cargo build"), "{text}");
}

#[test]
fn a_file_that_is_no_object_is_named() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
    let error = Api::load(&path).unwrap_err();
    assert!(matches!(error, LoadError::Open { .. }), "{error:?}");
    assert!(error.to_string().contains("Cargo.toml"), "{error}");
}

#[test]
fn a_foreign_object_is_refused_by_the_symbol_it_lacks() {
    let error = Api::load(Path::new("libm.so.6")).unwrap_err();
    assert!(matches!(error, LoadError::Foreign { .. }), "{error:?}");
    let text = error.to_string();
    assert!(text.contains("libm.so.6") && text.contains("emitter_abi_version"), "{text}");
}

#[test]
fn an_older_object_is_refused_with_both_versions() {
    let error = Api::load(&older_object()).unwrap_err();
    assert!(matches!(error, LoadError::Version { found: 0, expected: 1, .. }), "{error:?}");
    let text = error.to_string();
    assert!(text.contains("version 0") && text.contains("version 1") && text.contains("libemitter-older.so"), "{text}");
}

//! What a trampoline does with a panic: abort, late value, carry. S62, S64, S65.
#![allow(clippy::disallowed_types, reason = "a test is outside the crate and has no other locks")]

use crate::support::{again, grave, is_again};
use latecall::registry::{LateCall, Quiescence, Registry, Status};
use latecall::signature::carry;
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::thread;

latecall::signature! {
    extern "C" fn Contained(which: u32, user_data) -> i32;
    late = -7;
    panic = Late;
}

latecall::signature! {
    extern "C" fn Carried(which: u32, user_data) -> i32;
    late = -8;
    panic = Carry;
}

latecall::signature! {
    extern "C" fn Aborted(user_data) -> i32;
    late = -9;
    panic = Abort;
}

struct PanicsOnDrop;
impl Drop for PanicsOnDrop {
    fn drop(&mut self) {
        // Its own payload's destructor panics too.
        panic_any(Bomb);
    }
}
struct Bomb;
impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("in the payload of the payload");
    }
}

/// S62: C gets the declared value, the panic is counted, the call is counted out, and the callback goes on.
#[test]
fn a_panic_becomes_the_late_value() {
    let registration =
        Contained::registry().register(Contained::shared(|which| if which == 0 { panic!("out") } else { 5 }));
    let handle = registration.handle();
    let before = Contained::registry().stats().panics;
    assert_eq!(Contained::function()(0, handle.as_ptr()), -7);
    assert!(Contained::registry().stats().panics > before);
    assert_eq!(Contained::registry().status(handle), Ok(Status::Live(0)));
    assert_eq!(Contained::function()(1, handle.as_ptr()), 5);
    assert_eq!(registration.revoke_and_wait(), Quiescence::Quiescent);
}

/// S64: a payload whose destructor panics, with a payload whose destructor panics.
#[test]
fn a_payload_whose_destructor_panics_is_contained() {
    let (grave, watch) = grave();
    let registration = Contained::registry().register(Contained::shared(move |_| {
        let _owned = &grave;
        panic_any(PanicsOnDrop)
    }));
    let handle = registration.handle();
    let before = Contained::registry().stats().swallowed_panics;
    assert_eq!(Contained::function()(0, handle.as_ptr()), -7);
    assert!(Contained::registry().stats().swallowed_panics > before);
    assert_eq!(registration.revoke_and_wait(), Quiescence::Quiescent);
    assert_eq!(watch.drops(), 1, "no count was lost");
}

/// S64: the destructor of a revoked callback's closure, run by the last call to leave, does not get to C either.
#[test]
fn a_destructor_that_panics_on_the_way_out_is_contained() {
    struct Panics;
    impl Drop for Panics {
        fn drop(&mut self) {
            panic!("in the destructor");
        }
    }
    let own = std::sync::OnceLock::new();
    let own: &'static std::sync::OnceLock<latecall::registry::Handle> = Box::leak(Box::new(own));
    let bomb = Panics;
    let handle = Contained::registry()
        .register(Contained::shared(move |_| {
            let _owned = &bomb;
            let _ = Contained::registry().revoke(*own.get().unwrap());
            6
        }))
        .leak();
    own.set(handle).unwrap();
    assert_eq!(Contained::function()(0, handle.as_ptr()), -7);
    assert_eq!(Contained::registry().status(handle), Ok(Status::Revoked));

    // By the destroy function.
    let bomb = Panics;
    let handle = Contained::registry()
        .register(Contained::shared(move |_| {
            let _owned = &bomb;
            6
        }))
        .leak();
    Contained::destroy()(handle.as_ptr());
    assert_eq!(Contained::registry().status(handle), Ok(Status::Revoked));
}

/// S65: the hook that is told of late calls fails; C gets the late value all the same.
#[test]
fn a_late_hook_that_panics_is_contained() {
    fn hook(_: &LateCall<'_>) {
        panic!("in the hook");
    }
    latecall::signature! {
        extern "C" fn Hooked(user_data) -> i32;
        late = -3;
        panic = Late;
        registry = Registry::new().with_late_hook(hook);
    }
    assert_eq!(Hooked::function()(std::ptr::null_mut()), -3);
    let stats = Hooked::registry().stats();
    assert_eq!((stats.late.total(), stats.panics), (1, 1), "both are counted");
}

/// What a C function does that calls back twice.
fn twice(handle: latecall::registry::Handle) -> [i32; 2] {
    [0, 1].map(|which| Carried::function()(which, handle.as_ptr()))
}

/// S62: the first panic goes on in the Rust caller, after C has returned; the payload is the one that was thrown.
#[test]
fn a_panic_is_carried_to_the_rust_caller() {
    let registration = Carried::registry().register(Carried::shared(|which| panic_any(which + 40)));
    let handle = registration.handle();
    let mut answers = None;
    let panic = catch_unwind(AssertUnwindSafe(|| carry(|| answers = Some(twice(handle))))).unwrap_err();
    assert_eq!(panic.downcast_ref::<u32>(), Some(&40), "the first of two");
    assert_eq!(answers, Some([-8, -8]), "C was returned to");
    assert_eq!(carry(|| 3), 3, "nothing is left over");
}

/// S62: nested: the nearest one gets it; one on another thread, or none, does not.
#[test]
fn a_panic_is_carried_to_the_nearest_caller_on_its_thread() {
    let registration = Carried::registry().register(Carried::shared(|which| panic_any(which)));
    let handle = registration.handle();
    let outer = catch_unwind(AssertUnwindSafe(|| {
        carry(|| {
            let inner = catch_unwind(AssertUnwindSafe(|| carry(|| Carried::function()(1, handle.as_ptr()))));
            assert_eq!(inner.unwrap_err().downcast_ref::<u32>(), Some(&1));
            // On another thread there is nobody to carry it to.
            thread::scope(|scope| {
                let call = scope.spawn(|| Carried::function()(2, handle.as_ptr()));
                assert_eq!(call.join().unwrap(), -8);
            });
        });
    }));
    assert!(outer.is_ok());
    assert_eq!(Carried::function()(3, handle.as_ptr()), -8, "none: late value");
}

/// When a `carry` is over the one around it is the nearest again, and after the last there is none: a payload is dropped
/// there and then.
#[test]
fn a_carry_that_is_over_gets_nothing() {
    struct Payload(Arc<AtomicUsize>);
    impl Drop for Payload {
        fn drop(&mut self) {
            self.0.fetch_add(1, SeqCst);
        }
    }
    let dropped = Arc::new(AtomicUsize::new(0));
    let thrown = Arc::clone(&dropped);
    let registration = Carried::registry().register(Carried::shared(move |which| match which {
        0 => 0,
        _ => panic_any(Payload(Arc::clone(&thrown))),
    }));
    let handle = registration.handle();
    let outer = catch_unwind(AssertUnwindSafe(|| {
        carry(|| {
            assert_eq!(carry(|| Carried::function()(0, handle.as_ptr())), 0);
            assert_eq!(Carried::function()(1, handle.as_ptr()), -8);
            assert_eq!(dropped.load(SeqCst), 0, "on its way");
        });
    }));
    assert!(outer.unwrap_err().is::<Payload>());
    assert_eq!(dropped.load(SeqCst), 1);
    assert_eq!(Carried::function()(1, handle.as_ptr()), -8);
    assert_eq!(dropped.load(SeqCst), 2, "nobody to carry it to");
}

/// A panic of the caller itself is not held up by `carry`, and leaves nothing behind.
#[test]
fn the_callers_own_panic_passes_through() {
    let panic = catch_unwind(|| carry(|| panic_any(12_u8))).unwrap_err();
    assert_eq!(panic.downcast_ref::<u8>(), Some(&12));
    let registration = Carried::registry().register(Carried::shared(|_| panic!("nowhere to go")));
    assert_eq!(Carried::function()(0, registration.handle().as_ptr()), -8);
}

/// S62: the process ends, and says whose callback it was.
#[test]
fn the_abort_policy_ends_the_process_and_names_the_callback() {
    if is_again() {
        let callback = Aborted::shared(|| panic!("out"));
        let registration = Aborted::registry().builder().label("fan speed").register(callback);
        let answer = catch_unwind(AssertUnwindSafe(|| Aborted::function()(registration.handle().as_ptr())));
        println!("survived with {answer:?}");
        return;
    }
    let out = again(&the_abort_policy_ends_the_process_and_names_the_callback);
    let (stdout, stderr) = (String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    assert!(!out.status.success(), "{stdout}\n{stderr}");
    assert!(!stdout.contains("survived"), "{stdout}");
    assert!(stderr.contains("policy is to abort") && stderr.contains("`fan speed`"), "{stderr}");
    assert!(stderr.contains(concat!("`Aborted`, registered ", file!(), ":")), "{stderr}");
}

//! Every kind of callback, as a thunk; panics; scopes.

use latecall::registry::{Reason, Revoked};
use latecall::signature::{Overlap, carry, scope};
use latecall::thunk::Thunk;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::thread;

latecall::signature! {
    extern "C" fn Tick(number: u32) -> u32;
    late = 0;
    panic = Late;
}

#[test]
fn every_kind_of_callback_can_be_a_thunk() {
    let once = Thunk::<Tick>::new(Tick::once(|number| number + 1));
    assert_eq!((once.as_fn()(1), once.as_fn()(1)), (2, 0));

    let mut sum = 0;
    let exclusive = Thunk::<Tick>::new(Tick::exclusive(Overlap::Serialise, move |number| {
        sum += number;
        sum
    }));
    assert_eq!((exclusive.as_fn()(1), exclusive.as_fn()(2)), (1, 3));

    let local = Rc::new(Cell::new(3));
    let confined = Thunk::<Tick>::new(Tick::confined(move |number| number + local.get()));
    let function = confined.as_fn();
    assert_eq!(function(4), 7);
    assert_eq!(thread::spawn(move || function(4)).join().unwrap(), 0, "called on another thread");

    let object = Arc::new(5);
    let weak = Thunk::<Tick>::new(Tick::weak(&object, |object, number| number + object));
    assert_eq!(weak.as_fn()(1), 6);
    drop(object);
    assert_eq!(weak.as_fn()(1), 0);

    let (callback, switch) = Tick::switch();
    let switched = Thunk::<Tick>::new(callback);
    assert_eq!(switched.as_fn()(1), 0, "nothing is armed");
    assert_eq!(switch.replace(Tick::shared(|number| number + 10)).unwrap(), None);
    assert_eq!(switched.as_fn()(1), 11);
    assert_eq!(switch.replace(Tick::shared(|number| number + 20)).unwrap(), Some(Revoked::Removed));
    assert_eq!(switched.as_fn()(1), 21, "one function for C, another closure behind it");
}

#[test]
fn a_panic_in_a_thunk_becomes_the_late_value() {
    latecall::signature! {
        extern "C" fn Panics(number: u32) -> u32;
        late = 99;
        panic = Late;
    }
    let thunk = Panics::thunk(|number| if number == 0 { panic!("zero") } else { number });
    assert_eq!((thunk.as_fn()(0), thunk.as_fn()(1)), (99, 1));
    assert_eq!(Panics::registry().stats().panics, 1);
}

#[test]
fn a_panic_in_a_thunk_is_carried_to_the_rust_caller() {
    latecall::signature! {
        extern "C" fn Carries(number: u32) -> u32;
        late = 99;
        panic = Carry;
    }
    let thunk = Carries::thunk(|_| std::panic::panic_any("carried"));
    let mut got = 0;
    let panic = catch_unwind(AssertUnwindSafe(|| carry(|| got = thunk.as_fn()(1)))).unwrap_err();
    assert_eq!((panic.downcast_ref(), got), (Some(&"carried"), 99));
}

#[cfg(not(miri))]
#[test]
fn a_thunk_whose_policy_is_abort_ends_the_process_and_names_itself() {
    latecall::signature! {
        extern "C" fn Aborts();
        panic = Abort;
    }
    if crate::support::is_subprocess() {
        let thunk = Thunk::<Aborts>::builder().label("the one").thunk(Aborts::shared(|| panic!("no")));
        thunk.as_fn()();
        return;
    }
    let output = crate::support::run_in_subprocess(&a_thunk_whose_policy_is_abort_ends_the_process_and_names_itself);
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code().is_none() && text.contains("`the one`"), "{text}");
}

/// S01: a thunk that borrows, and is kept by a library beyond the scope.
#[test]
fn a_borrowed_thunk_is_late_after_its_scope() {
    let seen = Cell::new(0);
    let adds = |number: u32| {
        seen.set(seen.get() + number);
        1
    };
    let kept = scope::<Tick, _>(|scope| {
        let function = scope.thunk(Tick::confined_ref(&adds));
        assert_eq!((function(3), function(4)), (1, 1));
        function
    });
    assert_eq!(seen.get(), 7);
    assert_eq!(kept(100), 0);
    assert_eq!(seen.get(), 7);
}

/// Sorting again and again uses up no addresses.
#[test]
fn a_scope_gives_its_addresses_back() {
    latecall::signature! {
        extern "C" fn Lent(a: u8, b: u8, c: u8, d: u8, e: u8, f: u8, g: u8, h: u8) -> u8; // no code page serves it
        late = 0;
        panic = Late;
        pool = 4;
        quarantine = 2;
    }
    for round in 0..20 {
        scope::<Lent, _>(|scope| {
            let functions = [1, 2].map(|more| scope.thunk(Lent::shared(move |_, _, _, _, _, _, _, h| h + more)));
            assert_eq!(functions.map(|function| function(0, 0, 0, 0, 0, 0, 0, round)), [round + 1, round + 2]);
        });
    }
    scope::<Lent, _>(|scope| {
        let lent: Vec<_> = (0..2).map(|_| scope.thunk(Lent::shared(|_, _, _, _, _, _, _, h| h))).collect();
        let refused = scope.try_thunk(Lent::shared(|_, _, _, _, _, _, _, h| h));
        assert_eq!(refused.map(|_| ()), Err(latecall::registry::Shortage::Thunks), "two in use, two in the quarantine");
        drop(lent);
    });
}

/// A scope that unwinds ends its thunks first.
#[test]
fn a_borrowed_thunk_is_late_after_a_panic() {
    let mut kept = None;
    let result = catch_unwind(AssertUnwindSafe(|| {
        let local = Cell::new(1);
        let reads = |_| local.get();
        scope::<Tick, ()>(|scope| {
            let function = scope.thunk(Tick::confined_ref(&reads));
            kept = Some(function);
            assert_eq!(function(0), 1);
            std::panic::panic_any(3_u64);
        });
    }));
    assert_eq!(result.unwrap_err().downcast_ref::<u64>(), Some(&3));
    assert_eq!(kept.unwrap()(0), 0);
}

/// A handle of a thunk and the verbs by handle.
#[test]
fn a_thunk_can_be_revoked_by_its_handle() {
    latecall::signature! {
        extern "C" fn ByHandle() -> u8;
        late = 0;
        panic = Late;
    }
    let thunk = ByHandle::thunk(|| 1);
    let handle = thunk.handle();
    assert_eq!(ByHandle::registry().revoke(handle), Ok(Revoked::Removed));
    assert_eq!((thunk.as_fn()(), thunk.revoke()), (0, Revoked::AlreadyRevoked));
    assert_eq!(ByHandle::registry().stats().late.of(Reason::Stale), 1);
}

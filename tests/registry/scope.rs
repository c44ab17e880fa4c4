//! Borrowed callbacks, lent to C for the time of a call, by which it may be kept all the same. S01, S02, S48.
#![allow(clippy::disallowed_types, reason = "a test is outside the crate and has no other locks")]

use crate::support::{grave, meeting};
use latecall::registry::{Handle, Reason, Registry, Shortage, Status};
use latecall::signature::{Overlap, scope};
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any};
use std::rc::Rc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread;

latecall::signature! {
    extern "C" fn Item(item: u32, user_data) -> i32;
    late = 0;
    panic = Carry;
}

/// A C function that enumerates, stops when told to, and keeps what it was given.
fn enumerate(upto: u32, handle: Handle) -> u32 {
    (1..=upto).take_while(|&item| Item::function()(item, handle.as_ptr()) != 0).count() as u32
}

fn late(reason: Reason) -> u64 {
    Item::registry().stats().late.of(reason)
}

/// S01, S02: it borrows what is on the stack, and changes it.
#[test]
fn a_borrowed_callback_enumerates_and_stops_early() {
    let limit = 243 + 257;
    let mut seen = 0;
    let count = scope::<Item, _>(|scope| {
        let each = scope.register(Item::exclusive(Overlap::Reject, |item| {
            seen = item;
            i32::from(item < limit)
        }));
        enumerate(10_000, each)
    });
    assert_eq!((seen, count), (500, 499));
}

/// The library keeps the handle and calls later: late, and nothing borrowed is touched.
#[test]
fn a_handle_kept_beyond_the_scope_is_late() {
    let mut kept = Handle::NULL;
    {
        let text = String::from("borrowed");
        scope::<Item, _>(|scope| {
            let each = scope.register(Item::shared(|item| item as i32 + text.len() as i32));
            assert_eq!(Item::function()(1, each.as_ptr()), 9);
            kept = each;
        });
    }
    let before = late(Reason::Stale);
    assert_eq!(Item::function()(1, kept.as_ptr()), 0);
    assert!(late(Reason::Stale) > before);
}

/// The scope does not return while a thread of the library is inside; and it refuses calls while it waits.
#[test]
fn a_scope_waits_for_calls_on_other_threads() {
    let (visitor, host) = meeting();
    let (visitor, ended) = (Mutex::new(visitor), AtomicBool::new(false));
    thread::scope(|threads| {
        let borrowed = String::from("on the stack");
        let call = scope::<Item, _>(|scope| {
            let each = scope.register(Item::shared(|_| {
                visitor.lock().unwrap().stop_here();
                assert!(!ended.load(SeqCst), "the scope has returned");
                borrowed.len() as i32
            }));
            let call = threads.spawn(move || Item::function()(0, each.as_ptr()));
            host.wait_for_visitor();
            threads.spawn(move || {
                // As soon as the scope has begun to end, the callback is being revoked; then let the first one go.
                while Item::registry().status(each) == Ok(Status::Live(1)) {
                    thread::yield_now();
                }
                assert_eq!(Item::function()(0, each.as_ptr()), 0);
                host.let_go();
            });
            call
        });
        ended.store(true, SeqCst);
        assert_eq!(call.join().unwrap(), 12);
    });
}

/// Also when the body unwinds: first the callbacks end, then the panic goes on.
#[test]
fn a_scope_that_unwinds_revokes_first() {
    let mut kept = Handle::NULL;
    let panic = catch_unwind(AssertUnwindSafe(|| {
        let local = Cell::new(1);
        let reads = |_| local.get();
        scope::<Item, ()>(|scope| {
            kept = scope.register(Item::confined_ref(&reads));
            assert_eq!(Item::function()(0, kept.as_ptr()), 1);
            panic_any(3_u64);
        });
    }));
    assert_eq!(panic.unwrap_err().downcast_ref::<u64>(), Some(&3));
    assert_eq!(Item::function()(0, kept.as_ptr()), 0);
}

/// A panic in the callback stops the enumeration by the late value and comes out of the scope.
#[test]
fn a_panic_in_a_borrowed_callback_comes_out_of_the_scope() {
    let mut kept = Handle::NULL;
    let mut count = 0;
    let panic = catch_unwind(AssertUnwindSafe(|| {
        scope::<Item, _>(|scope| {
            kept = scope.register(Item::shared(|item| if item == 4 { panic_any("four") } else { 1 }));
            count = enumerate(9, kept);
        });
    }));
    assert_eq!(panic.unwrap_err().downcast_ref(), Some(&"four"));
    assert_eq!(count, 3);
    assert_eq!(Item::function()(1, kept.as_ptr()), 0, "revoked before the panic went on");
}

/// Borrowed and not `Send`: other threads are refused before it is touched.
#[test]
fn a_borrowed_confined_callback_is_for_its_thread() {
    let count = Rc::new(Cell::new(0));
    let add = |item: u32| {
        count.set(count.get() + item);
        1
    };
    scope::<Item, _>(|scope| {
        let each = scope.register(Item::confined_ref(&add));
        assert_eq!(enumerate(3, each), 3);
        let before = late(Reason::WrongThread);
        thread::scope(|threads| {
            assert_eq!(threads.spawn(|| Item::function()(100, each.as_ptr())).join().unwrap(), 0);
        });
        assert!(late(Reason::WrongThread) > before);
    });
    assert_eq!(count.get(), 6);
}

/// Scopes nest, also inside a callback, and a callback may be revoked before its scope ends.
#[test]
fn scopes_nest_and_end_in_order() {
    let log = Mutex::new(Vec::new());
    scope::<Item, _>(|outer| {
        let each = outer.register(Item::shared(|item| {
            let doubled = scope::<Item, _>(|inner| {
                let double = inner.register(Item::shared(|item| item as i32 * 2));
                Item::function()(item, double.as_ptr())
            });
            log.lock().unwrap().push(doubled);
            1
        }));
        assert_eq!(enumerate(3, each), 3);
        assert!(Item::registry().revoke(each).is_ok());
        assert_eq!(enumerate(3, each), 0);
    });
    assert_eq!(*log.lock().unwrap(), [2, 4, 6]);
}

/// Failure is a value and the callback is dropped, once; the others of the scope are not affected (S48).
#[test]
fn a_scope_that_finds_no_slot_says_so() {
    latecall::signature! {
        extern "C" fn Few(user_data) -> u32;
        late = 0;
        panic = Late;
        registry = Registry::new().with_capacity_limit(1).with_tombstones(0);
    }
    let (grave, watch) = grave();
    scope::<Few, _>(|scope| {
        let first = scope.register(Few::shared(|| 1));
        let second = scope.try_register(Few::shared(move || {
            let _owned = &grave;
            2
        }));
        assert_eq!(second, Err(Shortage::Slots));
        assert_eq!(watch.drops(), 1);
        assert_eq!(Few::function()(first.as_ptr()), 1);
    });
    assert_eq!(Few::registry().stats().live, 0);
}

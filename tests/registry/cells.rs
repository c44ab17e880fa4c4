//! What a call publishes and what is kept in a slot: depth, reused records, foreign handles, closures of every size. S11,
//! S43, S57, S58.
#![allow(clippy::disallowed_types, reason = "a test is outside the crate and has no other atomics")]

use crate::support::{Callbacks, grave, leaked, owning, parked};
use latecall::registry::{Handle, Quiescence, Reason, Registry, Revoked, Status};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Barrier, OnceLock};
use std::thread;

/// S43: deeper than a thread's own record has room for, on two threads at once; all are counted, the last one drops.
#[test]
fn calls_nested_deeper_than_a_record_are_all_counted() {
    const DEPTH: u64 = 40;
    let registry = leaked();
    let own: &'static OnceLock<Handle> = Box::leak(Box::new(OnceLock::new()));
    let bottom: &'static Barrier = Box::leak(Box::new(Barrier::new(3)));
    thread_local! {
        static DEEP: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
    }
    let (grave, watch) = grave();
    let handle = registry
        .register(Box::new(move || {
            let _owned = &grave;
            DEEP.set(DEEP.get() + 1);
            if DEEP.get() < DEPTH {
                registry.call(own.get().unwrap().as_ptr(), |f| f()).unwrap();
            } else {
                bottom.wait();
                bottom.wait();
            }
        }))
        .leak();
    own.set(handle).unwrap();
    let threads =
        [(); 2].map(|()| thread::Builder::new().spawn(move || registry.call(handle.as_ptr(), |f| f()).is_ok()));
    bottom.wait();
    assert_eq!(registry.status(handle), Ok(Status::Live(2 * DEPTH as u32)));
    assert_eq!(registry.revoke(handle), Ok(Revoked::InFlight(2 * DEPTH as u32)));
    assert_eq!((registry.status(handle), watch.drops()), (Ok(Status::Revoking(2 * DEPTH as u32)), 0));
    bottom.wait();
    for thread in threads {
        assert!(thread.unwrap().join().unwrap());
    }
    assert_eq!((watch.drops(), registry.status(handle)), (1, Ok(Status::Revoked)));
}

/// S58: threads come and go and take over each other's records; none is ever taken for an earlier one.
#[test]
fn a_record_is_handed_on_clean() {
    let registry = Callbacks::new();
    let (parked, host, _watch) = parked(&registry);
    let handle = parked.handle();
    thread::scope(|scope| {
        scope.spawn(|| registry.call(handle.as_ptr(), |f| f()).is_ok());
        host.wait_for_visitor();
        for _ in 0..500 {
            let other = registry.register(Box::new(|| ()));
            let other_handle = other.handle();
            let registry = &registry;
            scope.spawn(move || registry.call(other_handle.as_ptr(), |f| f()).unwrap()).join().unwrap();
            assert_eq!(other.revoke(), Revoked::Removed, "its only caller has gone");
            assert_eq!(registry.status(handle), Ok(Status::Live(1)));
        }
        host.let_go();
    });
    assert_eq!(parked.revoke_and_wait(), Quiescence::Quiescent);
}

/// S11, S83: a handle that C gives to the wrong registry is refused there, and nobody who revokes it in the right one takes
/// that for a call.
#[test]
fn a_handle_in_the_wrong_registry_is_no_call_in_the_right_one() {
    let (right, wrong) = (Callbacks::new(), Callbacks::new());
    let _some = wrong.register(Box::new(|| panic!("ran")));
    let target = AtomicU64::new(0);
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Relaxed) {
                let handle = Handle::from_bits(target.load(Relaxed) as usize);
                assert!(wrong.call(handle.as_ptr(), |f| f()).is_err());
            }
        });
        for _ in 0..5_000 {
            let registration = right.register(Box::new(|| ()));
            target.store(registration.handle().bits() as u64, Relaxed);
            assert_eq!(registration.revoke(), Revoked::Removed);
        }
        stop.store(true, Relaxed);
    });
}

/// S11: NULL is the handle of nobody, least of all of slot 0, at whatever point of its life that is.
#[test]
fn null_never_enters_slot_0() {
    let registry = Callbacks::new().with_tombstones(0).with_generation_bits(2);
    let refused = || registry.call(std::ptr::null_mut(), |f| f()).unwrap_err().reason();
    assert_eq!(refused(), Reason::Null, "before there is a slot 0");
    for generation in 1..=3 {
        let first = registry.register(Box::new(|| panic!("ran")));
        assert_eq!(first.handle().generation(), generation, "from 1, unless the id had an owner before: see `main.rs`");
        assert_eq!((first.handle().index(), refused()), (0, Reason::Null));
        drop(first);
        assert_eq!(refused(), Reason::Null, "vacant, and in the end retired");
    }
    assert_eq!(registry.stats().slots_retired, 1);
}

/// A value of any size and alignment that says when it is dropped, and is what it was wherever it has been moved to.
#[repr(C)]
struct Sized<const N: usize, A> {
    align: [A; 0],
    bytes: [u8; N],
    drops: &'static AtomicU64,
}

impl<const N: usize, A> Drop for Sized<N, A> {
    fn drop(&mut self) {
        assert!(self.bytes.iter().all(|&byte| byte == 7));
        self.drops.fetch_add(1, Relaxed);
    }
}

#[derive(Clone, Copy)]
#[repr(align(64))]
struct Line;

fn stays_whole<const N: usize, A: Send + Sync + 'static>() {
    static DROPS: AtomicU64 = AtomicU64::new(0);
    let registry: Registry<dyn Fn() -> (usize, u8) + Send + Sync> = Registry::new();
    let make = || {
        let value = Sized::<N, A> { align: [], bytes: [7; N], drops: &DROPS };
        Box::new(move || {
            let value = &value;
            ((&raw const *value).addr() % align_of::<Sized<N, A>>(), value.bytes.iter().copied().max().unwrap_or(7))
        })
    };
    let many: Vec<_> = (0..100).map(|_| registry.register(make())).collect();
    for registration in &many {
        assert_eq!(registry.call(registration.handle().as_ptr(), |f| f()).unwrap(), (0, 7));
    }
    let before = DROPS.load(Relaxed);
    drop(many);
    let leaked = registry.register(make()).leak();
    assert_eq!(registry.call(leaked.as_ptr(), |f| f()).unwrap(), (0, 7));
    drop(registry);
    assert!(DROPS.load(Relaxed) >= before + 101);

    let typed: Registry<Sized<N, A>> = Registry::new();
    let registration = typed.register(Box::new(Sized { align: [], bytes: [7; N], drops: &DROPS }));
    assert!(typed.call(registration.handle().as_ptr(), |value| value.bytes.iter().all(|&byte| byte == 7)).unwrap());
}

#[test]
fn closures_of_every_size_and_alignment_stay_whole() {
    stays_whole::<0, u8>();
    stays_whole::<1, u8>();
    stays_whole::<8, u64>();
    stays_whole::<9, u8>();
    stays_whole::<16, u64>();
    stays_whole::<100, u8>();
    stays_whole::<0, u128>();
    stays_whole::<8, Line>();
}

/// A closure without captures, and one that is nothing but a destructor.
#[test]
fn a_closure_of_no_size_is_dropped_once() {
    static DROPS: AtomicU64 = AtomicU64::new(0);
    struct Nothing;
    impl Drop for Nothing {
        fn drop(&mut self) {
            DROPS.fetch_add(1, Relaxed);
        }
    }
    let registry = Callbacks::new();
    let registration = registry.register(owning(Nothing));
    registry.call(registration.handle().as_ptr(), |f| f()).unwrap();
    assert_eq!(DROPS.load(Relaxed), 0);
    drop(registration);
    assert_eq!(DROPS.load(Relaxed), 1);
}

/// What is behind a pointer need not be a function: pointers of two words whose second is a length, of which 1 is the one
/// that a slot uses for something else.
#[test]
fn slices_and_strings_are_kept_as_well() {
    let slices: Registry<[Arc<u8>]> = Registry::new();
    let shared = Arc::new(5);
    for length in 0..4 {
        let registration = slices.register(vec![Arc::clone(&shared); length].into_boxed_slice());
        assert_eq!(
            slices.call(registration.handle().as_ptr(), |slice| slice.iter().map(|n| **n).collect::<Vec<_>>()).unwrap(),
            vec![5; length]
        );
        assert_eq!(Arc::strong_count(&shared), 1 + length);
        drop(registration);
        assert_eq!(Arc::strong_count(&shared), 1);
    }
    let strings: Registry<str> = Registry::new();
    for text in ["", "a", "sixteen bytes ok", "more than sixteen bytes"] {
        let registration = strings.register(text.into());
        assert_eq!(strings.call(registration.handle().as_ptr(), str::to_owned).unwrap(), text);
    }
}

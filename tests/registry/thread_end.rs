//! Calls in every phase of a thread's end, and waits after the thread's locals are gone. S37, S57.
#![cfg(all(target_os = "linux", target_env = "gnu"))]
#![allow(clippy::disallowed_types, reason = "a test is outside the crate and has no other atomics")]

use crate::support::{
    CallbackRegistration, Callbacks, LIMIT, is_subprocess, isolated, leaked_registry, run_in_subprocess,
};
use latecall::registry::{Handle, Quiescence, Registry, Revoked};
use std::cell::{Cell, RefCell};
use std::ffi::c_void;
use std::process::exit;
use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, OnceLock};
use std::thread;
use std::time::Instant;

unsafe extern "C" {
    fn pthread_key_create(key: *mut u32, destructor: Option<extern "C" fn(*mut c_void)>) -> i32;
    fn pthread_setspecific(key: u32, value: *const c_void) -> i32;
    safe fn atexit(function: extern "C" fn()) -> i32;
}

/// A call that has entered, and how its thread goes on.
type Entered = (Handle, Sender<()>);

static REGISTRY: Callbacks = Registry::new();
static ENTERED: OnceLock<Mutex<Sender<Entered>>> = OnceLock::new();
static KEYS: [AtomicUsize; 4] = [const { AtomicUsize::new(0) }; 4];

thread_local! {
    static RUNS: Cell<u32> = const { Cell::new(0) };
    static LOCAL: RefCell<Option<CallsWhenDropped>> = const { RefCell::new(None) };
}

struct CallsWhenDropped;

impl Drop for CallsWhenDropped {
    fn drop(&mut self) {
        call_and_stop();
    }
}

/// Registers a callback and calls it. The call stays inside until the test has revoked the callback.
fn call_and_stop() {
    let handle = REGISTRY.register(Box::new(|| ())).leak();
    let called = REGISTRY.call(handle.as_ptr(), |_| {
        let (go_on, goes_on) = channel();
        ENTERED.get().unwrap().lock().unwrap().send((handle, go_on)).unwrap();
        goes_on.recv_timeout(LIMIT).unwrap();
        // From inside: the wait is for no call of this thread.
        assert_eq!(REGISTRY.revoke_and_wait(handle), Ok(Quiescence::DeferredToOuterFrame));
    });
    assert!(called.is_ok());
}

/// The destructor of each key: calls, and asks to be run again in each of the four rounds that the system makes.
extern "C" fn destructor(place: *mut c_void) {
    call_and_stop();
    RUNS.set(RUNS.get() + 1);
    let key = KEYS[place.addr() - 1].load(SeqCst) as u32;
    // SAFETY: the key was created by the test, and no code dereferences the value.
    assert_eq!(unsafe { pthread_setspecific(key, place) }, 0);
}

fn make_key(place: usize) {
    let mut key = 0;
    // SAFETY: `key` is written before the call returns; the destructor is a static function.
    assert_eq!(unsafe { pthread_key_create(&raw mut key, Some(destructor)) }, 0);
    KEYS[place].store(key as usize, SeqCst);
}

/// Revokes each callback that a thread has entered, while the call is inside. Returns how many there were.
fn revoke_under_calls(entered: &Receiver<Entered>, thread: thread::JoinHandle<()>) -> u32 {
    // Returns after all of the thread's destructors have run, C's included. The message says that there is no call
    // more.
    let joins = thread::Builder::new()
        .spawn(move || {
            thread.join().unwrap();
            ENTERED.get().unwrap().lock().unwrap().send((Handle::NULL, channel().0)).unwrap();
        })
        .unwrap();
    let mut calls = 0;
    loop {
        let (handle, go_on) = entered.recv_timeout(LIMIT).expect("the thread neither calls nor ends");
        if handle.is_null() {
            break;
        }
        calls += 1;
        assert_eq!(REGISTRY.revoke(handle), Ok(Revoked::InFlight(1)), "call {calls}");
        go_on.send(()).unwrap();
    }
    joins.join().unwrap();
    calls
}

/// S57: every call in a destructor at a thread's end is seen by a revocation on another thread, in whatever order
/// destructors of Rust and of C run, and whichever of them is the first to call. Two keys are older than the registry's
/// own, and two are newer.
#[test]
fn calls_in_every_destructor_of_a_thread_are_counted() {
    isolated(&calls_in_every_destructor_of_a_thread_are_counted, || {
        let (entering, entered) = channel();
        ENTERED.set(Mutex::new(entering)).unwrap();
        (0..2).for_each(make_key);
        // Makes the registry's key.
        REGISTRY.call(REGISTRY.register(Box::new(|| ())).leak().as_ptr(), |f| f()).unwrap();
        (2..4).for_each(make_key);
        for (used_before, with_local) in [(true, true), (true, false), (false, true), (false, false)] {
            for keys in [&[0, 1, 2, 3][..], &[1], &[2], &[0, 3]] {
                let thread = thread::Builder::new()
                    .spawn(move || {
                        if with_local {
                            LOCAL.with(|local| *local.borrow_mut() = Some(CallsWhenDropped));
                        }
                        if used_before {
                            call_and_stop();
                        }
                        for place in keys {
                            let key = KEYS[*place].load(SeqCst) as u32;
                            // SAFETY: the key was created above, and no code dereferences the value.
                            let status = unsafe { pthread_setspecific(key, ptr::without_provenance(place + 1)) };
                            assert_eq!(status, 0);
                        }
                    })
                    .unwrap();
                let calls = revoke_under_calls(&entered, thread);
                // glibc makes four rounds.
                let expected = 4 * keys.len() + usize::from(used_before) + usize::from(with_local);
                assert_eq!(calls as usize, expected, "used before {used_before}, local {with_local}, keys {keys:?}");
            }
        }
        assert_eq!((REGISTRY.stats().live, REGISTRY.stats().revoking), (1, 0));
    });
}

/// Drops its registration when the thread's locals are destroyed.
struct Owner(Option<CallbackRegistration<'static>>);

impl Drop for Owner {
    fn drop(&mut self) {
        if let Some(registration) = self.0.take() {
            assert_eq!(registration.revoke_and_wait(), Quiescence::DeferredToOuterFrame);
            println!("the wait ended");
        }
    }
}

thread_local! {
    static OWNER: RefCell<Owner> = const { RefCell::new(Owner(None)) };
    static DEPTH: Cell<u32> = const { Cell::new(0) };
}

static TARGET: AtomicUsize = AtomicUsize::new(0);

extern "C" fn wait_at_exit() {
    let handle = Handle::from_bits(TARGET.load(SeqCst));
    assert_eq!(REGISTRY.revoke_and_wait(handle), Ok(Quiescence::DeferredToOuterFrame));
    println!("the wait ended");
}

/// A callback calls itself down to `depth`, and there ends the process.
fn exit_inside(depth: u32) -> CallbackRegistration<'static> {
    let registration = REGISTRY.register(Box::new(move || {
        DEPTH.set(DEPTH.get() + 1);
        if DEPTH.get() < depth {
            let _ = REGISTRY.call(Handle::from_bits(TARGET.load(SeqCst)).as_ptr(), |f| f());
        }
        exit(0)
    }));
    TARGET.store(registration.handle().bits(), SeqCst);
    registration
}

/// Ends the process inside a callback that has called itself down to `depth`.
fn exit_and_wait(depth: u32, in_local: bool) -> ! {
    // Initialised before the first call, so that it is destroyed after what the registry has on this thread.
    OWNER.with(|_| ());
    let registration = exit_inside(depth);
    let handle = registration.handle();
    if in_local {
        OWNER.with(|owner| owner.borrow_mut().0 = Some(registration));
    } else {
        let _ = registration.leak();
        assert_eq!(atexit(wait_at_exit), 0);
    }
    let _ = REGISTRY.call(handle.as_ptr(), |f| f());
    unreachable!("the callback ends the process");
}

macro_rules! exits {
    ($($(#[$meta:meta])* $name:ident = $depth:literal, $in_local:literal;)*) => {$(
        $(#[$meta])*
        #[test]
        fn $name() {
            if is_subprocess() {
                exit_and_wait($depth, $in_local);
            }
            let output = run_in_subprocess(&$name);
            let text = String::from_utf8_lossy(&output.stdout);
            assert!(output.status.success() && text.contains("the wait ended"), "{output:?}");
        }
    )*};
}

// Scenario S37 of docs/scenarios.md: `exit`, called inside a callback, runs the destructors of thread-local variables
// while the call is still on the stack. A destructor or an `atexit` handler that waits for quiescence does not wait for
// calls of its own thread, however deeply nested.
exits! {
    a_local_that_is_destroyed_by_exit_inside_a_callback_does_not_wait_for_it = 1, true;
    a_local_that_is_destroyed_by_exit_deep_inside_does_not_wait = 20, true;
    a_function_of_atexit_does_not_wait_for_the_callback_that_exits = 1, false;
    a_function_of_atexit_does_not_wait_for_deeper_calls_of_its_thread = 20, false;
}

/// What a revocation costs follows the calls that are inside now, not the deepest nesting or the most threads that ever
/// were. The bound is far above the noise of a machine that is busy, and far below the cost of looking at each record.
#[test]
fn a_revocation_costs_the_same_after_deep_nesting_and_many_threads() {
    isolated(&a_revocation_costs_the_same_after_deep_nesting_and_many_threads, || {
        const NESTED: u32 = 5_000;
        let registry: &'static Callbacks = leaked_registry();
        let target: &'static OnceLock<Handle> = Box::leak(Box::new(OnceLock::new()));
        let handle = registry
            .register(Box::new(move || {
                DEPTH.set(DEPTH.get() + 1);
                if DEPTH.get() < NESTED {
                    registry.call(target.get().unwrap().as_ptr(), |f| f()).unwrap();
                }
            }))
            .leak();
        target.set(handle).unwrap();
        // The fastest of many: other processes run on this machine.
        let cost = || {
            let once = |_| {
                let began = Instant::now();
                for _ in 0..20 {
                    let _ = registry.register(Box::new(|| ())).revoke();
                }
                began.elapsed()
            };
            (0..200).map(once).min().unwrap()
        };
        // Another thread has a record all the time, so that revocations look at all records.
        let (end, ends) = channel::<()>();
        let (up, is_up) = channel();
        let other = thread::Builder::new()
            .spawn(move || {
                registry.call(registry.register(Box::new(|| ())).leak().as_ptr(), |f| f()).unwrap();
                up.send(()).unwrap();
                ends.recv().unwrap_err();
            })
            .unwrap();
        is_up.recv().unwrap();
        let before = cost();
        let deep = thread::Builder::new().stack_size(256 << 20);
        deep.spawn(move || registry.call(handle.as_ptr(), |f| f()).unwrap()).unwrap().join().unwrap();
        let after = cost();
        drop(end);
        other.join().unwrap();
        assert!(after < before * 8, "{before:?} before, {after:?} after");
    });
}

//! A signal handler in the middle of a call, and a seccomp filter that refuses `membarrier`. S74.
#![cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
#![allow(clippy::disallowed_types, reason = "a test is outside the crate and has no other atomics")]

mod support;

use latecall::registry::{Handle, Quiescence, Reason, Registry, Revoked, use_portable_fences};
use std::ffi::{c_int, c_long};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::thread;
use support::seccomp::{ALLOW, JUMP_IF_EQUAL, LOAD, REFUSE, RETURN, install, step};
use support::{Callbacks, breakpoint, is_subprocess, run_in_subprocess};

unsafe extern "C" {
    fn signal(number: c_int, handler: extern "C" fn(c_int)) -> usize;
    fn pthread_self() -> usize;
    fn pthread_kill(thread: usize, number: c_int) -> c_int;
}

/// S74: a signal handler calls the callback that the interrupted code calls, wherever it interrupts: before the handle
/// is in its cell, between the two reads of the slot's word, on the way out. Meanwhile another thread revokes. No
/// closure runs after it was dropped, each is dropped once, and no call stays in flight.
#[test]
fn a_signal_handler_may_hit_a_call_anywhere() {
    static REGISTRY: Registry<dyn Fn() + Send + Sync> = Registry::new();
    static TARGET: AtomicUsize = AtomicUsize::new(0);
    static HANDLED: AtomicU64 = AtomicU64::new(0);
    static DROPS: AtomicU64 = AtomicU64::new(0);
    const SIGUSR2: c_int = 12;
    const ROUNDS: u64 = 3_000;

    extern "C" fn handler(_: c_int) {
        let handle = Handle::from_bits(TARGET.load(SeqCst));
        let _ = REGISTRY.call(handle.as_ptr(), |f| f());
        HANDLED.fetch_add(1, SeqCst);
    }
    struct Canary([u64; 2]);
    impl Drop for Canary {
        fn drop(&mut self) {
            self.0 = [0; 2];
            DROPS.fetch_add(1, SeqCst);
        }
    }

    // SAFETY: the handler only calls the registry. A call takes a lock only while another thread revokes its callback,
    // and the interrupted thread never holds that lock.
    unsafe { signal(SIGUSR2, handler) };
    let stop = AtomicBool::new(false);
    let caller_id = AtomicUsize::new(0);
    thread::scope(|scope| {
        let caller = scope.spawn(|| {
            // The first call of a thread may allocate, so a handler must not make it.
            let _ = REGISTRY.call(REGISTRY.register(Box::new(|| ())).handle().as_ptr(), |f| f());
            // SAFETY: `pthread_self` has no preconditions.
            caller_id.store(unsafe { pthread_self() }, SeqCst);
            let mut calls = 0_u64;
            while !stop.load(SeqCst) {
                let handle = Handle::from_bits(TARGET.load(SeqCst));
                calls += u64::from(REGISTRY.call(handle.as_ptr(), |f| f()).is_ok());
            }
            calls
        });
        while caller_id.load(SeqCst) == 0 {
            thread::yield_now();
        }
        let interrupter = scope.spawn(|| {
            while !stop.load(SeqCst) {
                // SAFETY: the caller thread is joined after this thread, so its id is valid.
                unsafe { pthread_kill(caller_id.load(SeqCst), SIGUSR2) };
                thread::yield_now();
            }
        });
        for round in 0..ROUNDS {
            let canary = Canary([round + 1; 2]);
            let registration = REGISTRY.register(Box::new(move || {
                let Canary([one, two]) = &canary;
                assert!(*one == round + 1 && one == two, "ran after the closure was dropped");
            }));
            TARGET.store(registration.handle().bits(), SeqCst);
            if round % 2 == 0 {
                drop(registration);
            } else {
                let _ = registration.revoke();
            }
        }
        while HANDLED.load(SeqCst) < 10 {
            thread::yield_now();
        }
        stop.store(true, SeqCst);
        interrupter.join().unwrap();
        caller.join().unwrap();
    });
    let stats = REGISTRY.stats();
    assert_eq!((stats.live, stats.revoking, DROPS.load(SeqCst)), (0, 0, ROUNDS));
}

/// Makes the kernel refuse `membarrier` in this process from here on, as a sandbox may.
fn refuse_membarrier() {
    const MEMBARRIER: u32 = if cfg!(target_arch = "x86_64") { 324 } else { 283 };
    const NUMBER: u32 = 0;
    const EPERM: u32 = 1;
    install(&[
        step(LOAD, 0, 0, NUMBER),
        step(JUMP_IF_EQUAL, 0, 1, MEMBARRIER),
        step(RETURN, 0, 0, REFUSE + EPERM),
        step(RETURN, 0, 0, ALLOW),
    ]);
    unsafe extern "C" {
        fn syscall(number: c_long, ...) -> c_long;
    }
    // SAFETY: command 0 of `membarrier` is a query that accesses no memory.
    assert_eq!(unsafe { syscall(c_long::from(MEMBARRIER), 0 as c_int, 0 as c_int, 0 as c_int) }, -1);
}

/// A filter that is installed before the first call: the registry uses full fences and works.
#[test]
fn membarrier_refused_from_the_start_means_full_fences() {
    if !is_subprocess() {
        let output = run_in_subprocess(&membarrier_refused_from_the_start_means_full_fences);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        return;
    }
    refuse_membarrier();
    let registry = Callbacks::new();
    let (breakpoint, controller) = breakpoint();
    let breakpoint = Mutex::new(breakpoint);
    let registration = registry.register(Box::new(move || breakpoint.lock().unwrap().stop_here()));
    let handle = registration.handle();
    thread::scope(|scope| {
        scope.spawn(|| registry.call(handle.as_ptr(), |f| f()).is_ok());
        controller.wait_until_stopped();
        assert_eq!(registration.revoke(), Revoked::InFlight(1));
        assert_eq!(registry.call(handle.as_ptr(), |f| f()).unwrap_err().reason(), Reason::Revoking);
        controller.resume();
    });
    assert_eq!(registration.revoke_and_wait(), Quiescence::Quiescent);
    assert!(use_portable_fences(), "full fences are in use");
}

/// A filter that is installed after calls have begun to rely on `membarrier`: a revocation that needs it aborts the
/// process, because it could otherwise free a closure during a call. The message says what to do.
#[test]
fn membarrier_refused_later_ends_the_process_with_advice() {
    if !is_subprocess() {
        let output = run_in_subprocess(&membarrier_refused_later_ends_the_process_with_advice);
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && text.contains("use_portable_fences"), "{text}");
        // A panic would end the process with an exit code.
        assert!(output.status.code().is_none(), "not aborted: {}", output.status);
        return;
    }
    let registry = Callbacks::new();
    let registration = registry.register(Box::new(|| ()));
    let handle = registration.handle();
    let (breakpoint, controller) = breakpoint();
    thread::scope(|scope| {
        let registry = &registry;
        scope.spawn(move || {
            registry.call(handle.as_ptr(), |f| f()).unwrap();
            breakpoint.stop_here();
        });
        controller.wait_until_stopped();
        assert!(!use_portable_fences(), "too late");
        refuse_membarrier();
        let _ = registration.revoke();
        controller.resume();
    });
}

//! What exploring C code costs: one protocol in C under `latecall_explore`, and the same protocol in Rust, written for
//! loom by hand.
//!
//! Both have the same number of interleavings, which is asserted. The times are printed with their ratio, which should
//! be at most 1.3. Many of the interleavings repeat others, so the time with those pruned is printed too. Rounds of the
//! two alternate, and the fastest round of each counts, because other work on the machine only ever adds time.
//!
//! `cargo bench --bench model [calls]`
#![allow(clippy::disallowed_types, reason = "the twin is written for loom, with std's Arc and counters around it")]
#![allow(clippy::arc_with_non_send_sync, reason = "loom's threads are threads of one thread")]

use latecall_explore::{Options, Repeats, explore, fail};
use latecall_fixtures as _;
use loom::cell::UnsafeCell;
use loom::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use loom::sync::{Condvar, Mutex};
use std::ffi::{c_int, c_void};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What the callback uses.
struct Payload {
    freed: UnsafeCell<bool>,
    calls: AtomicUsize,
}

impl Payload {
    fn new() -> Self {
        Self { freed: UnsafeCell::new(false), calls: AtomicUsize::new(0) }
    }

    fn call(&self) {
        // SAFETY: no thread writes meanwhile; if one did, loom would end the model with a finding.
        if self.freed.with(|freed| unsafe { *freed }) {
            fail("late call");
        }
        // Relaxed: a count.
        self.calls.fetch_add(1, Ordering::Relaxed);
    }

    fn free(&self) {
        // SAFETY: no other thread accesses it meanwhile; if one did, loom would end the model with a finding.
        self.freed.with_mut(|freed| unsafe { *freed = true });
    }
}

mod c {
    use super::{Payload, c_int, c_void};

    unsafe extern "C-unwind" {
        #[link_name = "model_tests_source_start"]
        fn start(times: c_int, callback: extern "C-unwind" fn(*mut c_void), user_data: *mut c_void) -> *mut c_void;
        #[link_name = "model_tests_source_remove"]
        fn remove(source: *mut c_void);
        #[link_name = "model_tests_source_end"]
        fn end(source: *mut c_void);
    }

    extern "C-unwind" fn callback(user_data: *mut c_void) {
        // SAFETY: the payload outlives the source: see `run`.
        unsafe { &*user_data.cast::<Payload>() }.call();
    }

    pub(super) fn run(calls: c_int) {
        let payload = Box::new(Payload::new());
        let user_data = (&raw const *payload).cast_mut().cast();
        // SAFETY: the payload lives until after `end`.
        let source = unsafe { start(calls, callback, user_data) };
        // SAFETY: `source` has started and not ended.
        unsafe { remove(source) };
        payload.free();
        // SAFETY: `source` has started and not ended, and is not used after this.
        unsafe { end(source) };
    }
}

mod rust {
    use super::{Arc, AtomicU32, Condvar, Mutex, Ordering, Payload, UnsafeCell};

    struct Data {
        payload: Option<Arc<Payload>>,
        running: u32,
    }

    /// Like `struct source` in C: the lock guards the data and does not contain it, so that loom checks each access.
    struct Source {
        lock: Mutex<()>,
        idle: Condvar,
        data: UnsafeCell<Data>,
        stopped: AtomicU32,
        times: u32,
    }

    impl Source {
        fn call(&self) {
            let locked = self.lock.lock().unwrap();
            // SAFETY: the lock is held, and loom checks that this is enough.
            let payload = self.data.with(|data| unsafe { (*data).payload.clone() });
            if payload.is_some() {
                // SAFETY: the lock is held, and loom checks that this is enough.
                self.data.with_mut(|data| unsafe { (*data).running += 1 });
            }
            drop(locked);
            let Some(payload) = payload else { return };
            payload.call();
            let locked = self.lock.lock().unwrap();
            let left = self.data.with_mut(|data| {
                // SAFETY: the lock is held, and loom checks that this is enough. The reference ends with this closure.
                let data = unsafe { &mut *data };
                data.running -= 1;
                data.running
            });
            if left == 0 {
                self.idle.notify_all();
            }
            drop(locked);
        }

        fn remove(&self) {
            let mut locked = self.lock.lock().unwrap();
            // SAFETY: the lock is held, and loom checks that this is enough.
            self.data.with_mut(|data| unsafe { (*data).payload = None });
            // SAFETY: the lock is held whenever the condition is evaluated: `wait` returns with the lock.
            while self.data.with(|data| unsafe { (*data).running }) > 0 {
                locked = self.idle.wait(locked).unwrap();
            }
        }
    }

    pub(super) fn run(calls: u32) {
        let payload = Arc::new(Payload::new());
        let source = Arc::new(Source {
            lock: Mutex::new(()),
            idle: Condvar::new(),
            data: UnsafeCell::new(Data { payload: Some(Arc::clone(&payload)), running: 0 }),
            stopped: AtomicU32::new(0),
            times: calls,
        });
        let theirs = Arc::clone(&source);
        let thread = loom::thread::spawn(move || {
            for _ in 0..theirs.times {
                // Acquire: pairs with the Release in `run`'s store, so that a stopped thread sees what came before it.
                if theirs.stopped.load(Ordering::Acquire) != 0 {
                    break;
                }
                theirs.call();
            }
        });
        source.remove();
        payload.free();
        // Release: pairs with the Acquire load in the thread.
        source.stopped.store(1, Ordering::Release);
        thread.join().unwrap();
    }
}

fn in_c(calls: u32, options: &Options) -> (u64, Duration) {
    let began = Instant::now();
    let exploration = explore("protocol in C", options, move || c::run(calls as c_int));
    exploration.check();
    (exploration.interleavings, began.elapsed())
}

fn in_rust(calls: u32) -> (u64, Duration) {
    let count = Arc::new(std::sync::atomic::AtomicU64::new(0));
    let counted = Arc::clone(&count);
    let began = Instant::now();
    let mut model = loom::model::Builder::new();
    model.preemption_bound = None;
    model.check(move || {
        // Relaxed: a count, of one thread.
        counted.fetch_add(1, Ordering::Relaxed);
        rust::run(calls);
    });
    // Relaxed: a count, of one thread.
    (count.load(Ordering::Relaxed), began.elapsed())
}

fn main() {
    let calls = std::env::args().filter_map(|argument| argument.parse().ok()).next().unwrap_or(6);
    let options = Options::new();
    let (mut c, mut rust) = (in_c(calls, &options), in_rust(calls));
    assert_eq!(c.0, rust.0, "interleavings of the protocol in C, and in Rust");
    for _ in 0..20 {
        c.1 = c.1.min(in_c(calls, &options).1);
        rust.1 = rust.1.min(in_rust(calls).1);
    }
    let rate = |(interleavings, time): (u64, Duration)| interleavings as f64 / time.as_secs_f64();
    println!("{calls} calls: {} interleavings in C and in Rust", c.0);
    println!("C    {:>10.2?}  {:>9.0} interleavings/s", c.1, rate(c));
    println!("Rust {:>10.2?}  {:>9.0} interleavings/s", rust.1, rate(rust));
    println!("ratio {:.2} (goal: at most 1.3)", c.1.as_secs_f64() / rust.1.as_secs_f64());
    // Pruning needs to see all that threads share. It does not see loom's atomics in Rust code, but the one here is
    // used by one thread only.
    let options = options.repeats(Repeats::Pruned);
    let left = (0..20).map(|_| in_c(calls, &options)).min_by_key(|(_, time)| *time).expect("more than none");
    let ratio = left.1.as_secs_f64() / rust.1.as_secs_f64();
    println!("C, repeats pruned: {} interleavings, {:.2?}, {ratio:.2} of the time in Rust", left.0, left.1);
}

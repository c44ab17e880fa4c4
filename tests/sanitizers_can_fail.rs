//! Shows that the tools of `.ci/sanitizers` can fail: each tool, in the same build and with the same options, convicts
//! a defect that it is used for, and finds nothing in the same program over the registry.
//!
//! The defects are those of a hand-written binding that gives C a pointer to a box. Each program runs in a subprocess.
//! The script names the tool in `LATECALL_SANITIZER`. Without a tool, as in plain `cargo test`, the programs run over
//! the registry only, because nothing would notice the defects.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]
#![allow(clippy::disallowed_types, reason = "a test is outside the crate and has no other atomics")]

use latecall::registry::{Handle, Quiescence, Reason, Registry, use_portable_fences};
use std::cell::Cell;
use std::ffi::c_void;
use std::hint::black_box;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;

/// What a callback owns. Not atomic, so the binding has to order its uses.
struct State(Cell<u64>);

// SAFETY: none by itself. In each program the binding orders the uses, or fails to, which is the defect.
unsafe impl Sync for State {}

impl State {
    fn fired(&self) -> u64 {
        self.0.set(self.0.get() + 1);
        self.0.get()
    }
}

/// How the callback is bound.
trait Binding {
    /// A callback, and what C is given for it.
    fn subscribe() -> *mut c_void;
    /// C fires.
    fn fire(user_data: *mut c_void) -> Option<u64>;
    /// The owner does not need the callback any more.
    fn unsubscribe(user_data: *mut c_void);
}

/// A pointer to a box, which its owner frees whatever C still does.
struct RawBox;

impl Binding for RawBox {
    fn subscribe() -> *mut c_void {
        black_box(Box::into_raw(Box::new(State(Cell::new(0)))).cast())
    }

    fn fire(user_data: *mut c_void) -> Option<u64> {
        // SAFETY: not sound if the box has been freed; that is the defect.
        let state = unsafe { &*user_data.cast::<State>() };
        Some(black_box(state.fired()))
    }

    fn unsubscribe(user_data: *mut c_void) {
        // SAFETY: not sound if C still uses the box; that is the defect.
        drop(unsafe { Box::from_raw(user_data.cast::<State>()) });
    }
}

/// A handle of a registry.
struct Registered;

static REGISTRY: Registry<dyn Fn() -> u64 + Send + Sync> = Registry::new();

impl Binding for Registered {
    fn subscribe() -> *mut c_void {
        // Too large for the slot, so it stays in a box, as the raw one does.
        let (state, weight) = (Box::new(State(Cell::new(0))), [0_u64; 3]);
        let callback = move || {
            let _ = black_box(&weight);
            state.fired()
        };
        REGISTRY.register(Box::new(callback)).leak().as_ptr()
    }

    fn fire(user_data: *mut c_void) -> Option<u64> {
        REGISTRY
            .call(user_data, |callback| black_box(callback()))
            .map_err(|late| assert_eq!(late.reason(), Reason::Stale))
            .ok()
    }

    fn unsubscribe(user_data: *mut c_void) {
        assert_eq!(REGISTRY.revoke_and_wait(Handle::from_ptr(user_data)), Ok(Quiescence::Quiescent));
    }
}

/// Fires once in time and once late.
fn late<B: Binding>() {
    let user_data = B::subscribe();
    assert_eq!(B::fire(user_data), Some(1));
    B::unsubscribe(user_data);
    let _ = black_box(B::fire(user_data));
}

/// Another thread fires. This thread learns that the call is over from a flag that orders nothing, and unsubscribes.
fn unordered<B: Binding>() {
    let (over, unsubscribed) = (AtomicBool::new(false), AtomicBool::new(false));
    // Relaxed, all accesses: a stronger flag would order the call and the free in place of the binding.
    let wait_for = |flag: &AtomicBool| {
        while !flag.load(Relaxed) {
            thread::yield_now();
        }
    };
    let user_data = B::subscribe();
    let address = user_data.expose_provenance();
    thread::scope(|scope| {
        scope.spawn(|| {
            assert_eq!(B::fire(std::ptr::with_exposed_provenance_mut(address)), Some(1));
            over.store(true, Relaxed);
            // ThreadSanitizer may forget what an ended thread did, and would then report nothing.
            wait_for(&unsubscribed);
        });
        wait_for(&over);
        B::unsubscribe(user_data);
        unsubscribed.store(true, Relaxed);
    });
}

/// Subscribes without unsubscribing, more often than a registry's first chunk has slots.
fn forgotten<B: Binding>() {
    for _ in 0..3000 {
        assert_eq!(B::fire(black_box(B::subscribe())), Some(1));
    }
}

/// The environment variable that names the binding for the subprocess.
const OVER: &str = "LATECALL_OVER";

/// Runs the test `name` in a subprocess, as the program over `over`.
fn run(name: &str, over: &str, tool: Option<&str>) -> Output {
    let me = std::env::current_exe().unwrap();
    // Valgrind runs the executable, with its options in VALGRIND_OPTS. Sanitizers are compiled into it.
    let mut command = match tool {
        Some("valgrind") => Command::new("valgrind"),
        _ => Command::new(&me),
    };
    if tool == Some("valgrind") {
        command.arg(&me);
    }
    command.args(["--exact", name, "--nocapture", "--test-threads=1"]).env(OVER, over).output().unwrap()
}

/// In the subprocess, runs the program. Otherwise starts the subprocesses of the test `name` and judges their results.
/// `convictions` has what each tool says of the raw box; a tool that is not listed does not detect the defect.
fn judge(name: &str, convictions: &[(&str, &str)], program: impl Fn(&str)) {
    if let Ok(over) = std::env::var(OVER) {
        return program(&over);
    }
    let tool = std::env::var("LATECALL_SANITIZER").ok();
    if let Some(tool) = &tool {
        assert!(["address", "thread", "valgrind"].contains(&tool.as_str()), "LATECALL_SANITIZER={tool}: no such tool");
    }
    for over in ["registry", "registry, portable fences"] {
        let out = run(name, over, tool.as_deref());
        let text = String::from_utf8_lossy(&out.stderr);
        assert!(out.status.success(), "over the {over}: {}\n{text}", out.status);
        assert!(String::from_utf8_lossy(&out.stdout).contains("1 passed"), "over the {over}: nothing was run\n{text}");
    }
    let Some(says) = convictions.iter().find(|(by, _)| Some(*by) == tool.as_deref()).map(|(_, says)| says) else {
        return;
    };
    let out = run(name, "raw box", tool.as_deref());
    let text = String::from_utf8_lossy(&out.stderr);
    assert!(!out.status.success() && text.contains(says), "not convicted of {says:?}: {}\n{text}", out.status);
}

/// Runs the program over the binding that `word` names.
fn over(word: &str, raw_box: impl Fn(), registered: impl Fn()) {
    match word {
        "raw box" => raw_box(),
        "registry" => registered(),
        "registry, portable fences" => {
            assert!(use_portable_fences());
            registered();
        }
        _ => panic!("{OVER}={word}: no such binding"),
    }
}

/// S05, S98
#[test]
fn a_late_call_is_convicted_over_a_raw_box_and_not_over_the_registry() {
    const NAME: &str = "a_late_call_is_convicted_over_a_raw_box_and_not_over_the_registry";
    let convictions = [
        ("address", "AddressSanitizer: heap-use-after-free"),
        ("thread", "ThreadSanitizer: heap-use-after-free"),
        ("valgrind", "Invalid read"),
    ];
    judge(NAME, &convictions, |word| over(word, late::<RawBox>, late::<Registered>));
}

/// S18, S98
#[test]
fn a_free_that_nothing_orders_after_the_call_is_a_race_over_a_raw_box_and_none_over_the_registry() {
    const NAME: &str = "a_free_that_nothing_orders_after_the_call_is_a_race_over_a_raw_box_and_none_over_the_registry";
    let convictions = [("thread", "ThreadSanitizer: data race")];
    judge(NAME, &convictions, |word| over(word, unordered::<RawBox>, unordered::<Registered>));
}

/// S98: the closures that a `static` registry still has when the process ends are reachable, and so are no leaks.
#[test]
fn unfreed_boxes_are_leaks_and_callbacks_of_a_static_registry_are_none() {
    const NAME: &str = "unfreed_boxes_are_leaks_and_callbacks_of_a_static_registry_are_none";
    let convictions =
        [("address", "LeakSanitizer: detected memory leaks"), ("valgrind", "definitely lost in loss record")];
    judge(NAME, &convictions, |word| over(word, forgotten::<RawBox>, forgotten::<Registered>));
}

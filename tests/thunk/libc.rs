//! Functions of the C library that take a callback without user data.

use crate::support::{is_subprocess, run_in_subprocess};
use latecall::signature::scope;
use std::cell::Cell;
use std::ffi::{c_int, c_void};
use std::ptr;
use std::sync::atomic::{AtomicI32, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

type Compares = extern "C" fn(*const c_void, *const c_void) -> c_int;

unsafe extern "C" {
    fn qsort(items: *mut c_void, count: usize, size: usize, compare: Compares);
    fn bsearch(key: *const c_void, items: *const c_void, count: usize, size: usize, compare: Compares) -> *mut c_void;
    fn tsearch(key: *const c_void, root: *mut *mut c_void, compare: Compares) -> *mut c_void;
    fn tfind(key: *const c_void, root: *const *mut c_void, compare: Compares) -> *mut c_void;
    fn tdelete(key: *const c_void, root: *mut *mut c_void, compare: Compares) -> *mut c_void;
    fn atexit(function: extern "C" fn()) -> c_int;
    fn signal(number: c_int, handler: extern "C" fn(c_int)) -> usize;
    fn raise(number: c_int) -> c_int;
}

latecall::signature! {
    /// `int (*)(const void *, const void *)`
    extern "C" fn Compare(one: *const c_void, other: *const c_void) -> c_int;
    late = 0;
    panic = Carry;
}

/// The number that the C library passes a pointer to.
fn number(item: *const c_void) -> i32 {
    // SAFETY: the tests give the C library pointers to `i32`s only, which outlive the comparison.
    unsafe { item.cast::<i32>().read() }
}

/// A comparison of `i32`s by `key`, which counts.
fn comparing<'a>(
    calls: &'a Cell<u32>,
    key: impl Fn(i32) -> i32 + 'a,
) -> impl Fn(*const c_void, *const c_void) -> c_int + 'a {
    move |one, other| {
        calls.set(calls.get() + 1);
        let (one, other) = (number(one), number(other));
        key(one).cmp(&key(other)) as c_int
    }
}

#[test]
fn qsort_and_bsearch_compare_with_closures_that_borrow() {
    let (calls, pivot) = (Cell::new(0), Cell::new(50));
    let by_distance = comparing(&calls, |number| (number - pivot.get()).abs());
    let backwards = comparing(&calls, |number| -number);
    let mut numbers: Vec<i32> = (0..100).map(|number| number * 37 % 100).collect();
    let kept = scope::<Compare, _>(|scope| {
        let (by_distance, backwards) =
            (scope.thunk(Compare::confined_ref(&by_distance)), scope.thunk(Compare::confined_ref(&backwards)));
        // SAFETY: the items are `i32`s, and the function compares `i32`s.
        unsafe { qsort(numbers.as_mut_ptr().cast(), 100, 4, by_distance) };
        assert_eq!((numbers[0], (numbers[99] - 50).abs()), (50, 50));
        // SAFETY: the items are `i32`s, and the function compares `i32`s.
        unsafe { qsort(numbers.as_mut_ptr().cast(), 100, 4, backwards) };
        assert!(numbers.is_sorted_by(|one, other| one > other));
        // SAFETY: the key and the items are `i32`s, and the function compares `i32`s.
        let found = unsafe { bsearch((&raw const numbers[42]).cast(), numbers.as_ptr().cast(), 100, 4, backwards) };
        assert_eq!(found.cast_const(), (&raw const numbers[42]).cast());
        backwards
    });
    // A C library that kept the comparison: it compares nothing any more.
    let before = calls.get();
    // SAFETY: the items are `i32`s, and the function does not look at them.
    unsafe { qsort(numbers.as_mut_ptr().cast(), 100, 4, kept) };
    assert_eq!(calls.get(), before);
}

#[test]
fn a_panic_in_a_comparison_comes_out_of_the_scope_after_qsort() {
    let compare = |_: *const c_void, _: *const c_void| std::panic::panic_any("no order");
    let mut numbers = [3, 2, 1];
    let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        scope::<Compare, _>(|scope| {
            let function = scope.thunk(Compare::confined_ref(&compare));
            // SAFETY: the items are `i32`s, and the function does not look at them.
            unsafe { qsort(numbers.as_mut_ptr().cast(), 3, 4, function) };
        });
    }));
    assert_eq!(panic.unwrap_err().downcast_ref(), Some(&"no order"));
}

/// A tree that is kept between calls, and compares with one closure all the time.
#[test]
fn a_tree_of_tsearch_keeps_its_order() {
    let numbers = [5, 3, 8, 1, 4, 7, 9];
    let compared = Arc::new(AtomicI32::new(0));
    let count = Arc::clone(&compared);
    let compare = Compare::thunk(move |one, other| {
        count.fetch_add(1, SeqCst);
        let (one, other) = (number(one), number(other));
        one.cmp(&other) as c_int
    });
    let mut root = ptr::null_mut();
    for number in &numbers {
        // SAFETY: the key outlives the tree, and the function compares such keys.
        let node = unsafe { tsearch(ptr::from_ref(number).cast(), &raw mut root, compare.as_fn()) };
        assert!(!node.is_null());
    }
    let find = |number: i32| {
        // SAFETY: the key lives during the call, and the function compares such keys.
        !unsafe { tfind((&raw const number).cast(), &raw const root, compare.as_fn()) }.is_null()
    };
    assert!(numbers.iter().all(|number| find(*number)) && !find(6));
    assert!(compared.load(SeqCst) > 20);
    for number in &numbers {
        // SAFETY: the key is in the tree, and the function compares such keys.
        unsafe { tdelete(ptr::from_ref(number).cast(), &raw mut root, compare.as_fn()) };
    }
    assert!(root.is_null());
}

/// A closure with state as a handler of a signal.
#[test]
fn a_signal_handler_can_be_a_closure() {
    latecall::signature! {
        /// `void (*)(int)`
        extern "C" fn Handler(number: c_int);
        panic = Abort;
    }
    const SIGURG: c_int = if cfg!(any(target_os = "linux", target_os = "android")) { 23 } else { 16 };
    let seen = Arc::new(AtomicI32::new(0));
    let sum = Arc::clone(&seen);
    let handler = Handler::thunk(move |number| {
        sum.fetch_add(number, SeqCst);
    });
    handler.as_fn()(0); // The first call of a thread may allocate, which a signal handler must not do.
    // SAFETY: the handler only calls the registry, which a thread that has called before may do in a signal handler.
    unsafe { signal(SIGURG, handler.as_fn()) };
    // SAFETY: a signal whose handler is installed, to the calling thread.
    assert_eq!(unsafe { raise(SIGURG) }, 0);
    assert_eq!(seen.load(SeqCst), SIGURG);
    drop(handler);
    // SAFETY: the handler is installed still; it is late.
    assert_eq!(unsafe { raise(SIGURG) }, 0);
    assert_eq!((seen.load(SeqCst), Handler::registry().stats().late.total()), (SIGURG, 1));
}

/// S75: a handler is revoked while its signal is pending. The handler runs then, and is late.
#[cfg(target_os = "linux")]
#[test]
fn a_handler_that_is_revoked_while_its_signal_is_pending_is_late() {
    latecall::signature! {
        extern "C" fn Pending(number: c_int);
        panic = Abort;
    }
    #[repr(C, align(8))]
    struct Signals([u8; 128]);
    unsafe extern "C" {
        fn sigemptyset(set: *mut Signals) -> c_int;
        fn sigaddset(set: *mut Signals, number: c_int) -> c_int;
        fn pthread_sigmask(how: c_int, set: *const Signals, before: *mut Signals) -> c_int;
    }
    const SIGWINCH: c_int = 28;
    const BLOCK: c_int = 0;
    const UNBLOCK: c_int = 1;
    let runs = Arc::new(AtomicI32::new(0));
    let count = Arc::clone(&runs);
    let handler = Pending::thunk(move |_| {
        count.fetch_add(1, SeqCst);
    });
    handler.as_fn()(0); // The first call of a thread may allocate.
    let mut signals = Signals([0; 128]);
    // SAFETY: `signals` is as large as the C library's `sigset_t`.
    assert_eq!(unsafe { sigemptyset(&raw mut signals) }, 0);
    // SAFETY: `signals` is initialised.
    assert_eq!(unsafe { sigaddset(&raw mut signals, SIGWINCH) }, 0);
    // SAFETY: the handler only calls the registry, which a thread that has called before may do in a signal handler.
    unsafe { signal(SIGWINCH, handler.as_fn()) };
    // SAFETY: `signals` is initialised, and NULL is allowed.
    assert_eq!(unsafe { pthread_sigmask(BLOCK, &raw const signals, ptr::null_mut()) }, 0);
    // SAFETY: a signal that is blocked, to the calling thread.
    assert_eq!(unsafe { raise(SIGWINCH) }, 0);
    drop(handler);
    assert_eq!(Pending::registry().stats().late.total(), 0);
    // SAFETY: `signals` is initialised, and NULL is allowed.
    assert_eq!(unsafe { pthread_sigmask(UNBLOCK, &raw const signals, ptr::null_mut()) }, 0);
    assert_eq!((Pending::registry().stats().late.total(), runs.load(SeqCst)), (1, 1));
}

/// Closures that run at exit; one of them is over by then, and exits quietly.
#[test]
fn a_closure_runs_at_exit_and_a_dead_one_does_not() {
    latecall::signature! {
        /// `void (*)(void)`
        extern "C" fn AtExit();
        panic = Abort;
        registry = latecall::registry::Registry::new().with_late_policy(latecall::registry::LatePolicy::Report);
    }
    if is_subprocess() {
        let lines = Mutex::new(vec!["said at exit"]);
        let alive = AtExit::thunk(move || println!("{}", lines.lock().unwrap().pop().unwrap()));
        let dead = AtExit::thunk(|| println!("never said"));
        // SAFETY: `atexit` takes a function that may be called at exit; a thunk may be called at any time.
        unsafe { atexit(alive.leak()) };
        // SAFETY: a thunk may be called at any time.
        unsafe { atexit(dead.as_fn()) };
        drop(dead);
        return;
    }
    let output = run_in_subprocess(&a_closure_runs_at_exit_and_a_dead_one_does_not);
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && stdout.contains("said at exit"), "{stdout}{stderr}");
    assert!(!stdout.contains("never said") && stderr.contains("late call"), "{stdout}{stderr}");
}

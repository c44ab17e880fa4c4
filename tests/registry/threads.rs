//! Unusual threads: created by C, being torn down, with the id of an ended thread, ending inside a callback. S54, S56,
//! S57, S58.
#![allow(clippy::disallowed_types, reason = "a test is outside the crate and has no other atomics")]

use crate::support::{Callbacks, breakpoint};
use latecall::registry::{Handle, Quiescence, Reason, Registry, Revoked, ThreadTag};
use std::cell::RefCell;
use std::collections::HashSet;
use std::ffi::c_void;
use std::ptr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::thread;

#[cfg(target_os = "linux")]
type PthreadKey = u32;
#[cfg(not(target_os = "linux"))]
type PthreadKey = std::ffi::c_ulong;

unsafe extern "C" {
    fn pthread_self() -> usize;
    fn pthread_create(
        thread: *mut usize,
        attributes: *const c_void,
        start: extern "C-unwind" fn(*mut c_void) -> *mut c_void,
        argument: *mut c_void,
    ) -> i32;
    fn pthread_join(thread: usize, result: *mut *mut c_void) -> i32;
    fn pthread_key_create(key: *mut PthreadKey, destructor: Option<extern "C" fn(*mut c_void)>) -> i32;
    fn pthread_setspecific(key: PthreadKey, value: *const c_void) -> i32;
}

/// What a thread does while it is being torn down: a call that succeeds, a late call with its report, `register`, and
/// `revoke_and_wait` from inside.
fn use_everything(registry: &Callbacks, live: Handle, stale: Handle) {
    registry.call(live.as_ptr(), |f| f()).unwrap();
    let late = registry.call(stale.as_ptr(), |f| f()).unwrap_err();
    assert_eq!(late.reason(), Reason::Stale);
    assert!(late.to_string().contains("called by   thread"));
    let own = registry.register(Box::new(|| ()));
    assert_eq!(
        registry.call(own.handle().as_ptr(), |_| own.revoke_and_wait()).unwrap(),
        Quiescence::DeferredToOuterFrame
    );
}

/// S57: calls from the destructor of a Rust thread-local, and from the destructor of a C thread-specific value, which
/// runs even later, after std's own. An abort or a panic would fail the test.
#[test]
fn calls_work_while_the_thread_is_being_torn_down() {
    static REGISTRY: Registry<dyn Fn() + Send + Sync> = Registry::new();
    static CALLS: AtomicUsize = AtomicUsize::new(0);
    static LIVE: AtomicUsize = AtomicUsize::new(0);
    static STALE: AtomicUsize = AtomicUsize::new(0);
    static RAN: Mutex<Vec<&str>> = Mutex::new(Vec::new());

    fn last_words(of: &'static str) {
        use_everything(&REGISTRY, Handle::from_bits(LIVE.load(SeqCst)), Handle::from_bits(STALE.load(SeqCst)));
        RAN.lock().unwrap().push(of);
    }
    struct AtTheEnd;
    impl Drop for AtTheEnd {
        fn drop(&mut self) {
            last_words("rust");
        }
    }
    extern "C" fn at_the_very_end(_: *mut c_void) {
        last_words("c");
    }
    thread_local! {
        static GUARD: RefCell<Option<AtTheEnd>> = const { RefCell::new(None) };
    }

    let live = REGISTRY.register(Box::new(|| {
        CALLS.fetch_add(1, SeqCst);
    }));
    LIVE.store(live.handle().bits(), SeqCst);
    STALE.store(REGISTRY.register(Box::new(|| panic!("ran"))).handle().bits(), SeqCst);
    let mut key = 0;
    // SAFETY: `key` is written before the call returns; the destructor is a static function.
    assert_eq!(unsafe { pthread_key_create(&raw mut key, Some(at_the_very_end)) }, 0);
    // Once where the thread has used the registry before, once where its first use is in the destructor.
    for used_before in [true, false] {
        let thread = thread::Builder::new().spawn(move || {
            if used_before {
                drop(REGISTRY.register(Box::new(|| ())));
            }
            GUARD.with(|guard| *guard.borrow_mut() = Some(AtTheEnd));
            // SAFETY: the key was created above, and no code dereferences the value.
            assert_eq!(unsafe { pthread_setspecific(key, ptr::without_provenance(1)) }, 0);
        });
        // Returns after all of the thread's destructors have run, C's included.
        thread.unwrap().join().unwrap();
    }
    let mut ran = RAN.lock().unwrap().clone();
    ran.sort_unstable();
    assert_eq!(ran, ["c", "c", "rust", "rust"]);
    assert_eq!(CALLS.load(SeqCst), 4);
    assert_eq!(REGISTRY.stats().revoking, 0);
}

/// S54: threads that Rust did not create call and end, one after the other.
#[test]
fn a_thread_made_by_c_may_call_and_go() {
    static REGISTRY: Registry<dyn Fn() + Send + Sync> = Registry::new();
    static CALLS: AtomicU64 = AtomicU64::new(0);
    extern "C-unwind" fn start(user_data: *mut c_void) -> *mut c_void {
        match REGISTRY.call(user_data, |f| f()) {
            Ok(()) => ptr::null_mut(),
            Err(_) => ptr::without_provenance_mut(1),
        }
    }
    let registration = REGISTRY.register(Box::new(|| {
        CALLS.fetch_add(1, SeqCst);
    }));
    for round in 1..=20 {
        let (mut id, mut result) = (0, ptr::null_mut());
        // SAFETY: `start` has the type that is asked for, and takes any value.
        let made = unsafe { pthread_create(&raw mut id, ptr::null(), start, registration.handle().as_ptr()) };
        assert_eq!(made, 0);
        // SAFETY: the thread exists and is joined once.
        assert_eq!(unsafe { pthread_join(id, &raw mut result) }, 0);
        assert!(result.is_null());
        assert_eq!(CALLS.load(SeqCst), round);
    }
    assert_eq!(registration.revoke_and_wait(), Quiescence::Quiescent);
}

/// S58: the system gives the id of an ended thread to a new one. The ended thread was inside the callback. The new
/// thread is not mistaken for it, and waits for the call that is inside now.
#[test]
fn a_reused_thread_id_is_not_mistaken_for_its_former_owner() {
    let registry = Callbacks::new();
    let (breakpoint, controller) = breakpoint();
    let breakpoints = Mutex::new(Vec::from([breakpoint]));
    let registration = registry.register(Box::new(move || {
        let breakpoint = breakpoints.lock().unwrap().pop();
        if let Some(breakpoint) = breakpoint {
            breakpoint.stop_here();
        }
    }));
    let handle = registration.handle();
    thread::scope(|scope| {
        // One call is parked inside for the whole test.
        scope.spawn(|| registry.call(handle.as_ptr(), |f| f()).is_ok());
        controller.wait_until_stopped();
        let mut ids = HashSet::new();
        let mut tags = HashSet::new();
        // Threads that each are inside once, and die, until one has an id that a dead one had.
        let reused = (0..1000).find(|_| {
            let (id, tag) = scope
                .spawn(|| {
                    registry.call(handle.as_ptr(), |f| f()).unwrap();
                    // SAFETY: `pthread_self` has no preconditions.
                    (unsafe { pthread_self() }, ThreadTag::current())
                })
                .join()
                .unwrap();
            assert!(tags.insert(tag.number()), "a tag is never reused");
            !ids.insert(id)
        });
        assert!(reused.is_some(), "the system did not reuse an id in 1000 threads; nothing was tested");
        // The next thread most likely has that id too. It must wait whatever id it has.
        let revoker = scope.spawn(|| registration.revoke_and_wait());
        while registry.call(handle.as_ptr(), |_| ()).is_ok() {
            thread::yield_now();
        }
        assert_eq!(registry.stats().revoking, 1, "still waiting for the call that is inside");
        controller.resume();
        assert_eq!(revoker.join().unwrap(), Quiescence::Quiescent);
    });
}

latecall::signature! {
    /// What C calls in the tests below.
    extern "C" fn Plain(user_data);
    panic = Abort;
}

/// S56: `pthread_exit` inside a callback, two calls deep. Both calls are counted out, and waiting for them ends.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[test]
fn a_thread_that_exits_inside_a_callback_is_counted_out() {
    unsafe extern "C-unwind" {
        fn pthread_exit(value: *mut c_void) -> !;
    }
    extern "C-unwind" fn start(user_data: *mut c_void) -> *mut c_void {
        Plain::function()(user_data);
        ptr::null_mut()
    }
    let left = ptr::without_provenance_mut::<c_void>(56);
    let (breakpoint, controller) = breakpoint();
    let breakpoint = Mutex::new(Some(breakpoint));
    let exit = left.addr();
    let inner = Plain::registry().register(Plain::shared(move || {
        if let Some(breakpoint) = breakpoint.lock().unwrap().take() {
            breakpoint.stop_here();
            drop(breakpoint);
        }
        // SAFETY: every frame between here and the thread's first one may be abandoned: they are this test's and the
        // registry's, and own nothing that must be dropped.
        unsafe { pthread_exit(ptr::without_provenance_mut(exit)) };
    }));
    let inside = inner.handle().bits();
    let outer =
        Plain::registry().register(Plain::shared(move || Plain::function()(Handle::from_bits(inside).as_ptr())));
    let (mut id, mut result) = (0, ptr::null_mut());
    // SAFETY: `start` has the type that is asked for, and takes any value.
    assert_eq!(unsafe { pthread_create(&raw mut id, ptr::null(), start, outer.handle().as_ptr()) }, 0);
    controller.wait_until_stopped();
    assert_eq!(inner.revoke(), Revoked::InFlight(1));
    assert_eq!(outer.revoke(), Revoked::InFlight(1));
    controller.resume();
    assert_eq!(outer.revoke_and_wait(), Quiescence::Quiescent);
    assert_eq!(inner.revoke_and_wait(), Quiescence::Quiescent);
    // SAFETY: the thread exists and is joined once.
    assert_eq!(unsafe { pthread_join(id, &raw mut result) }, 0);
    assert_eq!(result, left, "the thread has exited");
}

/// S54: a thread with the smallest stack that the system allows, and one page more, makes its first call and a late
/// call.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[test]
fn a_thread_with_the_smallest_stack_may_call_and_be_late() {
    unsafe extern "C" {
        fn sysconf(name: i32) -> std::ffi::c_long;
        fn pthread_attr_init(attributes: *mut c_void) -> i32;
        fn pthread_attr_setstacksize(attributes: *mut c_void, bytes: usize) -> i32;
    }
    const SC_THREAD_STACK_MIN: i32 = 75;
    extern "C-unwind" fn start(user_data: *mut c_void) -> *mut c_void {
        Plain::function()(user_data);
        Plain::function()(ptr::null_mut());
        ptr::null_mut()
    }
    static CALLS: AtomicU64 = AtomicU64::new(0);
    let registration = Plain::registry().register(Plain::shared(|| _ = CALLS.fetch_add(1, SeqCst)));
    // SAFETY: `sysconf` takes any number.
    let smallest = usize::try_from(unsafe { sysconf(SC_THREAD_STACK_MIN) }).unwrap();
    let mut attributes = [0_u64; 32];
    // SAFETY: `attributes` is larger than glibc's `pthread_attr_t`, and is only used through these functions.
    assert_eq!(unsafe { pthread_attr_init((&raw mut attributes).cast()) }, 0);
    // SAFETY: `attributes` was initialised just now.
    assert_eq!(unsafe { pthread_attr_setstacksize((&raw mut attributes).cast(), smallest + 4096) }, 0);
    let (mut id, mut result) = (0, ptr::null_mut());
    // SAFETY: `attributes` is initialised. `start` has the type that `pthread_create` asks for, and takes any value.
    let made =
        unsafe { pthread_create(&raw mut id, (&raw const attributes).cast(), start, registration.handle().as_ptr()) };
    assert_eq!(made, 0);
    // SAFETY: the thread exists and is joined once.
    assert_eq!(unsafe { pthread_join(id, &raw mut result) }, 0);
    assert_eq!(CALLS.load(SeqCst), 1);
}

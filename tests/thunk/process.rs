//! Threads that end inside a thunk, forks, and calls while a thread is torn down.

use crate::support::{fork_child, forked, isolated, wait_for_child};
use latecall::thunk::Thunk;
use std::ffi::c_int;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};
use std::thread;

/// S71: other threads make and drop thunks while this one forks: the lists of addresses are whole in every child, and
/// their lock is free. The child makes thunks of the pool and of code pages, and calls one that its parent made.
#[test]
fn a_child_can_make_and_call_thunks_whatever_others_were_doing() {
    latecall::signature! {
        extern "C" fn Forked(number: u32) -> u32;
        late = 0;
        panic = Late;
        pool = 8;
        quarantine = 20;
    }
    const CHILDREN: u32 = 60;
    isolated(&a_child_can_make_and_call_thunks_whatever_others_were_doing, || {
        let inherited = Forked::thunk(|number| number + 1);
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    while !stop.load(SeqCst) {
                        let thunks: [_; 5] = std::array::from_fn(|_| Forked::thunk(|number| number));
                        assert_eq!(thunks[4].as_fn()(3), 3);
                    }
                });
            }
            for _ in 0..CHILDREN {
                let status = forked(20, || {
                    let mut well = inherited.as_fn()(1) == 2;
                    for number in 0..100 {
                        let thunk = Forked::thunk(move |more| number + more);
                        let function = thunk.as_fn();
                        well &= function(5) == number + 5;
                        drop(thunk);
                        well &= function(5) == 0;
                    }
                    if well { 7 } else { 1 }
                });
                assert_eq!((status & 0x7f, status >> 8), (0, 7), "signal, and answer");
            }
            stop.store(true, SeqCst);
        });
        assert_eq!(inherited.as_fn()(1), 2);
    });
}

/// S72: the parent gives the address of a thunk to another closure after a fork. In the child the address runs the
/// first closure still: pages of code never change, and the child has pages of data of its own.
#[test]
fn what_the_parent_does_with_an_address_changes_nothing_in_the_child() {
    latecall::signature! {
        extern "C" fn Shared(number: u32) -> u32;
        late = 0;
        panic = Late;
        pool = 0;
        quarantine = 0;
    }
    unsafe extern "C" {
        fn pipe(ends: *mut [c_int; 2]) -> c_int;
        fn read(file: c_int, buffer: *mut u8, size: usize) -> isize;
        fn write(file: c_int, buffer: *const u8, size: usize) -> isize;
    }
    isolated(&what_the_parent_does_with_an_address_changes_nothing_in_the_child, || {
        let mut ends = [0; 2];
        // SAFETY: `ends` may be written.
        assert_eq!(unsafe { pipe(&raw mut ends) }, 0);
        let thunk = Shared::thunk(|number| number + 1);
        let function = thunk.as_fn();
        let child = fork_child(20, || {
            let mut byte = 0;
            // SAFETY: one byte may be written to `byte`.
            if unsafe { read(ends[0], &raw mut byte, 1) } == 1 { function(1) as c_int } else { 99 }
        });
        drop(thunk);
        let next = Shared::thunk(|number| number + 10);
        assert_eq!((next.as_fn() as usize, function(1)), (function as usize, 11));
        // SAFETY: one byte may be read from the string.
        assert_eq!(unsafe { write(ends[1], b"x".as_ptr(), 1) }, 1);
        let status = wait_for_child(child);
        assert_eq!((status & 0x7f, status >> 8), (0, 2), "signal, and answer");
    });
}

/// S56: `pthread_exit` inside a thunk: the call is counted out, and waiting for it ends.
#[cfg(target_env = "gnu")]
#[test]
fn a_thread_that_exits_inside_a_thunk_is_counted_out() {
    use latecall::registry::{Quiescence, Revoked};
    use std::ffi::c_void;
    use std::ptr;
    use std::sync::Mutex;

    unsafe extern "C-unwind" {
        fn pthread_create(
            id: *mut usize,
            attributes: *const c_void,
            start: extern "C-unwind" fn(*mut c_void) -> *mut c_void,
            argument: *mut c_void,
        ) -> c_int;
        fn pthread_join(id: usize, result: *mut *mut c_void) -> c_int;
        fn pthread_exit(value: *mut c_void) -> !;
    }
    latecall::signature! {
        extern "C" fn Exits();
        panic = Abort;
        pool = 0;
    }
    static FUNCTION: Mutex<Option<extern "C" fn()>> = Mutex::new(None);
    extern "C-unwind" fn start(_: *mut c_void) -> *mut c_void {
        let function = *FUNCTION.lock().unwrap();
        function.unwrap()();
        ptr::null_mut()
    }
    let (breakpoint, controller) = crate::support::breakpoint();
    let breakpoint = Mutex::new(Some(breakpoint));
    let thunk = Exits::thunk(move || {
        if let Some(breakpoint) = breakpoint.lock().unwrap().take() {
            breakpoint.stop_here();
        }
        // SAFETY: every frame between here and the thread's first one may be abandoned: they are this test's, the
        // registry's and a page's, and own nothing that must be dropped.
        unsafe { pthread_exit(ptr::without_provenance_mut(56)) };
    });
    *FUNCTION.lock().unwrap() = Some(thunk.as_fn());
    let (mut id, mut result) = (0, ptr::null_mut());
    // SAFETY: `start` has the type that is asked for, and takes any value.
    assert_eq!(unsafe { pthread_create(&raw mut id, ptr::null(), start, ptr::null_mut()) }, 0);
    controller.wait_until_stopped();
    assert_eq!(thunk.revoke(), Revoked::InFlight(1));
    controller.resume();
    assert_eq!(thunk.revoke_and_wait(), Quiescence::Quiescent);
    // SAFETY: the thread exists and is joined once.
    assert_eq!(unsafe { pthread_join(id, &raw mut result) }, 0);
    assert_eq!(result.addr(), 56, "the thread has exited");
}

/// Thunks are made, called and dropped while the thread's locals are being destroyed.
#[test]
fn thunks_work_while_a_thread_is_torn_down() {
    latecall::signature! {
        extern "C" fn Torn(number: u32) -> u32;
        late = 0;
        panic = Late;
        pool = 1;
    }
    static SUM: AtomicU32 = AtomicU32::new(0);
    struct AtTheEnd(Thunk<Torn>);
    impl Drop for AtTheEnd {
        fn drop(&mut self) {
            let other = Torn::thunk(|number| number + 100);
            SUM.fetch_add(self.0.as_fn()(1) + other.as_fn()(1), SeqCst);
        }
    }
    thread_local! {
        static LAST: AtTheEnd = AtTheEnd(Torn::thunk(|number| number + 10));
    }
    thread::spawn(|| LAST.with(|last| assert_eq!(last.0.as_fn()(1), 11))).join().unwrap();
    assert_eq!(SUM.load(SeqCst), 112);
}

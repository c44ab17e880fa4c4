//! Threads that end inside a callback: `pthread_exit`, or a cancellation, where the unwinding passed by a call without
//! telling it (S56).
//!
//! C code may end a thread that it was called on. Unwinding tells the calls on the thread's stack, if the compiler was told that
//! what they call may unwind; a function that is declared `extern "C"` may not, and the calls below it are passed over. They
//! still stand in the thread's record then, when the thread has no stack any more. That is certain where the system calls
//! destructors of thread-specific values: it does so when a thread ends, and never because the process does.
//!
//! Calls that had to borrow a record are not found; they are in flight for good. So are those of registries that are not
//! [announced](super::announced), and of the main thread if it ends by `pthread_exit`.

use super::record::Record;

#[cfg(all(target_os = "linux", not(miri)))]
mod imp {
    use super::super::record;
    use super::Record;
    use crate::sync::{Counter, Ordering};
    use std::ffi::{c_int, c_uint, c_void};
    use std::ptr;

    unsafe extern "C" {
        fn pthread_key_create(key: *mut c_uint, destructor: Option<extern "C" fn(*mut c_void)>) -> c_int;
        fn pthread_setspecific(key: c_uint, value: *const c_void) -> c_int;
    }

    /// The key of the thread's record, plus `FIRST`; 0: there is none yet.
    static KEY: Counter = Counter::new(0);
    const FIRST: u64 = 2;
    /// There will be none.
    const NONE: u64 = 1;

    fn key() -> Option<c_uint> {
        // Acquire pairs with the AcqRel below: who sees a key sees that it has been made.
        let mut word = KEY.load(Ordering::Acquire);
        if word == 0 {
            let mut key = 0;
            // SAFETY: `key` may be written. The destructor is there whenever a thread has a value: until its last thread-local
            // is gone, `record::Guard` keeps the object loaded, and takes the value back then; unless the thread has ended
            // inside a callback, which is outstanding, and its object is pinned or must not be unloaded.
            let status = unsafe { pthread_key_create(&raw mut key, Some(has_ended)) };
            let new = if status == 0 { u64::from(key) + FIRST } else { NONE };
            // AcqRel pairs with the Acquire above, and Acquire (failure) with this of the other thread: the key of the
            // second is not used, and lost.
            word =
                KEY.compare_exchange(0, new, Ordering::AcqRel, Ordering::Acquire).map_or_else(|other| other, |_| new);
        }
        word.checked_sub(FIRST).and_then(|key| c_uint::try_from(key).ok())
    }

    /// The calling thread's record is this.
    pub(in super::super) fn begins(record: &'static Record) {
        set(ptr::from_ref(record).cast());
    }

    /// The calling thread has given its record back.
    pub(in super::super) fn has_left() {
        set(ptr::null());
    }

    fn set(value: *const c_void) {
        if let Some(key) = key() {
            // SAFETY: the key was made and is never deleted. Without memory for it the thread is not found when it ends.
            let _ = unsafe { pthread_setspecific(key, value) };
        }
    }

    extern "C" fn has_ended(record: *mut c_void) {
        // SAFETY: `begins` has it from a `&'static Record`, and `has_left` was not called: it is still this thread's.
        let record = unsafe { &*record.cast::<Record>() };
        record::leave_for_good(record);
    }
}

#[cfg(not(all(target_os = "linux", not(miri))))]
mod imp {
    use super::Record;

    pub(in super::super) fn begins(_: &'static Record) {}
    pub(in super::super) fn has_left() {}
}

pub(super) use imp::{begins, has_left};

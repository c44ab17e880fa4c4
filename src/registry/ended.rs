//! Threads that end inside a callback, by `pthread_exit` or cancellation, without running the destructors of the calls.
//!
//! C code may end the thread that it runs on. glibc then unwinds the stack, which runs destructors in the frames of
//! functions that may unwind. A function declared `extern "C"` may not, and no destructors run for the calls below it.
//! Those calls are still in the thread's records when the thread has no stack any more. This module detects them with
//! the destructor of a pthread thread-specific value: the system runs it when a thread ends, and never because the
//! process ends. It also gives back the record of a thread whose first call comes from another such destructor, when
//! Rust's thread-locals are gone already.
//!
//! Some calls are not found and stay in flight for ever:
//!
//! * calls of registries that are not [announced](super::announced);
//! * calls of the main thread, if it ends by `pthread_exit`.

#[cfg(all(target_os = "linux", not(miri)))]
mod imp {
    use super::super::record;
    use crate::sync::{Counter, Ordering};
    use std::ffi::{c_int, c_uint, c_void};
    use std::ptr;

    unsafe extern "C" {
        fn pthread_key_create(key: *mut c_uint, destructor: Option<extern "C" fn(*mut c_void)>) -> c_int;
        fn pthread_key_delete(key: c_uint) -> c_int;
        fn pthread_setspecific(key: c_uint, value: *const c_void) -> c_int;
    }

    /// `FIRST` plus the key for thread-specific values; 0: not created yet.
    static KEY: Counter = Counter::new(0);
    const FIRST: u64 = 2;
    /// The key could not be created.
    const NONE: u64 = 1;

    fn key() -> Option<c_uint> {
        // Acquire pairs with the AcqRel of the exchange below: a thread that reads a key here may use it, because it
        // sees what `pthread_key_create` wrote.
        let mut word = KEY.load(Ordering::Acquire);
        if word == 0 {
            let mut key = 0;
            // SAFETY: `key` may be written. The destructor's code is loaded whenever a thread has a value: `Guard`, in
            // `record/own.rs`, keeps the object loaded until the thread's last thread-local is gone, and clears the
            // value then. Only a thread that ends inside a callback keeps its value longer. Its call is outstanding, so
            // the object is pinned or must not be unloaded.
            let status = unsafe { pthread_key_create(&raw mut key, Some(has_ended)) };
            let new = if status == 0 { u64::from(key) + FIRST } else { NONE };
            // AcqRel: Release pairs with the Acquire load above. Acquire (failure) pairs with the Release of the
            // exchange by the thread that was first. The key created here is then lost, unused.
            word =
                KEY.compare_exchange(0, new, Ordering::AcqRel, Ordering::Acquire).map_or_else(|other| other, |_| new);
        }
        word.checked_sub(FIRST).and_then(|key| c_uint::try_from(key).ok())
    }

    /// The calling thread has taken a record as its own.
    pub(in super::super) fn begins() {
        // Any value but null: the destructor does not use it.
        set(ptr::without_provenance(1));
    }

    /// The calling thread has given its record back.
    pub(in super::super) fn has_left() {
        set(ptr::null());
    }

    fn set(value: *const c_void) {
        if let Some(key) = key() {
            // SAFETY: the key was created, and is deleted only when the object is unloaded, whose code this is. An
            // error means that memory for the value cannot be had; this thread is then not detected when it ends.
            let _ = unsafe { pthread_setspecific(key, value) };
        }
    }

    /// The object that contains this code is being unloaded: gives the key back. A process has few.
    pub(in super::super) fn unload() {
        // Relaxed: no other thread runs code of this object any more.
        if let Some(key) = KEY.swap(NONE, Ordering::Relaxed).checked_sub(FIRST) {
            // SAFETY: the key was created, and is deleted once, because `KEY` does not name it any more. No thread has
            // a value: each has cleared it before its thread-locals were gone, and until then the loader keeps the
            // object.
            let _ = unsafe { pthread_key_delete(key as c_uint) };
        }
    }

    extern "C" fn has_ended(_: *mut c_void) {
        record::leave_for_good();
    }
}

#[cfg(not(all(target_os = "linux", not(miri))))]
mod imp {
    pub(in super::super) fn begins() {}
    pub(in super::super) fn has_left() {}
    #[allow(dead_code, reason = "called where objects are unloaded")]
    pub(in super::super) fn unload() {}
}

#[allow(unused_imports, reason = "`unload` is called where objects are unloaded")]
pub(super) use imp::{begins, has_left, unload};

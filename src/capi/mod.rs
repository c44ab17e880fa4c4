//! The registry for C and C++: what `native/include/latecall.h` declares. The header is the documentation; the items here
//! are its definitions, in its order.
//!
//! Behind the feature `capi`, because a symbol with a plain C name is one for the whole program: a Rust crate that only
//! wants a registry must not bring any. No callback of C is called with a lock held. Nothing here unwinds into C, except
//! what C++ throws through `latecall_call`.
#![allow(non_camel_case_types, reason = "C's names")]

mod answer;

use crate::registry::{Close, Handle, LatePolicy, Registry};
use answer::Answer;
use std::ffi::{CStr, c_char, c_void};
use std::ptr::NonNull;
use std::time::Duration;

/// An object of C's.
pub struct Object {
    object: *mut c_void,
    destroy: Option<Destroy>,
}

// SAFETY: the header says that the object is used by several threads at a time, and destroyed on any.
unsafe impl Send for Object {}
// SAFETY: as for Send.
unsafe impl Sync for Object {}

impl Drop for Object {
    fn drop(&mut self) {
        if let Some(destroy) = self.destroy {
            // SAFETY: (1) the object is registered no more and nobody is inside; the registry drops it once.
            unsafe { destroy(self.object) };
        }
    }
}

/// A registry of C's objects.
pub struct latecall_registry(Registry<Object>);

/// `latecall_run`.
///
/// # Safety
/// 1. The first argument is an object that is not destroyed meanwhile, the second what C gave for it.
pub type Run = unsafe extern "C-unwind" fn(*mut c_void, *mut c_void);
/// `latecall_destroy`.
///
/// # Safety
/// 1. The argument is an object that nobody uses any more; called once for each.
pub type Destroy = unsafe extern "C" fn(*mut c_void);
/// `latecall_done`.
///
/// # Safety
/// 1. The argument is the context that C gave; called once for each.
pub type Done = unsafe extern "C" fn(*mut c_void);

/// The version of the header that these definitions are of.
#[unsafe(no_mangle)]
pub extern "C" fn latecall_abi_version() -> u32 {
    1
}

/// A sentence for an answer; for a number that is none, one that says so.
#[unsafe(no_mangle)]
pub extern "C" fn latecall_text(answer: i32) -> *const c_char {
    answer::text(answer).as_ptr()
}

/// # Safety
/// 1. `name` is NULL or a C string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn latecall_registry_new(name: *const c_char, tombstones: usize) -> *mut latecall_registry {
    let mut registry = Registry::new().with_tombstones(tombstones).with_late_policy(LatePolicy::Count);
    // SAFETY: (1) is (1).
    if let Some(name) = unsafe { text(name) } {
        // For ever, as the registry.
        registry = registry.with_name(name.leak());
    }
    let registry = Box::into_raw(Box::new(latecall_registry(registry)));
    // SAFETY: from a box that is never given back.
    let registry_for_good: &'static latecall_registry = unsafe { &*registry };
    registry_for_good.0.announce();
    registry
}

/// # Safety
/// 1. `registry` is NULL or from `latecall_registry_new`.
/// 2. `label` and `file` are NULL or C strings; `user_data` is NULL or may be written.
/// 3. `object` may be used by every `run` that C passes with this registry, by several threads at a time, until it is
///    destroyed, and by `destroy` then.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn latecall_register(
    registry: *mut latecall_registry,
    object: *mut c_void,
    destroy: Option<Destroy>,
    label: *const c_char,
    file: *const c_char,
    line: u32,
    user_data: *mut *mut c_void,
) -> i32 {
    // SAFETY: (1) is (1).
    let Some(registry) = (unsafe { get(registry) }) else { return Answer::BAD_ARGUMENT };
    let Some(user_data) = NonNull::new(user_data) else { return Answer::BAD_ARGUMENT };
    // SAFETY: (2).
    unsafe { user_data.write(std::ptr::null_mut()) };
    // SAFETY: (1) is (2).
    let (label, file) = (unsafe { text(label) }, unsafe { text(file) });
    let mut builder = registry.builder();
    builder = match (label, file) {
        (Some(label), Some(file)) => builder.label(format!("{label} ({file}:{line})")),
        (Some(label), None) => builder.label(label),
        (None, Some(file)) => builder.label(format!("{file}:{line}")),
        (None, None) => builder,
    };
    match builder.try_register(Box::new(Object { object, destroy })) {
        Ok(registration) => {
            // SAFETY: (2).
            unsafe { user_data.write(registration.leak().as_ptr()) };
            Answer::DONE
        }
        Err(exhausted) => {
            let shortage = exhausted.shortage();
            // The object still is C's: it is not destroyed here.
            exhausted.into_callback().destroy = None;
            answer::shortage(shortage)
        }
    }
}

/// # Safety
/// 1. `registry` is NULL or from `latecall_registry_new`.
/// 2. `run` may be called with any object of the registry, and with `argument`.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn latecall_call(
    registry: *mut latecall_registry,
    user_data: *mut c_void,
    run: Option<Run>,
    argument: *mut c_void,
) -> i32 {
    // SAFETY: (1) is (1).
    let (Some(registry), Some(run)) = (unsafe { get(registry) }, run) else { return Answer::BAD_ARGUMENT };
    let called = registry.call(user_data, |object| {
        // SAFETY: (1) the registry does not drop the object while this runs, and (2).
        unsafe { run(object.object, argument) };
    });
    match called {
        Ok(()) => Answer::DONE,
        Err(late) => answer::reason(late.reason()),
    }
}

/// # Safety
/// 1. `registry` is NULL or from `latecall_registry_new`.
/// 2. `in_flight` is NULL or may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn latecall_revoke(
    registry: *mut latecall_registry,
    user_data: *mut c_void,
    in_flight: *mut u32,
) -> i32 {
    // SAFETY: (1) is (1).
    let Some(registry) = (unsafe { get(registry) }) else { return Answer::BAD_ARGUMENT };
    let revoked = registry.revoke(Handle::from_ptr(user_data));
    let (answer, calls) = answer::revoked(revoked);
    if let Some(in_flight) = NonNull::new(in_flight) {
        // SAFETY: (2).
        unsafe { in_flight.write(calls) };
    }
    answer
}

/// # Safety
/// 1. `registry` is NULL or from `latecall_registry_new`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn latecall_revoke_and_wait(registry: *mut latecall_registry, user_data: *mut c_void) -> i32 {
    // SAFETY: (1) is (1).
    let Some(registry) = (unsafe { get(registry) }) else { return Answer::BAD_ARGUMENT };
    answer::waited(registry.revoke_and_wait(Handle::from_ptr(user_data)))
}

/// # Safety
/// 1. `registry` is NULL or from `latecall_registry_new`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn latecall_revoke_and_wait_for(
    registry: *mut latecall_registry,
    user_data: *mut c_void,
    milliseconds: u64,
) -> i32 {
    // SAFETY: (1) is (1).
    let Some(registry) = (unsafe { get(registry) }) else { return Answer::BAD_ARGUMENT };
    let handle = Handle::from_ptr(user_data);
    answer::waited(match milliseconds {
        0 => registry.try_revoke_and_wait(handle),
        _ => registry.revoke_and_wait_for(handle, Duration::from_millis(milliseconds)),
    })
}

/// # Safety
/// 1. `registry` is NULL or from `latecall_registry_new`.
/// 2. `done` may be called with `context`, on any thread, now or later.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn latecall_revoke_then(
    registry: *mut latecall_registry,
    user_data: *mut c_void,
    done: Option<Done>,
    context: *mut c_void,
) -> i32 {
    struct Context(*mut c_void);
    // SAFETY: (2).
    unsafe impl Send for Context {}
    // SAFETY: (1) is (1).
    let (Some(registry), Some(done)) = (unsafe { get(registry) }, done) else { return Answer::BAD_ARGUMENT };
    let context = Context(context);
    let revoked = registry.revoke_then(Handle::from_ptr(user_data), move || {
        let context = context;
        // SAFETY: (1) is (2), and the registry runs this once.
        unsafe { done(context.0) };
    });
    answer::revoked(revoked).0
}

/// # Safety
/// 1. `registry` is NULL or from `latecall_registry_new`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn latecall_barrier(registry: *mut latecall_registry) -> i32 {
    // SAFETY: (1) is (1).
    let Some(registry) = (unsafe { get(registry) }) else { return Answer::BAD_ARGUMENT };
    answer::waited(Ok(registry.barrier()))
}

/// # Safety
/// 1. `registry` is NULL or from `latecall_registry_new`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn latecall_close(registry: *mut latecall_registry, how: i32) -> i32 {
    // SAFETY: (1) is (1).
    let Some(registry) = (unsafe { get(registry) }) else { return Answer::BAD_ARGUMENT };
    let how = match how {
        0 => Close::Drain,
        1 => Close::Abort,
        2 => Close::Leave,
        _ => return Answer::BAD_ARGUMENT,
    };
    answer::waited(Ok(registry.close(how)))
}

/// # Safety
/// 1. `registry` is NULL or from `latecall_registry_new`.
/// 2. `size` bytes may be written to `buffer`, or it is NULL and `size` is 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn latecall_report(
    registry: *mut latecall_registry,
    user_data: *mut c_void,
    buffer: *mut c_char,
    size: usize,
) -> usize {
    // SAFETY: (1) is (1).
    let Some(registry) = (unsafe { get(registry) }) else { return 0 };
    let text = registry.explain(Handle::from_ptr(user_data));
    if let Some(buffer) = NonNull::new(buffer.cast::<u8>()).filter(|_| size > 0) {
        let length = text.len().min(size - 1);
        // SAFETY: (2): `length` bytes and a 0 are at most `size`.
        unsafe { std::ptr::copy_nonoverlapping(text.as_ptr(), buffer.as_ptr(), length) };
        // SAFETY: as above.
        let end = unsafe { buffer.add(length) };
        // SAFETY: as above.
        unsafe { end.write(0) };
    }
    text.len()
}

/// `latecall_counts`.
#[repr(C)]
#[derive(Debug)]
pub struct latecall_counts {
    live: u64,
    revoking: u64,
    registered: u64,
    revoked: u64,
    destroyed: u64,
    late: u64,
    tombstones: u64,
}

/// # Safety
/// 1. `registry` is NULL or from `latecall_registry_new`.
/// 2. `counts` is NULL or may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn latecall_count(registry: *mut latecall_registry, counts: *mut latecall_counts) -> i32 {
    // SAFETY: (1) is (1).
    let (Some(registry), Some(counts)) = (unsafe { get(registry) }, NonNull::new(counts)) else {
        return Answer::BAD_ARGUMENT;
    };
    let stats = registry.stats();
    let now = latecall_counts {
        live: stats.live,
        revoking: stats.revoking,
        registered: stats.registered,
        revoked: stats.revoked,
        destroyed: stats.closures_dropped,
        late: stats.late.total(),
        tombstones: stats.tombstones,
    };
    // SAFETY: (2).
    unsafe { counts.write(now) };
    Answer::DONE
}

/// # Safety
/// 1. `registry` is NULL or from `latecall_registry_new`.
unsafe fn get(registry: *mut latecall_registry) -> Option<&'static Registry<Object>> {
    // SAFETY: (1): it was a box, and is never given back or written to.
    unsafe { registry.as_ref() }.map(|registry| &registry.0)
}

/// # Safety
/// 1. `text` is NULL or a C string.
unsafe fn text(text: *const c_char) -> Option<String> {
    // SAFETY: (1), and it is not NULL; copied before this returns.
    NonNull::new(text.cast_mut()).map(|text| unsafe { CStr::from_ptr(text.as_ptr()) }.to_string_lossy().into_owned())
}

//! The registry for C and C++: the definitions of what `native/include/latecall.h` declares, in its order. The header
//! is the documentation.
//!
//! The feature `capi` enables this module. It is a feature because symbols with plain C names belong to the whole
//! program: a Rust crate that uses the registry must not export them. No function of C is called with a lock held.
//! Nothing unwinds into C, except for a C++ exception that `run` throws through `latecall_call`.
#![allow(non_camel_case_types, reason = "C's names")]

mod place;
mod results;
mod stats;

use crate::registry::{Close, Handle, LatePolicy, Registry, Shortage, try_box};
pub use place::Place;
use place::{NOWHERE, text};
use results::ResultCode;
pub use stats::{latecall_get_stats, latecall_stats};
use std::ffi::{c_char, c_void};
use std::ptr::NonNull;
use std::time::Duration;

/// An object that C has registered.
pub struct Object {
    object: *mut c_void,
    destroy: Option<Destroy>,
}

// SAFETY: clause 3 of `latecall_register`: any thread may call `destroy` with the object.
unsafe impl Send for Object {}
// SAFETY: clause 3 of `latecall_register`: several threads at a time may use the object in `run`.
unsafe impl Sync for Object {}

impl Drop for Object {
    fn drop(&mut self) {
        if let Some(destroy) = self.destroy {
            // SAFETY: (1) the registry drops an `Object` once, after it has been revoked and its last call has
            // returned; so no call uses the object any more.
            unsafe { destroy(self.object) };
        }
    }
}

/// A registry of C's objects.
pub struct latecall_registry(Registry<Object>);

/// `latecall_run`.
///
/// # Safety
/// 1. The first argument is an object that is not destroyed during the call. The second is the `argument` that C passed
///    to `latecall_call` together with this function.
pub type Run = unsafe extern "C-unwind" fn(*mut c_void, *mut c_void);
/// `latecall_destroy`.
///
/// # Safety
/// 1. The argument is the object that was registered with this function, and no call uses it any more. Called at most
///    once for each object.
pub type Destroy = unsafe extern "C" fn(*mut c_void);
/// `latecall_done`.
///
/// # Safety
/// 1. The argument is the `context` that C passed to `latecall_revoke_then` together with this function. Called at most
///    once.
pub type Done = unsafe extern "C" fn(*mut c_void);

/// The version of the header that these definitions belong to: its `LATECALL_ABI_VERSION`.
#[unsafe(no_mangle)]
pub extern "C" fn latecall_abi_version() -> u32 {
    1
}

/// The sentence of a result; for a number that is no result, a sentence that says so.
#[unsafe(no_mangle)]
pub extern "C" fn latecall_result_text(result: i32) -> *const c_char {
    results::text(result).as_ptr()
}

/// # Safety
/// 1. `name` is NULL or a C string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn latecall_registry_new(name: *const c_char, tombstones: usize) -> *mut latecall_registry {
    let mut registry = Registry::new().with_tombstones(tombstones).with_late_policy(LatePolicy::Count);
    // SAFETY: our caller guarantees (1), that `name` is NULL or a C string. That is (1) of `text`.
    if let Some(name) = unsafe { text(name) } {
        // Leaked, because the registry is never freed either.
        registry = registry.with_name(name.leak());
    }
    let registry = Box::into_raw(Box::new(latecall_registry(registry)));
    // SAFETY: `registry` is from `Box::into_raw`, is never freed, and is only ever used by shared reference.
    let registry_for_good: &'static latecall_registry = unsafe { &*registry };
    registry_for_good.0.announce();
    registry
}

/// # Safety
/// 1. `registry` is NULL or from `latecall_registry_new`.
/// 2. `label` and `file` are NULL or C strings. `user_data` is NULL, or valid for a write and aligned.
/// 3. Until `object` is destroyed, any `run` that C passes with this registry may be called with it, by several threads
///    at a time. After that, `destroy` may be called with it, on any thread.
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
    let place = Place { file, line, function: std::ptr::null() };
    // SAFETY: our caller guarantees (1), (2) and (3), which are those of `latecall_register_at`. `place` has the file
    // of (2), and no function.
    unsafe { latecall_register_at(registry, object, destroy, label, user_data, place) }
}

/// # Safety
/// 1. `registry` is NULL or from `latecall_registry_new`.
/// 2. `label` is NULL or a C string. `user_data` is NULL, or valid for a write and aligned.
/// 3. Until `object` is destroyed, any `run` that C passes with this registry may be called with it, by several threads
///    at a time. After that, `destroy` may be called with it, on any thread.
/// 4. The strings of `place` are NULL or C strings.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn latecall_register_at(
    registry: *mut latecall_registry,
    object: *mut c_void,
    destroy: Option<Destroy>,
    label: *const c_char,
    user_data: *mut *mut c_void,
    place: Place,
) -> i32 {
    // SAFETY: our caller guarantees (1), that `registry` is NULL or from `latecall_registry_new`. That is (1) of `get`.
    let Some(registry) = (unsafe { get(registry) }) else { return ResultCode::BAD_ARGUMENT };
    let Some(user_data) = NonNull::new(user_data) else { return ResultCode::BAD_ARGUMENT };
    // SAFETY: our caller guarantees (2): `user_data`, which is not NULL, may be written.
    unsafe { user_data.write(std::ptr::null_mut()) };
    // SAFETY: our caller guarantees (4), which is (1) of `site`.
    let site = unsafe { place.site() };
    let mut builder = registry.builder();
    if !label.is_null() {
        // SAFETY: our caller guarantees (2), that `label` is a C string. That is (1) of `text`.
        let Some(label) = (unsafe { text(label) }) else { return results::shortage(Shortage::Memory) };
        builder = builder.label(label);
    }
    // Without `destroy` until the object is the registry's: a failure drops this `Object`, and the object stays C's.
    let Some(mut boxed) = try_box(Object { object, destroy: None }) else {
        return results::shortage(Shortage::Memory);
    };
    boxed.destroy = destroy;
    let registered = match site {
        Some(site) => builder.try_register_at(boxed, site),
        None => builder.try_register(boxed),
    };
    match registered {
        Ok(registration) => {
            // SAFETY: our caller guarantees (2): `user_data`, which is not NULL, may be written.
            unsafe { user_data.write(registration.leak().as_ptr()) };
            ResultCode::OK
        }
        Err(exhausted) => {
            let shortage = exhausted.shortage();
            // The object stays C's, so `Object::drop` must not destroy it.
            exhausted.into_callback().destroy = None;
            results::shortage(shortage)
        }
    }
}

/// # Safety
/// 1. `registry` is NULL or from `latecall_registry_new`.
/// 2. `run` is NULL, or may be called on this thread with any object of the registry and with `argument`.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn latecall_call(
    registry: *mut latecall_registry,
    user_data: *mut c_void,
    run: Option<Run>,
    argument: *mut c_void,
) -> i32 {
    // SAFETY: our caller guarantees (1), that `registry` is NULL or from `latecall_registry_new`. That is (1) of `get`.
    let (Some(registry), Some(run)) = (unsafe { get(registry) }, run) else { return ResultCode::BAD_ARGUMENT };
    let called = registry.call(user_data, |object| {
        // SAFETY: (1) the registry does not drop `object` before this closure returns, so it is not destroyed; and our
        // caller guarantees (2), that `run` may be called with it and with `argument`.
        unsafe { run(object.object, argument) };
    });
    match called {
        Ok(()) => ResultCode::OK,
        Err(late) => results::reason(late.reason()),
    }
}

/// # Safety
/// 1. `registry` is NULL or from `latecall_registry_new`.
/// 2. `in_flight` is NULL, or valid for a write and aligned.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn latecall_revoke(
    registry: *mut latecall_registry,
    user_data: *mut c_void,
    in_flight: *mut u32,
) -> i32 {
    // SAFETY: our caller guarantees what `latecall_revoke_at` asks for; `NOWHERE` has no strings.
    unsafe { latecall_revoke_at(registry, user_data, in_flight, NOWHERE) }
}

/// # Safety
/// 1. `registry` is NULL or from `latecall_registry_new`.
/// 2. `in_flight` is NULL, or valid for a write and aligned.
/// 3. The strings of `place` are NULL or C strings.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn latecall_revoke_at(
    registry: *mut latecall_registry,
    user_data: *mut c_void,
    in_flight: *mut u32,
    place: Place,
) -> i32 {
    // SAFETY: our caller guarantees (1), that `registry` is NULL or from `latecall_registry_new`. That is (1) of `get`.
    let Some(registry) = (unsafe { get(registry) }) else { return ResultCode::BAD_ARGUMENT };
    // SAFETY: our caller guarantees (3), which is (1) of `site`.
    let site = unsafe { place.site() };
    let (result, calls) = results::revoked(registry.revoke_at(Handle::from_ptr(user_data), site));
    if let Some(in_flight) = NonNull::new(in_flight) {
        // SAFETY: our caller guarantees (2): `in_flight`, which is not NULL, may be written.
        unsafe { in_flight.write(calls) };
    }
    result
}

/// # Safety
/// 1. `registry` is NULL or from `latecall_registry_new`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn latecall_revoke_and_wait(registry: *mut latecall_registry, user_data: *mut c_void) -> i32 {
    // SAFETY: our caller guarantees what `latecall_revoke_and_wait_at` asks for; `NOWHERE` has no strings.
    unsafe { latecall_revoke_and_wait_at(registry, user_data, NOWHERE) }
}

/// # Safety
/// 1. `registry` is NULL or from `latecall_registry_new`.
/// 2. The strings of `place` are NULL or C strings.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn latecall_revoke_and_wait_at(
    registry: *mut latecall_registry,
    user_data: *mut c_void,
    place: Place,
) -> i32 {
    // SAFETY: our caller guarantees (1), that `registry` is NULL or from `latecall_registry_new`. That is (1) of `get`.
    let Some(registry) = (unsafe { get(registry) }) else { return ResultCode::BAD_ARGUMENT };
    // SAFETY: our caller guarantees (2), which is (1) of `site`.
    let site = unsafe { place.site() };
    results::waited(registry.wait_from(Handle::from_ptr(user_data), site, None))
}

/// # Safety
/// 1. `registry` is NULL or from `latecall_registry_new`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn latecall_revoke_and_wait_for(
    registry: *mut latecall_registry,
    user_data: *mut c_void,
    milliseconds: u64,
) -> i32 {
    // SAFETY: our caller guarantees what `latecall_revoke_and_wait_for_at` asks for; `NOWHERE` has no strings.
    unsafe { latecall_revoke_and_wait_for_at(registry, user_data, milliseconds, NOWHERE) }
}

/// # Safety
/// 1. `registry` is NULL or from `latecall_registry_new`.
/// 2. The strings of `place` are NULL or C strings.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn latecall_revoke_and_wait_for_at(
    registry: *mut latecall_registry,
    user_data: *mut c_void,
    milliseconds: u64,
    place: Place,
) -> i32 {
    // SAFETY: our caller guarantees (1), that `registry` is NULL or from `latecall_registry_new`. That is (1) of `get`.
    let Some(registry) = (unsafe { get(registry) }) else { return ResultCode::BAD_ARGUMENT };
    // SAFETY: our caller guarantees (2), which is (1) of `site`.
    let site = unsafe { place.site() };
    let limit = Duration::from_millis(milliseconds);
    results::waited(registry.wait_from(Handle::from_ptr(user_data), site, Some(limit)))
}

/// # Safety
/// 1. `registry` is NULL or from `latecall_registry_new`.
/// 2. `done` is NULL, or may be called once with `context`, on any thread, now or later.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn latecall_revoke_then(
    registry: *mut latecall_registry,
    user_data: *mut c_void,
    done: Option<Done>,
    context: *mut c_void,
) -> i32 {
    // SAFETY: our caller guarantees what `latecall_revoke_then_at` asks for; `NOWHERE` has no strings.
    unsafe { latecall_revoke_then_at(registry, user_data, done, context, NOWHERE) }
}

/// # Safety
/// 1. `registry` is NULL or from `latecall_registry_new`.
/// 2. `done` is NULL, or may be called once with `context`, on any thread, now or later.
/// 3. The strings of `place` are NULL or C strings.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn latecall_revoke_then_at(
    registry: *mut latecall_registry,
    user_data: *mut c_void,
    done: Option<Done>,
    context: *mut c_void,
    place: Place,
) -> i32 {
    struct Context(*mut c_void);
    // SAFETY: the only use of the pointer is the call of `done`, which clause 2 allows on any thread.
    unsafe impl Send for Context {}
    // SAFETY: our caller guarantees (1), that `registry` is NULL or from `latecall_registry_new`. That is (1) of `get`.
    let (Some(registry), Some(done)) = (unsafe { get(registry) }, done) else { return ResultCode::BAD_ARGUMENT };
    // SAFETY: our caller guarantees (3), which is (1) of `site`.
    let site = unsafe { place.site() };
    let context = Context(context);
    let revoked = registry.revoke_from_then(Handle::from_ptr(user_data), site, move || {
        let context = context;
        // SAFETY: (1) `context` is the one that C passed with `done`, and the registry runs this closure at most once.
        // Our caller guarantees (2), that this thread may make the call.
        unsafe { done(context.0) };
    });
    results::revoked(revoked).0
}

/// # Safety
/// 1. `registry` is NULL or from `latecall_registry_new`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn latecall_barrier(registry: *mut latecall_registry) -> i32 {
    // SAFETY: our caller guarantees (1), that `registry` is NULL or from `latecall_registry_new`. That is (1) of `get`.
    let Some(registry) = (unsafe { get(registry) }) else { return ResultCode::BAD_ARGUMENT };
    results::waited(Ok(registry.barrier()))
}

/// # Safety
/// 1. `registry` is NULL or from `latecall_registry_new`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn latecall_close(registry: *mut latecall_registry, how: i32) -> i32 {
    // SAFETY: our caller guarantees what `latecall_close_at` asks for; `NOWHERE` has no strings.
    unsafe { latecall_close_at(registry, how, NOWHERE) }
}

/// # Safety
/// 1. `registry` is NULL or from `latecall_registry_new`.
/// 2. The strings of `place` are NULL or C strings.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn latecall_close_at(registry: *mut latecall_registry, how: i32, place: Place) -> i32 {
    // SAFETY: our caller guarantees (1), that `registry` is NULL or from `latecall_registry_new`. That is (1) of `get`.
    let Some(registry) = (unsafe { get(registry) }) else { return ResultCode::BAD_ARGUMENT };
    // SAFETY: our caller guarantees (2), which is (1) of `site`.
    let site = unsafe { place.site() };
    let how = match how {
        0 => Close::Drain,
        1 => Close::Abort,
        2 => Close::Leave,
        _ => return ResultCode::BAD_ARGUMENT,
    };
    results::waited(Ok(registry.close_at(how, site)))
}

/// # Safety
/// 1. `registry` is NULL or from `latecall_registry_new`.
/// 2. `buffer` is NULL, or valid for writes of `size` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn latecall_report(
    registry: *mut latecall_registry,
    user_data: *mut c_void,
    buffer: *mut c_char,
    size: usize,
) -> usize {
    // SAFETY: our caller guarantees (1), that `registry` is NULL or from `latecall_registry_new`. That is (1) of `get`.
    let Some(registry) = (unsafe { get(registry) }) else { return 0 };
    let text = registry.explain(Handle::from_ptr(user_data));
    if let Some(buffer) = NonNull::new(buffer.cast::<u8>()).filter(|_| size > 0) {
        let length = text.len().min(size - 1);
        // SAFETY: our caller guarantees (2), that `size` bytes may be written; `length` is less than `size`. `text` is
        // a `String` of ours with at least `length` bytes, so the two do not overlap.
        unsafe { std::ptr::copy_nonoverlapping(text.as_ptr(), buffer.as_ptr(), length) };
        // SAFETY: `length` is less than `size`, so the result is inside the buffer of clause 2.
        let end = unsafe { buffer.add(length) };
        // SAFETY: `end` is inside the buffer of clause 2, so one byte may be written there.
        unsafe { end.write(0) };
    }
    text.len()
}

/// The registry, unless it is NULL.
///
/// # Safety
/// 1. `registry` is NULL or from `latecall_registry_new`.
unsafe fn get(registry: *mut latecall_registry) -> Option<&'static Registry<Object>> {
    // SAFETY: our caller guarantees (1). `latecall_registry_new` returns a pointer to a box that is never freed and of
    // which no mutable reference is made, so a shared reference is valid for ever.
    unsafe { registry.as_ref() }.map(|registry| &registry.0)
}

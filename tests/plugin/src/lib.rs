//! A plug-in that registers callbacks and can be stopped; see `tests/registry_module.rs`.

use latecall::registry::{Close, Handle, Registry};
use std::ffi::c_void;

latecall::signature! {
    /// In an object that is pinned, as by default.
    pub extern "C" fn Pinned(number: i32, user_data) -> i32;
    late = -1;
    panic = Abort;
}

latecall::signature! {
    /// In an object that is not.
    pub extern "C" fn Unpinned(number: i32, user_data) -> i32;
    late = -1;
    panic = Abort;
    registry = Registry::new().with_unpinned_module();
}

latecall::signature! {
    /// A thunk, on a code page where there are any. Its object is pinned whatever its registry says.
    pub extern "C" fn Thunk(number: i32) -> i32;
    late = -1;
    panic = Abort;
    pool = (if cfg!(any(target_arch = "x86_64", target_arch = "aarch64")) { 0 } else { 1 });
    registry = Registry::new().with_unpinned_module();
}

/// What the host calls with: a function and its user data.
#[repr(C)]
pub struct Pair {
    function: extern "C" fn(i32, *mut c_void) -> i32,
    user_data: *mut c_void,
}

#[unsafe(no_mangle)]
pub extern "C" fn plugin_register_pinned() -> Pair {
    let add = 1;
    let registration = Pinned::registry().register(Pinned::shared(move |number| number + add));
    Pair { function: Pinned::function(), user_data: registration.leak().as_ptr() }
}

#[unsafe(no_mangle)]
pub extern "C" fn plugin_revoke_pinned(user_data: *mut c_void) {
    let _ = Pinned::registry().revoke(Handle::from_ptr(user_data));
}

#[unsafe(no_mangle)]
pub extern "C" fn plugin_register_unpinned() -> Pair {
    let add = 2;
    let builder = Unpinned::registry().builder().label("the plug-in's");
    let registration = builder.register(Unpinned::shared(move |number| number + add));
    Pair { function: Unpinned::function(), user_data: registration.leak().as_ptr() }
}

/// A function that may be called for ever, and the handle to revoke it by.
#[repr(C)]
pub struct Thunked {
    function: extern "C" fn(i32) -> i32,
    handle: *mut c_void,
}

#[unsafe(no_mangle)]
pub extern "C" fn plugin_make_thunk() -> Thunked {
    let add = 3;
    let thunk = Thunk::thunk(move |number| number + add);
    let handle = thunk.handle().as_ptr();
    Thunked { function: thunk.leak(), handle }
}

#[unsafe(no_mangle)]
pub extern "C" fn plugin_revoke_thunk(handle: *mut c_void) {
    let _ = Thunk::registry().revoke(Handle::from_ptr(handle));
}

/// Writes what is outstanding, and returns how many bytes that is; 0 if the plug-in may be unloaded.
///
/// # Safety
/// 1. `size` bytes may be written to `text`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn plugin_outstanding(text: *mut u8, size: usize) -> usize {
    let all: String = Unpinned::registry().outstanding().iter().map(|it| format!("{it}\n")).collect();
    let length = all.len().min(size);
    // SAFETY: clause 1: `text` has `size` writable bytes, and `length` is not more. The text is a new allocation, so
    // the two do not overlap.
    unsafe { std::ptr::copy_nonoverlapping(all.as_ptr(), text, length) };
    length
}

#[unsafe(no_mangle)]
pub extern "C" fn plugin_stop() {
    let _ = Unpinned::registry().close(Close::Drain);
}

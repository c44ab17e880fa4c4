//! What is measured: a C-like call of a function pointer with user data, by the ways there are to protect what it uses.
//!
//! Every item runs the same closure, which owns one word and reads one number through it. `raw` items protect nothing:
//! they are what the others are divided by. Compiled into the runner, and as a shared object that the runner opens,
//! since thread-locals cost more there.

pub mod items;
pub mod peers;

use std::ffi::{CStr, c_char, c_void};

/// What C is given.
pub type Callback = extern "C" fn(*mut c_void, u64);

/// One way to call.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Item {
    pub call: Callback,
    pub user_data: *mut c_void,
}

// SAFETY: user data is a handle, or a pointer to what is leaked and shared.
unsafe impl Send for Item {}
// SAFETY: user data is a handle, or a pointer to what is leaked and shared; no method changes it.
unsafe impl Sync for Item {}

/// Calls `item` `n` times. The function pointer is not known here, as it is not in a C library.
#[inline(never)]
pub fn fire(item: Item, n: u64) {
    let item = std::hint::black_box(item);
    for x in 0..n {
        (item.call)(item.user_data, x);
    }
}

/// A new item of that name.
pub fn make(name: &str) -> Option<Item> {
    items::make(name).or_else(|| peers::make(name))
}

/// [`make`], for the runner when it has opened this as a shared object. False: there is no item of that name.
///
/// # Safety
/// 1. `name` points to a string that ends in 0.
/// 2. `item` may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn latecall_speed_make(name: *const c_char, item: *mut Item) -> bool {
    // SAFETY: our caller guarantees clause 1: `name` points to a string that ends in 0.
    let name = unsafe { CStr::from_ptr(name) };
    let Some(made) = name.to_str().ok().and_then(make) else { return false };
    // SAFETY: our caller guarantees clause 2: `item` may be written.
    unsafe { item.write(made) };
    true
}

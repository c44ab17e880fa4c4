//! Texts that C passes, and places in its source.

use crate::registry::Site;
use std::ffi::{CStr, c_char};
use std::ptr::NonNull;

/// A copy of the text; `None` if it is NULL, or if there is no memory. Bytes that are not UTF-8 are replaced.
///
/// # Safety
/// 1. `text` is NULL or a C string.
pub(super) unsafe fn text(text: *const c_char) -> Option<String> {
    let text = NonNull::new(text.cast_mut())?;
    // SAFETY: our caller guarantees (1), and `text` is not NULL here. It is copied before this returns.
    let text = unsafe { CStr::from_ptr(text.as_ptr()) }.to_bytes();
    let mut copy = String::new();
    for chunk in text.utf8_chunks() {
        let (valid, invalid) = (chunk.valid(), chunk.invalid());
        copy.try_reserve(valid.len() + char::REPLACEMENT_CHARACTER.len_utf8()).ok()?;
        copy.push_str(valid);
        if !invalid.is_empty() {
            copy.push(char::REPLACEMENT_CHARACTER);
        }
    }
    Some(copy)
}

/// `latecall_place`: where in C's source a function was called.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Place {
    pub(super) file: *const c_char,
    pub(super) function: *const c_char,
    pub(super) line: u32,
}

/// No place is known.
pub(super) const NOWHERE: Place = Place { file: std::ptr::null(), function: std::ptr::null(), line: 0 };

impl Place {
    /// For reports. `None` if there is no memory.
    ///
    /// # Safety
    /// 1. The strings are NULL or C strings.
    pub(super) unsafe fn site(self) -> Option<Site> {
        if self.file.is_null() {
            return Site::in_c("C code that passed no place", 0, "");
        }
        // SAFETY: our caller guarantees (1), which is (1) of `text`.
        let file = unsafe { text(self.file) }?;
        // SAFETY: our caller guarantees (1), which is (1) of `text`.
        let function = unsafe { text(self.function) }.unwrap_or_default();
        Site::in_c(&file, self.line, &function)
    }
}

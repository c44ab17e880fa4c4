//! The registry used from C, through `native/include/latecall.h`; the C code is in `native/tests/registry/`. S03, S04,
//! S11, S17, S18, S28, S29, S37, S48, S83.

use latecall as _; // links the library, which has both sides
use std::ffi::{CStr, c_char};

macro_rules! c_tests {
    ($($name:ident = $symbol:literal;)*) => {
        mod symbols {
            use super::c_char;
            unsafe extern "C" {
                $(#[link_name = $symbol] pub(super) safe fn $name() -> *const c_char;)*
            }
        }
        $(#[test]
        fn $name() {
            let wrong = symbols::$name();
            if !wrong.is_null() {
                // SAFETY: not null, so a string literal of the C test.
                let wrong = unsafe { CStr::from_ptr(wrong) };
                panic!("{}", wrong.to_string_lossy());
            }
        })*
    };
}

c_tests! {
    c_registers_calls_and_is_late = "latecall_test_life";
    c_is_named_in_reports = "latecall_test_places";
    c_handles_are_refused_for_their_reason = "latecall_test_refusals";
    c_waits_and_is_told = "latecall_test_in_flight";
    c_revokes_itself = "latecall_test_self_revoke";
    c_closes_a_registry = "latecall_test_closing";
}

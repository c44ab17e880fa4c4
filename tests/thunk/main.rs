//! Thunks: functions for C APIs without user data.

use std::ffi::c_int;

latecall::signature! {
    extern "C" fn Add(left: c_int, right: c_int) -> c_int;
    late = -1;
    panic = Late;
}

#[test]
fn each_closure_has_a_function_of_its_own() {
    // More than the pool has, so that some are on code pages.
    let thunks: Vec<_> = (0..300).map(|more| Add::thunk(move |left, right| left + right + more)).collect();
    for (more, thunk) in (0..).zip(&thunks) {
        assert_eq!(thunk.as_fn()(243, 257), 500 + more);
    }
    let functions: Vec<_> = thunks.iter().map(|thunk| thunk.as_fn()).collect();
    drop(thunks);
    for function in functions {
        assert_eq!(function(243, 257), -1);
    }
}

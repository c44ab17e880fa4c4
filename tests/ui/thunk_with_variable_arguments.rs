// Rust cannot define a C function with variable arguments, so there is nothing to give to C.
latecall::signature! {
    extern "C" fn Log(format: *const core::ffi::c_char, ...) -> i32;
    late = 0;
    panic = Late;
}

fn main() {}

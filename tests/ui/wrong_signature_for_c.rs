// S97: the function has the declared C type. Passing it to a C function that expects another type does not compile.
latecall::signature! {
    extern "C" fn Item(item: u32, user_data) -> i32;
    late = 0;
    panic = Late;
}

fn wants(_: extern "C" fn(*mut std::ffi::c_void, u32) -> i32) {}

fn main() {
    wants(Item::function());
}

// A C callback type without user data has nowhere to put a handle.
latecall::signature! {
    extern "C" fn Item(item: u32) -> i32;
    late = 0;
    panic = Late;
}

fn main() {}

// One function serves all callbacks of a signature with user data: there is no pool to set the size of.
latecall::signature! {
    extern "C" fn Item(item: u32, user_data) -> i32;
    late = 0;
    panic = Late;
    pool = 16;
}

fn main() {}

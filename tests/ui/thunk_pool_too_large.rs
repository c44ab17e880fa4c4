// The table of the pool's functions has room for 4096.
latecall::signature! {
    extern "C" fn Item(item: u32) -> u32;
    late = 0;
    panic = Late;
    pool = 5000;
}

fn main() {}

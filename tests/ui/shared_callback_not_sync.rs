// C may call on several threads at a time. A closure that is not `Sync` must be `exclusive` or `confined`.
latecall::signature! {
    extern "C" fn Item(item: u32, user_data) -> i32;
    late = 0;
    panic = Late;
}

fn main() {
    let count = std::cell::Cell::new(0);
    let _callback = Item::shared(move |_| count.replace(1));
}

// A thread that is still at it when the scope ends could lend a callback after everything has been waited for.
latecall::signature! {
    extern "C" fn Item(item: u32, user_data) -> i32;
    late = 0;
    panic = Late;
}

fn main() {
    latecall::signature::scope::<Item, _>(|scope| {
        std::thread::scope(|threads| {
            threads.spawn(|| scope.register(Item::shared(|_| 1)));
        });
    });
}

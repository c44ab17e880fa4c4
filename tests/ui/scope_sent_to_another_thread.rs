// Another thread could lend a callback after the scope has waited for all callbacks.
latecall::signature! {
    extern "C" fn Item(item: u32, user_data) -> i32;
    late = 0;
    panic = Late;
}

// Instead of std's `spawn`, whose lines are in the compiler's message only where the sources of std are installed.
fn on_another_thread(run: impl FnOnce() + Send) {
    run();
}

fn main() {
    latecall::signature::scope::<Item, _>(|scope| {
        on_another_thread(|| {
            scope.register(Item::shared(|_| 1));
        });
    });
}

// What a lent callback borrows must outlive the scope. A local variable of the body does not.
latecall::signature! {
    extern "C" fn Item(item: u32, user_data) -> i32;
    late = 0;
    panic = Late;
}

fn main() {
    latecall::signature::scope::<Item, _>(|scope| {
        let local = String::new();
        scope.register(Item::shared(|_| local.len() as i32));
    });
}

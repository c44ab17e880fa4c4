// Without a scope a registration may be leaked, and C may call for ever: nothing on the stack lives that long.
latecall::signature! {
    extern "C" fn Item(item: u32, user_data) -> i32;
    late = 0;
    panic = Late;
}

fn main() {
    let local = String::new();
    let registration = Item::registry().register(Item::shared(|_| local.len() as i32));
    drop(registration);
}

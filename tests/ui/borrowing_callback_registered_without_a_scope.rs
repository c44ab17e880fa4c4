// Outside of a scope a registration may be leaked, so C may call for ever. No local variable lives that long.
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

// C may keep the function, and call it after the borrowed value is gone.
latecall::signature! {
    extern "C" fn Item(item: u32) -> u32;
    late = 0;
    panic = Late;
}

fn main() {
    let limit = 3;
    let thunk = Item::thunk(|item| item.min(limit));
    drop(thunk);
}

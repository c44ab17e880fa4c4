// A C library may call one callback on several threads at the same time. These calls would race on the `Cell`.

use latecall::registry::Registry;
use std::cell::Cell;

static REGISTRY: Registry<dyn Fn() + Send + Sync> = Registry::new();

fn main() {
    let count = Cell::new(0);
    let _registration = REGISTRY.register(Box::new(move || count.set(count.get() + 1)));
}

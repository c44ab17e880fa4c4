// A C library may call one subscription on several threads at once. A `Cell` shared by those calls would be a data race.

use latecall::registry::Registry;
use std::cell::Cell;

static REGISTRY: Registry<dyn Fn() + Send + Sync> = Registry::new();

fn main() {
    let count = Cell::new(0);
    let _registration = REGISTRY.register(Box::new(move || count.set(count.get() + 1)));
}

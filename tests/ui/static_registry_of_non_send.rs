// Any thread that calls may be the last to leave and drop the closure, so being callable from every thread is not enough.

use latecall::registry::Registry;

static REGISTRY: Registry<dyn Fn() + Sync> = Registry::new();

fn main() {
    let _registration = REGISTRY.register(Box::new(|| ()));
}

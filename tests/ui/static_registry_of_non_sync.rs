// Any thread can reach a `static`, so its callbacks must be callable from any thread.

use latecall::registry::Registry;

static REGISTRY: Registry<dyn Fn() + Send> = Registry::new();

fn main() {
    let _registration = REGISTRY.register(Box::new(|| ()));
}

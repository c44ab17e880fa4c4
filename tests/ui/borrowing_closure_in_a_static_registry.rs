// After a `Registration` has been forgotten, C can call its closure for as long as the registry lives. If the closure
// borrowed from a stack frame that ends before the registry does, such a call would use a dead frame.

use latecall::registry::Registry;

static REGISTRY: Registry<dyn Fn() -> usize + Send + Sync> = Registry::new();

fn main() {
    let text = String::from("on this frame");
    let registration = REGISTRY.register(Box::new(|| text.len()));
    std::mem::forget(registration);
}

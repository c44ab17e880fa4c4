// A `Registration` can be forgotten, and then its closure stays callable for as long as the registry lives. If it could
// borrow from a stack frame in a registry that outlives the frame, a later call would use a dead frame.

use latecall::registry::Registry;

static REGISTRY: Registry<dyn Fn() -> usize + Send + Sync> = Registry::new();

fn main() {
    let text = String::from("on this frame");
    let registration = REGISTRY.register(Box::new(|| text.len()));
    std::mem::forget(registration);
}

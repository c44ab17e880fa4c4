// Any thread's call may be the last to leave, and then that thread drops the closure. So `Sync` alone is not enough.

use latecall::registry::Registry;

static REGISTRY: Registry<dyn Fn() + Sync> = Registry::new();

fn main() {
    let _registration = REGISTRY.register(Box::new(|| ()));
}

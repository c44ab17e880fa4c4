// A callback that destroys the registry it is called through (S45) would free the frame's own bookkeeping, and a waiter
// that does so on waking (S30) would free what the call that woke it is about to touch.

use latecall::registry::Registry;
use std::ptr;

fn main() {
    let registry: Registry<dyn Fn() + Send + Sync> = Registry::new();
    let _ = registry.call(ptr::null_mut(), |f| {
        f();
        drop(registry);
    });
}

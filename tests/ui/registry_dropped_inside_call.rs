// A callback that drops the registry which is running it (S45) would free memory that its own call still uses. A waiter
// that drops the registry when it wakes up (S30) would free memory that the call which woke it still uses.

use latecall::registry::Registry;
use std::ptr;

fn main() {
    let registry: Registry<dyn Fn() + Send + Sync> = Registry::new();
    let _ = registry.call(ptr::null_mut(), |f| {
        f();
        drop(registry);
    });
}

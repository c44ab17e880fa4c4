// Dropping a `Registration` writes to the registry's memory. So a registration must not outlive its registry.

use latecall::registry::Registry;

fn main() {
    let registration = {
        let registry: Registry<dyn Fn() + Send + Sync> = Registry::new();
        registry.register(Box::new(|| ()))
    };
    drop(registration);
}

// A `Registration` revokes when it is dropped, in the registry's memory. It must not outlive it.

use latecall::registry::Registry;

fn main() {
    let registration = {
        let registry: Registry<dyn Fn() + Send + Sync> = Registry::new();
        registry.register(Box::new(|| ()))
    };
    drop(registration);
}

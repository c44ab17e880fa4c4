// A registration that is not kept is revoked at once (S06), so the C library would get a handle that is already late.
// `Registration` is `#[must_use]`: this is a warning, and an error under `deny(unused_must_use)`.
#![deny(unused_must_use)]

use latecall::registry::Registry;

static REGISTRY: Registry<dyn Fn() + Send + Sync> = Registry::new();

fn main() {
    REGISTRY.register(Box::new(|| ()));
    REGISTRY.builder().label("also").register(Box::new(|| ()));
}

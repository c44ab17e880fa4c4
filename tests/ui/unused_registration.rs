// A registration that nobody keeps is revoked at once (S06): the C library would be given a handle that is dead already.
// `Registration` is `#[must_use]`, so this is a warning, and an error for who denies it.
#![deny(unused_must_use)]

use latecall::registry::Registry;

static REGISTRY: Registry<dyn Fn() + Send + Sync> = Registry::new();

fn main() {
    REGISTRY.register(Box::new(|| ()));
    REGISTRY.builder().label("also").register(Box::new(|| ()));
}

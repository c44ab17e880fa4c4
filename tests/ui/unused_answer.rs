// `revoke` may leave calls running, and `revoke_and_wait` may have been called from inside the callback. To free what the
// callback uses without having looked at the answer is the bug that this crate exists for. (Who does not care can drop
// the registration.)
#![deny(unused_must_use)]

use latecall::registry::Registry;

static REGISTRY: Registry<dyn Fn() + Send + Sync> = Registry::new();

fn main() {
    let registration = REGISTRY.register(Box::new(|| ()));
    registration.revoke();
    registration.revoke_and_wait();
}

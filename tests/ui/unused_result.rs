// `revoke` may leave calls running, and a call may use `revoke_and_wait` on its own callback. A caller that ignores the
// result and frees what the callback uses has the bug that this crate prevents. (A caller that frees nothing may drop
// the registration.)
#![deny(unused_must_use)]

use latecall::registry::Registry;

static REGISTRY: Registry<dyn Fn() + Send + Sync> = Registry::new();

fn main() {
    let registration = REGISTRY.register(Box::new(|| ()));
    registration.revoke();
    registration.revoke_and_wait();
}

// `LateCall` makes its report when it is asked for, and the report names the current thread as the caller. On another
// thread it would name the wrong one. (`LateCall::report` makes a value that can be sent.)

use latecall::registry::Registry;
use std::ptr;

fn send(_: impl Send) {}

static REGISTRY: Registry<dyn Fn() + Send + Sync> = Registry::new();

fn main() {
    let late = REGISTRY.call(ptr::null_mut(), |f| f()).unwrap_err();
    send(late);
}

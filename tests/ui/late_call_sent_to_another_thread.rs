// A late call's report names the calling thread, and is made when it is asked for. Sent to another thread it would name
// the wrong one. (`LateCall::report` makes a value that can be sent.)

use latecall::registry::Registry;
use std::ptr;

fn send(_: impl Send) {}

static REGISTRY: Registry<dyn Fn() + Send + Sync> = Registry::new();

fn main() {
    let late = REGISTRY.call(ptr::null_mut(), |f| f()).unwrap_err();
    send(late);
}

// The last call to leave a revoked callback drops its closure, and that call may be on any thread (S49). A lock guard
// in the closure would then unlock on a thread that has never locked.

use latecall::registry::Registry;
use std::sync::Mutex;

static LOCK: Mutex<()> = Mutex::new(());
static REGISTRY: Registry<dyn Fn() + Send + Sync> = Registry::new();

fn main() {
    let guard = LOCK.lock().unwrap();
    let _registration = REGISTRY.register(Box::new(move || println!("{guard:?}")));
}

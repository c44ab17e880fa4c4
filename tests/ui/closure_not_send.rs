// The last call to leave a revoked callback drops its closure, on whatever thread that is (S49). A lock's guard dropped
// there would unlock on a thread that never locked.

use latecall::registry::Registry;
use std::sync::Mutex;

static LOCK: Mutex<()> = Mutex::new(());
static REGISTRY: Registry<dyn Fn() + Send + Sync> = Registry::new();

fn main() {
    let guard = LOCK.lock().unwrap();
    let _registration = REGISTRY.register(Box::new(move || println!("{guard:?}")));
}

// The same with a registry on the stack: it may hold closures that borrow, but only from what outlives it.

use latecall::registry::Registry;

fn main() {
    let registry: Registry<dyn Fn() -> usize + Send + Sync + '_> = Registry::new();
    {
        let text = String::from("in an inner scope");
        std::mem::forget(registry.register(Box::new(|| text.len())));
    }
    println!("{registry:?}");
}

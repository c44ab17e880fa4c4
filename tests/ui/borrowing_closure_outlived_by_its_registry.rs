// A registry on the stack may hold closures that borrow, but only from variables that outlive the registry.

use latecall::registry::Registry;

fn main() {
    let registry: Registry<dyn Fn() -> usize + Send + Sync + '_> = Registry::new();
    {
        let text = String::from("in an inner scope");
        std::mem::forget(registry.register(Box::new(|| text.len())));
    }
    println!("{registry:?}");
}

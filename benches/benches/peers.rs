//! The call by every way there is, side by side in one process: `cargo bench --manifest-path benches/Cargo.toml`.
//!
//! Ratios between items that share a process are good to about ±40 %: the processor predicts the one indirect call
//! worse when it has seen several targets. For figures to quote use the runner (`cargo run`), which gives each a
//! process.

use divan::Bencher;
use speed::{fire, make};

fn main() {
    divan::main();
}

const CALLS: u64 = 1000;

#[divan::bench(args = ["raw", "raw-shared", "generic", "shared", "raw-nested", "nested", "late", "late-null"])]
fn registry(bencher: Bencher<'_, '_>, name: &str) {
    let item = make(name).expect("an item of that name");
    bencher.counter(CALLS).bench(|| fire(item, CALLS));
}

#[divan::bench(args = speed::peers::NAMES)]
fn peers(bencher: Bencher<'_, '_>, name: &str) {
    let item = make(name).expect("an item of that name");
    bencher.counter(CALLS).bench(|| fire(item, CALLS));
}

/// Two threads on one callback.
#[divan::bench(args = ["raw", "generic", "shared", "counted-arc", "rwlock-slotmap", "crossbeam-epoch"], threads = 2)]
fn two_threads(bencher: Bencher<'_, '_>, name: &str) {
    use std::collections::HashMap;
    use std::sync::{LazyLock, Mutex};
    static MADE: LazyLock<Mutex<HashMap<String, speed::Item>>> = LazyLock::new(Mutex::default);
    let item = *MADE.lock().unwrap().entry(name.to_owned()).or_insert_with(|| make(name).expect("an item"));
    bencher.counter(CALLS).bench(|| fire(item, CALLS));
}

//! Runs programs on bundled subjects; the ledger judges the runs. See `latecall::engine::fuzz`.
#![no_main]

use latecall::engine::fuzz::{self, Subjects};
use latecall_bundled::BUNDLED;
use libfuzzer_sys::arbitrary::{Arbitrary, Result, Unstructured};
use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;

/// Without AddressSanitizer (`cargo fuzz run -s none`), the quarantine lets the ledger report a call of a freed
/// callback.
#[global_allocator]
static ALLOCATOR: latecall::ledger::Quarantine = latecall::ledger::Quarantine::new();

static SUBJECTS: LazyLock<Subjects> = LazyLock::new(|| Subjects::for_target(BUNDLED));

/// A fuzzer's bytes. `Debug` prints the program that they decode to for each subject: `cargo fuzz fmt` shows that.
struct Bytes(Vec<u8>);

impl<'a> Arbitrary<'a> for Bytes {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        Ok(Bytes(u.bytes(u.len())?.to_vec()))
    }
}

impl std::fmt::Debug for Bytes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        SUBJECTS.inputs(&self.0).try_for_each(|input| input.fmt(f))
    }
}

/// Switches LeakSanitizer off: `forget` leaks a callback on purpose. The ledger finds other leaks.
// SAFETY: the sanitizer's runtime looks for a function of this name, type and calling convention. No other function in
// the program has this name.
#[unsafe(no_mangle)]
extern "C" fn __lsan_is_turned_off() -> std::ffi::c_int {
    1
}

fuzz_target!(
    init: {
        // Refuses a name that does not exist before the first input, so that it is no finding.
        LazyLock::force(&SUBJECTS);
    },
    |bytes: Bytes| fuzz::programs(&bytes.0, &SUBJECTS)
);

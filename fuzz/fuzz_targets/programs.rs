//! Programs on bundled subjects, judged by the ledger. See `latecall::engine::fuzz`.
#![no_main]

use latecall::engine::fuzz::{self, Subjects};
use latecall_bundled::BUNDLED;
use std::sync::LazyLock;
use libfuzzer_sys::arbitrary::{Arbitrary, Result, Unstructured};
use libfuzzer_sys::fuzz_target;

/// Without AddressSanitizer (`cargo fuzz run -s none`) it is the quarantine that lets a dangling callback name itself.
#[global_allocator]
static ALLOCATOR: latecall::ledger::Quarantine = latecall::ledger::Quarantine::new();

static SUBJECTS: LazyLock<Subjects> = LazyLock::new(|| Subjects::for_target(BUNDLED));

/// A fuzzer's bytes. Prints as the programs that they mean, one for each subject, so that `cargo fuzz fmt` does.
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

/// Leaks are for the ledger to find: `forget` leaks a callback on purpose, which LeakSanitizer cannot know.
// SAFETY: the sanitizer's runtime looks for a function with this name and type; nothing else defines it.
#[unsafe(no_mangle)]
extern "C" fn __lsan_is_turned_off() -> std::ffi::c_int {
    1
}

fuzz_target!(
    init: {
        LazyLock::force(&SUBJECTS); // a name that does not exist is an error of the caller's, not a finding
    },
    |bytes: Bytes| fuzz::programs(&bytes.0, &SUBJECTS)
);

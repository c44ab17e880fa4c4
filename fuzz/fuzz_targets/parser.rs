//! Parses any bytes as the text of a program. See `latecall::engine::fuzz`.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    latecall::engine::fuzz::parser(bytes);
});

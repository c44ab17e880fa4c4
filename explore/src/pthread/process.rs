//! The process: its end, and what a thread calls `errno`.

use super::{call_with, pointer, write};
use crate::entry::entry_points;
use crate::finding::FindingKind;
use crate::memory::accessed;
use crate::race::Access;
use crate::world::{Pc, enter, live, with};
use std::ffi::{c_char, c_int, c_uint};

extern "C-unwind" fn errno(_: Pc) -> usize {
    match enter() {
        Some(me) => with(|world| (&raw mut *world.thread(me).errno).expose_provenance()),
        // SAFETY: it only answers an address.
        None => unsafe { libc::__errno_location() }.expose_provenance(),
    }
}

/// Runs a function of the C library's, which finds and leaves `errno` where the machine's thread has it, with that of this thread.
pub(crate) fn with_errno<R>(f: impl FnOnce() -> R) -> R {
    let Some(me) = enter() else { return f() };
    // SAFETY: it only answers an address, of a number of this thread's.
    let place = unsafe { libc::__errno_location() };
    // SAFETY: the number is this thread's own: valid until the thread ends, and nobody else writes it.
    unsafe { place.write(with(|world| *world.thread(me).errno)) };
    let result = f();
    // SAFETY: the number is this thread's own, and valid until the thread ends.
    let now = unsafe { place.read() };
    with(|world| *world.thread(me).errno = now);
    result
}

extern "C-unwind" fn at_exit(function: usize, pc: Pc) -> c_int {
    if let Some(me) = enter() {
        with(|world| {
            world.at_exit.push((function, 0));
            world.did(me, pc, "registers a function for exit");
        });
    }
    0
}

/// Numbers that look random and are the same in every interleaving, until the code seeds them.
extern "C-unwind" fn random(_: Pc) -> i64 {
    if !live() {
        return 0;
    }
    with(|world| {
        let state = &mut world.objects.random;
        *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        // 31 bits: what `rand` and `random` answer.
        (*state >> 33) as i64
    })
}

extern "C-unwind" fn seed(seed: c_uint, _: Pc) {
    if live() {
        with(|world| world.objects.random = u64::from(seed));
    }
}

pub(super) extern "C-unwind" fn getrandom(out: usize, size: usize, _: c_uint, pc: Pc) -> isize {
    accessed(out, size, Access::Write, pc);
    for at in 0..size {
        // SAFETY: (1) C passes memory for `size` bytes, and `at` is below that.
        unsafe { write(out + at, random(pc) as u8) };
    }
    size as isize
}

extern "C-unwind" fn getentropy(out: usize, size: usize, pc: Pc) -> c_int {
    getrandom(out, size, 0, pc);
    0
}

extern "C-unwind" fn arc4random(pc: Pc) -> u32 {
    // Bits from two, as one has 31.
    (random(pc) as u32) << 16 ^ random(pc) as u32
}

extern "C-unwind" fn arc4random_buf(out: usize, size: usize, pc: Pc) {
    getrandom(out, size, 0, pc);
}

extern "C-unwind" fn arc4random_uniform(bound: u32, pc: Pc) -> u32 {
    arc4random(pc).checked_rem(bound).unwrap_or_default()
}

/// Nobody forks in a model, so nobody is told of it.
extern "C-unwind" fn at_fork(_: usize, _: usize, _: usize, _: Pc) -> c_int {
    0
}

/// C++ destroys its statics in this way.
extern "C-unwind" fn cxx_at_exit(function: usize, argument: usize, _: usize, pc: Pc) -> c_int {
    if let Some(me) = enter() {
        with(|world| {
            world.at_exit.push((function, argument));
            world.did(me, pc, "registers a destructor for exit");
        });
    }
    0
}

/// The process exits, as far as C's handlers are concerned: the closure of the search has returned.
pub(crate) fn run_at_exit() {
    while let Some((function, argument)) = with(|world| world.at_exit.pop()) {
        // A function without parameters does not look at the argument.
        call_with(function, argument);
    }
    crate::constructors::run_last();
    // Those functions may have used thread-local variables once more.
    crate::locals::end_locals(0);
}

extern "C-unwind" fn abort(pc: Pc) {
    if let Some(me) = enter() {
        with(|world| world.convict(me, pc, FindingKind::Aborted, "abort was called".to_owned()));
    }
}

extern "C-unwind" fn assert_fail(expression: usize, _: usize, _: c_uint, _: usize, pc: Pc) {
    if let Some(me) = enter() {
        // SAFETY: the compiler passes the text of the assertion.
        let text = unsafe { std::ffi::CStr::from_ptr(pointer::<c_char>(expression)) }.to_string_lossy().into_owned();
        with(|world| world.convict(me, pc, FindingKind::Aborted, format!("assertion failed: {text}")));
    }
}

entry_points! {
    __errno_location(0) => errno;
    atexit(1) => at_exit;
    __cxa_atexit(3) => cxx_at_exit;
    pthread_atfork(3) => at_fork;
    __register_atfork(3) => at_fork;
    rand(0) => random;
    random(0) => random;
    getrandom(3) => getrandom;
    getentropy(2) => getentropy;
    arc4random(0) => arc4random;
    arc4random_buf(2) => arc4random_buf;
    arc4random_uniform(1) => arc4random_uniform;
    srand(1) => seed;
    srandom(1) => seed;
    abort(0) => abort;
    __assert_fail(4) => assert_fail;
}

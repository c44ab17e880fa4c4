//! One pointer-wide word per thread, read at every call: the address of the thread's cells (`registry/record/mod.rs`).
//!
//! It is worth a module of its own because of what reading it costs in a shared object. The usual thread-local is found
//! there by a call of `__tls_get_addr`; with the *initial-exec* model it is one load relative to the thread pointer.
//! Stable Rust cannot choose the model, so on Linux with glibc (x86-64, aarch64) the word is defined in assembly; the
//! linker turns the access into a constant offset in an executable. It takes eight bytes of the static block that the
//! loader keeps in reserve for libraries that are opened late. Everywhere else it is a `thread_local!`.
//!
//! The word has no destructor: it can be read while the thread is being torn down, and in a signal handler.

use crate::sync::AtomicUsize;

/// What the word points to until it is set: cells that are taken, so that their reader goes the long way.
///
/// As long as what a call looks at before it gives up: two cells of two words each.
static TAKEN_CELLS: [AtomicUsize; 4] = [const { AtomicUsize::new(usize::MAX) }; 4];

/// The word of a thread that has not set it.
pub(crate) const NOWHERE: *const () = (&raw const TAKEN_CELLS).cast();

#[cfg(all(
    target_os = "linux",
    target_env = "gnu",
    any(target_arch = "x86_64", target_arch = "aarch64"),
    target_pointer_width = "64",
    not(miri)
))]
mod imp {
    use core::arch::{asm, global_asm};

    /// The symbol's name: another version of this crate in the same program has another.
    macro_rules! symbol {
        () => {
            concat!("latecall.", env!("CARGO_PKG_VERSION"), ".thread_word")
        };
    }

    // Hidden: two shared objects that each contain this crate have a word each, as they have statics each.
    // `.pushsection` and `.popsection`: what the compiler emits around this is not disturbed.
    global_asm!(
        ".pushsection .tdata.latecall, \"awT\", %progbits",
        ".p2align 3",
        concat!(".globl \"", symbol!(), "\""),
        concat!(".hidden \"", symbol!(), "\""),
        concat!(".type \"", symbol!(), "\", %object"),
        concat!(".size \"", symbol!(), "\", 8"),
        concat!("\"", symbol!(), "\":"),
        ".quad {nowhere}",
        ".popsection",
        nowhere = sym super::TAKEN_CELLS,
    );

    /// The word.
    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    pub(crate) fn get() -> *const () {
        let word: *const ();
        // SAFETY: reads the thread's own word: `@GOTTPOFF` is its offset from the thread pointer, which `fs` points to.
        // It touches nothing but the register it names (`mov` leaves the flags alone). `readonly`: it depends on memory
        // that `set` changes.
        unsafe {
            asm!(
                concat!("mov {word}, qword ptr [rip + \"", symbol!(), "\"@GOTTPOFF]"),
                "mov {word}, qword ptr fs:[{word}]",
                word = out(reg) word,
                options(pure, readonly, nostack, preserves_flags),
            );
        }
        word
    }

    /// Sets the word.
    #[cfg(target_arch = "x86_64")]
    #[inline(never)]
    pub(crate) fn set(word: *const ()) {
        // SAFETY: as `get`, and writes the thread's own eight bytes, which nothing else in the program names.
        unsafe {
            asm!(
                concat!("mov {place}, qword ptr [rip + \"", symbol!(), "\"@GOTTPOFF]"),
                "mov qword ptr fs:[{place}], {word}",
                place = out(reg) _,
                word = in(reg) word,
                options(nostack, preserves_flags),
            );
        }
    }

    /// Where the word is in this thread.
    #[cfg(target_arch = "aarch64")]
    #[inline(always)]
    fn place() -> *mut *const () {
        let place: *mut *const ();
        // SAFETY: computes an address: the thread pointer and the word's offset from it, which the loader put into the
        // table that `:gottprel:` names. Touches nothing but the registers it names.
        unsafe {
            asm!(
                concat!("adrp {place}, :gottprel:\"", symbol!(), "\""),
                concat!("ldr {place}, [{place}, :gottprel_lo12:\"", symbol!(), "\"]"),
                "mrs {base}, tpidr_el0",
                "add {place}, {place}, {base}",
                place = out(reg) place,
                base = out(reg) _,
                options(pure, nomem, nostack, preserves_flags),
            );
        }
        place
    }

    /// The word.
    #[cfg(target_arch = "aarch64")]
    #[inline(always)]
    pub(crate) fn get() -> *const () {
        // SAFETY: `place` is the thread's own word, aligned and initialised with the thread.
        unsafe { place().read() }
    }

    /// Sets the word.
    #[cfg(target_arch = "aarch64")]
    #[inline(never)]
    pub(crate) fn set(word: *const ()) {
        // SAFETY: as `get`; only this thread uses it.
        unsafe { place().write(word) }
    }
}

#[cfg(not(all(
    target_os = "linux",
    target_env = "gnu",
    any(target_arch = "x86_64", target_arch = "aarch64"),
    target_pointer_width = "64",
    not(miri)
)))]
mod imp {
    use std::cell::Cell;

    thread_local! {
        static WORD: Cell<*const ()> = const { Cell::new(super::NOWHERE) };
    }

    /// The word.
    #[inline(always)]
    pub(crate) fn get() -> *const () {
        WORD.with(Cell::get)
    }

    /// Sets the word.
    pub(crate) fn set(word: *const ()) {
        WORD.with(|place| place.set(word));
    }
}

pub(crate) use imp::{get, set};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_thread_has_a_word_of_its_own_that_begins_nowhere() {
        let here = 7_usize;
        let mine = (&raw const here).cast();
        let before = get();
        set(mine);
        let seen = crate::sync::thread::scope(|scope| scope.spawn(|| get().addr()).join().unwrap());
        assert_eq!((get(), seen), (mine, NOWHERE.addr()));
        set(before);
        assert_eq!(get(), before);
    }
}

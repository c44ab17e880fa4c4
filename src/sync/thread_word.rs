//! One pointer-wide word per thread, read at every call: the address of the thread's cells (`registry/record/mod.rs`).
//!
//! The word has a module of its own to make reading it cheap in a shared object. There, code finds a usual thread-local
//! by a call of `__tls_get_addr`. With the *initial-exec* model, it is one load relative to the thread pointer. Stable
//! Rust cannot choose the model, so the word is defined in assembly on Linux with glibc (x86-64, aarch64). In an
//! executable the linker turns the access into a constant offset. The word takes eight bytes of the static TLS block
//! that the loader reserves for libraries that are opened late. On other targets it is a `thread_local!`.
//!
//! The aarch64 code has run under qemu-user only (`.ci/aarch64`).
//!
//! The word has no destructor, so it may be read while the thread's locals are being destroyed, and in a signal
//! handler.

use super::AtomicUsize;

/// What the word points to until it is set: cells that are taken, so that a call that reads them takes the slow path.
///
/// Four words, because a call looks at two cells of two words each before it takes the slow path.
static TAKEN_CELLS: [AtomicUsize; 4] = [const { AtomicUsize::new(usize::MAX) }; 4];

/// The value of the word on a thread that has not set it.
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

    /// The symbol's name. It has the version, because a program may contain several versions of this crate.
    macro_rules! symbol {
        () => {
            concat!("latecall.", env!("CARGO_PKG_VERSION"), ".thread_word")
        };
    }

    // `.hidden`: each shared object that contains this crate has a word of its own, as it has statics of its own.
    // `.pushsection` and `.popsection` leave the compiler's current section as it was.
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
        // SAFETY: reads the thread's own word, eight aligned and initialised bytes: `@GOTTPOFF` gives its offset from
        // the thread pointer, which `fs` holds. Only the named register changes (`mov` does not change the flags). It
        // is `readonly` and not `nomem`, because the result depends on memory that `set` writes.
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
        // SAFETY: writes the thread's own word, whose address is found as in `get`. Only `get` and `set` access the
        // word, and only on the thread that owns it. Only the named registers change.
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

    /// The address of this thread's word.
    #[cfg(target_arch = "aarch64")]
    #[inline(always)]
    fn place() -> *mut *const () {
        let place: *mut *const ();
        // SAFETY: computes an address and accesses no memory that changes: it adds the word's offset, which the loader
        // has written to the table that `:gottprel:` names, to the thread pointer. Only the named registers change.
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
        // SAFETY: `place` returns the address of this thread's word, which is aligned, and initialised when the thread
        // starts. No other thread accesses it.
        unsafe { place().read() }
    }

    /// Sets the word.
    #[cfg(target_arch = "aarch64")]
    #[inline(never)]
    pub(crate) fn set(word: *const ()) {
        // SAFETY: `place` returns the address of this thread's word, which is aligned. No other thread accesses it, and
        // no reference to it exists.
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

//! The machine code of a code page, and the code that it jumps to. Linux on x86-64 and aarch64.
//!
//! The template is one page of this object's own code: [`SLOTS`] equal pieces of 32 bytes. It is never executed where
//! it is. `pages.rs` maps the file's bytes of the template a second time, followed by a page of data, and the code
//! finds its data by distance: piece *i* is the code of the `Data` at the same place in the page that follows. So no
//! code is ever written.
//!
//! The first piece of a page has no thunk, because the place of its data holds a `Header`.
//!
//! A piece puts the address of its `Data` into a register that no C function expects anything in (`r10`, `x16`), and
//! jumps to an *entry*. There is an entry for each number of arguments in general registers. It loads the handle into
//! the next general register, where the signature's function expects its last argument, and jumps to that function. A
//! piece and an entry push nothing, so they have no frame: a debugger and an unwinder see the function and its caller.
//!
//! Each piece and each entry begins with the landing instruction of its processor: `endbr64` for control-flow
//! enforcement (CET), `bti c` for branch target identification.

use core::arch::global_asm;

/// The page size that the template is made for. On a system with larger pages there are no code pages.
pub(super) const PAGE: usize = 4096;
/// How large a piece of code is, and the `Data` that belongs to it.
pub(super) const PIECE: usize = 32;
/// How many pieces a page has.
pub(super) const SLOTS: usize = PAGE / PIECE;

/// How many arguments may be in general registers, besides the handle.
pub(super) const MOST_INTEGERS: usize = if cfg!(target_arch = "x86_64") { 5 } else { 7 };

/// The symbol's name. It has the version, because a program may contain several versions of this crate.
macro_rules! symbol {
    () => {
        concat!("\"latecall.", env!("CARGO_PKG_VERSION"), ".thunks\"")
    };
}

// x86-64. A piece: `lea` of its own address plus a page, 11 bytes into the piece; a jump through the header's first
// word. The jump is written in bytes, because its displacement is a difference of addresses. An entry: the handle into
// its register; the header's address, by clearing the low bits; a jump through the header's second word.
#[cfg(target_arch = "x86_64")]
global_asm!(
    ".pushsection .text.latecall_thunks, \"ax\", @progbits",
    ".p2align 12",
    concat!(".globl ", symbol!()),
    concat!(".hidden ", symbol!()),
    concat!(symbol!(), ":"),
    ".rept 128",
    "endbr64",
    ".byte 0x4c, 0x8d, 0x15", // lea r10, [rip + ...]
    ".long 4096 - 11",
    ".byte 0xff, 0x25", // jmp [rip + ...]
    concat!(".long ", symbol!(), " + 4096 - 4 - ."),
    ".p2align 5, 0xcc",
    ".endr",
    ".irp register, rdi, rsi, rdx, rcx, r8, r9",
    "endbr64",
    "mov \\register, qword ptr [r10]",
    "and r10, -4096",
    "jmp qword ptr [r10 + 8]",
    ".p2align 5, 0xcc",
    ".endr",
    ".popsection",
);

// aarch64: the same. `x16` and `x17` are free at the entry of a function, and a jump through them may land at `bti c`.
#[cfg(target_arch = "aarch64")]
global_asm!(
    ".pushsection .text.latecall_thunks, \"ax\", %progbits",
    ".p2align 12",
    concat!(".globl ", symbol!()),
    concat!(".hidden ", symbol!()),
    concat!(symbol!(), ":"),
    ".rept 128",
    "hint #34", // bti c
    "adr x16, . + 4096 - 4",
    concat!("ldr x17, ", symbol!(), " + 4096"),
    "br x17",
    ".p2align 5",
    ".endr",
    ".irp register, x0, x1, x2, x3, x4, x5, x6, x7",
    "hint #34", // bti c
    "ldr \\register, [x16]",
    "and x17, x16, #0xfffffffffffff000",
    "ldr x17, [x17, #8]",
    "br x17",
    ".p2align 5",
    ".endr",
    ".popsection",
);

/// The address of the template page. The entries follow it, one in each 32 bytes.
#[cfg(target_arch = "x86_64")]
#[inline(never)]
pub(super) fn address() -> *const u8 {
    let address: *const u8;
    // SAFETY: computes an address relative to the instruction and accesses no memory. The symbol is defined above and
    // hidden, so it is in this object. Only the named register changes.
    unsafe {
        core::arch::asm!(
            concat!("lea {address}, [rip + ", symbol!(), "]"),
            address = out(reg) address,
            options(pure, nomem, nostack, preserves_flags),
        );
    }
    address
}

/// The address of the template page. The entries follow it, one in each 32 bytes.
#[cfg(target_arch = "aarch64")]
#[inline(never)]
pub(super) fn address() -> *const u8 {
    let address: *const u8;
    // SAFETY: computes an address relative to the instruction and accesses no memory. The symbol is defined above and
    // hidden, so it is in this object. Only the named register changes.
    unsafe {
        core::arch::asm!(
            concat!("adrp {address}, ", symbol!()),
            concat!("add {address}, {address}, :lo12:", symbol!()),
            address = out(reg) address,
            options(pure, nomem, nostack, preserves_flags),
        );
    }
    address
}

/// The code that puts the handle into the general register after `integers` of them. `integers`: at most
/// [`MOST_INTEGERS`].
pub(super) fn entry(integers: usize) -> *const () {
    debug_assert!(integers <= MOST_INTEGERS);
    address().wrapping_add(PAGE + integers * PIECE).cast()
}

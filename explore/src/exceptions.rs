//! Exceptions of C++: what its library keeps of those that are being handled is one thing for a thread of the machine, and so for all
//! threads of a model. Here each thread has its own, which is put where the library looks for it before the library is called.

use super::entry::entry_points;
use super::finding::FindingKind;
use super::pthread::refuse_call;
use super::world::{Me, Pc, World, enter, with};
use std::arch::global_asm;

// Weak: where no C++ is linked there is no such library, and the addresses are null.
global_asm!(
    ".section .data.rel.ro.latecall_model_exceptions,\"aw\",@progbits",
    ".weak __cxa_get_globals",
    ".weak __cxa_allocate_exception",
    ".weak __cxa_throw",
    ".weak __cxa_rethrow",
    ".weak __cxa_begin_catch",
    ".weak __cxa_end_catch",
    ".hidden latecall_model_exceptions",
    ".globl latecall_model_exceptions",
    ".balign 8",
    "latecall_model_exceptions:",
    ".quad __cxa_get_globals",
    ".quad __cxa_allocate_exception",
    ".quad __cxa_throw",
    ".quad __cxa_rethrow",
    ".quad __cxa_begin_catch",
    ".quad __cxa_end_catch",
    ".text",
);

/// The functions of C++'s library, as the ABI has them.
#[repr(C)]
struct Library {
    globals: Option<extern "C-unwind" fn() -> *mut Handled>,
    allocate: Option<extern "C-unwind" fn(usize) -> usize>,
    throw: Option<extern "C-unwind" fn(usize, usize, usize)>,
    rethrow: Option<extern "C-unwind" fn()>,
    begin_catch: Option<extern "C-unwind" fn(usize) -> usize>,
    end_catch: Option<extern "C-unwind" fn()>,
}

unsafe extern "C" {
    safe static latecall_model_exceptions: Library;
}

/// `__cxa_eh_globals` of the ABI: the exceptions that are being handled, and how many have been thrown and not caught.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub(super) struct Handled {
    caught: usize,
    uncaught: u32,
}

impl Handled {
    pub(super) const NONE: Self = Self { caught: 0, uncaught: 0 };
}

/// Whose the library has now.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Handling(Option<Me>);

impl World {
    /// Gives the library this thread's.
    fn handles(&mut self, me: Me) {
        let Some(globals) = latecall_model_exceptions.globals else { return };
        if self.handling.0 == Some(me) {
            return;
        }
        let place = globals();
        if let Some(other) = self.handling.0.replace(me) {
            // SAFETY: the library answers where it keeps them, which is this thread of the machine's alone.
            self.thread(other).handled = unsafe { place.read() };
        }
        // SAFETY: `place` belongs to this thread of the machine alone. What was left there by an interleaving that did not come to its end is nobody's any more.
        unsafe { place.write(self.thread(me).handled) };
    }
}

/// One of the library's functions, for this thread.
fn library<F>(function: Option<F>, pc: Pc) -> F {
    if let Some(me) = enter() {
        with(|world| world.handles(me));
    }
    function.unwrap_or_else(|| {
        refuse_call("a function for C++ exceptions, without the C++ library (link stdc++),", pc);
        unreachable!("the search has ended");
    })
}

/// The memory is the library's, and may have been another exception's: that one's past is not its own.
extern "C-unwind" fn allocate(size: usize, pc: Pc) -> usize {
    let exception = library(latecall_model_exceptions.allocate, pc)(size);
    if enter().is_some() {
        with(|world| world.forget(exception, size));
    }
    exception
}

extern "C-unwind" fn throw(exception: usize, kind: usize, destructor: usize, pc: Pc) {
    library(latecall_model_exceptions.throw, pc)(exception, kind, destructor);
}

extern "C-unwind" fn rethrow(pc: Pc) {
    library(latecall_model_exceptions.rethrow, pc)();
}

extern "C-unwind" fn begin_catch(exception: usize, pc: Pc) -> usize {
    library(latecall_model_exceptions.begin_catch, pc)(exception)
}

extern "C-unwind" fn end_catch(pc: Pc) {
    library(latecall_model_exceptions.end_catch, pc)();
}

/// What ends the process elsewhere.
fn ends(what: &str, pc: Pc) {
    if let Some(me) = enter() {
        with(|world| world.convict(me, pc, FindingKind::Aborted, what.to_owned()));
    }
}

extern "C-unwind" fn terminate(pc: Pc) {
    ends("std::terminate was called", pc);
}

extern "C-unwind" fn pure_virtual(pc: Pc) {
    ends("a pure virtual function was called", pc);
}

extern "C-unwind" fn stack_overwritten(pc: Pc) {
    ends("the stack protector found the stack overwritten", pc);
}

entry_points! {
    __cxa_allocate_exception(1) => allocate;
    __cxa_throw(3) => throw;
    __cxa_rethrow(0) => rethrow;
    __cxa_begin_catch(1) => begin_catch;
    __cxa_end_catch(0) => end_catch;
    __cxa_pure_virtual(0) => pure_virtual;
    _ZSt9terminatev(0) => terminate;
    __stack_chk_fail(0) => stack_overwritten;
}

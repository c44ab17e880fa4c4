//! Thread-local variables of C code, which the compiler, or the build helper, has turned into calls for their addresses.
//!
//! A thread's copy of a variable is a block that is allocated when it is first asked for, and freed when the thread ends. C code
//! that is called outside of a search has copies too: they are the first thread's in every interleaving of a search after it, at
//! the same addresses, and are put back before each like globals.

use super::memory::pointer;
use super::world::{Me, Pc, enter, with};
use crate::std_types::{Mutex, lock};
use std::alloc::{Layout, alloc_zeroed, handle_alloc_error};
use std::collections::BTreeMap;

/// What `__emutls_get_address` is passed, under clang's `-femulated-tls` and by the build helper: a variable's size, its alignment,
/// a place for the C library's own use, and what it holds in the beginning, or null for zeros.
#[repr(C)]
struct Local {
    size: usize,
    align: usize,
    unused: usize,
    initial: usize,
}

/// The copies that were made outside of any interleaving: where each is, and its size, by where it is described.
static EARLY: Mutex<BTreeMap<usize, (usize, usize)>> = Mutex::new(BTreeMap::new());

/// Where this thread's own copy of a variable is.
pub(crate) extern "C-unwind" fn thread_local(variable: usize, pc: Pc) -> usize {
    // SAFETY: the compiler passes the variable's description.
    let Local { size, align, initial, .. } = unsafe { pointer::<Local>(variable).read() };
    let Some(me) = enter() else {
        let mut early = lock(&EARLY);
        return early.entry(variable).or_insert_with(|| (outside(size, align, initial), size)).0;
    };
    if me == 0
        && let Some(&(copy, _)) = lock(&EARLY).get(&variable)
    {
        return copy;
    }
    with(|world| {
        if let Some(&copy) = world.thread(me).variables.get(&variable) {
            return copy;
        }
        let copy = world.allocate(me, pc, size, align);
        fill(copy, size, initial);
        world.thread(me).variables.insert(variable, copy);
        copy
    })
}

/// Memory for good.
fn outside(size: usize, align: usize, initial: usize) -> usize {
    let layout = Layout::from_size_align(size.max(1), align.max(1)).expect("the compiler gives powers of two");
    // SAFETY: the size is not zero.
    let memory = unsafe { alloc_zeroed(layout) };
    if memory.is_null() {
        handle_alloc_error(layout);
    }
    let copy = memory.expose_provenance();
    fill(copy, size, initial);
    copy
}

fn fill(copy: usize, size: usize, initial: usize) {
    if initial == 0 {
        // SAFETY: the memory was just allocated with this size.
        unsafe { pointer::<u8>(copy).write_bytes(0, size) };
    } else {
        // SAFETY: `copy` was just allocated with `size` bytes, and the compiler made the initial value as large.
        unsafe { pointer::<u8>(copy).copy_from_nonoverlapping(pointer::<u8>(initial), size) };
    }
}

/// The thread's variables end with it.
pub(crate) fn end_locals(me: Me) {
    if enter().is_some() {
        with(|world| {
            for copy in std::mem::take(&mut world.thread(me).variables).into_values() {
                world.free(me, 0, copy);
            }
        });
    }
}

/// From where to where the copies lie that were made outside of a search.
pub(crate) fn early_bounds() -> Vec<(usize, usize)> {
    lock(&EARLY).values().map(|&(copy, size)| (copy, copy + size)).collect()
}

/// Which of them an address is in, and where in it.
pub(crate) fn early(address: usize) -> Option<(usize, usize)> {
    let early = lock(&EARLY);
    let mut copies = early.values().enumerate();
    copies.find_map(|(number, &(copy, size))| (copy..copy + size).contains(&address).then(|| (number, address - copy)))
}

//! What the compiler calls: each memory access, each atomic operation, each entry to and exit from a function.
//!
//! How the parts fit: `width` is what loom has atomics of; `placed` which addresses have taken them; `atomic` is what is done to them. Here are the plain accesses, the
//! volatile ones, functions, and the names that all of it is called by.
//!
//! **Plain stores into an atomic's memory** (initialisation) are announced before they happen; at the thread's next event
//! the distance is taken anew, or at the next access a new atomic, where it is open which of its stores was the last.
//! **Plain loads** from there find what memory holds: the last store. **Volatile accesses** are relaxed atomics, or
//! such as order where [`Volatile::Ordered`](super::Volatile::Ordered) asks for it, and the report says that the code relies on it.

mod atomic;
mod placed;
mod width;

pub(crate) use atomic::{load, store};
pub(crate) use placed::Atoms;
pub(crate) use width::{Pools, Sizes};

use super::entry::named_entry_points;
use super::finding::{Bound, FindingKind};
use super::memory::accessed;
use super::pthread::refuse_call_because;
use super::race::Access;
use super::world::{Leave, Me, Pc, Pending, World, enter, leave, live, with};
use crate::loom_types::Ordering;
use atomic::{
    Operation, exchange, exchange_strong, exchange_val, exchange_weak, fetch_add, fetch_and, fetch_nand, fetch_or,
    fetch_sub, fetch_xor, load_as, memory, plain_read, plain_write, store_as, thread_fence,
};
use std::ffi::c_int;
use width::Width;

/// Orders a thread against its own signal handlers, of which a model has none.
extern "C-unwind" fn signal_fence(_: c_int, _: Pc) {}

extern "C-unwind" fn read<const SIZE: usize>(address: usize, pc: Pc) {
    accessed(address, SIZE, Access::Read, pc);
}

extern "C-unwind" fn write<const SIZE: usize>(address: usize, pc: Pc) {
    accessed(address, SIZE, Access::Write, pc);
}

extern "C-unwind" fn read_write<const SIZE: usize>(address: usize, pc: Pc) {
    read::<SIZE>(address, pc);
    write::<SIZE>(address, pc);
}

extern "C-unwind" fn read_range(address: usize, size: usize, pc: Pc) {
    accessed(address, size, Access::Read, pc);
}

extern "C-unwind" fn write_range(address: usize, size: usize, pc: Pc) {
    accessed(address, size, Access::Write, pc);
}

extern "C-unwind" fn vptr_update(address: usize, _: usize, pc: Pc) {
    accessed(address, size_of::<usize>(), Access::Write, pc);
}

/// A plain load from the memory of atomics: which of several threads' stores was the last may be open, and is settled here.
pub(crate) fn found(open: Vec<(usize, usize)>, pc: Pc) {
    for (address, size) in open {
        match size {
            1 => settle_last::<u8>(address, pc),
            2 => settle_last::<u16>(address, pc),
            4 => settle_last::<u32>(address, pc),
            _ => settle_last::<u64>(address, pc),
        }
    }
}

fn settle_last<T: Width>(address: usize, pc: Pc) {
    let value: T = load_as(address, RELAXED, pc, "reads");
    plain_write(address, value);
    with(|world| {
        if let Some(placed) = world.atoms.placed.get_mut(address) {
            placed.last = value.wide().wrapping_sub(placed.base);
            (placed.several, placed.writer) = (false, None);
        }
    });
}

impl World {
    /// A plain store that was announced may go to the memory of atomics, or of objects.
    pub(crate) fn written(&mut self, me: Me, address: usize, size: usize) {
        self.objects.rewrite(address, size);
        let stored: Vec<_> = self.atoms.overlapping(address, size).map(|(atom, _)| Pending::Stored(atom)).collect();
        if !stored.is_empty() {
            self.thread(me).pending.extend(stored);
        }
    }
}

/// C's numbers for orders.
const RELAXED: c_int = 0;
const ACQUIRE: c_int = 2;
const RELEASE: c_int = 3;

extern "C-unwind" fn volatile_read<T: Width>(address: usize, pc: Pc) {
    if live() {
        aligned::<T>(address);
        let order = with(|world| if world.atoms.volatile_orders { ACQUIRE } else { RELAXED });
        let value: T = load_as(address, order, pc, "reads volatile");
        // The load that follows shall find what the model chose.
        plain_write(address, value);
        with(|world| {
            world.atoms.volatile.insert(pc);
            // And everybody else what was stored last.
            let me = world.current();
            world.thread(me).pending.push(Pending::Shown(address));
        });
    }
}

extern "C-unwind" fn volatile_write<T: Width>(address: usize, pc: Pc) {
    let Some(me) = enter() else { return };
    aligned::<T>(address);
    // The atomic has to be there before the store that this announces changes what is in memory.
    if let Some(operation) = Operation::<T>::begin(address, Ordering::Relaxed, pc) {
        drop(operation);
    }
    with(|world| {
        world.atoms.volatile.insert(pc);
        world.thread(me).pending.push(Pending::Volatile(address, pc));
    });
}

/// C promises nothing about volatile accesses that are not aligned, and they may be torn: they are no atomics.
fn aligned<T: Width>(address: usize) {
    if !address.is_multiple_of(T::SIZE) {
        refuse("volatile accesses that are not aligned");
    }
}

/// Memory holds what was stored last.
fn show(address: usize) {
    with(|world| {
        if let Some(placed) = world.atoms.placed.get(address) {
            let (value, size) = (placed.base.wrapping_add(placed.last), placed.size);
            match size {
                1 => plain_write(address, u8::narrow(value)),
                2 => plain_write(address, u16::narrow(value)),
                4 => plain_write(address, u32::narrow(value)),
                _ => plain_write(address, value),
            }
        }
    });
}

/// What memory holds was stored by a volatile access, and is now by an atomic one.
fn written_volatile<T: Width>(address: usize, order: c_int, pc: Pc) {
    let value: T = plain_read(address);
    show(address);
    store_as(address, value, order, pc, "writes volatile");
}

/// Does what was announced.
pub(crate) fn settle(me: Me, pending: Pending) {
    match pending {
        Pending::Stored(address) => with(|world| {
            if let Some(placed) = world.atoms.placed.get_mut(address) {
                let value = match placed.size {
                    1 => plain_read::<u8>(address).wide(),
                    2 => plain_read::<u16>(address).wide(),
                    4 => plain_read::<u32>(address).wide(),
                    _ => plain_read::<u64>(address),
                };
                placed.base = value.wrapping_sub(placed.last);
                placed.rewritten = true;
            }
        }),
        Pending::Shown(address) => show(address),
        Pending::Volatile(address, pc) => {
            let (size, ordered) =
                with(|world| (world.atoms.placed.get(address).map(|placed| placed.size), world.atoms.volatile_orders));
            let order = if ordered { RELEASE } else { RELAXED };
            match size {
                Some(1) => written_volatile::<u8>(address, order, pc),
                Some(2) => written_volatile::<u16>(address, order, pc),
                Some(4) => written_volatile::<u32>(address, order, pc),
                Some(8) => written_volatile::<u64>(address, order, pc),
                _ => with(|world| {
                    world.convict(
                        me,
                        pc,
                        FindingKind::UseAfterFree,
                        "a volatile write reaches other threads after its memory was freed".into(),
                    )
                }),
            }
        }
    }
}

extern "C-unwind" fn func_entry(from: Pc, _: Pc) {
    super::stack::push(from);
}

extern "C-unwind" fn func_exit(_: Pc) {
    super::stack::pop();
}

extern "C-unwind" fn nothing(_: Pc) {}

fn refuse(what: &str) {
    if enter().is_some() {
        with(|world| leave(world, Leave::Limited(Bound::Unmodelled(what.to_owned()))));
    }
}

/// The C code calls a function that it could be built with, and that is refused when it is called.
extern "C-unwind" fn refused(name: usize, why: usize, pc: Pc) {
    // SAFETY: the build helper passes two texts.
    let [name, why] = [name, why].map(|text| unsafe { std::ffi::CStr::from_ptr(memory(text)) }.to_string_lossy());
    refuse_call_because(&name, &why, pc);
}

extern "C-unwind" fn wide_atomic(_: Pc) {
    refuse("128-bit atomics (loom has none)");
}

extern "C-unwind" fn wide_volatile(_: Pc) {
    refuse("volatile accesses of 16 bytes (loom has no atomics of this size)");
}

/// The entry points that come once for each width, and those that do not.
macro_rules! entry_points_by_width {
    ($($bytes:literal $bits:literal $int:ty;)*) => {
        named_entry_points! {
            $(
                (concat!("__tsan_read", $bytes))(1) => read::<$bytes>;
                (concat!("__tsan_write", $bytes))(1) => write::<$bytes>;
                (concat!("__tsan_read_write", $bytes))(1) => read_write::<$bytes>;
                (concat!("__tsan_unaligned_read", $bytes))(1) => read::<$bytes>;
                (concat!("__tsan_unaligned_write", $bytes))(1) => write::<$bytes>;
                (concat!("__tsan_unaligned_read_write", $bytes))(1) => read_write::<$bytes>;
                (concat!("__tsan_volatile_read", $bytes))(1) => volatile_read::<$int>;
                (concat!("__tsan_volatile_write", $bytes))(1) => volatile_write::<$int>;
                (concat!("__tsan_unaligned_volatile_read", $bytes))(1) => volatile_read::<$int>;
                (concat!("__tsan_unaligned_volatile_write", $bytes))(1) => volatile_write::<$int>;
                (concat!("__tsan_atomic", $bits, "_load"))(2) => load::<$int>;
                (concat!("__tsan_atomic", $bits, "_store"))(3) => store::<$int>;
                (concat!("__tsan_atomic", $bits, "_exchange"))(3) => exchange::<$int>;
                (concat!("__tsan_atomic", $bits, "_fetch_add"))(3) => fetch_add::<$int>;
                (concat!("__tsan_atomic", $bits, "_fetch_sub"))(3) => fetch_sub::<$int>;
                (concat!("__tsan_atomic", $bits, "_fetch_and"))(3) => fetch_and::<$int>;
                (concat!("__tsan_atomic", $bits, "_fetch_or"))(3) => fetch_or::<$int>;
                (concat!("__tsan_atomic", $bits, "_fetch_xor"))(3) => fetch_xor::<$int>;
                (concat!("__tsan_atomic", $bits, "_fetch_nand"))(3) => fetch_nand::<$int>;
                (concat!("__tsan_atomic", $bits, "_compare_exchange_strong"))(5) => exchange_strong::<$int>;
                (concat!("__tsan_atomic", $bits, "_compare_exchange_weak"))(5) => exchange_weak::<$int>;
                (concat!("__tsan_atomic", $bits, "_compare_exchange_val"))(5) => exchange_val::<$int>;
            )*
            ("__refused")(2) => refused;
            ("__tsan_init")(0) => nothing;
            ("__tsan_func_entry")(1) => func_entry;
            ("__tsan_func_exit")(0) => func_exit;
            ("__tsan_read_range")(2) => read_range;
            ("__tsan_write_range")(2) => write_range;
            ("__tsan_vptr_update")(2) => vptr_update;
            ("__tsan_vptr_read")(1) => read::<8>;
            ("__tsan_atomic_thread_fence")(1) => thread_fence;
            ("__tsan_atomic_signal_fence")(1) => signal_fence;
            ("__tsan_read16")(1) => read::<16>;
            ("__tsan_write16")(1) => write::<16>;
            ("__tsan_read_write16")(1) => read_write::<16>;
            ("__tsan_unaligned_read16")(1) => read::<16>;
            ("__tsan_unaligned_write16")(1) => write::<16>;
            ("__tsan_unaligned_read_write16")(1) => read_write::<16>;
            ("__tsan_volatile_read16")(0) => wide_volatile;
            ("__tsan_volatile_write16")(0) => wide_volatile;
            ("__tsan_unaligned_volatile_read16")(0) => wide_volatile;
            ("__tsan_unaligned_volatile_write16")(0) => wide_volatile;
            ("__tsan_atomic128_load")(0) => wide_atomic;
            ("__tsan_atomic128_store")(0) => wide_atomic;
            ("__tsan_atomic128_exchange")(0) => wide_atomic;
            ("__tsan_atomic128_fetch_add")(0) => wide_atomic;
            ("__tsan_atomic128_fetch_sub")(0) => wide_atomic;
            ("__tsan_atomic128_fetch_and")(0) => wide_atomic;
            ("__tsan_atomic128_fetch_or")(0) => wide_atomic;
            ("__tsan_atomic128_fetch_xor")(0) => wide_atomic;
            ("__tsan_atomic128_fetch_nand")(0) => wide_atomic;
            ("__tsan_atomic128_compare_exchange_strong")(0) => wide_atomic;
            ("__tsan_atomic128_compare_exchange_weak")(0) => wide_atomic;
            ("__tsan_atomic128_compare_exchange_val")(0) => wide_atomic;
        }
    };
}

entry_points_by_width! {
    1 8 u8;
    2 16 u16;
    4 32 u32;
    8 64 u64;
}

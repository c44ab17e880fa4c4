//! What the compiler calls: each memory access, each atomic operation, each entry to and exit from a function.
//!
//! **Atomics.** A loom atomic belongs to the thread that created it, and whoever has not synchronised with that thread may
//! not touch it; a C atomic may be met first by any thread. So the interleaving begins with a pool of loom atomics that
//! hold 0 and belong to everybody's past, and an address takes one when it is first used as an atomic. What the loom
//! atomic holds is the distance to what was in memory at that time. An interleaving that runs out of them is given up, and
//! the search begins again with more.
//!
//! **Plain stores into an atomic's memory** (initialisation) are announced before they happen; at the thread's next event
//! the distance is taken anew. **Volatile accesses** are relaxed atomics, and the report says that the code relies on it.
//!
//! **`SeqCst`.** Loom takes a `SeqCst` access for `AcqRel`. Here it is put between two `SeqCst` fences, which loom orders.

use super::entry::named_entry_points;
use super::event::{Change, What};
use super::finding::{Bound, Kind, later};
use super::memory::accessed;
use super::race::Access;
use super::world::{Leave, Me, Pc, Pending, enter, leave, live, with};
use crate::sync::loom_side::{self as sync, Ordering};
use std::collections::BTreeMap;
use std::ffi::c_int;
use std::rc::Rc;

/// How many loom atomics of each width an interleaving begins with.
pub(crate) type Sizes = [usize; 4];

/// Loom atomics that no address has taken yet.
pub(crate) struct Pools {
    bytes: Vec<Rc<sync::AtomicU8>>,
    shorts: Vec<Rc<sync::AtomicU16>>,
    words: Vec<Rc<sync::AtomicU32>>,
    longs: Vec<Rc<sync::AtomicU64>>,
}

impl Pools {
    pub(crate) fn new(sizes: &Sizes) -> Self {
        Self {
            bytes: (0..sizes[0]).map(|_| Rc::new(sync::AtomicU8::new(0))).collect(),
            shorts: (0..sizes[1]).map(|_| Rc::new(sync::AtomicU16::new(0))).collect(),
            words: (0..sizes[2]).map(|_| Rc::new(sync::AtomicU32::new(0))).collect(),
            longs: (0..sizes[3]).map(|_| Rc::new(sync::AtomicU64::new(0))).collect(),
        }
    }
}

#[derive(Clone)]
pub(crate) enum Atom {
    Byte(Rc<sync::AtomicU8>),
    Short(Rc<sync::AtomicU16>),
    Word(Rc<sync::AtomicU32>),
    Long(Rc<sync::AtomicU64>),
}

struct Placed {
    atom: Atom,
    size: usize,
    /// What a stored 0 means.
    base: u64,
    /// The last store, in order of execution, and what it stored.
    last: u64,
}

/// The atomics of an interleaving, by address.
pub(crate) struct Atoms {
    pools: Pools,
    placed: BTreeMap<usize, Placed>,
    /// The pool that was empty.
    pub(crate) missing: Option<usize>,
    /// Places that accessed volatile memory.
    pub(crate) volatile: std::collections::BTreeSet<Pc>,
}

impl Atoms {
    pub(crate) fn new(pools: Pools) -> Self {
        Self { pools, placed: BTreeMap::new(), missing: None, volatile: std::collections::BTreeSet::new() }
    }

    /// The memory is no atomic any more.
    pub(crate) fn forget(&mut self, address: usize, size: usize) {
        let gone: Vec<usize> = self.placed.range(address..address + size).map(|(&address, _)| address).collect();
        for address in gone {
            self.placed.remove(&address);
        }
    }

    fn overlapping(&self, address: usize, size: usize) -> Vec<usize> {
        let near = self.placed.range(address.saturating_sub(8)..address + size);
        near.filter(|(start, placed)| address < *start + placed.size).map(|(&start, _)| start).collect()
    }
}

/// A width of atomics.
pub(crate) trait Width: Copy + Eq + 'static {
    type Loom;
    const SIZE: usize;
    const POOL: usize;
    fn pool(pools: &mut Pools) -> Option<Rc<Self::Loom>>;
    fn atom(loom: Rc<Self::Loom>) -> Atom;
    fn loom(atom: &Atom) -> Option<Rc<Self::Loom>>;
    fn wide(self) -> u64;
    /// The low bits.
    fn narrow(value: u64) -> Self;
    fn load(loom: &Self::Loom, order: Ordering) -> Self;
    fn store(loom: &Self::Loom, value: Self, order: Ordering);
    fn add(loom: &Self::Loom, value: Self, order: Ordering) -> Self;
    fn and(loom: &Self::Loom, value: Self, order: Ordering) -> Self;
    fn or(loom: &Self::Loom, value: Self, order: Ordering) -> Self;
    fn xor(loom: &Self::Loom, value: Self, order: Ordering) -> Self;
    fn exchange(loom: &Self::Loom, old: Self, new: Self, success: Ordering, failure: Ordering) -> Result<Self, Self>;
}

macro_rules! width {
    ($int:ty, $loom:ty, $atom:ident, $pool:ident, $number:literal) => {
        impl Width for $int {
            type Loom = $loom;
            const SIZE: usize = size_of::<$int>();
            const POOL: usize = $number;
            fn pool(pools: &mut Pools) -> Option<Rc<$loom>> {
                pools.$pool.pop()
            }
            fn atom(loom: Rc<$loom>) -> Atom {
                Atom::$atom(loom)
            }
            fn loom(atom: &Atom) -> Option<Rc<$loom>> {
                if let Atom::$atom(loom) = atom { Some(loom.clone()) } else { None }
            }
            fn wide(self) -> u64 {
                u64::from(self)
            }
            fn narrow(value: u64) -> Self {
                value as Self
            }
            fn load(loom: &$loom, order: Ordering) -> Self {
                loom.load(order)
            }
            fn store(loom: &$loom, value: Self, order: Ordering) {
                loom.store(value, order);
            }
            fn add(loom: &$loom, value: Self, order: Ordering) -> Self {
                loom.fetch_add(value, order)
            }
            fn and(loom: &$loom, value: Self, order: Ordering) -> Self {
                loom.fetch_and(value, order)
            }
            fn or(loom: &$loom, value: Self, order: Ordering) -> Self {
                loom.fetch_or(value, order)
            }
            fn xor(loom: &$loom, value: Self, order: Ordering) -> Self {
                loom.fetch_xor(value, order)
            }
            fn exchange(loom: &$loom, old: Self, new: Self, ok: Ordering, failed: Ordering) -> Result<Self, Self> {
                loom.compare_exchange(old, new, ok, failed)
            }
        }
    };
}
width!(u8, sync::AtomicU8, Byte, bytes, 0);
width!(u16, sync::AtomicU16, Short, shorts, 1);
width!(u32, sync::AtomicU32, Word, words, 2);
width!(u64, sync::AtomicU64, Long, longs, 3);

/// C's numbers for orders.
fn order(number: c_int) -> Ordering {
    match number & 0xff {
        0 => Ordering::Relaxed,
        1 | 2 => Ordering::Acquire,
        3 => Ordering::Release,
        4 => Ordering::AcqRel,
        _ => Ordering::SeqCst,
    }
}

fn memory<T>(address: usize) -> *mut T {
    std::ptr::with_exposed_provenance_mut(address)
}

fn plain_read<T: Width>(address: usize) -> T {
    // SAFETY: C code has just been about to access an atomic of this width here; one thread runs at a time.
    unsafe { memory::<T>(address).read_unaligned() }
}

fn plain_write<T: Width>(address: usize, value: T) {
    // SAFETY: as in `plain_read`.
    unsafe { memory::<T>(address).write_unaligned(value) };
}

/// An operation on an atomic, as far as all of them are alike.
struct Operation<T: Width> {
    me: Me,
    pc: Pc,
    address: usize,
    since: super::world::Moment,
    loom: Rc<T::Loom>,
    seq_cst: bool,
}

impl<T: Width> Operation<T> {
    /// `None` where there is no interleaving.
    fn begin(address: usize, order: Ordering, pc: Pc) -> Option<Self> {
        let me = enter()?;
        let (loom, since) = with(|world| {
            // Before the operation: what it releases has to include it.
            let since = world.moment(me);
            world.check_memory(me, pc, address, T::SIZE, "atomic access");
            if !address.is_multiple_of(T::SIZE) {
                let name = world.name_address(address);
                world.convict(me, pc, Kind::Misuse, format!("atomic access of {} bytes to {name}, unaligned", T::SIZE));
            }
            let others = world.atoms.overlapping(address, T::SIZE);
            if others.is_empty() {
                let Some(loom) = T::pool(&mut world.atoms.pools) else {
                    world.atoms.missing = Some(T::POOL);
                    leave(world, Leave::Restart);
                };
                let base = plain_read::<T>(address).wide();
                let atom = T::atom(loom);
                world.atoms.placed.insert(address, Placed { atom, size: T::SIZE, base, last: 0 });
            }
            let loom = world.atoms.placed.get(&address).and_then(|placed| T::loom(&placed.atom));
            let Some(loom) = loom.filter(|_| others.len() <= 1) else {
                let name = world.name_address(address);
                leave(
                    world,
                    Leave::Limited(Bound::Unmodelled(format!("atomic accesses of different sizes to {name}"))),
                );
            };
            (loom, since)
        });
        let seq_cst = order == Ordering::SeqCst;
        if seq_cst {
            // SeqCst: see the module's documentation.
            sync::fence(Ordering::SeqCst);
        }
        Some(Self { me, pc, address, since, loom, seq_cst })
    }

    /// What loom holds for a value, and the value for what it holds.
    fn encode(&self, value: T) -> T {
        T::narrow(value.wide().wrapping_sub(with(|world| world.atoms.placed.get(&self.address).map_or(0, |p| p.base))))
    }

    fn decode(&self, held: T) -> T {
        T::narrow(held.wide().wrapping_add(with(|world| world.atoms.placed.get(&self.address).map_or(0, |p| p.base))))
    }

    /// After loom's operation, which may have let other threads run: is the memory still there, and who else uses it?
    fn end(&self, access: Access, stored: Option<T>, verb: &'static str, change: Change, order: Ordering) {
        if self.seq_cst {
            // SeqCst: see the module's documentation.
            sync::fence(Ordering::SeqCst);
        }
        with(|world| {
            if access.writes() {
                world.thread(self.me).spin.count = 0;
            }
            world.log(self.me, self.pc, What::Atomic { verb, address: self.address, change, order });
            world.touch(self.me, self.pc, self.address, T::SIZE, access, self.since);
            if let (Some(held), Some(placed)) = (stored, world.atoms.placed.get_mut(&self.address)) {
                placed.last = held.wide();
                let value = T::narrow(held.wide().wrapping_add(placed.base));
                plain_write(self.address, value);
            }
        });
    }
}

/// A thread that reads the same value from the same atomic at the same place for the third time, and does nothing to any
/// object in between, waits for somebody to change it: let them.
fn spins(me: Me, pc: Pc, address: usize, value: u64) {
    let count = with(|world| {
        let spin = &mut world.thread(me).spin;
        let same = (spin.address, spin.value, spin.pc) == (address, value, pc);
        *spin = super::world::Spin { address, value, pc, count: if same { spin.count + 1 } else { 0 } };
        spin.count
    });
    if count > 1 {
        super::world::let_others_run();
    }
}

fn load_as<T: Width>(address: usize, number: c_int, pc: Pc, verb: &'static str) -> T {
    let order = order(number);
    let Some(operation) = Operation::<T>::begin(address, order, pc) else { return plain_read(address) };
    let held = T::load(&operation.loom, if order == Ordering::SeqCst { Ordering::Acquire } else { order });
    let value = operation.decode(held);
    operation.end(Access::AtomicRead, None, verb, Change::Found(value.wide()), order);
    spins(operation.me, pc, address, value.wide());
    value
}

extern "C-unwind" fn load<T: Width>(address: usize, number: c_int, pc: Pc) -> T {
    load_as(address, number, pc, "loads")
}

fn store_as<T: Width>(address: usize, value: T, number: c_int, pc: Pc, verb: &'static str) {
    let order = order(number);
    let Some(operation) = Operation::<T>::begin(address, order, pc) else { return plain_write(address, value) };
    let held = operation.encode(value);
    T::store(&operation.loom, held, if order == Ordering::SeqCst { Ordering::Release } else { order });
    operation.end(Access::AtomicWrite, Some(held), verb, Change::Set(value.wide()), order);
}

pub(crate) extern "C-unwind" fn store<T: Width>(address: usize, value: T, number: c_int, pc: Pc) {
    store_as(address, value, number, pc, "stores");
}

fn rmw<T: Width>(
    address: usize,
    number: c_int,
    pc: Pc,
    verb: &'static str,
    new: impl Fn(T) -> T,
    direct: Option<Direct<T>>,
) -> T {
    let order = order(number);
    let Some(operation) = Operation::<T>::begin(address, order, pc) else {
        let old = plain_read::<T>(address);
        plain_write(address, new(old));
        return old;
    };
    let base = operation.decode(T::narrow(0)).wide();
    let held = match direct {
        Some((apply, operand, needs_zero)) if base == 0 || !needs_zero => apply(&operation.loom, operand, order),
        // No operation of loom's does this to a distance: one that finds out, and one that succeeds if that is still so.
        _ => {
            let mut held = T::add(&operation.loom, T::narrow(0), Ordering::Relaxed);
            loop {
                let next = operation.encode(new(operation.decode(held)));
                match T::exchange(&operation.loom, held, next, order, Ordering::Relaxed) {
                    Ok(held) => break held,
                    Err(other) => held = other,
                }
            }
        }
    };
    let old = operation.decode(held);
    let next = operation.encode(new(old));
    operation.end(Access::AtomicWrite, Some(next), verb, Change::From(old.wide(), new(old).wide()), order);
    old
}

/// An operation of loom's on the distance, its operand, and whether it is right only where the distance is the value.
type Direct<T> = (fn(&<T as Width>::Loom, T, Ordering) -> T, T, bool);

extern "C-unwind" fn exchange<T: Width>(address: usize, value: T, number: c_int, pc: Pc) -> T {
    rmw(address, number, pc, "exchanges", |_| value, None)
}

extern "C-unwind" fn fetch_add<T: Width>(address: usize, value: T, number: c_int, pc: Pc) -> T {
    let new = |old: T| T::narrow(old.wide().wrapping_add(value.wide()));
    rmw(address, number, pc, "adds to", new, Some((T::add, value, false)))
}

extern "C-unwind" fn fetch_sub<T: Width>(address: usize, value: T, number: c_int, pc: Pc) -> T {
    let new = |old: T| T::narrow(old.wide().wrapping_sub(value.wide()));
    let negative = T::narrow(0_u64.wrapping_sub(value.wide()));
    rmw(address, number, pc, "subtracts from", new, Some((T::add, negative, false)))
}

extern "C-unwind" fn fetch_and<T: Width>(address: usize, value: T, number: c_int, pc: Pc) -> T {
    rmw(address, number, pc, "ands", |old| T::narrow(old.wide() & value.wide()), Some((T::and, value, true)))
}

extern "C-unwind" fn fetch_or<T: Width>(address: usize, value: T, number: c_int, pc: Pc) -> T {
    rmw(address, number, pc, "ors", |old| T::narrow(old.wide() | value.wide()), Some((T::or, value, true)))
}

extern "C-unwind" fn fetch_xor<T: Width>(address: usize, value: T, number: c_int, pc: Pc) -> T {
    rmw(address, number, pc, "xors", |old| T::narrow(old.wide() ^ value.wide()), Some((T::xor, value, true)))
}

extern "C-unwind" fn fetch_nand<T: Width>(address: usize, value: T, number: c_int, pc: Pc) -> T {
    rmw(address, number, pc, "nands", |old| T::narrow(!(old.wide() & value.wide())), None)
}

/// Answers what was there; it was exchanged where that is `expected`.
fn compare<T: Width>(
    address: usize,
    expected: T,
    new: T,
    success: c_int,
    failure: c_int,
    pc: Pc,
    weak: bool,
) -> (T, bool) {
    let (success, failure) = (order(success), order(failure));
    let Some(operation) = Operation::<T>::begin(address, success, pc) else {
        let old = plain_read::<T>(address);
        if old == expected {
            plain_write(address, new);
        }
        return (old, old == expected);
    };
    let may_fail = |world: &mut super::world::World| world.spurious_left > 0;
    // Another thread may have used the last one up while this one chose.
    if weak && with(may_fail) && super::choice::choose(operation.me) && with(may_fail) {
        with(|world| world.spurious_left -= 1);
        operation.end(Access::AtomicRead, None, "compares", Change::Nothing, failure);
        return (expected, false);
    }
    let (old, stored) = (operation.encode(expected), operation.encode(new));
    match T::exchange(&operation.loom, old, stored, success, failure) {
        Ok(_) => {
            let change = Change::From(expected.wide(), new.wide());
            operation.end(Access::AtomicWrite, Some(stored), "exchanges", change, success);
            (expected, true)
        }
        Err(held) => {
            let found = operation.decode(held);
            let change = Change::Unlike(found.wide(), expected.wide());
            operation.end(Access::AtomicRead, None, "compares", change, failure);
            spins(operation.me, pc, address, found.wide());
            (found, false)
        }
    }
}

/// The form that answers what was there.
extern "C-unwind" fn exchange_val<T: Width>(
    address: usize,
    expected: T,
    new: T,
    success: c_int,
    failure: c_int,
    pc: Pc,
) -> T {
    compare(address, expected, new, success, failure, pc, false).0
}

fn exchange_in<T: Width>(address: usize, expected: usize, new: T, orders: (c_int, c_int), pc: Pc, weak: bool) -> c_int {
    let (found, done) = compare(address, plain_read::<T>(expected), new, orders.0, orders.1, pc, weak);
    if !done {
        plain_write(expected, found);
    }
    c_int::from(done)
}

extern "C-unwind" fn exchange_strong<T: Width>(
    address: usize,
    expected: usize,
    new: T,
    success: c_int,
    failure: c_int,
    pc: Pc,
) -> c_int {
    exchange_in(address, expected, new, (success, failure), pc, false)
}

extern "C-unwind" fn exchange_weak<T: Width>(
    address: usize,
    expected: usize,
    new: T,
    success: c_int,
    failure: c_int,
    pc: Pc,
) -> c_int {
    exchange_in(address, expected, new, (success, failure), pc, true)
}

extern "C-unwind" fn thread_fence(number: c_int, pc: Pc) {
    let order = order(number);
    let Some(me) = enter() else { return };
    if order != Ordering::Relaxed {
        // The order that C asks for.
        sync::fence(order);
    }
    with(|world| world.log(me, pc, What::Fence(order)));
}

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

/// Plain stores that were announced go to the memory of atomics.
pub(crate) fn written(me: Me, address: usize, size: usize) {
    with(|world| {
        for atom in world.atoms.overlapping(address, size) {
            world.thread(me).pending.push(Pending::Stored(atom));
        }
    });
}

extern "C-unwind" fn volatile_read<T: Width>(address: usize, pc: Pc) {
    if live() {
        let value: T = load_as(address, 0, pc, "reads volatile");
        // The load that follows shall find what the model chose.
        plain_write(address, value);
        with(|world| world.atoms.volatile.insert(pc));
    }
}

extern "C-unwind" fn volatile_write<T: Width>(address: usize, pc: Pc) {
    let Some(me) = enter() else { return };
    // The atomic has to be there before the store that this announces changes what is in memory.
    if let Some(operation) = Operation::<T>::begin(address, Ordering::Relaxed, pc) {
        drop(operation);
    }
    with(|world| {
        world.atoms.volatile.insert(pc);
        world.thread(me).pending.push(Pending::Volatile(address, pc));
    });
}

/// Does what was announced.
pub(crate) fn settle(me: Me, pending: Pending) {
    match pending {
        Pending::Stored(address) => with(|world| {
            if let Some(placed) = world.atoms.placed.get_mut(&address) {
                let value = match placed.size {
                    1 => plain_read::<u8>(address).wide(),
                    2 => plain_read::<u16>(address).wide(),
                    4 => plain_read::<u32>(address).wide(),
                    _ => plain_read::<u64>(address),
                };
                placed.base = value.wrapping_sub(placed.last);
            }
        }),
        Pending::Volatile(address, pc) => {
            let size = with(|world| world.atoms.placed.get(&address).map(|placed| placed.size));
            match size {
                Some(1) => store_as(address, plain_read::<u8>(address), 0, pc, "writes volatile"),
                Some(2) => store_as(address, plain_read::<u16>(address), 0, pc, "writes volatile"),
                Some(4) => store_as(address, plain_read::<u32>(address), 0, pc, "writes volatile"),
                Some(8) => store_as(address, plain_read::<u64>(address), 0, pc, "writes volatile"),
                _ => with(|world| {
                    world.convict(
                        me,
                        pc,
                        Kind::UseAfterFree,
                        "volatile write to memory that was freed meanwhile".into(),
                    )
                }),
            }
        }
    }
}

extern "C-unwind" fn func_entry(from: Pc, _: Pc) {
    if let Some(me) = enter() {
        super::stack::push(me, from);
    }
}

extern "C-unwind" fn func_exit(_: Pc) {
    if let Some(me) = enter() {
        super::stack::pop(me);
    }
}

extern "C-unwind" fn nothing(_: Pc) {}

fn refuse(what: &str) {
    if enter().is_some() {
        with(|world| leave(world, Leave::Limited(Bound::Unmodelled(what.to_owned()))));
    }
}

/// The C code calls a function that it could be built with, and that is refused when it is called.
extern "C-unwind" fn refused(name: usize, pc: Pc) {
    // SAFETY: the build helper passes a name.
    let name = unsafe { std::ffi::CStr::from_ptr(memory(name)) }.to_string_lossy().into_owned();
    if let Some(me) = enter() {
        with(|world| {
            let from = world.thread(me).calls.last().copied().unwrap_or_default();
            let what = format!("{name} was called at {} from {}, which is refused", later(pc), later(from));
            leave(world, Leave::Limited(Bound::Unmodelled(what)));
        });
    }
}

extern "C-unwind" fn wide_atomic(_: Pc) {
    refuse("128-bit atomics: loom has none");
}

extern "C-unwind" fn wide_volatile(_: Pc) {
    refuse("volatile accesses of 16 bytes: loom has no atomics that wide");
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
            ("__refused")(1) => refused;
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

//! Atomic operations: those of loom, on atomics that addresses take from a pool when they are first used as one.
//!
//! A loom atomic belongs to the thread that created it, and whoever has not synchronised with that thread may
//! not touch it; a C atomic may be met first by any thread. So the interleaving begins with a pool of loom atomics that
//! hold 0 and belong to everybody's past, and an address takes one when it is first used as an atomic. What the loom
//! atomic holds is the distance to what was in memory at that time. An interleaving that runs out of them is given up, and
//! the search begins again with more.
//!
//! **Stores after exchanges.** Loom leaves open which of two comes last, a store or an exchange, if neither knows of the other. So who
//! exchanged may read what that left for ever, as if what was stored in the middle of the interleaving had come before: a lock that
//! spins would never be free. A search that meets a thread that does, or that finds something after such a store, begins again,
//! with stores to that atomic that follow (`Atoms::follow`).
//!
//! **`SeqCst`.** Loom takes a `SeqCst` access for `AcqRel`. Here it is put between two `SeqCst` fences, which loom orders. The first
//! is a branch of the search: two such accesses come in either order, to whatever objects they are.

use super::width::{Atom, Pools, Width};
use crate::model::event::{Change, What};
use crate::model::finding::{Bound, Kind};
use crate::model::memory::accessed;
use crate::model::race::Access;
use crate::model::world::{Leave, Me, Moment, Pc, World, enter, leave, let_others_run, with};
use crate::sync::loom_side::{self as sync, Ordering};
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::c_int;
use std::rc::Rc;

pub(super) struct Placed {
    pub(super) atom: Atom,
    pub(super) size: usize,
    /// What a stored 0 means.
    pub(super) base: u64,
    /// The last store, in order of execution, and what it stored.
    pub(super) last: u64,
    /// Who has stored to it, as long as that is one thread.
    pub(super) writer: Option<Me>,
    /// Several have: which store is the last may be open.
    pub(super) several: bool,
    /// Plain stores went there since it was last accessed as an atomic.
    pub(super) rewritten: bool,
    /// It has been exchanged or added to.
    exchanged: bool,
    /// Who knows of the last exchange: it made it, or has found what was there last since. A bit each.
    aware: u8,
}

impl Placed {
    fn new(atom: Atom, size: usize, base: u64) -> Self {
        Self { atom, size, base, last: 0, writer: None, several: false, rewritten: false, exchanged: false, aware: 0 }
    }
}

/// The atomics of an interleaving, by address.
pub(crate) struct Atoms {
    pools: Pools,
    pub(super) placed: BTreeMap<usize, Placed>,
    /// How many atomics there have been before at an address.
    lives: BTreeMap<usize, u64>,
    /// Where stores follow what was there.
    pub(crate) follow: Rc<BTreeSet<usize>>,
    /// Where a store was left to come before an exchange that had come before it, which its thread did not know of: in this
    /// interleaving something may be found that cannot be.
    pub(crate) open_order: BTreeSet<usize>,
    /// Some have been stored to by several threads.
    contended: bool,
    /// The pool that was empty.
    pub(crate) missing: Option<usize>,
    /// Places that accessed volatile memory.
    pub(crate) volatile: BTreeSet<Pc>,
    /// Volatile loads acquire, and volatile stores release.
    pub(crate) volatile_orders: bool,
}

impl Atoms {
    pub(crate) fn new() -> Self {
        Self {
            pools: Pools::default(),
            placed: BTreeMap::new(),
            lives: BTreeMap::new(),
            follow: Rc::default(),
            open_order: BTreeSet::new(),
            contended: false,
            missing: None,
            volatile: BTreeSet::new(),
            volatile_orders: false,
        }
    }

    /// What addresses will take.
    pub(crate) fn fill(&mut self, pools: Pools) {
        self.pools = pools;
    }

    /// The memory is no atomic any more.
    pub(crate) fn forget(&mut self, address: usize, size: usize) {
        let gone: Vec<usize> = self.placed.range(address..address + size).map(|(&address, _)| address).collect();
        for address in gone {
            self.placed.remove(&address);
        }
    }

    /// Plain stores that nobody announced have gone there if memory holds something else than it should: compilers do not
    /// announce those to variables whose address stays in a function.
    fn notice<T: Width>(&mut self, address: usize) {
        if let Some(placed) = self.placed.get_mut(&address).filter(|placed| placed.size == T::SIZE) {
            let held = plain_read::<T>(address);
            if held != T::narrow(placed.base.wrapping_add(placed.last)) {
                placed.base = held.wide().wrapping_sub(placed.last);
                placed.rewritten = true;
            }
        }
    }

    /// Atomics in this memory of which it is open which store was the last, each with its size.
    pub(super) fn open(&self, address: usize, size: usize) -> Vec<(usize, usize)> {
        if !self.contended {
            return Vec::new();
        }
        let several = |at: &usize| self.placed.get(at).filter(|placed| placed.several).map(|placed| (*at, placed.size));
        self.overlapping(address, size).iter().filter_map(several).collect()
    }

    pub(super) fn overlapping(&self, address: usize, size: usize) -> Vec<usize> {
        let near = self.placed.range(address.saturating_sub(8)..address + size);
        near.filter(|(start, placed)| address < *start + placed.size).map(|(&start, _)| start).collect()
    }
}

/// C's numbers for orders.
pub(super) fn order(number: c_int) -> Ordering {
    match number & 0xff {
        0 => Ordering::Relaxed,
        1 | 2 => Ordering::Acquire,
        3 => Ordering::Release,
        4 => Ordering::AcqRel,
        _ => Ordering::SeqCst,
    }
}

pub(super) fn memory<T>(address: usize) -> *mut T {
    std::ptr::with_exposed_provenance_mut(address)
}

pub(super) fn plain_read<T: Width>(address: usize) -> T {
    // SAFETY: C code has just been about to access an atomic of this width here; one thread runs at a time.
    unsafe { memory::<T>(address).read_unaligned() }
}

pub(super) fn plain_write<T: Width>(address: usize, value: T) {
    // SAFETY: as in `plain_read`.
    unsafe { memory::<T>(address).write_unaligned(value) };
}

/// An operation on an atomic, as far as all of them are alike.
pub(super) struct Operation<T: Width> {
    me: Me,
    pc: Pc,
    address: usize,
    since: Moment,
    loom: Rc<T::Loom>,
    seq_cst: bool,
}

impl<T: Width> Operation<T> {
    /// `None` where there is no interleaving.
    pub(super) fn begin(address: usize, order: Ordering, pc: Pc) -> Option<Self> {
        let me = enter()?;
        let (loom, since) = with(|world| {
            // Before the operation: what it releases has to include it.
            let since = world.access_moment(me);
            world.check_memory(me, pc, address, T::SIZE, "atomic access");
            if !address.is_multiple_of(T::SIZE) {
                let name = world.name_address(address);
                world.convict(me, pc, Kind::Misuse, format!("atomic access of {} bytes to {name}, unaligned", T::SIZE));
            }
            let mut others = world.atoms.overlapping(address, T::SIZE);
            world.atoms.notice::<T>(address);
            // What has become something else since is a new atomic.
            let same = |at: usize, placed: &Placed| at == address && placed.size == T::SIZE;
            others.retain(|&at| {
                let gone = |placed: &Placed| placed.rewritten && (placed.several || !same(at, placed));
                let gone = world.atoms.placed.get(&at).is_some_and(gone);
                if gone {
                    world.atoms.placed.remove(&at);
                    *world.atoms.lives.entry(at).or_default() += 1;
                }
                !gone
            });
            if others.is_empty() {
                let Some(loom) = T::pool(&mut world.atoms.pools) else {
                    world.atoms.missing = Some(T::POOL);
                    leave(world, Leave::Restart);
                };
                T::name(&loom, address, world.atoms.lives.get(&address).copied().unwrap_or_default());
                let base = plain_read::<T>(address).wide();
                let atom = T::atom(loom);
                world.atoms.placed.insert(address, Placed::new(atom, T::SIZE, base));
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

    /// Whether something else has been stored since, to an atomic that is exchanged.
    fn is_old(&self, held: T) -> bool {
        with(|world| {
            let placed = world.atoms.placed.get(&self.address);
            placed.is_some_and(|placed| placed.exchanged && placed.last != held.wide())
        })
    }

    /// It finds what was there last.
    fn found(&self, held: T) {
        with(|world| {
            if let Some(placed) = world.atoms.placed.get_mut(&self.address).filter(|placed| placed.last == held.wide())
            {
                placed.aware |= 1 << self.me;
            }
        });
    }

    fn exchanged(&self) {
        with(|world| {
            if let Some(placed) = world.atoms.placed.get_mut(&self.address) {
                placed.exchanged = true;
                placed.aware = 1 << self.me;
            }
        });
    }

    /// After loom's operation, which may have let other threads run: is the memory still there, and who else uses it?
    fn end(&self, access: Access, stored: Option<T>, verb: &'static str, change: Change, order: Ordering) {
        if self.seq_cst {
            // SeqCst: see the module's documentation.
            sync::full_fence_beside();
        }
        with(|world| {
            if access.writes() {
                world.thread(self.me).spin.count = 0;
            }
            world.log(self.me, self.pc, What::Atomic { verb, address: self.address, change, order });
            world.touch(self.me, self.pc, self.address, T::SIZE, access, self.since);
            if let Some(placed) = world.atoms.placed.get_mut(&self.address) {
                placed.rewritten = false;
            }
            let mut contended = world.atoms.contended;
            if let (Some(held), Some(placed)) = (stored, world.atoms.placed.get_mut(&self.address)) {
                placed.last = held.wide();
                placed.several |= placed.writer.is_some_and(|writer| writer != self.me);
                contended |= placed.several;
                placed.writer = Some(self.me);
                let value = T::narrow(held.wide().wrapping_add(placed.base));
                plain_write(self.address, value);
            }
            world.atoms.contended = contended;
        });
    }
}

/// A thread that reads the same value from the same atomic at the same place for the third time, and does nothing to any
/// object in between, waits for somebody to change it: let them.
fn spins<T: Width>(operation: &Operation<T>, held: T, old: bool) {
    let (address, pc) = (operation.address, operation.pc);
    let value = operation.decode(held).wide();
    let count = with(|world| {
        let spin = &mut world.thread(operation.me).spin;
        let same = (spin.address, spin.value, spin.pc) == (address, value, pc);
        *spin = crate::model::world::Spin { address, value, pc, count: if same { spin.count + 1 } else { 0 } };
        let count = spin.count;
        if count > 2 && old && !world.atoms.follow.contains(&address) {
            world.atoms.open_order.insert(address);
            leave(world, Leave::Restart);
        }
        count
    });
    if count > 1 {
        let_others_run();
    }
}

pub(super) fn load_as<T: Width>(address: usize, number: c_int, pc: Pc, verb: &'static str) -> T {
    let order = order(number);
    let Some(operation) = Operation::<T>::begin(address, order, pc) else { return plain_read(address) };
    let held = T::load(&operation.loom, if order == Ordering::SeqCst { Ordering::Acquire } else { order });
    let (value, old) = (operation.decode(held), operation.is_old(held));
    operation.found(held);
    operation.end(Access::AtomicRead, None, verb, Change::Found(value.wide()), order);
    spins(&operation, held, old);
    value
}

pub(crate) extern "C-unwind" fn load<T: Width>(address: usize, number: c_int, pc: Pc) -> T {
    load_as(address, number, pc, "loads")
}

pub(super) fn store_as<T: Width>(address: usize, value: T, number: c_int, pc: Pc, verb: &'static str) {
    let order = order(number);
    let Some(operation) = Operation::<T>::begin(address, order, pc) else { return plain_write(address, value) };
    let held = operation.encode(value);
    let order_of_store = if order == Ordering::SeqCst { Ordering::Release } else { order };
    if with(|world| world.atoms.follow.contains(&address)) {
        T::swap(&operation.loom, held, order_of_store);
    } else {
        T::store(&operation.loom, held, order_of_store);
        with(|world| {
            let unaware = |placed: &&Placed| placed.exchanged && placed.aware >> operation.me & 1 == 0;
            if world.atoms.placed.get(&address).filter(unaware).is_some() {
                world.atoms.open_order.insert(address);
            }
        });
    }
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
    let spin = with(|world| world.thread(operation.me).spin);
    let is_old = operation.is_old(held);
    operation.exchanged();
    operation.end(Access::AtomicWrite, Some(next), verb, Change::From(old.wide(), new(old).wide()), order);
    if next == held {
        // Nothing has changed: it may be waiting for that.
        with(|world| world.thread(operation.me).spin = spin);
        spins(&operation, held, is_old);
    }
    old
}

/// An operation of loom's on the distance, its operand, and whether it is right only where the distance is the value.
type Direct<T> = (fn(&<T as Width>::Loom, T, Ordering) -> T, T, bool);

pub(super) extern "C-unwind" fn exchange<T: Width>(address: usize, value: T, number: c_int, pc: Pc) -> T {
    rmw(address, number, pc, "exchanges", |_| value, None)
}

pub(super) extern "C-unwind" fn fetch_add<T: Width>(address: usize, value: T, number: c_int, pc: Pc) -> T {
    let new = |old: T| T::narrow(old.wide().wrapping_add(value.wide()));
    rmw(address, number, pc, "adds to", new, Some((T::add, value, false)))
}

pub(super) extern "C-unwind" fn fetch_sub<T: Width>(address: usize, value: T, number: c_int, pc: Pc) -> T {
    let new = |old: T| T::narrow(old.wide().wrapping_sub(value.wide()));
    let negative = T::narrow(0_u64.wrapping_sub(value.wide()));
    rmw(address, number, pc, "subtracts from", new, Some((T::add, negative, false)))
}

pub(super) extern "C-unwind" fn fetch_and<T: Width>(address: usize, value: T, number: c_int, pc: Pc) -> T {
    rmw(address, number, pc, "ands", |old| T::narrow(old.wide() & value.wide()), Some((T::and, value, true)))
}

pub(super) extern "C-unwind" fn fetch_or<T: Width>(address: usize, value: T, number: c_int, pc: Pc) -> T {
    rmw(address, number, pc, "ors", |old| T::narrow(old.wide() | value.wide()), Some((T::or, value, true)))
}

pub(super) extern "C-unwind" fn fetch_xor<T: Width>(address: usize, value: T, number: c_int, pc: Pc) -> T {
    rmw(address, number, pc, "xors", |old| T::narrow(old.wide() ^ value.wide()), Some((T::xor, value, true)))
}

pub(super) extern "C-unwind" fn fetch_nand<T: Width>(address: usize, value: T, number: c_int, pc: Pc) -> T {
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
    let may_fail = |world: &mut World| world.spurious_left > 0;
    // Another thread may have used the last one up while this one chose.
    if weak && with(may_fail) && crate::model::choice::choose(operation.me) && with(may_fail) {
        with(|world| world.spurious_left -= 1);
        // It finds what a load finds, and orders as that does; only where that is `expected` is there no reason.
        let held = T::load(&operation.loom, if failure == Ordering::SeqCst { Ordering::Acquire } else { failure });
        let found = operation.decode(held);
        let change = if found == expected { Change::Nothing } else { Change::Unlike(found.wide(), expected.wide()) };
        operation.end(Access::AtomicRead, None, "compares", change, failure);
        return (found, false);
    }
    let (old, stored) = (operation.encode(expected), operation.encode(new));
    match T::exchange(&operation.loom, old, stored, success, failure) {
        Ok(_) => {
            let change = Change::From(expected.wide(), new.wide());
            operation.exchanged();
            operation.end(Access::AtomicWrite, Some(stored), "exchanges", change, success);
            (expected, true)
        }
        Err(held) => {
            let (found, is_old) = (operation.decode(held), operation.is_old(held));
            operation.found(held);
            let change = Change::Unlike(found.wide(), expected.wide());
            operation.end(Access::AtomicRead, None, "compares", change, failure);
            spins(&operation, held, is_old);
            (found, false)
        }
    }
}

/// The form that answers what was there.
pub(super) extern "C-unwind" fn exchange_val<T: Width>(
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
    accessed(expected, T::SIZE, Access::Read, pc);
    let (found, done) = compare(address, plain_read::<T>(expected), new, orders.0, orders.1, pc, weak);
    if !done {
        accessed(expected, T::SIZE, Access::Write, pc);
        plain_write(expected, found);
    }
    c_int::from(done)
}

pub(super) extern "C-unwind" fn exchange_strong<T: Width>(
    address: usize,
    expected: usize,
    new: T,
    success: c_int,
    failure: c_int,
    pc: Pc,
) -> c_int {
    exchange_in(address, expected, new, (success, failure), pc, false)
}

pub(super) extern "C-unwind" fn exchange_weak<T: Width>(
    address: usize,
    expected: usize,
    new: T,
    success: c_int,
    failure: c_int,
    pc: Pc,
) -> c_int {
    exchange_in(address, expected, new, (success, failure), pc, true)
}

pub(super) extern "C-unwind" fn thread_fence(number: c_int, pc: Pc) {
    let order = order(number);
    let Some(me) = enter() else { return };
    if order != Ordering::Relaxed {
        // The order that C asks for.
        sync::fence(order);
    }
    with(|world| world.log(me, pc, What::Fence(order)));
}

//! Atomic operations: those of loom, on atomics that addresses take from a pool when they are first used as one.
//!
//! A loom atomic belongs to the thread that created it, and whoever has not synchronised with that thread may
//! not touch it; a C atomic may be met first by any thread. So the interleaving begins with a pool of loom atomics that
//! hold 0 and belong to everybody's past, and an address takes one when it is first used as an atomic. What the loom
//! atomic holds is the distance to what was in memory at that time. An interleaving that runs out of them makes more, and orders
//! who uses them after who made them; so it counts for nothing, and the search begins again with as many.
//!
//! **Stores after exchanges.** Loom leaves open which of two comes last, a store or an exchange, if neither knows of the other. So who
//! exchanged may read what that left for ever, as if what was stored in the middle of the interleaving had come before: a lock that
//! spins would never be free. A search that meets a thread that does, or that finds something after such a store, begins again,
//! with stores to that atomic that follow (`Atoms::follow`).
//!
//! **`SeqCst`.** Loom takes a `SeqCst` access for `AcqRel`. Here it is put between two `SeqCst` fences, which loom orders. The first
//! is a branch of the search: two such accesses come in either order, to whatever objects they are.

use super::placed::{Placed, Unplaced};
use super::width::Width;
use crate::event::{Change, What};
use crate::finding::{Bound, FindingKind, count};
use crate::loom_types::{self as sync, Ordering};
use crate::memory::accessed;
use crate::race::{Access, Epoch};
use crate::world::{Leave, Me, Pc, World, enter, event, leave, let_others_run, with};
use std::ffi::c_int;
use std::rc::Rc;

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
    since: Epoch,
    loom: Rc<T::Loom>,
    seq_cst: bool,
}

impl<T: Width> Operation<T> {
    /// `None` where there is no interleaving.
    pub(super) fn begin(address: usize, order: Ordering, pc: Pc) -> Option<Self> {
        let begin = |world: &mut World, me| {
            // Before the operation: what it releases has to include it.
            let since = world.access_moment(me);
            world.check_memory(me, pc, address, T::SIZE, "atomic access");
            if !address.is_multiple_of(T::SIZE) {
                let name = world.name_address(address);
                world.convict(
                    me,
                    pc,
                    FindingKind::Misuse,
                    format!("atomic access of {} to {name}, which is not aligned", count(T::SIZE as u64, "byte")),
                );
            }
            match world.atoms.place::<T>(address) {
                Ok(loom) => Some((me, loom, since, world.objects.lacks())),
                Err(Unplaced::NoneLeft) => None,
                Err(Unplaced::OtherSizes) => {
                    let what = format!("atomic accesses of different sizes to {}", world.name_address(address));
                    leave(world, Leave::Limited(Bound::Unmodelled(what)))
                }
            }
        };
        let (me, loom, since, lacks) = event(begin)?.unwrap_or_else(|| {
            let one_more = T::fresh();
            with(|world| {
                world.objects.needs.atomics[T::POOL] += 1;
                world.atoms.add::<T>(one_more);
                let me = world.current();
                begin(world, me).expect("there is one more")
            })
        });
        if lacks {
            // SeqCst: with those of who made the atomic in this interleaving, in whose past it may not be otherwise.
            sync::full_fence_beside();
        }
        let seq_cst = order == Ordering::SeqCst;
        if seq_cst {
            // SeqCst: see the module's documentation.
            sync::fence(Ordering::SeqCst);
        }
        Some(Self { me, pc, address, since, loom, seq_cst })
    }

    fn placed<'a>(&self, world: &'a mut World) -> Option<&'a mut Placed> {
        world.atoms.placed.get_mut(self.address)
    }

    /// What loom holds for a value.
    fn encode(&self, world: &mut World, value: T) -> T {
        T::narrow(value.wide().wrapping_sub(self.placed(world).map_or(0, |placed| placed.base)))
    }

    /// The value for what loom holds.
    fn decode(&self, world: &mut World, held: T) -> T {
        T::narrow(held.wide().wrapping_add(self.placed(world).map_or(0, |placed| placed.base)))
    }

    /// Whether something else has been stored since, to an atomic that is exchanged.
    fn is_old(&self, world: &mut World, held: T) -> bool {
        self.placed(world).is_some_and(|placed| placed.exchanged && placed.last != held.wide())
    }

    /// If this is what was there last, the thread knows of it.
    fn found(&self, world: &mut World, held: T) {
        if let Some(placed) = self.placed(world).filter(|placed| placed.last == held.wide()) {
            placed.aware |= 1 << self.me;
        }
    }

    fn exchanged(&self, world: &mut World) {
        if let Some(placed) = self.placed(world) {
            placed.exchanged = true;
            placed.aware = 1 << self.me;
        }
    }

    /// After loom's operation, which may have let other threads run; answers what `f` makes of it.
    fn then<R>(&self, f: impl FnOnce(&mut World) -> R) -> R {
        if self.seq_cst {
            // SeqCst: see the module's documentation.
            sync::full_fence_beside();
        }
        with(f)
    }

    /// Is the memory still there, and who else uses it?
    fn end(
        &self,
        world: &mut World,
        access: Access,
        stored: Option<T>,
        verb: &'static str,
        change: Change,
        order: Ordering,
    ) {
        if access.writes() {
            world.thread(self.me).spins.clear();
        }
        world.log(self.me, self.pc, What::Atomic { verb, address: self.address, change, order });
        world.touch(self.me, self.pc, self.address, T::SIZE, access, self.since);
        if let Some(placed) = self.placed(world) {
            placed.rewritten = false;
        }
        if let Some(value) = stored.and_then(|held| world.atoms.stored(self.me, self.address, held.wide())) {
            plain_write(self.address, T::narrow(value));
        }
    }

    /// Whether others have to run, since the thread waits for somebody to change what it reads: see [`crate::spins`].
    fn spins(&self, world: &mut World, held: T, old: bool) -> bool {
        let value = self.decode(world, held).wide();
        let count = world.has_read(self.me, self.pc, self.address, value);
        if count > 2 && old && !world.atoms.follow.contains(&self.address) {
            world.atoms.open_order.insert(self.address);
            leave(world, Leave::Restart);
        }
        count > 1
    }
}

fn let_others_run_if(spins: bool) {
    if spins {
        let_others_run();
    }
}

/// The order of a load that is put between fences where it is `SeqCst`.
fn order_of_load(order: Ordering) -> Ordering {
    if order == Ordering::SeqCst { Ordering::Acquire } else { order }
}

pub(super) fn load_as<T: Width>(address: usize, number: c_int, pc: Pc, verb: &'static str) -> T {
    let order = order(number);
    let Some(operation) = Operation::<T>::begin(address, order, pc) else { return plain_read(address) };
    let held = T::load(&operation.loom, order_of_load(order));
    let (value, spins) = operation.then(|world| {
        let (value, old) = (operation.decode(world, held), operation.is_old(world, held));
        operation.found(world, held);
        operation.end(world, Access::AtomicRead, None, verb, Change::Found(value.wide()), order);
        (value, operation.spins(world, held, old))
    });
    let_others_run_if(spins);
    value
}

pub(crate) extern "C-unwind" fn load<T: Width>(address: usize, number: c_int, pc: Pc) -> T {
    load_as(address, number, pc, "loads")
}

pub(super) fn store_as<T: Width>(address: usize, value: T, number: c_int, pc: Pc, verb: &'static str) {
    let order = order(number);
    let Some(operation) = Operation::<T>::begin(address, order, pc) else { return plain_write(address, value) };
    let (held, follows) = with(|world| (operation.encode(world, value), world.atoms.follow.contains(&address)));
    let order_of_store = if order == Ordering::SeqCst { Ordering::Release } else { order };
    if follows {
        T::swap(&operation.loom, held, order_of_store);
    } else {
        T::store(&operation.loom, held, order_of_store);
    }
    operation.then(|world| {
        let unaware = |placed: &mut Placed| placed.exchanged && placed.aware >> operation.me & 1 == 0;
        if !follows && operation.placed(world).is_some_and(unaware) {
            world.atoms.open_order.insert(address);
        }
        operation.end(world, Access::AtomicWrite, Some(held), verb, Change::Set(value.wide()), order);
    });
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
    let base = with(|world| operation.decode(world, T::narrow(0))).wide();
    let held = match direct {
        Some((apply, operand, needs_zero)) if base == 0 || !needs_zero => apply(&operation.loom, operand, order),
        // No operation of loom's does this to a distance: one that finds out, and one that succeeds if that is still so.
        _ => {
            let mut held = T::add(&operation.loom, T::narrow(0), Ordering::Relaxed);
            loop {
                let next = with(|world| {
                    let old = operation.decode(world, held);
                    operation.encode(world, new(old))
                });
                match T::exchange(&operation.loom, held, next, order, Ordering::Relaxed) {
                    Ok(held) => break held,
                    Err(other) => held = other,
                }
            }
        }
    };
    let (old, spins) = operation.then(|world| {
        let old = operation.decode(world, held);
        let next = operation.encode(world, new(old));
        let spins = world.thread(operation.me).spins.take();
        let is_old = operation.is_old(world, held);
        operation.exchanged(world);
        let change = Change::From(old.wide(), new(old).wide());
        operation.end(world, Access::AtomicWrite, Some(next), verb, change, order);
        if next != held {
            return (old, false);
        }
        // Nothing has changed: it may be waiting for that.
        world.thread(operation.me).spins = spins;
        (old, operation.spins(world, held, is_old))
    });
    let_others_run_if(spins);
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
    if weak && with(may_fail) && crate::choice::choose(operation.me) && with(may_fail) {
        with(|world| world.spurious_left -= 1);
        // It finds what a load finds, and orders as that does; only where that is `expected` is there no reason.
        let held = T::load(&operation.loom, order_of_load(failure));
        let found = operation.then(|world| {
            let found = operation.decode(world, held);
            let change =
                if found == expected { Change::Nothing } else { Change::Unlike(found.wide(), expected.wide()) };
            operation.end(world, Access::AtomicRead, None, "compares", change, failure);
            found
        });
        return (found, false);
    }
    let (old, stored) = with(|world| (operation.encode(world, expected), operation.encode(world, new)));
    let exchanged = T::exchange(&operation.loom, old, stored, success, failure);
    let (found, spins) = operation.then(|world| match exchanged {
        Ok(_) => {
            let change = Change::From(expected.wide(), new.wide());
            operation.exchanged(world);
            operation.end(world, Access::AtomicWrite, Some(stored), "exchanges", change, success);
            (expected, false)
        }
        Err(held) => {
            let (found, is_old) = (operation.decode(world, held), operation.is_old(world, held));
            operation.found(world, held);
            let change = Change::Unlike(found.wide(), expected.wide());
            operation.end(world, Access::AtomicRead, None, "compares", change, failure);
            (found, operation.spins(world, held, is_old))
        }
    });
    let_others_run_if(spins);
    (found, exchanged.is_ok())
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

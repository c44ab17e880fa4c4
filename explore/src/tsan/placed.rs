//! The atomics of an interleaving: which addresses have taken which of loom's, and what is known of each.
//!
//! What is done to them is in `atomic`.

use super::atomic::plain_read;
use super::width::{Atom, Pools, Width};
use crate::Volatile;
use crate::by_address::ByAddress;
use crate::world::{Me, Pc};
use std::collections::{BTreeMap, BTreeSet};
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
    pub(super) exchanged: bool,
    /// Who knows of the last exchange: it made it, or has found what was there last since. A bit each.
    pub(super) aware: u8,
}

impl Placed {
    fn new(atom: Atom, size: usize, base: u64) -> Self {
        Self { atom, size, base, last: 0, writer: None, several: false, rewritten: false, exchanged: false, aware: 0 }
    }
}

/// The atomics of an interleaving, by address.
pub(crate) struct Atoms {
    pools: Pools,
    pub(super) placed: ByAddress<Placed>,
    /// How many atomics there have been before at an address.
    lives: BTreeMap<usize, u64>,
    /// Where stores follow what was there.
    pub(crate) follow: Rc<BTreeSet<usize>>,
    /// Where a store was left to come before an exchange that had come before it, which its thread did not know of: in this
    /// interleaving something may be found that cannot be.
    pub(crate) open_order: BTreeSet<usize>,
    /// Some have been stored to by several threads.
    contended: bool,
    /// Places that accessed volatile memory.
    pub(crate) volatile: BTreeSet<Pc>,
    /// Volatile loads acquire, and volatile stores release.
    pub(crate) volatile_orders: bool,
}

impl Atoms {
    pub(crate) fn new(volatile: Volatile) -> Self {
        Self {
            pools: Pools::default(),
            placed: ByAddress::default(),
            lives: BTreeMap::new(),
            follow: Rc::default(),
            open_order: BTreeSet::new(),
            contended: false,
            volatile: BTreeSet::new(),
            volatile_orders: volatile == Volatile::Ordered,
        }
    }

    /// For the next interleaving, with what addresses will take in it, and where stores follow.
    pub(crate) fn clear(&mut self, pools: Pools, follow: &Rc<BTreeSet<usize>>) {
        self.pools = pools;
        self.placed.clear();
        self.lives.clear();
        self.follow = Rc::clone(follow);
        self.open_order.clear();
        self.contended = false;
    }

    /// One more that an address can take.
    pub(super) fn add<T: Width>(&mut self, loom: Rc<T::Loom>) {
        T::pool(&mut self.pools).push(loom);
    }

    /// The memory is no atomic any more.
    pub(crate) fn forget(&mut self, address: usize, size: usize) {
        self.placed.remove_within(address..address + size);
    }

    /// Plain stores that nobody announced have gone there if memory holds something else than it should: compilers do not
    /// announce those to variables whose address stays in a function.
    pub(super) fn notice<T: Width>(&mut self, address: usize) {
        if let Some(placed) = self.placed.get_mut(address).filter(|placed| placed.size == T::SIZE) {
            let held = plain_read::<T>(address);
            if held != T::narrow(placed.base.wrapping_add(placed.last)) {
                placed.base = held.wide().wrapping_sub(placed.last);
                placed.rewritten = true;
            }
        }
    }

    /// Atomics in this memory of which it is open which store was the last, each with its size.
    pub(crate) fn open(&self, address: usize, size: usize) -> Vec<(usize, usize)> {
        if !self.contended {
            return Vec::new();
        }
        let several = self.overlapping(address, size).filter(|(_, placed)| placed.several);
        several.map(|(start, placed)| (start, placed.size)).collect()
    }

    /// Those in this memory, by where they begin.
    pub(super) fn overlapping(&self, address: usize, size: usize) -> impl Iterator<Item = (usize, &Placed)> {
        let near = self.placed.within(address.saturating_sub(8)..address + size);
        near.filter(move |(start, placed)| address < start + placed.size)
    }

    /// The loom atomic for this address, which takes one if it has none. Takes those out first that have become something else
    /// since: those are new atomics.
    pub(super) fn place<T: Width>(&mut self, address: usize) -> Result<Rc<T::Loom>, Unplaced> {
        self.notice::<T>(address);
        let other = |at: usize, placed: &Placed| at != address || placed.size != T::SIZE;
        let gone = |at: usize, placed: &Placed| placed.rewritten && (placed.several || other(at, placed));
        let (mut count, mut last) = (0, None);
        for (at, placed) in self.overlapping(address, T::SIZE) {
            (count, last) = (count + 1, Some(gone(at, placed)));
        }
        // Mostly there is one, and it is this.
        if count > 1 || last == Some(true) {
            let all: Vec<_> = self.overlapping(address, T::SIZE).map(|(at, placed)| (at, gone(at, placed))).collect();
            for &(at, _) in all.iter().filter(|(_, gone)| *gone) {
                self.placed.remove(at);
                *self.lives.entry(at).or_default() += 1;
                count -= 1;
            }
        }
        if count == 0 {
            let loom = T::pool(&mut self.pools).pop().ok_or(Unplaced::NoneLeft)?;
            T::name(&loom, address, self.lives.get(&address).copied().unwrap_or_default());
            let base = plain_read::<T>(address).wide();
            self.placed.insert(address, Placed::new(T::atom(loom), T::SIZE, base));
        }
        let loom = self.placed.get(address).and_then(|placed| T::loom(&placed.atom));
        loom.filter(|_| count <= 1).ok_or(Unplaced::OtherSizes)
    }

    /// A thread stored this, as the last store in order of execution.
    pub(super) fn stored(&mut self, me: Me, address: usize, held: u64) -> Option<u64> {
        let placed = self.placed.get_mut(address)?;
        placed.last = held;
        placed.several |= placed.writer.is_some_and(|writer| writer != me);
        placed.writer = Some(me);
        self.contended |= placed.several;
        Some(held.wrapping_add(placed.base))
    }
}

/// Why an address has no atomic of loom's.
pub(super) enum Unplaced {
    /// The pool was empty.
    NoneLeft,
    /// Atomics of other sizes are in the way.
    OtherSizes,
}

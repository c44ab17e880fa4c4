//! The widths that loom has atomics of: each one's operations, and the pools that an interleaving begins with.

use crate::loom_types::{self as sync, Ordering};
use crate::trace;
use std::rc::Rc;

/// How many loom atomics of each width an interleaving begins with.
pub(crate) type Sizes = [usize; 4];

/// Loom atomics that no address has taken yet.
#[derive(Default)]
pub(crate) struct Pools {
    bytes: Vec<Rc<sync::AtomicU8>>,
    shorts: Vec<Rc<sync::AtomicU16>>,
    words: Vec<Rc<sync::AtomicU32>>,
    longs: Vec<Rc<sync::AtomicU64>>,
}

impl Pools {
    pub(crate) fn new(sizes: &Sizes) -> Self {
        fn some<T: Width>(sizes: &Sizes) -> Vec<Rc<T::Loom>> {
            (0..sizes[T::POOL]).map(|_| T::fresh()).collect()
        }
        Self {
            bytes: some::<u8>(sizes),
            shorts: some::<u16>(sizes),
            words: some::<u32>(sizes),
            longs: some::<u64>(sizes),
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

/// A width of atomics.
pub(crate) trait Width: Copy + Eq + 'static {
    type Loom;
    const SIZE: usize;
    const POOL: usize;
    fn fresh() -> Rc<Self::Loom>;
    fn pool(pools: &mut Pools) -> &mut Vec<Rc<Self::Loom>>;
    fn atom(loom: Rc<Self::Loom>) -> Atom;
    fn loom(atom: &Atom) -> Option<Rc<Self::Loom>>;
    /// Names it after an address, where there have been as many others before.
    fn name(loom: &Self::Loom, address: usize, before: u64);
    fn wide(self) -> u64;
    /// The low bits.
    fn narrow(value: u64) -> Self;
    fn load(loom: &Self::Loom, order: Ordering) -> Self;
    fn store(loom: &Self::Loom, value: Self, order: Ordering);
    /// Stores, and follows whatever was stored before.
    fn swap(loom: &Self::Loom, value: Self, order: Ordering);
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
            fn fresh() -> Rc<$loom> {
                Rc::new(<$loom>::new(0))
            }
            fn pool(pools: &mut Pools) -> &mut Vec<Rc<$loom>> {
                &mut pools.$pool
            }
            fn atom(loom: Rc<$loom>) -> Atom {
                Atom::$atom(loom)
            }
            fn loom(atom: &Atom) -> Option<Rc<$loom>> {
                if let Atom::$atom(loom) = atom { Some(loom.clone()) } else { None }
            }
            fn name(loom: &$loom, address: usize, before: u64) {
                // Addresses have 47 bits.
                loom.rename(trace::named(address as u64 | before << 48, trace::object));
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
            fn swap(loom: &$loom, value: Self, order: Ordering) {
                loom.swap(value, order);
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

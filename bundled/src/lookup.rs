//! A map that many look into and few add to.
//!
//! A look-up takes a lock, but that lock is not an operation of the model. A count of additions orders a look-up after
//! the additions that it finds, and two look-ups are not ordered at all. With a modelled lock, each look-up would
//! double the number of interleavings, and none of them would find anything else.

use super::sync::{AtomicUsize, Ordering, Outside, outside};
use std::collections::BTreeMap;

/// What is put here stays, or has something else put in its place.
#[derive(Debug)]
pub(crate) struct Lookup<K, V> {
    entries: Outside<Entries<K, V>>,
    /// How often something has been put here.
    puts: AtomicUsize,
}

#[derive(Debug)]
struct Entries<K, V> {
    map: BTreeMap<K, V>,
    puts: usize,
}

impl<K: Ord + Copy, V: Clone> Lookup<K, V> {
    pub(crate) fn new() -> Self {
        Lookup { entries: Outside::new(Entries { map: BTreeMap::new(), puts: 0 }), puts: AtomicUsize::new(0) }
    }

    #[track_caller]
    pub(crate) fn put(&self, key: K, value: V) {
        {
            let mut entries = outside(&self.entries);
            entries.map.insert(key, value);
            entries.puts += 1;
        }
        // Release: pairs with the Acquire of `see`: a look-up that finds the entry sees what was done to make it.
        // Acquire: one addition after the other.
        self.puts.fetch_add(1, Ordering::AcqRel);
    }

    #[track_caller]
    pub(crate) fn get(&self, key: K) -> Option<V> {
        self.see();
        outside(&self.entries).map.get(&key).cloned()
    }

    #[track_caller]
    pub(crate) fn keys(&self) -> Vec<K> {
        self.see();
        outside(&self.entries).map.keys().copied().collect()
    }

    /// Makes sure that what is found has been seen to be put here.
    #[track_caller]
    fn see(&self) {
        // Acquire: pairs with the Release of `put`.
        let seen = self.puts.load(Ordering::Acquire);
        if seen != outside(&self.entries).puts {
            // An older count, which a load may answer; what changes it finds the newest. Pairs as the load does.
            self.puts.fetch_add(0, Ordering::Acquire);
        }
    }
}

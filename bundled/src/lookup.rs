//! A map that many look into and few add to.
//!
//! Looking takes a lock, but in the model that lock is no step of the search: who looks is ordered after who added by a
//! count of additions, and two who look are not ordered at all. A lock that is one would double the orders in which an op
//! can happen, for each time that it looks something up, and no two of them would differ in what they find.

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
        // Release: pairs with the Acquire of `see`: who finds it sees what was done to make it. Acquire: one addition after
        // the other.
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

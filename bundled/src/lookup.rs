//! A map that is read often and rarely added to, and whose reads are cheap for the model engine.
//!
//! A read takes a lock, but that lock is not an operation of the model. Instead, a counter of insertions orders each
//! read after the insertions whose entries it finds. Two reads are not ordered at all. With a modelled lock, each read
//! would double the number of interleavings, and none of them would find anything else.

use super::sync::{AtomicUsize, Ordering, Outside, outside};
use std::collections::BTreeMap;

/// A map without removal: an entry stays until another value is inserted in its place.
#[derive(Debug)]
pub(crate) struct Lookup<K, V> {
    entries: Outside<Entries<K, V>>,
    /// The number of insertions.
    insertions: AtomicUsize,
}

#[derive(Debug)]
struct Entries<K, V> {
    map: BTreeMap<K, V>,
    /// The number of insertions, under the lock.
    insertions: usize,
}

impl<K: Ord + Copy, V: Clone> Lookup<K, V> {
    pub(crate) fn new() -> Self {
        let entries = Outside::new(Entries { map: BTreeMap::new(), insertions: 0 });
        Lookup { entries, insertions: AtomicUsize::new(0) }
    }

    #[track_caller]
    pub(crate) fn insert(&self, key: K, value: V) {
        {
            let mut entries = outside(&self.entries);
            entries.map.insert(key, value);
            entries.insertions += 1;
        }
        // Release: pairs with the Acquire operations of `order_after_insertions`. A read that finds the entry sees what
        // this thread did before. Acquire: pairs with the Release of earlier insertions, and orders insertions.
        self.insertions.fetch_add(1, Ordering::AcqRel);
    }

    #[track_caller]
    pub(crate) fn get(&self, key: K) -> Option<V> {
        self.order_after_insertions();
        outside(&self.entries).map.get(&key).cloned()
    }

    #[track_caller]
    pub(crate) fn keys(&self) -> Vec<K> {
        self.order_after_insertions();
        outside(&self.entries).map.keys().copied().collect()
    }

    /// Orders what this thread does next after the insertions of the entries that it will find.
    #[track_caller]
    fn order_after_insertions(&self) {
        // Acquire: pairs with the Release in `insert`.
        let counted = self.insertions.load(Ordering::Acquire);
        if counted != outside(&self.entries).insertions {
            // The load returned an older count. A read-modify-write always reads the newest one.
            // Acquire: pairs with the Release in `insert`.
            self.insertions.fetch_add(0, Ordering::Acquire);
        }
    }
}

//! What C's objects are to the model, by their addresses. There are few at a time, and a search asks at every event: so they lie in
//! a row, in order, in memory that the next interleaving uses again.

use std::ops::Range;

pub(crate) struct ByAddress<V>(Vec<(usize, V)>);

impl<V> Default for ByAddress<V> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<V> ByAddress<V> {
    fn find(&self, address: usize) -> Result<usize, usize> {
        self.0.binary_search_by_key(&address, |(at, _)| *at)
    }

    pub(crate) fn get(&self, address: usize) -> Option<&V> {
        self.find(address).ok().map(|index| &self.0[index].1)
    }

    pub(crate) fn get_mut(&mut self, address: usize) -> Option<&mut V> {
        self.find(address).ok().map(|index| &mut self.0[index].1)
    }

    pub(crate) fn get_or_insert_with(&mut self, address: usize, make: impl FnOnce() -> V) -> &mut V {
        let index = self.find(address).unwrap_or_else(|index| {
            self.0.insert(index, (address, make()));
            index
        });
        &mut self.0[index].1
    }

    /// In the place of what was there.
    pub(crate) fn insert(&mut self, address: usize, value: V) {
        match self.find(address) {
            Ok(index) => self.0[index].1 = value,
            Err(index) => self.0.insert(index, (address, value)),
        }
    }

    pub(crate) fn remove(&mut self, address: usize) -> Option<V> {
        self.find(address).ok().map(|index| self.0.remove(index).1)
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (usize, &V)> {
        self.0.iter().map(|(at, value)| (*at, value))
    }

    fn indices(&self, addresses: &Range<usize>) -> Range<usize> {
        let low = self.0.partition_point(|(at, _)| *at < addresses.start);
        let count = self.0[low..].partition_point(|(at, _)| *at < addresses.end);
        low..low + count
    }

    /// Those that begin in a range of addresses.
    pub(crate) fn within(&self, addresses: Range<usize>) -> impl Iterator<Item = (usize, &V)> {
        self.0[self.indices(&addresses)].iter().map(|(at, value)| (*at, value))
    }

    pub(crate) fn remove_within(&mut self, addresses: Range<usize>) {
        let gone = self.indices(&addresses);
        self.0.drain(gone);
    }

    /// Those of them that are of a kind.
    pub(crate) fn remove_within_if(&mut self, addresses: Range<usize>, is: impl Fn(&V) -> bool) {
        // Mostly there is none.
        if !self.indices(&addresses).is_empty() {
            self.0.retain(|(at, value)| !addresses.contains(at) || !is(value));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn it_does_what_an_ordered_map_does() {
        let (mut mine, mut theirs) = (ByAddress::default(), BTreeMap::new());
        let mut random = 1_usize;
        for step in 0..20_000_usize {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let (deed, address) = (random >> 33 & 7, random >> 40 & 63);
            match deed {
                0..=2 => {
                    mine.insert(address, step);
                    theirs.insert(address, step);
                }
                3 => assert_eq!(mine.remove(address), theirs.remove(&address)),
                4 => {
                    let in_theirs = *theirs.entry(address).or_insert(step);
                    assert_eq!(*mine.get_or_insert_with(address, || step), in_theirs);
                }
                5 if address > 59 => {
                    mine.remove_within_if(address - 8..address, |value| value % 2 == 0);
                    theirs.retain(|at, value| !(address - 8..address).contains(at) || *value % 2 == 1);
                }
                5 if address < 4 => {
                    mine.remove_within(address..address + 8);
                    theirs.retain(|at, _| !(address..address + 8).contains(at));
                }
                _ => {
                    assert_eq!(mine.get(address), theirs.get(&address));
                    assert_eq!(mine.get_mut(address), theirs.get_mut(&address));
                    let some: Vec<_> = theirs.range(address..address + 8).map(|(&at, value)| (at, value)).collect();
                    assert_eq!(mine.within(address..address + 8).collect::<Vec<_>>(), some);
                }
            }
            assert!(mine.iter().eq(theirs.iter().map(|(&at, value)| (at, value))), "after {step} steps");
        }
        mine.clear();
        assert_eq!(mine.iter().count(), 0);
    }
}

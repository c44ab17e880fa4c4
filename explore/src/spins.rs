//! Loops that wait: what a thread has read of atomics since it last did something.
//!
//! Loom goes on with one thread for as long as that can, so a loop that reads atomics until another thread changes one would be
//! all that an interleaving consists of. A thread that comes by a reading for the third time, finds the same, and has done nothing to
//! any object since, waits for somebody else. Loops may read several atomics, and one at several places; and a function that reads
//! one (a setting, say) may be called from many places that are no loop. So a reading is known by its place and by where
//! each function around it was called from.

use super::world::{Me, Pc, World};
use std::hash::{DefaultHasher, Hash, Hasher};

/// Readings that are remembered: a loop that consists of more is not seen, and an interleaving of it has too many branches.
const MOST: usize = 32;

/// An atomic that was read at a place.
#[derive(Clone, Copy)]
struct Reading {
    address: usize,
    pc: Pc,
    /// Where each function around it was called from.
    calls: u64,
    value: u64,
    /// Blocks that the thread has allocated and not freed. A loop that keeps blocks comes to somewhere else.
    kept: i64,
    /// How often it has been repeated with the same result.
    count: u32,
}

/// What a thread has read since it last did something to an object.
#[derive(Default)]
pub(crate) struct Spins {
    readings: Vec<Reading>,
    /// Blocks that the thread has allocated, less those that it has freed.
    pub(crate) kept: i64,
}

impl Spins {
    /// The thread does something to an object.
    pub(crate) fn clear(&mut self) {
        self.readings.clear();
    }

    /// The same without: what it did has changed nothing.
    pub(crate) fn take(&mut self) -> Self {
        Self { readings: std::mem::take(&mut self.readings), kept: self.kept }
    }

    /// How often in a row this has been read, with this value, before now.
    fn read(&mut self, address: usize, pc: Pc, calls: &[Pc], value: u64) -> u32 {
        let mut hasher = DefaultHasher::new();
        calls.hash(&mut hasher);
        let (calls, kept) = (hasher.finish(), self.kept);
        let here = |reading: &&mut Reading| (reading.address, reading.pc, reading.calls) == (address, pc, calls);
        match self.readings.iter_mut().find(here) {
            Some(reading) if (reading.value, reading.kept) == (value, kept) => {
                reading.count += 1;
                reading.count
            }
            found => {
                let fresh = Reading { address, pc, calls, value, kept, count: 0 };
                match found {
                    Some(reading) => *reading = fresh,
                    None => {
                        if self.readings.len() == MOST {
                            self.readings.remove(0);
                        }
                        self.readings.push(fresh);
                    }
                }
                0
            }
        }
    }

    /// What it has read most often, if more than `times`.
    pub(crate) fn on(&self, times: u32) -> Option<usize> {
        self.readings.iter().filter(|reading| reading.count > times).max_by_key(|it| it.count).map(|it| it.address)
    }
}

impl World {
    /// The thread has read an atomic, and changed nothing: how often it has done so before, with the same result.
    pub(crate) fn has_read(&mut self, me: Me, pc: Pc, address: usize, value: u64) -> u32 {
        let thread = self.thread(me);
        thread.spins.read(address, pc, &thread.calls, value)
    }
}

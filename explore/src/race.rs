//! Plain accesses: who touched which bytes last, and whether that lies in the past of whoever touches them now.
//!
//! Loom knows what happened before what and tells nobody, but it checks each access to a cell against the cell's creation.
//! So a cell that is created at an access *is* that moment of that thread, and reading it later from another thread asks
//! loom whether the moment is in that thread's past. Nothing has to be known of the memory beforehand: stacks, Rust's
//! memory and globals are checked like the heap.

use super::event::What;
use super::finding::{FindingKind, count};
use super::world::{MOST_THREADS, Me, Pc, World, repeats};
use crate::loom_types::UnsafeCell;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// What is done to memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    Read,
    Write,
    AtomicRead,
    AtomicWrite,
}

impl Access {
    pub(crate) fn writes(self) -> bool {
        matches!(self, Self::Write | Self::AtomicWrite)
    }

    fn atomic(self) -> bool {
        matches!(self, Self::AtomicRead | Self::AtomicWrite)
    }

    fn conflicts(self, other: Self) -> bool {
        (self.writes() || other.writes()) && !(self.atomic() && other.atomic())
    }

    /// Whoever conflicts with `other` conflicts with this.
    fn covers(self, other: Self) -> bool {
        (self.writes() || !other.writes()) && (!self.atomic() || other.atomic())
    }

    fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::AtomicRead => "atomic read",
            Self::AtomicWrite => "atomic write",
        }
    }
}

#[derive(Clone, Copy)]
struct Touch {
    bytes: Bytes,
    thread: Me,
    access: Access,
    moment: Epoch,
    pc: Pc,
    caller: Pc,
}

const GRANULE: usize = 8;

/// Which bytes of a granule, a bit each.
type Bytes = u8;

/// Those from the first number up to the second.
fn bytes(low: usize, high: usize) -> Bytes {
    (0xff << low) as u8 & (0xff_u8 >> (GRANULE - high))
}

/// The last accesses of all memory.
#[derive(Default)]
pub(crate) struct Shadow {
    /// By granule, a number in `touches`.
    granules: HashMap<usize, usize, BuildHasherDefault<Mixer>>,
    /// Those of the interleavings before are kept, for their memory.
    touches: Vec<Vec<Touch>>,
    used: usize,
}

impl Shadow {
    /// Nothing has been accessed yet.
    pub(crate) fn clear(&mut self) {
        self.granules.clear();
        self.used = 0;
    }

    fn of(&mut self, granule: usize) -> &mut Vec<Touch> {
        let number = *self.granules.entry(granule).or_insert_with(|| {
            self.used += 1;
            if self.used > self.touches.len() {
                self.touches.push(Vec::new());
            }
            self.touches[self.used - 1].clear();
            self.used - 1
        });
        &mut self.touches[number]
    }
}

/// Addresses are no attack: one multiplication spreads them enough.
#[derive(Default)]
struct Mixer(u64);

impl Hasher for Mixer {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, _: &[u8]) {
        unreachable!("granules are hashed as numbers");
    }
    fn write_usize(&mut self, number: usize) {
        let mixed = (number as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        self.0 = mixed ^ (mixed >> 32);
    }
}

thread_local! {
    static ASKING: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}

/// Loom is only being asked: its panic is its answer.
pub(crate) fn asking() -> bool {
    ASKING.get()
}

/// A moment in a thread's life, for asking later whether it lies in another thread's past: its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Epoch(u32);

impl Epoch {
    /// One that nobody asks about.
    pub(crate) const NEVER: Self = Self(u32::MAX);
}

/// The moments of an interleaving.
pub(crate) struct Moments {
    /// Each created when it was.
    cells: Vec<UnsafeCell<()>>,
    /// To begin to read it counts the reader's clock up; nobody writes.
    clock: UnsafeCell<()>,
    /// By thread.
    known: [Past; MOST_THREADS],
}

/// What is known to lie in a thread's past: by thread, how many moments there were up to the latest of its own that does. Loom
/// knows more, and need not be asked about these.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Past([u32; MOST_THREADS]);

impl Moments {
    pub(crate) fn new() -> Self {
        Self { cells: Vec::new(), clock: UnsafeCell::new(()), known: Default::default() }
    }

    /// For the next interleaving, which has begun.
    pub(crate) fn clear(&mut self) {
        self.cells.clear();
        self.clock = UnsafeCell::new(());
        self.known = Default::default();
    }

    /// Now, in the thread that runs.
    pub(crate) fn now(&mut self) -> Epoch {
        // Loom counts a thread's clock up at its operations; without this one, what follows a release would look as if it
        // had come before.
        self.clock.begin_to_read();
        self.cells.push(UnsafeCell::new(()));
        Epoch(self.cells.len() as u32 - 1)
    }

    /// The thread, which runs, gives something up: what lies in the past of whoever has it next.
    pub(crate) fn released(&self, me: Me) -> Past {
        let mut past = self.known[me];
        past.0[me] = self.cells.len() as u32;
        past
    }

    /// The thread has what was given up.
    pub(crate) fn acquired(&mut self, me: Me, past: &Past) {
        for (mine, theirs) in self.known[me].0.iter_mut().zip(past.0) {
            *mine = theirs.max(*mine);
        }
    }

    /// Whether a moment of another thread lies in the past of this one, which runs.
    pub(crate) fn in_the_past(&mut self, me: Me, other: Me, moment: Epoch) -> bool {
        let known = &mut self.known[me].0[other];
        // What came before something in the past is in the past.
        if moment.0 < *known {
            return true;
        }
        ASKING.set(true);
        let answer = catch_unwind(AssertUnwindSafe(|| self.cells[moment.0 as usize].begin_to_read()));
        ASKING.set(false);
        if answer.is_ok() {
            *known = moment.0 + 1;
        }
        answer.is_ok()
    }
}

impl World {
    /// The thread accesses memory now; it counts from `since` on, which differs for what releases.
    pub(crate) fn touch(&mut self, me: Me, pc: Pc, address: usize, size: usize, access: Access, since: Epoch) {
        if size == 0 {
            return;
        }
        let block = self.check_memory(me, pc, address, size, access.name());
        if repeats() {
            return;
        }
        if let Some((maker, made, at)) = block.map(|block| self.heap.maker(block))
            && maker != me
            && !self.moments.in_the_past(me, maker, made)
        {
            self.raced(me, pc, access, (address, size), (maker, at, "allocation"));
        }
        let end = address.saturating_add(size);
        let caller = self.thread(me).calls.last().copied().unwrap_or_default();
        let (mut low, mut raced) = (address, None);
        while low < end && raced.is_none() {
            let start = low - low % GRANULE;
            let mine = bytes(low - start, (end - start).min(GRANULE));
            let touch = Touch { bytes: mine, thread: me, access, moment: since, pc, caller };
            let touches = self.shadow.of(start / GRANULE);
            low = start + GRANULE;
            let mut kept = 0;
            for number in 0..touches.len() {
                let old = &touches[number];
                if old.bytes & mine != 0 {
                    let conflicts = old.thread != me && old.access.conflicts(access);
                    if conflicts && !self.moments.in_the_past(me, old.thread, old.moment) {
                        raced = Some((old.thread, [old.caller, old.pc], old.access.name()));
                        break;
                    }
                    // Those of others stay where they do not conflict: a later access may, and know only of them.
                    let replaced = old.bytes & !mine == 0 && access.covers(old.access);
                    if replaced && (old.thread == me || conflicts) {
                        continue;
                    }
                }
                if kept < number {
                    touches[kept] = touches[number];
                }
                kept += 1;
            }
            touches.truncate(kept);
            touches.push(touch);
        }
        if let Some(theirs) = raced {
            self.raced(me, pc, access, (address, size), theirs);
        }
        if !access.atomic() {
            self.log(me, pc, What::Access { address, size, write: access.writes() });
        }
    }

    /// What was there is gone; new memory there has no past.
    pub(crate) fn forget(&mut self, address: usize, size: usize) {
        for granule in address / GRANULE..(address + size).div_ceil(GRANULE) {
            self.shadow.granules.remove(&granule);
        }
    }

    fn raced(
        &mut self,
        me: Me,
        pc: Pc,
        access: Access,
        (address, size): (usize, usize),
        (other, other_pcs, other_access): (Me, [Pc; 2], &str),
    ) -> ! {
        let what = self.name_address(address);
        let theirs = self.name_stack(&other_pcs);
        let name = self.thread(other).name.clone();
        let mine = self.thread(me).name.clone();
        self.log(me, pc, What::Access { address, size, write: access.writes() });
        self.watch(address, size);
        let message = format!(
            "{} of {} at {what} by {mine}, and nothing orders it after the {other_access} by {name} at {theirs}",
            access.name(),
            count(size as u64, "byte"),
        );
        self.convict(me, pc, FindingKind::DataRace, message)
    }
}

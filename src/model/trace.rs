//! Which interleavings come to the same: what lets a search leave one as soon as it can only repeat one before.
//!
//! Loom's reduction avoids most interleavings that differ only in the order of operations that do not depend on each other,
//! and not all: the more operations, the more of them come again, some a hundred times. Here each operation gets a hash of
//! what it did, of the operation before it in its thread, and of those before it on its object that it depends on. The
//! hashes of all threads' last operations together stand for *what has happened*, whatever the order in which it was run. If
//! that has happened before in this search, what can come after it has been explored, or will be from there: loom is told to
//! explore nothing more in this interleaving, which is then run to its end as it comes.
//!
//! Why nothing is lost: such an interleaving is one that sleep sets would cut off at the same place or earlier. It differs
//! from the one before in that operations which do not depend on each other come in another order; the first of those of the
//! one before was a choice that has been explored, at the place where the two part, and nothing since has depended on it.
//! Sleep sets go on from there with another thread, though, if there is one. Loom may never do that: it picked this one because the
//! one that ran had stopped, and comes back for others only for what it finds in what follows. So it is made to: see
//! [`Switches`](crate::sync::loom_side::Switches).
//! That holds for a search without a bound on preemptions, and only there is this used. It needs a search that finds every two
//! operations that may come in either order; for where loom does not, see `Loads` in `sync/loom_types/atomics.rs`.
//!
//! **Stale loads.** A load that finds an older store than the newest is left as well, if nothing that the thread has done depends
//! on the newest: it might as well have come before that, and an interleaving in which it does is explored, since a load and a
//! store are a pair that the search turns round. (Nobody can tell the two apart: what was stored, who read what, and what
//! happens before what are the same. Of those that remain each has fewer such loads than the one it stands for, so there
//! is one with none.) Where the thread depends on the newest store by another way, the load really is of a weaker order.
//!
//! *Different* are interleavings in which some load finds another store, or operations on one object (stores, locks, full fences)
//! come in another order.
//!
//! What is more exact here than in loom's own notion of dependence only makes less come to the same: each load depends on the
//! store it reads and on those before it. Where that is not known for sure (a thread that yields),
//! the order in which everything was run goes into the hash, and nothing after it is left early.
//! Hashes have 128 bits; that two are alike by chance is not provided for.
//!
//! All operations must be seen for this: those of the C code are, and those of Rust code through the seam (`loom_types`).
//! Code that uses loom by itself is not: see [`Repeats`](super::Repeats).

use super::world::{self, MOST_THREADS, Me, live, no_trace, only_repeats, repeats, with};
use crate::sync::loom_side::{choice_of_no_consequence, pick_at, skip_branch};
use std::cell::Cell;
use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hasher};

/// A hash of an operation and all that it depends on.
type Past = u128;
/// An object's name; 0: it has none.
pub(crate) type Name = u64;

/// What an operation does to its object.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Deed {
    /// Every operation on the object depends on it.
    Exclusive,
    /// It found what this store put there: one of the object's, by its number.
    Loads(usize),
    /// It put something there, as this store.
    Stores(usize),
    /// It found the first, and put the second there.
    Changes(usize, usize),
    /// It found this, and would have changed something else.
    Fails(usize),
    /// As `Exclusive`, on what only the search knows of: it makes no interleaving a different one.
    Beside,
}

/// How many operations of each thread something depends on.
#[derive(Debug, Default, Clone, Copy)]
struct Clock([u32; MOST_THREADS]);

impl Clock {
    fn join(&mut self, other: &Clock) {
        for (mine, others) in self.0.iter_mut().zip(other.0) {
            *mine = others.max(*mine);
        }
    }
}

#[derive(Default)]
struct Object {
    /// The last operation that all depend on, and what it depends on.
    last: Past,
    depends: Clock,
    /// Of the loads since, in no order.
    loads: Past,
    loads_depend: Clock,
    /// The last operation but for loads, where it counts only what was found.
    put: Past,
    /// Stores, by their numbers; the first is what it held when it was made.
    stores: Vec<Store>,
    /// The number of the newest, whose it is, and which of their operations.
    newest: (usize, Me, u32),
}

#[derive(Default, Clone, Copy)]
struct Store {
    past: Past,
    put: Past,
}

/// What a thread has come to.
#[derive(Default, Clone, Copy)]
struct Progress {
    /// Its last operation, with all that it depends on.
    past: Past,
    depends: Clock,
    /// Its last operation, where it counts only what was found.
    found: Past,
}

/// A place where a thread could not go on, and others were there to be picked.
struct Switch {
    /// Its row among [`Switches`](crate::sync::loom_side::Switches).
    row: usize,
    /// What had happened.
    happened: Past,
    pasts: [Past; MOST_THREADS],
    /// What each thread came to next.
    next: [Option<Past>; MOST_THREADS],
}

/// How far this interleaving is from those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Newness {
    /// So far the one before, operation by operation.
    Same,
    /// Something that has not happened before.
    New,
    /// All of this has happened before.
    Repeats,
    /// And there is a last choice for loom to note things at.
    Leaving,
    /// And loom has been told to explore nothing more.
    Left,
}

/// What has happened in an interleaving; and in those before it.
pub(crate) struct Trace {
    threads: [Progress; MOST_THREADS],
    objects: HashMap<Name, Object, BuildHasherDefault<Plain>>,
    /// Objects that each thread has made.
    made: [u64; MOST_THREADS],
    happened: Past,
    /// The same with the order in which it was run.
    run: Past,
    newness: Newness,
    /// A thread has yielded: what comes may depend on the order of what was run.
    ordered: bool,
    switches: Vec<Switch>,
    /// Which threads have said, since the interleaving was left, where they should have been picked.
    settled: [bool; MOST_THREADS],
    steps: Vec<Past>,
    /// The steps of the interleaving before; and that it was left after the last of them.
    before: Vec<Past>,
    left_before: bool,
    seen: HashSet<Past, BuildHasherDefault<Plain>>,
    /// What had been found at the end of each interleaving that was not left.
    ends: HashSet<Past, BuildHasherDefault<Plain>>,
    /// Otherwise repeats are only counted.
    leaves: bool,
}

/// What has been seen is remembered up to here: 600 MB or so. Beyond it nothing more is left early.
const MOST_SEEN: usize = 16_000_000;

/// Spreads what is a hash already.
#[derive(Default)]
pub(crate) struct Plain(u64);

impl Hasher for Plain {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, _: &[u8]) {
        unreachable!("hashes are hashed as numbers");
    }
    fn write_u64(&mut self, number: u64) {
        self.0 = number;
    }
    fn write_u128(&mut self, number: u128) {
        self.0 = number as u64;
    }
}

/// One number of two, that says which came first. Of nothing after nothing it is something.
fn mix(past: Past, next: u128) -> Past {
    const ODD: [u128; 2] = [0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835, 0xC2B2_AE3D_27D4_EB4F_1656_67B1_9E37_79F9];
    let mixed = (past ^ next.wrapping_add(ODD[1]).wrapping_mul(ODD[0]).rotate_left(59)).wrapping_mul(ODD[1]);
    let mixed = (mixed ^ (mixed >> 71)).wrapping_mul(ODD[0]);
    mixed ^ (mixed >> 64)
}

impl Trace {
    pub(crate) fn new(leaves: bool) -> Self {
        Trace {
            threads: [Progress::default(); MOST_THREADS],
            objects: HashMap::default(),
            made: [0; MOST_THREADS],
            happened: 0,
            run: 0,
            newness: Newness::Same,
            ordered: false,
            switches: Vec::new(),
            settled: [false; MOST_THREADS],
            steps: Vec::new(),
            before: Vec::new(),
            left_before: false,
            seen: HashSet::default(),
            ends: HashSet::default(),
            leaves,
        }
    }

    /// The next interleaving begins.
    pub(crate) fn clear(&mut self) {
        self.left_before = self.left();
        std::mem::swap(&mut self.before, &mut self.steps);
        self.steps.clear();
        self.objects.clear();
        self.threads = [Progress::default(); MOST_THREADS];
        self.made = [0; MOST_THREADS];
        (self.happened, self.run) = (0, 0);
        self.newness = Newness::Same;
        self.ordered = false;
        self.switches.clear();
        self.settled = [false; MOST_THREADS];
    }

    /// The interleaving is over. Whether it repeats one before: from the place where it was left, or else in the end.
    pub(crate) fn ends(&mut self) -> bool {
        let found = self.threads.iter().fold(0, |all, thread| mix(all, thread.found));
        self.left() || !self.ends.insert(found)
    }

    fn left(&self) -> bool {
        !matches!(self.newness, Newness::Same | Newness::New)
    }

    fn make(&mut self, me: Me) -> Name {
        self.made[me] += 1;
        name(me as u64, self.made[me])
    }

    fn did(&mut self, me: Me, object: Name, deed: Deed) {
        let it = self.objects.entry(object).or_default();
        let thread = &mut self.threads[me];
        let store = |number: usize| it.stores.get(number).copied().unwrap_or_default();
        let (how, seen) = match deed {
            Deed::Exclusive | Deed::Beside | Deed::Stores(_) => (0, Store::default()),
            Deed::Loads(number) => (1, store(number)),
            Deed::Changes(number, _) => (2, store(number)),
            Deed::Fails(number) => (3, store(number)),
        };
        let before = mix(mix(mix(thread.past, it.last), u128::from(object)), mix(seen.past, how));
        let found = mix(mix(thread.found, u128::from(object)), mix(seen.put, how));
        thread.depends.0[me] += 1;
        let mut stale = false;
        let past = if let Deed::Loads(number) = deed {
            let (newest, by, tick) = it.newest;
            stale = number != newest && thread.depends.0[by] < tick;
            thread.depends.join(&it.depends);
            it.loads = it.loads.wrapping_add(before);
            it.loads_depend.join(&thread.depends);
            thread.found = found;
            before
        } else {
            let past = mix(before, it.loads);
            thread.depends.join(&it.depends);
            thread.depends.join(&it.loads_depend);
            (it.last, it.loads) = (past, 0);
            (it.depends, it.loads_depend) = (thread.depends, Clock::default());
            thread.found = match deed {
                Deed::Beside => thread.found,
                Deed::Fails(_) => found,
                _ => mix(found, it.put),
            };
            past
        };
        if let Deed::Exclusive | Deed::Stores(_) | Deed::Changes(..) = deed {
            it.put = thread.found;
        }
        if let Deed::Stores(number) | Deed::Changes(_, number) = deed {
            if it.stores.len() <= number {
                it.stores.resize(number + 1, Store::default());
            }
            it.stores[number] = Store { past, put: thread.found };
            it.newest = (number, me, thread.depends.0[me]);
        }
        self.step(me, past);
        if stale && self.leaves && !self.ordered && !self.left() {
            self.newness = Newness::Repeats;
        }
    }

    /// A thread has come this far.
    fn step(&mut self, me: Me, past: Past) {
        for switch in self.switches.iter_mut().rev() {
            if switch.next[me].is_some() {
                break; // and at those before it
            }
            switch.next[me] = Some(past);
        }
        if self.left() {
            self.threads[me].past = past;
            return;
        }
        let part = |past| mix(past, 3 + me as u128);
        self.happened = self.happened.wrapping_sub(part(self.threads[me].past)).wrapping_add(part(past));
        self.threads[me].past = past;
        self.run = mix(mix(self.run, past), me as u128);
        let at = self.steps.len();
        self.steps.push(self.run);
        if self.newness == Newness::Same && self.before.get(at) == Some(&self.run) {
            if self.left_before && at + 1 == self.before.len() {
                self.newness = Newness::Repeats;
            }
            return;
        }
        self.newness = Newness::New;
        if self.leaves && self.seen.len() < MOST_SEEN && !self.seen.insert(self.happened) {
            self.newness = Newness::Repeats;
        }
    }
}

impl Trace {
    /// The thread comes to a step after the interleaving was left: at which switches it would have been something new to pick. Their
    /// rows.
    fn unpicked(&mut self, me: Me) -> Vec<usize> {
        if std::mem::replace(&mut self.settled[me], true) {
            return Vec::new();
        }
        let part = |past| mix(past, 3 + me as u128);
        let new = |switch: &Switch| {
            let after = |next| switch.happened.wrapping_sub(part(switch.pasts[me])).wrapping_add(part(next));
            switch.next[me].is_some_and(|next| !self.seen.contains(&after(next)))
        };
        self.switches.iter().filter(|switch| new(switch)).map(|switch| switch.row).collect()
    }
}

fn name(of: u64, number: u64) -> Name {
    (mix(u128::from(of) + 7, u128::from(number)) as u64).max(1)
}

thread_local! {
    /// Objects that are made now are named after this, and how many have been.
    static NAMED: Cell<Option<(u64, u64)>> = const { Cell::new(None) };
}

/// Runs `f`, in which objects are made: they get their names from `after` and their number, not from the thread that
/// happens to be the first to need them.
pub(crate) fn named<R>(after: u64, f: impl FnOnce() -> R) -> R {
    let outer = NAMED.replace(Some((after, 0)));
    let made = f();
    NAMED.set(outer);
    made
}

/// A number for a text, for [`named`].
pub(crate) const fn number_of(text: &str) -> u64 {
    let (mut number, mut i) = (0xCBF2_9CE4_8422_2325_u64, 0);
    while i < text.len() {
        number = (number ^ text.as_bytes()[i] as u64).wrapping_mul(0x0100_0000_01B3);
        i += 1;
    }
    number
}

/// Runs `f` with the trace of this interleaving and the calling thread, if there is one.
fn traced<R>(f: impl FnOnce(&mut Trace, Me) -> R) -> Option<R> {
    if !world::traced() {
        return None;
    }
    with(|world| {
        let me = world.current();
        world.trace.as_mut().map(|trace| f(trace, me))
    })
}

/// The same where `f` comes to a step.
fn stepped(f: impl FnOnce(&mut Trace, Me)) {
    let newness = traced(|trace, me| {
        f(trace, me);
        trace.newness
    });
    if newness == Some(Newness::Left) {
        let at = traced(Trace::unpicked).unwrap_or_default();
        if !at.is_empty() {
            pick_at(&at);
        }
    }
    follow(newness);
}

/// What has happened so far, if that is kept.
pub(crate) fn happened() -> Option<u128> {
    traced(|trace, _| trace.happened)
}

/// The calling thread has done what its `row` asks for, and cannot go on.
pub(crate) fn switches(row: usize) {
    traced(|trace, _| {
        let pasts = trace.threads.map(|thread| thread.past);
        trace.switches.push(Switch { row, happened: trace.happened, pasts, next: [None; MOST_THREADS] });
    });
}

/// Whether there is one.
pub(crate) fn is_kept() -> bool {
    live() && with(|world| world.trace.is_some())
}

/// Whether there is one, and repeats are left.
pub(crate) fn leaves() -> bool {
    live() && with(|world| world.trace.as_ref().is_some_and(|trace| trace.leaves))
}

/// Whether there is one, and this interleaving may still be left.
pub(crate) fn may_leave() -> bool {
    leaves() && !repeats()
}

/// Names an object that is made now.
pub(crate) fn object() -> Name {
    if let Some((after, made)) = NAMED.get() {
        NAMED.set(Some((after, made + 1)));
        return name(after, made + 1);
    }
    traced(|trace, me| trace.make(me)).unwrap_or_default()
}

/// An operation has been run, by the calling thread, which has done nothing since. Others may run before this returns.
pub(crate) fn did(object: Name, deed: Deed) {
    stepped(|trace, me| trace.did(me, object, deed));
}

/// The calling thread goes on after something that is no operation on an object: `what` says after what.
pub(crate) fn went_on(what: u64) {
    stepped(|trace, me| {
        let thread = &mut trace.threads[me];
        thread.found = mix(thread.found, u128::from(what) + 11);
        let past = mix(thread.past, u128::from(what) + 11);
        trace.step(me, past);
    });
}

/// The calling thread goes on after others had to run first: what may follow depends on the order.
pub(crate) fn yielded() {
    stepped(|trace, me| {
        trace.ordered = true;
        let thread = &mut trace.threads[me];
        thread.found = mix(thread.found, trace.run);
        let past = mix(thread.past, trace.run);
        trace.step(me, past);
    });
}

/// The calling thread has made `child`, which has not begun.
pub(crate) fn spawned(child: Me) {
    stepped(|trace, me| {
        let thread = &mut trace.threads[me];
        let began = |past| mix(past, child as u128 + 13);
        let first = Progress { past: began(thread.past), found: began(thread.found), depends: thread.depends };
        thread.found = mix(first.found, 17);
        trace.threads[child] = first;
        let past = mix(first.past, 17);
        trace.step(me, past);
    });
}

/// The calling thread has seen `child` end.
pub(crate) fn joined(child: Me) {
    stepped(|trace, me| {
        let child = trace.threads[child];
        let thread = &mut trace.threads[me];
        thread.depends.join(&child.depends);
        thread.found = mix(thread.found, child.found);
        let past = mix(thread.past, child.past);
        trace.step(me, past);
    });
}

/// Leaves the interleaving to itself, if it has turned out to repeat one before.
fn follow(newness: Option<Newness>) {
    if newness == Some(Newness::Repeats) {
        traced(|trace, _| trace.newness = Newness::Leaving);
        // Whatever else loom finds to reverse in the rest of this interleaving it would note at the last choice that it
        // still explores: let that be one of no consequence. Others may run before it is made.
        choice_of_no_consequence();
    }
    if matches!(newness, Some(Newness::Repeats | Newness::Leaving)) {
        let before = traced(|trace, _| std::mem::replace(&mut trace.newness, Newness::Left));
        if before == Some(Newness::Leaving) {
            skip_branch();
        }
        only_repeats();
        if traced(|trace, _| trace.switches.is_empty()) == Some(true) {
            no_trace();
        }
    }
}

//! Which interleavings come to the same: what lets a search leave one as soon as it can only repeat one before.
//!
//! Loom's reduction avoids most interleavings that differ only in the order of operations that do not depend on each other,
//! and not all: the more operations, the more of them come again, some a hundred times. Here each operation becomes a step, with all
//! that it depends on, and [`tree`] knows by sleep sets when an interleaving can only repeat one before. Loom is then
//! told to explore nothing more in it, and it is run to its end as it comes. [`names`] tells objects apart. What operations say of
//! themselves here they say in `sync/loom_types`.
//!
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
//! the order in which everything was run counts, and nothing after it is left early.
//! What was found is compared by hashes of 128 bits; that two are alike by chance is not provided for.
//!
//! All operations must be seen for this: those of the C code are, and those of Rust code through the seam (`loom_types`).
//! Code that uses loom by itself is not: see [`Repeats`](super::Repeats).

mod names;
mod tree;

pub(crate) use names::{Name, named, number_of};

use super::world::{self, MOST_THREADS, Me, live, only_repeats, with};
use crate::loom_types::{BacktrackHelper, Touched, choice_of_no_consequence, skip_branch, touch_at_once};
use names::{Made, next_named};
use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hasher};
use tree::{Clock, Step, Tree, Verdict};

/// A hash of something that happened, and of what it found.
type Found = u128;

/// What an operation does to its object.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Effect {
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
    /// As `Exclusive`. It belongs to the thread's operation before it, nobody comes between, and it makes no interleaving a
    /// different one.
    Attached,
}

/// What becomes of repeats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum How {
    /// They are counted.
    Counted,
    /// They are left; no more than two threads run at a time.
    LeftByTwo,
    /// They are left, and whoever is about to take a step says so before: see [`comes`].
    LeftByMore,
}

#[derive(Default)]
struct Object {
    /// What the last operation that all depend on depends on, itself included.
    depends: Clock,
    /// What the loads since depend on.
    loads_depend: Clock,
    /// The last operation but for loads, where it counts only what was found.
    put: Found,
    /// By the number of a store, what it put; the first is what the object held when it was made.
    stores: Vec<Found>,
    /// The number of the newest, whose it is, and which of their operations.
    newest: (usize, Me, u32),
    /// The step that was the last operation that all depend on, and the loads since.
    step: Option<usize>,
    load_steps: Vec<usize>,
}

/// What a thread has come to.
#[derive(Default, Clone, Copy)]
struct Progress {
    depends: Clock,
    /// Its last operation, where it counts only what was found.
    found: Found,
    life: Life,
}

/// What a thread is up to.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Life {
    #[default]
    None,
    Runs,
    /// It has been met, and who made it did not say so, nor will it say when it ends.
    Met,
    /// It waits for the end of this thread.
    Joins(Me),
    Ended,
}

/// How far this interleaving is from those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Newness {
    New,
    /// All that can follow has been explored, or is from elsewhere.
    Repeats,
    /// And there is a last choice for loom to note things at.
    Leaving,
    /// And loom has been told to explore nothing more.
    Left,
}

/// What has happened in an interleaving; and in those before it.
pub(crate) struct Trace {
    how: How,
    threads: [Progress; MOST_THREADS],
    objects: HashMap<Name, Object, BuildHasherDefault<Plain>>,
    made: Made,
    /// A hash of everything that was run, in that order.
    run: u128,
    newness: Newness,
    /// It has turned out to repeat one before.
    repeats: bool,
    /// What the calling thread has to touch at once, for loom to try it before that was touched.
    elsewhere: Option<Touched>,
    /// A thread has yielded: what comes may depend on the order of what was run.
    ordered: bool,
    tree: Tree,
    /// What each thread has touched that is about to take a step, and when.
    comes: [Option<(u32, Touched)>; MOST_THREADS],
    came: u32,
    /// What was touched before each step.
    touched: Vec<Option<Touched>>,
    /// What had been found at the end of each interleaving that was not left.
    ends: HashSet<Found, BuildHasherDefault<Plain>>,
}

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
fn mix(past: u128, next: u128) -> u128 {
    const ODD: [u128; 2] = [0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835, 0xC2B2_AE3D_27D4_EB4F_1656_67B1_9E37_79F9];
    let mixed = (past ^ next.wrapping_add(ODD[1]).wrapping_mul(ODD[0]).rotate_left(59)).wrapping_mul(ODD[1]);
    let mixed = (mixed ^ (mixed >> 71)).wrapping_mul(ODD[0]);
    mixed ^ (mixed >> 64)
}

impl Trace {
    pub(crate) fn new(how: How) -> Self {
        Trace {
            how,
            threads: Self::no_threads(),
            objects: HashMap::default(),
            made: Made::default(),
            run: 0,
            newness: Newness::New,
            repeats: false,
            elsewhere: None,
            ordered: false,
            tree: Tree::new(how == How::LeftByMore),
            comes: [const { None }; MOST_THREADS],
            came: 0,
            touched: Vec::new(),
            ends: HashSet::default(),
        }
    }

    fn no_threads() -> [Progress; MOST_THREADS] {
        let mut threads = [Progress::default(); MOST_THREADS];
        threads[0].life = Life::Runs;
        threads
    }

    /// The next interleaving begins.
    pub(crate) fn clear(&mut self) {
        self.tree.clear(self.repeats);
        self.repeats = false;
        self.objects.clear();
        self.threads = Self::no_threads();
        self.made = Made::default();
        self.run = 0;
        self.newness = Newness::New;
        self.ordered = false;
        self.comes = [const { None }; MOST_THREADS];
        self.touched.clear();
    }

    /// The interleaving is over. Whether it repeats one before: from the place where it was left, or else in the end.
    pub(crate) fn ends(&mut self) -> bool {
        let found = self.threads.iter().fold(0, |all, thread| mix(all, thread.found));
        self.left() || !self.ends.insert(found)
    }

    fn leaves(&self) -> bool {
        self.how != How::Counted
    }

    fn left(&self) -> bool {
        self.newness != Newness::New
    }

    fn did(&mut self, me: Me, object: Name, deed: Effect) {
        let it = self.objects.entry(object).or_default();
        let thread = &mut self.threads[me];
        let put = |number: usize| it.stores.get(number).copied().unwrap_or_default();
        let (how, number, seen) = match deed {
            Effect::Exclusive | Effect::Attached | Effect::Stores(_) => (0, 0, 0),
            Effect::Loads(number) => (1, number, put(number)),
            Effect::Changes(number, _) => (2, number, put(number)),
            Effect::Fails(number) => (3, number, put(number)),
        };
        let found = mix(mix(thread.found, u128::from(object)), mix(seen, how));
        let (loads, attached) = (matches!(deed, Effect::Loads(_)), matches!(deed, Effect::Attached));
        // What the thread depended on before this, and what the object's last operation and the loads since depend on.
        let (mine, last, others) = (thread.depends, it.depends, it.loads_depend);
        thread.depends.0[me] += 1;
        thread.depends.join(&last);
        let mut stale = false;
        if let Effect::Loads(number) = deed {
            let (newest, by, tick) = it.newest;
            stale = number != newest && mine.0[by] < tick;
            it.loads_depend.join(&thread.depends);
            thread.found = found;
        } else {
            thread.depends.join(&others);
            (it.depends, it.loads_depend) = (thread.depends, Clock::default());
            thread.found = match deed {
                Effect::Attached => thread.found,
                Effect::Fails(_) => found,
                _ => mix(found, it.put),
            };
        }
        if let Effect::Exclusive | Effect::Stores(_) | Effect::Changes(..) = deed {
            it.put = thread.found;
        }
        if let Effect::Stores(number) | Effect::Changes(_, number) = deed {
            if it.stores.len() <= number {
                it.stores.resize(number + 1, 0);
            }
            it.stores[number] = thread.found;
            it.newest = (number, me, thread.depends.0[me]);
        }
        let depends = self.threads[me].depends;
        let what = mix(u128::from(object), mix(number as u128, how));
        self.run = mix(mix(self.run, what), me as u128);
        if !self.leaves() || self.left() {
            return;
        }
        self.step(Step { what, me, object, loads, attached, depends }, &mine);
        if stale && !self.ordered && !self.left() {
            self.repeats();
        }
    }

    fn repeats(&mut self) {
        self.repeats = true;
        self.newness = Newness::Repeats;
    }

    /// A thread is about to take a step. If another has touched something for its own, and not taken it, this one is
    /// explored from before that.
    fn comes(&mut self, me: Me) {
        let others =
            self.comes.iter().enumerate().filter(|&(other, _)| other != me).filter_map(|(_, came)| came.as_ref());
        if let Some((_, first)) = others.min_by_key(|(when, _)| when)
            && self.leaves()
            && !self.left()
        {
            self.elsewhere = Some(Touched::clone(first));
            self.newness = Newness::Repeats;
            self.tree.elsewhere(me);
        }
    }

    /// A thread takes a step; `mine` is what it depended on before it.
    fn step(&mut self, step: Step, mine: &Clock) {
        let at = self.tree.at();
        let touched = self.comes[step.me].take().map(|(_, touched)| touched);
        if !step.attached {
            // It may have said nothing, or stood here before the other did.
            self.comes(step.me);
        }
        if self.left() {
            return;
        }
        self.touched.push(touched);
        let life = &mut self.threads[step.me].life;
        if *life == Life::None {
            *life = Life::Met;
        }
        match self.tree.took(step, !self.ordered) {
            Verdict::Asleep => self.repeats(),
            Verdict::New if !step.attached => self.races(at, &step, mine),
            Verdict::New | Verdict::Same => {}
        }
        let Some(it) = self.objects.get_mut(&step.object).filter(|_| !step.attached) else { return };
        if step.loads {
            it.load_steps.push(at);
        } else {
            it.step = Some(at);
            it.load_steps.clear();
        }
    }

    /// With which steps this one may change places.
    fn races(&mut self, at: usize, step: &Step, mine: &Clock) {
        let Some(it) = self.objects.get(&step.object) else { return };
        if step.loads || it.load_steps.is_empty() {
            if let Some(first) = it.step {
                self.tree.races(first, at, mine);
            }
            return;
        }
        for &first in &it.load_steps {
            let mut past = *mine;
            for &other in it.load_steps.iter().filter(|&&other| other != first) {
                past.join(&self.tree.depends(other));
            }
            self.tree.races(first, at, &past);
        }
    }

    /// Whether somebody has to keep the places that are wanted.
    pub(crate) fn wants(&self) -> bool {
        self.how == How::LeftByMore
    }

    /// A place was wanted, and cannot be: something may have been lost.
    pub(crate) fn is_unserved(&self) -> bool {
        self.tree.is_unserved()
    }

    /// More than two threads can go on.
    fn is_crowded(&self) -> bool {
        let may_run = |thread: &&Progress| match thread.life {
            Life::None | Life::Ended => false,
            Life::Runs | Life::Met => true,
            Life::Joins(other) => self.threads[other].life == Life::Ended,
        };
        self.threads.iter().filter(may_run).count() > 2
    }
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

/// Whether there is one.
pub(crate) fn is_kept() -> bool {
    live() && with(|world| world.trace.is_some())
}

/// Whether there is one, and repeats are left.
pub(crate) fn leaves() -> bool {
    live() && with(|world| world.trace.as_ref().is_some_and(Trace::leaves))
}

/// The calling thread is about to take a step. Whether it has to say so: by touching something, and then by [`came`].
///
/// If the interleaving has turned out to repeat one before it is left here, where nothing is half done; others may run before
/// this returns.
pub(crate) fn comes() -> bool {
    if !world::traced() {
        return false;
    }
    let (newness, elsewhere) = with(|world| {
        let me = world.current();
        let Some(trace) = &mut world.trace else { return (Newness::Left, None) };
        trace.comes(me);
        if trace.how == How::LeftByTwo && trace.is_crowded() {
            // The search begins again after this interleaving, of which nothing more is explored.
            trace.newness = Newness::Repeats;
            world.objects.needs.places = true;
        }
        (trace.newness, trace.elsewhere.take())
    });
    elsewhere.iter().for_each(touch_at_once);
    match newness {
        Newness::New => traced(|trace, _| trace.wants()) == Some(true),
        Newness::Left => false,
        newness => {
            follow(newness);
            false
        }
    }
}

/// The calling thread takes a step next, and has touched something for that.
pub(crate) fn came(touched: Touched) {
    traced(|trace, me| {
        trace.came += 1;
        trace.comes[me] = Some((trace.came, touched));
    });
}

/// What has been touched where somebody else has to be tried.
pub(crate) fn wanted() -> Vec<Touched> {
    with(|world| {
        let Some(trace) = &mut world.trace else { return Vec::new() };
        let touched =
            |at: usize| trace.touched[at].clone().expect("a step that was taken has an object that it touched");
        trace.tree.take_wanted().into_iter().map(touched).collect()
    })
}

/// Names an object that is made now.
pub(crate) fn object() -> Name {
    next_named().or_else(|| traced(|trace, me| trace.made.next(me))).unwrap_or_default()
}

/// An operation has been run, by the calling thread, which has done nothing since.
pub(crate) fn did(object: Name, deed: Effect) {
    let elsewhere = traced(|trace, me| {
        trace.did(me, object, deed);
        trace.elsewhere.take()
    });
    elsewhere.flatten().iter().for_each(touch_at_once);
}

/// The calling thread goes on after something that is no operation on an object: `what` says after what.
pub(crate) fn went_on(what: u64) {
    traced(|trace, me| {
        let thread = &mut trace.threads[me];
        thread.found = mix(thread.found, u128::from(what) + 11);
    });
}

/// `me` has been told by the search which of two ways to go. Others may have to run before it does; they are not run here.
pub(crate) fn chose(me: Me, way: bool) {
    with(|world| {
        let Some(trace) = world.trace.as_mut().filter(|trace| !trace.left()) else { return };
        let leaves = trace.leaves();
        let thread = &mut trace.threads[me];
        thread.found = mix(thread.found, 13 + u128::from(way));
        if leaves {
            let mine = thread.depends;
            thread.depends.0[me] += 1;
            let (what, depends) = (13 + u128::from(way), thread.depends);
            trace.step(Step { what, me, object: 0, loads: true, attached: true, depends }, &mine);
        }
    });
}

/// The calling thread goes on after others had to run first: what may follow depends on the order.
pub(crate) fn yielded() {
    traced(|trace, me| {
        trace.ordered = true;
        let run = trace.run;
        let thread = &mut trace.threads[me];
        thread.found = mix(thread.found, run);
    });
}

/// The calling thread has made `child`, which has not begun.
pub(crate) fn spawned(child: Me) {
    traced(|trace, me| {
        let thread = &mut trace.threads[me];
        let first = Progress { found: mix(thread.found, child as u128 + 13), life: Life::Runs, ..*thread };
        thread.found = mix(first.found, 17);
        trace.threads[child] = first;
    });
}

/// The calling thread is about to wait for the end of `child`.
pub(crate) fn joins(child: Me) {
    with(|world| {
        let me = world.current();
        world.trace.iter_mut().for_each(|trace| trace.threads[me].life = Life::Joins(child));
    });
}

/// The calling thread has seen `child` end.
pub(crate) fn joined(child: Me) {
    traced(|trace, me| {
        let child = trace.threads[child];
        let thread = &mut trace.threads[me];
        thread.life = Life::Runs;
        thread.depends.join(&child.depends);
        thread.found = mix(thread.found, child.found);
    });
}

/// The calling thread is about to end. If it is the last: who is still there, the keeper of places.
pub(crate) fn ends_the_last() -> Option<BacktrackHelper> {
    if !live() {
        return None;
    }
    with(|world| {
        let me = world.current();
        let trace = world.trace.as_mut()?;
        trace.threads[me].life = Life::Ended;
        let over = |thread: &Progress| !matches!(thread.life, Life::Runs | Life::Joins(_));
        if trace.threads.iter().all(over) { world.keeper.take() } else { None }
    })
}

/// Whether there is one, and this interleaving has turned out to repeat one before.
pub(crate) fn left() -> bool {
    traced(|trace, _| trace.left()) == Some(true)
}

/// Leaves the interleaving to itself: it has turned out to repeat one before.
fn follow(newness: Newness) {
    if newness == Newness::Repeats {
        traced(|trace, _| trace.newness = Newness::Leaving);
        // Whatever else loom finds to reverse in the rest of this interleaving it would note at the last choice that it
        // still explores: let that be one of no consequence. Others may run before it is made.
        choice_of_no_consequence();
    }
    let before = traced(|trace, _| std::mem::replace(&mut trace.newness, Newness::Left));
    if let Some(Newness::Leaving) = before {
        skip_branch();
    }
    only_repeats();
}

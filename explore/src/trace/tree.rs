//! What a search has explored: sleep sets, and races of which loom turns round the wrong thread.
//!
//! A search is a tree: a node is a place between two steps of an interleaving, its children are the steps that were explored
//! from there, depth first. Only the nodes along the interleaving before this one are kept, which is enough: where
//! this one parts from it, everything below the step that was taken before has been explored.
//!
//! **Sleep sets.** A thread whose next step has been explored from a node is asleep in what is explored from there afterwards, until
//! a step is taken that depends on that one: where it goes on while it is asleep, what follows is what followed then, in
//! another order. Such an interleaving is left ([`Verdict::Asleep`]). A thread that is asleep was picked for one of two reasons.
//! Loom found a race, and wants it here: then nothing is lost. Or no other could go on that loom knew to be better: then one
//! that is awake has to be tried at this place, if there is one, and the place is [wanted](Tree::take_wanted).
//!
//! **Races.** Where a step `b` races with a step `a` before it, somebody has to come before `a` who leads to `b`. Loom takes the thread
//! of `b`. But that thread's own next step at that place, `f`, may depend on a step `g` of a third thread, between `a` and `b`: it would
//! be `g` that has to come before `a`. Loom finds that out by exploring `f` first, if `f` is explored there; where its thread
//! is asleep, nobody does, and the interleavings with `g`, `f`, `b` and then `a` are lost (`model/litmus.rs` has such a program). So
//! each race is looked at: is a thread asleep, explored or due at that place that can begin what leads to `b` (a source set)? If
//! not, the place is wanted.
//!
//! With two threads that run there is no third, and nothing is ever wanted.
//!
//! How loom is made to try everybody at a place that is wanted: `sync/loom_types/places.rs`.

use super::{Name, mix};
use crate::world::{MOST_THREADS, Me};

/// How many steps of each thread something depends on, or follows.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Clock(pub(super) [u32; MOST_THREADS]);

impl Clock {
    pub(super) fn join(&mut self, other: &Clock) {
        for (mine, others) in self.0.iter_mut().zip(other.0) {
            *mine = others.max(*mine);
        }
    }
}

/// A step: an operation on an object.
#[derive(Debug, Clone, Copy)]
pub(super) struct Step {
    /// What it did, and found.
    pub(super) what: u128,
    pub(super) me: Me,
    pub(super) object: Name,
    /// It depends on no other such step of the same object.
    pub(super) loads: bool,
    /// It belongs to the step before it: nobody is picked in between.
    pub(super) attached: bool,
    /// What it depends on, itself included.
    pub(super) depends: Clock,
}

impl Step {
    fn depends_on(&self, other: &Asleep) -> bool {
        self.object == other.object && !(self.loads && other.loads)
    }

    /// Whether this is in the past of what depends on so much.
    fn is_in(&self, past: &Clock) -> bool {
        self.depends.0[self.me] <= past.0[self.me]
    }
}

/// A thread's next operation, which has been explored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Asleep {
    thread: Me,
    object: Name,
    loads: bool,
}

/// Threads, a bit each.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Threads(u8);

impl Threads {
    fn add(&mut self, thread: Me) {
        self.0 |= 1 << thread;
    }
    fn has(self, thread: Me) -> bool {
        self.0 & 1 << thread != 0
    }
}

/// A place between two steps.
#[derive(Debug, Default)]
struct Node {
    /// Who sleeps since a place before.
    asleep: Vec<Asleep>,
    /// What was explored from here; where a thread found one thing and then another, both.
    explored: Vec<Asleep>,
    /// Whose next step has been explored from here, whatever it may find.
    settled: Threads,
    /// Whom loom has picked here for a race, or will.
    due: Threads,
    /// Something was explored from here that was not asleep.
    awake: bool,
    wanted: bool,
}

impl Node {
    fn sleeps(&self, thread: Me) -> bool {
        self.asleep.iter().any(|asleep| asleep.thread == thread) || self.settled.has(thread)
    }

    /// Of what comes after a step from here.
    fn after(&self, step: &Step) -> Self {
        let mut woken = Threads::default();
        let before = || {
            let explored = self.explored.iter().filter(|asleep| self.settled.has(asleep.thread));
            self.asleep.iter().chain(explored)
        };
        woken.add(step.me);
        before().filter(|asleep| step.depends_on(asleep)).for_each(|asleep| woken.add(asleep.thread));
        let asleep = before().filter(|asleep| !woken.has(asleep.thread)).copied().collect();
        Self { asleep, ..Self::default() }
    }
}

/// What is to become of an interleaving after a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is the one before, so far.
    Same,
    New,
    /// Its thread was asleep.
    Asleep,
}

/// A step, where it was taken.
#[derive(Debug, Clone, Copy)]
struct Taken {
    step: Step,
    /// A hash of everything that was run, up to it and in that order.
    run: u128,
    /// How many steps of each thread were taken before it.
    after: Clock,
}

/// The interleaving so far, and the nodes along it.
pub(super) struct Tree {
    /// More than two threads run at a time, and places may be wanted.
    wants: bool,
    steps: Vec<Taken>,
    before: Vec<Taken>,
    /// The interleaving before was left after its last step; and that was one of a thread that was asleep.
    left: bool,
    slept: bool,
    /// One more than there are steps; along what is new in this interleaving they grow with it.
    nodes: Vec<Node>,
    parted: bool,
    /// By thread, which steps are its.
    of: [Vec<usize>; MOST_THREADS],
    wanted: Vec<usize>,
    /// They have been asked for.
    taken: bool,
    /// A place was wanted too late.
    unserved: bool,
}

impl Tree {
    pub(super) fn new(wants: bool) -> Self {
        Self {
            wants,
            steps: Vec::new(),
            before: Vec::new(),
            left: false,
            slept: false,
            nodes: vec![Node::default()],
            parted: true,
            of: Default::default(),
            wanted: Vec::new(),
            taken: false,
            unserved: false,
        }
    }

    /// The next interleaving begins; the one before was left, or not.
    pub(super) fn clear(&mut self, left: bool) {
        self.left = left;
        std::mem::swap(&mut self.before, &mut self.steps);
        self.steps.clear();
        self.parted = false;
        self.of.iter_mut().for_each(Vec::clear);
        self.wanted.clear();
        self.taken = false;
    }

    /// How many steps there are.
    pub(super) fn at(&self) -> usize {
        self.steps.len()
    }

    /// A hash of everything that was run so far.
    fn run(&self) -> u128 {
        self.steps.last().map_or(0, |last| last.run)
    }

    /// What a step depends on.
    pub(super) fn depends(&self, at: usize) -> Clock {
        self.steps[at].step.depends
    }

    /// A thread has taken a step.
    pub(super) fn took(&mut self, step: Step, may_leave: bool) -> Verdict {
        let at = self.steps.len();
        let run = mix(mix(self.run(), step.what), step.me as u128);
        let after = Clock(std::array::from_fn(|thread| self.of[thread].len() as u32));
        self.steps.push(Taken { step, run, after });
        self.of[step.me].push(at);
        if !self.parted && self.before.get(at).is_some_and(|before| before.run == run) {
            // What was left there is left there again.
            let over = self.left && at + 1 == self.before.len();
            return if over { Verdict::Asleep } else { Verdict::Same };
        }
        if !self.parted {
            self.part(at, step.me);
        }
        let Some(node) = self.nodes.get_mut(at) else { return Verdict::New };
        if may_leave && !step.attached && node.sleeps(step.me) {
            self.slept = true;
            if self.wants && !node.awake {
                self.want(at);
            }
            return Verdict::Asleep;
        }
        let next = node.after(&step);
        self.nodes.push(next);
        Verdict::New
    }

    /// A thread takes a step that is explored from elsewhere: it is none of this interleaving's.
    pub(super) fn elsewhere(&mut self, me: Me) {
        if !self.parted {
            self.part(self.steps.len(), me);
        }
    }

    /// From here on this is not the interleaving before, of which everything has been explored that begins like it.
    fn part(&mut self, at: usize, me: Me) {
        self.parted = true;
        self.nodes.truncate(at + 1);
        let Some(node) = self.nodes.get_mut(at) else { return };
        let Some(first) = self.before.get(at) else { return };
        let first = first.step;
        let attached = self.before[at + 1..].iter().map(|taken| taken.step);
        let attached = attached.take_while(|step| step.attached && step.me == first.me);
        for step in std::iter::once(first).chain(attached) {
            let explored = Asleep { thread: step.me, object: step.object, loads: step.loads };
            if !node.explored.contains(&explored) {
                node.explored.push(explored);
            }
        }
        if first.me != me {
            node.settled.add(first.me);
        }
        node.awake |= !(self.left && self.slept && self.before.len() == at + 1);
        self.slept = false;
    }

    /// The step that was taken last depends on one before it, and else on so much.
    pub(super) fn races(&mut self, first: usize, last: usize, past: &Clock) {
        let (a, me) = (self.steps[first], self.steps[last].step.me);
        if a.step.is_in(past) {
            return;
        }
        // Who could begin, of those that lead here: its first step since then has nothing of others since then in its past.
        let begins = |thread: Me, past: &Clock| {
            (0..MOST_THREADS).all(|other| other == thread || past.0[other] <= a.after.0[other])
        };
        let next = |thread: Me| {
            let from = self.of[thread].partition_point(|&step| step <= first);
            self.of[thread].get(from).filter(|&&step| step < last).map(|&step| self.steps[step].step)
        };
        let mine = next(me).map_or(*past, |step| step.depends);
        let node = &self.nodes[first];
        if begins(me, &mine) {
            self.nodes[first].due.add(me);
            return;
        }
        let provided = (0..MOST_THREADS).any(|other| {
            let leads = |step: Step| !a.step.is_in(&step.depends) && begins(other, &step.depends);
            let tried = node.sleeps(other) || node.due.has(other);
            other != a.step.me && other != me && tried && next(other).is_some_and(leads)
        });
        if !provided {
            self.want(first);
        }
    }

    /// Everybody who can go on at this place has to be tried there.
    fn want(&mut self, at: usize) {
        if std::mem::replace(&mut self.nodes[at].wanted, true) {
            return;
        }
        if self.taken {
            self.unserved = true;
            return;
        }
        self.wanted.push(at);
    }

    /// The steps whose places are wanted. What is wanted later is [too late](Tree::is_unserved).
    pub(super) fn take_wanted(&mut self) -> Vec<usize> {
        self.taken = true;
        std::mem::take(&mut self.wanted)
    }

    /// A place was wanted, and cannot be.
    pub(super) fn is_unserved(&self) -> bool {
        self.unserved
    }
}

//! C code inside loom: what an instrumented C object calls, and the search over its interleavings.
//!
//! Unmodified C sources are compiled with `-fsanitize=thread`, which makes the compiler call a function for every memory
//! access and every atomic; [`instrument`] renames those calls, and the code's calls of pthreads and `malloc`, to entry
//! points of this module. Here each of them is an operation of loom's, so loom explores the C code, with whatever Rust
//! code calls it and is called by it, in every order.
//!
//! How the parts fit:
//!
//! - the way in: `entry` redirects calls; `tsan` answers what the compiler inserted, `pthread` what blocks, `descriptors` what threads
//!   wake each other by besides, `memory` what allocates and moves, `library` the rest of C's, and `exceptions` what C++ throws;
//! - one interleaving: `world` is all it consists of; `stack` gives threads their stacks, `locals` their variables; `globals` puts
//!   the C code's globals back, and `constructors` runs what C runs before main; `by_address` is what knows C's objects;
//! - what is found: `race` says whether accesses are ordered; `spins` tells loops that wait; `event` is what is noted while it
//!   runs, and `finding` tells people, with the names of `variables`;
//! - all of them: `search` runs one interleaving after the other; `choice` is its coin; `trace` says which come to the same.
//!
//! `docs/model.md` is the guide.
//!
//! ```no_run
//! use latecall_explore::{Options, explore};
//! # unsafe extern "C-unwind" { safe fn model_mylib_run(); }
//! let exploration = explore("mylib", &Options::new(), || model_mylib_run());
//! exploration.assert_exhausted();
//! ```

mod by_address;
mod choice;
mod constructors;
mod descriptors;
mod entry;
mod event;
mod exceptions;
mod finding;
mod globals;
#[doc(hidden)]
pub mod harness;
mod library;
#[cfg(test)]
mod litmus;
mod locals;
#[allow(missing_docs, reason = "each is loom's type or function of the same name; the module says what is added")]
mod loom_types;
mod memory;
mod pthread;
pub mod quarantine;
mod race;
#[doc(hidden)]
pub mod seam;
mod search;
mod spins;
mod stack;
mod std_types;
mod trace;
mod tsan;
mod variables;
mod world;

pub use finding::{Bound, Finding, FindingKind};
pub use pthread::{JoinHandle, spawn};
pub use quarantine::Quarantine;
pub(crate) use search::guarded;
pub(crate) use world::Me;
pub(crate) use world::{current, full_fences, is_over, live, number as thread_number, whole};

use std::fmt;
use std::time::Duration;

/// How a search is limited.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Options {
    /// Give up after this many interleavings; none: never.
    pub max_interleavings: Option<u64>,
    /// Give up after this time; none: never.
    pub max_duration: Option<Duration>,
    /// Only interleavings with at most this many switches away from a thread that could have gone on.
    pub preemptions: Option<usize>,
    /// Most branches (operations that other threads could notice) in one interleaving. One that has more is taken for
    /// one that never ends.
    pub max_branches: usize,
    /// Bytes of stack for each thread that C creates, and for the closure.
    pub stack: usize,
    /// Bytes that C code can allocate in one interleaving.
    pub memory: usize,
    /// How often in one interleaving a weak compare-exchange may fail for no reason.
    pub spurious_failures: u32,
    /// What becomes of interleavings that repeat one before.
    pub repeats: Repeats,
    /// What volatile accesses are taken for.
    pub volatile: Volatile,
}

/// What accesses of `volatile` memory are taken for. C promises nothing about them between threads; code from before C11, and
/// code for one processor only, often counts on more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Volatile {
    /// Relaxed atomics, which order nothing else: a flag that publishes what was written before it is convicted.
    Relaxed,
    /// Atomics whose loads acquire and whose stores release, as they do on x86-64 where the compiler keeps everything in its place:
    /// what is found then is wrong on such a processor too.
    Ordered,
}

/// What becomes of interleavings that repeat one before: in which each load finds the same store, and each object sees its
/// stores, locks and full fences in the same order. Loom avoids many of them, not all; in a larger search most are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repeats {
    /// They are explored like the others, and nobody knows how many they are.
    Explored,
    /// They are explored and counted. As with `Left`, threads must share nothing but what C code accesses.
    Counted,
    /// They are left as soon as they can only repeat one before: from there to its end plain accesses are not checked. Only for closures whose threads share nothing but what C code
    /// accesses: what they share through loom's types themselves is not seen, and interleavings would be lost. With a bound
    /// on [`preemptions`](Options::preemptions) the same as `Explored`. With more than two threads at a time it takes one of loom's five; where all
    /// are needed, the same as `Counted`.
    Left,
}

impl Options {
    /// Exhaustive, unless an interleaving is very long.
    #[must_use]
    pub fn new() -> Self {
        Self {
            max_interleavings: None,
            max_duration: None,
            preemptions: None,
            max_branches: 10_000,
            stack: 256 << 10,
            memory: 1 << 20,
            spurious_failures: 1,
            repeats: Repeats::Explored,
            volatile: Volatile::Relaxed,
        }
    }

    /// Sets [`Self::volatile`].
    #[must_use]
    pub fn volatile(mut self, volatile: Volatile) -> Self {
        self.volatile = volatile;
        self
    }

    /// Sets [`Self::repeats`].
    #[must_use]
    pub fn repeats(mut self, repeats: Repeats) -> Self {
        self.repeats = repeats;
        self
    }

    /// Sets [`Self::max_interleavings`].
    #[must_use]
    pub fn max_interleavings(mut self, most: u64) -> Self {
        self.max_interleavings = Some(most);
        self
    }

    /// Sets [`Self::max_duration`].
    #[must_use]
    pub fn max_duration(mut self, most: Duration) -> Self {
        self.max_duration = Some(most);
        self
    }

    /// Sets [`Self::preemptions`].
    #[must_use]
    pub fn preemptions(mut self, most: usize) -> Self {
        self.preemptions = Some(most);
        self
    }

    /// Sets [`Self::max_branches`].
    #[must_use]
    pub fn max_branches(mut self, most: usize) -> Self {
        self.max_branches = most;
        self
    }

    /// Sets [`Self::stack`].
    #[must_use]
    pub fn stack(mut self, bytes: usize) -> Self {
        self.stack = bytes;
        self
    }

    /// Sets [`Self::memory`].
    #[must_use]
    pub fn memory(mut self, bytes: usize) -> Self {
        self.memory = bytes;
        self
    }
}

impl Options {
    /// Whether the search means to explore every interleaving: it is not bounded by preemptions.
    fn whole(&self) -> bool {
        self.preemptions.is_none()
    }

    /// Whether a search keeps a trace of what happens.
    fn keeps_trace(&self) -> bool {
        match self.repeats {
            Repeats::Explored => false,
            Repeats::Counted => true,
            // A bound on preemptions is one on ways to the same place.
            Repeats::Left => self.whole(),
        }
    }
}

impl Default for Options {
    fn default() -> Self {
        Self::new()
    }
}

/// What a search that found nothing may claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Extent {
    /// Every interleaving was explored.
    Exhausted,
    /// Not all of them: this was in the way.
    BoundedBy(Bound),
    /// It ended at a finding.
    Convicted,
}

/// The result of [`explore`].
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Exploration {
    /// As passed to [`explore`].
    pub name: String,
    /// How many interleavings ran, the last included. Never 0.
    pub interleavings: u64,
    /// How many of them turned out to repeat one before; 0 with [`Repeats::Explored`].
    pub repeats: u64,
    /// How far the search went.
    pub extent: Extent,
    /// The violation that ended it.
    pub finding: Option<Finding>,
    /// Places of volatile accesses that the code relies on, which were taken for atomics as [`Options::volatile`] says.
    pub volatile: Vec<String>,
    /// How long it took.
    pub elapsed: Duration,
}

impl fmt::Display for Exploration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.name)?;
        match &self.extent {
            Extent::Exhausted => write!(f, "exhausted, {} interleavings", self.interleavings)?,
            Extent::BoundedBy(bound) => write!(f, "bounded by {bound}, {} interleavings", self.interleavings)?,
            Extent::Convicted => write!(f, "convicted")?,
        }
        if self.repeats > 0 {
            write!(f, " ({} of them repeat others)", self.repeats)?;
        }
        write!(f, ", {:.2?}", self.elapsed)?;
        for place in &self.volatile {
            write!(f, "\nvolatile access taken for an atomic: {place}")?;
        }
        if let Some(finding) = &self.finding {
            write!(f, "\n{finding}")?;
        }
        Ok(())
    }
}

impl Exploration {
    /// Every interleaving was explored, and nothing found.
    ///
    /// # Panics
    ///
    /// With the finding, or with what limited the search.
    pub fn assert_exhausted(&self) {
        assert_eq!(self.extent, Extent::Exhausted, "{self}");
    }

    /// A violation of this kind was found.
    ///
    /// # Panics
    ///
    /// When none, or another, was.
    pub fn assert_convicted(&self, kind: FindingKind) -> &Finding {
        match &self.finding {
            Some(finding) if finding.kind == kind => finding,
            _ => panic!("no {kind:?}: {self}"),
        }
    }
}

/// Explores the interleavings of what `f` does, within the limits that `docs/model.md` names: `f` runs once in each, on
/// loom's first thread, and C code that it calls may create more threads. It must do the same whenever the same choices are made.
///
/// Searches of one process wait for each other; each runs on a thread of its own. One that finds something keeps that
/// thread for ever: what it was in the middle of is not unwound, because C code need not survive that. A panic that leaves `f`, or a thread of C code, is a finding; one that Rust code
/// catches is not. Assertions in callbacks are better made with
/// [`fail`], which needs no unwinding.
///
/// # Panics
///
/// When the options allow no interleaving at all, or when called from inside a search.
pub fn explore(name: &str, options: &Options, f: impl Fn() + Send + Sync + 'static) -> Exploration {
    search::run(name, options, None, &mut search::Listener::default(), f)
}

/// Runs the same search again up to the interleaving of a finding, and answers what that one shows: the same events in the
/// same order, as long as the code and the options are the same.
///
/// # Panics
///
/// As [`explore`].
pub fn replay(name: &str, options: &Options, finding: &Finding, f: impl Fn() + Send + Sync + 'static) -> Exploration {
    search::run(name, options, Some(finding.interleaving), &mut search::Listener::default(), f)
}

/// Ends the interleaving with a finding, from Rust code that C called or that called C. Outside a search it is a panic.
///
/// # Panics
///
/// Always.
#[track_caller]
pub fn fail(message: &str) -> ! {
    let place = std::panic::Location::caller();
    match world::enter() {
        Some(me) => world::with(|world| {
            let text = format!("{message} ({})", finding::at(place));
            world.did(me, 0, text.clone());
            world.convict(me, 0, FindingKind::Failed, text)
        }),
        None => panic!("{message}"),
    }
}

/// Writes a line into the timeline, in the column of the thread that this is called on.
#[track_caller]
pub fn note(text: &str) {
    let place = std::panic::Location::caller();
    if let Some(me) = world::enter() {
        world::with(|world| world.did(me, 0, format!("{text} ({})", finding::at(place))));
    }
}

/// An operation on one of loom's objects by Rust code, for the timeline.
pub(crate) fn rust_op(what: &'static str, place: &'static std::panic::Location<'static>) {
    if !live() || of_the_runtime(place.file()) {
        return;
    }
    let Some(me) = world::enter() else { return };
    let mut frames = Vec::new();
    if world::with(|world| world.detailed) {
        backtrace::trace(|frame| {
            frames.push(frame.ip().addr());
            frames.len() < 40
        });
    }
    world::with(|world| world.log(me, 0, event::What::Rust { what, place, frames }));
}

/// Whether it is the C code's operation, which is in the timeline already.
fn of_the_runtime(file: &str) -> bool {
    /// This file's folder.
    const HERE: &str = file!().split_at(file!().len() - "lib.rs".len()).0;
    file.starts_with(HERE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_name_that_is_redirected_has_an_entry_point() {
        let provided: BTreeSet<&str> = tsan::NAMES
            .iter()
            .chain(memory::NAMES)
            .chain(exceptions::NAMES)
            .copied()
            .chain(library::names())
            .chain(pthread::names())
            .chain(descriptors::names())
            .collect();
        let mut instrumentation = latecall_build::instrumentation();
        // What the build helper puts in the place of functions that are refused.
        instrumentation.push("__refused".to_owned());
        let redirected = latecall_build::MODELLED.iter().copied().chain(instrumentation.iter().map(String::as_str));
        let redirected: BTreeSet<&str> = redirected.collect();
        assert_eq!(provided, redirected);
        assert!(latecall_build::ALLOWED.iter().all(|name| !redirected.contains(name)));
    }

    #[test]
    fn a_search_inside_a_search_is_refused() {
        let exploration = explore("outer", &Options::new(), || drop(explore("inner", &Options::new(), || {})));
        assert!(
            exploration.assert_convicted(FindingKind::Failed).message.contains("a search inside a search"),
            "{exploration}"
        );
    }
}

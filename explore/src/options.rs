//! How a search is limited, and what it takes for granted.

use std::time::Duration;

/// How a search is limited. The default explores everything, as long as an interleaving is not very long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    pub(crate) max_interleavings: Option<u64>,
    pub(crate) max_duration: Option<Duration>,
    pub(crate) preemptions: Option<usize>,
    pub(crate) max_branches: usize,
    pub(crate) stack: usize,
    pub(crate) memory: usize,
    pub(crate) spurious_failures: u32,
    pub(crate) repeats: Repeats,
    pub(crate) volatile: Volatile,
}

/// How accesses of `volatile` variables are treated. C promises nothing about them between threads. Code from before C11, and
/// code that was written for one processor only, often relies on more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Volatile {
    /// As relaxed atomics, which order no other access. Code that writes data and then sets a volatile flag has a data race.
    Relaxed,
    /// As atomics whose loads acquire and whose stores release, which is what x86-64 does if the compiler keeps their order.
    /// A finding of this search is a mistake on such a processor too.
    Ordered,
}

/// How a search treats an interleaving that repeats an earlier one: each load finds the same store, and each object sees its
/// stores, lock operations and full fences in the same order. Loom avoids many of these, but not all. In a large search most
/// interleavings are repeats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Repeats {
    /// Explore it like any other, and do not count it.
    Explored,
    /// Explore it, and count it in [`Exploration::repeats`](crate::Exploration::repeats). The condition of [`Self::Pruned`]
    /// applies.
    Counted,
    /// Prune it as soon as it is known to repeat an earlier one. It still runs to its end, without checks for data races.
    ///
    /// Condition: threads share only what C code accesses. The search does not see what Rust code shares through loom's types
    /// by itself, so it would lose interleavings, and findings with them.
    ///
    /// With more than two threads at a time, pruning takes one of loom's five threads. A search that needs all five counts
    /// repeats instead. A search with a limit on [`preemptions`](Options::preemptions) neither prunes nor counts.
    Pruned,
}

impl Options {
    /// No limit but the default ones on branches, stack and memory.
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

    /// Ends the search after this many interleavings. Default: no limit.
    #[must_use]
    pub fn max_interleavings(mut self, most: u64) -> Self {
        self.max_interleavings = Some(most);
        self
    }

    /// Ends the search after this time. At least one interleaving runs. Default: no limit.
    #[must_use]
    pub fn max_duration(mut self, most: Duration) -> Self {
        self.max_duration = Some(most);
        self
    }

    /// Explores only interleavings with at most this many preemptions: switches away from a thread that could have continued.
    /// Most bugs need two at most, and the search is much shorter. Default: no limit.
    #[must_use]
    pub fn preemptions(mut self, most: usize) -> Self {
        self.preemptions = Some(most);
        self
    }

    /// Sets how many branches (operations that other threads could notice) an interleaving may have. An interleaving with more
    /// is taken for one that never ends. Default: 10,000.
    #[must_use]
    pub fn max_branches(mut self, most: usize) -> Self {
        self.max_branches = most;
        self
    }

    /// Sets the stack size, in bytes, of the closure and of each thread that C code or [`spawn`](crate::spawn) creates.
    /// Default: 256 KiB.
    #[must_use]
    pub fn stack(mut self, bytes: usize) -> Self {
        self.stack = bytes;
        self
    }

    /// Sets how many bytes C code can allocate in one interleaving. Freed memory counts, because it is not used again.
    /// Default: 1 MiB.
    #[must_use]
    pub fn memory(mut self, bytes: usize) -> Self {
        self.memory = bytes;
        self
    }

    /// Sets how often a weak compare-exchange may fail spuriously in one interleaving. Default: once.
    #[must_use]
    pub fn spurious_failures(mut self, most: u32) -> Self {
        self.spurious_failures = most;
        self
    }

    /// Sets how interleavings that repeat an earlier one are treated. Default: [`Repeats::Explored`].
    #[must_use]
    pub fn repeats(mut self, repeats: Repeats) -> Self {
        self.repeats = repeats;
        self
    }

    /// Sets how accesses of `volatile` variables are treated. Default: [`Volatile::Relaxed`].
    #[must_use]
    pub fn volatile(mut self, volatile: Volatile) -> Self {
        self.volatile = volatile;
        self
    }

    /// Whether the search is meant to explore every interleaving.
    pub(crate) fn whole(&self) -> bool {
        self.preemptions.is_none()
    }

    /// Whether the search records a trace of each interleaving.
    pub(crate) fn keeps_trace(&self) -> bool {
        match self.repeats {
            Repeats::Explored => false,
            Repeats::Counted => true,
            // A limit on preemptions counts those on the way, and two equal interleavings may differ in that count.
            Repeats::Pruned => self.whole(),
        }
    }
}

impl Default for Options {
    fn default() -> Self {
        Self::new()
    }
}

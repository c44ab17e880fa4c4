//! The functions that a test calls, and the result of a search.

use super::finding::{self, Bound, Finding, FindingKind, count};
use super::options::Options;
use super::{search, world};
use std::fmt;
use std::time::Duration;

/// How much of the interleavings a search has explored.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Extent {
    /// All of them.
    Exhausted,
    /// Not all of them, because of a limit.
    BoundedBy(Bound),
    /// The search ended at a finding.
    Convicted,
}

/// The result of [`explore`]. A test must look at it: [`Self::check`] fails unless the search was exhaustive and found nothing.
#[derive(Debug, Clone)]
#[non_exhaustive]
#[must_use = "a test that ignores the result passes whatever the search found: call `check`"]
pub struct Exploration {
    /// The name that was passed to [`explore`].
    pub name: String,
    /// How many interleavings ran, including the last. At least 1.
    pub interleavings: u64,
    /// How many of them repeated an earlier one. 0 with [`Repeats::Explored`](crate::Repeats::Explored).
    pub repeats: u64,
    /// How much of the interleavings the search has explored.
    pub extent: Extent,
    /// The violation that ended the search.
    pub finding: Option<Finding>,
    /// Places of volatile accesses that were treated as atomics, as [`Options::volatile`] says. The code is correct only
    /// if they are atomic.
    pub volatile: Vec<String>,
    /// How long the search took.
    pub elapsed: Duration,
}

impl fmt::Display for Exploration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let interleavings = count(self.interleavings, "interleaving");
        write!(f, "{}: ", self.name)?;
        match &self.extent {
            Extent::Exhausted => write!(f, "exhausted, {interleavings}")?,
            Extent::BoundedBy(bound) => write!(f, "bounded by {bound}, {interleavings}")?,
            Extent::Convicted => write!(f, "convicted")?,
        }
        match self.repeats {
            0 => {}
            1 => write!(f, " (1 of them repeats an earlier one)")?,
            repeats => write!(f, " ({repeats} of them repeat earlier ones)")?,
        }
        write!(f, ", {:.2?}", self.elapsed)?;
        for place in &self.volatile {
            write!(f, "\nvolatile access treated as an atomic: {place}")?;
        }
        if let Some(finding) = &self.finding {
            write!(f, "\n{finding}")?;
        }
        Ok(())
    }
}

impl Exploration {
    /// Checks that every interleaving was explored, and that none of them showed a violation.
    ///
    /// A search that was only bounded fails the check. Where that is expected, for instance because the code has a spin loop,
    /// compare [`Self::extent`] instead.
    ///
    /// # Panics
    ///
    /// With the printed result, otherwise.
    #[track_caller]
    pub fn check(&self) {
        assert!(self.extent == Extent::Exhausted && self.finding.is_none(), "{self}");
    }

    /// Checks that the search found a violation of this kind, and returns the finding.
    ///
    /// # Panics
    ///
    /// With the printed result, otherwise.
    #[track_caller]
    pub fn assert_convicted(&self, kind: FindingKind) -> &Finding {
        match &self.finding {
            Some(finding) if finding.kind == kind => finding,
            _ => panic!("expected a finding of kind {kind:?}, but: {self}"),
        }
    }
}

/// Explores the interleavings of `f`, within the limits of `options`.
///
/// `f` runs once in each interleaving. C code that it calls may create threads, and `f` may [`spawn`](crate::spawn) them. `f`
/// must do the same whenever the schedule is the same: it must not depend on real time, random numbers or addresses of Rust's
/// heap. All threads must end before `f` returns, or soon after.
///
/// A panic that leaves `f`, or a thread of C code, is a finding; a panic that Rust code catches is not. Callbacks had better use
/// [`fail`], which does not unwind.
///
/// Blocks until the search has ended. It runs on a thread of its own, and searches of one process wait for each other. A search
/// that finds something keeps its thread, and what that thread owns, until the process ends: C code need not survive unwinding,
/// so the interleaving stays where it stopped.
///
/// # Panics
///
/// When the options allow no interleaving at all, or when called from inside a search.
#[must_use = "a test that ignores the result passes whatever the search found: call `check`"]
pub fn explore(name: &str, options: &Options, f: impl Fn() + Send + Sync + 'static) -> Exploration {
    search::run(name, options, None, &mut search::Listener::default(), f)
}

/// Runs a search again up to the interleaving of `finding`. As long as the code and the options are the same, the result has
/// the same finding, with the same events in the same order.
///
/// # Panics
///
/// When the options allow no interleaving at all, or when called from inside a search.
#[must_use = "the result says whether the finding was reproduced"]
pub fn replay(name: &str, options: &Options, finding: &Finding, f: impl Fn() + Send + Sync + 'static) -> Exploration {
    search::run(name, options, Some(finding.interleaving), &mut search::Listener::default(), f)
}

/// Ends the interleaving with a finding of kind [`FindingKind::Failed`]. For assertions in Rust code that C code calls: unlike a
/// panic, it does not unwind through C frames.
///
/// # Panics
///
/// Outside a search, always.
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

/// Writes a line into the timeline of the interleaving, in the column of the calling thread. Does nothing outside a search.
#[track_caller]
pub fn note(text: &str) {
    let place = std::panic::Location::caller();
    if let Some(me) = world::enter() {
        world::with(|world| world.did(me, 0, format!("{text} ({})", finding::at(place))));
    }
}

//! Explores Rust code: every execution that the memory model allows, each once.
//!
//! [`explore`] runs a closure again and again, until there is no execution left that it has not seen. In place of
//! std's modules, the threads of the closure use [`sync`](crate::sync), [`thread`](crate::thread) and
//! [`cell`](crate::cell).
//!
//! ```
//! use latecall_explore::sync::atomic::{AtomicU32, Ordering};
//! use latecall_explore::{Options, executions, sync::Arc, thread};
//!
//! let explored = executions::explore("two counters", &Options::new(), || {
//!     let counter = Arc::new(AtomicU32::new(0));
//!     let shared = Arc::clone(&counter);
//!     let other = thread::spawn(move || shared.fetch_add(1, Ordering::Relaxed));
//!     counter.fetch_add(1, Ordering::Relaxed);
//!     other.join();
//!     assert_eq!(counter.load(Ordering::Relaxed), 2);
//! });
//! explored.check();
//! ```
//!
//! For readers who know loom, `docs/explore.md` in latecall's sources says what is different, and what a search costs.
//!
//! # What is explored
//!
//! An *execution* is a graph: which write each read reads from, in which order the writes to each location come, in
//! which order each lock is taken. Two interleavings with one graph are one execution, and it is visited once. The
//! search is TruSt (Kokologiannakis, Marmanis, Gladstein, Vafeiadis: Truly Stateless, Optimal Dynamic Partial Order
//! Reduction, POPL 2022).
//!
//! The memory model is RC11 (Lahav, Vafeiadis, Kang, Hur, Dreyer: Repairing Sequential Consistency in C/C++11, PLDI
//! 2017) in C++20's wording: release sequences go on through read-modify-writes only, and sequential consistency is as
//! in \[atomics.order\]. Executions in which a load reads from a store that comes later in the same cycle of program
//! order and reads-from (load buffering) are not explored; the standard allows them.
//!
//! Data that is not atomic is checked: a race of two accesses of a [`cell::UnsafeCell`](crate::cell::UnsafeCell) is a
//! finding. In a program without races such data has the value that happens-before says, so it needs no exploring.
//! (That no race is missed so is argued, and compared with an oracle on random programs. It is not proved.)
//!
//! # What it finds
//!
//! * A panic in any execution.
//! * A data race.
//! * A deadlock: threads that wait for a lock, a join or a value that never comes.
//!
//! # What it cannot do
//!
//! * A loop that waits for another thread is found if it only reads, and comes back to the same read with the same
//!   stack and registers. It is then one event, as `wait_while_eq` of the atomic types is. Other loops are executed:
//!   one that has an effect, for example an exchange or a lock, and one that counts. An execution with more than
//!   [`Options::max_branches`] events is cut short; the search is then bounded, and [`Explored::busiest`] is the place
//!   of the loop. A counter on the heap is noticed if it ends the loop within 10,000 rounds.
//! * The closure must do the same in each run, as long as it reads the same. What outlives a run and is not a type of
//!   this crate, clocks and random numbers must not decide what a thread does. If they do and the search notices, it is
//!   bounded and says where.
//! * An execution that ends in a deadlock, or is cut short, does not unwind: what its threads own is never dropped.
//! * That an atomic variable is created before another thread uses it is taken for granted.

mod extend;
mod fiber;
mod graph;
mod loops;
mod names;
mod plain;
mod runner;
mod search;
mod stacks;
mod timeline;

#[cfg(test)]
mod tests;

pub(crate) use fiber::{Entry, Failure, Request, Tag};
pub(crate) use graph::{Action, Order, Step, Test};
pub(crate) use plain::{Access, Shadow};
pub(crate) use runner::{ask, with};

use crate::finding::{Bound, Finding, FindingKind, count};
use crate::std_types::{Mutex, lock};
use crate::{Extent, Options};
use runner::{End, Runner};
use std::fmt;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// The result of [`explore`]. A test must look at it: [`Self::check`] fails unless the search was exhaustive and found
/// nothing.
#[derive(Debug, Clone)]
#[non_exhaustive]
#[must_use = "a test that ignores the result passes whatever the search found: call `check`"]
pub struct Explored {
    /// The name that was passed to [`explore`].
    pub name: String,
    /// How many executions there are, of those that came to their end.
    pub executions: u64,
    /// How many runs were none of the program's executions: a thread waited that a newer value would have let go. They
    /// are the cost of waiting.
    pub blocked: u64,
    /// How much of the executions the search has visited.
    pub extent: Extent,
    /// Of an execution that was cut short because of [`Options::max_branches`]: the place with the most events, and how
    /// many. Mostly a loop that waits, and does more than read.
    pub busiest: Option<String>,
    /// The violation that ended the search. Its `interleaving` is the number of the run that shows it.
    pub finding: Option<Finding>,
    /// How long the search took.
    pub elapsed: Duration,
}

impl Explored {
    /// Checks that every execution was visited, and that none of them showed a violation.
    ///
    /// # Panics
    ///
    /// With the printed result, otherwise.
    #[track_caller]
    pub fn check(&self) {
        assert!(self.extent == Extent::Exhausted, "{self}");
    }
}

impl fmt::Display for Explored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let executions = count(self.executions, "execution");
        write!(f, "{}: ", self.name)?;
        match (&self.extent, &self.finding) {
            (_, Some(finding)) => {
                write!(f, "{} after {executions}: {}\n{}", finding.kind, finding.message, finding.timeline)
            }
            (Extent::BoundedBy(bound), None) => {
                write!(f, "bounded by {bound}, {executions}")?;
                let busiest = self.busiest.as_ref();
                busiest.map_or(Ok(()), |place| write!(f, "; most events of an execution that was cut short: {place}"))
            }
            _ => write!(f, "exhausted, {executions}, {}, {:.1?}", count(self.blocked, "blocked run"), self.elapsed),
        }
    }
}

/// One search at a time: statics of this crate's types have one location.
static SEARCHING: Mutex<()> = Mutex::new(());

/// Visits every execution of `program`, each once, until one of them shows a violation or a limit is reached.
///
/// Of `options`, [`max_interleavings`](Options::max_interleavings) limits the runs,
/// [`max_duration`](Options::max_duration) the time, [`max_branches`](Options::max_branches) the events of one
/// execution, and [`stack`](Options::stack) the bytes of each thread's stack. The others have no effect.
///
/// Blocks until the search has ended. All threads of `program` run on the calling thread, one at a time. Searches of
/// one process wait for each other.
///
/// # Panics
///
/// If the calling thread is inside of a search already, and if there is no memory for a stack.
pub fn explore(name: &str, options: &Options, program: impl Fn() + 'static) -> Explored {
    assert!(!runner::is_running(), "a search inside a search: `{name}`");
    let _one_at_a_time = lock(&SEARCHING);
    let began = Instant::now();
    let mut explored = Explored {
        name: name.to_owned(),
        executions: 0,
        blocked: 0,
        extent: Extent::Exhausted,
        busiest: None,
        finding: None,
        elapsed: Duration::ZERO,
    };
    let mut too_long = false;
    let mut runs = 0;
    let mut limit = None;
    let (stack, most_events) = (options.stack, options.max_branches);
    visit(program, most_events, stack, |runner| {
        // There is another run.
        limit = if options.max_interleavings.is_some_and(|most| runs >= most) {
            options.max_interleavings.map(Bound::Interleavings)
        } else if options.max_duration.is_some_and(|most| runs > 0 && began.elapsed() >= most) {
            options.max_duration.map(Bound::Duration)
        } else {
            None
        };
        if limit.is_some() {
            return false;
        }
        let end = runner.run();
        runs += 1;
        let kind = match &end {
            End::Execution => {
                explored.executions += 1;
                None
            }
            End::Blocked | End::Assumed => {
                explored.blocked += 1;
                None
            }
            End::TooLong => {
                too_long = true;
                explored.busiest = runner.busiest();
                None
            }
            End::Learnt => {
                (explored.executions, explored.blocked, runs, too_long) = (0, 0, 0, false);
                return true;
            }
            End::Deadlock(waiting) => Some((FindingKind::Deadlock, waiting.clone())),
            End::Failed(Failure::Panicked(message)) => Some((FindingKind::Failed, message.clone())),
            End::Failed(Failure::Race(message)) => Some((FindingKind::DataRace, message.clone())),
            End::Failed(Failure::NotDeterministic(message)) => {
                explored.extent = Extent::BoundedBy(Bound::Unmodelled(message.clone()));
                return false;
            }
        };
        if let Some((kind, message)) = kind {
            let mut finding = Finding::new(kind, message, None);
            finding.interleaving = runs;
            finding.timeline = timeline::of(runner);
            explored.finding = Some(finding);
            explored.extent = Extent::Convicted;
            return false;
        }
        true
    });
    if let Some(bound) = limit {
        explored.extent = Extent::BoundedBy(bound);
    }
    if too_long && explored.extent == Extent::Exhausted {
        explored.extent = Extent::BoundedBy(Bound::Branches(most_events));
    }
    explored.elapsed = began.elapsed();
    explored
}

/// Returns one of `0..count`. Each is explored.
///
/// # Panics
///
/// Outside of a search, and if `count` is 0.
#[track_caller]
pub fn choose(count: u64) -> u64 {
    assert!(count > 0, "a choice between nothing");
    ask(Request::Choose { count })
}

/// Goes on only if `condition` holds. Otherwise the thread stops, and the execution is not counted.
///
/// The other threads go on: what they store may make the condition hold in another execution.
///
/// # Panics
///
/// Outside of a search.
#[track_caller]
pub fn assume(condition: bool) {
    if !condition {
        ask(Request::Assume);
    }
}

/// Calls `run` for each graph that is to be run, until there is none left or `run` returns false.
fn visit(program: impl Fn() + 'static, most_events: usize, stack: usize, mut run: impl FnMut(&mut Runner) -> bool) {
    let mut runner = Box::new(Runner::new(Rc::new(program), most_events, stack));
    while run(&mut runner) && (runner.search.is_new() || runner.search.backtrack()) {}
    runner.stacks.keep();
}

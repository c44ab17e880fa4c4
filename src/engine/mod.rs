//! Engines: each runs programs on a subject, and reports what they prove.
//!
//! A program takes one way through the crate:
//!
//! 1. `program`: an engine makes a program, or is given one.
//! 2. `engine`: [`run::execute`] opens a session of the subject and does the program's ops on it.
//! 3. `subject`: the session does to the binding what each op says; the binding's library calls the callbacks.
//! 4. `ledger`: each callback is a witness, which reports what happens to it as events. The judge reads the events and
//!    says which rules were broken.
//! 5. [`report`]: the engine counts the run. If a rule was broken, it makes the program smaller and reports it as a
//!    counterexample, with the run's [`timeline`].
//!
//! How the parts fit:
//!
//! * [`run`]: one program, once, on real threads.
//! * [`replay`]: given programs. [`property`]: generated programs, shrunk when they fail. [`stress`]: generated
//!   programs of two or more threads, many times, disturbed at the stall sites. `search`: what these three have in
//!   common.
//! * [`model`]: every interleaving of small programs, with the C code's. It has the same interpreter on loom's threads.
//! * [`fuzz`]: what a fuzz target does with a fuzzer's bytes.
//!
//! Not here: which subjects and engines make a gate (`gate`), and what is printed (the command).

pub mod fuzz;
pub mod model;
pub mod property;
pub mod replay;
pub mod report;
pub mod run;
mod search;
pub mod stress;
#[cfg(test)]
mod tests;
pub mod timeline;

use crate::subject::Subject;
use report::Report;

/// Runs programs on a subject.
pub trait Engine {
    /// The engine's name in tables and on the command line.
    fn name(&self) -> &'static str;

    /// Runs programs, and reports. Blocks until the search is over. Never panics and never hangs. If there is no
    /// verdict, [`Report::error`] says why. `watch` is given the report so far, many times a second.
    fn check(&self, subject: &dyn Subject, watch: &mut dyn FnMut(&Report)) -> Report;
}

/// The names of the engines, in the order of the gate.
pub const ENGINES: [&str; 4] = ["replay", "property", "stress", "model"];

//! What is tested: a binding, as the harness sees it.
//!
//! A [`Subject`] makes a [`Session`] for each run of a program; the session does to the binding what the program's ops say.
//! Implement both for a binding of your own, and every engine runs on it.
//!
//! How the parts fit: this file has the two traits; [`Env`], [`pass`] and [`late`] are what a subject uses of a run; a
//! [`Catalogue`] lists subjects by name, for the gate and for fuzz targets.
//!
//! Nothing in a subject that the model engine explores may depend on anything but the order of its operations (the order of a
//! hash map, say): the engine runs the subject thousands of times and expects the same each time.

mod catalogue;
mod env;

use crate::ledger::{Answer, Call, Contract, Witness};
use crate::program::{CallbackId, Expect, Hostile, Op, Program, Site, VerbSet};
use std::collections::BTreeMap;
use std::fmt;

pub use catalogue::{Catalogue, Entry, KnownFlaw, Library, LibraryError};
pub use env::{Env, late, pass};
pub(crate) use env::{late_in, pass_in};

/// A binding under test.
pub trait Subject: Send + Sync {
    /// Its name: `[a-z0-9_/.-]+`.
    fn name(&self) -> &str;

    /// What it offers: programs that need more are not run on it.
    fn offer(&self) -> Offer;

    /// What the rules need to know of it.
    fn contract(&self) -> Contract {
        Contract::default()
    }

    /// The same binding for the model engine: its locks and atomics are loom's, and its library is instrumented
    /// ([`latecall_explore`]). `None`: it has no such twin, and the model engine does not check it.
    fn modelled(&self) -> Option<Box<dyn Subject>> {
        None
    }

    /// Whether the search sees all that the twin's threads share. It sees the memory and the objects of instrumented C code; it
    /// does not see loom's types where Rust code uses them, but for the bundled subjects. If it does, interleavings that
    /// repeat others are left early ([`Repeats::Pruned`](latecall_explore::Repeats::Pruned)); if it does not and this says so,
    /// interleavings are lost.
    fn all_seen(&self) -> bool {
        false
    }

    /// A fresh instance of the binding and its library, for one run.
    ///
    /// # Errors
    ///
    /// What kept the library from being opened. That is a harness error, never a verdict.
    fn open(&self, env: &Env) -> Result<Box<dyn Session>, OpenError>;
}

/// What a subject offers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Offer {
    /// The ops.
    pub verbs: VerbSet,
    /// The switches of its library that it must withstand.
    pub hostile: Vec<Hostile>,
    /// Where a thread can be parked.
    pub sites: Vec<Site>,
    /// Most subscriptions at a time; `None`: no limit.
    pub capacity: Option<usize>,
}

/// Why a session could not be opened.
#[derive(Debug)]
pub struct OpenError(pub String);

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for OpenError {}

/// One instance of a binding and its library, used by one run.
///
/// Called from the program's threads, and from inside callbacks, at the same time. The harness calls nothing for a
/// callback that was not registered, and nothing after [`Session::shutdown`]; it may call any verb again for a callback
/// that is already revoked. Verbs that the subject does not offer are never called.
///
/// Dropping the session must drop every witness that is left.
pub trait Session: Send + Sync {
    /// Hands the callbacks to the library, which retains them. Several at once are one table. [`Answer::Done`], or
    /// [`Answer::Refused`] with every witness dropped.
    fn register(&self, witnesses: Vec<Witness>) -> Answer;

    /// The library calls once, on this thread, and keeps nothing.
    fn invoke(&self, witness: Witness, call: Call) -> Answer {
        let _ = (witness, call);
        Answer::Skipped
    }

    /// The library calls for items 0 to `count - 1` until the callback returns 0. [`Answer::Value`]: how many calls.
    fn enumerate(&self, witness: Witness, count: u32, call: Call) -> Answer {
        let _ = (witness, count, call);
        Answer::Skipped
    }

    /// The library calls it on this thread. [`Answer::Value`]: what the callback returned, 0 when nothing was called.
    fn fire(&self, callback: CallbackId, call: Call) -> Answer;

    /// The library calls it on a thread of its own, and this waits.
    fn send(&self, callback: CallbackId, call: Call) -> Answer {
        let _ = (callback, call);
        Answer::Skipped
    }

    /// The library queues a delivery.
    fn post(&self, callback: CallbackId, call: Call) -> Answer {
        let _ = (callback, call);
        Answer::Skipped
    }

    /// No new call starts; does not wait. [`Answer::Removed`], [`Answer::InFlight`] or [`Answer::AlreadyRevoked`]; a
    /// binding that does not know says [`Answer::Done`].
    fn revoke(&self, callback: CallbackId) -> Answer;

    /// No new call starts; waits until quiescent, frames of this thread excepted. [`Answer::Quiescent`] or
    /// [`Answer::Deferred`].
    fn revoke_and_wait(&self, callback: CallbackId) -> Answer;

    /// As [`Session::revoke_and_wait`], and the library is not told.
    fn release(&self, callback: CallbackId) -> Answer {
        let _ = callback;
        Answer::Skipped
    }

    /// The library is told, and the Rust side keeps the callback.
    fn unsubscribe(&self, callback: CallbackId) -> Answer {
        let _ = callback;
        Answer::Skipped
    }

    /// The guard is leaked.
    fn forget(&self, callback: CallbackId) -> Answer {
        let _ = callback;
        Answer::Skipped
    }

    /// The library swaps `old` for the new callback in place; then `old` is revoked, without waiting.
    fn replace(&self, old: CallbackId, witness: Witness) -> Answer {
        let _ = (old, witness);
        Answer::Skipped
    }

    /// Registers and revokes `count` callbacks, one after the other.
    fn churn(&self, count: u32, make: &dyn Fn() -> Witness) -> Answer {
        let _ = (count, make);
        Answer::Skipped
    }

    /// Returns once everything posted before has been delivered or dropped.
    fn barrier(&self) -> Answer {
        Answer::Skipped
    }

    /// Revokes everything that is registered, and closes the library. [`Answer::Refused`] when called from inside one of
    /// its callbacks, and then it does nothing. Called at the end of each run when the program did not.
    fn shutdown(&self) -> Answer;
}

/// Whether the expectations of `program` can hold on `subject`.
///
/// False in two cases:
///
/// * the program registers more callbacks than the subject's library takes;
/// * the subject's library calls each callback at most once, and a program with expectations fires one callback twice.
///
/// A program without expectations passes the second rule on every subject.
pub fn suits(program: &Program, subject: &dyn Subject) -> bool {
    let capacity = subject.offer().capacity.unwrap_or(usize::MAX);
    let registered: usize = program
        .steps()
        .filter(|step| step.expect != Some(Expect::Refused))
        .map(|step| if let Op::Register(ids) = &step.op { ids.len() } else { 0 })
        .sum();
    let mut firings = BTreeMap::new();
    for step in program.steps() {
        if let Op::Fire(id, _) | Op::Send(id, _) | Op::Post(id, _) = step.op {
            *firings.entry(id).or_insert(0) += 1;
        }
    }
    let once = subject.contract().once && firings.values().any(|n| *n > 1);
    registered <= capacity && !(once && program.steps().any(|step| step.expect.is_some()))
}

impl fmt::Debug for dyn Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Debug for dyn Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Session")
    }
}

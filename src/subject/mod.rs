//! What is tested: a binding, as the harness sees it.
//!
//! A [`Subject`] makes a [`Session`] for each run of a program; the session does to the binding what the program's
//! ops say. Implement both for a binding of your own, and every engine runs on it.
//!
//! How the parts fit: this file has the two traits; [`Env`], [`pass`] and [`late`] are what a subject uses of a run; a
//! [`Catalogue`] lists subjects by name, for the gate and for fuzz targets.
//!
//! A subject that the model engine explores must be deterministic: what it does may depend on the order of its
//! operations only, and not on the order of a hash map, say. The engine runs the subject thousands of times and
//! expects the same each time.

mod catalogue;
mod env;
mod open_error;

use crate::ledger::{Answer, Call, Contract, Witness};
use crate::program::{CallbackId, Expect, Hostile, Op, Program, Site, VerbSet};
use std::collections::BTreeMap;
use std::fmt;

pub use open_error::OpenError;

pub use catalogue::{Catalogue, Entry, KnownFlaw, Library, LibraryError};
pub use env::{Env, late, pass};
pub(crate) use env::{late_in, pass_in};

/// A binding under test.
pub trait Subject: Send + Sync {
    /// The subject's name: `[a-z0-9_/.-]+`.
    fn name(&self) -> &str;

    /// What the subject offers. Programs that need more are not run on it.
    fn offer(&self) -> Offer;

    /// What the rules need to know of the subject.
    fn contract(&self) -> Contract {
        Contract::default()
    }

    /// The subject's twin: the same binding for the model engine. Its locks and atomics are loom's, and its library is
    /// instrumented ([`latecall_explore`]). `None`: there is no twin, and the model engine does not check the subject.
    fn modelled(&self) -> Option<Box<dyn Subject>> {
        None
    }

    /// Whether the search sees everything that the twin's threads share.
    ///
    /// The search sees the memory and the objects of instrumented C code. It does not see loom's types in Rust code,
    /// except in the bundled subjects. If this is true, interleavings that repeat an earlier one are pruned
    /// ([`Repeats::Pruned`](latecall_explore::Repeats::Pruned)). If this is true and the search does not see
    /// everything, interleavings are lost.
    fn all_seen(&self) -> bool {
        false
    }

    /// Opens a fresh instance of the binding and its library, for one run.
    ///
    /// # Errors
    ///
    /// Why the library could not be opened. The run then has no verdict.
    fn open(&self, env: &Env) -> Result<Box<dyn Session>, OpenError>;
}

/// What a subject offers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Offer {
    /// The ops.
    pub verbs: VerbSet,
    /// The hostile switches of the library under which the binding must stay sound.
    pub hostile: Vec<Hostile>,
    /// The stall sites at which a thread can be held.
    pub sites: Vec<Site>,
    /// Most subscriptions at a time; `None`: no limit.
    pub capacity: Option<usize>,
}

impl Offer {
    /// An offer of the ops in `verbs`, without hostile switches and stall sites, and without a limit of subscriptions.
    pub fn new(verbs: VerbSet) -> Self {
        Offer { verbs, ..Offer::default() }
    }

    /// Sets [`Self::hostile`].
    #[must_use]
    pub fn with_hostile(mut self, switches: impl Into<Vec<Hostile>>) -> Self {
        self.hostile = switches.into();
        self
    }

    /// Sets [`Self::sites`].
    #[must_use]
    pub fn with_sites(mut self, sites: impl Into<Vec<Site>>) -> Self {
        self.sites = sites.into();
        self
    }

    /// Sets [`Self::capacity`].
    #[must_use]
    pub fn with_capacity(mut self, subscriptions: usize) -> Self {
        self.capacity = Some(subscriptions);
        self
    }
}

/// One instance of a binding and its library, used by one run.
///
/// The harness calls it from the program's threads, and from inside callbacks, at the same time. What it calls:
///
/// * Only verbs that the subject offers.
/// * For a callback that is not registered: only the verbs that hand over its witness.
/// * For a callback that is already revoked: any verb, again.
/// * While [`Session::shutdown`] runs: only ops in the bodies of callbacks that it calls.
/// * When [`Session::shutdown`] has returned: nothing.
///
/// Dropping the session must drop every witness that is left.
pub trait Session: Send + Sync {
    /// Hands the callbacks to the library, which retains them; several at once as one table. Returns
    /// [`Answer::Done`], or [`Answer::Refused`] with every witness dropped.
    fn register(&self, witnesses: Vec<Witness>) -> Answer;

    /// The library calls the callback once, on this thread, and retains nothing.
    fn invoke(&self, witness: Witness, call: Call) -> Answer {
        let _ = (witness, call);
        Answer::Skipped
    }

    /// The library calls the callback for items 0 to `count - 1` until the callback returns 0, and retains nothing.
    /// Returns [`Answer::Value`] with the number of calls.
    fn enumerate(&self, witness: Witness, count: u32, call: Call) -> Answer {
        let _ = (witness, count, call);
        Answer::Skipped
    }

    /// The library calls the callback on this thread. Returns [`Answer::Value`] with what the callback returned, or
    /// with 0 if nothing was called.
    fn fire(&self, callback: CallbackId, call: Call) -> Answer;

    /// The library calls the callback on a thread of its own, and this thread waits. Returns what [`Session::fire`]
    /// returns.
    fn send(&self, callback: CallbackId, call: Call) -> Answer {
        let _ = (callback, call);
        Answer::Skipped
    }

    /// The library queues a call of the callback on a thread of its own.
    fn post(&self, callback: CallbackId, call: Call) -> Answer {
        let _ = (callback, call);
        Answer::Skipped
    }

    /// From now on no new call starts. Does not wait. Returns [`Answer::Removed`], [`Answer::InFlight`] or
    /// [`Answer::AlreadyRevoked`]; a binding that does not know returns [`Answer::Done`].
    fn revoke(&self, callback: CallbackId) -> Answer;

    /// From now on no new call starts. Waits for the calls in flight, except for those on this thread's own stack.
    /// Returns [`Answer::Quiescent`] or, if there are calls on this thread's stack, [`Answer::Deferred`].
    fn revoke_and_wait(&self, callback: CallbackId) -> Answer;

    /// Does what [`Session::revoke_and_wait`] does on the Rust side, without telling the library.
    fn release(&self, callback: CallbackId) -> Answer {
        let _ = callback;
        Answer::Skipped
    }

    /// Unsubscribes the callback from the library. The Rust side keeps it.
    fn unsubscribe(&self, callback: CallbackId) -> Answer {
        let _ = callback;
        Answer::Skipped
    }

    /// Leaks the guard, so that the callback is never revoked.
    fn forget(&self, callback: CallbackId) -> Answer {
        let _ = callback;
        Answer::Skipped
    }

    /// The library replaces `old` by the new callback in place. Then `old` is revoked, without waiting.
    fn replace(&self, old: CallbackId, witness: Witness) -> Answer {
        let _ = (old, witness);
        Answer::Skipped
    }

    /// Registers and revokes `count` callbacks, one after the other.
    fn churn(&self, count: u32, make: &dyn Fn() -> Witness) -> Answer {
        let _ = (count, make);
        Answer::Skipped
    }

    /// Returns when every call that was posted before has been made or dropped.
    fn barrier(&self) -> Answer {
        Answer::Skipped
    }

    /// Revokes all callbacks, and closes the library. Inside a callback of the library it does nothing and returns
    /// [`Answer::Refused`]. At the end of each run the harness calls it if the program did not.
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
#[must_use]
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

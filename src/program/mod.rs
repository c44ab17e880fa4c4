//! Programs: the language that every engine runs and every report prints.
//!
//! A [`Program`] says what an owner and a library do with a few callbacks, on a few threads. A program names no
//! binding: the same text runs on any [`Subject`](crate::subject::Subject) that offers the verbs which it uses
//! ([`Program::verbs`]).
//!
//! How the parts fit:
//!
//! * [`op`]: the data: [`Op`], [`Step`], [`Expect`], [`Verb`], [`Hostile`], [`Site`].
//! * `section`: [`Section`] and [`StepId`]: where a step stands. `verb_set`: [`VerbSet`].
//! * [`text`]: the text form, one op a line: parsing, printing, errors with line and column.
//! * [`valid`]: the rules for a program that is built in code.
//! * [`generate`]: programs from raw choices (a fuzzer's bytes, proptest's tuples). They are always valid and use only
//!   the verbs that a subject offers.
//! * [`canonical`]: the tidy form, without anything unused.
//! * [`seeds`]: the programs that come with the crate.
//! * [`shrink`]: reduces a program that fails to a small program that still fails.
//!
//! A program holds no schedule. Orders are forced by the ops `hold`, `reach`, `open` and `stall`, so that a forced
//! order reads the same in every engine.
//!
//! This module depends on no other module of the crate.

pub mod canonical;
pub mod generate;
pub mod op;
mod section;
pub mod seeds;
pub mod shrink;
#[cfg(test)]
mod tests;
pub mod text;
pub mod valid;
mod verb_set;

pub use op::{Args, CallbackId, Expect, GateId, Hostile, Op, Site, Step, Verb};
pub use section::{Section, StepId};
pub use text::ParseError;
pub use valid::{InvalidProgram, validate};
pub use verb_set::VerbSet;

/// Maximum number of callbacks in one program. A callback's identifier must fit into an event of the ledger.
pub const MAX_CALLBACKS: usize = 64;
/// Maximum number of threads in one program, not counting the main thread, which runs `before` and `after`.
pub const MAX_THREADS: usize = 8;
/// Maximum number of gates in one program.
pub const MAX_GATES: usize = 32;
/// Maximum number of steps in one section or body.
pub const MAX_STEPS: usize = 1000;
/// Maximum number of registrations that one `churn` makes.
pub const MAX_CHURN: u32 = 10_000_000;

/// A program: its callbacks, and the steps that run before its threads, on them, and after them.
///
/// Start from [`Program::parse`] or from `Program::default()`, the empty program, and set fields. [`validate`] says
/// whether the result is a program.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Program {
    /// The subject to replay on if the command line names none (`subject NAME`).
    pub subject: Option<String>,
    /// What the library does wrong (`hostile NAME`), in the order of [`Hostile::ALL`].
    pub hostile: Vec<Hostile>,
    /// The Nth allocation of the library fails; 1 is the first (`fail_allocation N`).
    pub fail_allocation: Option<u32>,
    /// Maximum number of live subscriptions that the library takes (`capacity N`).
    pub capacity: Option<u32>,
    /// The callbacks; a [`CallbackId`] is an index into this list.
    pub callbacks: Vec<Callback>,
    /// Names of the gates; a [`GateId`] is an index into this list.
    pub gates: Vec<String>,
    /// Runs first, alone, on the main thread.
    pub before: Vec<Step>,
    /// Run at the same time, each on its own thread. Reports name the threads `t1`, `t2`, ….
    pub threads: Vec<Vec<Step>>,
    /// Runs last, alone, on the main thread. Then the session is closed.
    pub after: Vec<Step>,
}

/// A callback. A program registers it at most once, so its name identifies it in every report.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Callback {
    /// The name: `[a-z][a-z0-9_]*`.
    pub name: String,
    /// What each call returns.
    pub returns: Returns,
    /// The callback is an `FnMut`: two calls of it must never overlap (`exclusive`).
    pub exclusive: bool,
    /// The callback is not `Send`: it may only run on the thread that registered it (`confined`).
    pub confined: bool,
    /// What each call does before it returns. A step with [`Step::nth`] runs only in that call.
    pub body: Vec<Step>,
}

impl Callback {
    /// A callback with this name that returns [`Returns::Sum`], has no attributes and an empty body.
    pub fn new(name: impl Into<String>) -> Self {
        Callback { name: name.into(), returns: Returns::Sum, exclusive: false, confined: false, body: Vec::new() }
    }

    /// Whether the behaviour of a call depends on how many calls came before it.
    pub(crate) fn counts(&self) -> bool {
        self.returns == Returns::Counting || self.body.iter().any(|step| step.nth.is_some())
    }
}

/// What a callback returns, from its arguments `a` and `b`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Returns {
    /// `a + b` (`MarshalDelegate1` of .NET's page on callbacks: 243 and 257 give 500).
    Sum,
    /// `a + b + x`, where `x` is the number of calls so far, this call included (`MarshalDelegate2`: 501, then 502).
    Counting,
}

impl Program {
    /// Parses the text form.
    ///
    /// # Errors
    ///
    /// The first place that is not a program: its line, its column, and what was expected there.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        text::parse(text)
    }

    /// The verbs that running this program needs, including those in callback bodies.
    pub fn verbs(&self) -> VerbSet {
        let mut verbs: VerbSet = self.steps().map(|step| step.op.verb()).collect();
        for callback in &self.callbacks {
            if callback.exclusive {
                verbs.insert(Verb::Exclusive);
            }
            if callback.confined {
                verbs.insert(Verb::Confined);
            }
        }
        verbs
    }

    /// The number of steps. Shrinking looks for the program with the fewest.
    pub fn len(&self) -> usize {
        self.steps().count()
    }

    /// Whether the program has no steps.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The name of a callback, or `?` for an identifier that the program does not have.
    pub fn callback_name(&self, id: CallbackId) -> &str {
        self.callbacks.get(id.0 as usize).map_or("?", |callback| &callback.name)
    }

    /// The name of a gate, or `?` for an identifier that the program does not have.
    pub fn gate_name(&self, id: GateId) -> &str {
        self.gates.get(id.0 as usize).map_or("?", |name| name)
    }
}

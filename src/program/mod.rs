//! Programs: the one language that every engine runs and every report prints.
//!
//! A [`Program`] says what an owner and a library do with a few callbacks, on a few threads. It names no binding: the same
//! text runs on any [`Subject`](crate::subject::Subject) that offers the verbs it uses ([`Program::verbs`]).
//!
//! How the parts fit:
//!
//! * [`op`]: the data: [`Op`], [`Step`], [`Expect`], [`Verb`], [`Hostile`], [`Site`].
//! * [`text`]: the form for people, one op a line; parsing and printing; errors with line and column.
//! * [`generate`]: programs from raw choices (bytes of a fuzzer, tuples of proptest), always valid, only with the verbs
//!   that a subject offers.
//! * [`valid`]: which programs are programs, for those built in code.
//! * [`canonical`]: their tidy form.
//! * [`seeds`]: the programs that come with the crate.
//! * [`shrink`]: from a program that fails to the smallest one that still does.
//!
//! What a program is *not*: it holds no schedule. Orders are forced by `hold`, `reach`, `open` and `stall`, which are ops
//! like others, so that a forced order reads the same in every engine.

pub mod canonical;
pub mod generate;
pub mod op;
pub mod seeds;
pub mod shrink;
pub mod text;
pub mod valid;

pub use op::{Args, CallbackId, Expect, GateId, Hostile, Op, Site, Step, Verb, VerbSet};
pub use text::ParseError;
pub use valid::validate;

/// Most callbacks in one program: identifiers must fit the ledger's event.
pub const MAX_CALLBACKS: usize = 64;
/// Most threads in one program (beside the main thread, which runs `before` and `after`).
pub const MAX_THREADS: usize = 8;
/// Most gates in one program.
pub const MAX_GATES: usize = 32;
/// Most steps in one section or body.
pub const MAX_STEPS: usize = 1000;
/// Most registrations that one `churn` makes.
pub const MAX_CHURN: u32 = 10_000_000;

/// A program: callbacks with what they do when called, and what runs before, on the threads at once, and after.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Program {
    /// The subject to replay on when nobody says otherwise (`subject NAME`).
    pub subject: Option<String>,
    /// What the library does wrong (`hostile NAME`), in the order of [`Hostile::ALL`].
    pub hostile: Vec<Hostile>,
    /// The Nth allocation of the library fails, 1 is the first (`fail_allocation N`).
    pub fail_allocation: Option<u32>,
    /// Most live subscriptions that the library takes (`capacity N`).
    pub capacity: Option<u32>,
    /// The callbacks; a [`CallbackId`] is an index into this.
    pub callbacks: Vec<Callback>,
    /// Names of the gates; a [`GateId`] is an index into this.
    pub gates: Vec<String>,
    /// Runs first, alone, on the main thread.
    pub before: Vec<Step>,
    /// Run at once, each on a thread of its own, named `t1`, `t2`, … in reports.
    pub threads: Vec<Vec<Step>>,
    /// Runs last, alone, on the main thread; then the session is closed.
    pub after: Vec<Step>,
}

/// A callback: registered at most once in a program, so that its name is its identity in every report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Callback {
    /// Its name: `[a-z][a-z0-9_]*`.
    pub name: String,
    /// What it returns.
    pub kind: Kind,
    /// It is an `FnMut`: two calls of it must never overlap (`exclusive`).
    pub exclusive: bool,
    /// It is not `Send`: it may only run on the thread that registered it (`confined`).
    pub confined: bool,
    /// What it does in each call, before it returns. Steps with [`Step::nth`] only in that call.
    pub body: Vec<Step>,
}

impl Callback {
    /// Whether it matters how often it has been called before.
    pub(crate) fn counts(&self) -> bool {
        self.kind == Kind::Counting || self.body.iter().any(|step| step.nth.is_some())
    }
}

/// What a callback returns, from its arguments `a` and `b`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `a + b` (the .NET page's MarshalDelegate1: 243 and 257 give 500).
    Sum,
    /// `a + b + x`, where `x` is how often it has been called, this call included (MarshalDelegate2: 501, then 502).
    Counting,
}

impl Program {
    /// Parses the text form.
    ///
    /// # Errors
    ///
    /// The first place that is not a program, with line, column and what was expected there.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        text::parse(text)
    }

    /// The verbs that running this program needs, those of callback bodies included.
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

    /// Every step, wherever it stands.
    pub fn steps(&self) -> impl Iterator<Item = &Step> {
        let bodies = self.callbacks.iter().flat_map(|c| &c.body);
        bodies.chain(&self.before).chain(self.threads.iter().flatten()).chain(&self.after)
    }

    /// How many lines of ops the program has: the measure by which a smaller program is better.
    pub fn len(&self) -> usize {
        self.steps().count()
    }

    /// Whether it does nothing at all.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The name of a callback.
    pub fn callback_name(&self, id: CallbackId) -> &str {
        self.callbacks.get(id.0 as usize).map_or("?", |c| &c.name)
    }

    /// The name of a gate.
    pub fn gate_name(&self, id: GateId) -> &str {
        self.gates.get(id.0 as usize).map_or("?", |name| name)
    }
}

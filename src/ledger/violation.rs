//! The rules, and the verdict of a run.

use serde::{Deserialize, Serialize};
use std::fmt;

/// A rule that was broken. Reports and documentation use these names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[non_exhaustive]
pub enum ViolationKind {
    /// User code started after the callback was freed, or after `revoke` answered that no call was left. Or a one-shot
    /// callback ran a second time.
    LateCall,
    /// A callback was freed while a call of it was running, or a block that the binding keeps beside a callback was
    /// used after it was freed.
    FreedInFlight,
    /// User code started after `revoke_and_wait` or `release` answered `quiescent`.
    StartedAfterQuiescence,
    /// User code was still running when `revoke_and_wait` or `release` answered that no call was left to wait for.
    RunningAfterQuiescence,
    /// A firing of one callback ran another.
    Aliased,
    /// A callback was freed twice.
    DoubleDrop,
    /// A callback was never freed.
    Leak,
    /// A live callback was fired and did not run, or what it returned did not come back.
    LostCall,
    /// Two calls of an `FnMut` overlapped.
    ConcurrentFnMut,
    /// A confined callback ran on another thread.
    WrongThread,
    /// A panic of a callback came out of the library.
    UnwindEscaped,
    /// The program cannot go on, because every thread waits.
    Deadlock,
    /// An op did not give the answer that the program expects.
    Unexpected,
    /// Two threads accessed the same memory without synchronisation, and at least one of them wrote.
    DataRace,
    /// C code used memory after it was freed.
    ForeignUseAfterFree,
    /// The process died.
    Crashed,
}

impl ViolationKind {
    /// The name of the variant.
    pub fn name(self) -> String {
        format!("{self:?}")
    }
}

impl fmt::Display for ViolationKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// A broken rule, with its proof.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Violation {
    /// The rule.
    pub kind: ViolationKind,
    /// The name of the callback for which the rule was broken, if there is one.
    pub callback: Option<String>,
    /// What happened, in one sentence.
    pub text: String,
    /// The events that prove it, as indices into the run's events.
    pub proof: Vec<usize>,
}

impl Violation {
    /// A violation of the rule `kind`: what happened, in one sentence, without a callback and without a proof.
    pub fn new(kind: ViolationKind, text: impl Into<String>) -> Self {
        Violation { kind, callback: None, text: text.into(), proof: Vec::new() }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind, self.text)
    }
}

/// What a run proved.
#[must_use]
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Verdict {
    /// The broken rules, in the order in which they were broken. Empty if no violation was seen.
    pub violations: Vec<Violation>,
    /// The number of calls in which user code ran.
    pub calls: usize,
    /// The number of calls that came late and were defused.
    pub defused: usize,
    /// The number of times that a gate gave up: the program asks for an order that is impossible on this subject.
    pub gave_up: usize,
}

impl Verdict {
    /// Whether no rule was broken.
    pub fn is_clean(&self) -> bool {
        self.violations.is_empty()
    }

    /// Whether the rule `kind` was broken.
    pub fn has(&self, kind: ViolationKind) -> bool {
        self.violations.iter().any(|v| v.kind == kind)
    }
}

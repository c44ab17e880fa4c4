//! Which rules there are, and what a run's verdict is.

use serde::{Deserialize, Serialize};
use std::fmt;

/// A rule that was broken. The names are the ones in reports, documentation and `flawed`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[non_exhaustive]
pub enum ViolationKind {
    /// User code started after the callback was freed, or after `revoke` had answered that no call was left (S04, S05).
    LateCall,
    /// What a callback stands for, or a block kept beside it, was freed while a call of it was running (S17, S30).
    FreedInFlight,
    /// User code started after `revoke_and_wait` had answered `quiescent` (S18).
    StartedAfterQuiescence,
    /// User code was still running when `revoke_and_wait` answered that it was not (S18, S24).
    RunningAfterQuiescence,
    /// A firing of one callback ran another (S85, S86).
    Aliased,
    /// A callback was freed twice (S12).
    DoubleDrop,
    /// A callback was never freed (S48).
    Leak,
    /// A live callback was fired and did not run, or its answer did not come back.
    LostCall,
    /// Two calls of an `FnMut` overlapped (S50).
    ConcurrentFnMut,
    /// A confined callback ran on another thread (S60).
    WrongThread,
    /// A panic of a callback came out of the library (S62).
    UnwindEscaped,
    /// The program cannot go on: every thread waits (S37, S40, S41).
    Deadlock,
    /// An op did not answer what the program says it must.
    Unexpected,
    /// Two threads touched the same memory at once, one of them writing.
    DataRace,
    /// The C side used memory after it was freed.
    ForeignUseAfterFree,
    /// The process died.
    Crashed,
}

impl ViolationKind {
    /// Its name, as in the enum.
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
pub struct Violation {
    /// The rule.
    pub kind: ViolationKind,
    /// The callback it was broken for, by name.
    pub callback: Option<String>,
    /// What happened, in one sentence.
    pub text: String,
    /// The events that prove it, as places in the run's events.
    pub proof: Vec<usize>,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind, self.text)
    }
}

/// What a run proved.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Verdict {
    /// The broken rules, in the order in which they were broken; empty: none was seen.
    pub violations: Vec<Violation>,
    /// Calls in which user code ran.
    pub calls: usize,
    /// Calls that came late and were defused.
    pub defused: usize,
    /// Gates that gave up: orders that the program asks for and that are impossible on this subject.
    pub gave_up: usize,
}

impl Verdict {
    /// Whether no rule was broken.
    pub fn is_clean(&self) -> bool {
        self.violations.is_empty()
    }

    /// Whether this rule was broken.
    pub fn has(&self, kind: ViolationKind) -> bool {
        self.violations.iter().any(|v| v.kind == kind)
    }
}

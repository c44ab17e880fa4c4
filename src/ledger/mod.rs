//! The ledger: what happened to each callback, in order, and what that proves.
//!
//! A subject registers [`Witness`]es in place of user closures. A witness owns nothing but an identifier. It reports to
//! the run's ledger when it is entered, left and dropped. Afterwards [`judge`](judge()) reads these events and says
//! which rules were broken and which events prove it.
//!
//! How the parts fit:
//!
//! * [`event`]: the events.
//! * `log`: where events are written, without locks. Ledgers are pooled and never freed: a witness that is used after
//!   it was freed still finds its ledger; one that is used after its run was over learns that.
//! * [`witness`]: the callback that reports its own life, and [`Probe`] for the blocks that a binding keeps beside it.
//! * [`violation`], [`judge`](mod@judge): the rules, and the verdict.
//! * [`Quarantine`], of `latecall-explore`: a global allocator that keeps freed memory intact while a program runs, so
//!   that a call of a freed witness is reported instead of crashing the process.
//!
//! Elsewhere: running programs (`engine`), and the result of a whole gate (`gate`).

pub mod event;
pub mod judge;
pub(crate) mod log;
#[cfg(test)]
mod tests;
pub mod violation;
pub mod witness;

pub use crate::program::{Section, StepId};
pub use event::{Answer, Call, Event, EventKind, ThreadNo, Turned};
pub use judge::{Contract, judge};
pub use latecall_explore::Quarantine;
pub use log::{Ledger, RunId, stray_events};
pub use violation::{Verdict, Violation, ViolationKind};
pub use witness::{Probe, Witness};

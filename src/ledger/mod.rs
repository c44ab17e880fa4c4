//! The ledger: what happened to each callback, in order, and what that proves.
//!
//! A subject registers [`Witness`]es instead of user closures. A witness owns nothing but an id; it reports that it was
//! entered, left and dropped to the ledger that the id names. [`judge`](judge()) reads the events afterwards and says which rules
//! were broken, with the events that prove it.
//!
//! How the parts fit:
//!
//! * [`event`]: the events. `log`: where they are written, without locks; pooled and never freed, so that a
//!   witness which is used after it was freed, or after its run is over, still finds a ledger, or learns that its is gone.
//! * [`witness`]: the callback that reports its own life, and [`Probe`] for the blocks that a binding keeps beside it.
//! * [`violation`], [`judge`](mod@judge): the rules, and the verdict.
//! * [`quarantine`]: a global allocator that keeps what a subject frees while a program runs, so that a dangling witness
//!   names itself instead of crashing.
//!
//! Not here: running anything (`engine`), or deciding what a whole gate says (`gate`).

pub mod event;
pub mod judge;
pub(crate) mod log;
pub mod quarantine;
pub mod violation;
pub mod witness;

pub use crate::program::{Section, StepId};
pub use event::{Answer, Call, Event, EventKind, ThreadNo, Turned};
pub use judge::{Contract, judge};
pub use log::{Ledger, RunId, stray_events};
pub use quarantine::Quarantine;
pub use violation::{Verdict, Violation, ViolationKind};
pub use witness::{Probe, Witness};

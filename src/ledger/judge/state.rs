//! What the judge knows of callbacks, calls, ops and firings. A `usize` is the index of an event.

use crate::ledger::event::ThreadNo;
use crate::program::{CallbackId, StepId};

/// A call of user code that has not returned.
#[derive(Debug, Clone, Copy)]
pub(super) struct Frame {
    pub(super) thread: ThreadNo,
    /// The call entered here.
    pub(super) at: usize,
    pub(super) cookie: u32,
    /// Inside this call, its thread has begun to wait for the same callback. Other threads that wait from inside a call
    /// need not wait for this one.
    pub(super) waits_for_itself: bool,
}

/// What is known of a callback.
#[derive(Debug, Default)]
pub(super) struct CallbackState {
    /// The library has taken it, on this thread.
    pub(super) registered_on: Option<ThreadNo>,
    /// The first op that registers it began here, whatever came of that op.
    pub(super) offered: Option<usize>,
    pub(super) dropped: Option<usize>,
    /// The block that the binding keeps beside it was freed here.
    pub(super) block_freed: Option<usize>,
    /// The first op that may end its registration began here.
    pub(super) ending: Option<usize>,
    /// Its guard was leaked on purpose.
    pub(super) forgotten: bool,
    /// The calls that are running.
    pub(super) frames: Vec<Frame>,
    /// The number of calls so far.
    pub(super) entries: usize,
    /// A `revoke` ended here, and this many more calls may report after it that they entered.
    pub(super) revoked: Option<(usize, usize)>,
    /// A `revoke_and_wait` or `release` answered `quiescent` here.
    pub(super) quiescent: Option<usize>,
    /// The begin and end of a firing of a one-shot callback that ran nothing. Another firing must have run the
    /// callback.
    pub(super) unserved: Option<(usize, usize)>,
    /// The callbacks with which ops have begun to replace this one. Firing this callback's subscription may run any of
    /// them.
    pub(super) successors: Vec<CallbackId>,
}

/// An op that has begun and not ended.
#[derive(Debug)]
pub(super) struct OpenOp {
    pub(super) at: usize,
    pub(super) step: StepId,
    pub(super) cookie: u32,
    /// For ops that revoke: the calls of the callback that were running when the op began.
    pub(super) frames: Vec<Frame>,
    /// For firings: the callback must run, unless something ends its registration in time.
    pub(super) deliverable: bool,
}

/// A firing.
#[derive(Debug, Clone, Copy)]
pub(super) struct Firing {
    /// The callback that was fired.
    pub(super) target: CallbackId,
    pub(super) at: usize,
    /// The number of calls that it made of its target.
    pub(super) entered: usize,
    /// A call of it was reported as late here.
    pub(super) late: Option<usize>,
    pub(super) turned_away: bool,
    /// What its last call returned.
    pub(super) value: Option<i64>,
    /// One of its calls unwound. The binding then decides what the library receives.
    pub(super) unwound: bool,
}

impl Firing {
    pub(super) fn new(target: CallbackId, at: usize) -> Self {
        Firing { target, at, entered: 0, late: None, turned_away: false, value: None, unwound: false }
    }
}

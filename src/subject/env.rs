//! What a subject may use of the run that it is opened for: the run's settings, stall sites, and the report of a late
//! call.
//!
//! Pairs with: `engine::run`, which makes an [`Env`] for each run; `ledger::log`, which finds the run by its id.

use crate::ledger::{Call, EventKind, Ledger, RunId, log};
use crate::program::{Hostile, Program, Site};

/// What a subject may use of the run, while it opens its session and later.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Env {
    pub(crate) run: RunId,
    /// The switches that the library is opened with.
    pub hostile: Vec<Hostile>,
    /// Which of the library's allocations fails, counted from 1; `None`: none.
    pub fail_allocation: Option<u32>,
    /// How many subscriptions the library takes at a time; `None`: no limit.
    pub capacity: Option<u32>,
    /// Whether threads may be held at stall sites. If not, the library's hook for stall sites need not be set.
    pub stalls: bool,
    /// How many threads of its own the library is to have; 0 if the program uses none.
    pub library_threads: u32,
}

impl Env {
    /// The run as an integer that C can carry as a pointer and hand back. Never 0, never an address.
    pub fn to_bits(&self) -> u64 {
        self.run.to_bits()
    }

    /// The program that is about to run; `None` once the run is over.
    pub(crate) fn program(&self) -> Option<Program> {
        Ledger::find(self.run)?.with_run(self.run, |run| run.program())
    }
}

/// Says that the calling thread, of the program or of the library, is at `site`, where the run may hold it. Call this
/// wherever a test should be able to hold a thread. On a thread that works for no run it does nothing.
pub fn pass(site: Site) {
    if let Some((run, _)) = log::here() {
        pass_in(run, site);
    }
}

/// [`pass`], on a thread that may be new to the run.
pub(crate) fn pass_in(run: RunId, site: Site) {
    let Some(ledger) = Ledger::find(run) else { return };
    let thread = ledger.thread_no(run);
    ledger.with_run(run, |it| it.at(thread, site));
}

/// Reports that the binding recognised a late call and ran no user code. On a thread that works for no run it does
/// nothing.
pub fn late(call: &Call) {
    if let Some((run, _)) = log::here() {
        late_in(run, call);
    }
}

/// [`late`], on a thread that may be new to the run.
pub(crate) fn late_in(run: RunId, call: &Call) {
    if let Some(ledger) = Ledger::find(run) {
        ledger.report_here(run, EventKind::Late { cookie: call.cookie });
    }
}

//! The callback that reports its own life.
//!
//! A subject registers a [`Witness`]. Calling the witness runs the callback's body, as the program says. Calls and the
//! drop are reported to the ledger. A witness owns nothing but integers: a read of a freed witness, whose bytes the
//! quarantine keeps, follows no dangling pointer.
//!
//! Pairs with: `engine::run`, which makes witnesses and interprets bodies; `quarantine`, which keeps freed bytes
//! intact.

use super::event::{Call, EventKind, ThreadNo, Turned};
use super::log::{Ledger, RunId};
use crate::program::CallbackId;

crate::sync::per_thread! {
    /// The number of calls of witnesses that this thread is inside.
    static INSIDE: u32 = 0;
}

/// Whether this thread is inside a call of a [`Witness`].
pub fn inside_callback() -> bool {
    INSIDE::get() > 0
}

/// Takes the place of a user's closure: give it to the library in the same way.
///
/// `Send` and `Sync`, because a foreign library may call it from any thread.
#[derive(Debug)]
pub struct Witness {
    run: u64,
    callback: u8,
    exclusive: bool,
    confined: bool,
    /// The thread that registers the callback.
    home: u8,
    /// `churn` made it: it is not a callback of the program, and must not be called.
    anonymous: bool,
}

impl Witness {
    pub(crate) fn new(run: RunId, callback: CallbackId, exclusive: bool, confined: bool, home: ThreadNo) -> Self {
        Witness { run: run.to_bits(), callback: callback.0, exclusive, confined, home: home.0, anonymous: false }
    }

    pub(crate) fn anonymous(run: RunId) -> Self {
        Witness { run: run.to_bits(), callback: 0, exclusive: false, confined: false, home: 0, anonymous: true }
    }

    /// The callback of the program that the witness stands for.
    pub fn callback(&self) -> CallbackId {
        CallbackId(self.callback)
    }

    /// The callback is an `FnMut`: the binding must not let two calls overlap.
    pub fn exclusive(&self) -> bool {
        self.exclusive
    }

    /// The callback is not `Send`: the binding must not let it run on another thread than the one that registered it.
    pub fn confined(&self) -> bool {
        self.confined
    }

    /// Whether this thread registered the callback. False if the run is over.
    pub fn at_home(&self) -> bool {
        let ledger = RunId::from_bits(self.run).and_then(|run| Some((Ledger::find(run)?, run)));
        ledger.is_some_and(|(ledger, run)| ledger.thread_no(run).0 == self.home)
    }

    /// Does what user code would do: runs the callback's body and returns what the callback returns. Reports the call.
    ///
    /// Returns 0 and runs nothing if the run is over, or if `churn` made the witness.
    ///
    /// # Panics
    ///
    /// If the body says `panic`.
    pub fn call(&self, call: &Call) -> i64 {
        let Some((ledger, run)) = self.for_event() else { return 0 };
        let callback = self.callback();
        if self.anonymous {
            // No program fires a callback that `churn` made. This call was meant for another callback, unless the
            // library itself has mixed up the user data. `judge` decides that by the identifier, which no program has.
            let (callback, misdirected) = (CallbackId(u8::MAX), call.misdirected);
            ledger.report_here(run, EventKind::Enter { callback, cookie: call.cookie, misdirected });
            return 0;
        }
        let thread = ledger.thread_no(run);
        let misdirected = call.misdirected;
        ledger.report(thread, EventKind::Enter { callback, cookie: call.cookie, misdirected });
        struct Unwinding<'a>(&'a Ledger, ThreadNo, CallbackId);
        impl Drop for Unwinding<'_> {
            fn drop(&mut self) {
                INSIDE::set(INSIDE::get() - 1);
                self.0.report(self.1, EventKind::Unwind { callback: self.2 });
            }
        }
        let unwinding = Unwinding(ledger, thread, callback);
        INSIDE::set(INSIDE::get() + 1);
        let value = ledger.with_run(run, |it| it.body(callback, thread, call)).unwrap_or(0);
        INSIDE::set(INSIDE::get() - 1);
        std::mem::forget(unwinding);
        ledger.report(thread, EventKind::Leave { callback, value });
        value
    }

    /// Reports that the binding turns a call away without running user code: another call of an exclusive callback is
    /// running, or the callback is confined to another thread.
    pub fn turn_away(&self, call: &Call, why: Turned) {
        if let Some((ledger, run)) = self.for_event() {
            ledger.report_here(run, EventKind::TurnedAway { callback: self.callback(), cookie: call.cookie, why });
        }
    }

    /// A probe that reports when it is dropped. For a block of memory that the binding allocates along with this
    /// callback and has to free.
    pub fn probe(&self) -> Probe {
        // 0 names no run: blocks beside callbacks that `churn` made are not reported.
        Probe { run: if self.anonymous { 0 } else { self.run }, callback: self.callback }
    }

    fn for_event(&self) -> Option<(&'static Ledger, RunId)> {
        let run = RunId::from_bits(self.run)?;
        Ledger::for_event(run).map(|ledger| (ledger, run))
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        let Some((ledger, run)) = self.for_event() else { return };
        if self.anonymous {
            ledger.with_run(run, |it| it.anonymous_dropped());
        } else {
            ledger.report_here(run, EventKind::Dropped { callback: self.callback() });
        }
    }
}

/// Watches a block of memory that a binding keeps beside a callback, such as a count or a lock. Put a probe into the
/// block, and call [`Probe::used`] wherever the block is accessed. Dropping the probe reports that the block is freed.
#[derive(Debug)]
pub struct Probe {
    run: u64,
    callback: u8,
}

impl Probe {
    /// Reports that the block is accessed.
    pub fn used(&self) {
        self.report(EventKind::BlockUsed { callback: CallbackId(self.callback) });
    }

    fn report(&self, kind: EventKind) {
        if let Some(run) = RunId::from_bits(self.run)
            && let Some(ledger) = Ledger::for_event(run)
        {
            ledger.report_here(run, kind);
        }
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        self.report(EventKind::BlockFreed { callback: CallbackId(self.callback) });
    }
}

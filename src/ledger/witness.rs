//! The callback that reports its own life.
//!
//! What a subject registers is a [`Witness`]: it owns nothing but integers, so that reading it after it was freed (in
//! quarantine, where its bytes are still what they were) follows no dangling pointer. Calling it runs the callback's body
//! as the program says; dropping it is reported.
//!
//! Pairs with: `engine::run`, which makes witnesses and interprets bodies; `quarantine`, which keeps freed bytes intact.

use super::event::{Call, EventKind, ThreadNo, Turned};
use super::log::{Ledger, RunId};
use crate::program::CallbackId;

crate::sync::per_thread! {
    /// How many calls of witnesses this thread is inside.
    static INSIDE: u32 = 0;
}

/// Whether this thread is inside a callback.
pub fn inside_callback() -> bool {
    INSIDE::get() > 0
}

/// Stands in for a user's closure: give it to the library as the user would give theirs.
///
/// `Send` and `Sync`, as what a foreign library may call from any thread has to be.
#[derive(Debug)]
pub struct Witness {
    run: u64,
    callback: u8,
    exclusive: bool,
    confined: bool,
    /// The thread that registers it.
    home: u8,
    /// Not one of the program's: `churn` makes it, and nobody may call it.
    anonymous: bool,
}

impl Witness {
    pub(crate) fn new(run: RunId, callback: CallbackId, exclusive: bool, confined: bool, home: ThreadNo) -> Self {
        Witness { run: run.to_bits(), callback: callback.0, exclusive, confined, home: home.0, anonymous: false }
    }

    pub(crate) fn anonymous(run: RunId) -> Self {
        Witness { run: run.to_bits(), callback: 0, exclusive: false, confined: false, home: 0, anonymous: true }
    }

    /// The callback of the program that it stands for.
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

    /// Whether this thread is the one that registered it.
    pub fn at_home(&self) -> bool {
        let ledger = RunId::from_bits(self.run).and_then(|run| Some((Ledger::find(run)?, run)));
        ledger.is_some_and(|(ledger, run)| ledger.thread_no(run).0 == self.home)
    }

    /// What user code would do: reports, runs the callback's body, and returns what the callback returns.
    ///
    /// # Panics
    ///
    /// When the body says `panic`.
    pub fn call(&self, call: &Call) -> i64 {
        let Some((ledger, run)) = self.for_event() else { return 0 };
        let callback = self.callback();
        if self.anonymous {
            // A churned callback is never fired by anybody, so this is another callback's call, unless the library has
            // mixed its user data up by itself.
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

    /// The binding turns a call away without running user code, because another call of an exclusive callback is running
    /// or because this thread is not the one it is confined to.
    pub fn turn_away(&self, call: &Call, why: Turned) {
        if let Some((ledger, run)) = self.for_event() {
            ledger.report_here(run, EventKind::TurnedAway { callback: self.callback(), cookie: call.cookie, why });
        }
    }

    /// A probe for a block that the binding keeps beside this callback.
    pub fn probe(&self) -> Probe {
        // 0 names no run: callbacks that `churn` made are not the program's, and neither are their blocks.
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

/// Watches a block of memory that a binding keeps beside a callback (a count, a lock): put one in the block, and call
/// [`Probe::used`] wherever the block is touched.
#[derive(Debug)]
pub struct Probe {
    run: u64,
    callback: u8,
}

impl Probe {
    /// The block is touched.
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

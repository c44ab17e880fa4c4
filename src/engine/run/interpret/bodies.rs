//! What a callback does when it is called, and what a thread does at a stall site: the run as witnesses see it.

use super::Run;
use super::sync::Ordering;
use crate::ledger::log::Interpreter;
use crate::ledger::{Call, Section, StepId, ThreadNo};
use crate::program::{CallbackId, Op, Program, Returns, Site};
use std::sync::atomic::Ordering::Relaxed;

impl Interpreter for Run {
    fn program(&self) -> Program {
        self.program.clone()
    }

    /// Does the steps of the callback's body, and returns its value.
    fn body(&self, callback: CallbackId, thread: ThreadNo, call: &Call) -> i64 {
        let it = &self.program.callbacks[callback.0 as usize];
        // Relaxed: each call needs a number of its own, and orders nothing.
        let nth = if it.counts() { self.calls[callback.0 as usize].fetch_add(1, Ordering::Relaxed) + 1 } else { 1 };
        let mut value = match it.returns {
            Returns::Sum => call.a.wrapping_add(call.b),
            Returns::Counting => call.a.wrapping_add(call.b).wrapping_add(i64::from(nth)),
        };
        self.stage.disturb(self.ledger); // user code takes its time
        for (i, step) in it.body.iter().enumerate() {
            if step.nth.is_some_and(|n| n != nth) {
                continue;
            }
            self.step(thread, StepId { section: Section::Body(callback), index: i as u16 }, step);
            match step.op {
                Op::Return(v) => value = v,
                Op::Panic => unreachable!("a panic leaves the body"),
                _ => {}
            }
        }
        value
    }

    fn at(&self, thread: ThreadNo, site: Site) {
        if site == Site::WorkerStart {
            self.stage.enter_library_thread(thread);
        }
        if let Some(gate) = self.stage.take_armed(site) {
            self.hold(thread, gate);
        } else {
            self.stage.disturb(self.ledger);
        }
        if site == Site::WorkerExit {
            self.stage.leave_library_thread(thread);
        }
    }

    fn anonymous_dropped(&self) {
        self.churn_freed.fetch_add(1, Relaxed); // a count, read after the threads were joined
    }
}

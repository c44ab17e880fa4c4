//! Where a run takes place: real threads, which gates hold, the monitor watches and stress disturbs.
//!
//! Pairs with: `model_stage`, which is this over loom; both offer the same names to `interpret`.

use super::RunOptions;
use crate::engine::gates::{Gates, Passed};
use crate::engine::monitor::{self, Watched};
use crate::ledger::{Ledger, ThreadNo};
use crate::program::{GateId, Program, Site};
use crate::sync::{Arc, Barrier, OnceLock, thread};
use latecall_explore::quarantine::RunBlocks;
use std::cell::Cell;
use std::io;

pub(super) use monitor::Started;

thread_local! {
    static DISTURB: Cell<u64> = const { Cell::new(0) };
}

/// The stage of one run.
#[derive(Debug)]
pub(crate) struct Stage {
    pub(super) gates: Gates,
    pub(super) watched: Watched,
    quarantine: OnceLock<RunBlocks>,
    disturb: Option<u64>,
}

impl Stage {
    /// Gates hold threads here.
    pub(super) const GATED: bool = true;
    /// Threads that the library has of its own, where the program needs any.
    pub(super) const LIBRARY_THREADS: u32 = 2;

    pub(super) fn new(program: &Program, options: &RunOptions) -> Self {
        let quarantine = OnceLock::new();
        // Before the library is opened: its threads enter the scope with their first act, and never after.
        if let Some(scope) = RunBlocks::open() {
            quarantine.get_or_init(|| scope);
        }
        Stage { gates: Gates::new(program.gates.len()), watched: Watched::new(), quarantine, disturb: options.disturb }
    }

    /// Frees the blocks that were set aside.
    pub(super) fn close(self) {
        if let Some(scope) = self.quarantine.into_inner() {
            scope.close();
        }
    }

    pub(super) fn start(&self, thread: ThreadNo) -> Started {
        self.watched.start(thread)
    }

    /// Starts the threads, lets them go at once (each calls what it is given when it is ready), and waits for their end.
    /// Answers which could not be started.
    pub(super) fn run<F>(&self, threads: Vec<(ThreadNo, F)>) -> Vec<(ThreadNo, io::Error)>
    where
        F: FnOnce(&dyn Fn()) + Send + 'static,
    {
        let start = Arc::new(Barrier::new(threads.len().max(1)));
        let (mut joins, mut failed) = (Vec::new(), Vec::new());
        for (no, body) in threads {
            let start = Arc::clone(&start);
            let ready = move || {
                start.wait();
            };
            match thread::Builder::new().name(no.name()).spawn(move || body(&ready)) {
                Ok(join) => joins.push(join),
                Err(error) => failed.push((no, error)),
            }
        }
        for join in joins {
            // The thread caught every panic itself.
            let _ = join.join();
        }
        failed
    }

    /// This thread is one of the program's.
    pub(super) fn enter(&self, no: ThreadNo) {
        self.watched.running(no);
        if let Some(scope) = self.quarantine.get() {
            scope.enter();
        }
        let seed = self.disturb.map_or(0, |seed| (seed ^ u64::from(no.0).wrapping_mul(0x9e37_79b9_7f4a_7c15)) | 1);
        DISTURB.set(seed);
    }

    /// It is no more.
    pub(super) fn leave(&self) {
        RunBlocks::leave();
    }

    pub(super) fn finished(&self, started: Started) {
        self.watched.finished(started);
    }

    pub(super) fn library_thread(&self, thread: ThreadNo) {
        self.watched.library_thread(thread);
        if let Some(scope) = self.quarantine.get() {
            scope.enter();
        }
    }

    pub(super) fn library_thread_exits(&self, thread: ThreadNo) {
        self.watched.library_thread_exits(thread);
    }

    pub(super) fn hold(&self, gate: GateId) -> Passed {
        self.gates.hold(gate)
    }

    pub(super) fn open(&self, gate: GateId) {
        self.gates.open(gate);
    }

    pub(super) fn reach(&self, gate: GateId) -> Passed {
        self.gates.reach(gate)
    }

    pub(super) fn arm(&self, site: Site, gate: GateId) {
        self.gates.arm(site, gate);
    }

    pub(super) fn take_armed(&self, site: Site) -> Option<GateId> {
        self.gates.take_armed(site)
    }

    /// Under stress: sometimes lets another thread go first.
    pub(super) fn disturb(&self, ledger: &Ledger) {
        let mut x = DISTURB.get();
        if x == 0 {
            return;
        }
        // xorshift64: not a good generator, and a cheap one without state to share.
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        DISTURB.set(x);
        match (x >> 32) % 8 {
            0..4 => {}
            4 | 5 => thread::yield_now(),
            6 => (0..(x >> 40) % 256).for_each(|_| std::hint::spin_loop()),
            _ => {
                // Until somebody else has got further, or nobody seems to.
                let seen = ledger.progress();
                let want = 1 + (x >> 48) as usize % 4;
                for _ in 0..64 {
                    if ledger.progress() >= seen + want {
                        break;
                    }
                    thread::yield_now();
                }
            }
        }
    }
}

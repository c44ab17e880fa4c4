//! The threads that a run is interpreted on: real threads, which gates hold, the monitor watches and stress disturbs.
//!
//! Pairs with: `model_stage`, the same over loom; both offer the same names to `interpret`.

use super::gates::{Gates, Passed};
use super::monitor::{RunEnd, RunThreads};
use super::options::RunOptions;
use crate::ledger::{Ledger, ThreadNo};
use crate::program::{GateId, Program, Site};
use crate::sync::{Arc, Barrier, thread};
use latecall_explore::quarantine::RunBlocks;
use std::cell::Cell;
use std::io;

pub(super) use super::monitor::ThreadToken;

thread_local! {
    /// The state of this thread's generator of disturbances; 0: the thread is not disturbed.
    static DISTURB: Cell<u64> = const { Cell::new(0) };
}

/// The stage of one run.
#[derive(Debug)]
pub(crate) struct Stage {
    gates: Gates,
    threads: Arc<RunThreads>,
    /// The blocks that the run frees; `None` where the quarantine is not in force.
    quarantine: Option<RunBlocks>,
    disturb: Option<u64>,
}

impl Drop for Stage {
    /// Frees the blocks that were set aside.
    fn drop(&mut self) {
        if let Some(blocks) = self.quarantine.take() {
            blocks.close();
        }
    }
}

impl Stage {
    /// Gates hold threads here.
    pub(super) const GATED: bool = true;
    /// How many threads of its own the library has, if the program needs any.
    pub(super) const LIBRARY_THREADS: u32 = 2;

    /// A stage without threads. To be made before the library is opened, because the library's threads join the
    /// quarantine with their first act and not later.
    pub(super) fn new(program: &Program, options: &RunOptions) -> Self {
        Stage {
            gates: Gates::new(program.gates.len()),
            threads: Arc::default(),
            quarantine: RunBlocks::open(),
            disturb: options.disturb,
        }
    }

    /// Blocks until the run is over or cannot go on.
    pub(super) fn watch(&self, options: &RunOptions) -> RunEnd {
        self.threads.watch(&self.gates, options)
    }

    /// The program's threads that have not ended.
    pub(super) fn unfinished(&self) -> Vec<ThreadNo> {
        self.threads.unfinished()
    }

    /// Adds a thread of the program that is about to be started.
    pub(super) fn add_thread(&self, thread: ThreadNo) -> ThreadToken {
        self.threads.add(thread)
    }

    /// Starts the threads and waits for their end. Each is given a function that waits until all of them are ready, so
    /// that they begin together. Returns the errors of those that could not be started.
    pub(super) fn run_threads<F>(&self, threads: Vec<(ThreadNo, F)>) -> Vec<io::Error>
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
                Err(error) => failed.push(error),
            }
        }
        for join in joins {
            // The thread caught every panic itself.
            let _ = join.join();
        }
        failed
    }

    /// The calling thread is this thread of the program.
    pub(super) fn enter(&self, no: ThreadNo) {
        self.threads.running(no);
        self.join_quarantine();
        let seed = self.disturb.map_or(0, |seed| (seed ^ u64::from(no.0).wrapping_mul(0x9e37_79b9_7f4a_7c15)) | 1);
        DISTURB.set(seed);
    }

    /// The calling thread has done the last of the program's ops that it does.
    pub(super) fn leave(&self) {
        RunBlocks::leave();
    }

    /// The calling thread is this thread of the library.
    pub(super) fn enter_library_thread(&self, thread: ThreadNo) {
        self.threads.add_library_thread(thread);
        self.join_quarantine();
    }

    /// The calling thread of the library is about to exit.
    pub(super) fn leave_library_thread(&self, thread: ThreadNo) {
        self.threads.remove_library_thread(thread);
    }

    fn join_quarantine(&self) {
        if let Some(blocks) = &self.quarantine {
            blocks.enter();
        }
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
        // xorshift64: weak as a generator, but cheap, and no state is shared between threads.
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        DISTURB.set(x);
        match (x >> 32) % 8 {
            0..4 => {}
            4 | 5 => thread::yield_now(),
            6 => (0..(x >> 40) % 256).for_each(|_| std::hint::spin_loop()),
            _ => {
                // Until other threads have made 1 to 4 events, or 64 yields have not brought that about.
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

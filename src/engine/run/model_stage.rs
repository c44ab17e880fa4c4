//! The threads that a run is interpreted on in a search: loom's. Gates hold no thread, because every order is explored
//! anyway. Nothing is watched, because loom itself sees when no thread can go on.
//!
//! Part of `crate::loomed` only. Pairs with: `stage`, the same over real threads; both offer the same names to
//! `interpret`.

use crate::engine::run::RunOptions;
use crate::engine::run::gates::Passed;
use crate::ledger::{Ledger, ThreadNo};
use crate::program::{GateId, Program, Site};
use crate::sync::loom_side::thread;
use std::io;

#[derive(Debug)]
pub(crate) struct ThreadToken;

impl ThreadToken {
    pub(super) fn give_back(self) {}
}

/// The stage of one interleaving.
#[derive(Debug)]
pub(crate) struct Stage;

impl Stage {
    pub(super) const GATED: bool = false;
    /// One thread does the work of two: each further thread multiplies the interleavings.
    pub(super) const LIBRARY_THREADS: u32 = 1;

    pub(super) fn new(_: &Program, _: &RunOptions) -> Self {
        Stage
    }

    pub(super) fn add_thread(&self, _: ThreadNo) -> ThreadToken {
        ThreadToken
    }

    pub(super) fn run_threads<F>(&self, threads: Vec<(ThreadNo, F)>) -> Vec<io::Error>
    where
        F: FnOnce(&dyn Fn()) + Send + 'static,
    {
        let joins: Vec<_> = threads.into_iter().map(|(_, body)| thread::spawn(move || body(&|| {}))).collect();
        for join in joins {
            // The thread caught every panic itself.
            let _ = join.join();
        }
        Vec::new()
    }

    pub(super) fn enter(&self, _: ThreadNo) {}

    pub(super) fn leave(&self) {}

    pub(super) fn enter_library_thread(&self, _: ThreadNo) {}

    pub(super) fn leave_library_thread(&self, _: ThreadNo) {}

    pub(super) fn hold(&self, _: GateId) -> Passed {
        Passed::InOrder
    }

    pub(super) fn open(&self, _: GateId) {}

    pub(super) fn reach(&self, _: GateId) -> Passed {
        Passed::InOrder
    }

    pub(super) fn arm(&self, _: Site, _: GateId) {}

    pub(super) fn take_armed(&self, _: Site) -> Option<GateId> {
        None
    }

    pub(super) fn disturb(&self, _: &Ledger) {}
}

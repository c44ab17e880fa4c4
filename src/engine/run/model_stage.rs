//! Where a run takes place in a search: loom's threads. Gates hold nobody, because every order is explored anyway; nothing
//! is watched, because loom knows itself when no thread can go on.
//!
//! Part of `loomed` only. Pairs with: `stage`, which is this over real threads; both offer the same names to `interpret`.

use crate::engine::gates::Passed;
use crate::engine::run::RunOptions;
use crate::ledger::{Ledger, ThreadNo};
use crate::program::{GateId, Program, Site};
use crate::sync::loom_side::thread;
use std::io;

#[derive(Debug)]
pub(crate) struct Started;

/// The stage of one interleaving.
#[derive(Debug)]
pub(crate) struct Stage;

impl Stage {
    pub(super) const GATED: bool = false;
    /// One thread does for two: each costs a factor.
    pub(super) const LIBRARY_THREADS: u32 = 1;

    pub(super) fn new(_: &Program, _: &RunOptions) -> Self {
        Stage
    }

    pub(super) fn close(self) {}

    pub(super) fn start(&self, _: ThreadNo) -> Started {
        Started
    }

    pub(super) fn run<F>(&self, threads: Vec<(ThreadNo, F)>) -> Vec<(ThreadNo, io::Error)>
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

    pub(super) fn finished(&self, _: Started) {}

    pub(super) fn library_thread(&self, _: ThreadNo) {}

    pub(super) fn library_thread_exits(&self, _: ThreadNo) {}

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

//! The tests of the registry and of its signatures that can share a process: a module for each subject, run in
//! parallel.
//!
//! A test here must work while other tests run in the same process: every wait that begins searches for deadlocks, most
//! revocations find other threads to fence, thread ids and registry ids come and go. Each test has registries, hooks
//! and counters of its own. A test that ends its process, or is about the end of a process, runs in a subprocess
//! ([`support::run_in_subprocess`]).
//!
//! A test that cannot share a process has a file, and so a process, of its own beside this folder:
//!
//! | File | Because |
//! | --- | --- |
//! | `registry_fork.rs` | forks, with an allocator that stops threads |
//! | `registry_ids.rs` | takes every registry id that a process has |
//! | `registry_memory.rs` | installs an allocator that counts, and fails on request |
//! | `registry_module.rs` | loads and unloads a plug-in; not published, as `tests/plugin` is not |
//! | `registry_portable.rs` | selects the other kind of fences, for the whole process |
//! | `registry_process.rs` | handles a signal, and has the system refuse `membarrier` |
//! | `registry_reference.rs` | takes two thousand registry ids, and has no other threads, so that its revocations need no fence |
//! | `registry_stuck_alone.rs` | is about the one event that completes a deadlock; the wait of another test would find the deadlock too |
//!
//! No test here may make registries without limit. A process has 4095 registry ids on 64-bit targets. Once they are
//! used up, the next registry reuses an id, and its generations start where those of the former owner ended. The tests
//! that count generations (`capacity`, `cells`) would then have fewer than they expect. All tests together take fewer
//! than 3000 ids.

#[cfg(feature = "native")]
mod c;
mod capacity;
mod cells;
mod closing;
mod costs;
mod deferred;
mod docs;
mod endings;
mod handles;
mod kinds;
mod late_policy;
mod panic;
mod panic_policy;
mod reentry;
mod reentry_fuzz;
mod report;
mod revoke;
mod scope;
mod signature;
mod stalls;
mod stuck;
#[path = "../support/mod.rs"]
mod support;
mod thread_end;
#[cfg(unix)]
mod threads;

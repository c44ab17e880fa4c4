//! The tests of the registry and of its signatures that can share a process: a module for each subject, run in parallel.
//!
//! What belongs here minds that others are at work in the same process: deadlocks are looked for by every wait that
//! begins, most revocations find other threads to fence, thread ids and registry ids come and go. A registry, a hook and a
//! counter are a test's own, and a test that ends its process or is about the end of one runs again in a child
//! ([`support::again`]).
//!
//! What does not belong here has a file, and so a process, of its own next to this folder:
//!
//! | File | Because |
//! | --- | --- |
//! | `registry_fork.rs` | forks, with an allocator that holds threads up |
//! | `registry_ids.rs` | takes every registry id that a process has |
//! | `registry_memory.rs` | installs an allocator that counts, and fails when told to |
//! | `registry_module.rs` | loads and unloads a plug-in; not published, as `tests/plugin` is not |
//! | `registry_portable.rs` | chooses the other kind of fences, which holds for the whole process |
//! | `registry_process.rs` | takes a signal, and has the system refuse `membarrier` |
//! | `registry_reference.rs` | takes two thousand ids; and it is alone, so that its revocations need no fence |
//! | `registry_stuck_alone.rs` | is about the one event that completes a deadlock: another wait would find it as well |
//!
//! Ids are why no test here makes registries without end. A process has 4095 of them on 64-bit targets; when those are used
//! up the next registry gets one that had an owner, with generations that start where the owner's ended, and the tests that
//! count generations (`capacity`, `cells`) would have fewer than they count on. All tests together take fewer than 3000.

#[cfg(feature = "harness")]
mod c;
mod capacity;
mod cells;
mod deferred;
mod docs;
mod endings;
mod handles;
mod kinds;
mod late_policy;
mod panic;
mod panic_policy;
mod reentry;
mod report;
mod revoke;
mod scope;
mod signature;
mod stalls;
mod stuck;
#[path = "../support/mod.rs"]
mod support;
#[cfg(unix)]
mod threads;

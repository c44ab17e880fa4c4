//! The `latecall` command as a library: what the two executables `latecall` and `cargo-latecall` do.
//!
//! How the parts fit: [`commands`] reads arguments and runs what they ask for; [`report`] turns the gate's events into
//! text and JSON.

pub mod commands;
pub mod report;

/// What a subject frees while a program runs stays readable, so that a dangling callback names itself.
#[global_allocator]
static ALLOCATOR: latecall::ledger::Quarantine = latecall::ledger::Quarantine::new();

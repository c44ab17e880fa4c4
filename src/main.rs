//! The `latecall` command: arguments in, reports out, exit codes of [`latecall::gate::exit_code`]. Everything that can be
//! done without a terminal is in the library.

mod cli;

use std::process::ExitCode;

/// What a subject frees while a program runs stays readable, so that what dangles names itself.
#[global_allocator]
static ALLOCATOR: latecall::ledger::Quarantine = latecall::ledger::Quarantine::new();

fn main() -> ExitCode {
    ExitCode::from(cli::main())
}

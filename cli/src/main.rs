//! The `latecall` command: arguments in, reports out, exit codes of [`latecall::gate::exit_code`].

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(cargo_latecall::commands::main(std::env::args_os()))
}

//! The same command as `cargo latecall`: cargo passes its own word `latecall` as the first argument.

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut arguments: Vec<_> = std::env::args_os().collect();
    if arguments.get(1).is_some_and(|first| first == "latecall") {
        arguments.remove(1);
    }
    ExitCode::from(cargo_latecall::commands::main(arguments))
}

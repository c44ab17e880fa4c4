//! The command line: what it takes, and which part does it.
//!
//! How the parts fit: `gate`, `check`, `replay` and `list` are the commands; `files` reads programs; `out` writes, and
//! survives a closed pipe.

mod check;
mod files;
mod gate;
mod list;
mod out;
mod replay;

use crate::report::Style;
use clap::{Args, Parser, Subcommand, ValueEnum};
use latecall::gate::exit_code;
use latecall::gate::{Budget, SelectError};
use latecall::subject::Library;
use std::ffi::OsString;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};

/// Finds late calls: a C library that keeps a callback and calls it after the Rust side freed it.
///
/// Without a command: `gate`.
#[derive(Debug, Parser)]
#[command(name = "latecall", version, after_help = EXIT_CODES, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    gate: gate::Arguments,
}

const EXIT_CODES: &str = "\
Exit codes:
  0  as it should be: nothing was found in sound subjects, and every flaw was convicted by each engine that has to
  1  unsound: a sound subject was convicted or crashed, or a flaw was missed; for `replay`: a rule was broken
  2  bad usage: the command line, or a program's text; nothing was run
  3  harness error: no verdict
  4  nothing ran";

#[derive(Debug, Subcommand)]
enum Command {
    /// Every engine on every bundled subject, each check in a process of its own
    #[command(after_help = EXIT_CODES)]
    Gate(gate::Arguments),
    /// One engine on one subject, in this process: what the gate starts for each of its checks
    #[command(after_help = EXIT_CODES)]
    Check(check::Arguments),
    /// Runs programs from files, and shows what happened
    #[command(after_help = EXIT_CODES)]
    Replay(replay::Arguments),
    /// Lists subjects, engines, and the words of programs
    List(list::Arguments),
}

/// What all commands that run something understand alike.
#[derive(Debug, Args)]
struct Common {
    /// Where generators start: the same seed makes the same programs
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// How much each engine does
    #[arg(long, value_enum, default_value = "normal")]
    budget: BudgetName,
    /// Load the C library from this shared object instead of using the one linked in
    #[arg(long, value_name = "PATH")]
    emitter: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum BudgetName {
    /// A few seconds for everything
    Quick,
    /// About a minute for everything, on two cores
    Normal,
    /// Hours for everything, most of them the model's
    Deep,
}

impl From<BudgetName> for Budget {
    fn from(name: BudgetName) -> Self {
        match name {
            BudgetName::Quick => Budget::Quick,
            BudgetName::Normal => Budget::Normal,
            BudgetName::Deep => Budget::Deep,
        }
    }
}

impl Common {
    fn library(&self) -> Library {
        library(self.emitter.as_deref())
    }
}

/// A name without a directory is a file here, too; the loader would look for it elsewhere.
fn library(emitter: Option<&Path>) -> Library {
    emitter.map_or(Library::Linked, |path| Library::Object(Path::new(".").join(path)))
}

/// Why a command ends before it has run anything: the exit code, and what to tell.
#[derive(Debug)]
struct Failure {
    code: u8,
    text: String,
}

impl Failure {
    fn usage(text: impl Into<String>) -> Self {
        Failure { code: exit_code::BAD_USAGE, text: text.into() }
    }

    fn harness(text: impl Into<String>) -> Self {
        Failure { code: exit_code::HARNESS_ERROR, text: text.into() }
    }
}

impl From<SelectError> for Failure {
    fn from(error: SelectError) -> Self {
        let code = match error {
            SelectError::NothingMatches { .. } => exit_code::NOTHING_RAN,
            _ => exit_code::BAD_USAGE,
        };
        Failure { code, text: error.to_string() }
    }
}

/// Runs the command that these arguments ask for; the first is the name of the executable. Answers the exit code.
#[must_use = "the exit code is the verdict"]
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> u8 {
    // clap writes usage errors itself, and exits with 2.
    let cli = Cli::parse_from(arguments);
    let done = match cli.command {
        None => gate::run(cli.gate),
        Some(Command::Gate(arguments)) => gate::run(arguments),
        Some(Command::Check(arguments)) => check::run(arguments),
        Some(Command::Replay(arguments)) => replay::run(arguments),
        Some(Command::List(arguments)) => list::run(arguments),
    };
    done.unwrap_or_else(|failure| {
        out::complain(&failure.text);
        failure.code
    })
}

/// How the standard output is written to: as wide as the terminal, and coloured there unless `NO_COLOR` is set; 100
/// columns and plain elsewhere. `COLUMNS` overrides the width.
fn style() -> Style {
    let terminal = std::io::stdout().is_terminal();
    let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
        || std::env::var_os("TERM").is_some_and(|value| value == "dumb");
    let columns = std::env::var("COLUMNS").ok().and_then(|value| value.parse().ok());
    let width = columns.or_else(|| terminal.then(out::columns).flatten()).unwrap_or(100);
    Style { width: width.max(40), colour: terminal && !plain }
}

/// This executable, to be run again.
fn executable() -> Result<PathBuf, Failure> {
    std::env::current_exe()
        .map_err(|error| Failure::harness(format!("cannot tell which executable this is, to run it again: {error}")))
}

//! `latecall check`: one engine on one subject, in this process.

use super::{Common, Failure, files, out, style};
use crate::report::{finding, terminal};
use latecall::gate::{Check, CheckMessage, CheckOptions, CheckResult, Expected, Summary, names};
use latecall_bundled::BUNDLED;
use std::path::PathBuf;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The subject, by name
    #[arg(long, value_name = "NAME")]
    subject: String,
    /// The engine, by name
    #[arg(long, value_name = "NAME", default_value = "replay", value_parser = latecall::engine::ENGINES)]
    engine: String,
    #[command(flatten)]
    common: Common,
    /// Run this program only: stress disturbs it, model explores it, the other engines run it as it is
    #[arg(long, value_name = "FILE")]
    program: Option<PathBuf>,
    /// How often that program is run
    #[arg(long, value_name = "N", default_value_t = 1, requires = "program", value_parser = clap::value_parser!(u32).range(1..))]
    repeat: u32,
    /// Show what happened in a run of that program, also when it breaks no rule
    #[arg(long, requires = "program")]
    timeline: bool,
    /// Keep each program before it runs, and its events, in this file: for the process that started this one
    #[arg(long, value_name = "FILE")]
    crash_record: Option<PathBuf>,
    /// Write lines of JSON: progress, and at last the report
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: Arguments) -> Result<u8, Failure> {
    let library = arguments.common.library();
    let flaw = names::find(&arguments.subject, BUNDLED, &library)?.flaw;
    let program = arguments.program.as_deref().map(files::read).transpose()?;
    let mut options = CheckOptions::new().repeat(arguments.repeat).timeline(arguments.timeline);
    if let Some(program) = program {
        options = options.program(program);
    }
    if let Some(path) = arguments.crash_record {
        let file = std::fs::OpenOptions::new().read(true).write(true).create(true).truncate(true).open(&path);
        options = options.crash_record(file.map_err(|error| {
            Failure::usage(format!("--crash-record: {} cannot be written to: {error}", path.display()))
        })?);
    }
    let expected = Expected::of(flaw.as_ref(), &arguments.engine);
    let mut check = Check::new(arguments.subject, arguments.engine, expected);
    check.seed = arguments.common.seed;
    check.budget = arguments.common.budget.into();
    check.library = library;
    let began = std::time::Instant::now();
    let (mut failed, mut timeline) = (None, None);
    let report = check.run(BUNDLED, options, &mut |message| {
        if arguments.json {
            let line = serde_json::to_string(&message).map_err(|error| Failure::harness(error.to_string()));
            if let Err(failure) = line.and_then(|line| out::print(&format!("{line}\n"))) {
                failed.get_or_insert(failure);
            }
        } else if let CheckMessage::Timeline(lines) = message {
            timeline = Some(lines);
        }
    });
    if let Some(failure) = failed {
        return Err(failure);
    }
    let milliseconds = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    let results = [CheckResult::new(check, report, milliseconds)];
    let code = results[0].verdict.conclusion().exit_code();
    if !arguments.json {
        let mut text = terminal::gate(&results, &Summary::of(&results, milliseconds), style());
        if let Some(lines) = timeline {
            text += "\nWhat happened:\n";
            text += &finding::timeline(&lines, &[], style(), "  ");
        }
        out::print(&text)?;
    }
    Ok(code)
}

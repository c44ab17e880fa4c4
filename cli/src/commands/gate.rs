//! `latecall gate`: which checks, where the report goes, and a file for each finding. What the gate does is in the
//! library.

use super::{Common, Failure, executable, out, style};
use crate::report::progress::Progress;
use crate::report::{Collected, Reporter, json, terminal};
use latecall::gate::exit_code;
use latecall::gate::{CheckResult, Gate, GateEvent, Selection};
use latecall_bundled::BUNDLED;
use std::path::{Path, PathBuf};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Only subjects whose name matches: `*` stands for any characters, `?` for one; may be given several times
    #[arg(long = "subject", value_name = "PATTERN")]
    subjects: Vec<String>,
    /// Only engines whose name matches; may be given several times
    #[arg(long = "engine", value_name = "PATTERN")]
    engines: Vec<String>,
    #[command(flatten)]
    common: Common,
    /// How many checks run at once [default: one for each core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    jobs: Option<u16>,
    /// Write one JSON document instead of the table
    #[arg(long)]
    json: bool,
    /// Write each finding's program to a file in this directory
    #[arg(long, value_name = "DIR")]
    save: Option<PathBuf>,
}

pub(super) fn run(arguments: Arguments) -> Result<u8, Failure> {
    let selection = Selection::new().subjects(arguments.subjects).engines(arguments.engines);
    let selection = selection.seed(arguments.common.seed).budget(arguments.common.budget.into());
    let selection = selection.library(arguments.common.library());
    if let Some(directory) = &arguments.save {
        std::fs::create_dir_all(directory)
            .map_err(|error| Failure::usage(format!("--save: {} cannot be made: {error}", directory.display())))?;
    }
    let mut gate = Gate::new(selection.checks(BUNDLED)?, executable()?);
    if let Some(jobs) = arguments.jobs {
        gate = gate.jobs(usize::from(jobs));
    }
    let mut collected = Collected::default();
    let mut progress = Progress::new();
    let mut not_saved = None;
    let summary = gate.run(&mut |event| {
        progress.event(&event);
        collected.event(&event);
        if let (GateEvent::CheckFinished { result, .. }, Some(directory)) = (&event, &arguments.save)
            && let Err(error) = save(directory, result)
        {
            not_saved.get_or_insert(error);
        }
    });
    out::print(&if arguments.json {
        json::gate(&collected.results, &summary)
    } else {
        terminal::gate(&collected.results, &summary, style())
    })?;
    match not_saved {
        Some(error) if summary.exit_code == exit_code::SOUND => Err(Failure::harness(error)),
        Some(error) => {
            out::complain(&error);
            Ok(summary.exit_code)
        }
        None => Ok(summary.exit_code),
    }
}

/// `flawed/no-wait` by stress becomes `flawed-no-wait.stress.latecall`.
fn save(directory: &Path, result: &CheckResult) -> Result<(), String> {
    let Some(finding) = &result.report.finding else { return Ok(()) };
    let name = format!("{}.{}.latecall", result.check.subject.replace('/', "-"), result.check.engine);
    let path = directory.join(name);
    let why = finding.violation.to_string().replace('\n', " ");
    let with = match result.check.engine.as_str() {
        "model" => format!(" --engine model --budget {}", result.check.budget),
        _ => String::new(),
    };
    let how = format!("# latecall replay{with} FILE shows it again. What happened:\n");
    let lines = finding.timeline.iter().fold(how, |text, line| text + "#   " + line.trim_end() + "\n");
    let (engine, bounds) = (&result.check.engine, &result.report.bounded_by);
    let text = format!("# {why}\n# Found by {engine}; {bounds}.\n{lines}{}", finding.program);
    std::fs::write(&path, text).map_err(|error| format!("{} cannot be written: {error}", path.display()))
}

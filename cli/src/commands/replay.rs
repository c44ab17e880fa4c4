//! `latecall replay`: programs from files, each in a process of its own, and what happened.

use super::{BudgetName, Failure, executable, files, library, out, style};
use crate::report::json::{self, Replayed};
use crate::report::{Style, counted, finding, wrap};
use latecall::engine::report::Report;
use latecall::engine::run::{RunError, applicable};
use latecall::gate::child::{self, ChildOptions};
use latecall::gate::{Budget, Check, Conclusion, Expected, names};
use latecall::program::Program;
use latecall::subject::{Entry, Library};
use latecall_bundled::BUNDLED;
use std::path::PathBuf;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Programs: `.latecall` files
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// Run them on this subject [default: the one that the file names]
    #[arg(long, value_name = "NAME")]
    subject: Option<String>,
    /// Run them with this engine: `model` explores every interleaving, without the gates that force one
    #[arg(long, value_name = "NAME", default_value = "replay", value_parser = ["replay", "model"])]
    engine: String,
    /// How far the model goes; the replay engine has no use for it
    #[arg(long, value_enum, default_value = "normal")]
    budget: BudgetName,
    /// How often each is run
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    repeat: u32,
    /// Load the C library from this shared object instead of using the one linked in
    #[arg(long, value_name = "PATH")]
    emitter: Option<PathBuf>,
    /// Show what happened also when no rule was broken
    #[arg(long)]
    timeline: bool,
    /// Write one JSON document
    #[arg(long)]
    json: bool,
}

/// A program and what it is to be run on.
struct Case {
    file: String,
    program: Program,
    entry: Entry,
    subject: String,
}

pub(super) fn run(arguments: Arguments) -> Result<u8, Failure> {
    let library = library(arguments.emitter.as_deref());
    let executable = executable()?;
    // All of them are read before one is run: a bad one is bad usage, and then nothing runs.
    let cases = arguments.files.iter().map(|path| case(path, &arguments, &library)).collect::<Result<Vec<_>, _>>()?;

    let (mut documents, mut outcomes) = (Vec::new(), Vec::new());
    for Case { file, program, entry, subject } in cases {
        if let Err(RunError::NotOffered(what)) = applicable(&program, &*entry.subject) {
            out::complain(&format!("{file}: nothing ran: {what}"));
            outcomes.push(Conclusion::NothingRan);
            let mut report = Report::new(&subject, &arguments.engine);
            (report.not_offered, report.bounded_by) = (1, what.to_string());
            documents.push(Replayed { file, report, timeline: None });
            continue;
        }
        let mut check = Check::new(subject, arguments.engine.clone(), Expected::Sound);
        check.budget = arguments.budget.into();
        check.library = library.clone();
        let options = ChildOptions::new(Budget::Deep.limit()).program(&program);
        let options = options.repeat(arguments.repeat).timeline(arguments.timeline);
        let answer = child::run(&executable, &check, options, &mut |_| {});
        outcomes.push(outcome(&answer.report));
        let replayed = Replayed { file, report: answer.report, timeline: answer.timeline };
        if !arguments.json {
            out::print(&text(&replayed, style()))?;
        }
        documents.push(replayed);
    }
    let worst = Conclusion::worst(outcomes);
    if arguments.json {
        #[derive(serde::Serialize)]
        struct Content {
            exit_code: u8,
            replayed: Vec<Replayed>,
        }
        out::print(&json::document(&Content { exit_code: worst.exit_code(), replayed: documents }))?;
    }
    Ok(worst.exit_code())
}

fn case(path: &std::path::Path, arguments: &Arguments, library: &Library) -> Result<Case, Failure> {
    let program = files::read(path)?;
    let file = path.display().to_string();
    let Some(subject) = arguments.subject.clone().or_else(|| program.subject.clone()) else {
        return Err(Failure::usage(format!(
            "{file}: the program names no subject; give one with --subject NAME, or write `subject NAME` into the file \
             (`latecall list` lists them)"
        )));
    };
    let entry = names::find(&subject, BUNDLED, library).map_err(|error| Failure::usage(format!("{file}: {error}")))?;
    Ok(Case { file, program, entry, subject })
}

/// Here it does not matter whether a subject is known to be flawed: the question is what this program does.
fn outcome(report: &Report) -> Conclusion {
    match report {
        Report { error: Some(_), .. } => Conclusion::HarnessError,
        Report { finding: Some(_), .. } => Conclusion::Unsound,
        Report { runs: 0, .. } => Conclusion::NothingRan,
        _ => Conclusion::Sound,
    }
}

fn text(it: &Replayed, style: Style) -> String {
    let Report { subject, runs, events, calls, defused, gave_up, .. } = &it.report;
    let on = format!("{} on {subject}", it.file);
    let mut out = match (&it.report.error, &it.report.finding) {
        // A program may be part of the error: it keeps its lines.
        (Some(error), _) => format!("{on}: no verdict: {error}\n"),
        (None, Some(found)) => {
            format!("{on}: convicted of {}\n{}", found.violation.kind, finding::whole(found, style, "  "))
        }
        (None, None) => {
            let counts = format!(
                "{on}: no rule broken in {}: {}, {}, {} defused",
                counted(*runs, "run"),
                counted(*events, "event"),
                counted(*calls, "call"),
                counted(*defused, "late call")
            );
            let mut out = wrap(&counts, style.width, "  ") + "\n";
            if it.report.engine == "model" {
                out += &wrap(&format!("  {}", it.report.bounded_by), style.width, "    ");
                out.push('\n');
            }
            out
        }
    };
    if *gave_up > 0 {
        let not_possible = format!(
            "  {} requested by this program could not be forced; look for `gives up` in the timeline (--timeline)",
            counted(*gave_up, "order")
        );
        out += &wrap(&not_possible, style.width, "    ");
        out.push('\n');
    }
    if let Some(lines) = &it.timeline {
        out += "  What happened:\n";
        out += &finding::timeline(lines, &[], style, "    ");
    }
    out
}

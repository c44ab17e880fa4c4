//! What the gate makes of a check's process, however it ends: there is a report, and it says what happened. A script
//! (`tests/support/check.sh`) stands in for the command.

use latecall::engine::report::{Counterexample, Report};
use latecall::gate::child::{ChildOptions, ChildReport, run};
use latecall::gate::{Check, CheckMessage, Expected};
use latecall::ledger::{Violation, ViolationKind};
use latecall::program::Program;
use latecall::subject::Library;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Far more than a check of this file needs.
const LIMIT: Duration = Duration::from_secs(300);

/// A file of one test.
fn file(test: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("gate_child-{test}"))
}

/// Runs a check whose process does this; `file` is for it to read or write. The report, and the progress before it.
fn ran(does: &str, file: &Path) -> (ChildReport, Vec<Report>) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/check.sh");
    let mut check = Check::new(does, "replay", Expected::Sound);
    check.library = Library::Object(file.to_owned());
    let mut progress = Vec::new();
    let ended = run(&script, &check, ChildOptions::new(LIMIT), &mut |report| progress.push(report.clone()));
    (ended, progress)
}

fn error(does: &str) -> String {
    let (ended, _) = ran(does, Path::new("/dev/null"));
    assert_eq!((ended.report.subject.as_str(), ended.report.engine.as_str()), (does, "replay"));
    assert_eq!(ended.report.finding, None);
    ended.report.error.expect("an error")
}

/// Writes messages to a file, one a line.
fn messages(test: &str, messages: &[CheckMessage]) -> PathBuf {
    let lines: String = messages.iter().map(|it| serde_json::to_string(it).unwrap() + "\n").collect();
    std::fs::write(file(test), lines).unwrap();
    file(test)
}

fn report(runs: u64) -> Report {
    let mut report = Report::new("tells", "replay");
    report.runs = runs;
    report
}

#[test]
fn a_report_comes_back_as_it_was_told_with_the_progress_and_the_timeline_before_it() {
    let lines = vec!["main  fire a".to_owned()];
    let told = [
        CheckMessage::Progress(report(1)),
        CheckMessage::Progress(report(2)),
        CheckMessage::Timeline(lines.clone()),
        CheckMessage::Report(report(3)),
    ];
    let (ended, progress) = ran("tells", &messages("report", &told));
    assert_eq!(ended.report, report(3));
    assert_eq!(ended.timeline, Some(lines));
    assert_eq!(progress, [report(1), report(2)]);
}

#[test]
fn a_process_that_exits_without_a_report_is_an_error_with_its_code_and_what_it_complained_of() {
    assert_eq!(error("exits_3"), "its process ended with exit code 3 and without a report");
    let complaint = "its process ended with exit code 4 and without a report; its standard error: first\nsecond";
    assert_eq!(error("complains exits_4"), complaint);
    // What it had told before is not lost.
    let (ended, _) = ran("tells", &messages("progress", &[CheckMessage::Progress(report(7))]));
    assert_eq!(ended.report.runs, 7);
    assert_eq!(ended.report.error.as_deref(), Some("its process ended with exit code 0 and without a report"));
}

#[test]
fn of_a_long_complaint_the_end_is_told() {
    let said = error(&format!("{}exits_1", "complains ".repeat(1000)));
    assert!(said.len() < 2200 && said.ends_with("first\nsecond"), "{} bytes", said.len());
}

#[test]
fn a_process_that_dies_before_it_ran_a_program_is_an_error_that_names_the_signal() {
    let names = [
        ("SEGV", "SIGSEGV (an access to memory that is not mapped, or not for this)"),
        ("BUS", "SIGBUS (an access to memory that cannot be provided)"),
        ("ABRT", "SIGABRT (it called abort)"),
        ("TERM", "SIGTERM (another process asked it to end)"),
        ("USR1", "signal 10"),
    ];
    for (signal, name) in names {
        let expected = format!("its process died of {name} before it ran a program");
        assert_eq!(error(&format!("dies_{signal}")), expected);
    }
    assert!(error("complains dies_SEGV").ends_with("a program; its standard error: first\nsecond"));
    assert!(error("dies_KILL").starts_with("its process was killed (SIGKILL): by another process"));
}

#[test]
fn a_finding_stands_however_the_process_ends_and_a_report_without_one_does_not() {
    let violation = Violation::new(ViolationKind::Leak, "`a` was never freed");
    let mut convicted = report(3);
    convicted.finding = Some(Counterexample::new(violation, &Program::default(), Vec::new()));
    let (ended, _) = ran("tells dies_SEGV", &messages("finding", &[CheckMessage::Report(convicted.clone())]));
    assert_eq!(ended.report, convicted);
    let (ended, _) = ran("tells dies_SEGV", &messages("clean", &[CheckMessage::Report(report(3))]));
    assert!(ended.report.error.is_some_and(|error| error.starts_with("its process died of SIGSEGV")));
    let (ended, _) = ran("tells exits_1", &messages("exits", &[CheckMessage::Report(report(3))]));
    assert_eq!(ended.report, report(3), "the code of a check says what it found");
}

#[test]
fn a_process_that_writes_something_else_is_an_error_and_is_gone() {
    let said = error("says_hello");
    assert!(said.starts_with("its process wrote a line that is no message (") && said.ends_with("): hello"), "{said}");
    let _ = std::fs::remove_file(file("stays"));
    let (ended, _) = ran("says_hello stays", &file("stays"));
    assert!(ended.report.error.is_some_and(|error| error.ends_with("): hello")));
    // It is killed, perhaps before it could write its number.
    let number = std::fs::read_to_string(file("stays")).unwrap_or_default();
    if let Ok(number) = number.trim().parse::<u32>() {
        assert!(!Path::new(&format!("/proc/{number}")).exists(), "process {number} is left behind");
    }
}

#[test]
fn what_cannot_be_run_is_an_error_that_names_it() {
    let check = Check::new("a/subject", "replay", Expected::Sound);
    let ended = run(Path::new("/no/such/command"), &check, ChildOptions::new(LIMIT), &mut |_| ());
    let error = ended.report.error.expect("an error");
    assert!(error.starts_with("/no/such/command could not be run as a check: "), "{error}");
}

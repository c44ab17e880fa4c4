//! One finding as text: the rule, the sentence, the program, and what happened in the run.

use super::wrap::wrap;
use super::{Style, columns};
use latecall::engine::report::Counterexample;
use latecall::ledger::ViolationKind;
use std::fmt::Write;

/// The rule and the sentence, wrapped; later lines are indented by `indent`.
#[must_use]
pub fn sentence(finding: &Counterexample, style: Style, indent: &str) -> String {
    wrap(&format!("{}{}", indent, finding.violation), style.width, &format!("{indent}  "))
}

/// A program, each line after `indent`.
#[must_use]
pub fn program(text: &str, indent: &str) -> String {
    text.lines().fold(String::new(), |mut out, line| {
        let _ = writeln!(out, "{indent}{line}");
        out
    })
}

/// What happened, a numbered row for each event, within the style's width. Rows that prove the finding are marked.
#[must_use]
pub fn timeline(rows: &[String], proof: &[usize], style: Style, indent: &str) -> String {
    let digits = rows.len().to_string().len();
    let before = indent.chars().count() + digits + 4;
    let mut out = String::new();
    for (at, lines) in columns::fitted(rows, style.width.saturating_sub(before)).iter().enumerate() {
        let mark = if proof.contains(&at) { '>' } else { ' ' };
        for (nth, line) in lines.iter().enumerate() {
            let start = if nth == 0 { format!("{mark} {:>digits$}", at + 1) } else { " ".repeat(digits + 2) };
            let _ = writeln!(out, "{}", format!("{indent}{start}  {line}").trim_end());
        }
    }
    out
}

/// All of a finding: the sentence, what happened, and the program.
#[must_use]
pub fn whole(finding: &Counterexample, style: Style, indent: &str) -> String {
    let mut out = sentence(finding, style, indent);
    out.push('\n');
    if finding.timeline.is_empty() {
        let _ = writeln!(
            out,
            "{}",
            wrap(
                &format!("{indent}What happened: not known; the process that ran it died before anything did."),
                style.width,
                indent
            )
        );
    } else {
        let how = match finding.violation.kind {
            ViolationKind::Crashed => "What happened before it died:",
            _ => "What happened (`>` proves it):",
        };
        let _ = writeln!(out, "{indent}{how}");
        out += &timeline(&finding.timeline, &finding.violation.proof, style, &format!("{indent}  "));
    }
    let _ =
        writeln!(out, "{indent}Program, {} (`latecall replay` runs it):", super::counted(finding.steps as u64, "step"));
    out += &program(&finding.program, &format!("{indent}  "));
    out
}

//! One finding as text: the rule, the sentence, the program, and what happened in the run.

use super::Style;
use super::wrap::wrap;
use latecall::engine::report::Counterexample;
use latecall::ledger::ViolationKind;
use std::fmt::Write;

/// The rule and the sentence, wrapped; later lines are indented by `indent`.
pub fn sentence(finding: &Counterexample, style: Style, indent: &str) -> String {
    wrap(&format!("{}{}", indent, finding.violation), style.width, &format!("{indent}  "))
}

/// A program, each line after `indent`.
pub fn program(text: &str, indent: &str) -> String {
    text.lines().fold(String::new(), |mut out, line| {
        let _ = writeln!(out, "{indent}{line}");
        out
    })
}

/// What happened, one line an event; those that prove the finding are marked.
pub fn timeline(lines: &[String], proof: &[usize], indent: &str) -> String {
    let width = lines.len().to_string().len();
    lines.iter().enumerate().fold(String::new(), |mut out, (at, line)| {
        let mark = if proof.contains(&at) { '>' } else { ' ' };
        let _ = writeln!(out, "{indent}{mark} {:>width$}  {line}", at + 1);
        out
    })
}

/// All of a finding: the sentence, what happened, and the program.
pub fn whole(finding: &Counterexample, style: Style, indent: &str) -> String {
    let mut out = sentence(finding, style, indent);
    out.push('\n');
    if finding.timeline.is_empty() {
        let _ = writeln!(out, "{indent}What happened: not known; the process that ran it died before anything did.");
    } else {
        let how = match finding.violation.kind {
            ViolationKind::Crashed => "What happened before it died:",
            _ => "What happened (`>` proves it):",
        };
        let _ = writeln!(out, "{indent}{how}");
        out += &timeline(&finding.timeline, &finding.violation.proof, &format!("{indent}  "));
    }
    let _ =
        writeln!(out, "{indent}Program, {} (`latecall replay` runs it):", super::counted(finding.steps as u64, "step"));
    out += &program(&finding.program, &format!("{indent}  "));
    out
}

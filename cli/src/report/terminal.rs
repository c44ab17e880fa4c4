//! The gate's report for people: a table, each flaw with the smallest program that convicts it, what failed, and a last
//! line that says what was found and what bounded the search.

use super::wrap::wrap;
use super::{Style, counted, finding, grouped, seconds, short};
use comfy_table::{ContentArrangement, Table, presets};
use latecall::engine::report::Counterexample;
use latecall::gate::{CheckResult, CheckVerdict, Conclusion, Expected, Summary};
use std::fmt::Write;

/// What a cell of the table says besides the verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Detail {
    /// Programs and events, written out.
    Full,
    /// Programs and events in four characters each.
    Short,
    /// Programs in four characters.
    Programs,
    /// Nothing.
    Verdict,
}

/// What the words in the cells mean.
const VERDICTS: &str = "Sound subjects must come out clean; each subject in `flawed/` has one known defect and must be \
                        convicted of it. –: this engine need not find this defect. exhausted: clean in every \
                        interleaving of every program; where it says clean, the engine was bounded.";

impl Detail {
    /// From the widest to the narrowest.
    const ALL: [Detail; 4] = [Detail::Full, Detail::Short, Detail::Programs, Detail::Verdict];

    /// What stands in a cell, for the legend.
    const fn legend(self) -> &'static str {
        match self {
            Detail::Full | Detail::Short => "In each cell: the verdict, then how many programs and events were run.",
            Detail::Programs => "In each cell: the verdict, then how many programs were run.",
            Detail::Verdict => "In each cell: the verdict.",
        }
    }
}

/// The whole report.
#[must_use]
pub fn gate(results: &[CheckResult], summary: &Summary, style: Style) -> String {
    let mut out = table(results, style);
    out += &flaws(results, style);
    out += &failures(results, style);
    out.push('\n');
    out += &last_word(results, summary, style);
    out
}

/// A row for each subject, a column for each engine: with as much detail as fits into the style's width.
#[must_use]
pub fn table(results: &[CheckResult], style: Style) -> String {
    let narrowest = Detail::ALL[Detail::ALL.len() - 1];
    let fits = |detail: &Detail| rows(results, *detail).iter().all(|line| line.chars().count() <= style.width);
    let detail = Detail::ALL.into_iter().find(fits).unwrap_or(narrowest);
    let lines = rows(results, detail);
    let rule = "─".repeat(lines.iter().map(|line| line.chars().count()).max().unwrap_or(0));
    let mut out = String::new();
    // One line a row: nothing is wrapped. Families of subjects stand apart.
    let mut family = None;
    for (at, line) in lines.iter().enumerate() {
        let of = line.split(' ').next().and_then(|name| name.rsplit_once('/')).map(|(family, _)| family);
        if at == 1 {
            let _ = writeln!(out, "{rule}");
        } else if at > 1 && of != family {
            out.push('\n');
        }
        family = of;
        out += &paint(line, style);
        out.push('\n');
    }
    out.push('\n');
    let legend = [detail.legend(), VERDICTS].join(" ");
    out += &wrap(&legend, style.width, "");
    out.push('\n');
    out
}

/// The heading and the rows.
fn rows(results: &[CheckResult], detail: Detail) -> Vec<String> {
    let engines = in_order(results.iter().map(|it| it.check.engine.as_str()));
    let subjects = in_order(results.iter().map(|it| it.check.subject.as_str()));
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(std::iter::once("subject").chain(engines.iter().copied()));
    for subject in subjects {
        let cell = |engine: &&str| {
            let of = |it: &&CheckResult| it.check.subject == subject && it.check.engine == **engine;
            results.iter().find(of).map_or_else(String::new, |it| cell(it, detail))
        };
        table.add_row(std::iter::once(subject.to_owned()).chain(engines.iter().map(cell)));
    }
    let columns = table.column_count();
    for (at, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, u16::from(at + 1 < columns)));
    }
    table.lines().map(|line| line.trim_end().to_owned()).collect()
}

fn cell(it: &CheckResult, detail: Detail) -> String {
    let word = match &it.verdict {
        CheckVerdict::Clean if it.report.exhausted => "exhausted",
        verdict => word(verdict),
    };
    let (programs, events) = (it.report.programs, it.report.events);
    match detail {
        Detail::Full => format!("{word:<9} {:>6} / {:<9}", grouped(programs), grouped(events)),
        Detail::Short => format!("{word:<9} {:>4}/{:<4}", short(programs), short(events)),
        Detail::Programs => format!("{word:<9} {:>4}", short(programs)),
        Detail::Verdict => word.to_owned(),
    }
}

/// A verdict in at most nine characters; expected outcomes are lower-case, failures upper-case.
fn word(verdict: &CheckVerdict) -> &'static str {
    match verdict {
        CheckVerdict::Clean => "clean",
        CheckVerdict::Convicted { .. } => "convicted",
        CheckVerdict::NotRequired => "–",
        CheckVerdict::NotConvicted => "MISSED",
        CheckVerdict::WrongReason { .. } => "MISTAKEN",
        CheckVerdict::Unsound { .. } => "UNSOUND",
        CheckVerdict::Crashed => "CRASHED",
        CheckVerdict::NothingRan => "NOTHING",
        CheckVerdict::HarnessError { .. } => "ERROR",
        _ => "OTHER",
    }
}

/// Colours the verdicts in a line of the table.
fn paint(line: &str, style: Style) -> String {
    const GREEN: &[&str] = &["clean", "exhausted", "convicted"];
    const RED: &[&str] = &["MISSED", "MISTAKEN", "UNSOUND", "CRASHED", "NOTHING", "ERROR", "OTHER"];
    if !style.colour {
        return line.to_owned();
    }
    let mut line = line.to_owned();
    for (words, code) in [(GREEN, 32), (RED, 31)] {
        for word in words {
            line = line.replace(&format!(" {word} "), &format!(" \x1b[{code}m{word}\x1b[0m "));
        }
    }
    line
}

/// Each flawed subject: its defect, of what it was convicted by which engines, and the smallest program.
#[must_use]
pub fn flaws(results: &[CheckResult], style: Style) -> String {
    let mut out = String::new();
    let flawed = |it: &&CheckResult| matches!(it.check.expected, Expected::Flawed { .. });
    for subject in in_order(results.iter().filter(flawed).map(|it| it.check.subject.as_str())) {
        let of: Vec<&CheckResult> = results.iter().filter(|it| it.check.subject == subject).collect();
        let Some(Expected::Flawed { defect, .. }) = of.first().map(|it| &it.check.expected) else { continue };
        if out.is_empty() {
            out += "\nEach flawed subject: its defect, and the smallest program that convicts it\n";
        }
        let _ = writeln!(out, "\n{}", wrap(&format!("{subject}: {defect}"), style.width, "  "));
        let convictions: Vec<(&CheckResult, &Counterexample)> = of
            .iter()
            .filter(|it| matches!(it.verdict, CheckVerdict::Convicted { .. }))
            .filter_map(|it| Some((*it, it.report.finding.as_ref()?)))
            .collect();
        let Some((by, smallest)) = convictions.iter().min_by_key(|(_, finding)| finding.steps) else {
            out += "  not convicted\n";
            continue;
        };
        let kinds: Vec<String> = in_order(convictions.iter().map(|(_, it)| it.violation.kind))
            .into_iter()
            .map(|kind| {
                let engines = convictions.iter().filter(|(_, it)| it.violation.kind == kind);
                let engines: Vec<&str> = engines.map(|(it, _)| it.check.engine.as_str()).collect();
                format!("{kind} by {}", engines.join(", "))
            })
            .collect();
        let line = format!("  convicted of {}", kinds.join("; of "));
        let _ = writeln!(out, "{}", wrap(&line, style.width, "    "));
        out += &finding::sentence(smallest, style, "  ");
        out.push('\n');
        let _ = writeln!(out, "  by {} in {}:", by.check.engine, counted(smallest.steps as u64, "step"));
        out += &finding::program(&smallest.program, "    ");
    }
    out
}

/// What is not as it should be, in full.
#[must_use]
pub fn failures(results: &[CheckResult], style: Style) -> String {
    let mut out = String::new();
    for it in results.iter().filter(|it| it.verdict.conclusion() != Conclusion::Sound) {
        if out.is_empty() {
            out += "\nFailed\n";
        }
        let line = format!("{} {}: {}", it.check.subject, it.check.engine, explained(it));
        let _ = writeln!(out, "\n{}", wrap_lines(&line, style.width, "  "));
        if let (Some(finding), None) = (&it.report.finding, &it.report.error) {
            out += &finding::whole(finding, style, "  ");
        }
    }
    out
}

fn explained(it: &CheckResult) -> String {
    match (&it.verdict, &it.check.expected) {
        (CheckVerdict::NotConvicted, Expected::Flawed { convicted_of, .. }) => {
            let kinds: Vec<String> = convicted_of.iter().map(ToString::to_string).collect();
            format!(
                "not convicted of {} in {} ({}), though this engine has to",
                kinds.join(" or "),
                counted(it.report.runs, "run"),
                it.report.bounded_by
            )
        }
        (CheckVerdict::NothingRan, _) if it.report.not_offered > 0 => {
            let programs = counted(it.report.not_offered, "program");
            format!("nothing ran: the subject does not offer the ops of {programs}")
        }
        (CheckVerdict::NothingRan, _) => "nothing ran: the engine had no program for this subject".to_owned(),
        (verdict, _) => verdict.to_string(),
    }
}

/// Wraps each line; a text of several lines (a program, say) keeps them.
fn wrap_lines(text: &str, width: usize, indent: &str) -> String {
    let mut lines = text.lines();
    let mut out = wrap(lines.next().unwrap_or_default(), width, indent);
    for line in lines {
        out.push('\n');
        out += indent;
        out += line;
    }
    out
}

/// What was found, what bounded the search, and the verdict in words.
#[must_use]
pub fn last_word(results: &[CheckResult], summary: &Summary, style: Style) -> String {
    let sound: Vec<&CheckResult> = results.iter().filter(|it| it.check.expected == Expected::Sound).collect();
    let flawed: Vec<&CheckResult> = results.iter().filter(|it| it.check.expected != Expected::Sound).collect();
    let mut out = String::new();
    let mut say = |title: &str, text: &str| {
        let text = wrap(text, style.width.saturating_sub(17), "");
        for (n, line) in text.lines().enumerate() {
            let _ = writeln!(out, "{:<17}{line}", if n == 0 { title } else { "" });
        }
    };
    if !sound.is_empty() {
        let sum = |which: fn(&CheckResult) -> u64| sound.iter().map(|it| which(it)).sum::<u64>();
        let found = sound.iter().filter(|it| it.report.finding.is_some()).count() as u64;
        let found = if found == 0 { "nothing found".to_owned() } else { counted(found, "finding") };
        let text = format!(
            "{}: {found} in {} ({}, {}, {} defused)",
            in_order(sound.iter().map(|it| it.check.subject.as_str())).len(),
            counted(sum(|it| it.report.programs), "program"),
            counted(sum(|it| it.report.runs), "run"),
            counted(sum(|it| it.report.events), "event"),
            counted(sum(|it| it.report.defused), "late call"),
        );
        say("Sound subjects", &text);
    }
    if !flawed.is_empty() {
        let flaws = in_order(flawed.iter().map(|it| it.check.subject.as_str()));
        let missed = flaws.iter().filter(|flaw| {
            flawed.iter().any(|it| it.check.subject == **flaw && it.verdict.conclusion() != Conclusion::Sound)
        });
        let (missed, all) = (missed.count(), flaws.len());
        say("Flawed subjects", &format!("{all}: {} convicted by each engine that has to", all - missed));
    }
    if let Some(check) = results.first().map(|it| &it.check) {
        let engines = in_order(results.iter().map(|it| it.check.engine.as_str()));
        let text = format!("{}, seed {}: not exhaustive, and no proof", check.budget.bounds(&engines), check.seed);
        say("Bounded by", &text);
    }
    let so = counted(results.iter().filter(|it| it.verdict.conclusion() == summary.outcome).count() as u64, "check");
    let verdict = match summary.outcome {
        Conclusion::Sound => "As it should be, within these bounds".to_owned(),
        Conclusion::Unsound => format!("UNSOUND, or a flaw missed: {so}"),
        Conclusion::HarnessError => format!("HARNESS ERROR: {so} without a verdict"),
        Conclusion::NothingRan => format!("NOTHING RAN: {so} with nothing to run"),
        other => format!("{other:?}: {so}"),
    };
    let (checks, time) = (counted(summary.checks as u64, "check"), seconds(summary.milliseconds));
    let mut line = wrap(&format!("{verdict}. {checks} in {time}, exit code {}.", summary.exit_code), style.width, "");
    if style.colour {
        let code = if summary.outcome == Conclusion::Sound { 32 } else { 31 };
        line = line.replacen(&verdict, &format!("\x1b[1;{code}m{verdict}\x1b[0m"), 1);
    }
    out + &line + "\n"
}

/// Each once, in the order of their first appearance.
fn in_order<T: PartialEq>(all: impl Iterator<Item = T>) -> Vec<T> {
    all.fold(Vec::new(), |mut seen, it| {
        if !seen.contains(&it) {
            seen.push(it);
        }
        seen
    })
}

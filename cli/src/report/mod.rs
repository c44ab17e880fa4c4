//! Reports for people and machines: consumers of the gate's events.
//!
//! How the parts fit:
//!
//! * [`terminal`]: the table, the findings and the last word. [`finding`]: one finding as text.
//! * [`progress`]: what is shown while the gate works.
//! * [`json`]: the same for machines; `docs/json.md` is its page.
//!
//! Not here: judging (`gate`), and where the text goes (the command).

mod columns;
pub mod finding;
pub mod json;
pub mod progress;
pub mod terminal;
mod wrap;

pub(crate) use wrap::wrap;

use latecall::gate::{CheckResult, GateEvent, Summary};

/// Makes a report of what the gate tells.
pub trait Reporter {
    /// Takes note of an event.
    fn event(&mut self, event: &GateEvent<'_>);
}

/// Keeps what the gate has found, for the reports that are written at the end.
#[derive(Debug, Clone, Default)]
pub struct Collected {
    /// The results, in the order of the plan.
    pub results: Vec<CheckResult>,
    /// The summary of all checks; none until the last has ended.
    pub summary: Option<Summary>,
}

impl Reporter for Collected {
    fn event(&mut self, event: &GateEvent<'_>) {
        match event {
            GateEvent::CheckFinished { result, .. } => self.results.push((*result).clone()),
            GateEvent::Finished { summary } => self.summary = Some((*summary).clone()),
            _ => {}
        }
    }
}

/// How text is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Style {
    /// Columns.
    pub width: usize,
    /// Whether colours may be used.
    pub colour: bool,
}

/// A number with its thousands apart: `1,234,567`.
pub(crate) fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A number in at most four characters: `999`, `9.9k`, `120k`, `3.4M`.
pub(crate) fn short(n: u64) -> String {
    const UNITS: [(u64, &str); 3] = [(1_000_000_000, "G"), (1_000_000, "M"), (1000, "k")];
    for (unit, letter) in UNITS {
        if n >= unit {
            // Cut, not rounded: 999,999 is 999k and not 1000k.
            let (whole, tenth) = (n / unit, n % unit * 10 / unit);
            return if whole < 10 { format!("{whole}.{tenth}{letter}") } else { format!("{whole}{letter}") };
        }
    }
    n.to_string()
}

/// One and many: `1 program`, `2 programs`.
pub fn counted(n: u64, what: &str) -> String {
    format!("{} {what}{}", grouped(n), if n == 1 { "" } else { "s" })
}

/// Milliseconds as seconds.
pub(crate) fn seconds(milliseconds: u64) -> String {
    if milliseconds < 10_000 {
        format!("{}.{} s", milliseconds / 1000, milliseconds % 1000 / 100)
    } else {
        format!("{} s", (milliseconds + 500) / 1000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_readable() {
        assert_eq!([0, 999, 1000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
        let short = [0, 999, 1000, 9_999, 10_000, 999_999, 1_000_000, 12_345_678, u64::MAX].map(short);
        assert_eq!(short, ["0", "999", "1.0k", "9.9k", "10k", "999k", "1.0M", "12M", "18446744073G"]);
        assert_eq!(counted(1, "program"), "1 program");
        assert_eq!(counted(1000, "run"), "1,000 runs");
        assert_eq!([0, 950, 9_999, 34_567].map(seconds), ["0.0 s", "0.9 s", "9.9 s", "35 s"]);
    }
}

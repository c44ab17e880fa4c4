//! What is shown while the gate works: a line that changes on a terminal, a line now and then elsewhere. Always on the
//! standard error, so that the report can be piped away.

use super::{Reporter, counted, seconds};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use latecall::gate::{Check, Conclusion, GateEvent};
use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

/// How often a line is written where it cannot be changed.
const NOW_AND_THEN: Duration = Duration::from_secs(5);

/// Shows how the gate goes.
#[derive(Debug)]
pub struct Progress {
    bar: Option<ProgressBar>,
    began: Instant,
    told: Instant,
    total: usize,
    ended: usize,
    failed: usize,
    names: Vec<String>,
    /// Checks that are running.
    running: BTreeMap<usize, Now>,
}

/// How far a check is.
#[derive(Debug)]
struct Now {
    programs: u64,
    runs: u64,
    began: Instant,
}

impl Default for Progress {
    fn default() -> Self {
        Self::new()
    }
}

impl Progress {
    /// On the standard error.
    pub fn new() -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(10));
            let style = ProgressStyle::with_template("{bar:24} {pos}/{len} checks, {elapsed}  {wide_msg}");
            if let Ok(style) = style {
                bar.set_style(style);
            }
            bar
        });
        let now = Instant::now();
        Progress {
            bar,
            began: now,
            told: now,
            total: 0,
            ended: 0,
            failed: 0,
            names: Vec::new(),
            running: BTreeMap::new(),
        }
    }

    fn now(&self) -> String {
        let running = self.running.iter().map(|(check, now)| {
            let name = self.names.get(*check).map_or("?", String::as_str);
            if !name.ends_with(" model") {
                return format!("{name} ({})", counted(now.programs, "program"));
            }
            // Runs are interleavings here, and the only thing that moves for a long time.
            let seconds = now.began.elapsed().as_secs_f64().max(0.1);
            let rate = (now.runs as f64 / seconds) as u64;
            format!("{name} ({}, {rate}/s, {seconds:.0} s)", counted(now.runs, "interleaving"))
        });
        running.collect::<Vec<_>>().join(", ")
    }

    fn failed_so_far(&self) -> String {
        if self.failed > 0 { format!(", {} failed", self.failed) } else { String::new() }
    }

    fn show(&mut self) {
        if let Some(bar) = &self.bar {
            bar.set_position(self.ended as u64);
            bar.set_message(format!("{}{}", self.now(), self.failed_so_far()));
        } else if self.told.elapsed() >= NOW_AND_THEN {
            self.told = Instant::now();
            let elapsed = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
            let failed = self.failed_so_far();
            let line =
                format!("checks: {} of {}, {}{failed}; now {}", self.ended, self.total, seconds(elapsed), self.now());
            say(&line);
        }
    }
}

impl Reporter for Progress {
    fn event(&mut self, event: &GateEvent<'_>) {
        match event {
            GateEvent::Started { checks } => {
                self.total = checks.len();
                self.names = checks.iter().map(|Check { subject, engine, .. }| format!("{subject} {engine}")).collect();
                match &self.bar {
                    Some(bar) => bar.set_length(checks.len() as u64),
                    None => say(&counted(checks.len() as u64, "check")),
                }
            }
            GateEvent::CheckStarted { check } => {
                self.running.insert(*check, Now { programs: 0, runs: 0, began: Instant::now() });
            }
            GateEvent::CheckProgress { check, report } => {
                if let Some(now) = self.running.get_mut(check) {
                    (now.programs, now.runs) = (report.programs, report.runs);
                }
            }
            GateEvent::CheckEnded { check } => {
                self.running.remove(check);
                self.ended += 1;
            }
            GateEvent::CheckFinished { result, .. } if result.verdict.conclusion() != Conclusion::Sound => {
                self.failed += 1;
                let line = format!("{} {}: {}", result.check.subject, result.check.engine, result.verdict);
                match &self.bar {
                    Some(bar) => bar.println(&line),
                    None => say(&line),
                }
            }
            GateEvent::Finished { .. } => {
                if let Some(bar) = &self.bar {
                    bar.finish_and_clear();
                }
                return;
            }
            _ => {}
        }
        self.show();
    }
}

/// A line on the standard error. That it may be closed is no reason to stop.
fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "latecall: {line}");
}

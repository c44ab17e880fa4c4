//! The speed table: `cargo run --release --manifest-path benches/Cargo.toml`.
//!
//! One callback a process; the processes of all items take turns, so that what slows the machine down for a while slows
//! all of them; the figure of an item is the median over its processes of the fastest round in each. Every goal is a
//! ratio to something measured in the same run, or a time. Exit code 1 if a row falls short. Calls of the registry are
//! compiled four times, and the processes take those in turn too: where the linker puts a function is worth a cycle.
//!
//! `-- --rounds N` (default 11), `-- instructions` (instructions a call, by callgrind: the same on a noisy machine),
//! `-- churn` (10^7 registrations, called and revoked, in flat memory).

mod child;
mod instructions;
mod rows;

use std::collections::BTreeMap;
use std::process::{Command, ExitCode};

/// What each measurement of a name gave.
pub(crate) struct Figures(BTreeMap<String, Vec<f64>>);

impl Figures {
    /// The median of `name`; not a number if nothing could be measured.
    pub(crate) fn of(&self, name: &str) -> f64 {
        let Some(values) = self.0.get(name) else { return f64::NAN };
        let mut values = values.clone();
        values.sort_by(f64::total_cmp);
        values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
    }
}

fn measure(name: &str, round: u32) -> Option<Vec<(String, f64)>> {
    let me = std::env::current_exe().ok()?;
    let output = Command::new(me).args(["child", name, &round.to_string()]).output().ok()?;
    if !output.status.success() {
        eprintln!("{name}: {}: {}", output.status, String::from_utf8_lossy(&output.stderr));
        return None;
    }
    let text = String::from_utf8(output.stdout).ok()?;
    text.lines()
        .map(|line| line.split_once(' ').and_then(|(key, value)| Some((key.into(), value.parse().ok()?))))
        .collect()
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["child", name] => {
            child::run(name, 0);
            ExitCode::SUCCESS
        }
        ["child", name, round] => {
            child::run(name, round.parse().expect("a number"));
            ExitCode::SUCCESS
        }
        ["churn"] => child::churn(),
        ["instructions"] => instructions::print(),
        [] => table(11),
        ["--rounds", rounds] => table(rounds.parse().expect("a number of rounds")),
        _ => {
            eprintln!("usage: speed [--rounds N | instructions | churn]");
            ExitCode::from(2)
        }
    }
}

fn table(rounds: u32) -> ExitCode {
    let mut figures = Figures(BTreeMap::new());
    for round in 0..rounds {
        eprint!("\rround {} of {rounds} ", round + 1);
        for name in rows::MEASURED {
            for (key, value) in measure(name, round).unwrap_or_default() {
                figures.0.entry(key).or_default().push(value);
            }
        }
    }
    eprintln!();
    rows::print(&figures, rounds)
}

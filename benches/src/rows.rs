//! The rows of the table: what is divided by what, and the goal.

use crate::Figures;
use std::process::ExitCode;

/// Every measurement, in the order of the processes of a round.
pub(crate) const MEASURED: &[&str] = &[
    "call/raw",
    "call/generic",
    "call/raw-shared",
    "call/shared",
    "call/raw-nested",
    "call/nested",
    "call/late",
    "call/late-null",
    "call/crossbeam-epoch",
    "call/haphazard",
    "call/seize",
    "call/arc-swap",
    "cdylib/raw",
    "cdylib/generic",
    "cdylib/raw-shared",
    "cdylib/shared",
    "two/generic",
    "two/shared",
    "two/counted-arc",
    "two/rwlock-slotmap",
    "pair/box",
    "pair/now",
    "pair/deferred",
    "pair/two-now",
    "pair/two-deferred",
    "fire/pair-deferred",
    "fire/revoke",
    "memory/1e6",
];

struct Row {
    what: &'static str,
    unit: &'static str,
    value: f64,
    goal: f64,
    at_least: bool,
}

pub(crate) fn print(figures: &Figures, rounds: u32) -> ExitCode {
    let of = |name: &str| figures.of(name);
    let ratio = |a: &str, b: &str| of(a) / of(b);
    let best_peer = ["call/crossbeam-epoch", "call/haphazard", "call/seize", "call/arc-swap"]
        .iter()
        .map(|peer| of(peer))
        .fold(f64::INFINITY, f64::min);
    let most = |what, unit, value, goal| Row { what, unit, value, goal, at_least: false };
    let least = |what, unit, value, goal| Row { what, unit, value, goal, at_least: true };
    let rows = [
        most("call, generic ÷ raw Box<F>", "×", ratio("call/generic", "call/raw"), 1.40),
        most("call, shared ÷ raw Box<Box<dyn Fn>>", "×", ratio("call/shared", "call/raw-shared"), 1.15),
        most("cdylib: call, generic ÷ raw Box<F>", "×", ratio("cdylib/generic", "cdylib/raw"), 1.25),
        most("cdylib: call, shared ÷ raw Box<Box<dyn Fn>>", "×", ratio("cdylib/shared", "cdylib/raw-shared"), 1.25),
        most("2 threads on one handle ÷ 1 thread", "×", ratio("two/generic", "call/generic"), 1.05),
        least("best sound peer ÷ ours, 1 thread", "×", best_peer / of("call/generic"), 3.0),
        least("counted Arc ÷ ours, 2 threads, one handle", "×", ratio("two/counted-arc", "two/generic"), 15.0),
        least("RwLock<SlotMap> ÷ ours, 2 threads, one handle", "×", ratio("two/rwlock-slotmap", "two/generic"), 50.0),
        most("late call", "ns", of("call/late"), 4.0),
        most("late call with NULL", "ns", of("call/late-null"), 4.0),
        most("nested call ÷ raw nested", "×", ratio("call/nested", "call/raw-nested"), 1.6),
        most("register + revoke, 1 thread", "ns", of("pair/now"), 20.0),
        most("register + revoke, 2 threads", "ns", of("pair/two-now"), 22.0),
        most("register + deferred revoke, 1 thread", "ns", of("pair/deferred"), 20.0),
        most("register + deferred revoke, 2 threads", "ns", of("pair/two-deferred"), 22.0),
        most("register + deferred revoke, another core calls", "ns", of("fire/pair-deferred"), 60.0),
        most("deferred revoke, another core calls", "ns", of("fire/deferred"), 100.0),
        most("prompt revoke − membarrier, another core calls", "ns", of("fire/prompt") - of("fire/membarrier"), 1000.0),
        most("bytes a registration, at 10^6, allocated", "B", of("memory/allocated"), 40.0),
        most("bytes a registration, at 10^6, resident", "B", of("memory/resident"), 40.0),
    ];
    println!("| metric | measured | goal | |\n| --- | ---: | ---: | --- |");
    let mut short = 0;
    for row in &rows {
        // To the two decimals that goals are given in.
        let value = (row.value * 100.0).round() / 100.0;
        let holds = if row.at_least { value >= row.goal } else { value <= row.goal };
        let verdict = match (holds, row.value.is_nan()) {
            (_, true) => "not measured".to_owned(),
            (true, _) => "pass".to_owned(),
            (false, _) => {
                let by = if row.at_least { row.goal / row.value } else { row.value / row.goal };
                format!("falls short by {:.0} %", (by - 1.0) * 100.0)
            }
        };
        short += usize::from(!holds);
        let sign = if row.at_least { '≥' } else { '≤' };
        println!("| {} | {:.2} {} | {sign} {} | {verdict} |", row.what, row.value, row.unit, row.goal);
    }
    println!("\nMedians over {rounds} processes each, in ns (a call, a pair, a revocation):");
    for name in figures.0.keys() {
        println!("  {name:<22} {:>10.2}", of(name));
    }
    if short == 0 { ExitCode::SUCCESS } else { ExitCode::from(1) }
}

//! A run's events as lines for people: the thread, and what happened, in the words of the program.

use crate::ledger::judge::describe;
use crate::ledger::{Event, EventKind, ThreadNo, Turned};
use crate::program::Program;
use std::collections::BTreeMap;
use std::fmt;

/// One line an event: `t1    enters a`. Events inside an op or a callback are indented under it.
#[must_use]
pub fn lines(program: &Program, events: &[Event]) -> Vec<String> {
    let lines = texts(program, events).into_iter().zip(events);
    lines.map(|(text, event)| format!("{:<5} {text}", event.thread.name())).collect()
}

/// Writes the lines with their numbers, from 1; those at the places in `proof` are marked with `>`.
pub(crate) fn write(f: &mut fmt::Formatter<'_>, lines: &[String], proof: &[usize]) -> fmt::Result {
    for (at, line) in lines.iter().enumerate() {
        let mark = if proof.contains(&at) { '>' } else { ' ' };
        writeln!(f, "{mark} {:3}  {line}", at + 1)?;
    }
    Ok(())
}

/// The line of one event, without the name of its thread.
pub(crate) fn text(program: &Program, events: &[Event], at: usize) -> String {
    texts(program, events.get(..=at).unwrap_or(events)).pop().unwrap_or_default()
}

fn texts(program: &Program, events: &[Event]) -> Vec<String> {
    let mut depth: BTreeMap<ThreadNo, usize> = BTreeMap::new();
    let mut ops: BTreeMap<ThreadNo, Vec<String>> = BTreeMap::new();
    let name = |callback: crate::program::CallbackId| match program.callbacks.get(callback.0 as usize) {
        Some(callback) => callback.name.clone(),
        None => "a churned callback".to_owned(),
    };
    let mut out = Vec::new();
    for event in events {
        let depth = depth.entry(event.thread).or_default();
        let ops = ops.entry(event.thread).or_default();
        let (text, before, after) = match event.kind {
            EventKind::OpBegin { step: id, .. } => {
                let text = program.step(id).map_or_else(|| "?".to_owned(), |step| program.step_text(step));
                ops.push(text.clone());
                (text, 0, 1)
            }
            EventKind::OpEnd { answer } => {
                let op = ops.pop().unwrap_or_default();
                (format!("{} answers {}", op.split(" = ").next().unwrap_or_default(), describe(answer)), -1, 0)
            }
            EventKind::Registered { callback } => (format!("the library has taken {}", name(callback)), 0, 0),
            EventKind::Refused { callback } => (format!("{} is refused", name(callback)), 0, 0),
            EventKind::Enter { callback, .. } => (format!("enters {}", name(callback)), 0, 1),
            EventKind::Leave { callback, value } => (format!("leaves {}, returning {value}", name(callback)), -1, 0),
            EventKind::Unwind { callback } => (format!("unwinds out of {}", name(callback)), -1, 0),
            EventKind::Dropped { callback } => (format!("frees {}", name(callback)), 0, 0),
            EventKind::Late { .. } => ("a late call is defused".to_owned(), 0, 0),
            EventKind::TurnedAway { callback, why, .. } => {
                let why = match why {
                    Turned::Busy => "another call of it is running",
                    Turned::WrongThread => "it is confined to another thread",
                };
                (format!("a call of {} is turned away: {why}", name(callback)), 0, 0)
            }
            EventKind::UnwindEscaped => ("a panic comes out of the library".to_owned(), 0, 0),
            EventKind::BlockFreed { callback } => (format!("frees the block beside {}", name(callback)), 0, 0),
            EventKind::BlockUsed { callback } => (format!("uses the block beside {}", name(callback)), 0, 0),
            EventKind::Held { gate } => (format!("is held at {}", program.gate_name(gate)), 0, 0),
            EventKind::LetGo { gate, gave_up: false } => (format!("passes {}", program.gate_name(gate)), 0, 0),
            EventKind::LetGo { gate, gave_up: true } => {
                (format!("gives up at {}: nothing else can move", program.gate_name(gate)), 0, 0)
            }
            EventKind::Closing => ("the session begins to close".to_owned(), 0, 0),
            EventKind::Closed => ("the session is closed".to_owned(), 0, 0),
        };
        *depth = depth.saturating_add_signed(before);
        out.push(format!("{}{text}", "  ".repeat(*depth)));
        *depth = depth.saturating_add_signed(after);
    }
    out
}

//! What a search found, in words for people.

use super::event::{Event, What};
use super::stack::{Names, Place};
use super::variables;
use super::world::{Me, Pc, Thread, World};
use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

/// What kind of violation a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum FindingKind {
    /// Two accesses to the same memory, one of them a write, one of them not atomic, and nothing orders them.
    DataRace,
    /// Freed memory was accessed, or freed while somebody waits on it.
    UseAfterFree,
    /// A block was freed twice.
    DoubleFree,
    /// `free` of what no `malloc` of the C code returned.
    ForeignFree,
    /// An access beyond a block, or of an address that cannot be memory.
    OutOfBounds,
    /// A block that nothing refers to at the end.
    Leak,
    /// Threads wait for each other, or for nobody.
    Deadlock,
    /// A thread waits by trying again and again, and nobody is left who could change what it tries.
    Livelock,
    /// An object of the C library is used against its rules: unlocking a mutex of another thread, for one.
    Misuse,
    /// The C code called `abort`, or its `assert` failed.
    Aborted,
    /// Rust code panicked, or [`fail`](super::fail)ed.
    Failed,
}

/// What limited a search.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Bound {
    /// [`Options::max_interleavings`](super::Options::max_interleavings).
    Interleavings(u64),
    /// [`Options::max_duration`](super::Options::max_duration).
    Duration(Duration),
    /// [`Options::preemptions`](super::Options::preemptions).
    Preemptions(usize),
    /// A thread that loops on an atomic, a lock or a clock, yields, sleeps, or waits with a limit a second time lets others run
    /// first: that it goes on at once was not explored.
    Yields,
    /// [`Options::max_branches`](super::Options::max_branches) in one interleaving.
    Branches(usize),
    /// Loom has no more threads than this, the first included.
    Threads(usize),
    /// Accesses of one thread in one interleaving: loom's clocks have 16 bits.
    Events(usize),
    /// [`Options::stack`](super::Options::stack), in bytes.
    Stack(usize),
    /// [`Options::memory`](super::Options::memory), in bytes.
    Memory(usize),
    /// Something that is not modelled.
    Unmodelled(String),
}

impl Bound {
    /// Puts names to the places in it, once the interleaving is over.
    pub(crate) fn with_names(self) -> Self {
        match self {
            Self::Unmodelled(what) => Self::Unmodelled(expand(&what, &mut Names::default())),
            other => other,
        }
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Interleavings(most) => write!(f, "{most} interleavings (raise Options::max_interleavings)"),
            Self::Duration(most) => write!(f, "{most:?} (raise Options::max_duration, or make the program smaller)"),
            Self::Preemptions(most) => write!(f, "{most} preemptions in an interleaving (Options::preemptions)"),
            Self::Yields => f.write_str(
                "loops on an atomic, a lock or a clock, yields or sleeps, each of which lets other threads run first (wait on \
                 a condition instead, if the code is yours)",
            ),
            Self::Branches(most) => write!(
                f,
                "{most} branches in one interleaving (raise Options::max_branches, unless a loop in the code under the \
                 model waits for time to pass)"
            ),
            Self::Threads(most) => write!(
                f,
                "{most} threads in one interleaving, the first included, which is all that loom has (give the library \
                 fewer workers, or the program fewer threads)"
            ),
            Self::Events(most) => write!(
                f,
                "{most} accesses by one thread in one interleaving, which is all that loom's clocks can count (make the \
                 data smaller, unless a loop in the code under the model waits for something that does not come)"
            ),
            Self::Stack(most) => write!(f, "{most} bytes of stack for each thread (raise Options::stack)"),
            Self::Memory(most) => {
                write!(f, "{most} bytes of memory for malloc in one interleaving (raise Options::memory)")
            }
            Self::Unmodelled(what) => write!(f, "the model: {what}"),
        }
    }
}

/// A violation, and the interleaving that shows it.
#[derive(Debug, Clone)]
pub struct Finding {
    /// What kind it is.
    pub kind: FindingKind,
    /// What happened, in a sentence, with places.
    pub message: String,
    /// The functions that were running where it happened, innermost first, each with file and line; the C functions of
    /// the thread that violated something. Empty when it happened at no place, as a leak does.
    pub stack: Vec<String>,
    /// The interleaving: a column for each thread, time downwards, the violation at the bottom.
    pub timeline: String,
    /// Which interleaving of the search it was; the first is 1.
    pub interleaving: u64,
    /// The same search, run again, did not find it there: what runs in it does not do the same whenever the same choices
    /// are made, and what it found holds for the one time only.
    pub unsteady: bool,
    /// It happened in C code: the access, the call or every wait that it consists of. If not, it takes both sides, or is
    /// Rust code's alone.
    pub in_c: bool,
    /// Which line of the timeline an event is that was [told](super::tell): event, line.
    pub(crate) told: Vec<(usize, usize)>,
    pub(crate) at: Option<(Me, Pc)>,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:?} in interleaving {}", self.kind, self.interleaving)?;
        if self.unsteady {
            writeln!(f, "which the same search did not find again: the code under the model does not repeat itself")?;
        }
        write!(f, "{}", self.timeline)
    }
}

impl Finding {
    /// One whose interleaving is not known yet.
    pub(crate) fn new(kind: FindingKind, message: String, at: Option<(Me, Pc)>) -> Self {
        Self {
            kind,
            message,
            stack: Vec::new(),
            timeline: String::new(),
            interleaving: 0,
            unsteady: false,
            in_c: at.is_some_and(|(_, pc)| pc != 0),
            told: Vec::new(),
            at,
        }
    }

    /// As it is raised, deep in C code on a small stack: names come later.
    pub(crate) fn raw(world: &mut World, kind: FindingKind, message: String, at: Option<(Me, Pc)>) -> Self {
        let mut finding = Self::new(kind, message, at);
        if let Some((me, pc)) = at {
            let calls = world.thread(me).calls.clone();
            // Addresses for now.
            finding.stack = std::iter::once(pc).chain(calls.into_iter().rev()).map(|pc| pc.to_string()).collect();
        }
        finding
    }

    /// Puts names to it, once the interleaving is over.
    pub(crate) fn finish(&mut self, world: &World, interleaving: u64, words: Option<&dyn Fn(usize) -> String>) {
        let mut names = Names::default();
        let pcs: Vec<Pc> = self.stack.iter().filter_map(|pc| pc.parse().ok()).filter(|&pc| pc != 0).collect();
        let places = pcs.iter().flat_map(|&pc| names.frames(pc).to_vec());
        self.stack = places.filter(|place| !of_the_machinery(place)).map(|place| place.to_string()).collect();
        self.interleaving = interleaving;
        self.message = expand(&self.message, &mut names);
        (self.timeline, self.told) = render(world, self, &mut names, words);
    }
}

/// A place in Rust code: the last folder, the file and the line.
pub(crate) fn at(place: &std::panic::Location<'_>) -> String {
    let parts: Vec<&str> = place.file().rsplit('/').take(2).collect();
    let file: Vec<&str> = parts.into_iter().rev().collect();
    format!("{}:{}", file.join("/"), place.line())
}

/// What calls the code under the model, and is no news to anybody.
fn of_the_machinery(place: &Place) -> bool {
    let function = place.function.trim_start_matches('<');
    ["core::", "std::", "latecall_explore::"].iter().any(|ours| function.starts_with(ours))
}

/// Marks an address in a message that a name shall replace: names are found when the interleaving is over.
pub(crate) fn later(pc: Pc) -> String {
    if pc == 0 { "Rust code".to_owned() } else { format!("\u{1}{pc}\u{2}") }
}

/// The same for the address of a global.
pub(crate) fn later_variable(address: usize) -> String {
    format!("\u{1}{VARIABLE}{address}\u{2}")
}

const VARIABLE: char = 'v';

fn expand(text: &str, names: &mut Names) -> String {
    let mut result = String::new();
    let mut rest = text;
    while let Some((before, marked)) = rest.split_once('\u{1}') {
        result.push_str(before);
        let (pc, after) = marked.split_once('\u{2}').unwrap_or((marked, ""));
        rest = after;
        if let Some(address) = pc.strip_prefix(VARIABLE) {
            result.push_str(&variables::describe(address.parse().unwrap_or_default()));
            continue;
        }
        let place = pc.parse().map_or_else(
            |_| "?".to_owned(),
            |pc| {
                let place = names.place(pc);
                if of_the_machinery(&place) { "the start of its thread".to_owned() } else { place.to_string() }
            },
        );
        result.push_str(&place);
    }
    result + rest
}

/// Longest column.
const WIDTH: usize = 72;

fn render(
    world: &World,
    finding: &Finding,
    names: &mut Names,
    words: Option<&dyn Fn(usize) -> String>,
) -> (String, Vec<(usize, usize)>) {
    let mut cells: Vec<(Me, String)> = Vec::new();
    let mut told = Vec::new();
    let mut before: Vec<Option<Place>> = vec![None; world.threads.len()];
    for event in &world.events {
        let text = match &event.what {
            What::Rust { what, place, frames } => {
                cells.push((event.thread, rust_cell(what, place, frames, names)));
                before[event.thread] = None;
                continue;
            }
            What::Told(index) => {
                told.push((*index, cells.len() + 1)); // the first line is the heading
                words.map_or_else(|| format!("event {index}"), |words| words(*index))
            }
            of_c => match of_c.text(world) {
                Some(text) => expand(&text, names),
                None => continue,
            },
        };
        cells.push((event.thread, cell(event, text, names, &mut before[event.thread])));
    }
    let cells = folded(cells, &mut told);
    let threads: Vec<String> = (0..world.threads.len())
        .map(|me| match &world.threads[me] {
            Some(Thread { name, title: Some(title), .. }) => format!("{name} \"{title}\""),
            Some(thread) => thread.name.to_string(),
            None => format!("thread {me}"),
        })
        .collect();
    let widths: Vec<usize> = threads
        .iter()
        .enumerate()
        .map(|(me, name)| {
            let widest = cells.iter().filter(|(thread, _)| *thread == me).map(|(_, text)| text.chars().count()).max();
            widest.unwrap_or(0).max(name.chars().count()).min(WIDTH)
        })
        .collect();
    let mut text = String::new();
    let mut row = |number: String, columns: &[&str]| {
        let mut line = format!("{number:>4}");
        for (column, width) in columns.iter().zip(&widths) {
            line.push_str(" | ");
            line.push_str(column);
            line.extend(std::iter::repeat_n(' ', width.saturating_sub(column.chars().count())));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    };
    row(String::new(), &threads.iter().map(String::as_str).collect::<Vec<_>>());
    for (number, (thread, cell)) in cells.iter().enumerate() {
        let mut columns = vec![""; threads.len()];
        columns[*thread] = cell;
        row((number + 1).to_string(), &columns);
    }
    let place = finding.at.map(|(me, _)| format!(" in {}", threads[me])).unwrap_or_default();
    match (finding.kind, finding.at) {
        // The message says everything.
        (FindingKind::Failed, Some((_, 0))) => text.push_str(&format!("{}\n", finding.message)),
        (kind, _) => text.push_str(&format!("{kind:?}{place}: {}\n", finding.message)),
    }
    for (number, frame) in finding.stack.iter().enumerate() {
        text.push_str(&format!("{} {frame}\n", if number == 0 { "  at" } else { "  from" }));
    }
    for (me, thread) in world.threads.iter().enumerate() {
        let Some(thread) = thread else { continue };
        if thread.calls.is_empty() || finding.at.is_some_and(|(violator, pc)| violator == me && pc != 0) {
            continue;
        }
        let calls = thread.calls.iter().rev().flat_map(|&pc| names.frames(pc).to_vec());
        let calls: Vec<String> =
            calls.filter(|place| !of_the_machinery(place)).map(|place| place.to_string()).collect();
        if !calls.is_empty() {
            text.push_str(&format!("{} is in a function called by {}\n", thread.name, calls.join(" from ")));
        }
    }
    (text, told)
}

/// How many lines may repeat themselves together, and how often before they are told once.
const ROUND: usize = 8;
const MOST_ROUNDS: usize = 4;

/// Tells what a loop does again and again once, with how often; lines that somebody was told of stay. `told` has lines of the
/// timeline, of which the first is the heading.
fn folded(cells: Vec<(Me, String)>, told: &mut [(usize, usize)]) -> Vec<(Me, String)> {
    let kept: BTreeSet<usize> = told.iter().map(|(_, line)| line - 1).collect();
    let mut result: Vec<(Me, String)> = Vec::new();
    let mut lines = Vec::new();
    let mut at = 0;
    while at < cells.len() {
        let rounds = |length: usize| {
            let round = &cells[at..(at + length).min(cells.len())];
            let same = cells[at..].chunks_exact(length).take_while(|&next| next == round).count();
            if kept.range(at..at + same * length).next().is_none() { same } else { 0 }
        };
        let found = (1..=ROUND).map(|length| (length, rounds(length))).find(|&(_, rounds)| rounds > MOST_ROUNDS);
        let (length, rounds) = found.unwrap_or((1, 1));
        for _ in 0..length * rounds {
            lines.push(result.len() + 1);
        }
        result.extend_from_slice(&cells[at..at + length]);
        at += length * rounds;
        if let (true, Some((thread, _))) = (rounds > 1, result.last()) {
            let lines = if length == 1 { "this".to_owned() } else { format!("these {length} lines") };
            result.push((*thread, format!("  … {lines} {rounds} times")));
        }
    }
    for (_, line) in told {
        *line = lines[*line - 1];
    }
    result
}

/// An operation of Rust code. Its function is known where the interleaving was recorded with frames.
fn rust_cell(what: &str, place: &'static std::panic::Location<'static>, frames: &[Pc], names: &mut Names) -> String {
    let line = at(place);
    let function = frames.iter().find_map(|&pc| {
        let mut places = names.frames(pc).iter();
        places.find(|found| found.line == line && !of_the_machinery(found)).map(|found| found.function.clone())
    });
    let file = line.rsplit('/').next().unwrap_or_default();
    match function {
        Some(function) => format!("{}: {what} ({file})", short(&function)),
        None => format!("{what} ({line})"),
    }
}

/// The last two parts of a Rust path, without generic arguments: `Slot::enter`.
fn short(function: &str) -> String {
    let mut plain = String::new();
    let mut depth = 0_i32;
    for c in function.trim_start_matches('<').chars() {
        match c {
            '<' => depth += 1,
            '>' => depth -= 1,
            c if depth <= 0 => plain.push(c),
            _ => {}
        }
    }
    let parts: Vec<&str> = plain.split("::").filter(|part| !part.is_empty() && !part.starts_with('{')).collect();
    parts[parts.len().saturating_sub(2)..].join("::")
}

fn cell(event: &Event, text: String, names: &mut Names, before: &mut Option<Place>) -> String {
    if event.pc == 0 {
        *before = None;
        return text;
    }
    let place = names.place(event.pc);
    let same = before.as_ref().is_some_and(|before| before.function == place.function);
    let line = place.line.rsplit('/').next().unwrap_or_default().to_owned();
    let cell = if same { format!("  {text} ({line})") } else { format!("{}: {text} ({line})", place.function) };
    *before = Some(place);
    cell
}

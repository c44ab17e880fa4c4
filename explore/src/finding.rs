//! Findings: what a search found, and its report.

use super::event::{Event, What};
use super::stack::{Names, Place};
use super::variables;
use super::world::{Me, Pc, Thread, World};
use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

/// Which rule a finding says was broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum FindingKind {
    /// Two threads access the same memory, at least one writes, at least one access is not atomic, and nothing orders the two.
    DataRace,
    /// An access of freed memory.
    UseAfterFree,
    /// A block was freed twice.
    DoubleFree,
    /// `free` of an address that the C code did not get from `malloc` or a function of its family.
    ForeignFree,
    /// An access beyond the bounds of a block, or through a null pointer.
    OutOfBounds,
    /// A block that was never freed, and that nothing refers to at the end of the interleaving.
    Leak,
    /// Threads wait, and no thread is left that could wake them.
    Deadlock,
    /// A thread spins, and no thread is left that could change what it reads.
    Livelock,
    /// An object of the C library is used against its rules: for example, a thread unlocks a mutex that another thread holds.
    Misuse,
    /// The C code called `abort`, or an `assert` failed.
    Aborted,
    /// Rust code panicked, or called [`fail`](super::fail).
    Failed,
}

impl fmt::Display for FindingKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::DataRace => "data race",
            Self::UseAfterFree => "use after free",
            Self::DoubleFree => "double free",
            Self::ForeignFree => "free of foreign memory",
            Self::OutOfBounds => "access out of bounds",
            Self::Leak => "leak",
            Self::Deadlock => "deadlock",
            Self::Livelock => "livelock",
            Self::Misuse => "misuse of the C library",
            Self::Aborted => "abort",
            Self::Failed => "failure in Rust code",
        })
    }
}

/// What limited a search. The text says what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Bound {
    /// [`Options::max_interleavings`](super::Options::max_interleavings).
    Interleavings(u64),
    /// [`Options::max_duration`](super::Options::max_duration).
    Duration(Duration),
    /// [`Options::preemptions`](super::Options::preemptions).
    Preemptions(usize),
    /// A thread gave way to others: it looped on an atomic, a lock or a clock, yielded, slept, or repeated a timed wait that had
    /// timed out. Interleavings in which the thread continues at once were not explored.
    Yields,
    /// [`Options::max_branches`](super::Options::max_branches).
    Branches(usize),
    /// The threads that loom has, including the one of the closure.
    Threads(usize),
    /// Accesses by one thread in one interleaving, of which loom's 16-bit clocks can count this many.
    Events(usize),
    /// [`Options::stack`](super::Options::stack), in bytes.
    Stack(usize),
    /// [`Options::memory`](super::Options::memory), in bytes.
    Memory(usize),
    /// The code called a function, or made an access, that is not modelled. The text names it, its place, and the reason.
    Unmodelled(String),
}

impl Bound {
    /// Replaces addresses by names of places. To be called after the interleaving has ended.
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
            Self::Interleavings(most) => {
                write!(f, "{} (raise Options::max_interleavings)", count(*most, "interleaving"))
            }
            Self::Duration(most) => write!(f, "{most:?} (raise Options::max_duration, or make the program smaller)"),
            Self::Preemptions(most) => {
                write!(f, "{} per interleaving (Options::preemptions)", count(*most as u64, "preemption"))
            }
            Self::Yields => f.write_str(
                "threads that give way to others: in a spin loop, by a yield or a sleep, or by a repeated timed wait (to \
                 get an exhaustive search, wait on a condition variable instead)",
            ),
            Self::Branches(most) => write!(
                f,
                "{} per interleaving (raise Options::max_branches; if a loop waits for time to pass, make it wait for an \
                 event instead)",
                count(*most as u64, "branch")
            ),
            Self::Threads(most) => write!(
                f,
                "{} per interleaving, including the one of the closure; loom has no more (use fewer threads in the test, \
                 or fewer workers in the library)",
                count(*most as u64, "thread")
            ),
            Self::Events(most) => write!(
                f,
                "{} by one thread in an interleaving; loom's clocks count no further (use less data; if a loop waits for \
                 something that never happens, fix the loop)",
                count(*most as u64, "access")
            ),
            Self::Stack(most) => {
                write!(f, "{} of stack per thread (raise Options::stack)", count(*most as u64, "byte"))
            }
            Self::Memory(most) => write!(
                f,
                "{} of memory for malloc per interleaving (raise Options::memory)",
                count(*most as u64, "byte")
            ),
            Self::Unmodelled(what) => write!(f, "an operation that is not modelled: {what}"),
        }
    }
}

/// A number and a noun, in the plural unless the number is 1.
pub(crate) fn count(number: u64, noun: &str) -> String {
    let plural = match noun {
        _ if number == 1 => "",
        noun if noun.ends_with('s') || noun.ends_with("ch") => "es",
        _ => "s",
    };
    format!("{number} {noun}{plural}")
}

/// A violation, and the interleaving that shows it. Its text is the whole report.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Finding {
    /// Which rule was broken.
    pub kind: FindingKind,
    /// What happened and where, in one sentence.
    pub message: String,
    /// The stack of C functions of the thread that broke the rule, innermost first, each with file and line. Empty for a
    /// violation without a place, such as a leak.
    pub stack: Vec<String>,
    /// The interleaving: one column per thread, time downwards, and the violation at the bottom.
    pub timeline: String,
    /// The number of the interleaving in the search. The first is 1.
    pub interleaving: u64,
    /// The search ran a second time, and this interleaving did not show the violation again. So the code does not always do
    /// the same under the same schedule, and [`replay`](crate::replay) may not reproduce the finding.
    pub not_reproduced: bool,
    /// The violation consists of C code only: the access, the call, or each of the waits of a deadlock. Otherwise Rust code
    /// takes part.
    pub in_c: bool,
    /// For each event of the harness (`harness::record_event`) in the timeline: the event, and the number of its line.
    pub(crate) event_lines: Vec<(usize, usize)>,
    pub(crate) at: Option<(Me, Pc)>,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} in interleaving {}", self.kind, self.interleaving)?;
        if self.not_reproduced {
            writeln!(
                f,
                "A second run of the search did not show it again: the code does not always do the same under the same \
                 schedule. Look for real time, random numbers, or state that outlives an interleaving."
            )?;
        }
        write!(f, "{}", self.timeline)
    }
}

impl Finding {
    /// A finding without its interleaving, which [`Self::finish`] adds.
    pub(crate) fn new(kind: FindingKind, message: String, at: Option<(Me, Pc)>) -> Self {
        Self {
            kind,
            message,
            stack: Vec::new(),
            timeline: String::new(),
            interleaving: 0,
            not_reproduced: false,
            in_c: at.is_some_and(|(_, pc)| pc != 0),
            event_lines: Vec::new(),
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
        (self.timeline, self.event_lines) = render(world, self, &mut names, words);
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

/// A column for each of `threads`, under its name, and a numbered line for each cell. A cell says its column.
pub(crate) fn columns(threads: &[String], cells: &[(usize, String)]) -> String {
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
    text
}

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
    let mut text = columns(&threads, &cells);
    let place = finding.at.map(|(me, _)| format!(" in {}", threads[me])).unwrap_or_default();
    match (finding.kind, finding.at) {
        // The message says everything.
        (FindingKind::Failed, Some((_, 0))) => text.push_str(&format!("{}\n", finding.message)),
        (kind, _) => text.push_str(&format!("{kind}{place}: {}\n", finding.message)),
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
            text.push_str(&format!("{} is in a function called at {}\n", thread.name, calls.join(" from ")));
        }
    }
    (text, told)
}

/// How many lines may repeat themselves together, and how often before they are told once.
const ROUND: usize = 8;
const MOST_ROUNDS: usize = 4;

/// Folds lines that a loop repeats: they are shown once, with how often they repeat. Lines with events of the harness stay. Each
/// element of `told` is such an event with its line in the timeline, whose first line is the heading.
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
            result.push((*thread, format!("  … {lines}, {rounds} times")));
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

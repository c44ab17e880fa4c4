//! What happened in an interleaving, as it is noted while it runs, and put into words when somebody wants to read it.
//!
//! Almost all interleavings are read by nobody, so noting an event makes no text.

use super::world::{self, Me, Pc, World, live};
use crate::finding::count;
use crate::loom_types::Ordering;

/// What happened, in which thread, where.
#[derive(Debug, Clone)]
pub(crate) struct Event {
    pub(crate) thread: Me,
    /// Where in C code; 0 in Rust.
    pub(crate) pc: Pc,
    pub(crate) what: What,
}

#[derive(Debug, Clone)]
pub(crate) enum What {
    /// A plain access, shown only where it matters.
    Access {
        address: usize,
        size: usize,
        write: bool,
    },
    /// An operation on an object of the C library.
    On(&'static str, usize),
    /// An operation on an atomic.
    Atomic {
        verb: &'static str,
        address: usize,
        change: Change,
        order: Ordering,
    },
    Fence(Ordering),
    /// A block of memory, by its address, with its size.
    Allocated(usize, usize),
    /// A block of memory, by its number.
    Freed(usize),
    /// Something that is done to a thread.
    Thread(&'static str, Me),
    /// Anything else, in words.
    Did(String),
    Said(&'static str),
    /// An operation of Rust code on an object of loom's, and where it stands.
    Rust {
        what: &'static str,
        place: &'static std::panic::Location<'static>,
        /// Who called it, innermost first: only where the interleaving is recorded in detail.
        frames: Vec<Pc>,
    },
    /// An event of the harness, which a listener has words for: see `harness::record_event`.
    Told(usize),
}

/// What an operation found in an atomic, or did to it.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Change {
    Found(u64),
    Set(u64),
    From(u64, u64),
    /// It compared, and found something else.
    Unlike(u64, u64),
    /// A weak exchange that failed for no reason.
    Nothing,
}

impl From<String> for What {
    fn from(text: String) -> Self {
        Self::Did(text)
    }
}

impl From<&'static str> for What {
    fn from(text: &'static str) -> Self {
        Self::Said(text)
    }
}

impl What {
    /// In words; the caller has its own for what is not of the C code, and expands addresses of code.
    pub(crate) fn text(&self, world: &World) -> Option<String> {
        let name = |address: &usize| world.name_address(*address);
        // An address that was stored differs from run to run, and its name does not.
        let value = |value: u64| world.name_value(value as usize).unwrap_or_else(|| value.to_string());
        Some(match self {
            Self::Access { address, size, write } => {
                if !world.watched(*address, *size) {
                    return None;
                }
                format!("{} {}", if *write { "writes" } else { "reads" }, name(address))
            }
            Self::On(verb, address) => format!("{verb} {}", name(address)),
            Self::Atomic { verb, address, change, order } => match *change {
                Change::Found(found) => format!("{verb} {} = {} {order:?}", name(address), value(found)),
                Change::Set(set) => format!("{verb} {} := {} {order:?}", name(address), value(set)),
                Change::From(from, to) => {
                    format!("{verb} {}: {} -> {} {order:?}", name(address), value(from), value(to))
                }
                Change::Unlike(found, expected) => {
                    format!("{verb} {} = {}, not {}", name(address), value(found), value(expected))
                }
                Change::Nothing => format!("{verb} {} and fails spuriously", name(address)),
            },
            Self::Fence(order) => format!("fence {order:?}"),
            Self::Allocated(address, size) => {
                format!("allocates {} ({})", name(address).trim_end_matches("+0"), count(*size as u64, "byte"))
            }
            Self::Freed(number) => format!("frees block {number}"),
            Self::Thread(verb, thread) => format!("{verb} thread {thread}"),
            Self::Did(text) => text.clone(),
            Self::Said(text) => (*text).to_owned(),
            Self::Rust { .. } | Self::Told(_) => return None,
        })
    }
}

/// Notes an operation of Rust code on an object of loom's, for the timeline.
pub(crate) fn rust_op(what: &'static str, place: &'static std::panic::Location<'static>) {
    if !live() || of_the_runtime(place.file()) {
        return;
    }
    let Some(me) = world::enter() else { return };
    let mut frames = Vec::new();
    if world::with(|world| world.detailed) {
        backtrace::trace(|frame| {
            frames.push(frame.ip().addr());
            frames.len() < 40
        });
    }
    world::with(|world| world.log(me, 0, What::Rust { what, place, frames }));
}

/// Whether the operation is one that the runtime makes for C code, whose own event is in the timeline already.
fn of_the_runtime(file: &str) -> bool {
    /// This file's folder, which holds the sources of the runtime.
    const HERE: &str = file!().split_at(file!().len() - "event.rs".len()).0;
    file.starts_with(HERE)
}

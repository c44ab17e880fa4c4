//! What a run comes to: its events and verdict, or why it has no verdict.

use super::offered::NotOffered;
use crate::ledger::log::MAX_EVENTS;
use crate::ledger::{Event, Verdict};
use crate::subject::OpenError;
use std::error::Error;
use std::fmt;
use std::time::Duration;

/// What a run was.
#[derive(Debug, Clone)]
#[non_exhaustive]
#[must_use = "the verdict says whether a rule was broken"]
pub struct RunOutcome {
    /// Everything that happened, in order.
    pub events: Vec<Event>,
    /// What the events prove.
    pub verdict: Verdict,
}

/// Why a run has no verdict.
#[derive(Debug)]
#[non_exhaustive]
pub enum RunError {
    /// The subject does not offer what the program needs.
    NotOffered(NotOffered),
    /// The subject's library could not be opened.
    Open(OpenError),
    /// The process does not use the quarantine allocator, so calling a freed callback would crash it.
    NoQuarantine,
    /// The run made more events than the ledger holds (32 768).
    TooManyEvents,
    /// The subject panicked outside any callback.
    SubjectPanicked {
        /// What the panic said.
        message: String,
    },
    /// The run did not end in time, and its threads were not all asleep.
    TooLong {
        /// [`RunOptions::limit`](super::RunOptions::limit).
        limit: Duration,
    },
    /// All threads of the program ended, and a thread of the library was still inside a callback.
    StillCalled,
    /// A thread of the run could not be started.
    NoThread(std::io::Error),
    /// The search cannot represent the program or its subject, whatever the limits that it was given.
    Model(latecall_explore::Bound),
}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RunError::NotOffered(what) => what.fmt(f),
            RunError::Open(error) => write!(f, "the subject's library could not be opened: {error}"),
            RunError::NoQuarantine => f.write_str(
                "this process does not use the quarantine allocator, so calling a freed callback would crash it instead \
                 of being reported; add: #[global_allocator] static ALLOCATOR: latecall::ledger::Quarantine = \
                 latecall::ledger::Quarantine::new();",
            ),
            RunError::TooManyEvents => {
                write!(f, "the run made more events than the ledger holds ({MAX_EVENTS}); shorten the program")
            }
            RunError::SubjectPanicked { message } => {
                write!(f, "the subject panicked outside any callback: {message}")
            }
            RunError::TooLong { limit } => write!(
                f,
                "the run had not ended after {limit:?}, and not all of its threads were asleep: one loops or waits with a \
                 time limit; make the program end, or raise RunOptions::limit"
            ),
            RunError::StillCalled => f.write_str(
                "the session was closed and dropped, and a thread of the library was still inside a callback; make the \
                 session's shutdown wait for the library's threads",
            ),
            RunError::Model(bound) => write!(f, "the search is bounded by {bound}"),
            RunError::NoThread(error) => write!(f, "a thread of the run could not be started: {error}"),
        }
    }
}

impl Error for RunError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            RunError::Open(error) => Some(error),
            RunError::NoThread(error) => Some(error),
            _ => None,
        }
    }
}

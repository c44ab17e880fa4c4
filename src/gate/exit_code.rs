//! Exit codes of the command: public, each with one meaning, never reused for another.
//!
//! When several things went wrong the code is the one that says most about the subjects: [`UNSOUND`] before
//! [`HARNESS_ERROR`] before [`NOTHING_RAN`]. See [`Conclusion`](super::Conclusion).

/// Nothing was found in sound subjects, and every flaw was convicted by each engine that has to. It is not a proof: the
/// report says what bounded the search.
pub const SOUND: u8 = 0;

/// A subject that should be sound was convicted or crashed, or a flaw was not convicted, or was convicted of something
/// else than its defect. For `replay`: the program broke a rule.
pub const UNSOUND: u8 = 1;

/// The command line, or a program's text, is not one; nothing was run.
pub const BAD_USAGE: u8 = 2;

/// The harness could not reach a verdict: a library that cannot be opened, a check that does not end, output that cannot
/// be written.
pub const HARNESS_ERROR: u8 = 3;

/// Nothing was run: the filters match nothing, or an engine had no program for a subject. An empty search passes nothing.
pub const NOTHING_RAN: u8 = 4;

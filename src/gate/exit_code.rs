//! Exit codes of the command. They are public: a code has one meaning and never gets another.
//!
//! If several things went wrong, the code is the one that says most about the subjects: [`UNSOUND`] before
//! [`HARNESS_ERROR`] before [`NOTHING_RAN`]. See [`Conclusion`](super::Conclusion).

/// Nothing was found in sound subjects, and every flaw was convicted by each engine that has to convict it. This is no
/// proof: the report says what bounded the search.
pub const SOUND: u8 = 0;

/// A subject that should be sound was convicted or crashed, or a flaw was not convicted, or a flaw was convicted of
/// something else than its defect. For `replay`: the program broke a rule.
pub const UNSOUND: u8 = 1;

/// The command line or a program's text is wrong; nothing was run.
pub const BAD_USAGE: u8 = 2;

/// There is no verdict: a library could not be opened, a check did not end, or output could not be written.
pub const HARNESS_ERROR: u8 = 3;

/// Nothing was run: the filters match nothing, or an engine had no program for a subject. An empty search is no pass.
pub const NOTHING_RAN: u8 = 4;

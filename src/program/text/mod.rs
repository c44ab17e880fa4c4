//! The text form of programs: people write and read it, and every counterexample is kept in it.
//!
//! One op a line. A line's first word decides what the line is. Indentation has no meaning. `docs/program.md` describes
//! the language. [`parse`] reads it and `Display` of [`Program`] writes it. `parse(&program.to_string())` is an equal
//! program for every program that [`validate`](super::validate) accepts.
//!
//! Elsewhere: whether a program makes sense (a program may fire a callback that was never registered; the engines check
//! that no harm comes of it), and which verbs a subject offers.

mod error;
pub(crate) mod nearest;
mod parse;
mod print;
mod values;
mod words;

use super::Program;

pub use error::ParseError;

/// Parses the text form.
///
/// Takes time and memory linear in the length of the text, whatever the text contains.
///
/// # Errors
///
/// The first place that is not a program.
///
/// ```
/// use latecall::program::text;
///
/// let program = text::parse("callback a\nbefore\n  register a\n  fire a 243 257 = 500\n").unwrap();
/// assert_eq!(program.len(), 2);
///
/// let error = text::parse("before\n  fire 7\n").unwrap_err();
/// assert_eq!((error.line(), error.column()), (2, 8));
/// assert_eq!(error.expected(), "a callback's name");
/// ```
pub fn parse(text: &str) -> Result<Program, ParseError> {
    parse::parse(text)
}

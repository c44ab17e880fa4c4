//! The text form of programs: for people to write and read, and what every counterexample is kept as.
//!
//! One op a line; a line's first word decides what it is; indentation is for the reader's eyes. `docs/program.md` is the
//! language's page. [`parse`] reads it, `Display` of [`Program`] writes it, and
//! `parse(&program.to_string())` is an equal program for every program that [`validate`](super::validate) accepts.
//!
//! Not here: whether a program makes sense to run (nothing stops anyone from firing what was never registered: that it
//! comes to no harm is what the engines check), and which verbs a subject offers.

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
/// Time and memory are linear in the text, whatever it holds.
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
/// assert_eq!((error.line, error.column), (2, 8));
/// ```
pub fn parse(text: &str) -> Result<Program, ParseError> {
    parse::parse(text)
}

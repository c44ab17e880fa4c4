//! The error of the parser: the place, what was expected there, what was found, and a note where the rule is not
//! obvious. Finding the error is the work of `parse`.

use std::error::Error;
use std::fmt;

/// Maximum number of characters of a source line in a message: a fuzzer's lines would fill the screen.
const EXCERPT: usize = 100;
/// Maximum number of characters of a word in a message.
const WORD: usize = 40;

/// The first place of a text that is not a program. `Display` prints it with the source line and a caret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParseError {
    line: usize,
    column: usize,
    expected: String,
    found: String,
    note: Option<String>,
    /// The source line, or the part of it around the column.
    excerpt: String,
    /// Where the caret goes under the excerpt, in characters from its start.
    caret: u32,
}

impl ParseError {
    /// An error at byte `at` of `source`, which is line `line` of the text.
    pub(super) fn new(line: usize, source: &str, at: usize, expected: String, found: String) -> Self {
        let before = source.get(..at).unwrap_or(source).chars().count();
        let length = source.chars().count();
        // Cut a long line so that the column is in the first half of the excerpt and some of what follows is shown.
        let skip = if length <= EXCERPT { 0 } else { before.saturating_sub(EXCERPT / 2) };
        let mut excerpt: String = source.chars().skip(skip).take(EXCERPT).map(visible).collect();
        if skip + EXCERPT < length {
            excerpt.push('…');
        }
        let mut caret = before - skip;
        if skip > 0 {
            excerpt.insert(0, '…');
            caret += 1;
        }
        let caret = u32::try_from(caret).unwrap_or(0);
        ParseError { line, column: before + 1, expected, found, note: None, excerpt, caret }
    }

    /// The error with this note, if there is one.
    pub(super) fn with_note(self, note: impl Into<Option<String>>) -> Self {
        ParseError { note: note.into(), ..self }
    }

    /// The line; 1 is the first.
    pub fn line(&self) -> usize {
        self.line
    }

    /// The column in characters; 1 is the first. One past the end of the line if a word is missing there.
    pub fn column(&self) -> usize {
        self.column
    }

    /// What the parser expected at this place.
    pub fn expected(&self) -> &str {
        &self.expected
    }

    /// What the parser found: a word in back quotes, or `the end of the line`.
    pub fn found(&self) -> &str {
        &self.found
    }

    /// How to mend the text: the nearest word that fits, the line that this one contradicts, or the rule. `None` if
    /// [`ParseError::expected`] says all there is to say.
    pub fn note(&self) -> Option<&str> {
        self.note.as_deref()
    }
}

/// Replaces tabs and control characters, so that each character takes one column of a terminal and the caret stays
/// right.
fn visible(c: char) -> char {
    match c {
        '\t' => ' ',
        c if c.is_control() => '\u{fffd}',
        c => c,
    }
}

/// A word as messages show it: in back quotes, escaped, and cut if it is long.
pub(super) fn quoted(word: &str) -> String {
    let mut shown: String = word.chars().take(WORD).flat_map(char::escape_debug).collect();
    if word.chars().nth(WORD).is_some() {
        shown.push('…');
    }
    format!("`{shown}`")
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ParseError { line, column, expected, found, .. } = self;
        writeln!(f, "line {line}, column {column}: expected {expected}, found {found}")?;
        let number = line.to_string();
        let margin = " ".repeat(number.len());
        writeln!(f, "{number} | {}", self.excerpt)?;
        write!(f, "{margin} | {}^", " ".repeat(self.caret as usize))?;
        match &self.note {
            Some(note) => write!(f, "\n{margin} = {note}"),
            None => Ok(()),
        }
    }
}

impl Error for ParseError {}

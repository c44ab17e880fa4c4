//! What is wrong with a text, said so that the reader can mend it: the place, what was expected there, what was found, and
//! a note where the rule behind it is not plain. Not here: finding it (`parse`).

use std::error::Error;
use std::fmt;

/// Longest piece of a source line that a message shows; what a fuzzer writes on one line would fill the screen.
const EXCERPT: usize = 100;
/// Longest word that a message repeats.
const WORD: usize = 40;

/// The first place of a text that is not a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParseError {
    /// Line, 1 is the first.
    pub line: usize,
    /// Column in characters, 1 is the first.
    pub column: usize,
    /// What could have stood there.
    pub expected: String,
    /// What stands there: a word in back quotes, or `the end of the line`.
    pub found: String,
    /// A hint: the nearest word that would do, the line of the first of two, or the rule; empty when there is none.
    pub note: String,
    /// The source line, or the piece of it around the column.
    excerpt: String,
    /// Where the caret goes under the excerpt, in characters from its start.
    caret: u32,
}

impl ParseError {
    /// An error at byte `at` of `source`, which is line `line` of the text.
    pub(super) fn new(line: usize, source: &str, at: usize, expected: String, found: String, note: String) -> Self {
        let before = source.get(..at).unwrap_or(source).chars().count();
        let length = source.chars().count();
        // A long line is cut so that the column stands in its first half and something of what follows is seen.
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
        ParseError { line, column: before + 1, expected, found, note, excerpt, caret }
    }
}

/// One column of a terminal for every character: tabs and what cannot be seen would move the caret.
fn visible(c: char) -> char {
    match c {
        '\t' => ' ',
        c if c.is_control() => '\u{fffd}',
        c => c,
    }
}

/// A word as messages show it: quoted, escaped, and cut when it is long.
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
        if !self.note.is_empty() {
            write!(f, "\n{margin} = {}", self.note)?;
        }
        Ok(())
    }
}

impl Error for ParseError {}

//! A line cut into words, each with its position. What the words mean is decided in `parse`.

use super::error::{ParseError, quoted};

/// A word, and the byte of its line at which it starts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Word<'a> {
    pub(super) text: &'a str,
    pub(super) at: usize,
}

/// The words of one line up to its comment, in order. `=` is always a word of its own, with or without blanks around
/// it.
#[derive(Debug, Clone)]
pub(super) struct Words<'a> {
    /// The number of the line; 1 is the first.
    pub(super) line: usize,
    /// The whole line.
    source: &'a str,
    /// The line up to its comment.
    code: &'a str,
    /// The byte at which the search for the next word starts.
    at: usize,
}

impl<'a> Words<'a> {
    pub(super) fn new(line: usize, source: &'a str) -> Self {
        let code = source.find('#').map_or(source, |end| &source[..end]);
        Words { line, source, code: code.trim_end_matches(blank), at: 0 }
    }

    /// Takes the next word.
    pub(super) fn next(&mut self) -> Option<Word<'a>> {
        let rest = &self.code[self.at..];
        let at = self.at + (rest.len() - rest.trim_start_matches(blank).len());
        let rest = &self.code[at..];
        let length = match rest.find(|c| blank(c) || c == '=') {
            Some(0) => 1,
            Some(length) => length,
            None => rest.len(),
        };
        self.at = at + length;
        (length > 0).then(|| Word { text: &rest[..length], at })
    }

    /// Returns the next word without taking it.
    pub(super) fn peek(&self) -> Option<Word<'a>> {
        self.clone().next()
    }

    /// An error at `word`, or at the end of the line if there is no word.
    pub(super) fn error(&self, word: Option<Word<'a>>, expected: impl Into<String>) -> ParseError {
        let (at, found) = match word {
            Some(word) => (word.at, quoted(word.text)),
            None => (self.code.len(), "the end of the line".to_owned()),
        };
        ParseError::new(self.line, self.source, at, expected.into(), found)
    }
}

fn blank(c: char) -> bool {
    matches!(c, ' ' | '\t')
}

//! The parser: reads the lines in order and each line from left to right, and stops at the first word that does not
//! fit.
//!
//! A callback may be named before it is declared. Therefore a first pass collects the declared names. The second pass
//! finds every error, in the order of the text.
//!
//! This file: lines and sections. `declare`: header lines and callbacks. `ops`: the ops.

mod declare;
mod ops;

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use super::error::ParseError;
use super::words::{Word, Words};
use crate::program::valid::is_name;
use crate::program::{CallbackId, GateId, MAX_CALLBACKS, MAX_THREADS, Program};

type Result<T> = std::result::Result<T, ParseError>;

/// Words that begin a section, in the order of the sections.
const SECTIONS: [&str; 4] = ["callback", "before", "thread", "after"];
/// Words that begin a line of the header.
const HEADERS: [&str; 4] = ["subject", "hostile", "fail_allocation", "capacity"];
/// What a name of a callback or a gate is made of, for messages.
const NAME: &str = "`a` to `z`, then `a` to `z`, `0` to `9` and `_`";

/// The part of the text that the parser is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Header,
    Callback,
    Before,
    Thread,
    After,
}

impl Part {
    /// What a line may begin with in this part, for messages.
    fn fits(self) -> &'static str {
        match self {
            Part::Header => {
                "`subject`, `hostile`, `fail_allocation`, `capacity`, `callback`, `before`, `thread` or `after`"
            }
            Part::Callback => "an op, `callback`, `before`, `thread` or `after`",
            Part::Before | Part::Thread => "an op, `thread` or `after`",
            Part::After => "an op",
        }
    }
}

pub(super) fn parse(text: &str) -> Result<Program> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut parser = Parser::new(text);
    for words in lines(text) {
        parser.line(words)?;
    }
    Ok(parser.program)
}

fn lines(text: &str) -> impl Iterator<Item = Words<'_>> {
    text.split('\n').enumerate().map(|(i, line)| Words::new(i + 1, line.strip_suffix('\r').unwrap_or(line)))
}

struct Parser<'a> {
    program: Program,
    part: Part,
    /// Every callback that the text declares, including those further down.
    names: HashMap<&'a str, CallbackId>,
    /// The lines of the declarations so far.
    declared: Vec<usize>,
    gates: HashMap<&'a str, GateId>,
    /// The line that registers a callback.
    registered: HashMap<CallbackId, usize>,
    /// The lines of the words that may begin only one line.
    once: HashMap<&'a str, usize>,
}

impl<'a> Parser<'a> {
    fn new(text: &'a str) -> Self {
        let mut names = HashMap::new();
        for mut words in lines(text) {
            if words.next().is_some_and(|first| first.text == "callback")
                && let Some(name) = words.next()
                && is_name(name.text)
                && names.len() < MAX_CALLBACKS
            {
                let id = CallbackId(names.len() as u8);
                names.entry(name.text).or_insert(id);
            }
        }
        Parser {
            program: Program::default(),
            part: Part::Header,
            names,
            declared: Vec::new(),
            gates: HashMap::new(),
            registered: HashMap::new(),
            once: HashMap::new(),
        }
    }

    fn line(&mut self, mut words: Words<'a>) -> Result<()> {
        let Some(first) = words.next() else { return Ok(()) };
        match first.text {
            "subject" | "hostile" | "fail_allocation" | "capacity" => self.header(first, &mut words)?,
            "callback" => self.callback(first, &mut words)?,
            "before" => {
                self.only_once(first, &words)?;
                self.enter(Part::Before, first, &words)?;
            }
            "thread" => {
                self.enter(Part::Thread, first, &words)?;
                if self.program.threads.len() == MAX_THREADS {
                    return Err(words.error(Some(first), format!("at most {MAX_THREADS} threads")));
                }
                self.program.threads.push(Vec::new());
            }
            "after" => {
                self.only_once(first, &words)?;
                self.enter(Part::After, first, &words)?;
            }
            _ => self.step(first, &mut words)?,
        }
        match words.next() {
            None => Ok(()),
            trailing => Err(words.error(trailing, "the end of the line")),
        }
    }

    /// Refuses a second line that begins with this word.
    fn only_once(&mut self, word: Word<'a>, words: &Words<'a>) -> Result<()> {
        match self.once.entry(word.text) {
            Entry::Vacant(entry) => {
                entry.insert(words.line);
                Ok(())
            }
            Entry::Occupied(entry) => {
                let note = format!("line {} has `{}` already", entry.get(), word.text);
                Err(words.error(Some(word), format!("`{}` only once", word.text)).with_note(note))
            }
        }
    }

    /// Goes on to this part, or refuses it if the text is past it.
    fn enter(&mut self, part: Part, word: Word<'a>, words: &Words<'a>) -> Result<()> {
        if part < self.part {
            let note = "the order is: header, `callback`s, `before`, `thread`s, `after`".to_owned();
            return Err(words.error(Some(word), self.part.fits()).with_note(note));
        }
        self.part = part;
        Ok(())
    }
}

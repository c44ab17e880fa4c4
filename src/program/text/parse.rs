//! The parser: line by line, each line from left to right, stopping at the first word that cannot stand where it stands.
//!
//! Callbacks may be named before they are declared, so a first pass collects the declared names; everything that can be
//! wrong is found, in the order of the text, by the second.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use super::error::{ParseError, quoted};
use super::nearest::did_you_mean;
use super::values::{args, expectation, number, one_of};
use super::words::{Word, Words};
use crate::program::valid::{self, is_name, is_subject};
use crate::program::{
    Callback, CallbackId, GateId, Hostile, Kind, MAX_CALLBACKS, MAX_CHURN, MAX_GATES, MAX_STEPS, MAX_THREADS, Op,
    Program, Site, Step, Verb,
};

type Result<T> = std::result::Result<T, ParseError>;

/// Words that begin a section, in the order in which sections stand.
const SECTIONS: [&str; 4] = ["callback", "before", "thread", "after"];
/// Words that begin a line of the header.
const HEADERS: [&str; 4] = ["subject", "hostile", "fail_allocation", "capacity"];

/// Where the parser is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Section {
    Header,
    Callback,
    Before,
    Thread,
    After,
}

impl Section {
    /// What a line may begin with here.
    fn fits(self) -> &'static str {
        match self {
            Section::Header => {
                "`subject`, `hostile`, `fail_allocation`, `capacity`, `callback`, `before`, `thread` or `after`"
            }
            Section::Callback => "an op, `callback`, `before`, `thread` or `after`",
            Section::Before | Section::Thread => "an op, `thread` or `after`",
            Section::After => "an op",
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
    section: Section,
    /// Every declared callback, those further down included.
    names: HashMap<&'a str, CallbackId>,
    /// Lines of the declarations passed so far.
    declared: Vec<usize>,
    gates: HashMap<&'a str, GateId>,
    /// The line that registers a callback.
    registered: HashMap<CallbackId, usize>,
    /// The lines of header words, `before` and `after`: each may stand once.
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
            section: Section::Header,
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
                self.enter(Section::Before, first, &words)?;
            }
            "thread" => {
                self.enter(Section::Thread, first, &words)?;
                if self.program.threads.len() == MAX_THREADS {
                    return Err(words.error(Some(first), format!("at most {MAX_THREADS} threads"), String::new()));
                }
                self.program.threads.push(Vec::new());
            }
            "after" => {
                self.only_once(first, &words)?;
                self.enter(Section::After, first, &words)?;
            }
            _ => self.step(first, &mut words)?,
        }
        match words.next() {
            None => Ok(()),
            trailing => Err(words.error(trailing, "the end of the line", String::new())),
        }
    }

    /// Refuses the second `before`, `after`, `subject`, `fail_allocation` or `capacity`.
    fn only_once(&mut self, word: Word<'a>, words: &Words<'a>) -> Result<()> {
        match self.once.entry(word.text) {
            Entry::Vacant(entry) => {
                entry.insert(words.line);
                Ok(())
            }
            Entry::Occupied(entry) => {
                let expected = format!("`{}` once", word.text);
                let note = format!("`{}` stands on line {} already", word.text, entry.get());
                Err(words.error(Some(word), expected, note))
            }
        }
    }

    fn enter(&mut self, section: Section, word: Word<'a>, words: &Words<'a>) -> Result<()> {
        if section < self.section {
            let note = "the order is: header, `callback`s, `before`, `thread`s, `after`".to_owned();
            return Err(words.error(Some(word), self.section.fits(), note));
        }
        self.section = section;
        Ok(())
    }

    fn header(&mut self, first: Word<'a>, words: &mut Words<'a>) -> Result<()> {
        if self.section != Section::Header {
            let note = format!("`{}` belongs at the top, before the first callback or section", first.text);
            return Err(words.error(Some(first), self.section.fits(), note));
        }
        if first.text != "hostile" {
            self.only_once(first, words)?;
        }
        match first.text {
            "subject" => match words.next() {
                Some(name) if is_subject(name.text) => self.program.subject = Some(name.text.to_owned()),
                word => {
                    return Err(words.error(word, "a subject's name (`a` to `z`, `0` to `9`, `_/.-`)", String::new()));
                }
            },
            "hostile" => {
                let word = words.next();
                let Some(hostile) = word.and_then(|word| Hostile::from_name(word.text)) else {
                    let names = Hostile::ALL.iter().map(|hostile| hostile.name());
                    let note = word.map_or_else(String::new, |word| did_you_mean(word.text, names.clone()));
                    return Err(words.error(word, format!("a hostile switch: {}", one_of(names)), note));
                };
                if let Err(place) = self.program.hostile.binary_search(&hostile) {
                    self.program.hostile.insert(place, hostile);
                } else {
                    return Err(words.error(word, "each switch once", format!("`{hostile}` is on already")));
                }
            }
            "fail_allocation" => {
                let n = number(words, "an allocation's number", 1, u32::MAX.into())?;
                self.program.fail_allocation = Some(n as u32);
            }
            _ => {
                let n = number(words, "a number of subscriptions", 1, u32::MAX.into())?;
                self.program.capacity = Some(n as u32);
            }
        }
        Ok(())
    }

    fn callback(&mut self, first: Word<'a>, words: &mut Words<'a>) -> Result<()> {
        self.enter(Section::Callback, first, words)?;
        let name = match words.next() {
            Some(name) if is_name(name.text) => name,
            word => return Err(words.error(word, format!("a name for the callback ({NAME})"), String::new())),
        };
        let next = self.declared.len();
        match self.names.get(name.text) {
            Some(id) if (id.0 as usize) < next => {
                let note =
                    format!("{} is declared on line {} already", quoted(name.text), self.declared[id.0 as usize]);
                return Err(words.error(Some(name), "a new callback's name", note));
            }
            Some(_) => {}
            None => return Err(words.error(Some(name), format!("at most {MAX_CALLBACKS} callbacks"), String::new())),
        }
        let mut callback = Callback {
            name: name.text.to_owned(),
            kind: Kind::Sum,
            exclusive: false,
            confined: false,
            body: Vec::new(),
        };
        let mut kind = None;
        while let Some(word) = words.next() {
            let twice = match word.text {
                "sum" => kind.replace(Kind::Sum).is_some(),
                "counting" => kind.replace(Kind::Counting).is_some(),
                "exclusive" => std::mem::replace(&mut callback.exclusive, true),
                "confined" => std::mem::replace(&mut callback.confined, true),
                _ => {
                    let names = ["sum", "counting", "exclusive", "confined"];
                    let expected = format!("a kind or an attribute: {}", one_of(names.into_iter()));
                    return Err(words.error(Some(word), expected, did_you_mean(word.text, names)));
                }
            };
            if twice {
                return Err(words.error(Some(word), "at most one kind, and each attribute once", String::new()));
            }
        }
        callback.kind = kind.unwrap_or(Kind::Sum);
        self.declared.push(words.line);
        self.program.callbacks.push(callback);
        Ok(())
    }

    fn step(&mut self, first: Word<'a>, words: &mut Words<'a>) -> Result<()> {
        let body = self.section == Section::Callback;
        let (nth, word) = match first.text {
            "nth" if body => (Some(number(words, "a call's number", 1, u32::MAX.into())? as u32), words.next()),
            _ => (None, Some(first)),
        };
        let verb = word.and_then(|word| Verb::from_name(word.text));
        let expected = if nth.is_some() { "an op" } else { self.section.fits() };
        let (Some(word), Some(verb)) = (word, verb) else {
            let note = word.map_or_else(String::new, |word| unknown(word.text));
            return Err(words.error(word, expected, note));
        };
        let bodies_only = valid::only_in_bodies(verb);
        let refused = match verb {
            Verb::Exclusive | Verb::Confined => format!("`{verb}` is an attribute: `callback NAME {verb}`"),
            _ if self.section == Section::Header => "ops stand in a body or in a section".to_owned(),
            _ if bodies_only && !body => format!("`{verb}` is for callback bodies"),
            _ => String::new(),
        };
        if !refused.is_empty() {
            return Err(words.error(Some(word), expected, refused));
        }
        if self.steps().len() == MAX_STEPS {
            return Err(words.error(
                Some(word),
                format!("at most {MAX_STEPS} ops in one section or body"),
                String::new(),
            ));
        }
        let names_from = words.clone();
        let op = self.op(verb, words)?;
        if body && nth.is_none() && !op.registers().is_empty() {
            let note = "a body runs in every call, and a callback is registered at most once".to_owned();
            return Err(words.error(Some(word), format!("`nth N` before `{verb}`"), note));
        }
        self.registers(&op, names_from)?;
        let expect = expectation(verb, words)?;
        self.steps().push(Step { op, expect, nth });
        Ok(())
    }

    /// Where the next step goes.
    fn steps(&mut self) -> &mut Vec<Step> {
        let program = &mut self.program;
        let steps = match self.section {
            Section::Callback => program.callbacks.last_mut().map(|callback| &mut callback.body),
            Section::Thread => program.threads.last_mut(),
            Section::After => Some(&mut program.after),
            Section::Header | Section::Before => None,
        };
        match steps {
            Some(steps) => steps,
            None => &mut program.before,
        }
    }

    fn op(&mut self, verb: Verb, words: &mut Words<'a>) -> Result<Op> {
        Ok(match verb {
            Verb::Register => {
                let mut ids = vec![self.id(words)?];
                while words.peek().is_some_and(|word| word.text != "=") {
                    ids.push(self.id(words)?);
                    if ids.len() > MAX_CALLBACKS {
                        break; // one of them stands twice: `registers` says which
                    }
                }
                Op::Register(ids)
            }
            Verb::Invoke => Op::Invoke(self.id(words)?, args(verb, words)?),
            Verb::Fire => Op::Fire(self.id(words)?, args(verb, words)?),
            Verb::Send => Op::Send(self.id(words)?, args(verb, words)?),
            Verb::Post => Op::Post(self.id(words)?, args(verb, words)?),
            Verb::Enumerate => {
                let id = self.id(words)?;
                Op::Enumerate(id, number(words, "a number of items", 0, u32::MAX.into())? as u32)
            }
            Verb::Revoke => Op::Revoke(self.id(words)?),
            Verb::RevokeAndWait => Op::RevokeAndWait(self.id(words)?),
            Verb::Release => Op::Release(self.id(words)?),
            Verb::Unsubscribe => Op::Unsubscribe(self.id(words)?),
            Verb::Forget => Op::Forget(self.id(words)?),
            Verb::Replace => Op::Replace(self.id(words)?, self.id(words)?),
            Verb::Churn => Op::Churn(number(words, "a number of callbacks", 1, MAX_CHURN.into())? as u32),
            Verb::Barrier => Op::Barrier,
            Verb::Shutdown => Op::Shutdown,
            Verb::Hold => Op::Hold(self.gate(words)?),
            Verb::Open => Op::Open(self.gate(words)?),
            Verb::Reach => Op::Reach(self.gate(words)?),
            Verb::Stall => {
                let word = words.next();
                let Some(site) = word.and_then(|word| Site::from_name(word.text)) else {
                    let names = Site::ALL.iter().map(|site| site.name());
                    let note = word.map_or_else(String::new, |word| did_you_mean(word.text, names.clone()));
                    return Err(words.error(word, format!("a site: {}", one_of(names)), note));
                };
                Op::Stall(site, self.gate(words)?)
            }
            Verb::Return => Op::Return(number(words, "the value to return", i64::MIN, i64::MAX)?),
            // The two attributes were refused by `step`.
            Verb::Panic | Verb::Exclusive | Verb::Confined => Op::Panic,
        })
    }

    fn id(&self, words: &mut Words<'a>) -> Result<CallbackId> {
        let word = words.next();
        let Some(name) = word.filter(|word| is_name(word.text)) else {
            return Err(words.error(word, "a callback's name", String::new()));
        };
        match self.names.get(name.text) {
            Some(id) => Ok(*id),
            None => {
                let mut note = did_you_mean(name.text, self.names_in_order());
                if note.is_empty() {
                    note = format!("no line says `callback {}`", quoted(name.text).trim_matches('`'));
                }
                Err(words.error(word, "a declared callback's name", note))
            }
        }
    }

    /// The declared names in the order of their declarations: a suggestion must not depend on a hash.
    fn names_in_order(&self) -> impl Iterator<Item = &'a str> {
        let mut names: Vec<_> = self.names.iter().map(|(name, id)| (*id, *name)).collect();
        names.sort_unstable();
        names.into_iter().map(|(_, name)| name)
    }

    fn gate(&mut self, words: &mut Words<'a>) -> Result<GateId> {
        let word = words.next();
        let Some(name) = word.filter(|word| is_name(word.text)) else {
            return Err(words.error(word, format!("a gate's name ({NAME})"), String::new()));
        };
        let next = self.gates.len();
        match self.gates.entry(name.text) {
            Entry::Occupied(entry) => Ok(*entry.get()),
            Entry::Vacant(_) if next == MAX_GATES => {
                Err(words.error(word, format!("at most {MAX_GATES} gates"), String::new()))
            }
            Entry::Vacant(entry) => {
                self.program.gates.push(name.text.to_owned());
                Ok(*entry.insert(GateId(next as u8)))
            }
        }
    }

    /// Notes what an op registers, and refuses what is registered already. `names` are the words after the verb.
    fn registers(&mut self, op: &Op, mut names: Words<'a>) -> Result<()> {
        let registers = op.registers();
        if let Op::Replace(old, new) = op {
            names.next();
            if old == new {
                let word = names.next();
                return Err(names.error(word, "another callback than the one it replaces", String::new()));
            }
        }
        for id in registers {
            let word = names.next();
            if let Some(line) = self.registered.insert(id, names.line) {
                let name = word.map_or_else(String::new, |word| quoted(word.text));
                let place =
                    if line == names.line { "earlier on this line".to_owned() } else { format!("on line {line}") };
                let note = format!("{name} is registered {place}; a callback is registered at most once");
                return Err(names.error(word, "a callback that is not registered yet", note));
            }
        }
        Ok(())
    }
}

const NAME: &str = "`a` to `z`, then `a` to `z`, `0` to `9` and `_`";

/// Why an unknown word is not a line's first word: an op misspelt, or something that stands elsewhere.
fn unknown(word: &str) -> String {
    match word {
        "nth" => return "`nth` is for callback bodies: it says in which call of the callback the op runs".to_owned(),
        "sum" | "counting" => return format!("`{word}` is a kind: `callback NAME {word}`"),
        _ => {}
    }
    let verbs =
        Verb::ALL.iter().filter(|verb| !matches!(verb, Verb::Exclusive | Verb::Confined)).map(|verb| verb.name());
    did_you_mean(word, verbs.chain(["nth"]).chain(SECTIONS).chain(HEADERS))
}

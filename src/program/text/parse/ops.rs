//! Parsing the ops.

use std::collections::hash_map::Entry;

use super::{HEADERS, NAME, Parser, Part, Result, SECTIONS};
use crate::program::text::error::quoted;
use crate::program::text::nearest::did_you_mean;
use crate::program::text::values::{args, expectation, number, one_of};
use crate::program::text::words::{Word, Words};
use crate::program::valid::{is_name, only_in_bodies};
use crate::program::{CallbackId, GateId, MAX_CALLBACKS, MAX_CHURN, MAX_GATES, MAX_STEPS, Op, Site, Step, Verb};

impl<'a> Parser<'a> {
    /// Parses the line of an op after its first word.
    pub(super) fn step(&mut self, first: Word<'a>, words: &mut Words<'a>) -> Result<()> {
        let in_body = self.part == Part::Callback;
        let (nth, word) = match first.text {
            "nth" if in_body => (Some(number(words, "a call's number", 1, u32::MAX.into())? as u32), words.next()),
            _ => (None, Some(first)),
        };
        let verb = word.and_then(|word| Verb::from_name(word.text));
        let expected = if nth.is_some() { "an op" } else { self.part.fits() };
        let (Some(word), Some(verb)) = (word, verb) else {
            return Err(words.error(word, expected).with_note(word.and_then(|word| unknown(word.text))));
        };
        let refused = match verb {
            Verb::Exclusive | Verb::Confined => Some(format!("`{verb}` is an attribute: `callback NAME {verb}`")),
            _ if self.part == Part::Header => Some("an op belongs in a callback's body or in a section".to_owned()),
            _ if only_in_bodies(verb) && !in_body => Some(format!("`{verb}` is only for callback bodies")),
            _ => None,
        };
        if refused.is_some() {
            return Err(words.error(Some(word), expected).with_note(refused));
        }
        if self.steps().len() == MAX_STEPS {
            return Err(words.error(Some(word), format!("at most {MAX_STEPS} ops in one section or body")));
        }
        let names_from = words.clone();
        let op = self.op(verb, words)?;
        if in_body && nth.is_none() && !op.registers().is_empty() {
            let note = "a body runs in every call, and a callback is registered at most once".to_owned();
            return Err(words.error(Some(word), format!("`nth N` before `{verb}`")).with_note(note));
        }
        self.registers(&op, names_from)?;
        let expect = expectation(verb, words)?;
        self.steps().push(Step { op, expect, nth });
        Ok(())
    }

    /// The list that the next step is added to.
    fn steps(&mut self) -> &mut Vec<Step> {
        let program = &mut self.program;
        let steps = match self.part {
            Part::Callback => program.callbacks.last_mut().map(|callback| &mut callback.body),
            Part::Thread => program.threads.last_mut(),
            Part::After => Some(&mut program.after),
            Part::Header | Part::Before => None,
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
                        break; // one of them is named twice: `registers` finds it
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
                    let note = word.and_then(|word| did_you_mean(word.text, names.clone()));
                    return Err(words.error(word, format!("a site: {}", one_of(names))).with_note(note));
                };
                Op::Stall(site, self.gate(words)?)
            }
            Verb::Return => Op::Return(number(words, "the value to return", i64::MIN, i64::MAX)?),
            // `step` has refused the two attributes.
            Verb::Panic | Verb::Exclusive | Verb::Confined => Op::Panic,
        })
    }

    fn id(&self, words: &mut Words<'a>) -> Result<CallbackId> {
        let word = words.next();
        let Some(name) = word.filter(|word| is_name(word.text)) else {
            return Err(words.error(word, "a callback's name"));
        };
        self.names.get(name.text).copied().ok_or_else(|| {
            let declare = || format!("no line says `callback {}`", quoted(name.text).trim_matches('`'));
            let note = did_you_mean(name.text, self.names_in_order()).unwrap_or_else(declare);
            words.error(word, "a declared callback's name").with_note(note)
        })
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
            return Err(words.error(word, format!("a gate's name ({NAME})")));
        };
        let next = self.gates.len();
        match self.gates.entry(name.text) {
            Entry::Occupied(entry) => Ok(*entry.get()),
            Entry::Vacant(_) if next == MAX_GATES => Err(words.error(word, format!("at most {MAX_GATES} gates"))),
            Entry::Vacant(entry) => {
                self.program.gates.push(name.text.to_owned());
                Ok(*entry.insert(GateId(next as u8)))
            }
        }
    }

    /// Records what an op registers, and refuses what is registered already. `names` are the words after the verb.
    fn registers(&mut self, op: &Op, mut names: Words<'a>) -> Result<()> {
        let registers = op.registers();
        if let Op::Replace(old, new) = op {
            names.next();
            if old == new {
                let word = names.next();
                return Err(names.error(word, "a callback other than the one it replaces"));
            }
        }
        for id in registers {
            let word = names.next();
            if let Some(line) = self.registered.insert(id, names.line) {
                let name = word.map_or_else(String::new, |word| quoted(word.text));
                let place =
                    if line == names.line { "earlier on this line".to_owned() } else { format!("on line {line}") };
                let note = format!("{name} is registered {place}; a callback is registered at most once");
                return Err(names.error(word, "a callback that is not registered yet").with_note(note));
            }
        }
        Ok(())
    }
}

/// A note on a word that begins no line here: a misspelt op, or a word that belongs elsewhere.
fn unknown(word: &str) -> Option<String> {
    match word {
        "nth" => {
            let what = "it says in which call of the callback the op runs";
            return Some(format!("`nth` is only for callback bodies: {what}"));
        }
        "sum" | "counting" => return Some(format!("`{word}` says what a callback returns: `callback NAME {word}`")),
        _ => {}
    }
    let verbs =
        Verb::ALL.iter().filter(|verb| !matches!(verb, Verb::Exclusive | Verb::Confined)).map(|verb| verb.name());
    did_you_mean(word, verbs.chain(["nth"]).chain(SECTIONS).chain(HEADERS))
}

//! Parsing the header and the declarations of callbacks.

use super::{NAME, Parser, Part, Result};
use crate::program::text::error::quoted;
use crate::program::text::nearest::did_you_mean;
use crate::program::text::values::{number, one_of};
use crate::program::text::words::{Word, Words};
use crate::program::valid::{is_name, is_subject};
use crate::program::{Callback, Hostile, MAX_CALLBACKS, Returns};

impl<'a> Parser<'a> {
    /// Parses a header line after its first word.
    pub(super) fn header(&mut self, first: Word<'a>, words: &mut Words<'a>) -> Result<()> {
        if self.part != Part::Header {
            let note = format!("`{}` belongs at the top, before the first callback or section", first.text);
            return Err(words.error(Some(first), self.part.fits()).with_note(note));
        }
        if first.text != "hostile" {
            self.only_once(first, words)?;
        }
        match first.text {
            "subject" => match words.next() {
                Some(name) if is_subject(name.text) => self.program.subject = Some(name.text.to_owned()),
                word => return Err(words.error(word, "a subject's name (`a` to `z`, `0` to `9`, `_/.-`)")),
            },
            "hostile" => {
                let word = words.next();
                let Some(hostile) = word.and_then(|word| Hostile::from_name(word.text)) else {
                    let names = Hostile::ALL.iter().map(|hostile| hostile.name());
                    let note = word.and_then(|word| did_you_mean(word.text, names.clone()));
                    return Err(words.error(word, format!("a hostile switch: {}", one_of(names))).with_note(note));
                };
                match self.program.hostile.binary_search(&hostile) {
                    Err(place) => self.program.hostile.insert(place, hostile),
                    Ok(_) => {
                        let note = format!("an earlier line switches `{hostile}` on already");
                        return Err(words.error(word, "each switch only once").with_note(note));
                    }
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

    /// Parses `callback NAME …` after its first word.
    pub(super) fn callback(&mut self, first: Word<'a>, words: &mut Words<'a>) -> Result<()> {
        self.enter(Part::Callback, first, words)?;
        let name = match words.next() {
            Some(name) if is_name(name.text) => name,
            word => return Err(words.error(word, format!("a name for the callback ({NAME})"))),
        };
        let next = self.declared.len();
        match self.names.get(name.text) {
            Some(id) if (id.0 as usize) < next => {
                let line = self.declared[id.0 as usize];
                let note = format!("line {line} declares {} already", quoted(name.text));
                return Err(words.error(Some(name), "a name that no other callback has").with_note(note));
            }
            Some(_) => {}
            None => return Err(words.error(Some(name), format!("at most {MAX_CALLBACKS} callbacks"))),
        }
        let mut callback = Callback::new(name.text);
        let mut returns = None;
        while let Some(word) = words.next() {
            let twice = match word.text {
                "sum" => returns.replace(Returns::Sum).is_some(),
                "counting" => returns.replace(Returns::Counting).is_some(),
                "exclusive" => std::mem::replace(&mut callback.exclusive, true),
                "confined" => std::mem::replace(&mut callback.confined, true),
                _ => {
                    let names = ["sum", "counting", "exclusive", "confined"];
                    let note = did_you_mean(word.text, names);
                    return Err(words.error(Some(word), one_of(names.into_iter())).with_note(note));
                }
            };
            if twice {
                let expected = "at most one of `sum` and `counting`, and each attribute only once";
                return Err(words.error(Some(word), expected));
            }
        }
        callback.returns = returns.unwrap_or(Returns::Sum);
        self.declared.push(words.line);
        self.program.callbacks.push(callback);
        Ok(())
    }
}

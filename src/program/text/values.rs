//! Parsing what follows an op: numbers, arguments, expectations.

use super::error::{ParseError, quoted};
use super::nearest::did_you_mean;
use super::words::{Word, Words};
use crate::program::op::Args;
use crate::program::valid::{self, answers};
use crate::program::{Expect, Verb};

type Result<T> = std::result::Result<T, ParseError>;

/// "`a`, `b` or `c`".
pub(super) fn one_of<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let quoted: Vec<String> = names.map(|name| format!("`{name}`")).collect();
    match quoted.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} or {last}", others.join(", ")),
        None => String::new(),
    }
}

/// A whole number from `least` to `most`; `what` names it in the error.
pub(super) fn number(words: &mut Words<'_>, what: &str, least: i64, most: i64) -> Result<i64> {
    let word = words.next();
    match word.and_then(|word| whole(word.text)) {
        Some(n) if (least..=most).contains(&n) => Ok(n),
        _ if least == i64::MIN => Err(words.error(word, format!("{what}, a signed 64-bit integer"))),
        _ => Err(words.error(word, format!("{what} from {least} to {most}"))),
    }
}

/// The value of `-?[0-9]+`, if it fits into 64 bits.
fn whole(text: &str) -> Option<i64> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    if plain { text.parse().ok() } else { None }
}

/// Parses two arguments or none.
pub(super) fn args(verb: Verb, words: &mut Words<'_>) -> Result<Option<Args>> {
    match words.peek() {
        None | Some(Word { text: "=", .. }) => return Ok(None),
        word @ Some(Word { text, .. }) if answer(text).is_some_and(|answer| !matches!(answer, Expect::Value(_))) => {
            let note = format!("an answer is written `= {text}`");
            return Err(words.error(word, "two arguments, `=` or the end of the line").with_note(note));
        }
        Some(_) => {}
    }
    let a = number(words, "the first argument", i64::MIN, i64::MAX)?;
    match words.peek() {
        None | Some(Word { text: "=", .. }) => {
            let note = format!("`{verb}` takes two arguments or none");
            Err(words.error(words.peek(), "the second argument, a signed 64-bit integer").with_note(note))
        }
        Some(_) => Ok(Some(Args { a, b: number(words, "the second argument", i64::MIN, i64::MAX)? })),
    }
}

/// Parses `= ANSWER`, if the line goes on with it.
pub(super) fn expectation(verb: Verb, words: &mut Words<'_>) -> Result<Option<Expect>> {
    let possible = answers(verb);
    match words.peek() {
        None => return Ok(None),
        Some(Word { text: "=", .. }) if !possible.is_empty() => drop(words.next()),
        Some(Word { text: "=", .. }) => {
            let note = format!("`{verb}` has no answer to expect");
            return Err(words.error(words.peek(), "the end of the line").with_note(note));
        }
        trailing if possible.is_empty() => return Err(words.error(trailing, "the end of the line")),
        trailing => return Err(words.error(trailing, "`=` or the end of the line")),
    }
    let word = words.next();
    let text = word.map_or("", |word| word.text);
    let expect = answer(text);
    match expect {
        Some(expect) if valid::may_answer(verb, expect) => Ok(Some(expect)),
        _ => {
            let known = ["late", "removed", "in_flight(N)", "already_revoked", "quiescent", "deferred", "refused"];
            let note = match expect {
                Some(_) => Some(format!("`{verb}` never answers {}", quoted(text))),
                None if text.starts_with("in_flight") => Some(format!("N is a number from 1 to {}", u32::MAX)),
                None => did_you_mean(text, known.into_iter().filter(|name| possible.contains(name))),
            };
            Err(words.error(word, format!("an answer of `{verb}`: {}", answer_list(possible))).with_note(note))
        }
    }
}

/// The answer that a word of the text form stands for.
fn answer(text: &str) -> Option<Expect> {
    Some(match text {
        "late" => Expect::Late,
        "removed" => Expect::Removed,
        "already_revoked" => Expect::AlreadyRevoked,
        "quiescent" => Expect::Quiescent,
        "deferred" => Expect::Deferred,
        "refused" => Expect::Refused,
        _ => match text.strip_prefix("in_flight(").and_then(|rest| rest.strip_suffix(')')) {
            Some(n) => Expect::InFlight(whole(n).and_then(|n| u32::try_from(n).ok()).filter(|n| *n > 0)?),
            None => Expect::Value(whole(text)?),
        },
    })
}

/// The answers of a verb as messages list them.
fn answer_list(possible: &[&str]) -> String {
    let value = possible.contains(&"value");
    let names: Vec<&str> = possible.iter().copied().filter(|name| *name != "value").collect();
    let between = if names.len() > 1 { "," } else { " or" };
    let names = one_of(names.into_iter());
    if value { format!("a number{between} {names}") } else { names }
}

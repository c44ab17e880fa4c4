//! Which programs are valid: the rules that the parser enforces on texts, for programs that are built in code, and the
//! tables that both share. A program is valid exactly if its text parses back to it.
//!
//! Elsewhere: whether a subject offers what a program needs ([`Program::verbs`]), and whether a program ends (generated
//! programs do, by construction: [`generate`](super::generate)).

use std::collections::HashSet;
use std::error::Error;
use std::fmt;

use super::{
    CallbackId, Expect, MAX_CALLBACKS, MAX_CHURN, MAX_GATES, MAX_STEPS, MAX_THREADS, Op, Program, Section, Step,
    StepId, Verb,
};

/// Whether `text` is a name for a callback or a gate: `[a-z][a-z0-9_]*`.
pub fn is_name(text: &str) -> bool {
    let rest = text.strip_prefix(|c: char| c.is_ascii_lowercase());
    rest.is_some_and(|rest| rest.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_'))
}

/// Whether `text` is a name for a subject: `[a-z0-9_/.-]+`.
pub fn is_subject(text: &str) -> bool {
    let letter = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_/.-".contains(&b);
    !text.is_empty() && text.bytes().all(letter)
}

/// Whether an op with this verb may only stand in a callback's body.
pub fn only_in_bodies(verb: Verb) -> bool {
    matches!(verb, Verb::Panic | Verb::Return)
}

/// The answers that a program may expect of an op with this verb, as the text form writes them. `value` stands for any
/// number. Empty if no answer can be expected.
pub fn answers(verb: Verb) -> &'static [&'static str] {
    match verb {
        Verb::Fire | Verb::Send | Verb::Invoke => &["value", "late", "refused"],
        Verb::Enumerate => &["value", "refused"],
        Verb::Revoke => &["removed", "in_flight(N)", "already_revoked", "refused"],
        Verb::RevokeAndWait | Verb::Release => &["quiescent", "deferred", "already_revoked", "refused"],
        Verb::Register | Verb::Replace | Verb::Shutdown => &["refused"],
        _ => &[],
    }
}

/// Whether a program may expect `answer` of an op with this verb.
pub fn may_answer(verb: Verb, answer: Expect) -> bool {
    let name = match answer {
        Expect::Value(_) => "value",
        Expect::Late => "late",
        Expect::Removed => "removed",
        Expect::InFlight(0) => return false,
        Expect::InFlight(_) => "in_flight(N)",
        Expect::AlreadyRevoked => "already_revoked",
        Expect::Quiescent => "quiescent",
        Expect::Deferred => "deferred",
        Expect::Refused => "refused",
    };
    answers(verb).contains(&name)
}

/// The first rule that a program breaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidProgram {
    /// The step that breaks the rule, with its text; `None` if the rule is about more than one step.
    step: Option<(StepId, String)>,
    /// The place in words, such as `callback a, op 1`; empty for a rule about the program as a whole.
    place: String,
    /// What is wrong, and what was expected.
    rule: String,
}

impl InvalidProgram {
    /// The step that breaks the rule; `None` if the rule is about more than one step.
    pub fn step(&self) -> Option<StepId> {
        self.step.as_ref().map(|(id, _)| *id)
    }

    /// What is wrong, without the place.
    pub fn rule(&self) -> &str {
        &self.rule
    }
}

impl fmt::Display for InvalidProgram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.step {
            Some((_, text)) => write!(f, "{} (`{text}`): {}", self.place, self.rule),
            None if self.place.is_empty() => f.write_str(&self.rule),
            None => write!(f, "{}: {}", self.place, self.rule),
        }
    }
}

impl Error for InvalidProgram {}

/// Checks that `program` keeps the rules of docs/program.md. The text of a valid program parses back to an equal
/// program.
///
/// # Errors
///
/// The first rule that the program breaks, and where.
pub fn validate(program: &Program) -> Result<(), InvalidProgram> {
    let mut validator = Validator { program, registered: HashSet::new(), gates: 0 };
    let whole = |rule| InvalidProgram { step: None, place: String::new(), rule };
    validator.declarations().map_err(whole)?;
    for i in 0..program.callbacks.len() {
        validator.section(Section::Body(CallbackId(i as u8)))?;
    }
    validator.section(Section::Before)?;
    for i in 0..program.threads.len() {
        validator.section(Section::Thread(i as u8))?;
    }
    validator.section(Section::After)?;
    match program.gates.get(validator.gates) {
        Some(gate) => Err(whole(format!("no op names the gate `{gate}`"))),
        None => Ok(()),
    }
}

struct Validator<'a> {
    program: &'a Program,
    registered: HashSet<CallbackId>,
    /// How many gates the steps so far have named.
    gates: usize,
}

impl Validator<'_> {
    /// The header, the limits and the names.
    fn declarations(&self) -> Result<(), String> {
        let program = self.program;
        if let Some(subject) = &program.subject {
            ensure(is_subject(subject), || {
                format!("{subject:?} is not a subject's name (`a` to `z`, `0` to `9`, `_/.-`)")
            })?;
        }
        ensure(program.hostile.is_sorted_by(|a, b| a < b), || {
            "`hostile`: each switch at most once, in the order of `Hostile::ALL`".to_owned()
        })?;
        ensure(program.fail_allocation != Some(0), || "`fail_allocation 0`: 1 is the first allocation".to_owned())?;
        ensure(program.capacity != Some(0), || "`capacity 0`: the smallest capacity is 1".to_owned())?;
        at_most("callbacks", program.callbacks.len(), MAX_CALLBACKS)?;
        at_most("threads", program.threads.len(), MAX_THREADS)?;
        at_most("gates", program.gates.len(), MAX_GATES)?;
        names("callback", program.callbacks.iter().map(|callback| callback.name.as_str()))?;
        names("gate", program.gates.iter().map(String::as_str))
    }

    fn section(&mut self, section: Section) -> Result<(), InvalidProgram> {
        let place = match section {
            Section::Before => "before".to_owned(),
            Section::Thread(i) => format!("thread {}", i + 1),
            Section::After => "after".to_owned(),
            Section::Body(id) => format!("callback {}", self.program.callback_name(id)),
        };
        let program = self.program;
        let steps = program.section(section).unwrap_or_default();
        if let Err(rule) = at_most("ops", steps.len(), MAX_STEPS) {
            return Err(InvalidProgram { step: None, place, rule });
        }
        for (i, step) in steps.iter().enumerate() {
            self.step(step, matches!(section, Section::Body(_))).map_err(|rule| InvalidProgram {
                step: Some((StepId { section, index: i as u16 }, program.step_text(step))),
                place: format!("{place}, op {}", i + 1),
                rule,
            })?;
        }
        Ok(())
    }

    fn step(&mut self, step: &Step, in_body: bool) -> Result<(), String> {
        let op = &step.op;
        let verb = op.verb();
        ensure(in_body || !only_in_bodies(verb), || format!("`{verb}` is only for callback bodies"))?;
        ensure(in_body || step.nth.is_none(), || "`nth` is only for callback bodies".to_owned())?;
        ensure(step.nth != Some(0), || "`nth 0`: 1 is the first call".to_owned())?;
        let declared = self.program.callbacks.len();
        ensure(op.callbacks().iter().all(|id| (id.0 as usize) < declared), || {
            "the program has no such callback".to_owned()
        })?;
        match op {
            Op::Register(ids) => ensure(!ids.is_empty(), || "names no callback".to_owned())?,
            Op::Replace(old, new) => ensure(old != new, || "replaces a callback by itself".to_owned())?,
            Op::Churn(n) => {
                ensure((1..=MAX_CHURN).contains(n), || format!("the number must be from 1 to {MAX_CHURN}"))?;
            }
            _ => {}
        }
        let registers = op.registers();
        ensure(!in_body || registers.is_empty() || step.nth.is_some(), || {
            format!(
                "`{verb}` in a body needs an `nth`: the body runs in every call, and a callback is registered at most once"
            )
        })?;
        for id in registers {
            let name = self.program.callback_name(id);
            ensure(self.registered.insert(id), || {
                format!("`{name}` is registered twice; a callback is registered at most once")
            })?;
        }
        if let Some(gate) = op.gate() {
            let gate = gate.0 as usize;
            ensure(gate < self.program.gates.len(), || "the program has no such gate".to_owned())?;
            ensure(gate <= self.gates, || "gates must be numbered in the order in which they appear".to_owned())?;
            self.gates = self.gates.max(gate + 1);
        }
        match step.expect {
            Some(expect) if !may_answer(verb, expect) => Err(format!("`{verb}` never answers `{expect}`")),
            _ => Ok(()),
        }
    }
}

fn ensure(holds: bool, rule: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(rule()) }
}

fn at_most(what: &str, n: usize, most: usize) -> Result<(), String> {
    ensure(n <= most, || format!("{n} {what}; at most {most} are allowed"))
}

/// Checks that each name is a name and that no two are the same.
fn names<'a>(what: &str, all: impl Iterator<Item = &'a str>) -> Result<(), String> {
    let mut seen = HashSet::new();
    for name in all {
        ensure(is_name(name), || {
            format!("{name:?} is not a {what}'s name (`a` to `z`, then `a` to `z`, `0` to `9` and `_`)")
        })?;
        ensure(seen.insert(name), || format!("two {what}s are named `{name}`"))?;
    }
    Ok(())
}

//! Which programs are programs: the rules that the parser enforces on texts, for programs that are built in code, and the
//! tables both share. A program is valid exactly when its text parses back to it.
//!
//! Not here: whether a subject offers what a program needs ([`Program::verbs`]), and whether it would end (generated
//! programs do, by construction: [`generate`](super::generate)).

use std::collections::HashSet;

use super::{
    CallbackId, Expect, GateId, MAX_CALLBACKS, MAX_CHURN, MAX_GATES, MAX_STEPS, MAX_THREADS, Op, Program, Step, Verb,
};

/// Whether this names a callback or a gate: `[a-z][a-z0-9_]*`.
pub fn is_name(text: &str) -> bool {
    let rest = text.strip_prefix(|c: char| c.is_ascii_lowercase());
    rest.is_some_and(|rest| rest.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_'))
}

/// Whether this names a subject: `[a-z0-9_/.-]+`.
pub fn is_subject(text: &str) -> bool {
    let letter = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_/.-".contains(&b);
    !text.is_empty() && text.bytes().all(letter)
}

/// Whether an op with this verb may only stand in a callback's body.
pub fn only_in_bodies(verb: Verb) -> bool {
    matches!(verb, Verb::Panic | Verb::Return)
}

/// What an op with this verb may answer, by the names of the text form; `value` is a number. Empty: nothing that could be
/// expected.
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

/// Whether an op with this verb may answer this.
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

/// The gate that an op names.
pub fn gate_of(op: &Op) -> Option<GateId> {
    match op {
        Op::Hold(gate) | Op::Open(gate) | Op::Reach(gate) | Op::Stall(_, gate) => Some(*gate),
        _ => None,
    }
}

/// Whether `program` is one that its text parses back to.
///
/// # Errors
///
/// The first rule it breaks, in a sentence that names the place.
pub fn validate(program: &Program) -> Result<(), String> {
    Check { program, registered: HashSet::new(), gates: 0 }.program()
}

struct Check<'a> {
    program: &'a Program,
    registered: HashSet<CallbackId>,
    /// How many gates have appeared.
    gates: usize,
}

impl Check<'_> {
    fn program(mut self) -> Result<(), String> {
        let program = self.program;
        if let Some(subject) = &program.subject {
            ensure(is_subject(subject), || format!("{subject:?} is not a subject's name"))?;
        }
        ensure(program.hostile.is_sorted_by(|a, b| a < b), || {
            "hostile switches: out of order, or one twice".to_owned()
        })?;
        ensure(program.fail_allocation != Some(0), || "fail_allocation 0: 1 is the first".to_owned())?;
        ensure(program.capacity != Some(0), || "capacity 0".to_owned())?;
        at_most("callbacks", program.callbacks.len(), MAX_CALLBACKS)?;
        at_most("threads", program.threads.len(), MAX_THREADS)?;
        at_most("gates", program.gates.len(), MAX_GATES)?;
        let mut names = HashSet::new();
        for callback in &program.callbacks {
            let name = &callback.name;
            ensure(is_name(name), || format!("{name:?} is not a callback's name"))?;
            ensure(names.insert(name), || format!("two callbacks are named `{name}`"))?;
        }
        let mut names = HashSet::new();
        for name in &program.gates {
            ensure(is_name(name), || format!("{name:?} is not a gate's name"))?;
            ensure(names.insert(name), || format!("two gates are named `{name}`"))?;
        }
        for callback in &program.callbacks {
            self.steps(&format!("callback {}", callback.name), &callback.body, true)?;
        }
        self.steps("before", &program.before, false)?;
        for (i, thread) in program.threads.iter().enumerate() {
            self.steps(&format!("thread {}", i + 1), thread, false)?;
        }
        self.steps("after", &program.after, false)?;
        ensure(self.gates == program.gates.len(), || "a gate that no op names".to_owned())
    }

    fn steps(&mut self, place: &str, steps: &[Step], body: bool) -> Result<(), String> {
        at_most(&format!("{place}: ops"), steps.len(), MAX_STEPS)?;
        for (i, step) in steps.iter().enumerate() {
            let rule = self.step(step, body);
            rule.map_err(|rule| format!("{place}, op {} (`{}`): {rule}", i + 1, self.program.step_text(step)))?;
        }
        Ok(())
    }

    fn step(&mut self, step: &Step, body: bool) -> Result<(), String> {
        let op = &step.op;
        let verb = op.verb();
        ensure(body || !only_in_bodies(verb), || "only in callback bodies".to_owned())?;
        ensure(body || step.nth.is_none(), || "`nth` is only for callback bodies".to_owned())?;
        ensure(step.nth != Some(0), || "`nth 0`: 1 is the first call".to_owned())?;
        let declared = self.program.callbacks.len();
        ensure(op.callbacks().iter().all(|id| (id.0 as usize) < declared), || "no such callback".to_owned())?;
        match op {
            Op::Register(ids) => ensure(!ids.is_empty(), || "registers nothing".to_owned())?,
            Op::Replace(old, new) => ensure(old != new, || "replaces a callback by itself".to_owned())?,
            Op::Churn(n) => ensure((1..=MAX_CHURN).contains(n), || format!("not from 1 to {MAX_CHURN}"))?,
            _ => {}
        }
        let registers = op.registers();
        ensure(!body || registers.is_empty() || step.nth.is_some(), || {
            "a body runs in every call: what registers there needs an `nth`".to_owned()
        })?;
        for id in registers {
            let name = self.program.callback_name(id);
            ensure(self.registered.insert(id), || format!("`{name}` is registered twice"))?;
        }
        if let Some(GateId(gate)) = gate_of(op) {
            ensure((gate as usize) < self.program.gates.len(), || "no such gate".to_owned())?;
            ensure(gate as usize <= self.gates, || "gates are numbered in the order in which they appear".to_owned())?;
            self.gates = self.gates.max(gate as usize + 1);
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
    ensure(n <= most, || format!("{what}: {n}, and {most} is the most"))
}

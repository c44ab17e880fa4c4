//! A program while it is being decoded: where its steps go, where its callbacks are registered, and how much room is
//! left. What may stand in bodies is in `bodies`. Ops that come in patterns are in `patterns`.

use super::{Domain, Record};
use crate::program::canonical::tidy;
use crate::program::op::Args;
use crate::program::{Callback, CallbackId, Hostile, Op, Program, Returns, Section, Step, Verb};

/// A callback while it is being decoded.
pub(super) struct Draft {
    pub(super) callback: Callback,
    /// The section that registers it.
    pub(super) registered: Option<Section>,
    /// Its first call is held at a gate that a thread opens, so `before` must not call it.
    pub(super) held: bool,
    /// `before` calls it.
    pub(super) called_before: bool,
    /// Its body has an op that calls.
    pub(super) calls: bool,
    /// Its body has an op that waits.
    pub(super) waits: bool,
    /// Another body waits for it or calls it in a scope, so its own body must not wait.
    pub(super) awaited: bool,
}

/// A program while it is being decoded.
pub(super) struct Builder<'a> {
    pub(super) domain: &'a Domain,
    pub(super) threads: Vec<Vec<Step>>,
    pub(super) drafts: Vec<Draft>,
    /// The number of drafts that records can name. The others were added to reuse a slot.
    named: usize,
    /// Registrations that no record asked for. They go to the start of `before`.
    implied: Vec<Step>,
    before: Vec<Step>,
    after: Vec<Step>,
    pub(super) gates: u8,
    /// The number of steps so far.
    steps: usize,
    hostile: Vec<Hostile>,
    /// The implied registrations are one `register`.
    table: bool,
    /// The number of body steps that call.
    pub(super) body_calls: usize,
    /// The number of body steps that wait.
    pub(super) body_waits: usize,
    /// Bodies may wait more than once. Nothing may be posted then, so that all frames stay on one thread.
    pub(super) waits_often: bool,
    /// A step posts.
    pub(super) posted: bool,
}

/// The ops of sections, each with its weight.
const SECTION_OPS: &[(Verb, u32)] = &[
    (Verb::Fire, 10),
    (Verb::Send, 4),
    (Verb::Post, 4),
    (Verb::Revoke, 5),
    (Verb::RevokeAndWait, 5),
    (Verb::Release, 3),
    (Verb::Unsubscribe, 3),
    (Verb::Forget, 2),
    (Verb::Register, 4),
    (Verb::Invoke, 4),
    (Verb::Enumerate, 4),
    (Verb::Replace, 4),
    (Verb::Barrier, 3),
    (Verb::Churn, 2),
    (Verb::Exclusive, 2),
    (Verb::Confined, 2),
    (Verb::Hold, 2),
    (Verb::Stall, 3),
    (Verb::Shutdown, 1),
];

impl<'a> Builder<'a> {
    pub(super) fn new(header: Record, domain: &'a Domain) -> Self {
        let [threads, callbacks, shape, hostile] = header;
        let named = match callbacks % 8 {
            0 | 1 => 1,
            2..=4 => 2,
            5 => 3,
            6 => 4,
            _ => 1 + callbacks as usize / 8,
        };
        let threads = match threads % 3 {
            0 => 0,
            _ => match threads / 3 % 8 {
                0..=3 => 2,
                4 | 5 => 3,
                6 => 1,
                _ => 1 + threads as usize / 24,
            },
        };
        let mut switches = Vec::new();
        if let Some(last) = domain.hostile.len().checked_sub(1) {
            if hostile >= 144 {
                switches.push(domain.hostile[(hostile as usize - 144) % (last + 1)]);
            }
            if shape >= 224 {
                switches.push(domain.hostile[shape as usize % (last + 1)]);
            }
        }
        switches.sort_unstable();
        switches.dedup();
        let mut builder = Builder {
            domain,
            threads: vec![Vec::new(); threads.min(domain.threads())],
            drafts: Vec::new(),
            named: named.min(domain.callbacks()),
            implied: Vec::new(),
            before: Vec::new(),
            after: Vec::new(),
            gates: 0,
            steps: 0,
            hostile: switches,
            table: shape & 1 != 0,
            body_calls: 0,
            body_waits: 0,
            waits_often: false,
            posted: false,
        };
        for i in 0..builder.named {
            builder.draft(if shape >> (1 + i % 4) & 1 == 0 { Returns::Sum } else { Returns::Counting });
        }
        builder
    }

    fn draft(&mut self, returns: Returns) -> usize {
        self.drafts.push(Draft {
            callback: Callback { returns, ..Callback::new("") },
            registered: None,
            held: false,
            called_before: false,
            calls: false,
            waits: false,
            awaited: false,
        });
        self.drafts.len() - 1
    }

    /// Adds the ops of one record. A record adds nothing if there is no room or if its ops cannot stand there.
    pub(super) fn record(&mut self, record: Record) {
        let [what, section, target, how] = record;
        if self.named == 0 {
            return;
        }
        let target = match target {
            192.. if self.drafts.len() > self.named => self.drafts.len() - 1,
            _ => target as usize % self.named,
        };
        let thread = section as usize / 16;
        let section = match section % 16 {
            0 | 1 => Section::Before,
            2 | 3 => Section::After,
            4..=6 => return self.body_record(what, target, how),
            _ if self.threads.is_empty() => Section::Before,
            _ => Section::Thread((thread % self.threads.len()) as u8),
        };
        let Some(verb) = self.choose(SECTION_OPS, what) else { return };
        match verb {
            Verb::Register | Verb::Invoke | Verb::Enumerate => self.register(verb, section, target, how),
            Verb::Replace => self.replace(section, target),
            Verb::Hold => self.hold_pattern(thread, target, how),
            Verb::Stall => self.stall_pattern(thread, target, how),
            Verb::Exclusive => self.make_exclusive(target),
            Verb::Confined => self.drafts[target].callback.confined = true,
            Verb::Barrier => self.push(section, Op::Barrier),
            Verb::Shutdown => self.push(Section::After, Op::Shutdown),
            Verb::Churn => self.push(section, Op::Churn(1 + u32::from(how % 16))),
            Verb::Fire | Verb::Send | Verb::Post => self.call(verb, section, target, how),
            _ => self.revoke(verb, section, target, how),
        }
    }

    /// The verb that `byte` chooses among those of `ops` that the domain has.
    pub(super) fn choose(&self, ops: &[(Verb, u32)], byte: u8) -> Option<Verb> {
        let there = || ops.iter().filter(|(verb, _)| self.domain.has(*verb));
        let total: u32 = there().map(|(_, weight)| weight).sum();
        let mut at = u32::from(byte) * total / 256;
        for (verb, weight) in there() {
            if at < *weight {
                return Some(*verb);
            }
            at -= weight;
        }
        None
    }

    pub(super) fn room(&self, steps: usize) -> bool {
        self.steps + steps <= self.domain.steps()
    }

    pub(super) fn is_on(&self, hostile: Hostile) -> bool {
        self.hostile.contains(&hostile)
    }

    /// Appends a step to a section, if there is room and the domain has its verb.
    pub(super) fn push(&mut self, section: Section, op: impl Into<Step>) {
        let step = op.into();
        if !self.room(1) || !self.domain.has(step.op.verb()) {
            return;
        }
        self.steps += 1;
        match section {
            Section::Before => self.before.push(step),
            Section::Thread(i) => self.threads[i as usize].push(step),
            Section::After => self.after.push(step),
            Section::Body(id) => self.drafts[id.0 as usize].callback.body.push(step),
        }
    }

    /// Puts a step at the start of a body.
    pub(super) fn push_front(&mut self, body: usize, step: Step) {
        self.push(body_of(body), step);
        self.drafts[body].callback.body.rotate_right(1);
    }

    /// Registers a callback at the start of `before`, unless it is registered already. Returns false if there is no
    /// room for that and for one more step.
    pub(super) fn ensure_registered(&mut self, target: usize) -> bool {
        if self.drafts[target].registered.is_some() {
            return self.room(1);
        }
        if !self.room(2) {
            return false;
        }
        let id = CallbackId(target as u8);
        if self.domain.has(Verb::Register) {
            self.implied.push(Op::Register(vec![id]).into());
        } else if self.domain.has(Verb::Invoke) {
            self.implied.push(Op::Invoke(id, None).into());
        } else if self.domain.has(Verb::Enumerate) {
            self.implied.push(Op::Enumerate(id, 2).into());
        } else {
            return true;
        }
        self.steps += 1;
        self.drafts[target].registered = Some(Section::Before);
        self.drafts[target].called_before |= !self.domain.has(Verb::Register);
        true
    }

    /// The section nearest to `wanted` in which a callback is already registered. With `race`, a thread will do even if
    /// the callback may not be registered yet.
    fn after_registration(&self, target: usize, wanted: Section, race: bool) -> Section {
        let section = match (self.drafts[target].registered, wanted) {
            (None | Some(Section::Before), _) => wanted,
            (Some(registered), _) if registered == wanted => wanted,
            (Some(_), Section::Body(_) | Section::After) => wanted,
            (Some(_), Section::Thread(_)) if race => wanted,
            (Some(Section::Thread(thread)), Section::Thread(_)) => Section::Thread(thread),
            (Some(_), _) => Section::After,
        };
        if section == Section::Before && self.drafts[target].held { Section::After } else { section }
    }

    /// A callback that is not registered yet: `target`, the next one that records can name, or a new one.
    pub(super) fn fresh(&mut self, target: usize) -> Option<usize> {
        let order = (target..self.named).chain(0..target.min(self.named));
        let unregistered = order.chain(self.named..self.drafts.len()).find(|i| self.drafts[*i].registered.is_none());
        match unregistered {
            None if self.drafts.len() < self.domain.callbacks() => Some(self.draft(Returns::Sum)),
            found => found,
        }
    }

    fn register(&mut self, verb: Verb, section: Section, target: usize, how: u8) {
        let Some(first) = self.fresh(target).filter(|_| self.room(1)) else {
            return self.call(Verb::Fire, section, target, how);
        };
        self.drafts[first].registered = Some(section);
        let id = CallbackId(first as u8);
        let op = match verb {
            Verb::Invoke => Op::Invoke(id, arguments(how)),
            Verb::Enumerate => Op::Enumerate(id, 1 + u32::from(how % 5)),
            _ => {
                let mut ids = vec![id];
                if how & 12 == 12
                    && let Some(second) = self.fresh(target)
                {
                    self.drafts[second].registered = Some(section);
                    ids.push(CallbackId(second as u8));
                }
                Op::Register(ids)
            }
        };
        self.drafts[first].called_before |= section == Section::Before && verb != Verb::Register;
        self.push(section, op);
    }

    fn replace(&mut self, section: Section, target: usize) {
        if self.drafts.len() < 2 && self.domain.callbacks() < 2 || !self.room(2) || !self.ensure_registered(target) {
            return;
        }
        let section = self.after_registration(target, section, false);
        if let Some(new) = self.fresh(target) {
            self.drafts[new].registered = Some(section);
            self.push(section, Op::Replace(CallbackId(target as u8), CallbackId(new as u8)));
        }
    }

    pub(super) fn call(&mut self, verb: Verb, section: Section, target: usize, how: u8) {
        let verb = if verb == Verb::Post && self.waits_often { Verb::Fire } else { verb };
        if !self.domain.has(verb) || !self.ensure_registered(target) {
            return;
        }
        let section = self.after_registration(target, section, how >= 224);
        let (id, args) = (CallbackId(target as u8), arguments(how));
        self.drafts[target].called_before |= section == Section::Before;
        self.posted |= verb == Verb::Post;
        let op = match verb {
            Verb::Send => Op::Send(id, args),
            Verb::Post => Op::Post(id, args),
            _ => Op::Fire(id, args),
        };
        self.push(section, op);
    }

    pub(super) fn revoke(&mut self, verb: Verb, section: Section, target: usize, how: u8) {
        if !self.ensure_registered(target) {
            return;
        }
        let section = self.after_registration(target, section, how >= 224);
        if let Section::Thread(thread) = section
            && how & 4 != 0
            && self.threads.len() > 1
        {
            // The revocation races against a call on another thread.
            let other = (thread as usize + 1) % self.threads.len();
            self.call(Verb::Fire, Section::Thread(other as u8), target, 0);
        }
        self.push(section, revoking(verb, CallbackId(target as u8)));
        if how & 1 != 0
            && self.domain.has(Verb::Register)
            && self.room(1)
            && let Some(new) = self.fresh(target)
        {
            self.drafts[new].registered = Some(section);
            self.push(section, Op::Register(vec![CallbackId(new as u8)]));
        }
        if how & 2 != 0 {
            self.push(Section::After, Op::Fire(CallbackId(target as u8), None));
        }
    }

    pub(super) fn finish(mut self) -> Program {
        let mut program = Program { hostile: self.hostile, ..Program::default() };
        if self.table {
            // `register a` and `register b` become `register a b`. Other implied ops stay as they are.
            let ids: Vec<CallbackId> = self.implied.iter().flat_map(|step| step.op.registers()).collect();
            if !ids.is_empty() && self.domain.has(Verb::Register) {
                self.implied = vec![Op::Register(ids).into()];
            }
        }
        program.before = self.implied;
        program.before.extend(self.before);
        self.threads.retain(|thread| !thread.is_empty());
        program.threads = self.threads;
        program.after = self.after;
        program.callbacks = self.drafts.into_iter().map(|draft| draft.callback).collect();
        program.gates = (0..self.gates).map(|_| String::new()).collect();
        tidy(&program)
    }
}

/// The body of the callback at this index of [`Builder::drafts`].
pub(super) fn body_of(draft: usize) -> Section {
    Section::Body(CallbackId(draft as u8))
}

/// The op with this verb, one of those that end a registration.
pub(super) fn revoking(verb: Verb, id: CallbackId) -> Op {
    match verb {
        Verb::RevokeAndWait => Op::RevokeAndWait(id),
        Verb::Release => Op::Release(id),
        Verb::Unsubscribe => Op::Unsubscribe(id),
        Verb::Forget => Op::Forget(id),
        _ => Op::Revoke(id),
    }
}

/// The arguments of a firing. None for a quarter of the choices, including 0.
fn arguments(how: u8) -> Option<Args> {
    (!how.is_multiple_of(4)).then(|| Args { a: i64::from(how / 4), b: i64::from(how % 4) })
}

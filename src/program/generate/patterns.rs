//! Orders that random choice hardly finds: a call or a revocation is held half way while another thread goes on.
//!
//! A gate at which no thread arrives costs time. Patterns are therefore rare, and always complete: one thread arrives
//! at the gate; the other waits for that, does its own ops, and opens the gate.

use super::builder::{Builder, revoking};
use crate::program::{CallbackId, GateId, Op, Section, Site, Step, Verb};

/// Maximum number of gates in a program.
const MAX_GATES: u8 = 4;
/// Maximum number of steps that a pattern adds: a registration, stall or hold, call, reach, revoke, open.
const STEPS: usize = 6;
/// The ways to end a registration.
const REVOKING: [Verb; 5] = [Verb::Revoke, Verb::RevokeAndWait, Verb::Release, Verb::Unsubscribe, Verb::Forget];

impl Builder<'_> {
    /// A call is held inside the callback while another thread revokes it.
    pub(super) fn hold_pattern(&mut self, thread: usize, target: usize, how: u8) {
        let Some((free, held)) = self.two_threads(thread, how) else { return };
        if !self.may_hold(target) {
            return;
        }
        let Some(call) = self.calling(target, &[Verb::Fire, Verb::Send, Verb::Post], held) else { return };
        let gate = self.gate();
        self.drafts[target].held = true;
        self.push_front(target, Step { nth: Some(1), ..Op::Hold(gate).into() });
        self.push(held, call);
        self.reach_and_open(free, gate, self.revoking(target, how));
    }

    /// A thread is held at a site of the library or of the registry while another thread goes on.
    pub(super) fn stall_pattern(&mut self, thread: usize, target: usize, how: u8) {
        let Some((free, held)) = self.two_threads(thread, how) else { return };
        let Some(site) = self.domain.sites.get(how as usize % self.domain.sites.len().max(1)).copied() else { return };
        let calls: &[Verb] = match site {
            Site::Popped | Site::WorkerStart | Site::WorkerExit => &[Verb::Post, Verb::Send, Verb::Fire],
            _ => &[Verb::Fire, Verb::Send, Verb::Post],
        };
        if !self.may_hold(target) {
            return;
        }
        let passes_revoking = matches!(
            site,
            Site::BeforeNotify | Site::Unsubscribed | Site::Revoked | Site::TombstoneWritten | Site::SlotListed
        );
        let caller = if passes_revoking { free } else { held };
        let (call, revoke) = (self.calling(target, calls, caller), self.revoking(target, how));
        let (passes, meanwhile) = if passes_revoking { (revoke, call) } else { (call, revoke) };
        let gate = self.gate();
        self.push(held, Op::Stall(site, gate));
        if let Some(op) = passes {
            self.push(held, op);
        }
        if matches!(site, Site::WorkerStart | Site::WorkerExit) {
            // Library threads pass these sites while the session opens and closes, so no thread of the program could
            // reach the gate.
            return self.push(free, Op::Open(gate));
        }
        self.reach_and_open(free, gate, meanwhile);
    }

    /// Waits for a thread at the gate, then does `meanwhile` and opens the gate. An op that waits comes after the
    /// opening.
    fn reach_and_open(&mut self, section: Section, gate: GateId, meanwhile: Option<Op>) {
        self.push(section, Op::Reach(gate));
        let waits = matches!(meanwhile, Some(Op::RevokeAndWait(_) | Op::Release(_) | Op::Unsubscribe(_)));
        let (first, second) = if waits { (None, meanwhile) } else { (meanwhile, None) };
        if let Some(op) = first {
            self.push(section, op);
        }
        self.push(section, Op::Open(gate));
        if let Some(op) = second {
            self.push(section, op);
        }
    }

    /// The thread that goes on and the thread that is held, if there are two threads and room for a pattern.
    fn two_threads(&self, thread: usize, how: u8) -> Option<(Section, Section)> {
        let n = self.threads.len();
        let gates = self.domain.has(Verb::Reach) && self.domain.has(Verb::Open) && self.gates < MAX_GATES;
        if n < 2 || !gates || !self.room(STEPS) {
            return None;
        }
        let free = thread % n;
        let held = (free + 1 + how as usize % (n - 1)) % n;
        Some((Section::Thread(free as u8), Section::Thread(held as u8)))
    }

    fn gate(&mut self) -> GateId {
        self.gates += 1;
        GateId(self.gates - 1)
    }

    /// Whether the first call of this callback can be one on a thread.
    fn may_hold(&self, target: usize) -> bool {
        let draft = &self.drafts[target];
        matches!(draft.registered, None | Some(Section::Before)) && !draft.called_before && !draft.held
    }

    /// An op that calls `target`: with the first of these verbs that the domain has, or else in a scope. Registers
    /// `target` if necessary.
    fn calling(&mut self, target: usize, verbs: &[Verb], section: Section) -> Option<Op> {
        let id = CallbackId(target as u8);
        let Some(verb) = verbs.iter().copied().find(|verb| self.domain.has(*verb)) else {
            let scope = [Verb::Invoke, Verb::Enumerate].into_iter().find(|verb| self.domain.has(*verb))?;
            if self.drafts[target].registered.is_some() {
                return None;
            }
            self.drafts[target].registered = Some(section);
            return Some(if scope == Verb::Invoke { Op::Invoke(id, None) } else { Op::Enumerate(id, 2) });
        };
        if !self.ensure_registered(target) {
            return None;
        }
        self.posted |= verb == Verb::Post;
        Some(match verb {
            Verb::Send => Op::Send(id, None),
            Verb::Post => Op::Post(id, None),
            _ => Op::Fire(id, None),
        })
    }

    /// An op that ends the registration of `target`, if the domain has one.
    fn revoking(&self, target: usize, how: u8) -> Option<Op> {
        let there: Vec<Verb> = REVOKING.into_iter().filter(|verb| self.domain.has(*verb)).collect();
        let verb = there.get(how as usize / 16 % there.len().max(1))?;
        Some(revoking(*verb, CallbackId(target as u8)))
    }
}

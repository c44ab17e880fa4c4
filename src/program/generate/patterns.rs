//! Orders that chance would hardly find: a call, or a revocation, is parked half way while another thread gets its way.
//!
//! A gate costs time when nobody comes to it, so these are rare, and always whole: one thread arrives at the gate, another
//! waits until it has, does its worst, and opens.

use super::builder::{Builder, Place, revoking};
use crate::program::{CallbackId, GateId, Op, Site, Step, Verb};

/// Most gates in a program.
const MAX_GATES: u8 = 4;
/// Most steps that a pattern adds: a registration, stall or hold, call, reach, revoke, open.
const STEPS: usize = 6;
/// The ways to end a registration.
const REVOKING: [Verb; 5] = [Verb::Revoke, Verb::RevokeAndWait, Verb::Release, Verb::Unsubscribe, Verb::Forget];

impl Builder<'_> {
    /// A call is held inside the callback while another thread revokes it.
    pub(super) fn hold_pattern(&mut self, thread: usize, target: usize, how: u8) {
        let Some((worst, parked)) = self.two_threads(thread, how) else { return };
        if !self.may_park(target) {
            return;
        }
        let Some(call) = self.calling(target, &[Verb::Fire, Verb::Send, Verb::Post], parked) else { return };
        let gate = self.gate();
        self.drafts[target].held = true;
        self.push_front(target, Step { nth: Some(1), ..Op::Hold(gate).into() });
        self.push(parked, call);
        self.reach_and_open(worst, gate, self.revoking(target, how));
    }

    /// A thread is parked at a site of the library or of the registry while another gets its way.
    pub(super) fn stall_pattern(&mut self, thread: usize, target: usize, how: u8) {
        let Some((worst, parked)) = self.two_threads(thread, how) else { return };
        let Some(site) = self.domain.sites.get(how as usize % self.domain.sites.len().max(1)).copied() else { return };
        let calls: &[Verb] = match site {
            Site::Popped | Site::WorkerStart | Site::WorkerExit => &[Verb::Post, Verb::Send, Verb::Fire],
            _ => &[Verb::Fire, Verb::Send, Verb::Post],
        };
        if !self.may_park(target) {
            return;
        }
        let passes_revoking = matches!(
            site,
            Site::BeforeNotify | Site::Unsubscribed | Site::Revoked | Site::TombstoneWritten | Site::SlotListed
        );
        let caller = if passes_revoking { worst } else { parked };
        let (call, revoke) = (self.calling(target, calls, caller), self.revoking(target, how));
        let (passes, meanwhile) = if passes_revoking { (revoke, call) } else { (call, revoke) };
        let gate = self.gate();
        self.push(parked, Op::Stall(site, gate));
        if let Some(op) = passes {
            self.push(parked, op);
        }
        if matches!(site, Site::WorkerStart | Site::WorkerExit) {
            // Library threads pass these when the session begins and ends: nobody could reach the gate in between.
            return self.push(worst, Op::Open(gate));
        }
        self.reach_and_open(worst, gate, meanwhile);
    }

    fn reach_and_open(&mut self, place: Place, gate: GateId, meanwhile: Option<Op>) {
        self.push(place, Op::Reach(gate));
        let waits = matches!(meanwhile, Some(Op::RevokeAndWait(_) | Op::Release(_) | Op::Unsubscribe(_)));
        let (first, second) = if waits { (None, meanwhile) } else { (meanwhile, None) };
        if let Some(op) = first {
            self.push(place, op);
        }
        self.push(place, Op::Open(gate));
        if let Some(op) = second {
            self.push(place, op);
        }
    }

    /// The thread that does its worst and the one that is parked, when there are two and room for a pattern.
    fn two_threads(&self, thread: usize, how: u8) -> Option<(Place, Place)> {
        let n = self.threads.len();
        let gates = self.domain.has(Verb::Reach) && self.domain.has(Verb::Open) && self.gates < MAX_GATES;
        if n < 2 || !gates || !self.room(STEPS) {
            return None;
        }
        let worst = thread % n;
        let parked = (worst + 1 + how as usize % (n - 1)) % n;
        Some((Place::Thread(worst), Place::Thread(parked)))
    }

    fn gate(&mut self) -> GateId {
        self.gates += 1;
        GateId(self.gates - 1)
    }

    /// Whether the first call that anybody makes of this callback can be one on a thread.
    fn may_park(&self, target: usize) -> bool {
        let draft = &self.drafts[target];
        matches!(draft.registered, None | Some(Place::Before)) && !draft.called_before && !draft.held
    }

    /// An op that calls `target`, by the first of these verbs that the domain has, or else in a scope; it is registered by then.
    fn calling(&mut self, target: usize, verbs: &[Verb], place: Place) -> Option<Op> {
        let id = CallbackId(target as u8);
        let Some(verb) = verbs.iter().copied().find(|verb| self.domain.has(*verb)) else {
            let scope = [Verb::Invoke, Verb::Enumerate].into_iter().find(|verb| self.domain.has(*verb))?;
            if self.drafts[target].registered.is_some() {
                return None;
            }
            self.drafts[target].registered = Some(place);
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

    fn revoking(&self, target: usize, how: u8) -> Option<Op> {
        let there: Vec<Verb> = REVOKING.into_iter().filter(|verb| self.domain.has(*verb)).collect();
        let verb = there.get(how as usize / 16 % there.len().max(1))?;
        Some(revoking(*verb, CallbackId(target as u8)))
    }
}

//! What callbacks do when they are called. The rules by which every program ends are in `generate`'s docs.

use super::builder::{Builder, body_of, revoking};
use crate::program::{CallbackId, Hostile, Op, Step, Verb};

/// Maximum number of body steps that call, in one program. With the first call they nest at most four deep.
const MAX_BODY_CALLS: usize = 3;

/// The ops of bodies, each with its weight.
const BODY_OPS: &[(Verb, u32)] = &[
    (Verb::Revoke, 6),
    (Verb::RevokeAndWait, 6),
    (Verb::Release, 3),
    (Verb::Unsubscribe, 3),
    (Verb::Forget, 1),
    (Verb::Fire, 5),
    (Verb::Post, 2),
    (Verb::Register, 2),
    (Verb::Replace, 2),
    (Verb::Invoke, 1),
    (Verb::Enumerate, 1),
    (Verb::Churn, 1),
    (Verb::Return, 3),
    (Verb::Panic, 2),
    (Verb::Exclusive, 1),
];

impl Builder<'_> {
    /// Adds a step to the body of callback `own`.
    pub(super) fn body_record(&mut self, what: u8, own: usize, how: u8) {
        let Some(verb) = self.choose(BODY_OPS, what) else { return };
        if verb == Verb::Exclusive {
            return self.make_exclusive(own);
        }
        if !self.room(2) || !self.ensure_registered(own) {
            return;
        }
        let once = Some(1 + u32::from(how % 3));
        let maybe_once = if how & 4 == 0 { None } else { once };
        match verb {
            Verb::Fire | Verb::Post => self.body_call(verb, own, how),
            Verb::Register => {
                if let Some(new) = self.fresh(own) {
                    self.drafts[new].registered = Some(body_of(own));
                    self.body_step(own, once, Op::Register(vec![CallbackId(new as u8)]));
                }
            }
            Verb::Replace => {
                if let Some(new) = self.fresh(own) {
                    self.drafts[new].registered = Some(body_of(own));
                    self.body_step(own, once, Op::Replace(CallbackId(own as u8), CallbackId(new as u8)));
                }
            }
            Verb::Invoke | Verb::Enumerate => self.body_scope(verb, own, how),
            Verb::Churn => self.body_step(own, once, Op::Churn(1 + u32::from(how % 8))),
            Verb::Return => {
                let value = if how & 8 == 0 { 0 } else { i64::from(how) };
                self.body_step(own, maybe_once, Op::Return(value));
            }
            Verb::Panic => self.body_step(own, maybe_once, Op::Panic),
            Verb::RevokeAndWait | Verb::Release | Verb::Unsubscribe => self.body_wait(verb, own, how),
            _ => {
                let target = match how >> 3 & 3 {
                    0 | 1 => own,
                    2 => self.caller_of(own).unwrap_or(own),
                    _ => self.other(own, how),
                };
                if self.ensure_registered(target) {
                    self.body_step(own, maybe_once, revoking(verb, CallbackId(target as u8)));
                }
            }
        }
    }

    /// Makes a callback exclusive, unless its body waits or calls another callback: a registry that serialises its
    /// calls could then be made to wait in a circle.
    pub(super) fn make_exclusive(&mut self, own: usize) {
        let draft = &mut self.drafts[own];
        draft.callback.exclusive |= !draft.calls && !draft.waits;
    }

    fn body_step(&mut self, own: usize, nth: Option<u32>, op: Op) {
        self.push(body_of(own), Step { nth, ..op.into() });
    }

    fn body_call(&mut self, verb: Verb, own: usize, how: u8) {
        let target = if how >> 3 & 3 == 0 { own } else { self.other(own, how) };
        let id = CallbackId(target as u8);
        let nth = Some(1 + u32::from(how % 3));
        if verb == Verb::Post {
            if !self.waits_often && self.ensure_registered(target) {
                self.posted = true;
                self.body_step(own, nth, Op::Post(id, None));
            }
            return;
        }
        let concurrent = self.is_on(Hostile::Concurrent);
        if self.body_calls == MAX_BODY_CALLS
            || (self.drafts[own].callback.exclusive && (target != own || concurrent))
            || (concurrent && self.body_waits > 0)
            || !self.ensure_registered(target)
        {
            return;
        }
        self.body_calls += 1;
        // A callback that calls only itself may still become exclusive, unless the library also calls on other threads:
        // the callback would then wait for itself.
        self.drafts[own].calls |= target != own || concurrent;
        self.body_step(own, nth, Op::Fire(id, None));
    }

    fn body_scope(&mut self, verb: Verb, own: usize, how: u8) {
        // A scope waits at its end for the calls that the library makes on other threads meanwhile.
        if self.body_calls == MAX_BODY_CALLS || self.body_waits > 0 && !self.one_thread() || !self.may_wait(own) {
            return;
        }
        if self.is_on(Hostile::Concurrent) {
            return;
        }
        let Some(new) = self.fresh(own).filter(|new| *new != own && !self.drafts[*new].waits) else { return };
        let id = CallbackId(new as u8);
        let op = match verb {
            Verb::Invoke => Op::Invoke(id, None),
            _ => Op::Enumerate(id, 1 + u32::from(how % 3)),
        };
        self.drafts[new].registered = Some(body_of(own));
        self.drafts[new].awaited = true;
        self.drafts[own].calls = true;
        self.drafts[own].waits = true;
        self.body_calls += 1;
        self.body_waits += 1;
        self.waits_often |= self.body_waits > 1;
        self.body_step(own, Some(1 + u32::from(how % 3)), op);
    }

    fn body_wait(&mut self, verb: Verb, own: usize, how: u8) {
        let target = match how >> 3 & 3 {
            0 | 1 => own,
            2 => self.caller_of(own).unwrap_or(own),
            _ => self.other(own, how),
        };
        // Allowed: waiting for its own frames, for frames further out on the same stack, or for a callback that ends
        // without waiting.
        let outer = target == own || self.caller_of(own) == Some(target);
        let ends = target > own && !self.drafts[target].waits;
        let often = self.one_thread() && (self.body_waits > 0 || how & 4 == 0);
        let allowed = (outer || ends)
            && self.may_wait(own)
            && (self.body_waits == 0 || self.one_thread())
            && !(self.is_on(Hostile::Concurrent) && self.body_calls > 0);
        if !self.ensure_registered(target) {
            return;
        }
        let id = CallbackId(target as u8);
        if !allowed {
            return self.body_step(own, None, Op::Revoke(id));
        }
        self.drafts[own].waits = true;
        self.drafts[target].awaited |= !outer;
        self.body_waits += 1;
        self.waits_often |= often;
        let nth = (!often || how & 4 != 0).then_some(1 + u32::from(how % 3));
        self.body_step(own, nth, revoking(verb, id));
    }

    /// Whether a step that waits may stand in this body.
    fn may_wait(&self, own: usize) -> bool {
        !self.drafts[own].callback.exclusive && !self.drafts[own].awaited
    }

    /// Whether all frames of callbacks are on one thread at a time. No wait is then for another thread.
    fn one_thread(&self) -> bool {
        let scattered = [Hostile::Concurrent, Hostile::FireTlsDestructor];
        self.threads.is_empty() && !self.posted && !scattered.iter().any(|hostile| self.is_on(*hostile))
    }

    /// Another callback, whose body fires this one.
    fn caller_of(&self, own: usize) -> Option<usize> {
        let fires = |step: &Step| matches!(step.op, Op::Fire(CallbackId(id), _) if id as usize == own);
        (0..self.drafts.len()).find(|i| *i != own && self.drafts[*i].callback.body.iter().any(fires))
    }

    /// Another callback, if there is one.
    fn other(&self, own: usize, how: u8) -> usize {
        let others = self.drafts.len() - 1;
        if others == 0 { own } else { (own + 1 + (how as usize >> 5) % others) % self.drafts.len() }
    }
}

//! Rules about firings: `Aliased`, `LostCall`.

use super::state::{Firing, OpenOp};
use super::{Answer, Judge};
use crate::ledger::violation::ViolationKind;
use crate::program::{CallbackId, Hostile, Op};

impl Judge<'_> {
    /// Whether a firing that begins now must run `id`, unless something ends the registration before the firing ends.
    pub(super) fn deliverable(&self, id: CallbackId, op: &Op) -> bool {
        let state = &self.callbacks[id.0 as usize];
        let registered = is_scope(op) || state.registered_on.is_some();
        let spent = self.contract.once && self.firings.values().any(|firing| firing.target == id);
        registered
            && state.ending.is_none()
            && self.closing.is_none()
            && !spent
            && !self.program.hostile.contains(&Hostile::WrongUserData)
    }

    /// A call of `id` has started: the firing that asked for it must be one of `id`, or of a callback that `id`
    /// replaces. Exception: the library says itself that it passed the wrong user data.
    pub(super) fn attribute(&mut self, at: usize, id: CallbackId, cookie: u32, misdirected: bool) {
        let program = self.program;
        // `churn` made the callback, and no program fires it.
        let churned = id.0 as usize >= self.callbacks.len();
        let firing = self.firings.get(&cookie).copied();
        let wrong = churned || firing.is_some_and(|firing| firing.target != id && !self.succeeds(firing.target, id));
        if wrong && !misdirected {
            let proof = firing.map(|firing| firing.at).into_iter().chain([at]).collect();
            self.violated(ViolationKind::Aliased, firing.map(|firing| firing.target), proof, |name| {
                if churned {
                    format!("a firing of `{name}` ran a callback that was registered later and never fired")
                } else {
                    format!("a firing of `{name}` ran `{}`", program.callback_name(id))
                }
            });
        } else if !churned && let Some(firing) = self.firings.get_mut(&cookie) {
            firing.entered += 1;
        }
    }

    /// Whether an op began to put `id` in the place of `target`, or of a callback that was put there.
    fn succeeds(&self, target: CallbackId, id: CallbackId) -> bool {
        // A callback is registered once, so the search does not go in a circle.
        self.callbacks[target.0 as usize].successors.iter().any(|next| *next == id || self.succeeds(*next, id))
    }

    /// A firing that waits for its answer has ended. If the callback was registered and nothing began to end that
    /// registration before now, then the callback has run and its answer has come back.
    pub(super) fn fired(&mut self, at: usize, open: &OpenOp, id: CallbackId, op: &Op, answer: Answer) {
        let Some(firing) = self.firings.get(&open.cookie).copied() else { return };
        let state = &mut self.callbacks[id.0 as usize];
        if is_scope(op) {
            state.ending.get_or_insert(at);
        } else if state.ending.is_some() || self.closing.is_some() {
            return; // the firing may have been too late
        }
        let Answer::Value(answer) = answer else { return };
        if !open.deliverable || firing.turned_away {
            return;
        }
        let proof = vec![open.at, at];
        if self.contract.once && firing.entered == 0 {
            // Another firing may have taken the one call without having reported it yet: `unserved` decides at the end.
            state.unserved.get_or_insert((open.at, at));
        } else if let Op::Enumerate(_, count) = op {
            self.enumerated(proof, &firing, *count, answer);
        } else if firing.entered == 0 {
            self.violated(ViolationKind::LostCall, Some(id), proof, |name| {
                format!("`{name}` was registered and not revoked, was fired, and did not run")
            });
        } else if let (1, None, Some(value)) = (firing.entered, firing.late, firing.value)
            && value != answer
        {
            // With more than one call, or a late one, a hostile library may answer with what another call returned.
            self.violated(ViolationKind::LostCall, Some(id), proof, |name| {
                format!("`{name}` returned {value} and the library was told {answer}")
            });
        }
    }

    /// An enumeration makes as many calls as it answers, and one for each item, unless a call stops it.
    fn enumerated(&mut self, proof: Vec<usize>, firing: &Firing, count: u32, answer: i64) {
        let body = &self.program.callbacks[firing.target.0 as usize].body;
        let may_stop =
            body.iter().any(|step| matches!(step.op, Op::Return(_))) || firing.value == Some(0) || firing.unwound;
        if firing.entered as i64 != answer || (!may_stop && answer != i64::from(count)) {
            self.violated(ViolationKind::LostCall, Some(firing.target), proof, |name| {
                let entered = firing.entered;
                format!(
                    "an enumeration (items: {count}) answered that it had called {answer} times; it ran `{name}` {entered} \
                     times"
                )
            });
        }
    }

    /// A barrier has ended. Each post that had ended when the barrier began has been delivered, unless something began
    /// to end the registration before now.
    pub(super) fn barrier(&mut self, at: usize, began: usize) {
        for (cookie, posted) in std::mem::take(&mut self.posted) {
            let firing = self.firings[&cookie];
            let ending = self.callbacks[firing.target.0 as usize].ending;
            if posted > began {
                self.posted.push((cookie, posted));
            } else if firing.entered == 0 && !firing.turned_away && ending.is_none() && self.closing.is_none() {
                self.violated(ViolationKind::LostCall, Some(firing.target), vec![firing.at, at], |name| {
                    format!("a delivery to `{name}` was posted, a barrier passed, and it did not run")
                });
            }
        }
    }

    /// The run is over: if a firing of a one-shot callback ran nothing, another firing has taken the one call. A firing
    /// that came late after the registration was ended has taken it as well.
    pub(super) fn unserved(&mut self) {
        for i in 0..self.callbacks.len() {
            let id = CallbackId(i as u8);
            let Some((began, ended)) = self.callbacks[i].unserved else { continue };
            let ending = self.callbacks[i].ending.into_iter().chain(self.closing).min();
            let late = |firing: &Firing| firing.late.is_some_and(|late| ending.is_some_and(|ending| ending < late));
            let took = |firing: &Firing| firing.entered > 0 || firing.turned_away || late(firing);
            if !self.firings.values().any(|firing| firing.target == id && took(firing)) {
                self.violated(ViolationKind::LostCall, Some(id), vec![began, ended], |name| {
                    format!("`{name}` is one-shot, was registered, not revoked, and fired, and no firing ran it")
                });
            }
        }
    }
}

/// Whether the op registers its callback for the time of the op only.
fn is_scope(op: &Op) -> bool {
    matches!(op, Op::Invoke(..) | Op::Enumerate(..))
}

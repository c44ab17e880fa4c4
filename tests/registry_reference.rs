//! The registry against a reference that is simple enough to be checked by reading: a list of registrations and their
//! states. Any sequence of verbs on one thread, nested calls included, gives the same answers. S12, S36, S37, S43, S84,
//! S86, S89.
//!
//! Alone in its process, for two reasons. A revocation finds no other thread to fence, while in `tests/registry/` it
//! nearly always does. And the test takes two thousand registry ids.
#![cfg(feature = "harness")]
#![allow(clippy::disallowed_types, reason = "a test is outside the crate and has no other atomics")]

use latecall::registry::{Handle, Quiescence, Reason, Registry, Revoked, Status};
use proptest::prelude::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

#[derive(Clone, Debug)]
enum Op {
    Register,
    /// Calls the registration with this number, and runs these operations inside the call.
    Call(usize, Vec<Op>),
    Revoke(usize),
    RevokeAndWait(usize),
    RevokeDeferred(usize),
    Reclaim,
    Status(usize),
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let which = || 0..12_usize;
    let leaf = prop_oneof![
        4 => Just(Op::Register),
        2 => which().prop_map(|n| Op::Call(n, Vec::new())),
        2 => which().prop_map(Op::Revoke),
        2 => which().prop_map(Op::RevokeAndWait),
        2 => which().prop_map(Op::RevokeDeferred),
        1 => Just(Op::Reclaim),
        2 => which().prop_map(Op::Status),
    ];
    let op = leaf.prop_recursive(9, 40, 6, move |inner| {
        (0..12_usize, prop::collection::vec(inner, 1..6)).prop_map(|(n, ops)| Op::Call(n, ops))
    });
    prop::collection::vec(op, 1..40)
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum Fate {
    Live,
    Deferred,
    /// Revoked with calls inside; the outermost call drops the closure.
    Revoking,
    Dropped,
}

/// The reference's state of a registration.
struct Entry {
    handle: Handle,
    fate: Fate,
    inside: u32,
    drops: Arc<AtomicU64>,
}

type Callbacks = Registry<dyn Fn() + Send + Sync>;

struct Pair<'r> {
    registry: &'r Callbacks,
    entries: Vec<Entry>,
}

struct DropProbe(Arc<AtomicU64>);
impl Drop for DropProbe {
    fn drop(&mut self) {
        self.0.fetch_add(1, Relaxed);
    }
}

impl Pair<'_> {
    /// The reference's part of a revocation: without calls inside, the closure is dropped.
    fn end(&mut self, n: usize) -> u32 {
        let entry = &mut self.entries[n];
        entry.fate = if entry.inside == 0 { Fate::Dropped } else { Fate::Revoking };
        entry.inside
    }

    fn run(&mut self, ops: &[Op]) {
        for op in ops {
            self.step(op);
            for entry in &self.entries {
                assert_eq!(
                    entry.drops.load(Relaxed),
                    u64::from(entry.fate == Fate::Dropped),
                    "{op:?}: {:?}",
                    entry.handle
                );
            }
        }
    }

    fn step(&mut self, op: &Op) {
        let known = |n: usize| (n < self.entries.len()).then_some(n);
        match op {
            Op::Register => {
                let drops = Arc::new(AtomicU64::new(0));
                let probe = DropProbe(Arc::clone(&drops));
                let registration = self.registry.register(Box::new(move || {
                    let _owned = &probe;
                }));
                let handle = registration.leak();
                assert!(self.entries.iter().all(|entry| entry.handle != handle), "{handle:?} issued twice");
                self.entries.push(Entry { handle, fate: Fate::Live, inside: 0, drops });
            }
            Op::Call(n, inner) => {
                let Some(n) = known(*n) else { return };
                let (handle, registry) = (self.entries[n].handle, self.registry);
                let fate = self.entries[n].fate;
                let called = registry.call(handle.as_ptr(), |f| {
                    f();
                    self.entries[n].inside += 1;
                    self.run(inner);
                    self.entries[n].inside -= 1;
                });
                match called.map_err(|late| late.reason()) {
                    Ok(()) => assert_eq!(fate, Fate::Live),
                    Err(Reason::Revoking) => assert!(fate != Fate::Live && self.entries[n].inside > 0, "{fate:?}"),
                    Err(Reason::Stale) => assert!(fate != Fate::Live && self.entries[n].inside == 0, "{fate:?}"),
                    Err(other) => panic!("{other:?}"),
                }
                if self.entries[n].fate == Fate::Revoking && self.entries[n].inside == 0 {
                    self.entries[n].fate = Fate::Dropped;
                }
            }
            Op::Revoke(n) => {
                let Some(n) = known(*n) else { return };
                let (handle, fate) = (self.entries[n].handle, self.entries[n].fate);
                let expected = match fate {
                    Fate::Live => match self.end(n) {
                        0 => Revoked::Removed,
                        inside => Revoked::InFlight(inside),
                    },
                    _ => Revoked::AlreadyRevoked,
                };
                assert_eq!(self.registry.revoke(handle), Ok(expected));
            }
            Op::RevokeAndWait(n) => {
                let Some(n) = known(*n) else { return };
                // Other deferred revocations stay deferred: a wait for one callback ends no other.
                if matches!(self.entries[n].fate, Fate::Live | Fate::Deferred) {
                    self.end(n);
                }
                let expected = match self.entries[n].fate {
                    Fate::Dropped => Quiescence::Quiescent,
                    _ => Quiescence::DeferredToOuterFrame,
                };
                assert_eq!(self.registry.revoke_and_wait(self.entries[n].handle), Ok(expected));
            }
            Op::RevokeDeferred(n) => {
                let Some(n) = known(*n) else { return };
                let was_live = self.entries[n].fate == Fate::Live;
                if was_live {
                    self.entries[n].fate = Fate::Deferred;
                }
                assert_eq!(self.registry.revoke_deferred(self.entries[n].handle), Ok(was_live));
            }
            Op::Reclaim => {
                let dropped = self.reclaim_in_reference();
                assert_eq!(self.registry.reclaim(), dropped);
            }
            Op::Status(n) => {
                let Some(n) = known(*n) else { return };
                let entry = &self.entries[n];
                let expected = match entry.fate {
                    Fate::Live => Status::Live(entry.inside),
                    Fate::Deferred | Fate::Revoking => Status::Revoking(entry.inside),
                    Fate::Dropped => Status::Revoked,
                };
                assert_eq!(self.registry.status(entry.handle), Ok(expected));
            }
        }
    }

    fn reclaim_in_reference(&mut self) -> usize {
        let deferred: Vec<usize> =
            (0..self.entries.len()).filter(|&n| self.entries[n].fate == Fate::Deferred).collect();
        deferred.into_iter().filter(|&n| self.end(n) == 0).count()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn any_sequence_of_verbs_answers_as_the_reference_does(ops in ops()) {
        let registry = Callbacks::new();
        let mut pair = Pair { registry: &registry, entries: Vec::new() };
        pair.run(&ops);
        let drops: Vec<_> = pair.entries.iter().map(|entry| Arc::clone(&entry.drops)).collect();
        drop(registry);
        for drops in drops {
            prop_assert_eq!(drops.load(Relaxed), 1);
        }
    }
}

//! Closures, destructors, destroy notifies and completions that use random verbs of their registry, deferred
//! revocations among them. S19, S46.
//!
//! One thread cannot wait for another one here, so each wait that does not end at once is a thread that waits for
//! itself. The registry reports it, because its wait limit is zero.
#![allow(clippy::disallowed_types, reason = "a test is outside the crate and has no other atomics")]

use crate::support::{CallbackRegistration, Callbacks, call};
use latecall::registry::{Handle, OnStuck, Registry, Stuck};
use std::cell::{Cell, RefCell};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

const REGISTRATIONS: u64 = 200_000;
/// How deep callbacks and destructors nest: deeper than a record has cells.
const DEPTH: u32 = 10;

static WAITS: AtomicU64 = AtomicU64::new(0);
static REGISTRY: Callbacks =
    Registry::new().with_wait_limit(Duration::ZERO).with_stuck_hook(note_the_wait).with_tombstones(50);

fn note_the_wait(stuck: &Stuck) -> OnStuck {
    WAITS.fetch_add(1, Relaxed);
    eprintln!("{stuck}");
    OnStuck::GiveUp
}

thread_local! {
    static STATE: Cell<u64> = const { Cell::new(0) };
    static NESTED: Cell<u32> = const { Cell::new(0) };
    static REGISTERED: Cell<u64> = const { Cell::new(0) };
    static KNOWN: RefCell<Vec<Handle>> = const { RefCell::new(Vec::new()) };
    static OWNED: RefCell<Vec<CallbackRegistration<'static>>> = const { RefCell::new(Vec::new()) };
}

/// A number below `end`, by xorshift.
fn random(end: u64) -> u64 {
    let mut state = STATE.get();
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    STATE.set(state);
    state % end
}

/// A handle of the newest sixty, or of any.
fn some_handle() -> Handle {
    KNOWN.with_borrow(|known| match known.len() as u64 {
        0 => Handle::NULL,
        all if random(8) == 0 => known[random(all) as usize],
        all => known[(all - 1 - random(all.min(60))) as usize],
    })
}

/// Takes a registration out of those that are owned. The list is not borrowed while the registration is dropped.
fn some_registration() -> Option<CallbackRegistration<'static>> {
    OWNED.with_borrow_mut(|owned| {
        let all = owned.len() as u64;
        (all > 0).then(|| owned.swap_remove(random(all) as usize))
    })
}

/// Acts when it is dropped, and before that drops what it owns.
struct Acts {
    _owned: RefCell<Vec<CallbackRegistration<'static>>>,
}

// SAFETY: this test has one thread, and its registry has no callbacks of other tests.
unsafe impl Sync for Acts {}

impl Drop for Acts {
    fn drop(&mut self) {
        act();
    }
}

fn register() {
    REGISTERED.set(REGISTERED.get() + 1);
    let owned = (0..random(3)).filter_map(|_| some_registration()).collect();
    let acts = Acts { _owned: RefCell::new(owned) };
    let builder = REGISTRY.builder();
    let builder = if random(4) == 0 { builder.destroy_notify(act) } else { builder };
    let registration = builder.register(Box::new(move || {
        let _owned = &acts;
        act();
    }));
    KNOWN.with_borrow_mut(|known| known.push(registration.handle()));
    if random(2) == 0 {
        OWNED.with_borrow_mut(|owned| owned.push(registration));
    } else {
        let _ = registration.leak();
    }
}

/// One or two random verbs, unless this is nested too deep.
fn act() {
    if NESTED.get() >= DEPTH {
        return;
    }
    NESTED.set(NESTED.get() + 1);
    for _ in 0..=random(2) {
        let handle = some_handle();
        match random(16) {
            0..=3 => register(),
            4..=6 => _ = call(&REGISTRY, handle),
            7 => _ = REGISTRY.revoke(handle),
            8 => _ = REGISTRY.revoke_and_wait(handle),
            9..=11 => _ = REGISTRY.revoke_deferred(handle),
            12 => _ = REGISTRY.reclaim(),
            13 => _ = REGISTRY.revoke_then(handle, act),
            14 if random(20) == 0 => _ = REGISTRY.barrier(),
            14 => drop(some_registration()),
            _ => some_registration().into_iter().for_each(|it| it.revoke_deferred()),
        }
    }
    NESTED.set(NESTED.get() - 1);
}

#[test]
fn random_verbs_inside_of_callbacks_and_destructors_never_wait_for_themselves() {
    STATE.set(0x9e37_79b9_7f4a_7c15);
    while REGISTERED.get() < REGISTRATIONS {
        register();
        act();
    }
    // The end: nothing registers any more, and everything ends.
    NESTED.set(DEPTH);
    while let Some(registration) = some_registration() {
        drop(registration);
    }
    for handle in KNOWN.take() {
        let _ = REGISTRY.revoke_deferred(handle);
    }
    REGISTRY.reclaim();
    let stats = REGISTRY.stats();
    assert_eq!(WAITS.load(Relaxed), 0, "a thread waited for itself");
    assert_eq!((stats.registered, stats.live, stats.revoking), (REGISTERED.get(), 0, 0), "{stats:?}");
}

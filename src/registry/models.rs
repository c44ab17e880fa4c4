//! Every interleaving of a few threads, over loom; and the same with one rule taken away, which must be convicted.
//!
//! Part of the copy of the registry that is compiled over loom (`crate::loomed`), explored by the search that also explores C
//! code (`crate::model`). Searches are exhaustive, but for those whose name ends in `bounded`, which are limited to three
//! preemptions an interleaving. Each prints how many interleavings it explored (`cargo test --lib models -- --nocapture`) and
//! fails on fewer than two.
//!
//! What loom sees: every access to a slot's word, closure and chunk, to the threads' records and their list, the fences, the
//! lock and the condition variable, and what the closures here touch. The light and the heavy fence are the pair of full
//! fences that they amount to (`fence.rs`). What it does not see: statistics, marks, which are under the lock, and the
//! process-wide ids. It treats SeqCst accesses as AcqRel; where the registry relies on one (`record::sole`) a full fence stands
//! for it here. Fences of loom order more than the language promises (all before with all after), which errs towards
//! missing: the mutations below show what is found all the same. Unwinding is not explored: loom's threads share one real thread, and with it the fact of
//! panicking, so calls that unwind are tested over std (`tests/registry/panic.rs`).

use super::registry::{Handle, Mutation, Quiescence, Reason, Registry, Revoked, Shortage, leave_thread};
use super::sync::thread::{JoinHandle, spawn};
use super::sync::{Counter, Ordering, UnsafeCell};
use crate::again::alone;
use latecall_explore::{Bound, Exploration, Extent, Options, Repeats};
// Not loom's: every thread is joined before the model ends, so the last owner is the model's first thread, and a
// conviction that unwinds may drop the others' shares outside the model.
use crate::sync::Arc;
use std::mem::ManuallyDrop;

#[path = "models_endings.rs"]
mod endings;

type Callbacks = Registry<dyn Fn(&Shared) -> u32 + Send + Sync>;

/// What the threads of a model share.
struct Shared {
    /// Dropped like any field, unless a conviction is unwinding: the model is over then, and its objects with it.
    registry: ManuallyDrop<Callbacks>,
    /// Written by closures' destructors, once each; read by whoever was promised that they are over.
    graves: [UnsafeCell<u32>; 3],
    /// The handle that callbacks use to refer to themselves; set before the threads start.
    target: Counter,
}

// SAFETY: that the cells are not accessed by two threads at a time is what the models check: loom fails on one that is.
unsafe impl Sync for Shared {}
// SAFETY: nothing in it belongs to a thread.
unsafe impl Send for Shared {}

impl Drop for Shared {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            // SAFETY: the field is not used after this.
            unsafe { ManuallyDrop::drop(&mut self.registry) };
        }
    }
}

impl Shared {
    fn new(registry: Callbacks) -> Arc<Self> {
        Arc::new(Self {
            registry: ManuallyDrop::new(registry),
            graves: std::array::from_fn(|_| UnsafeCell::new(0)),
            target: Counter::new(0),
        })
    }

    /// How many closures that used `grave` have been dropped. A race with a destructor is a failure of the model.
    fn dropped(&self, grave: usize) -> u32 {
        self.graves[grave].with(|dropped| {
            // SAFETY: loom fails the model if somebody writes meanwhile.
            unsafe { *dropped }
        })
    }

    fn bury(&self, grave: usize) {
        self.graves[grave].with_mut(|dropped| {
            // SAFETY: loom fails the model if anybody else accesses it meanwhile.
            unsafe { *dropped += 1 };
        });
    }

    /// A call by C with `handle`.
    fn call(&self, handle: Handle) -> Result<u32, Reason> {
        self.registry.call(handle.as_ptr(), |f| f(self)).map_err(|late| late.reason())
    }

    fn register(&self, name: u32, grave: usize, act: fn(&Shared)) -> Handle {
        let handle = self.registry.register(Witness::callback(self, name, grave, act)).leak();
        // Relaxed: set before the threads start.
        self.target.store(handle.bits() as u64, Ordering::Relaxed);
        handle
    }

    fn target(&self) -> Handle {
        // Relaxed: set before the threads start.
        Handle::from_bits(self.target.load(Ordering::Relaxed) as usize)
    }
}

/// What a callback closes over: it reads its own memory when it runs, and writes it, and a grave, when it is dropped.
struct Witness {
    name: UnsafeCell<u32>,
    grave: usize,
    // Not counted by the shared state itself, which owns the registry that owns this.
    shared: *const Shared,
}

// SAFETY: as for `Shared`: loom checks the cell, and the pointer's target outlives the registry inside it.
unsafe impl Sync for Witness {}
// SAFETY: nothing in it belongs to a thread.
unsafe impl Send for Witness {}

impl Witness {
    fn callback(
        shared: &Shared,
        name: u32,
        grave: usize,
        act: fn(&Shared),
    ) -> Box<dyn Fn(&Shared) -> u32 + Send + Sync> {
        let witness = Self { name: UnsafeCell::new(name), grave, shared: &raw const *shared };
        Box::new(move |shared| {
            let read = || {
                witness.name.with(|name| {
                    // SAFETY: loom fails the model if the destructor runs meanwhile.
                    unsafe { *name }
                })
            };
            let before = read();
            act(shared);
            assert_eq!(read(), before, "the closure's memory changed while it ran");
            before
        })
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return; // As for `Shared`.
        }
        self.name.with_mut(|name| {
            // SAFETY: loom fails the model if a call reads it meanwhile.
            unsafe { *name = u32::MAX };
        });
        // SAFETY: the registry that owns this closure is inside what the pointer points to.
        let shared = unsafe { &*self.shared };
        shared.bury(self.grave);
    }
}

fn nothing(_: &Shared) {}

/// One thread that calls `handle` once.
fn caller(shared: &Arc<Shared>, handle: Handle) -> JoinHandle<Result<u32, Reason>> {
    let shared = Arc::clone(shared);
    spawn(move || shared.call(handle))
}

/// Interleavings that repeat others are left: all that threads share here goes through the seam.
fn search(name: &str, preemptions: Option<usize>, model: impl Fn() + Send + Sync + 'static) -> Exploration {
    let options = Options::new().max_branches(20_000).repeats(Repeats::Pruned);
    let options = preemptions.into_iter().fold(options, Options::preemptions);
    let found = latecall_explore::explore(name, &options, model);
    println!("{found}");
    found
}

/// In a process of its own: they take long, and a process searches one thing at a time.
fn explore<M: Fn() + Send + Sync + Copy + 'static>(name: &str, preemptions: Option<usize>, model: M) {
    alone(&model, || {
        let found = search(name, preemptions, model);
        let extent = match preemptions {
            None => Extent::Exhausted,
            Some(bound) => Extent::BoundedBy(Bound::Preemptions(bound)),
        };
        assert_eq!(found.extent, extent, "{found}");
        assert!(found.interleavings > 1, "{found}: that is no search");
    });
}

/// Runs a search that has to fail, with one of these words in the message.
fn convict(name: &str, preemptions: Option<usize>, model: fn(), because: &[&str]) {
    let found = search(name, preemptions, model);
    let Some(finding) = &found.finding else { panic!("{found}: not convicted") };
    let message = finding.to_string().to_lowercase();
    assert!(
        because.iter().any(|word| message.contains(&word.to_lowercase())),
        "{name}: convicted, but because: {message}"
    );
}

/// S20: either nobody was inside, or the call that was is counted; the closure is dropped once, and later calls are late.
fn call_against_revoke(registry: Callbacks) {
    let shared = Shared::new(registry);
    let handle = shared.register(7, 0, nothing);
    let thread = caller(&shared, handle);
    let revoked = shared.registry.revoke(handle).unwrap();
    if revoked == Revoked::Removed {
        assert_eq!(shared.dropped(0), 1, "removed: dropped before revoke returned");
    }
    let called = thread.join().unwrap();
    match (revoked, called) {
        (Revoked::InFlight(1), Ok(7)) | (Revoked::Removed, Ok(7) | Err(Reason::Stale)) => {}
        other => panic!("{other:?}"),
    }
    assert_eq!(shared.dropped(0), 1);
    assert_eq!(shared.call(handle), Err(Reason::Stale));
    assert_eq!(shared.registry.revoke(handle), Ok(Revoked::AlreadyRevoked));
}

#[test]
fn call_races_revoke() {
    explore("call_races_revoke", None, || call_against_revoke(Registry::new()));
}

/// The same by the long way, which a registry with a limit has every call take.
#[test]
fn call_by_the_long_way_races_revoke() {
    explore("call_by_the_long_way_races_revoke", None, || call_against_revoke(Registry::new().with_in_flight_limit(9)));
}

/// Deferred: nothing is dropped before somebody reclaims; a call that runs keeps its closure, and drops it if it is counted.
fn call_against_deferred(registry: Callbacks) {
    let shared = Shared::new(registry);
    let handle = shared.register(7, 0, nothing);
    let thread = caller(&shared, handle);
    assert_eq!(shared.registry.revoke_deferred(handle), Ok(true));
    let dropped = shared.registry.reclaim();
    if dropped == 1 {
        assert_eq!(shared.dropped(0), 1, "reclaimed: dropped before reclaim returned");
    }
    let called = thread.join().unwrap();
    assert!(matches!(called, Ok(7) | Err(Reason::Stale | Reason::Revoking)), "{called:?}");
    assert!(dropped == 1 || called == Ok(7), "neither dropped nor in use");
    assert_eq!(shared.dropped(0), 1);
    assert_eq!(shared.call(handle), Err(Reason::Stale));
}

#[test]
fn call_races_deferred_revoke() {
    explore("call_races_deferred_revoke", None, || call_against_deferred(Registry::new()));
}

/// Two threads revoke and reclaim, one deferred and one at once, while a third calls both callbacks.
#[test]
fn two_reclaimers_race_a_call_bounded() {
    explore("two_reclaimers_race_a_call_bounded", Some(2), || {
        let shared = Shared::new(Registry::new());
        let (one, two) = (shared.register(1, 0, nothing), shared.register(2, 1, nothing));
        let call = {
            let shared = Arc::clone(&shared);
            spawn(move || (shared.call(one), shared.call(two)))
        };
        let other = {
            let shared = Arc::clone(&shared);
            spawn(move || {
                assert_eq!(shared.registry.revoke_deferred(one), Ok(true));
                shared.registry.reclaim();
            })
        };
        assert_eq!(shared.registry.revoke_and_wait(two), Ok(Quiescence::Quiescent));
        assert_eq!(shared.dropped(1), 1);
        other.join().unwrap();
        assert_eq!(shared.registry.revoke_and_wait(one), Ok(Quiescence::Quiescent));
        assert_eq!(shared.dropped(0), 1);
        let _ = call.join().unwrap();
    });
}

/// A thread leaves and another gets its record: what the first one did is seen, and nothing of it is taken for the second's.
#[test]
fn a_reused_record_races_revoke() {
    explore("a_reused_record_races_revoke", None, || {
        let shared = Shared::new(Registry::new());
        let handle = shared.register(7, 0, nothing);
        let thread = {
            let shared = Arc::clone(&shared);
            spawn(move || {
                let first = shared.call(handle);
                leave_thread();
                (first, shared.call(handle))
            })
        };
        assert_eq!(shared.registry.revoke_and_wait(handle), Ok(Quiescence::Quiescent));
        assert_eq!(shared.dropped(0), 1);
        let (first, second) = thread.join().unwrap();
        assert!(first.is_ok() || second.is_err(), "{first:?} and then {second:?}");
    });
}

/// S18: when revoke_and_wait returns the closure is dropped and nothing runs, whatever the caller was doing.
fn call_against_wait(registry: Callbacks) {
    let shared = Shared::new(registry);
    let handle = shared.register(7, 0, nothing);
    let thread = caller(&shared, handle);
    assert_eq!(shared.registry.revoke_and_wait(handle), Ok(Quiescence::Quiescent));
    assert_eq!(shared.dropped(0), 1, "quiescent: dropped before revoke_and_wait returned");
    let called = thread.join().unwrap();
    assert!(matches!(called, Ok(7) | Err(Reason::Stale | Reason::Revoking)), "{called:?}");
    assert_eq!(shared.dropped(0), 1);
}

#[test]
fn call_races_revoke_and_wait() {
    explore("call_races_revoke_and_wait", None, || call_against_wait(Registry::new()));
}

/// S24: two calls, one waiter.
#[test]
fn two_calls_race_revoke_and_wait_bounded() {
    explore("two_calls_race_revoke_and_wait_bounded", Some(3), || {
        let shared = Shared::new(Registry::new());
        let handle = shared.register(7, 0, nothing);
        let threads = [caller(&shared, handle), caller(&shared, handle)];
        assert_eq!(shared.registry.revoke_and_wait(handle), Ok(Quiescence::Quiescent));
        assert_eq!(shared.dropped(0), 1);
        for thread in threads {
            let called = thread.join().unwrap();
            assert!(matches!(called, Ok(7) | Err(Reason::Stale | Reason::Revoking)), "{called:?}");
        }
    });
}

/// S26: of two revokers exactly one did it.
#[test]
fn two_revokers_race_a_call() {
    explore("two_revokers_race_a_call", None, || {
        let shared = Shared::new(Registry::new());
        let handle = shared.register(7, 0, nothing);
        let call = caller(&shared, handle);
        let other = {
            let shared = Arc::clone(&shared);
            spawn(move || shared.registry.revoke(handle).unwrap())
        };
        let mine = shared.registry.revoke(handle).unwrap();
        let theirs = other.join().unwrap();
        let second = [mine, theirs].iter().filter(|&&revoked| revoked == Revoked::AlreadyRevoked).count();
        assert_eq!(second, 1, "{mine:?} and {theirs:?}");
        let _ = call.join().unwrap();
        assert_eq!(shared.dropped(0), 1);
    });
}

/// S26: both who wait return after quiescence.
#[test]
fn two_waiters_race_a_call_bounded() {
    explore("two_waiters_race_a_call_bounded", Some(3), || {
        let shared = Shared::new(Registry::new());
        let handle = shared.register(7, 0, nothing);
        let call = caller(&shared, handle);
        let other = {
            let shared = Arc::clone(&shared);
            spawn(move || {
                assert_eq!(shared.registry.revoke_and_wait(handle), Ok(Quiescence::Quiescent));
                assert_eq!(shared.dropped(0), 1);
            })
        };
        assert_eq!(shared.registry.revoke_and_wait(handle), Ok(Quiescence::Quiescent));
        assert_eq!(shared.dropped(0), 1);
        other.join().unwrap();
        let _ = call.join().unwrap();
    });
}

/// S37, with another caller: a callback that revokes itself and waits goes on using what it owns; and if both callers are
/// inside and wait, neither waits for the other.
fn revokes_itself(shared: &Shared) {
    assert_eq!(shared.registry.revoke_and_wait(shared.target()), Ok(Quiescence::DeferredToOuterFrame));
    assert_eq!(shared.dropped(0), 0, "this frame still uses it");
}

fn self_revoke(registry: Callbacks) {
    let shared = Shared::new(registry);
    let handle = shared.register(7, 0, revokes_itself);
    let thread = caller(&shared, handle);
    let mine = shared.call(handle);
    let theirs = thread.join().unwrap();
    assert!([mine, theirs].contains(&Ok(7)), "{mine:?} and {theirs:?}");
    assert_eq!(shared.dropped(0), 1);
    assert_eq!(shared.call(handle), Err(Reason::Stale));
}

#[test]
fn self_revoke_races_another_call_bounded() {
    explore("self_revoke_races_another_call_bounded", Some(3), || self_revoke(Registry::new()));
}

/// The same with a third thread that waits from outside: it waits for both.
#[test]
fn self_revoke_races_a_waiter_outside() {
    explore("self_revoke_races_a_waiter_outside", None, || {
        let shared = Shared::new(Registry::new());
        let handle = shared.register(7, 0, revokes_itself);
        let thread = caller(&shared, handle);
        assert_eq!(shared.registry.revoke_and_wait(handle), Ok(Quiescence::Quiescent));
        assert_eq!(shared.dropped(0), 1);
        let _ = thread.join().unwrap();
    });
}

/// S43: the innermost of two frames revokes and waits; the outermost drops.
#[test]
fn nested_self_revoke_races_another_call_bounded() {
    fn recurses(shared: &Shared) {
        match shared.call(shared.target()) {
            Ok(7) | Err(Reason::Revoking | Reason::Exhausted) => {}
            other => panic!("{other:?}"),
        }
        revokes_itself(shared);
    }
    explore("nested_self_revoke_races_another_call_bounded", Some(3), || {
        let shared = Shared::new(Registry::new().with_in_flight_limit(3));
        let handle = shared.register(7, 0, recurses);
        let thread = caller(&shared, handle);
        let mine = shared.call(handle);
        let theirs = thread.join().unwrap();
        assert!([mine, theirs].contains(&Ok(7)), "{mine:?} and {theirs:?}");
        assert_eq!(shared.dropped(0), 1);
    });
}

/// S85, S86, S23: two slots with three generations each, no tombstones, and a late call of the first handle while all the
/// others are handed out. It runs the first callback or none.
fn reuse_against_stale_call(registry: Callbacks) {
    let shared = Shared::new(registry);
    let handle = shared.register(1, 0, nothing);
    let thread = caller(&shared, handle);
    assert!(shared.registry.revoke(handle).is_ok());
    let mut issued = vec![handle];
    loop {
        let tenant = 2 + issued.len() as u32;
        let grave = 1 + issued.len() % 2;
        match shared.registry.try_register(Witness::callback(&shared, tenant, grave, nothing)) {
            Ok(registration) => {
                let next = registration.leak();
                assert!(!issued.contains(&next), "{next:?} issued twice");
                issued.push(next);
                assert_eq!(shared.call(next), Ok(tenant));
                assert_eq!(shared.registry.revoke(next), Ok(Revoked::Removed));
            }
            Err(exhausted) => {
                assert_eq!(exhausted.shortage(), Shortage::Slots);
                break;
            }
        }
    }
    let called = thread.join().unwrap();
    assert!(matches!(called, Ok(1) | Err(Reason::Stale | Reason::Revoking)), "{called:?}");
    assert_eq!(shared.dropped(0), 1);
    for handle in issued {
        assert_eq!(shared.call(handle), Err(Reason::Stale));
    }
}

fn tiny() -> Callbacks {
    Registry::new().with_capacity_limit(2).with_generation_bits(2).with_tombstones(0)
}

#[test]
fn reuse_until_retired_races_a_stale_call_bounded() {
    explore("reuse_until_retired_races_a_stale_call_bounded", Some(3), || reuse_against_stale_call(tiny()));
}

/// S23: a made-up handle of the next generation, used while that generation is being registered, finds it whole or not
/// at all.
#[test]
fn call_by_a_guessed_handle_races_register() {
    explore("call_by_a_guessed_handle_races_register", None, || {
        let shared = Shared::new(Registry::new().with_capacity_limit(1).with_tombstones(0));
        let past = shared.register(1, 0, nothing);
        assert_eq!(shared.registry.revoke(past), Ok(Revoked::Removed));
        let guessed = Handle::from_bits(past.bits() + (1 << if cfg!(target_pointer_width = "64") { 24 } else { 14 }));
        let thread = caller(&shared, guessed);
        let next = shared.register(2, 1, nothing);
        assert_eq!(next, guessed);
        let called = thread.join().unwrap();
        assert!(matches!(called, Ok(2) | Err(Reason::Unissued)), "{called:?}");
        assert_eq!(shared.call(past), Err(Reason::Stale));
    });
}

/// S44: the table grows, by a chunk, under a running call, and under a call with a guessed handle into the new chunk.
#[test]
fn growth_races_calls() {
    explore("growth_races_calls", None, || {
        let shared = Shared::new(Registry::new());
        let handle = shared.register(1, 0, nothing);
        let guessed = Handle::from_bits(handle.bits() + 2);
        let thread = {
            let shared = Arc::clone(&shared);
            spawn(move || (shared.call(handle), shared.call(guessed)))
        };
        let others = [2, 3].map(|name| shared.register(name, 1, nothing));
        assert_eq!(others[1], guessed, "the first chunk of a model has two slots");
        assert_eq!(others.map(|other| shared.call(other)), [Ok(2), Ok(3)]);
        let (known, guess) = thread.join().unwrap();
        assert_eq!(known, Ok(1));
        assert!(matches!(guess, Ok(3) | Err(Reason::OutOfRange)), "{guess:?}");
    });
}

#[test]
fn two_threads_register_and_never_share_a_slot() {
    explore("two_threads_register_and_never_share_a_slot", None, || {
        let shared = Shared::new(Registry::new());
        let thread = {
            let shared = Arc::clone(&shared);
            spawn(move || shared.register(1, 0, nothing))
        };
        let mine = shared.register(2, 1, nothing);
        let theirs = thread.join().unwrap();
        assert_ne!(mine, theirs);
        assert_eq!((shared.call(mine), shared.call(theirs)), (Ok(2), Ok(1)));
    });
}

/// Each rule taken away.
#[path = "convictions.rs"]
mod convictions;

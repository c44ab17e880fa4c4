//! Models: every interleaving of a few threads, over loom; and the same with one rule removed, which the search must
//! convict.
//!
//! Part of the copy of the registry that is compiled over loom (`crate::loomed`), explored by the search that also
//! explores C code (`latecall-explore`). This file has what the models share; `models_calls.rs`, `models_waits.rs`,
//! `models_slots.rs` and `models_endings.rs` have the models, and `convictions.rs` runs them with a `Mutation`.
//!
//! Searches are exhaustive, except those whose name ends in `bounded`, which are limited to two or three preemptions in
//! an interleaving. Each prints how many interleavings it explored (`cargo test --lib models -- --nocapture`) and fails
//! if there are fewer than two.
//!
//! loom sees
//!
//! * every access to a slot's word, closure and chunk, and to the threads' records and their list;
//! * the fences, the lock and the condition variable;
//! * what the closures of the models touch.
//!
//! The light and the heavy fence are two full fences here (`fence.rs`). What loom does not see or gets different:
//!
//! * Statistics and the process-wide ids are not modelled. Neither are marks, which are only accessed under the lock.
//! * loom treats SeqCst accesses as AcqRel. Where the registry relies on one (`record::sole`) the model has a full
//!   fence.
//! * Fences of loom order more than the language promises: everything before with everything after. A model can
//!   therefore miss an error; the convictions show which errors it finds all the same.
//! * Unwinding is not explored, because loom's threads share one real thread and its panicking state. Calls that unwind
//!   are tested over std (`tests/registry/panic.rs`).

use super::registry::{Handle, Mutation, Quiescence, Reason, Registry, Revoked, Shortage, leave_thread};
use super::sync::thread::{JoinHandle, spawn};
use super::sync::{Counter, Ordering, UnsafeCell};
use latecall_explore::{Bound, Exploration, Extent, Options, Repeats};
// Not loom's `Arc`. Every thread is joined before the model ends, so the model's first thread drops the last share.
// When a conviction unwinds, the other shares may be dropped outside the model, where loom's `Arc` panics.
use crate::subprocess::isolated;
use crate::sync::Arc;
use std::mem::ManuallyDrop;

#[path = "models_calls.rs"]
mod calls;
/// Each rule removed.
#[path = "convictions.rs"]
mod convictions;
#[path = "models_endings.rs"]
mod endings;
#[path = "models_slots.rs"]
mod slots;
#[path = "models_waits.rs"]
mod waits;

use calls::{call_against_deferred, call_against_revoke};
use slots::{reuse_against_stale_call, tiny};
use waits::{call_against_wait, self_revoke};

type Callbacks = Registry<dyn Fn(&Shared) -> u32 + Send + Sync>;

/// What the threads of a model share.
struct Shared {
    /// Dropped by `Drop`, unless a conviction unwinds: then loom's objects do not exist any more.
    registry: ManuallyDrop<Callbacks>,
    /// Written by closures' destructors; read by threads to which the registry has promised that the closure was
    /// dropped.
    drop_counts: [UnsafeCell<u32>; 3],
    /// The handle with which callbacks refer to themselves; set before the threads start.
    target: Counter,
}

// SAFETY: the cells are loom's, which fails the model when two threads access one of them at a time.
unsafe impl Sync for Shared {}
// SAFETY: no field belongs to one thread.
unsafe impl Send for Shared {}

impl Drop for Shared {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            // SAFETY: this is the destructor, so the field is dropped once and not used afterwards.
            unsafe { ManuallyDrop::drop(&mut self.registry) };
        }
    }
}

impl Shared {
    fn new(registry: Callbacks) -> Arc<Self> {
        Arc::new(Self {
            registry: ManuallyDrop::new(registry),
            drop_counts: std::array::from_fn(|_| UnsafeCell::new(0)),
            target: Counter::new(0),
        })
    }

    /// How many closures that use this counter have been dropped. The model fails if this races a destructor.
    fn dropped(&self, counter: usize) -> u32 {
        self.drop_counts[counter].with(|dropped| {
            // SAFETY: loom fails the model if another thread writes meanwhile.
            unsafe { *dropped }
        })
    }

    fn count_drop(&self, counter: usize) {
        self.drop_counts[counter].with_mut(|dropped| {
            // SAFETY: loom fails the model if another thread accesses it meanwhile.
            unsafe { *dropped += 1 };
        });
    }

    /// A call by C with `handle`.
    fn call(&self, handle: Handle) -> Result<u32, Reason> {
        self.registry.call(handle.as_ptr(), |f| f(self)).map_err(|late| late.reason())
    }

    fn register(&self, name: u32, counter: usize, act: fn(&Shared)) -> Handle {
        let handle = self.registry.register(Witness::callback(self, name, counter, act)).leak();
        // Relaxed: set before the threads start.
        self.target.store(handle.bits() as u64, Ordering::Relaxed);
        handle
    }

    fn target(&self) -> Handle {
        // Relaxed: set before the threads start.
        Handle::from_bits(self.target.load(Ordering::Relaxed) as usize)
    }
}

/// What a callback closes over. The callback reads this memory when it runs. The destructor writes it, and a drop
/// counter.
struct Witness {
    name: UnsafeCell<u32>,
    counter: usize,
    // Not an `Arc`: the shared state owns the registry, which owns this.
    shared: *const Shared,
}

// SAFETY: the cell is loom's, which fails the model if two threads access it at the same time. The target of the
// pointer is `Sync`. It contains the registry that owns this `Witness`, so it outlives the `Witness`.
unsafe impl Sync for Witness {}
// SAFETY: no field belongs to one thread, and the target of the pointer is `Sync`.
unsafe impl Send for Witness {}

impl Witness {
    fn callback(
        shared: &Shared,
        name: u32,
        counter: usize,
        act: fn(&Shared),
    ) -> Box<dyn Fn(&Shared) -> u32 + Send + Sync> {
        let witness = Self { name: UnsafeCell::new(name), counter, shared: &raw const *shared };
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
            return; // A conviction unwinds, and loom's objects do not exist any more.
        }
        self.name.with_mut(|name| {
            // SAFETY: loom fails the model if a call reads it meanwhile.
            unsafe { *name = u32::MAX };
        });
        // SAFETY: the registry that owns this closure is a field of the pointer's target, so the target exists.
        let shared = unsafe { &*self.shared };
        shared.count_drop(self.counter);
    }
}

fn nothing(_: &Shared) {}

/// One thread that calls `handle` once.
fn caller(shared: &Arc<Shared>, handle: Handle) -> JoinHandle<Result<u32, Reason>> {
    let shared = Arc::clone(shared);
    spawn(move || shared.call(handle))
}

/// Redundant interleavings are pruned: everything that the threads share goes through `crate::sync`.
fn search(name: &str, preemptions: Option<usize>, model: impl Fn() + Send + Sync + 'static) -> Exploration {
    let options = Options::new().max_branches(20_000).repeats(Repeats::Pruned);
    let options = preemptions.into_iter().fold(options, Options::preemptions);
    let found = latecall_explore::explore(name, &options, model);
    println!("{found}");
    found
}

/// Explores in a process of its own, because searches take long and a process makes one search at a time.
fn explore<M: Fn() + Send + Sync + Copy + 'static>(name: &str, preemptions: Option<usize>, model: M) {
    isolated(&model, || {
        let found = search(name, preemptions, model);
        let extent = match preemptions {
            None => Extent::Exhausted,
            Some(bound) => Extent::BoundedBy(Bound::Preemptions(bound)),
        };
        assert_eq!(found.extent, extent, "{found}");
        assert!(found.interleavings > 1, "{found}: expected more than one interleaving");
    });
}

/// Runs a search that has to fail, with one of the words `because` in its message.
fn convict(name: &str, preemptions: Option<usize>, model: fn(), because: &[&str]) {
    let found = search(name, preemptions, model);
    let Some(finding) = &found.finding else { panic!("{found}: expected a conviction") };
    let message = finding.to_string().to_lowercase();
    assert!(
        because.iter().any(|word| message.contains(&word.to_lowercase())),
        "{name}: convicted for another reason than {because:?}: {message}"
    );
}

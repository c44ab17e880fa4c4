//! What production code uses: callbacks that a C library may keep for ever, and call when it likes.
//!
//! A [`Registry`] owns closures. C gets a [`Handle`], an integer, as its `void *user_data`. One static trampoline per
//! C signature asks the registry for the closure behind it:
//!
//! ```
//! use latecall::registry::Registry;
//! use std::ffi::c_void;
//!
//! static EVENTS: Registry<dyn Fn(u64) + Send + Sync> = Registry::new();
//!
//! extern "C" fn on_event(event: u64, user_data: *mut c_void) {
//!     if let Err(late) = EVENTS.call(user_data, |f| f(event)) {
//!         eprintln!("{late}"); // who registered and revoked it, and where
//!     }
//! }
//!
//! let registration = EVENTS.builder().label("my events").register(Box::new(|event| println!("{event}")));
//! let user_data = registration.handle().as_ptr();
//! on_event(1, user_data); // runs the closure
//! drop(registration); // waits for running calls, then drops the closure
//! on_event(2, user_data); // late: reported, and nothing else happens
//! ```
//!
//! # The contract
//!
//! 1. A closure runs only between its registration and the moment it is revoked; a call that began before that moment
//!    finishes, and the closure is not dropped under it.
//! 2. Any value may be passed as `user_data`, at any time. Nothing is read through it, and no handle ever comes to name
//!    another callback than the one it was issued for: generations do not wrap, and a slot whose generations are used
//!    up is retired (S85, S86).
//! 3. [`revoke`](Registration::revoke) never waits. [`revoke_and_wait`](Registration::revoke_and_wait), and dropping a
//!    [`Registration`], wait for calls of that callback on other threads, and for nothing else. Its answer says
//!    whether the closure has been dropped.
//! 4. Every closure is dropped exactly once, by one thread, with no lock held: by the last call to leave, or by who
//!    revoked it if none was running, or with the registry ([`Close::Leave`] alone drops nothing). It may register, revoke, call, or ask for its own
//!    quiescence while it is dropped (S14, S46).
//! 5. No lock is held while a closure, a destructor or a hook runs, and a call takes no lock unless its callback is
//!    being revoked at that moment, or the registry has a limit of calls in flight.
//! 6. Slots stay where they are as long as the registry lives. A registry whose handles were given to C has to live as
//!    long as C may call: make it a `static`.
//!
//! # How the parts fit
//!
//! `handle` packs the integer and `ids` tells registries apart. `slot` is the word that admits one handle, and the closure,
//! which `stored` keeps; `table` keeps slots at fixed addresses. `record` is where each thread's calls stand, `fence` what makes
//! the two sides see each other, `frame` what a thread is inside of beyond its record, `fork` what a child forgets, `ended`
//! a thread that is gone while it was inside; `announced` finds the registry for these two. `bookkeeping` is
//! what is written under the one lock: vacant slots, who registered and revoked what, tombstones, waiters. `register`, `call`,
//! `revoke` and `deferred` are the verbs on top of these; `wait` knows how long to wait for others, and `stuck` when that
//! would be for ever. `completion` tells that a registration is over, `close` ends them all, `outstanding` lists them.
//! `error` and `report` explain refusals, with `clock` and `thread`; `policy` says what else a late call causes. `layered` is
//! the door for `crate::signature`. `module` keeps the code of trampolines where it is. `stall` lets tests force an order.
//!
//! All threads, locks and atomics come from `super::sync`, and the same sources are compiled a second time over loom,
//! where `models` explores them; `mutation` takes rules away there, to show that the models would notice. All `unsafe` accesses
//! to closures go through that seam's `UnsafeCell`, so the models see each of them.

mod announced;
mod bookkeeping;
mod call;
mod clock;
mod close;
mod completion;
mod deferred;
mod ended;
mod error;
mod fence;
mod fork;
mod frame;
mod handle;
mod ids;
mod layered;
mod module;
mod mutation;
mod outstanding;
mod policy;
mod record;
mod register;
mod registration;
mod report;
mod revoke;
mod slot;
mod stall;
mod stats;
mod stored;
mod stuck;
mod table;
mod thread;
mod wait;

#[doc(hidden)]
pub use announced::Place;
pub use close::Close;
pub use completion::Completion;
pub use error::{Exhausted, LateCall, Reason, Rejected, Shortage};
pub use handle::Handle;
pub use outstanding::Outstanding;
pub use policy::LatePolicy;
pub use register::Builder;
pub use registration::Registration;
pub use report::{LateReport, Provenance};
pub use revoke::{Quiescence, Revoked, Status};
#[doc(hidden)]
pub use stall::StallSite;
pub use stats::{LateCounts, Stats};
pub use stuck::{OnStuck, Stuck};
pub use thread::ThreadTag;

use super::sync;
use bookkeeping::Bookkeeping;
use completion::DestroyNotifies;
use error::Refused;
use handle::Layout;
pub(crate) use mutation::Mutation;
use outstanding::Callers;
use policy::OwnPolicies;
#[cfg(test)]
#[allow(unused_imports, reason = "used by the models of the copy over loom")]
pub(crate) use record::leave_thread;
use slot::Word;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::Duration;
use sync::{AtomicBool, AtomicU32, Condvar, Counter, Mutex, Ordering, const_fn, lock};
use table::Table;

/// Owns callbacks of one type and finds them by [`Handle`]. See the [module](self) for the contract.
///
/// `F` is usually a `dyn Fn` type. To be shared between threads, as a `static` must be, it has to be `Send + Sync`: any
/// thread may run it, several at a time, and any may be the last to use it and drop it.
///
/// Dropping a registry needs exclusive access, so nothing is running; it drops the closures that remain. Handles that
/// it issued mean nothing to any other registry, also one created later.
pub struct Registry<F: ?Sized> {
    core: Core,
    table: Table<F>,
}

/// What does not depend on the type of the callbacks.
struct Core {
    settings: Settings,
    callback_type: fn() -> &'static str,
    /// Where it is, if it is known to stay there.
    place: Option<fn() -> Place>,
    /// 0 until the first registration.
    id: AtomicU32,
    first_generation: AtomicU32,
    bookkeeping: Mutex<Bookkeeping>,
    /// Told when a wait may be over; goes with `bookkeeping`.
    changed: Condvar,
    late_calls: [Counter; Reason::COUNT],
    own_policies: OwnPolicies,
    /// Closures are not dropped any more; see `close`. Not modelled, as is the end of a process.
    leak_closures: AtomicBool,
    destroy_notifies: DestroyNotifies,
    callers: Callers,
    panics: Counter,
    swallowed_panics: Counter,
}

#[derive(Clone, Copy)]
struct Settings {
    name: Option<&'static str>,
    late_policy: LatePolicy,
    stuck_hook: Option<fn(&Stuck) -> OnStuck>,
    wait_limit: Duration,
    name_callers: bool,
    pin: bool,
    stall_hook: Option<fn(StallSite)>,
    tombstones: usize,
    capacity_limit: usize,
    generation_bits: u32,
    in_flight_limit: u32,
    #[cfg(test)]
    mutation: Option<Mutation>,
}

/// Has callers execute full fences, for the whole process and for good, instead of relying on Linux's `membarrier`.
///
/// A call costs some 40 ns more then. Needed only where `membarrier` works when the first callback is called and is
/// refused later, because a seccomp filter is installed in between: revoking then ends the process, since it could not be
/// done safely. Where it is missing or refused from the start this is what happens anyway, and on other systems too.
///
/// Answers whether it is so. False: a callback has been called before, by any registry of this process; nothing was
/// changed.
///
/// ```
/// assert!(latecall::registry::use_portable_fences());
/// ```
#[must_use = "false means that nothing was changed"]
pub fn use_portable_fences() -> bool {
    fence::use_portable()
}

impl Settings {
    /// Whether every call has to take the long way.
    const fn is_watched(&self) -> bool {
        self.stall_hook.is_some() || self.in_flight_limit != u32::MAX || self.name_callers
    }
}

impl<F: ?Sized> Registry<F> {
    const_fn! {
        /// An empty registry: 1000 tombstones, as many slots, generations and running calls as a handle and a count can
        /// express, no hook, no name. Allocates nothing.
        ///
        /// ```
        /// use latecall::registry::Registry;
        /// static R: Registry<dyn Fn(u64) + Send + Sync> = Registry::new();
        /// ```
        #[must_use]
        pub const fn new() -> Self {
            Self {
                core: Core {
                    settings: Settings {
                        name: None,
                        late_policy: LatePolicy::Count,
                        stuck_hook: None,
                        wait_limit: Duration::from_secs(10),
                        name_callers: false,
                        pin: true,
                        stall_hook: None,
                        tombstones: 1000,
                        capacity_limit: usize::MAX,
                        generation_bits: Layout::HERE.generation_bits,
                        in_flight_limit: u32::MAX,
                        #[cfg(test)]
                        mutation: None,
                    },
                    callback_type: std::any::type_name::<F>,
                    place: None,
                    id: AtomicU32::new(0),
                    first_generation: AtomicU32::new(1),
                    bookkeeping: Mutex::new(Bookkeeping::new()),
                    changed: Condvar::new(),
                    late_calls: [const { Counter::new(0) }; Reason::COUNT],
                    own_policies: OwnPolicies::new(),
                    leak_closures: AtomicBool::new(false),
                    destroy_notifies: DestroyNotifies::new(),
                    callers: Callers::new(),
                    panics: Counter::new(0),
                    swallowed_panics: Counter::new(0),
                },
                table: Table::new(),
            }
        }
    }

    /// Names the registry in reports.
    #[must_use]
    pub const fn with_name(mut self, name: &'static str) -> Self {
        self.core.settings.name = Some(name);
        self
    }

    /// How many tombstones to keep: ended registrations whose slots rest, and whose label and places late-call reports
    /// can still give (S84). 0 or more; the default is 1000. Older ones are flushed first, and sooner if slots run out.
    /// That a late call is *detected* does not depend on this: generations see to it.
    #[must_use]
    pub const fn with_tombstones(mut self, count: usize) -> Self {
        self.core.settings.tombstones = count;
        self
    }

    /// How many slots there may be, at least 1: the number of callbacks registered at a time. More than an index can
    /// name (2^24; 2^14 on 32-bit targets) is the same as no limit.
    ///
    /// # Panics
    /// If `slots` is 0; in a `static`, that is a compile error.
    #[must_use]
    pub const fn with_capacity_limit(mut self, slots: usize) -> Self {
        assert!(slots > 0, "a registry needs at least one slot");
        self.core.settings.capacity_limit = slots;
        self
    }

    /// How many bits of generation to use: a slot has 2^`bits` − 1 tenants and then retires (S86). Fewer than the
    /// default (28; 12 on 32-bit targets) make sense in tests and models only.
    ///
    /// # Panics
    /// If `bits` is 0 or more than the default; in a `static`, that is a compile error.
    #[must_use]
    pub const fn with_generation_bits(mut self, bits: u32) -> Self {
        assert!(bits > 0 && bits <= Layout::HERE.generation_bits, "bits of generation: 1 up to the default");
        self.core.settings.generation_bits = bits;
        self
    }

    /// How many calls may be inside one callback at a time; one more is refused with [`Reason::Exhausted`] (S87).
    /// 1 up to `u32::MAX`, the default, which is no limit. With any other, calls are counted, under the registry's lock, and are
    /// slower for it.
    ///
    /// # Panics
    /// If `calls` is 0; in a `static`, that is a compile error.
    #[must_use]
    pub const fn with_in_flight_limit(mut self, calls: u32) -> Self {
        assert!(calls > 0, "a callback that nobody may call");
        self.core.settings.in_flight_limit = calls;
        self
    }

    /// What to do about a wait that never ends or has lasted for long, told on the thread that waits, with no lock held.
    /// Without a hook both are printed on standard error; a wait that never ends is then given up, and a long one goes
    /// on (S40, S41, S42).
    ///
    /// ```
    /// use latecall::registry::{OnStuck, Registry, Stuck};
    /// fn report(stuck: &Stuck) -> OnStuck {
    ///     eprintln!("{stuck}"); // the callback, where it was registered and revoked, the threads
    ///     if stuck.is_deadlock() { OnStuck::GiveUp } else { OnStuck::Wait }
    /// }
    /// static R: Registry<dyn Fn() + Send + Sync> = Registry::new().with_stuck_hook(report);
    /// # drop(R.register(Box::new(|| ())));
    /// ```
    #[must_use]
    pub const fn with_stuck_hook(mut self, hook: fn(&Stuck) -> OnStuck) -> Self {
        self.core.settings.stuck_hook = Some(hook);
        self
    }

    /// How long a wait may last before it is reported as long; the default is 10 s. Once for each wait.
    ///
    /// ```
    /// use latecall::registry::Registry;
    /// use std::time::Duration;
    /// static R: Registry<dyn Fn() + Send + Sync> =
    ///     Registry::new().with_wait_limit(Duration::from_secs(1)).with_named_callers();
    /// # drop(R.register(Box::new(|| ())));
    /// ```
    #[must_use]
    pub const fn with_wait_limit(mut self, limit: Duration) -> Self {
        self.core.settings.wait_limit = limit;
        self
    }

    /// Notes which threads are inside which callback, so that [`Outstanding::threads`] and [`Stuck`] can name them. Each
    /// call then takes a lock twice: for finding out, not for production.
    #[must_use]
    pub const fn with_named_callers(mut self) -> Self {
        self.core.settings.name_callers = true;
        self
    }

    /// A function to be called at each [`StallSite`], with no lock held; for tests, which park threads there.
    #[doc(hidden)]
    #[must_use]
    pub const fn with_stall_hook(mut self, hook: fn(StallSite)) -> Self {
        self.core.settings.stall_hook = Some(hook);
        self
    }

    /// A registry that does not keep a rule, for the models.
    #[cfg(test)]
    #[allow(dead_code, reason = "used in the copy over loom")]
    pub(crate) const fn with_mutation(mut self, mutation: Mutation) -> Self {
        self.core.settings.mutation = Some(mutation);
        self
    }

    /// The counters as they are now. Those of registrations and tombstones are of one moment; late calls are counted
    /// beside them. Takes the registry's lock for a moment; any thread may ask.
    ///
    /// ```
    /// use latecall::registry::Registry;
    /// static R: Registry<dyn Fn() + Send + Sync> = Registry::new();
    /// let registration = R.register(Box::new(|| ()));
    /// assert_eq!((R.stats().live, R.stats().registered), (1, 1));
    /// drop(registration);
    /// assert_eq!((R.stats().live, R.stats().tombstones), (0, 1));
    /// ```
    #[must_use]
    pub fn stats(&self) -> Stats {
        let core = &self.core;
        let mut stats = Stats::default();
        {
            let bookkeeping = lock(&core.bookkeeping);
            stats.registered = bookkeeping.registered;
            stats.revoked = bookkeeping.revoked;
            stats.closures_dropped = bookkeeping.dropped;
            stats.slots_retired = bookkeeping.retired.into();
            stats.slots_used = bookkeeping.used().into();
            stats.tombstones = bookkeeping.tombstones() as u64;
            stats.tombstones_flushed = bookkeeping.flushed;
        }
        stats.live = stats.registered - stats.revoked;
        stats.revoking = stats.revoked - stats.closures_dropped;
        // Relaxed: statistics.
        stats.panics = core.panics.load(Ordering::Relaxed);
        stats.swallowed_panics = core.swallowed_panics.load(Ordering::Relaxed);
        for (count, counter) in stats.late.0.iter_mut().zip(&core.late_calls) {
            // Relaxed: statistics.
            *count = counter.load(Ordering::Relaxed);
        }
        stats
    }
}

impl Core {
    #[inline(always)]
    fn stall(&self, site: StallSite) {
        if let Some(hook) = self.settings.stall_hook {
            hook(site);
        }
    }

    /// Whether this registry was made with that mutation: never, outside this crate's own tests.
    #[inline(always)]
    #[cfg_attr(not(test), allow(clippy::unused_self, reason = "asked of the registry in tests"))]
    fn mutated(&self, mutation: Mutation) -> bool {
        #[cfg(test)]
        return self.settings.mutation == Some(mutation);
        #[cfg(not(test))]
        {
            let _ = mutation;
            false
        }
    }

    #[inline]
    fn id(&self) -> u32 {
        // Acquire pairs with the Release in `take_slot`: whoever sees the id sees its first generation.
        self.id.load(Ordering::Acquire)
    }

    /// The last generation a slot may have.
    fn last_generation(&self) -> u32 {
        // Relaxed: asked under the lock under which it was written.
        let first = self.first_generation.load(Ordering::Relaxed);
        let generations = (1_u32 << self.settings.generation_bits) - 1;
        (first + (generations - 1)).min(Layout::HERE.max_generation())
    }

    #[inline]
    fn refused(&self, handle: Handle, word: Word) -> Refused {
        // Relaxed: ordered by the Acquire load of the id that `check_registry` has made.
        let first = self.first_generation.load(Ordering::Relaxed);
        Refused { reason: word.refusal(handle.generation(), first), current_generation: word.generation() }
    }

    /// Whether `handle` could be this registry's at all.
    #[inline]
    fn check_registry(&self, handle: Handle) -> Result<(), Refused> {
        if handle.is_null() {
            return Err(Refused::unknown(Reason::Null));
        }
        if handle.registry_id() != self.id() {
            return Err(Refused::unknown(Reason::WrongRegistry));
        }
        Ok(())
    }

    /// Why a handle was refused that found the word to be `found`.
    #[inline]
    fn refusal(&self, handle: Handle, found: Word) -> Refused {
        match self.check_registry(handle) {
            Err(refused) => refused,
            Ok(()) => self.refused(handle, found),
        }
    }
}

impl<F: ?Sized> Default for Registry<F> {
    fn default() -> Self {
        Self::new()
    }
}

impl<F: ?Sized> fmt::Debug for Registry<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry")
            .field("name", &self.core.settings.name)
            .field("callback_type", &(self.core.callback_type)())
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}

impl<F: ?Sized> Drop for Registry<F> {
    fn drop(&mut self) {
        let used = lock(&self.core.bookkeeping).used();
        let mut next_generation = 1;
        let mut first_panic = None;
        for index in 0..used {
            let Some(slot) = self.table.get(index) else { continue };
            let word = slot.word(index);
            let vacant = word.state() == slot::State::Vacant;
            next_generation = next_generation.max(word.generation() + u32::from(!vacant));
            if !word.has_closure() {
                continue;
            }
            // SAFETY: (1) there is one, and the registry is borrowed exclusively.
            let callback = unsafe { slot.take() };
            if let Err(panic) = catch_unwind(AssertUnwindSafe(|| drop(callback))) {
                if first_panic.is_none() && !std::thread::panicking() {
                    first_panic = Some(panic);
                } else {
                    // One panic is all that can go on from here; the payload of another could panic when dropped.
                    std::mem::forget(panic);
                }
            }
        }
        for (_, notify) in self.core.destroy_notifies.take_all() {
            self.core.run_contained(notify);
        }
        if self.core.id() != 0 {
            ids::give_back(self.core.id(), next_generation);
        }
        if let Some(panic) = first_panic {
            resume_unwind(panic);
        }
    }
}

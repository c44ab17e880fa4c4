//! Callbacks that a C library may keep for ever and call at any time.
//!
//! A [`Registry`] owns closures. C gets a [`Handle`], an integer, as its `void *user_data`. One static trampoline for
//! each C signature asks the registry to run the closure that the handle names. After the closure has been revoked and
//! dropped, a call with its handle is a *late call*: the registry refuses and reports it, and no memory is touched.
//!
//! ```
//! use latecall::registry::Registry;
//! use std::ffi::c_void;
//!
//! static EVENTS: Registry<dyn Fn(u64) + Send + Sync> = Registry::new();
//!
//! extern "C" fn on_event(event: u64, user_data: *mut c_void) {
//!     if let Err(late) = EVENTS.call(user_data, |f| f(event)) {
//!         eprintln!("{late}"); // where and on which thread the callback was registered and revoked
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
//! 1. A closure runs only between its registration and its revocation. A call that began before the revocation
//!    finishes, and the closure is not dropped while that call runs.
//! 2. Any value may be passed as `user_data`, at any time. The registry never reads through it.
//! 3. A handle never names another callback than the one it was issued for. Generations do not wrap: a slot whose
//!    generations are used up is retired.
//! 4. [`revoke`](Registration::revoke) never waits. [`revoke_and_wait`](Registration::revoke_and_wait), and dropping a
//!    [`Registration`], wait for calls of that callback on other threads and for its destructor, and for nothing else.
//!    The result says whether the closure has been dropped.
//! 5. Every closure is dropped at most once, with no lock held. The thread that drops it is
//!    * the revoking thread, if no call was running;
//!    * otherwise the thread whose call returns last;
//!    * the thread that reclaims, after a [deferred revocation](Registry::revoke_deferred);
//!    * the thread that drops the registry, for closures that are still registered.
//!
//!    Only [`Close::Leave`] leaves closures undropped. A closure's destructor may register, revoke, call, and wait for
//!    its own callback.
//! 6. No lock is held while a closure, a destructor or a hook runs.
//! 7. A call takes no lock, except
//!    * when its callback is being revoked at that moment;
//!    * in a registry with a [limit of running calls](Registry::with_in_flight_limit) or with
//!      [named callers](Registry::with_named_callers).
//! 8. Slots keep their addresses for as long as the registry lives. A registry whose handles were given to C must live
//!    as long as C may call: make it a `static`.
//!
//! # How the parts fit
//!
//! Each line names one source file of `src/registry`.
//!
//! Handles and storage:
//!
//! * `handle`: packs slot index, generation and registry id into one integer.
//! * `ids`: assigns registry ids.
//! * `slot`: one word that decides which handle is admitted, and the closure.
//! * `stored`: keeps a small closure in its slot and a large one in its box.
//! * `table`: keeps slots at fixed addresses.
//! * `extras`: policies and destroy notifies of single registrations.
//! * `bookkeeping`: what is written under the registry's lock: vacant slots, history, tombstones, waiting threads.
//!
//! Calls in flight:
//!
//! * `record`: one record a thread, with the calls that the thread is inside of.
//! * `frame`: what a thread is inside of that its record does not show.
//! * `fence`: the asymmetric fence between calls and revocations.
//! * `fork`: forgets the calls of threads that do not exist in a child process.
//! * `ended`: counts out the calls of a thread that ended inside them.
//! * `announced`: lets `fork` and `ended` find registries.
//!
//! Operations:
//!
//! * `settings`: the `with_*` functions of a new registry.
//! * `state`: what does not depend on the type of the callbacks.
//! * `register`: a closure becomes a registration.
//! * `registration`: the owner's guard.
//! * `call`, `leave`: the way in for C, and the way out.
//! * `revoke`: refuses new calls and drops the closure.
//! * `deferred`: revokes many callbacks for one fence.
//! * `wait`, `inside_waiters`: waits until a revoked callback is over.
//! * `stuck`: finds waits that never end.
//! * `completion`, `completions`: destroy notifies and completions.
//! * `close`: closes a whole registry.
//! * `teardown`: drops a registry.
//!
//! Reports:
//!
//! * `error`, `report`: why a call or an operation was refused.
//! * `policy`: what a late call causes besides being refused.
//! * `outstanding`: lists the registrations that are not over.
//! * `stats`: counters.
//! * `clock`, `thread`, `site`: times, threads and places in the source, for reports.
//!
//! For other parts of the crate:
//!
//! * `layered`: what `crate::signature` and `crate::capi` need.
//! * `module`: keeps the code of trampolines loaded.
//! * `stall`: lets tests force an order of events.
//! * `mutation`, `models`: explore every interleaving over loom; `mutation` removes one rule, which the models must
//!   notice.
//!
//! All threads, locks and atomics come from `super::sync`. The same sources are compiled a second time over loom
//! (`src/loomed.rs`). Every `unsafe` access to a closure goes through the `UnsafeCell` of `super::sync`, so the models
//! see each of them.

mod announced;
mod bookkeeping;
mod call;
mod clock;
mod close;
mod completion;
mod completions;
mod deferred;
mod ended;
mod error;
mod extras;
mod fence;
mod fork;
mod frame;
mod handle;
mod ids;
mod inside_waiters;
mod layered;
mod leave;
mod module;
mod mutation;
mod outstanding;
mod policy;
mod record;
mod register;
mod registration;
mod report;
mod revoke;
mod settings;
mod site;
mod slot;
mod stall;
mod state;
mod stats;
mod stored;
mod stuck;
mod table;
mod teardown;
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
pub use settings::use_portable_fences;
#[doc(hidden)]
pub use stall::StallSite;
pub use stats::{LateCounts, Stats};
pub use stuck::{OnStuck, Stuck};
pub use thread::ThreadTag;

use super::sync;
use state::Core;
use std::fmt;
use sync::const_fn;
use table::Table;
#[allow(unused_imports, reason = "used by `crate::capi`")]
pub(crate) use {completions::try_box, fork::lock_addresses, site::Site};
#[cfg(test)]
#[allow(unused_imports, reason = "used by the models of the copy over loom")]
pub(crate) use {mutation::Mutation, record::leave_thread};

/// Owns callbacks of one type and finds them by [`Handle`]. See the [module](self) for the contract.
///
/// `F` is usually a `dyn Fn` type. To be shared between threads, as a `static` must be, `F` has to be `Send + Sync`:
/// any thread may run a closure, several threads at a time, and any of them may be the last to use it and drop it.
///
/// Dropping a registry needs exclusive access, so no call is running. It drops the closures that remain. Handles that
/// a dropped registry issued mean nothing to any other registry, including those that are created later.
pub struct Registry<F: ?Sized> {
    core: Core,
    table: Table<F>,
}

impl<F: ?Sized> Registry<F> {
    const_fn! {
        /// An empty registry: no name and no hook, 1000 tombstones, and no limits but the widths of a handle's parts.
        /// Allocates nothing.
        ///
        /// ```
        /// use latecall::registry::Registry;
        /// static R: Registry<dyn Fn(u64) + Send + Sync> = Registry::new();
        /// ```
        #[must_use]
        pub const fn new() -> Self {
            Self { core: Core::new(std::any::type_name::<F>), table: Table::new() }
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

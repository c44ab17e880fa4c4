//! The Rust face of the C library in `native/`: linked into this crate, or loaded at run time.
//!
//! [`Api`] is the table of its functions, the same whether they came from the linker or from a shared object, so that
//! everything above runs unchanged over both. [`Emitter`] owns one `emitter *` and closes it.
//!
//! Not here: anything that makes the callbacks sound. Registering is `unsafe`, and what stands between C and a closure
//! is the business of `subject` and `flawed`.

mod api;
mod load;

pub use api::{Api, Callback, Config, Destroy, EmitterEvent, Entry, StallHook, Status, SubscriptionId};
pub use load::{LoadError, bundled_object, older_object};

use std::ffi::c_void;
use std::ptr;

/// When user data may last be used: `emitter_mode` of the header, which says more about each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum Mode {
    /// Nothing is retained.
    Scoped = 0,
    /// Unsubscribe waits for calls in flight on other threads.
    Waits = 1,
    /// Unsubscribe returns at once, and nothing tells when the last call has returned.
    Returns = 2,
    /// Destroy notify after the last call.
    Deferred = 3,
    /// Fires once, then forgets by itself.
    Once = 4,
    /// Pending deliveries outlive unsubscribe, unless a barrier is asked for.
    Queued = 5,
    /// One subscription, replaced in place as one unit.
    Replace = 6,
    /// A table of subscriptions, copied by value.
    Table = 7,
}

impl Mode {
    /// All modes, in the order of the header.
    pub const ALL: [Mode; 8] = [
        Mode::Scoped,
        Mode::Waits,
        Mode::Returns,
        Mode::Deferred,
        Mode::Once,
        Mode::Queued,
        Mode::Replace,
        Mode::Table,
    ];

    /// Its name in subjects and reports.
    pub const fn name(self) -> &'static str {
        match self {
            Mode::Scoped => "scoped",
            Mode::Waits => "waits",
            Mode::Returns => "returns",
            Mode::Deferred => "deferred",
            Mode::Once => "once",
            Mode::Queued => "queued",
            Mode::Replace => "replace",
            Mode::Table => "table",
        }
    }
}

/// An open emitter. Dropping it does not close it: closing waits, and its owner must know for what
/// ([`Emitter::close`]).
#[derive(Debug)]
pub struct Emitter {
    api: &'static Api,
    raw: *mut c_void,
}

// SAFETY: the header allows every function from any thread between open and close, and `&mut self` or ownership is
// needed to close.
unsafe impl Send for Emitter {}
// SAFETY: the header allows every function from several threads at once between open and close; closing needs
// ownership.
unsafe impl Sync for Emitter {}

impl Emitter {
    /// Opens an emitter and starts its library threads.
    ///
    /// # Errors
    ///
    /// What the library answered.
    ///
    /// # Safety
    ///
    /// 1. `config.stall` may be called with `config.stall_data` on any thread until the emitter is closed.
    pub unsafe fn open(api: &'static Api, config: &Config) -> Result<Self, Status> {
        let mut raw = ptr::null_mut();
        // SAFETY: both pointers are valid for the call; the caller answers for the hook (1).
        let status = unsafe { (api.open)(config, &mut raw) };
        status.ok().map(|()| Emitter { api, raw })
    }

    /// The table of functions it was opened with.
    pub fn api(&self) -> &'static Api {
        self.api
    }

    /// Retains a callback.
    ///
    /// # Errors
    ///
    /// What the library answered; nothing is retained then and no destroy notify runs.
    ///
    /// # Safety
    ///
    /// 1. `callback` may be called with `user_data` on any thread until the time that the emitter's mode names.
    /// 2. `destroy`, if any, may be called with `user_data` once, on any thread.
    pub unsafe fn subscribe(
        &self,
        callback: Callback,
        user_data: *mut c_void,
        destroy: Option<Destroy>,
    ) -> Result<SubscriptionId, Status> {
        let mut id = 0;
        // SAFETY: `raw` is open; `id` is valid for the call; the caller answers for 1 and 2.
        unsafe { (self.api.subscribe)(self.raw, callback, user_data, destroy, &mut id) }.ok().map(|()| id)
    }

    /// Retains a table of callbacks, all or none.
    ///
    /// # Errors
    ///
    /// As [`Emitter::subscribe`].
    ///
    /// # Safety
    ///
    /// As [`Emitter::subscribe`], for each entry.
    pub unsafe fn subscribe_table(&self, table: &[Entry]) -> Result<Vec<SubscriptionId>, Status> {
        let mut ids = vec![0; table.len()];
        // SAFETY: `table` and `ids` have `table.len()` elements; the caller answers for the entries.
        let status = unsafe { (self.api.subscribe_table)(self.raw, table.as_ptr(), table.len(), ids.as_mut_ptr()) };
        status.ok().map(|()| ids)
    }

    /// Ends a subscription as the mode says.
    pub fn unsubscribe(&self, id: SubscriptionId) -> Status {
        // SAFETY: `raw` is open.
        unsafe { (self.api.unsubscribe)(self.raw, id) }
    }

    /// Ends a subscription and never waits.
    pub fn unsubscribe_nowait(&self, id: SubscriptionId) -> Status {
        // SAFETY: `raw` is open.
        unsafe { (self.api.unsubscribe_nowait)(self.raw, id) }
    }

    /// Swaps a subscription's callback, user data and destroy notify, as one unit.
    ///
    /// # Safety
    ///
    /// As [`Emitter::subscribe`].
    pub unsafe fn replace(
        &self,
        id: SubscriptionId,
        callback: Callback,
        user_data: *mut c_void,
        destroy: Option<Destroy>,
    ) -> Status {
        // SAFETY: `raw` is open; the caller answers for the rest.
        unsafe { (self.api.replace)(self.raw, id, callback, user_data, destroy) }
    }

    /// Calls a subscription on this thread. The value is what the callback returned, 0 when nothing was called.
    pub fn fire(&self, id: SubscriptionId, cookie: u64, a: i64, b: i64) -> (Status, i64) {
        let mut value = 0;
        // SAFETY: `raw` is open; `value` is valid for the call.
        let status = unsafe { (self.api.fire)(self.raw, id, cookie, a as isize, b as isize, &mut value) };
        (status, value as i64)
    }

    /// Calls a subscription on a library thread and waits for it.
    pub fn send(&self, id: SubscriptionId, cookie: u64, a: i64, b: i64) -> (Status, i64) {
        let mut value = 0;
        // SAFETY: `raw` is open; `value` is valid for the call, which the library waits for.
        let status = unsafe { (self.api.send)(self.raw, id, cookie, a as isize, b as isize, &mut value) };
        (status, value as i64)
    }

    /// Queues a delivery for a library thread.
    pub fn post(&self, id: SubscriptionId, cookie: u64, a: i64, b: i64) -> Status {
        // SAFETY: `raw` is open.
        unsafe { (self.api.post)(self.raw, id, cookie, a as isize, b as isize) }
    }

    /// Waits until everything posted before has been delivered or dropped.
    pub fn barrier(&self) -> Status {
        // SAFETY: `raw` is open.
        unsafe { (self.api.barrier)(self.raw) }
    }

    /// Live subscriptions.
    pub fn live(&self) -> usize {
        // SAFETY: `raw` is open.
        unsafe { (self.api.live)(self.raw) }
    }

    /// Calls in flight.
    pub fn in_flight(&self) -> usize {
        // SAFETY: `raw` is open.
        unsafe { (self.api.in_flight)(self.raw) }
    }

    /// Call-scoped use: one call, on this thread.
    ///
    /// # Safety
    ///
    /// 1. `callback` may be called with `user_data` during this call.
    pub unsafe fn invoke(
        &self,
        callback: Callback,
        user_data: *mut c_void,
        cookie: u64,
        a: i64,
        b: i64,
    ) -> (Status, i64) {
        let mut value = 0;
        // SAFETY: `raw` is open; `value` is valid for the call; the caller answers for 1.
        let status =
            unsafe { (self.api.invoke)(self.raw, callback, user_data, cookie, a as isize, b as isize, &mut value) };
        (status, value as i64)
    }

    /// Call-scoped use: a call for each item until one returns 0. Answers how many calls were made, and the
    /// subscription that a hostile library kept (0: none).
    ///
    /// # Safety
    ///
    /// 1. `callback` may be called with `user_data` during this call.
    pub unsafe fn enumerate(
        &self,
        callback: Callback,
        user_data: *mut c_void,
        cookie: u64,
        count: usize,
        lparam: i64,
    ) -> (Status, usize, SubscriptionId) {
        let (mut calls, mut kept) = (0, 0);
        // SAFETY: `raw` is open; `calls` and `kept` are valid for the call; the caller answers for 1.
        let status = unsafe {
            (self.api.enumerate)(self.raw, callback, user_data, cookie, count, lparam as isize, &mut calls, &mut kept)
        };
        (status, calls, kept)
    }

    /// Closes it: see the header. Answers [`Status::CLOSING`], and leaves the library as it is, when called from inside
    /// one of its own callbacks, or twice.
    ///
    /// # Safety
    ///
    /// 1. When it answers [`Status::OK`], this emitter is not used again, on any thread.
    pub unsafe fn close(&self) -> Status {
        // SAFETY: `raw` is open unless it was closed before, which the caller rules out (1).
        unsafe { (self.api.close)(self.raw) }
    }
}

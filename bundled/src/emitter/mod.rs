//! The Rust declarations of the C library in `native/`: linked into this crate, or loaded at run time.
//!
//! [`Api`] is the table of the library's functions. It has one type for the linked library and for a shared object, so
//! that the binding runs unchanged over both. [`Emitter`] holds one `emitter *`.
//!
//! Nothing here makes callbacks sound: registering is `unsafe`. The stores (`store`) are there for that.

mod api;
mod load;

pub use api::{Api, Callback, Config, Destroy, EmitterEvent, Entry, StallHook, Status, SubscriptionId};
pub use load::{LoadError, bundled_object, older_object};

use std::ffi::c_void;
use std::ptr;

/// Until when the library may use user data: `emitter_mode` of the header, which describes each mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum Mode {
    /// Until the call returns: nothing is retained.
    Scoped = 0,
    /// Until unsubscribe returns, which waits for calls in flight on other threads.
    Waits = 1,
    /// Until the last call returns. Unsubscribe does not wait, and nothing says when that is.
    Returns = 2,
    /// Until the destroy notify, after the last call.
    Deferred = 3,
    /// Until the destroy notify, after the first call, which ends the subscription.
    Once = 4,
    /// Until the last pending delivery has been made. Deliveries outlive unsubscribe; a barrier waits for them.
    Queued = 5,
    /// Until the destroy notify. A callback can be replaced in place, with its user data and destroy notify.
    Replace = 6,
    /// Until unsubscribe returns, for each entry of a table that the library copies.
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

    /// The mode's name in subjects and reports.
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

/// An open emitter. Dropping this value does not close the emitter, because closing waits for calls: call
/// [`Emitter::close`].
#[derive(Debug)]
pub struct Emitter {
    api: &'static Api,
    raw: *mut c_void,
}

// SAFETY: the header allows every function on any thread between open and close, so the pointer may move to another
// thread. After closing, the caller of `close` guarantees that no thread uses the emitter.
unsafe impl Send for Emitter {}
// SAFETY: the header allows every function on several threads at once between open and close. Closing takes `&self`,
// and its caller guarantees that no thread uses the emitter afterwards.
unsafe impl Sync for Emitter {}

impl Emitter {
    /// Opens an emitter and starts its library threads.
    ///
    /// # Errors
    ///
    /// The status that the library returned.
    ///
    /// # Safety
    ///
    /// 1. `config.stall` may be called with `config.stall_data` on any thread until the emitter is closed.
    pub unsafe fn open(api: &'static Api, config: &Config) -> Result<Self, Status> {
        let mut raw = ptr::null_mut();
        // SAFETY: `emitter_open` reads `*config`, writes `raw`, and calls the hook. Both pointers come from references
        // that live through this call. Our caller guarantees that the hook may be called (clause 1).
        let status = unsafe { (api.open)(config, &mut raw) };
        status.ok().map(|()| Emitter { api, raw })
    }

    /// The table of functions that the emitter was opened with.
    pub fn api(&self) -> &'static Api {
        self.api
    }

    /// Retains a callback.
    ///
    /// # Errors
    ///
    /// The status that the library returned. Then nothing is retained, and no destroy notify runs.
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
        // SAFETY: an `Emitter` is open until `close`, whose caller guarantees that it is not used afterwards. `id` is a
        // local that lives through the call. Our caller guarantees that `callback` (clause 1) and `destroy` (clause 2)
        // may be called with `user_data`.
        unsafe { (self.api.subscribe)(self.raw, callback, user_data, destroy, &mut id) }.ok().map(|()| id)
    }

    /// Retains a table of callbacks, all or none.
    ///
    /// # Errors
    ///
    /// The status that the library returned. Then nothing is retained, and no destroy notify runs.
    ///
    /// # Safety
    ///
    /// 1. Each entry's callback may be called with its user data on any thread until the time that the emitter's mode
    ///    names.
    /// 2. Each entry's destroy notify, if any, may be called with its user data once, on any thread.
    pub unsafe fn subscribe_table(&self, table: &[Entry]) -> Result<Vec<SubscriptionId>, Status> {
        let mut ids = vec![0; table.len()];
        // SAFETY: an `Emitter` is open until `close`, whose caller guarantees that it is not used afterwards. The
        // library reads `table.len()` entries and writes as many ids: `table` and `ids` have that many elements. Our
        // caller guarantees that the entries' callbacks (clause 1) and destroy notifies (clause 2) may be called.
        let status = unsafe { (self.api.subscribe_table)(self.raw, table.as_ptr(), table.len(), ids.as_mut_ptr()) };
        status.ok().map(|()| ids)
    }

    /// Ends a subscription. Waits for calls in flight if the mode says so.
    pub fn unsubscribe(&self, id: SubscriptionId) -> Status {
        // SAFETY: an `Emitter` is open until `close`, whose caller guarantees that it is not used afterwards.
        unsafe { (self.api.unsubscribe)(self.raw, id) }
    }

    /// Ends a subscription. Does not wait in any mode.
    pub fn unsubscribe_nowait(&self, id: SubscriptionId) -> Status {
        // SAFETY: an `Emitter` is open until `close`, whose caller guarantees that it is not used afterwards.
        unsafe { (self.api.unsubscribe_nowait)(self.raw, id) }
    }

    /// Replaces a subscription's callback, user data and destroy notify, as one unit.
    ///
    /// # Safety
    ///
    /// 1. `callback` may be called with `user_data` on any thread until the time that the emitter's mode names.
    /// 2. `destroy`, if any, may be called with `user_data` once, on any thread.
    pub unsafe fn replace(
        &self,
        id: SubscriptionId,
        callback: Callback,
        user_data: *mut c_void,
        destroy: Option<Destroy>,
    ) -> Status {
        // SAFETY: an `Emitter` is open until `close`, whose caller guarantees that it is not used afterwards. Any id
        // may be passed. Our caller guarantees that `callback` (clause 1) and `destroy` (clause 2) may be called with
        // `user_data`.
        unsafe { (self.api.replace)(self.raw, id, callback, user_data, destroy) }
    }

    /// Calls a subscription on this thread. Returns the status, and what the callback returned; 0 if nothing was
    /// called.
    pub fn fire(&self, id: SubscriptionId, cookie: u64, a: i64, b: i64) -> (Status, i64) {
        let mut value = 0;
        // SAFETY: an `Emitter` is open until `close`, whose caller guarantees that it is not used afterwards. Any id
        // may be passed. `value` is a local that lives through the call.
        let status = unsafe { (self.api.fire)(self.raw, id, cookie, a as isize, b as isize, &mut value) };
        (status, value as i64)
    }

    /// Calls a subscription on a library thread, and waits for the call. Returns what [`Emitter::fire`] returns.
    pub fn send(&self, id: SubscriptionId, cookie: u64, a: i64, b: i64) -> (Status, i64) {
        let mut value = 0;
        // SAFETY: an `Emitter` is open until `close`, whose caller guarantees that it is not used afterwards. `value`
        // is a local that lives through the call, and the library waits for the thread that writes it.
        let status = unsafe { (self.api.send)(self.raw, id, cookie, a as isize, b as isize, &mut value) };
        (status, value as i64)
    }

    /// Queues a delivery for a library thread.
    pub fn post(&self, id: SubscriptionId, cookie: u64, a: i64, b: i64) -> Status {
        // SAFETY: an `Emitter` is open until `close`, whose caller guarantees that it is not used afterwards.
        unsafe { (self.api.post)(self.raw, id, cookie, a as isize, b as isize) }
    }

    /// Waits until every delivery that was posted before has been made or dropped.
    pub fn barrier(&self) -> Status {
        // SAFETY: an `Emitter` is open until `close`, whose caller guarantees that it is not used afterwards.
        unsafe { (self.api.barrier)(self.raw) }
    }

    /// The number of live subscriptions, at some moment during the call.
    pub fn live(&self) -> usize {
        // SAFETY: an `Emitter` is open until `close`, whose caller guarantees that it is not used afterwards.
        unsafe { (self.api.live)(self.raw) }
    }

    /// The number of calls in flight, at some moment during the call.
    pub fn in_flight(&self) -> usize {
        // SAFETY: an `Emitter` is open until `close`, whose caller guarantees that it is not used afterwards.
        unsafe { (self.api.in_flight)(self.raw) }
    }

    /// Calls a callback once, on this thread, and retains nothing. Returns what [`Emitter::fire`] returns.
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
        // SAFETY: an `Emitter` is open until `close`, whose caller guarantees that it is not used afterwards. `value`
        // is a local that lives through the call. Our caller guarantees that `callback` may be called with `user_data`
        // (clause 1).
        let status =
            unsafe { (self.api.invoke)(self.raw, callback, user_data, cookie, a as isize, b as isize, &mut value) };
        (status, value as i64)
    }

    /// Calls a callback on this thread for items 0 to `count - 1`, until it returns 0. Returns the status, the number
    /// of calls, and the subscription that a hostile library has retained (0: none).
    ///
    /// # Safety
    ///
    /// 1. `callback` may be called with `user_data` during this call; over a library that is opened with
    ///    `EMITTER_HOSTILE_LATE`, at any time.
    pub unsafe fn enumerate(
        &self,
        callback: Callback,
        user_data: *mut c_void,
        cookie: u64,
        count: usize,
        lparam: i64,
    ) -> (Status, usize, SubscriptionId) {
        let (mut calls, mut retained) = (0, 0);
        // SAFETY: an `Emitter` is open until `close`, whose caller guarantees that it is not used afterwards. `calls`
        // and `retained` are locals that live through the call. Our caller guarantees that `callback` may be called
        // with `user_data` (clause 1).
        let status = unsafe {
            (self.api.enumerate)(
                self.raw,
                callback,
                user_data,
                cookie,
                count,
                lparam as isize,
                &mut calls,
                &mut retained,
            )
        };
        (status, calls, retained)
    }

    /// Closes the emitter, as the header describes. Returns [`Status::CLOSING`] and does nothing in two cases: inside a
    /// callback, a destroy notify or the stall hook of this emitter, and while another call of this function runs.
    ///
    /// # Safety
    ///
    /// 1. Once this has returned [`Status::OK`], this emitter is not used again, on any thread.
    pub unsafe fn close(&self) -> Status {
        // SAFETY: the emitter must be open. The caller of the `close` that returned `OK` guarantees that this function
        // is not called afterwards (clause 1).
        unsafe { (self.api.close)(self.raw) }
    }
}

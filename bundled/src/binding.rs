//! The binding of the bundled C library, over any store.
//!
//! It does what the binding of any library would do: it registers, revokes and fires. Whether it is sound depends on
//! its store ([`super::store`]). It implements the harness's traits [`Subject`] and [`Session`]; `GAPS.md` of this
//! package lists what else it uses of the harness.

use super::lookup::Lookup;
use super::store::{CallbackStore, Key, Stored};
use super::sync::{AtomicBool, Ordering, OutsideArc};
use crate::emitter::{Api, Config, Emitter, Entry, Mode, Status, SubscriptionId};
use latecall::internal;
use latecall::internal::inside_callback;
use latecall::ledger::{Answer, Call, Contract, Witness};
use latecall::program::{CallbackId, Hostile, Site, Verb, VerbSet};
use latecall::subject::{Env, Offer, OpenError, Session, Subject};
use std::ffi::c_void;

/// Makes the store for a run.
pub type MakeStore = fn(&Env, Mode) -> Box<dyn CallbackStore>;

/// Makes the twin of the subject with this name, for the model engine, over an instrumented library. `None`: the
/// subject has no twin.
pub type MakeTwin = fn(&str, &'static Api) -> Option<Box<dyn Subject>>;

/// The binding of the emitter in one mode, over one kind of store. The emitter is linked, or loaded at run time.
pub struct EmitterSubject {
    name: String,
    mode: Mode,
    api: &'static Api,
    store: MakeStore,
    offer: Offer,
}

impl std::fmt::Debug for EmitterSubject {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EmitterSubject").field("name", &self.name).finish_non_exhaustive()
    }
}

/// The stall sites of the C library.
pub const C_SITES: [Site; 9] = [
    Site::BeforeLoad,
    Site::BeforeCall,
    Site::AfterCall,
    Site::AfterCount,
    Site::BeforeNotify,
    Site::Popped,
    Site::Unsubscribed,
    Site::WorkerStart,
    Site::WorkerExit,
];

impl EmitterSubject {
    /// The binding of the emitter in this mode. It offers every op of the mode, the stall sites of the C library, and
    /// no hostile switch. [`EmitterSubject::withstands`], [`EmitterSubject::with_sites`] and
    /// [`EmitterSubject::without`] change that.
    pub fn new(name: impl Into<String>, mode: Mode, api: &'static Api, store: MakeStore) -> Self {
        let mut offer = Offer::new(verbs(mode)).with_sites(C_SITES);
        offer.capacity = (mode == Mode::Replace).then_some(1);
        EmitterSubject { name: name.into(), mode, api, store, offer }
    }

    /// The library's mode.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// Adds hostile switches under which the binding stays sound.
    #[must_use]
    pub fn withstands(mut self, hostile: &[Hostile]) -> Self {
        self.offer.hostile.extend(hostile);
        self
    }

    /// Adds places in the binding's own table at which the harness may stall a thread.
    #[must_use]
    pub fn with_sites(mut self, sites: &[Site]) -> Self {
        self.offer.sites.extend(sites);
        self
    }

    /// Removes ops from what the subject offers.
    #[must_use]
    pub fn without(mut self, verbs: &[Verb]) -> Self {
        self.offer.verbs = self.offer.verbs.minus(VerbSet::of(verbs));
        self
    }
}

/// The ops that can be used in a mode.
fn verbs(mode: Mode) -> VerbSet {
    use Verb::*;
    let gates = VerbSet::of(&[Hold, Open, Reach, Stall, Return, Panic, Exclusive, Confined, Shutdown]);
    let retained =
        VerbSet::of(&[Register, Fire, Send, Post, Barrier, Revoke, RevokeAndWait, Release, Unsubscribe, Forget, Churn]);
    match mode {
        Mode::Scoped => gates.union(VerbSet::of(&[Invoke, Enumerate, Fire])),
        Mode::Replace => gates.union(retained).union(VerbSet::of(&[Replace])),
        _ => gates.union(retained),
    }
}

impl Subject for EmitterSubject {
    fn name(&self) -> &str {
        &self.name
    }

    fn offer(&self) -> Offer {
        self.offer.clone()
    }

    fn contract(&self) -> Contract {
        if self.mode == Mode::Once { Contract::one_shot() } else { Contract::default() }
    }

    fn modelled(&self) -> Option<Box<dyn Subject>> {
        super::TWIN?(&self.name, Api::modelled())
    }

    /// True: all locks and atomics of the subject come from `sync`, whose loom side the search sees.
    fn all_seen(&self) -> bool {
        true
    }

    fn open(&self, env: &Env) -> Result<Box<dyn Session>, OpenError> {
        let mut config = Config::new(self.mode);
        config.workers = env.library_threads;
        config.hostile = env.hostile.iter().map(|h| 1 << *h as u32).sum();
        config.capacity = env.capacity.unwrap_or(0);
        config.fail_allocation = env.fail_allocation.unwrap_or(0);
        // The run's id is an integer and not a pointer: a call that comes after the run follows no dangling pointer.
        config.owner = env.to_bits() as *mut c_void;
        config.stall = env.stalls.then_some(stalled);
        config.stall_data = config.owner;
        let store = (self.store)(env, self.mode);
        // SAFETY: 1. `stalled` may be called on any thread with any data: it treats the data as an integer, and looks
        // the run up by it.
        let emitter = unsafe { Emitter::open(self.api, &config) }
            .map_err(|status| OpenError::new(format!("emitter_open in mode {}: {status}", self.mode.name())))?;
        Ok(Box::new(EmitterSession { mode: self.mode, store, emitter, subscriptions: Lookup::new() }))
    }
}

unsafe extern "C-unwind" fn stalled(run: *mut c_void, site: u32, _subscription: SubscriptionId) {
    if let (Some(run), Some(site)) = (internal::run_from_bits(run as u64), Site::ALL.get(site as usize)) {
        internal::pass_in(run, *site);
    }
}

struct EmitterSession {
    mode: Mode,
    store: Box<dyn CallbackStore>,
    emitter: Emitter,
    subscriptions: Lookup<CallbackId, Subscription>,
}

#[derive(Debug, Clone)]
struct Subscription {
    /// 0: the library has replaced this callback by another.
    id: SubscriptionId,
    key: Key,
    /// Set by the first op that ends or replaces the subscription. Only one op may do so: after a replacement, the id
    /// names the new callback's subscription.
    claimed: OutsideArc<AtomicBool>,
}

impl Subscription {
    fn new(id: SubscriptionId, key: Key, claimed: bool) -> Self {
        Subscription { id, key, claimed: OutsideArc::new(AtomicBool::new(claimed)) }
    }

    /// The id, for the one op that may end or replace the subscription. `None`: another op was first.
    #[track_caller]
    fn claim(&self) -> Option<SubscriptionId> {
        // AcqRel: pairs with itself. The first of several claims wins; no other data depends on `claimed`.
        (!self.claimed.swap(true, Ordering::AcqRel)).then_some(self.id)
    }
}

impl EmitterSession {
    /// Gives a callback to the library.
    fn subscribe(&self, stored: &Stored) -> Result<SubscriptionId, Status> {
        // SAFETY: 1. a sound store's trampoline accepts its user data on any thread, also after the callback is
        // revoked. 2. So does its destroy notify. The stores in `flawed` break one of the two on purpose.
        unsafe { self.emitter.subscribe(stored.callback, stored.user_data, stored.destroy) }
    }

    /// Gives several callbacks to the library as one table, all or none.
    fn subscribe_table(&self, stored: &[Stored]) -> Result<Vec<SubscriptionId>, Status> {
        let table: Vec<_> = stored
            .iter()
            .map(|it| Entry { callback: it.callback, user_data: it.user_data, destroy: it.destroy })
            .collect();
        // SAFETY: 1. a sound store's trampoline accepts its user data on any thread, also after the callback is
        // revoked. 2. So does its destroy notify. Both hold for each entry; the stores in `flawed` break one of them on
        // purpose. The library copies the table, which is dropped here (S07).
        unsafe { self.emitter.subscribe_table(&table) }
    }

    fn with(&self, callback: CallbackId, f: impl FnOnce(Subscription) -> Answer) -> Answer {
        self.subscriptions.get(callback).map_or(Answer::Skipped, f)
    }
}

/// The answer of an op that fires. It is 0 for a subscription that is gone, because nothing was called.
fn fired((status, value): (Status, i64)) -> Answer {
    match status {
        Status::OK | Status::NOT_FOUND => Answer::Value(value),
        _ => Answer::Refused,
    }
}

impl Session for EmitterSession {
    fn register(&self, witnesses: Vec<Witness>) -> Answer {
        let callbacks: Vec<CallbackId> = witnesses.iter().map(Witness::callback).collect();
        let mut stored = Vec::new();
        for witness in witnesses {
            match self.store.insert(witness) {
                Ok(it) => stored.push(it),
                Err(_) => {
                    stored.iter().for_each(|it| self.store.refused(it.key));
                    return Answer::Refused;
                }
            }
        }
        let mut ids = Vec::new();
        let subscribed = if self.mode == Mode::Table {
            self.subscribe_table(&stored).map(|table| ids = table)
        } else {
            stored.iter().try_for_each(|it| self.subscribe(it).map(|id| ids.push(id)))
        };
        if subscribed.is_err() {
            // All or none: the callbacks that the library has taken are unsubscribed. It never calls the others.
            for id in &ids {
                self.emitter.unsubscribe_nowait(*id);
            }
            for (i, it) in stored.iter().enumerate() {
                if i < ids.len() {
                    self.store.revoke_and_wait(it.key);
                } else {
                    self.store.refused(it.key);
                }
            }
            return Answer::Refused;
        }
        for ((callback, it), id) in callbacks.into_iter().zip(&stored).zip(ids) {
            self.subscriptions.insert(callback, Subscription::new(id, it.key, false));
        }
        Answer::Done
    }

    fn invoke(&self, witness: Witness, call: Call) -> Answer {
        let Ok(stored) = self.store.insert(witness) else { return Answer::Refused };
        let cookie = u64::from(call.cookie);
        // SAFETY: 1. the store holds the callback until `revoke_and_wait`, which comes after this call.
        let result = unsafe { self.emitter.invoke(stored.callback, stored.user_data, cookie, call.a, call.b) };
        self.store.revoke_and_wait(stored.key);
        fired(result)
    }

    fn enumerate(&self, witness: Witness, count: u32, call: Call) -> Answer {
        let callback = witness.callback();
        let Ok(stored) = self.store.insert(witness) else { return Answer::Refused };
        let (cookie, count) = (u64::from(call.cookie), count as usize);
        // SAFETY: 1. the store holds the callback until `revoke_and_wait`, which comes after this call. A sound store
        // also accepts the calls of a hostile library that come later.
        let result = unsafe { self.emitter.enumerate(stored.callback, stored.user_data, cookie, count, call.b) };
        self.store.revoke_and_wait(stored.key);
        let (status, calls, retained) = result;
        if retained != 0 {
            // A hostile library has retained the callback. A program can fire it, and that call is late.
            self.subscriptions.insert(callback, Subscription::new(retained, stored.key, true));
        }
        fired((status, calls as i64))
    }

    fn fire(&self, callback: CallbackId, call: Call) -> Answer {
        self.with(callback, |it| fired(self.emitter.fire(it.id, u64::from(call.cookie), call.a, call.b)))
    }

    fn send(&self, callback: CallbackId, call: Call) -> Answer {
        self.with(callback, |it| fired(self.emitter.send(it.id, u64::from(call.cookie), call.a, call.b)))
    }

    fn post(&self, callback: CallbackId, call: Call) -> Answer {
        self.with(callback, |it| match self.emitter.post(it.id, u64::from(call.cookie), call.a, call.b) {
            Status::OK => Answer::Done,
            _ => Answer::Refused,
        })
    }

    fn revoke(&self, callback: CallbackId) -> Answer {
        self.with(callback, |it| {
            // A sound store is asked before the library. The library's destroy notify revokes, too, and only the first
            // of the two learns how many calls are in flight.
            let answer = (!self.store.relies_on_library()).then(|| self.store.revoke(it.key));
            if let Some(id) = it.claim() {
                self.emitter.unsubscribe_nowait(id);
            }
            answer.unwrap_or_else(|| self.store.revoke(it.key))
        })
    }

    fn revoke_and_wait(&self, callback: CallbackId) -> Answer {
        self.with(callback, |it| {
            match it.claim() {
                Some(id) if self.store.relies_on_library() => self.emitter.unsubscribe(id),
                Some(id) => self.emitter.unsubscribe_nowait(id),
                None => Status::NOT_FOUND,
            };
            self.store.revoke_and_wait(it.key)
        })
    }

    fn release(&self, callback: CallbackId) -> Answer {
        self.with(callback, |it| self.store.revoke_and_wait(it.key))
    }

    fn unsubscribe(&self, callback: CallbackId) -> Answer {
        self.with(callback, |it| {
            if let Some(id) = it.claim() {
                self.emitter.unsubscribe(id);
            }
            Answer::Done
        })
    }

    fn forget(&self, callback: CallbackId) -> Answer {
        self.with(callback, |it| {
            self.store.forget(it.key);
            Answer::Done
        })
    }

    fn replace(&self, old: CallbackId, witness: Witness) -> Answer {
        let new = witness.callback();
        let Some(was) = self.subscriptions.get(old) else { return Answer::Skipped };
        let Some(id) = was.claim() else { return Answer::Refused };
        let Ok(stored) = self.store.insert(witness) else { return Answer::Refused };
        // SAFETY: 1. a sound store's trampoline accepts its user data on any thread, also after the callback is
        // revoked. 2. So does its destroy notify. The stores in `flawed` break one of the two on purpose.
        let status = unsafe { self.emitter.replace(id, stored.callback, stored.user_data, stored.destroy) };
        if status.ok().is_err() {
            self.store.refused(stored.key);
            return Answer::Refused;
        }
        self.subscriptions.insert(new, Subscription::new(id, stored.key, false));
        self.subscriptions.insert(old, Subscription::new(0, was.key, true));
        self.store.revoke(was.key);
        Answer::Done
    }

    fn churn(&self, count: u32, make: &dyn Fn() -> Witness) -> Answer {
        for _ in 0..count {
            let Ok(stored) = self.store.insert(make()) else { continue };
            match self.subscribe(&stored) {
                Ok(id) => {
                    self.emitter.unsubscribe_nowait(id);
                    self.store.revoke_and_wait(stored.key);
                }
                Err(_) => self.store.refused(stored.key),
            }
        }
        Answer::Done
    }

    fn barrier(&self) -> Answer {
        match self.emitter.barrier() {
            Status::OK => Answer::Done,
            _ => Answer::Refused,
        }
    }

    fn shutdown(&self) -> Answer {
        if inside_callback() {
            // SAFETY: 1. inside a callback of its own, the library returns `CLOSING` and stays open, so the emitter may
            // be used again. That is a promise of the header.
            let status = unsafe { self.emitter.close() };
            return if status == Status::CLOSING { Answer::Refused } else { Answer::Done };
        }
        for callback in self.subscriptions.keys() {
            self.revoke(callback);
        }
        // SAFETY: 1. `Session` promises that the harness calls nothing after `shutdown` has returned, and that until
        // then only ops in bodies of callbacks run. No callback runs after `emitter_close` has returned, except for
        // calls that a hostile library makes from `atexit`; those reach the store and not the emitter.
        let status = unsafe { self.emitter.close() };
        if status == Status::OK { Answer::Done } else { Answer::Refused }
    }
}

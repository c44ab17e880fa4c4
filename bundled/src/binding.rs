//! The binding of the bundled C library, over any store.
//!
//! This is what a binding author writes: it registers, revokes and fires, and knows nothing of the harness but the two
//! traits. Not here: what makes it sound or not, which is its store ([`super::store`]).

use super::lookup::Lookup;
use super::store::{CallbackStore, Kept, Key};
use super::sync::{AtomicBool, Ordering, OutsideArc};
use crate::emitter::{Api, Config, Emitter, Entry, Mode, Status, SubscriptionId};
use latecall::internal;
use latecall::internal::inside_callback;
use latecall::ledger::{Answer, Call, Contract, Witness};
use latecall::program::{CallbackId, Hostile, Site, Verb, VerbSet};
use latecall::subject::{Env, Offer, OpenError, Session, Subject};
use std::ffi::c_void;

/// Makes a store for a run.
pub type MakeStore = fn(&Env, Mode) -> Box<dyn CallbackStore>;

/// Makes the twin, for the model engine, of the subject with this name over an instrumented library.
pub type MakeTwin = fn(&str, &'static Api) -> Option<Box<dyn Subject>>;

/// The emitter in one mode, linked or loaded, with one kind of store.
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
    /// The emitter in this mode. It offers everything that the mode has and no hostile switch: see
    /// [`EmitterSubject::withstands`] and [`EmitterSubject::without`].
    pub fn new(name: impl Into<String>, mode: Mode, api: &'static Api, store: MakeStore) -> Self {
        let mut offer = Offer::new(verbs(mode)).with_sites(C_SITES);
        offer.capacity = (mode == Mode::Replace).then_some(1);
        EmitterSubject { name: name.into(), mode, api, store, offer }
    }

    /// The library's mode.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// It makes promises under these switches too.
    #[must_use]
    pub fn withstands(mut self, hostile: &[Hostile]) -> Self {
        self.offer.hostile.extend(hostile);
        self
    }

    /// Its store has these stall sites.
    #[must_use]
    pub fn with_sites(mut self, sites: &[Site]) -> Self {
        self.offer.sites.extend(sites);
        self
    }

    /// It does not offer these ops.
    #[must_use]
    pub fn without(mut self, verbs: &[Verb]) -> Self {
        self.offer.verbs = self.offer.verbs.minus(VerbSet::of(verbs));
        self
    }
}

/// The ops that a mode has.
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

    /// Its locks and atomics are those of the seam.
    fn all_seen(&self) -> bool {
        true
    }

    fn open(&self, env: &Env) -> Result<Box<dyn Session>, OpenError> {
        let mut config = Config::new(self.mode);
        config.workers = env.library_threads;
        config.hostile = env.hostile.iter().map(|h| 1 << *h as u32).sum();
        config.capacity = env.capacity.unwrap_or(0);
        config.fail_allocation = env.fail_allocation.unwrap_or(0);
        // The run's id: an integer, so that a call after the run is over is recognised instead of followed.
        config.owner = env.to_bits() as *mut c_void;
        config.stall = env.stalls.then_some(stalled);
        config.stall_data = config.owner;
        let store = (self.store)(env, self.mode);
        // SAFETY: 1. the hook reads nothing but the integer it is given.
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
    /// 0: another callback was put in its place.
    id: SubscriptionId,
    key: Key,
    /// Set by the first op that ends or replaces the subscription. Only one op may: an id that was replaced names its
    /// successor.
    claimed: OutsideArc<AtomicBool>,
}

impl Subscription {
    fn new(id: SubscriptionId, key: Key, claimed: bool) -> Self {
        Subscription { id, key, claimed: OutsideArc::new(AtomicBool::new(claimed)) }
    }

    /// The id, for the op that may end or replace the subscription.
    #[track_caller]
    fn claim(&self) -> Option<SubscriptionId> {
        // AcqRel: the first of several claims wins. No other data depends on it.
        (!self.claimed.swap(true, Ordering::AcqRel)).then_some(self.id)
    }
}

impl EmitterSession {
    /// Hands one callback over.
    fn subscribe(&self, kept: &Kept) -> Result<SubscriptionId, Status> {
        // SAFETY: 1. and 2. are what the store is for; those in `flawed` break them on purpose.
        unsafe { self.emitter.subscribe(kept.callback, kept.user_data, kept.destroy) }
    }

    /// Hands several over as one table, all or none.
    fn subscribe_table(&self, kept: &[Kept]) -> Result<Vec<SubscriptionId>, Status> {
        let table: Vec<_> =
            kept.iter().map(|k| Entry { callback: k.callback, user_data: k.user_data, destroy: k.destroy }).collect();
        // SAFETY: as in `subscribe`, for each entry. The table itself is copied by the library and dropped here (S07).
        unsafe { self.emitter.subscribe_table(&table) }
    }

    fn with(&self, callback: CallbackId, f: impl FnOnce(Subscription) -> Answer) -> Answer {
        self.subscriptions.get(callback).map_or(Answer::Skipped, f)
    }
}

/// What a firing answers. A subscription that is gone answers 0, because nothing was called.
fn fired((status, value): (Status, i64)) -> Answer {
    match status {
        Status::OK | Status::NOT_FOUND => Answer::Value(value),
        _ => Answer::Refused,
    }
}

impl Session for EmitterSession {
    fn register(&self, witnesses: Vec<Witness>) -> Answer {
        let callbacks: Vec<CallbackId> = witnesses.iter().map(Witness::callback).collect();
        let mut kept = Vec::new();
        for witness in witnesses {
            match self.store.keep(witness) {
                Ok(it) => kept.push(it),
                Err(_) => {
                    kept.iter().for_each(|k| self.store.refused(k.key));
                    return Answer::Refused;
                }
            }
        }
        let mut ids = Vec::new();
        let subscribed = if self.mode == Mode::Table {
            self.subscribe_table(&kept).map(|table| ids = table)
        } else {
            kept.iter().try_for_each(|k| self.subscribe(k).map(|id| ids.push(id)))
        };
        if subscribed.is_err() {
            // All or none: what the library has taken of them it gives back; what it refused it will never call.
            for id in &ids {
                self.emitter.unsubscribe_nowait(*id);
            }
            for (i, it) in kept.iter().enumerate() {
                if i < ids.len() {
                    self.store.revoke_and_wait(it.key);
                } else {
                    self.store.refused(it.key);
                }
            }
            return Answer::Refused;
        }
        for ((callback, it), id) in callbacks.into_iter().zip(&kept).zip(ids) {
            self.subscriptions.put(callback, Subscription::new(id, it.key, false));
        }
        Answer::Done
    }

    fn invoke(&self, witness: Witness, call: Call) -> Answer {
        let Ok(kept) = self.store.keep(witness) else { return Answer::Refused };
        let cookie = u64::from(call.cookie);
        // SAFETY: 1. the store keeps it until after the call.
        let result = unsafe { self.emitter.invoke(kept.callback, kept.user_data, cookie, call.a, call.b) };
        self.store.revoke_and_wait(kept.key);
        fired(result)
    }

    fn enumerate(&self, witness: Witness, count: u32, call: Call) -> Answer {
        let callback = witness.callback();
        let Ok(kept) = self.store.keep(witness) else { return Answer::Refused };
        let (cookie, count) = (u64::from(call.cookie), count as usize);
        // SAFETY: 1. the store keeps it until after the call.
        let result = unsafe { self.emitter.enumerate(kept.callback, kept.user_data, cookie, count, call.b) };
        self.store.revoke_and_wait(kept.key);
        let (status, calls, retained) = result;
        if retained != 0 {
            // A hostile library: it can be fired, and that is late.
            self.subscriptions.put(callback, Subscription::new(retained, kept.key, true));
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
            // A sound store is asked first. The library's destroy notify revokes too, and only the first of the two
            // gets the answer.
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
        let Ok(kept) = self.store.keep(witness) else { return Answer::Refused };
        // SAFETY: as in `subscribe`.
        let status = unsafe { self.emitter.replace(id, kept.callback, kept.user_data, kept.destroy) };
        if status.ok().is_err() {
            self.store.refused(kept.key);
            return Answer::Refused;
        }
        self.subscriptions.put(new, Subscription::new(id, kept.key, false));
        self.subscriptions.put(old, Subscription::new(0, was.key, true));
        self.store.revoke(was.key);
        Answer::Done
    }

    fn churn(&self, count: u32, make: &dyn Fn() -> Witness) -> Answer {
        for _ in 0..count {
            let Ok(kept) = self.store.keep(make()) else { continue };
            match self.subscribe(&kept) {
                Ok(id) => {
                    self.emitter.unsubscribe_nowait(id);
                    self.store.revoke_and_wait(kept.key);
                }
                Err(_) => self.store.refused(kept.key),
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
            // SAFETY: 1. the library refuses to be closed from inside one of its callbacks; should it not, using it
            // again is what the run would convict.
            let status = unsafe { self.emitter.close() };
            return if status == Status::CLOSING { Answer::Refused } else { Answer::Done };
        }
        for callback in self.subscriptions.keys() {
            self.revoke(callback);
        }
        // SAFETY: 1. the harness calls nothing after this.
        let status = unsafe { self.emitter.close() };
        if status == Status::OK { Answer::Done } else { Answer::Refused }
    }
}

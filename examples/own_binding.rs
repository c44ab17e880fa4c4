//! How to test your own binding of a C library. Run it by `cargo run --example own_binding`.
//!
//! A late call is a call of a callback after Rust has freed it. This example makes such calls happen, and shows that a
//! binding over [`Registry`] refuses them. It has four parts:
//!
//! 1. `mod bell`: a library that retains a callback. It stands in for your C library.
//! 2. `CALLBACKS`, `trampoline` and `Subscription`: the safe binding of that library.
//! 3. [`Subject`] and [`Session`]: how the harness drives the binding.
//! 4. `check`: the engines that run programs on the binding and judge what happens.
#![allow(clippy::disallowed_types, reason = "an example is outside the crate: it uses std's own locks")]

use latecall::engine::property::Property;
use latecall::engine::replay::Replay;
use latecall::engine::stress::Stress;
use latecall::engine::{Engine, report::Report};
use latecall::ledger::{Answer, Call, Quarantine, Witness};
use latecall::program::{CallbackId, Program, Site, Verb, VerbSet};
use latecall::registry::{Quiescence, Registration, Registry, Revoked};

use latecall::subject::{Env, Offer, OpenError, Session, Subject};
use std::collections::HashMap;
use std::ffi::c_void;
use std::sync::{Arc, Mutex};

/// Keeps freed memory readable during a run, so that a call of a freed callback is reported instead of crashing. Every
/// program that runs engines needs this allocator.
#[global_allocator]
static ALLOCATOR: Quarantine = Quarantine::new();

/// The library. It retains a function and a `void *`, and calls the function on the thread that calls `ring`.
/// `unsubscribe` does not wait for calls that are running.
mod bell {
    use std::ffi::c_void;
    use std::sync::Mutex;

    pub(crate) type Callback = unsafe extern "C" fn(user_data: *mut c_void, event: *const c_void) -> i64;

    /// Callback and user data of each subscription. A subscription is an index into this.
    static BELLS: Mutex<Vec<Option<(Callback, usize)>>> = Mutex::new(Vec::new());

    /// # Safety
    /// 1. `callback` may be called with `user_data` on any thread, also after `unsubscribe` has returned.
    pub(crate) unsafe fn subscribe(callback: Callback, user_data: *mut c_void) -> usize {
        let mut bells = BELLS.lock().unwrap();
        bells.push(Some((callback, user_data.expose_provenance())));
        bells.len() - 1
    }

    pub(crate) fn unsubscribe(subscription: usize) {
        BELLS.lock().unwrap()[subscription] = None;
    }

    /// # Safety
    /// 1. `event` is what the subscription's callback expects, and valid until this returns.
    pub(crate) unsafe fn ring(subscription: usize, event: *const c_void) -> i64 {
        let bell = BELLS.lock().unwrap()[subscription];
        // No lock is held from here on. If the owner unsubscribes and frees the callback now, the call below is late.
        // So the harness gets the chance to park this thread here. Outside of a run, `pass` does nothing.
        latecall::subject::pass(latecall::program::Site::BeforeCall);
        // SAFETY: the caller of `subscribe` guarantees (1), that the callback may be called with this user data at any
        // time. Our caller guarantees (1), that `event` is what the callback expects.
        bell.map_or(0, |(callback, user_data)| unsafe {
            callback(std::ptr::with_exposed_provenance_mut(user_data), event)
        })
    }
}

/// The binding's callbacks. As user data, C gets a handle, which is an integer and never a pointer to a callback.
static CALLBACKS: Registry<dyn Fn(&Call) -> i64 + Send + Sync> = Registry::new();

/// The function that the library calls, for every subscription.
///
/// # Safety
/// 1. `event` points to a [`Call`] that is valid until this returns. `user_data` may have any value.
unsafe extern "C" fn trampoline(user_data: *mut c_void, event: *const c_void) -> i64 {
    // SAFETY: our caller guarantees (1), that `event` points to a valid `Call`.
    let call = unsafe { &*event.cast::<Call>() };
    CALLBACKS.call(user_data, |f| f(call)).unwrap_or_else(|_late| {
        latecall::subject::late(call); // tells the harness; production code would log `_late`, which displays a report
        0 // what the library gets in place of a result
    })
}

/// A subscription, as a user of the binding owns it.
struct Subscription {
    bell: usize,
    registration: Registration<'static, dyn Fn(&Call) -> i64 + Send + Sync>,
}

/// The subject: the name of the binding, and the operations that it offers.
struct Bell;

impl Subject for Bell {
    fn name(&self) -> &str {
        "bell"
    }

    fn offer(&self) -> Offer {
        use Verb::{Fire, Hold, Open, Reach, Register, Revoke, RevokeAndWait, Stall};
        let verbs = VerbSet::of(&[Register, Fire, Revoke, RevokeAndWait, Hold, Open, Reach, Stall]);
        Offer::new(verbs).with_sites([Site::BeforeCall])
    }

    fn open(&self, _env: &Env) -> Result<Box<dyn Session>, OpenError> {
        Ok(Box::<BellSession>::default())
    }
}

/// The binding's state in one run: the subscription of each callback.
#[derive(Default)]
struct BellSession(Mutex<HashMap<CallbackId, Arc<Subscription>>>);

impl BellSession {
    fn with(&self, callback: CallbackId, f: impl FnOnce(&Subscription) -> Answer) -> Answer {
        let subscription = self.0.lock().unwrap().get(&callback).cloned();
        subscription.map_or(Answer::Skipped, |it| f(&it))
    }
}

impl Session for BellSession {
    fn register(&self, witnesses: Vec<Witness>) -> Answer {
        for witness in witnesses {
            let callback = witness.callback();
            // The closure is a witness: it reports to the harness when it is called and when it is dropped.
            let registration = CALLBACKS.register(Box::new(move |call| witness.call(call)));
            // SAFETY: (1) `trampoline` accepts any user data on any thread at any time, and `fire` passes a `Call`.
            let bell = unsafe { bell::subscribe(trampoline, registration.handle().as_ptr()) };
            self.0.lock().unwrap().insert(callback, Arc::new(Subscription { bell, registration }));
        }
        Answer::Done
    }

    fn fire(&self, callback: CallbackId, call: Call) -> Answer {
        // SAFETY: (1) `trampoline` expects a `Call`, and `call` lives until this function returns.
        self.with(callback, |it| Answer::Value(unsafe { bell::ring(it.bell, (&raw const call).cast()) }))
    }

    fn revoke(&self, callback: CallbackId) -> Answer {
        self.with(callback, |it| {
            bell::unsubscribe(it.bell);
            match it.registration.revoke() {
                Revoked::Removed => Answer::Removed,
                Revoked::InFlight(n) => Answer::InFlight(n),
                Revoked::AlreadyRevoked => Answer::AlreadyRevoked,
                _ => Answer::Done, // no other variant yet; `Done` claims nothing
            }
        })
    }

    fn revoke_and_wait(&self, callback: CallbackId) -> Answer {
        self.with(callback, |it| {
            bell::unsubscribe(it.bell);
            match it.registration.revoke_and_wait() {
                Quiescence::Quiescent => Answer::Quiescent,
                Quiescence::DeferredToOuterFrame => Answer::Deferred,
                _ => Answer::Done, // the callback may still be running; `Done` claims nothing
            }
        })
    }

    fn shutdown(&self) -> Answer {
        let all = std::mem::take(&mut *self.0.lock().unwrap());
        all.values().for_each(|it| bell::unsubscribe(it.bell));
        Answer::Done // `all` is dropped here: dropping a registration revokes it and waits
    }
}

/// A program that forces a late call. The first thread has loaded the callback and is parked (`stall`). The second
/// thread waits for that (`reach`), revokes the callback, and lets the first thread go on (`open`). The binding must
/// refuse the call.
const ON_ITS_WAY: &str = "
callback a
before
  register a
thread
  stall before_call g
  fire a = late
thread
  reach g
  revoke a = removed
  open g
";

/// Runs three engines on the binding: `Replay` runs the program above, `Property` generates programs, and `Stress`
/// repeats generated programs with random delays.
fn check() -> Vec<Report> {
    let programs = vec![Program::parse(ON_ITS_WAY).expect("ON_ITS_WAY is a valid program")];
    let engines: [&dyn Engine; 3] = [&Replay::new(programs).repeat(3), &Property::new().cases(300), &Stress::new()];
    engines.iter().map(|engine| engine.check(&Bell, &mut |_| ())).collect()
}

fn main() {
    let mut sound = true;
    for report in check() {
        println!(
            "{}: programs {}, calls {}, late calls defused {}",
            report.engine, report.programs, report.calls, report.defused
        );
        if let Some(finding) = &report.finding {
            println!("{}\n{}{}", finding.violation, finding.program, finding.timeline.join("\n"));
        }
        if let Some(error) = &report.error {
            println!("no verdict: {error}");
        }
        sound &= report.is_clean();
    }
    std::process::exit(if sound { 0 } else { 1 });
}

#[test]
fn the_binding_is_sound() {
    for report in check() {
        assert!(report.is_clean(), "{report:#?}");
        assert!(report.calls + report.defused > 0, "{} ran nothing", report.engine);
    }
}

//! A binding of one's own under the engines: `cargo run --example own_binding`.
//!
//! Three parts: a library that retains a callback (`bell`, which stands in for yours), a safe binding of it over
//! [`Registry`], and what the harness needs to drive the binding: [`Subject`] and [`Session`].
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

/// A dangling callback is named by the ledger instead of crashing: every program that runs engines needs this.
#[global_allocator]
static ALLOCATOR: Quarantine = Quarantine::new();

/// The library: retains a function and a `void *`, and calls from whichever thread rings. Unsubscribing does not wait.
mod bell {
    use std::ffi::c_void;
    use std::sync::Mutex;

    pub(crate) type Callback = unsafe extern "C" fn(user_data: *mut c_void, event: *const c_void) -> i64;

    /// Callback and user data; a subscription is an index.
    static BELLS: Mutex<Vec<Option<(Callback, usize)>>> = Mutex::new(Vec::new());

    pub(crate) fn subscribe(callback: Callback, user_data: *mut c_void) -> usize {
        let mut bells = BELLS.lock().unwrap();
        bells.push(Some((callback, user_data.expose_provenance())));
        bells.len() - 1
    }

    pub(crate) fn unsubscribe(subscription: usize) {
        BELLS.lock().unwrap()[subscription] = None;
    }

    pub(crate) fn ring(subscription: usize, event: *const c_void) -> i64 {
        let bell = BELLS.lock().unwrap()[subscription];
        // No lock is held from here: the owner may unsubscribe and free now, and the call comes late. So this is where tests
        // want to park a thread; outside of a run it does nothing.
        latecall::subject::pass(latecall::program::Site::BeforeCall);
        // SAFETY: what the subscriber promised when it subscribed.
        bell.map_or(0, |(callback, user_data)| unsafe {
            callback(std::ptr::with_exposed_provenance_mut(user_data), event)
        })
    }
}

/// The binding's callbacks. C is given integers, never a pointer to one of these.
static CALLBACKS: Registry<dyn Fn(&Call) -> i64 + Send + Sync> = Registry::new();

/// The one function that the library is ever given.
unsafe extern "C" fn trampoline(user_data: *mut c_void, event: *const c_void) -> i64 {
    // SAFETY: the library passes on what `ring` was given, which lives until `ring` returns.
    let call = unsafe { &*event.cast::<Call>() };
    CALLBACKS.call(user_data, |f| f(call)).unwrap_or_else(|_late| {
        latecall::subject::late(call); // for the harness; production code would log the report that it has here
        0
    })
}

/// A subscription, as the binding's users would own it.
struct Subscription {
    bell: usize,
    registration: Registration<'static, dyn Fn(&Call) -> i64 + Send + Sync>,
}

/// The subject: what the binding is called, and what it can do.
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

/// One run's use of the binding.
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
            // A witness is given to the binding as a user would give a closure.
            let registration = CALLBACKS.register(Box::new(move |call| witness.call(call)));
            let bell = bell::subscribe(trampoline, registration.handle().as_ptr());
            self.0.lock().unwrap().insert(callback, Arc::new(Subscription { bell, registration }));
        }
        Answer::Done
    }

    fn fire(&self, callback: CallbackId, call: Call) -> Answer {
        self.with(callback, |it| Answer::Value(bell::ring(it.bell, (&raw const call).cast())))
    }

    fn revoke(&self, callback: CallbackId) -> Answer {
        self.with(callback, |it| {
            bell::unsubscribe(it.bell);
            match it.registration.revoke() {
                Revoked::Removed => Answer::Removed,
                Revoked::InFlight(n) => Answer::InFlight(n),
                Revoked::AlreadyRevoked => Answer::AlreadyRevoked,
                _ => Answer::Done, // it does not say
            }
        })
    }

    fn revoke_and_wait(&self, callback: CallbackId) -> Answer {
        self.with(callback, |it| {
            bell::unsubscribe(it.bell);
            match it.registration.revoke_and_wait() {
                Quiescence::Quiescent => Answer::Quiescent,
                Quiescence::DeferredToOuterFrame => Answer::Deferred,
                _ => Answer::Done, // it does not say
            }
        })
    }

    fn shutdown(&self) -> Answer {
        let all = std::mem::take(&mut *self.0.lock().unwrap());
        all.values().for_each(|it| bell::unsubscribe(it.bell));
        Answer::Done // dropping the registrations revokes them, and waits
    }
}

/// A program of one's own, beside the generated ones: the call is on its way, the owner revokes, the call arrives.
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

fn check() -> Vec<Report> {
    let programs = vec![Program::parse(ON_ITS_WAY).expect("a program")];
    let engines: [&dyn Engine; 3] = [&Replay::new(programs).repeat(3), &Property::new().cases(300), &Stress::new()];
    engines.iter().map(|engine| engine.check(&Bell, &mut |_| ())).collect()
}

fn main() {
    let mut sound = true;
    for report in check() {
        println!(
            "{}: {} programs, {} calls, {} late calls defused",
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

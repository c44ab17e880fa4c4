//! Stores with one known defect each: what the engines must convict.
//!
//! Each is a pattern that real crates have shipped, over the same binding as the sound ones, so that nothing but the
//! defect differs. [`FLAWS`] lists them: for each the library's mode that brings the defect out, what it must be
//! convicted of, by which engines, and a program that convicts it.
//!
//! How the parts fit: [`boxes`] give the library a pointer to memory of their own; [`tables`] give it a number that
//! they look up; [`counts`] count the calls inside, wrongly; [`waiter`] frees what its waker uses. All break the
//! soundness contract of [`CallbackStore`] on purpose: run them under the quarantine only.

pub mod boxes;
pub mod counts;
pub mod tables;
pub mod waiter;

use super::binding::{EmitterSubject, MakeStore};
#[cfg(doc)]
use super::store::CallbackStore;
use crate::emitter::{Api, Mode};
use latecall::ledger::ViolationKind;
use latecall::program::{Hostile, Site, Verb};
use latecall::subject::KnownFlaw;

/// A subject with a defect.
#[derive(Debug)]
pub struct Flaw {
    /// The defect, what it must be convicted of, and by which engines.
    pub known: KnownFlaw,
    /// The mode of the library that brings it out.
    pub mode: Mode,
    /// Ops that would bring out something else than the defect.
    without: &'static [Verb],
    /// Switches of the library that the defect needs.
    hostile: &'static [Hostile],
    sites: &'static [Site],
    store: MakeStore,
    /// It kills the process: run it in a child only.
    pub crashes: bool,
}

impl Flaw {
    /// The subject.
    pub fn subject(&self, api: &'static Api) -> EmitterSubject {
        EmitterSubject::new(self.known.name, self.mode, api, self.store)
            .without(self.without)
            .withstands(self.hostile)
            .with_sites(self.sites)
    }
}

const ALL: &[&str] = &["replay", "property", "stress", "model"];
/// What generated programs do not contain.
const WRITTEN: &[&str] = &["replay", "model"];

/// Every defect.
pub static FLAWS: &[Flaw] = &[
    Flaw {
        known: KnownFlaw {
            name: "flawed/raw-box",
            defect: "the box is freed when unsubscribe has returned, and unsubscribe does not wait",
            seen_in: "hand-written bindings of timer_delete and event_del_noblock; speech-sdk-rs issue 37",
            convicted_of: &[ViolationKind::FreedInFlight, ViolationKind::LateCall],
            convicted_by: ALL,
            program: include_str!("programs/raw-box.latecall"),
        },
        mode: Mode::Returns,
        without: &[Verb::Exclusive, Verb::Confined, Verb::Panic, Verb::Forget],
        hostile: &[],
        sites: &[Site::BeforeAcquire],
        store: |_, _| Box::new(boxes::RawBox::freed_by_owner()),
        crashes: false,
    },
    Flaw {
        known: KnownFlaw {
            name: "flawed/freed-by-both",
            defect: "the owner frees at unsubscribe, and the destroy notify frees too",
            seen_in: "SQLite's xDestroy on a failed create_function (four projects); go-gst",
            // The owner's free is the one too many: it can also come while a call is running, or is about to.
            convicted_of: &[ViolationKind::DoubleDrop, ViolationKind::FreedInFlight, ViolationKind::LateCall],
            convicted_by: ALL,
            program: include_str!("programs/freed-by-both.latecall"),
        },
        mode: Mode::Deferred,
        without: &[Verb::Exclusive, Verb::Confined, Verb::Panic, Verb::Forget, Verb::Release],
        hostile: &[],
        sites: &[Site::BeforeAcquire],
        store: |_, _| Box::new(boxes::RawBox::freed_by_both()),
        crashes: false,
    },
    Flaw {
        known: KnownFlaw {
            name: "flawed/freed-by-self",
            defect: "a callback that revokes itself frees the closure that is running",
            seen_in: "libpulse-binding issue 56; native-windows-gui PR 256; rusqlite PR 1899",
            // Where two threads revoke at once, the second frees while the first still waits for the call.
            convicted_of: &[ViolationKind::FreedInFlight, ViolationKind::LateCall],
            convicted_by: ALL,
            program: include_str!("programs/freed-by-self.latecall"),
        },
        mode: Mode::Waits,
        without: &[Verb::Exclusive, Verb::Confined, Verb::Panic, Verb::Forget, Verb::Release, Verb::Revoke],
        hostile: &[],
        sites: &[Site::BeforeAcquire],
        store: |_, _| Box::new(boxes::RawBox::freed_by_owner()),
        crashes: false,
    },
    Flaw {
        known: KnownFlaw {
            name: "flawed/leak-on-refusal",
            defect: "a registration that the library refuses never frees its closure",
            seen_in: "rusqlite PR 839 (create_collation); sqlx",
            convicted_of: &[ViolationKind::Leak],
            convicted_by: WRITTEN,
            program: include_str!("programs/leak-on-refusal.latecall"),
        },
        mode: Mode::Deferred,
        without: &[Verb::Exclusive, Verb::Confined, Verb::Panic, Verb::Forget, Verb::Release],
        hostile: &[],
        sites: &[Site::BeforeAcquire],
        store: |_, _| Box::new(boxes::LeakOnRefusal),
        crashes: false,
    },
    Flaw {
        known: KnownFlaw {
            name: "flawed/fn-mut-shared",
            defect: "an FnMut is called through a shared pointer: two calls get `&mut` to it at once",
            seen_in: "rlua issue 49; nvim-oxi issue 28; glow's debug callback",
            convicted_of: &[ViolationKind::ConcurrentFnMut],
            convicted_by: ALL,
            program: include_str!("programs/fn-mut-shared.latecall"),
        },
        mode: Mode::Waits,
        without: &[Verb::Confined, Verb::Panic],
        hostile: &[],
        sites: &[],
        store: |env, _| Box::new(counts::Counted::new(env, counts::Defect::SharedFnMut)),
        crashes: false,
    },
    Flaw {
        known: KnownFlaw {
            name: "flawed/any-thread",
            defect: "a closure that is not `Send` runs on whatever thread the library likes",
            seen_in: "paho-mqtt; rusb's Hotplug; ndk's ForeignLooper",
            convicted_of: &[ViolationKind::WrongThread],
            convicted_by: ALL,
            program: include_str!("programs/any-thread.latecall"),
        },
        mode: Mode::Waits,
        without: &[Verb::Exclusive, Verb::Panic],
        hostile: &[],
        sites: &[],
        store: |env, _| Box::new(counts::Counted::new(env, counts::Defect::AnyThread)),
        crashes: false,
    },
    Flaw {
        known: KnownFlaw {
            name: "flawed/panic-passes",
            defect: "a panic of the callback is let into C",
            seen_in: "sdl2's audio callbacks; libpulse-binding; heed's comparator",
            convicted_of: &[ViolationKind::UnwindEscaped],
            convicted_by: ALL,
            program: include_str!("programs/panic-passes.latecall"),
        },
        mode: Mode::Waits,
        // On a library's own thread an uncaught panic ends the process.
        without: &[Verb::Exclusive, Verb::Confined, Verb::Send, Verb::Post, Verb::Barrier],
        hostile: &[],
        sites: &[],
        store: |env, _| Box::new(counts::Counted::new(env, counts::Defect::PanicPasses)),
        crashes: false,
    },
    Flaw {
        known: KnownFlaw {
            name: "flawed/rejects-all",
            defect: "every call is turned away as late",
            seen_in: "no crate: soundness that delivers nothing must not pass",
            convicted_of: &[ViolationKind::LostCall],
            convicted_by: ALL,
            program: include_str!("programs/rejects-all.latecall"),
        },
        mode: Mode::Waits,
        without: &[],
        hostile: &[],
        sites: &[],
        store: |env, _| Box::new(counts::Counted::new(env, counts::Defect::RejectsAll)),
        crashes: false,
    },
    Flaw {
        known: KnownFlaw {
            name: "flawed/check-then-call",
            defect: "the entry is checked under a lock, and called after the lock was let go",
            seen_in: "wayland-backend issue 884; libusb's hotplug list",
            convicted_of: &[ViolationKind::FreedInFlight, ViolationKind::LateCall],
            convicted_by: ALL,
            program: include_str!("programs/check-then-call.latecall"),
        },
        mode: Mode::Returns,
        without: &[Verb::Exclusive, Verb::Confined, Verb::Panic],
        hostile: &[],
        sites: &[Site::BeforeAcquire, Site::AfterAcquire],
        store: |env, _| Box::new(tables::Table::new(env, tables::Defect::CheckThenCall)),
        crashes: false,
    },
    Flaw {
        known: KnownFlaw {
            name: "flawed/no-generation",
            defect: "a slot is reused and its number is all that the library holds",
            seen_in: "perry-ffi's and dioxus's free lists; c2pa-rs PR 2559; mssql-rs issue 422",
            // A stale number can also be revoked: then it is the new tenant that is gone and whose calls are lost, and
            // the old one that was not waited for.
            convicted_of: &[ViolationKind::Aliased, ViolationKind::LostCall, ViolationKind::RunningAfterQuiescence],
            convicted_by: ALL,
            program: include_str!("programs/no-generation.latecall"),
        },
        mode: Mode::Returns,
        without: &[Verb::Exclusive, Verb::Confined, Verb::Panic],
        hostile: &[Hostile::Late],
        sites: &[],
        store: |env, _| Box::new(tables::Table::new(env, tables::Defect::NoGeneration)),
        crashes: false,
    },
    Flaw {
        known: KnownFlaw {
            name: "flawed/generation-wraps",
            defect: "a generation of two bits starts again at 0: every fourth tenant of a slot has the same handle",
            seen_in: "slot maps that wrap (slotmap after 2^31, ffi-support after 2^15), made small",
            // A stale number can also be revoked: then it is the new tenant that is gone and whose calls are lost, and
            // the old one that was not waited for.
            convicted_of: &[ViolationKind::Aliased, ViolationKind::LostCall, ViolationKind::RunningAfterQuiescence],
            convicted_by: WRITTEN,
            program: include_str!("programs/generation-wraps.latecall"),
        },
        mode: Mode::Returns,
        without: &[Verb::Exclusive, Verb::Confined, Verb::Panic],
        hostile: &[Hostile::Late],
        sites: &[],
        store: |env, _| Box::new(tables::Table::new(env, tables::Defect::GenerationWraps)),
        crashes: false,
    },
    Flaw {
        known: KnownFlaw {
            name: "flawed/no-wait",
            defect: "revoke_and_wait drops its own reference and does not wait",
            seen_in: "hiroz issue 287; zenoh-c issue 986",
            convicted_of: &[ViolationKind::RunningAfterQuiescence, ViolationKind::StartedAfterQuiescence],
            convicted_by: ALL,
            program: include_str!("programs/no-wait.latecall"),
        },
        mode: Mode::Returns,
        without: &[Verb::Exclusive, Verb::Confined, Verb::Panic],
        hostile: &[],
        sites: &[Site::BeforeAcquire, Site::AfterAcquire],
        store: |env, _| Box::new(counts::Counted::new(env, counts::Defect::NoWait)),
        crashes: false,
    },
    Flaw {
        known: KnownFlaw {
            name: "flawed/still-listed",
            defect: "revoke_and_wait waits for running calls, and leaves the entry where the next call finds it",
            seen_in: "efsw issue 112 and other watchers that stop the thread and keep the list",
            // What is still listed can also be entered between the wait and its answer.
            convicted_of: &[
                ViolationKind::StartedAfterQuiescence,
                ViolationKind::LateCall,
                ViolationKind::RunningAfterQuiescence,
            ],
            convicted_by: ALL,
            program: include_str!("programs/still-listed.latecall"),
        },
        mode: Mode::Returns,
        without: &[Verb::Exclusive, Verb::Confined, Verb::Panic],
        hostile: &[Hostile::Late],
        sites: &[Site::BeforeAcquire, Site::AfterAcquire],
        store: |env, _| Box::new(counts::Counted::new(env, counts::Defect::StillListed)),
        crashes: false,
    },
    Flaw {
        known: KnownFlaw {
            name: "flawed/waits-for-itself",
            defect: "revoke_and_wait counts the calling thread's own frame, and waits for it",
            seen_in: "nng issue 508; any single count without the stack of the caller",
            convicted_of: &[ViolationKind::Deadlock],
            convicted_by: ALL,
            program: include_str!("programs/waits-for-itself.latecall"),
        },
        mode: Mode::Returns,
        without: &[Verb::Exclusive, Verb::Confined, Verb::Panic],
        hostile: &[],
        sites: &[Site::BeforeAcquire, Site::AfterAcquire],
        store: |env, _| Box::new(counts::Counted::new(env, counts::Defect::WaitsForItself)),
        crashes: false,
    },
    Flaw {
        known: KnownFlaw {
            name: "flawed/one-thread-id",
            defect: "the last thread to enter is remembered as the one inside, so an outer frame of this thread is waited for",
            seen_in: "folly's and .NET's single executing-thread id, where calls nest",
            // A thread that is wrongly taken for the one inside does not wait, either.
            convicted_of: &[ViolationKind::Deadlock, ViolationKind::LateCall, ViolationKind::RunningAfterQuiescence],
            convicted_by: WRITTEN,
            program: include_str!("programs/one-thread-id.latecall"),
        },
        mode: Mode::Returns,
        without: &[Verb::Exclusive, Verb::Confined, Verb::Panic],
        hostile: &[],
        sites: &[Site::BeforeAcquire, Site::AfterAcquire],
        store: |env, _| Box::new(counts::Counted::new(env, counts::Defect::OneThreadId)),
        crashes: false,
    },
    Flaw {
        known: KnownFlaw {
            name: "flawed/waiter-frees-lock",
            defect: "the waiter that is woken frees the lock and the condition that the waker is still using",
            seen_in: "counting scopes that notify after the last decrement; the mutex-destroy race",
            convicted_of: &[ViolationKind::FreedInFlight],
            convicted_by: ALL,
            program: include_str!("programs/waiter-frees-lock.latecall"),
        },
        mode: Mode::Returns,
        // Its one verb waits.
        without: &[Verb::Exclusive, Verb::Confined, Verb::Panic, Verb::Forget, Verb::Revoke],
        hostile: &[],
        sites: &[Site::BeforeAcquire, Site::AfterAcquire, Site::BeforeRelease, Site::AfterRelease],
        store: |env, _| Box::new(waiter::WaiterFrees::new(env)),
        crashes: false,
    },
    Flaw {
        known: KnownFlaw {
            name: "flawed/unmapped",
            defect: "what the user data points at is unmapped at unsubscribe, and a late call jumps there",
            seen_in: "libffi-rs issue 26 (Closure::code_ptr)",
            // Where the call that it is unmapped under has done its work, it gets away with that.
            convicted_of: &[ViolationKind::Crashed, ViolationKind::FreedInFlight],
            // Not by the model: it would take the search down with it.
            convicted_by: &["replay", "property", "stress"],
            program: include_str!("programs/unmapped.latecall"),
        },
        mode: Mode::Returns,
        without: &[Verb::Exclusive, Verb::Confined, Verb::Panic, Verb::Forget],
        hostile: &[Hostile::Late, Hostile::FireAtexit],
        sites: &[Site::BeforeAcquire],
        store: |_, _| Box::new(boxes::Unmapped::default()),
        crashes: true,
    },
];

//! Stores with one known defect each, which the engines must convict.
//!
//! Each store has a pattern of real code. The binding is that of the sound subjects, so nothing but the defect differs.
//! [`FLAWS`] lists the subjects. Each entry says which mode of the library shows the defect, what the subject must be
//! convicted of, and by which engines, and has a program that convicts it.
//!
//! How the parts fit:
//!
//! * [`boxes`]: user data is a pointer to the witness.
//! * [`tables`]: user data is a number that the store looks up in a table of slots.
//! * [`counts`]: the store counts the calls inside, and makes a mistake with it.
//! * [`waiter`]: the thread that waits frees what the thread that wakes it still uses.
//!
//! All of them break the contract of [`CallbackStore`] on purpose. Run them under the quarantine only.

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
    /// The defect, what the subject must be convicted of, and by which engines.
    pub known: KnownFlaw,
    /// The mode of the library that shows the defect.
    pub mode: Mode,
    /// Ops that the subject does not offer, because they would show something else than the defect.
    without: &'static [Verb],
    /// Hostile switches of the library that the defect needs.
    hostile: &'static [Hostile],
    /// The stall sites of the store.
    sites: &'static [Site],
    store: MakeStore,
    /// The defect crashes the process: run the subject in a child process only.
    pub crashes: bool,
}

impl Flaw {
    /// The subject with this defect, over the library of `api`.
    pub fn subject(&self, api: &'static Api) -> EmitterSubject {
        EmitterSubject::new(self.known.name, self.mode, api, self.store)
            .without(self.without)
            .withstands(self.hostile)
            .with_sites(self.sites)
    }
}

/// All engines.
const ALL: &[&str] = &["replay", "property", "stress", "model"];
/// The engines that run programs written by hand: for defects that generated programs do not reach.
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
            // The owner's free is the wrong one. It can also come while a call is running or about to run.
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
            // If two threads revoke at the same time, the second frees the box while the first still waits for the
            // call.
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
        // On a thread of the library, an uncaught panic ends the process.
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
            // A stale number can also be revoked. Then the slot's new callback is revoked and its calls are lost, and
            // the old callback was not waited for.
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
            defect: "a generation of two bits starts again at 0: every fourth registration in a slot has the same handle",
            seen_in: "slot maps whose generation wraps (slotmap after 2^31, ffi-support after 2^15); here after 4",
            // A stale number can also be revoked. Then the slot's new callback is revoked and its calls are lost, and
            // the old callback was not waited for.
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
            // A call can also enter the listed entry between the wait and the answer.
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
            // A thread that is wrongly taken for the one inside does not wait, although it has to.
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
        // The store has one way to revoke, which waits.
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
            // A call that no longer needs the page when it is unmapped does not crash.
            convicted_of: &[ViolationKind::Crashed, ViolationKind::FreedInFlight],
            // Not by the model engine: the crash would end the search.
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

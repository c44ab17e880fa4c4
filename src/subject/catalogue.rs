//! Every bundled subject by name: the sound ones, and the ones in `flawed`.
//!
//! Not here: what each flaw is (`flawed`), and which of the subjects a filter on the command line means (`gate::select`).

use super::super::flawed::{FLAWS, Flaw};
use super::binding::EmitterSubject;
use super::locked::LockedKeeper;
use super::registry::RegistryKeeper;
use crate::emitter::{Api, Mode};
use crate::program::{Hostile, Site};

/// A bundled subject.
#[derive(Debug)]
pub struct Bundled {
    /// What it is.
    pub subject: EmitterSubject,
    /// Its defect; `None`: it is sound, as far as anybody knows.
    pub flaw: Option<&'static Flaw>,
}

/// The switches that a sound subject withstands: all of them. Firing from `atexit` never ends within a run, so that engines
/// generate no program with it: those are written by hand (`tests/process_exit.rs`).
const WITHSTOOD: &[Hostile] = &[
    Hostile::Late,
    Hostile::Twice,
    Hostile::Concurrent,
    Hostile::NotifyEarly,
    Hostile::NotifyTwice,
    Hostile::NotifyNever,
    Hostile::NotifyBeforeDrain,
    Hostile::FireOnClose,
    Hostile::FireTlsDestructor,
    Hostile::FireAtexit,
    Hostile::WrongUserData,
];

const REGISTRY_SITES: &[Site] = &[
    Site::BeforeAcquire,
    Site::AfterAcquire,
    Site::BeforeRelease,
    Site::AfterRelease,
    Site::Revoked,
    Site::TombstoneWritten,
    Site::SlotListed,
];

const LOCKED_SITES: &[Site] = &[Site::BeforeAcquire, Site::AfterAcquire, Site::BeforeRelease, Site::AfterRelease];

/// Every bundled subject: `registry/MODE` and `locked/MODE` over the library that `api` names, then the flawed ones.
pub fn every(api: &'static Api) -> Vec<Bundled> {
    let mut all = registry("registry", api);
    for mode in Mode::ALL {
        let subject = EmitterSubject::new(format!("locked/{}", mode.name()), mode, api, |env, mode| {
            Box::new(LockedKeeper::new(env.to_bits(), mode == Mode::Once))
        });
        all.push(Bundled { subject: subject.withstands(WITHSTOOD).with_sites(LOCKED_SITES), flaw: None });
    }
    all.extend(FLAWS.iter().map(|flaw| Bundled { subject: flaw.subject(api), flaw: Some(flaw) }));
    all
}

/// `loaded/registry/MODE`: the registry over a library that was loaded at run time, under names of their own, so that one
/// gate runs both.
pub fn loaded(api: &'static Api) -> Vec<Bundled> {
    registry("loaded/registry", api)
}

fn registry(prefix: &str, api: &'static Api) -> Vec<Bundled> {
    let bundled = |mode: &Mode| {
        let subject = EmitterSubject::new(format!("{prefix}/{}", mode.name()), *mode, api, |_, mode| {
            Box::new(RegistryKeeper::new(mode == Mode::Once))
        });
        Bundled { subject: subject.withstands(WITHSTOOD).with_sites(REGISTRY_SITES), flaw: None }
    };
    Mode::ALL.iter().map(bundled).collect()
}

/// The model's twin of a bundled subject over another instrumented library: a changed copy of the bundled one, say, whose
/// fault the model is to find. `None`: no bundled subject has this name, or what it does to its process it would do to the
/// search.
pub fn modelled_over(name: &str, api: &'static Api) -> Option<Box<dyn super::Subject>> {
    let twin = crate::loomed::subject::catalogue::find(name, api)?;
    let crashes = twin.flaw.is_some_and(|flaw| flaw.crashes);
    (!crashes).then(|| Box::new(twin.subject) as Box<dyn super::Subject>)
}

/// The bundled subject with this name.
pub fn find(name: &str, api: &'static Api) -> Option<Bundled> {
    use super::Subject;
    every(api).into_iter().find(|it| it.subject.name() == name)
}

//! Every bundled subject by name: the sound ones, and the ones in `flawed`.
//!
//! Not here: what each flaw is (`flawed`), and which of the subjects a filter on the command line means (`gate::select`
//! of the package `latecall`).

use super::binding::EmitterSubject;
use super::flawed::{FLAWS, Flaw};
use super::locked::LockedStore;
use super::registry::RegistryStore;
use crate::emitter::{Api, LoadError, Mode, bundled_object};
use latecall::program::{Hostile, Site};
use latecall::subject::{self, Library, LibraryError, Subject};

/// A bundled subject.
#[derive(Debug)]
pub struct Bundled {
    /// What it is.
    pub subject: EmitterSubject,
    /// Its defect; `None`: it is taken for sound.
    pub flaw: Option<&'static Flaw>,
}

/// The switches that a sound subject withstands: all of them. Firing from `atexit` never ends within a run, so that
/// engines generate no program with it: those are written by hand (`tests/process_exit.rs`).
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
            Box::new(LockedStore::new(env.to_bits(), mode == Mode::Once))
        });
        all.push(Bundled { subject: subject.withstands(WITHSTOOD).with_sites(LOCKED_SITES), flaw: None });
    }
    all.extend(FLAWS.iter().map(|flaw| Bundled { subject: flaw.subject(api), flaw: Some(flaw) }));
    all
}

/// `loaded/registry/MODE`: the registry over a library that was loaded at run time, under names of their own, so that
/// one gate runs both.
pub fn loaded(api: &'static Api) -> Vec<Bundled> {
    registry("loaded/registry", api)
}

fn registry(prefix: &str, api: &'static Api) -> Vec<Bundled> {
    let bundled = |mode: &Mode| {
        let subject = EmitterSubject::new(format!("{prefix}/{}", mode.name()), *mode, api, |_, mode| {
            Box::new(RegistryStore::new(mode == Mode::Once))
        });
        Bundled { subject: subject.withstands(WITHSTOOD).with_sites(REGISTRY_SITES), flaw: None }
    };
    Mode::ALL.iter().map(bundled).collect()
}

/// The twin of a bundled subject over another instrumented library: a changed copy of the bundled one, say, whose fault
/// the model engine has to find. `None`: no bundled subject has this name, or it would do to the search what it does to
/// its process.
pub fn modelled_over(name: &str, api: &'static Api) -> Option<Box<dyn Subject>> {
    super::TWIN?(name, api)
}

/// The bundled subject with this name.
pub fn find(name: &str, api: &'static Api) -> Option<Bundled> {
    every(api).into_iter().find(|it| it.subject.name() == name)
}

impl Bundled {
    fn entry(self) -> subject::Entry {
        let mode = self.subject.mode().name();
        let entry = match self.flaw {
            None => subject::Entry::sound(self.subject),
            Some(flaw) => subject::Entry::flawed(self.subject, flaw.known),
        };
        entry.with_variant(mode)
    }
}

/// Every bundled subject, for the gate. Over the linked library that includes the registry over the bundled shared
/// object, under names of its own (`loaded/registry/MODE`).
#[derive(Debug, Clone, Copy)]
pub struct Catalogue;

/// The catalogue.
pub const BUNDLED: &Catalogue = &Catalogue;

impl subject::Catalogue for Catalogue {
    fn list(&self, library: &Library) -> Result<Vec<subject::Entry>, LibraryError> {
        let api = api(library)?;
        let mut all = every(api);
        if *library == Library::Linked {
            let flawed = all.iter().position(|it| it.flaw.is_some()).unwrap_or(all.len());
            all.splice(flawed..flawed, loaded(api)); // to be listed: `find` loads the object
        }
        Ok(all.into_iter().map(Bundled::entry).collect())
    }

    fn find(&self, name: &str, library: &Library) -> Result<Option<subject::Entry>, LibraryError> {
        let named = |it: &Bundled| it.subject.name() == name;
        if *library == Library::Linked && loaded(Api::linked()).iter().any(named) {
            let api = Api::load(&bundled_object())?;
            return Ok(loaded(api).into_iter().find(named).map(Bundled::entry));
        }
        Ok(every(api(library)?).into_iter().find(named).map(Bundled::entry))
    }
}

/// The functions of a library.
fn api(library: &Library) -> Result<&'static Api, LoadError> {
    match library {
        Library::Object(path) => Api::load(path),
        _ => Ok(Api::linked()),
    }
}

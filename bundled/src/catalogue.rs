//! Every bundled subject by name: the sound ones, and the ones in `flawed`.
//!
//! Elsewhere: what each flaw is (`flawed`), and which subjects a pattern on the command line names (`src/gate/names.rs`
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
    /// The binding over its store.
    pub subject: EmitterSubject,
    /// The subject's defect; `None`: the subject is taken for sound.
    pub flaw: Option<&'static Flaw>,
}

/// The hostile switches under which a sound subject stays sound: all of them. Calls from `atexit` come after the run,
/// so generated programs do not set that switch; a test sets it (`tests/process_exit.rs`).
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

/// Every bundled subject over the library of `api`: `registry/MODE` and `locked/MODE`, then the flawed ones.
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

/// The registry over a library that was loaded at run time: `loaded/registry/MODE`. The names differ from those over
/// the linked library, so that one gate can run both.
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

/// The twin of a bundled subject over another instrumented library, such as a copy of the bundled one with a fault that
/// the model engine has to find. `None`: no bundled subject has this name, or the subject crashes its process, and its
/// twin would crash the search.
pub fn modelled_over(name: &str, api: &'static Api) -> Option<Box<dyn Subject>> {
    super::TWIN?(name, api)
}

/// The bundled subject with this name, over the library of `api`. [`loaded`] subjects are not found.
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

/// Every bundled subject, for the gate. Over the linked library, this includes `loaded/registry/MODE`: the registry
/// over the bundled shared object.
#[derive(Debug, Clone, Copy)]
pub struct Catalogue;

/// The catalogue of the bundled subjects.
pub const BUNDLED: &Catalogue = &Catalogue;

impl subject::Catalogue for Catalogue {
    fn list(&self, library: &Library) -> Result<Vec<subject::Entry>, LibraryError> {
        let api = api(library)?;
        let all = every(api);
        if *library == Library::Linked {
            let flawed = all.iter().position(|it| it.flaw.is_some()).unwrap_or(all.len());
            // For the list only, so over the linked library. `find` loads the object.
            let loaded = loaded(api).into_iter().map(Bundled::entry).map(|entry| entry.with_loads(true));
            let mut all: Vec<subject::Entry> = all.into_iter().map(Bundled::entry).collect();
            all.splice(flawed..flawed, loaded);
            return Ok(all);
        }
        Ok(all.into_iter().map(Bundled::entry).collect())
    }

    fn find(&self, name: &str, library: &Library) -> Result<Option<subject::Entry>, LibraryError> {
        let named = |it: &Bundled| it.subject.name() == name;
        if *library == Library::Linked && loaded(Api::linked()).iter().any(named) {
            let api = Api::load(&bundled_object())?;
            return Ok(loaded(api).into_iter().find(named).map(Bundled::entry).map(|entry| entry.with_loads(true)));
        }
        Ok(every(api(library)?).into_iter().find(named).map(Bundled::entry))
    }
}

/// The functions of the library that a gate was asked to run over.
fn api(library: &Library) -> Result<&'static Api, LoadError> {
    match library {
        Library::Object(path) => Api::load(path),
        _ => Ok(Api::linked()),
    }
}

//! Which subjects there are, by name: what the gate and the fuzz engine are given.
//!
//! The package `latecall-bundled` has the catalogue of latecall's own subjects.

use super::Subject;
use crate::ledger::ViolationKind;
use serde::{Deserialize, Serialize};
use std::error::Error;
use std::path::PathBuf;

/// A list of subjects.
pub trait Catalogue: Sync {
    /// Every subject over `library`, in the order of reports. The subjects may be for listing only;
    /// [`find`](Self::find) returns a subject that is ready to run.
    ///
    /// # Errors
    ///
    /// Why the library could not be loaded.
    fn list(&self, library: &Library) -> Result<Vec<Entry>, LibraryError>;

    /// The subject with this name, ready to run; `None`: no subject has the name.
    ///
    /// # Errors
    ///
    /// Why the library could not be loaded.
    fn find(&self, name: &str, library: &Library) -> Result<Option<Entry>, LibraryError> {
        Ok(self.list(library)?.into_iter().find(|entry| entry.subject.name() == name))
    }
}

/// A subject of a [`Catalogue`].
#[derive(Debug)]
#[non_exhaustive]
pub struct Entry {
    /// The binding.
    pub subject: Box<dyn Subject>,
    /// The subject's known defect; `None`: the subject is taken for sound.
    pub flaw: Option<KnownFlaw>,
    /// What the subject binds, in a word, for lists; may be empty.
    pub variant: &'static str,
    /// Whether [`Catalogue::find`] loads a shared object for this subject, whatever library the catalogue is asked for.
    pub loads: bool,
}

impl Entry {
    /// A subject that is taken for sound.
    pub fn sound(subject: impl Subject + 'static) -> Self {
        Entry { subject: Box::new(subject), flaw: None, variant: "", loads: false }
    }

    /// A subject with a known defect, which the engines have to find.
    pub fn flawed(subject: impl Subject + 'static, flaw: KnownFlaw) -> Self {
        Entry { subject: Box::new(subject), flaw: Some(flaw), variant: "", loads: false }
    }

    /// Sets [`Self::variant`].
    #[must_use]
    pub fn with_variant(mut self, variant: &'static str) -> Self {
        self.variant = variant;
        self
    }

    /// Sets [`Self::loads`].
    #[must_use]
    pub fn with_loads(mut self, loads: bool) -> Self {
        self.loads = loads;
        self
    }
}

/// A defect that a subject has on purpose: the engines have to find it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KnownFlaw {
    /// The subject's name.
    pub name: &'static str,
    /// What is wrong, in a line.
    pub defect: &'static str,
    /// Where real code had the defect.
    pub seen_in: &'static str,
    /// What the subject has to be convicted of: any of these.
    pub convicted_of: &'static [ViolationKind],
    /// The engines that have to convict the subject, by name.
    pub convicted_by: &'static [&'static str],
    /// A program that convicts the subject, as text.
    pub program: &'static str,
}

/// Where the C library comes from.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Library {
    /// Linked into this executable.
    #[default]
    Linked,
    /// A shared object, loaded at run time.
    Object(PathBuf),
}

/// Why a library could not be loaded.
pub type LibraryError = Box<dyn Error + Send + Sync>;

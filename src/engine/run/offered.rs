//! Whether a subject offers what a program needs.

use super::outcome::RunError;
use crate::program::{Hostile, Op, Program, Site, Verb, VerbSet};
use crate::subject::Subject;
use std::fmt;

/// What a program needs and a subject does not offer.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct NotOffered {
    /// The subject's name.
    pub subject: String,
    /// What the program needs.
    pub missing: Missing,
}

/// Part of [`NotOffered`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Missing {
    /// These ops.
    Verbs(VerbSet),
    /// A promise about this hostile switch.
    Hostile(Hostile),
    /// This stall site.
    Site(Site),
    /// A twin for the model engine: see [`Subject::modelled`].
    Twin,
    /// The model engine's: more threads than a search can have.
    Threads {
        /// How many threads the run would have: main, the program's own, and the library's.
        needed: usize,
        /// How many of them are the program's own.
        of_program: usize,
        /// How many threads a search can have.
        most: usize,
    },
}

impl NotOffered {
    /// An error for a search or a run on this subject.
    pub(crate) fn error(subject: &dyn Subject, missing: Missing) -> RunError {
        RunError::NotOffered(NotOffered { subject: subject.name().to_owned(), missing })
    }
}

impl fmt::Display for NotOffered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let NotOffered { subject, missing } = self;
        match missing {
            Missing::Verbs(verbs) => {
                let names: Vec<_> = verbs.iter().map(|verb| format!("`{verb}`")).collect();
                write!(f, "{subject} does not offer {}", names.join(", "))
            }
            Missing::Hostile(switch) => write!(f, "{subject} makes no promise about `hostile {switch}`"),
            Missing::Site(site) => write!(f, "{subject} has no stall site `{site}`"),
            Missing::Twin => write!(
                f,
                "{subject} has no twin for the model engine: implement Subject::modelled with loom's locks and instrumented \
                 C code"
            ),
            Missing::Threads { needed, of_program, most } => write!(
                f,
                "the program has too many threads for a search: needed {needed} (main, {of_program} of the program's own, and \
                 one of the library if it calls from threads of its own), available {most}; give the program fewer threads"
            ),
        }
    }
}

impl std::error::Error for NotOffered {}

/// Whether the subject offers what the program needs.
///
/// # Errors
///
/// [`RunError::NotOffered`]: names the first thing that is missing.
pub fn applicable(program: &Program, subject: &dyn Subject) -> Result<(), RunError> {
    let offer = subject.offer();
    let missing = program.verbs().minus(offer.verbs);
    if !missing.is_empty() {
        return Err(NotOffered::error(subject, Missing::Verbs(missing)));
    }
    if let Some(switch) = program.hostile.iter().find(|switch| !offer.hostile.contains(switch)) {
        return Err(NotOffered::error(subject, Missing::Hostile(*switch)));
    }
    let not_offered = |step: &crate::program::Step| match step.op {
        Op::Stall(site, _) if !offer.sites.contains(&site) => Some(site),
        _ => None,
    };
    match program.steps().find_map(not_offered) {
        Some(site) => Err(NotOffered::error(subject, Missing::Site(site))),
        None => Ok(()),
    }
}

/// Whether a program needs threads of the library's own.
pub(crate) fn needs_library_threads(program: &Program) -> bool {
    let verbs = program.verbs();
    let on_library_threads = [Verb::Send, Verb::Post, Verb::Barrier].iter().any(|verb| verbs.contains(*verb));
    let switches = [Hostile::Concurrent, Hostile::FireTlsDestructor];
    on_library_threads || program.hostile.iter().any(|switch| switches.contains(switch))
}

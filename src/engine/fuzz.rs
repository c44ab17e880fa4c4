//! The fuzz engine: what a fuzz target does with a fuzzer's bytes.
//!
//! The fuzzer (cargo-fuzz) makes the bytes, and learns from the coverage of the code under test which bytes to make
//! next. Here the bytes become a program ([`Input`]), the program is run once, and a broken rule becomes a
//! [`Failure`] with the program and its timeline. A fuzz target panics with the failure. `tests/fuzz_corpus.rs`
//! replays the committed corpus through the same functions without a fuzzer.
//!
//! An input is run on every sound subject: its bytes are a program's records (`program::generate`), which each
//! subject reads within what it offers. So one corpus serves all subjects, and an input that one mode of the library
//! survives is tried on the others.
//!
//! Not here: making a failing program small (the fuzzer shrinks the bytes: `cargo fuzz tmin`).

use super::run::{RunError, RunOptions, RunOutcome, execute};
use super::search::{Size, domain};
use super::timeline;
use crate::program::{Program, generate};
use crate::subject::{Catalogue, Library, LibraryError, Subject};
use std::fmt;

/// The variable that names the one subject to fuzz, instead of every sound one.
pub const SUBJECT_VARIABLE: &str = "LATECALL_FUZZ_SUBJECT";

const SIZE: Size = Size { threads: 3, callbacks: 4, steps: 20 };

/// The subjects that a fuzz target runs programs on.
#[derive(Debug)]
pub struct Subjects(Vec<Box<dyn Subject>>);

/// Why there are no subjects to fuzz.
#[derive(Debug)]
#[non_exhaustive]
pub enum SubjectError {
    /// No subject of the catalogue has the name that was asked for.
    Unknown {
        /// The name that was asked for.
        name: String,
        /// The names of the catalogue's subjects.
        known: Vec<String>,
    },
    /// The C library cannot be loaded.
    Library(LibraryError),
}

impl fmt::Display for SubjectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SubjectError::Unknown { name, known } => {
                write!(f, "{SUBJECT_VARIABLE}={name}: no subject has this name; set it to one of:")?;
                known.iter().try_for_each(|name| write!(f, "\n  {name}"))
            }
            SubjectError::Library(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for SubjectError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            SubjectError::Unknown { .. } => None,
            SubjectError::Library(error) => error.source(),
        }
    }
}

impl Subjects {
    /// This subject: a binding of your own, say.
    pub fn only(subject: impl Subject + 'static) -> Self {
        Subjects(vec![Box::new(subject)])
    }

    /// Every subject of a catalogue that has no known defect and loads no shared object: a fuzz target's sanitizer is
    /// linked into the executable, and an object that was built with another sanitizer's runtime ends the process.
    ///
    /// # Errors
    ///
    /// [`SubjectError::Library`].
    pub fn sound(catalogue: &dyn Catalogue) -> Result<Self, SubjectError> {
        let all = catalogue.list(&Library::Linked).map_err(SubjectError::Library)?;
        let mut sound = Vec::new();
        for name in all.iter().filter(|it| it.flaw.is_none() && !it.loads).map(|it| it.subject.name()) {
            let entry = catalogue.find(name, &Library::Linked).map_err(SubjectError::Library)?;
            sound.extend(entry.map(|entry| entry.subject));
        }
        Ok(Subjects(sound))
    }

    /// The subject of a catalogue with this name.
    ///
    /// # Errors
    ///
    /// [`SubjectError::Unknown`] lists the names of the catalogue. [`SubjectError::Library`].
    pub fn named(name: &str, catalogue: &dyn Catalogue) -> Result<Self, SubjectError> {
        if let Some(it) = catalogue.find(name, &Library::Linked).map_err(SubjectError::Library)? {
            return Ok(Subjects(vec![it.subject]));
        }
        let all = catalogue.list(&Library::Linked).map_err(SubjectError::Library)?;
        let known = all.iter().map(|it| it.subject.name().to_owned()).collect();
        Err(SubjectError::Unknown { name: name.to_owned(), known })
    }

    /// The subject that [`SUBJECT_VARIABLE`] names; if the variable is not set, those of
    /// [`Subjects::sound`].
    ///
    /// # Errors
    ///
    /// Those of [`Subjects::named`].
    pub fn from_environment(catalogue: &dyn Catalogue) -> Result<Self, SubjectError> {
        match std::env::var_os(SUBJECT_VARIABLE) {
            Some(name) if !name.is_empty() => Subjects::named(&name.to_string_lossy(), catalogue),
            _ => Subjects::sound(catalogue),
        }
    }

    /// [`Subjects::from_environment`] for a fuzz target. An error ends the process with exit code 2, because a fuzzer
    /// takes a panic for a finding.
    pub fn for_target(catalogue: &dyn Catalogue) -> Self {
        Subjects::from_environment(catalogue).unwrap_or_else(|error| {
            eprintln!("{error}");
            std::process::exit(2)
        })
    }

    /// The subjects, in the order of the catalogue.
    pub fn iter(&self) -> impl Iterator<Item = &dyn Subject> {
        self.0.iter().map(|subject| &**subject)
    }

    /// The programs that these bytes mean, one for each subject.
    pub fn inputs(&self, bytes: &[u8]) -> impl Iterator<Item = Input<'_>> {
        self.iter().map(|subject| Input::new(subject, bytes))
    }
}

/// What a fuzzer's bytes mean: a program, and the subject to run it on. Prints as a program that `latecall replay`
/// runs.
#[derive(Clone)]
pub struct Input<'a> {
    subject: &'a dyn Subject,
    program: Program,
}

impl<'a> Input<'a> {
    /// The program that these records mean on this subject.
    pub fn new(subject: &'a dyn Subject, records: &[u8]) -> Self {
        let mut program = generate::decode_bytes(records, &domain(subject, &[], SIZE));
        program.subject = Some(subject.name().to_owned());
        Input { subject, program }
    }

    /// The subject that the program is run on.
    pub fn subject(&self) -> &dyn Subject {
        self.subject
    }

    /// The program.
    pub fn program(&self) -> &Program {
        &self.program
    }

    /// Runs the program, once.
    ///
    /// # Errors
    ///
    /// A rule was broken, or there is no verdict.
    pub fn check(&self) -> Result<RunOutcome, Failure> {
        let outcome = execute(&self.program, self.subject, &RunOptions::default());
        match outcome {
            Ok(outcome) if outcome.verdict.is_clean() => Ok(outcome),
            outcome => Err(Failure { program: Box::new(self.program.clone()), outcome: outcome.map(Box::new) }),
        }
    }
}

impl fmt::Display for Input<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.program.fmt(f)
    }
}

/// Prints what `Display` prints, because `cargo fuzz fmt` uses `Debug`.
impl fmt::Debug for Input<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// An input that does not pass: the broken rules, the program, and what happened.
#[derive(Debug)]
#[non_exhaustive]
pub struct Failure {
    /// The program. It names its subject.
    pub program: Box<Program>,
    /// The run that broke a rule, or why there is no verdict.
    pub outcome: Result<Box<RunOutcome>, RunError>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let subject = self.program.subject.as_deref().unwrap_or("?");
        match &self.outcome {
            Ok(outcome) => {
                writeln!(f, "{subject} is convicted")?;
                outcome.verdict.violations.iter().try_for_each(|violation| writeln!(f, "  {violation}"))?;
            }
            Err(error) => writeln!(f, "{subject} has no verdict: {error}")?,
        }
        write!(f, "the program:\n{}", self.program)?;
        if let Ok(outcome) = &self.outcome {
            writeln!(f, "what happened:")?;
            let proof: Vec<usize> = outcome.verdict.violations.iter().flat_map(|v| v.proof.iter().copied()).collect();
            timeline::write(f, &timeline::lines(&self.program, &outcome.events), &proof)?;
        }
        Ok(())
    }
}

impl std::error::Error for Failure {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.outcome.as_ref().err().map(|error| error as _)
    }
}

/// The body of the fuzz target `programs`: runs the program that the bytes mean on each of `subjects`.
///
/// # Panics
///
/// With the [`Failure`], if a rule is broken or there is no verdict.
pub fn programs(bytes: &[u8], subjects: &Subjects) {
    for input in subjects.inputs(bytes) {
        if let Err(failure) = input.check() {
            panic!("{failure}");
        }
    }
}

/// The body of the fuzz target `parser`: checks that the parser takes any bytes. They are a program that prints back to
/// itself, or an error at a place in the text. Returns whether the bytes are a program.
///
/// # Panics
///
/// If a program does not print back to itself, or an error names no place in the text.
pub fn parser(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    match Program::parse(&text) {
        Ok(program) => {
            let printed = program.to_string();
            match Program::parse(&printed) {
                Ok(again) => assert_eq!(again, program, "prints as another program:\n{printed}"),
                Err(error) => panic!("prints as no program: {error}\n{printed}"),
            }
            assert_eq!(Program::parse(&printed).map(|p| p.to_string()).as_ref(), Ok(&printed), "prints in two ways");
            true
        }
        Err(error) => {
            let lines = text.lines().count().max(1);
            assert!((1..=lines + 1).contains(&error.line()), "line {} of {lines}: {error}\n{text}", error.line());
            assert!(error.column() >= 1, "column {}: {error}\n{text}", error.column());
            assert!(!error.to_string().is_empty());
            false
        }
    }
}

//! The fuzz engine: what a fuzz target does with a fuzzer's bytes.
//!
//! The fuzzer is elsewhere: it makes the bytes, and learns from the coverage of the code under test which to make next. Here
//! bytes become a program ([`Input`]), the program is run once, and a broken rule becomes a [`Failure`] that says all there
//! is to say: a fuzz target panics with it, and `tests/fuzz_corpus.rs` replays the committed corpus through the same
//! functions without a fuzzer.
//!
//! An input is run on every sound subject: its bytes are a program's records (`program::generate`), which each subject reads
//! within what it offers. So one corpus serves all of them, and what one mode of the library takes well is tried on the rest.
//!
//! Not here: making a failing program small (the fuzzer shrinks the bytes: `cargo fuzz tmin`).

use super::run::{Options, Outcome, RunError, execute};
use super::{domain, timeline};
use crate::emitter::Api;
use crate::program::{Program, generate};
use crate::subject::{Subject, catalogue};
use crate::sync::OnceLock;
use std::fmt;

/// The variable that names the one subject to fuzz, instead of every sound one.
pub const SUBJECT_VARIABLE: &str = "LATECALL_FUZZ_SUBJECT";

/// Threads, callbacks and steps of the largest programs.
const SIZE: (usize, usize, usize) = (3, 4, 20);

/// The subjects that a fuzz target runs programs on.
#[derive(Debug)]
pub struct Subjects(Vec<Box<dyn Subject>>);

impl fmt::Debug for dyn Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// No bundled subject has this name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownSubject {
    /// The name that was asked for.
    pub name: String,
    /// The names there are.
    pub known: Vec<String>,
}

impl fmt::Display for UnknownSubject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SUBJECT_VARIABLE}={}: no bundled subject has this name; there are:", self.name)?;
        self.known.iter().try_for_each(|name| write!(f, "\n  {name}"))
    }
}

impl std::error::Error for UnknownSubject {}

impl Subjects {
    /// One subject: a binding of your own, say.
    pub fn only(subject: impl Subject + 'static) -> Self {
        Subjects(vec![Box::new(subject)])
    }

    /// Every bundled subject that has no known defect.
    pub fn sound() -> Self {
        let all = catalogue::every(Api::linked()).into_iter().filter(|it| it.flaw.is_none());
        Subjects(all.map(|it| Box::new(it.subject) as Box<dyn Subject>).collect())
    }

    /// The bundled subject with this name.
    ///
    /// # Errors
    ///
    /// There is none, and which there are.
    pub fn named(name: &str) -> Result<Self, UnknownSubject> {
        match catalogue::find(name, Api::linked()) {
            Some(it) => Ok(Subjects::only(it.subject)),
            None => {
                let known = catalogue::every(Api::linked()).iter().map(|it| it.subject.name().to_owned()).collect();
                Err(UnknownSubject { name: name.to_owned(), known })
            }
        }
    }

    /// What [`SUBJECT_VARIABLE`] names, or every sound subject.
    ///
    /// # Errors
    ///
    /// It names none.
    pub fn from_environment() -> Result<Self, UnknownSubject> {
        match std::env::var_os(SUBJECT_VARIABLE) {
            Some(name) if !name.is_empty() => Subjects::named(&name.to_string_lossy()),
            _ => Ok(Subjects::sound()),
        }
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

/// What a fuzzer's bytes mean: a program, and what to run it on. Prints as a program that `latecall replay` runs.
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

    /// What it is run on.
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
    pub fn check(&self) -> Result<Outcome, Failure> {
        let outcome = execute(&self.program, self.subject, &Options::default());
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

/// The same as `Display`: `cargo fuzz fmt` prints this.
impl fmt::Debug for Input<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// An input that must not pass: what broke, the program, and what happened.
#[derive(Debug)]
pub struct Failure {
    /// The program; it names its subject.
    pub program: Box<Program>,
    /// The run that broke a rule, or why there is no verdict.
    pub outcome: Result<Box<Outcome>, RunError>,
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
            for (at, line) in timeline::lines(&self.program, &outcome.events).iter().enumerate() {
                let mark = if proof.contains(&at) { '>' } else { ' ' };
                writeln!(f, "{mark} {at:3}  {line}")?;
            }
        }
        Ok(())
    }
}

impl std::error::Error for Failure {}

/// The subjects that [`SUBJECT_VARIABLE`] asks for, made once. An unknown name ends the process with code 2: to a fuzzer a
/// panic would be a finding.
pub fn subjects() -> &'static Subjects {
    static SUBJECTS: OnceLock<Subjects> = OnceLock::new();
    SUBJECTS.get_or_init(|| {
        Subjects::from_environment().unwrap_or_else(|error| {
            eprintln!("{error}");
            std::process::exit(2)
        })
    })
}

/// The body of the target `programs`: runs the program that the bytes mean on every subject.
///
/// # Panics
///
/// With the [`Failure`], when a rule is broken or there is no verdict.
pub fn programs(bytes: &[u8]) {
    for input in subjects().inputs(bytes) {
        if let Err(failure) = input.check() {
            panic!("{failure}");
        }
    }
}

/// The body of the target `parser`: whatever the bytes, parsing them ends, with a program that prints back to itself or with
/// an error at a place in the text. Answers whether they are a program.
///
/// # Panics
///
/// When that is not so.
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

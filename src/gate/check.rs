//! One check: one engine on one subject.
//!
//! The gate runs each check in a process of its own (`child`). This is what that process does; any other process can
//! do it as well.

use super::Budget;
use super::crash_record::CrashRecorder;
use super::names::{self, SelectError};
use super::verdict::Expected;
use crate::engine::model::programs::{self, Size};
use crate::engine::replay::Replay;
use crate::engine::report::{Report, counted};
use crate::engine::run::{RunOptions, execute};
use crate::engine::stress::Stress;
use crate::engine::{ENGINES, Engine, timeline};
use crate::ledger::{Contract, stray_events};
use crate::program::Program;
use crate::program::seeds::SEEDS;
use crate::subject::{Catalogue, Env, KnownFlaw, Library, Offer, OpenError, Session, Subject, suits};
use crate::sync::{Mutex, lock};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::time::{Duration, Instant};

/// At most this often a check tells of its progress.
const EVERY: Duration = Duration::from_millis(100);

/// A check: what the gate makes one process for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Check {
    /// The subject, by name.
    pub subject: String,
    /// The engine, by name.
    pub engine: String,
    /// The seed of the engine's generator.
    pub seed: u64,
    /// How much the engine does.
    pub budget: Budget,
    /// The C library that the subject binds.
    pub library: Library,
    /// What is known of the subject.
    pub expected: Expected,
}

/// How a check is run, beside what it checks.
#[derive(Debug)]
pub struct CheckOptions {
    program: Option<Program>,
    repeat: u32,
    timeline: bool,
    crash_record: Option<File>,
}

impl Default for CheckOptions {
    fn default() -> Self {
        CheckOptions { program: None, repeat: 1, timeline: false, crash_record: None }
    }
}

impl CheckOptions {
    /// The engine's own programs, and no crash record.
    pub fn new() -> Self {
        Self::default()
    }

    /// Runs this program only.
    #[must_use]
    pub fn program(mut self, program: Program) -> Self {
        self.program = Some(program);
        self
    }

    /// How often that program is run, at least once (default: once).
    #[must_use]
    pub fn repeat(mut self, times: u32) -> Self {
        self.repeat = times.max(1);
        self
    }

    /// Whether the check tells the timeline of a run of that program when no rule was broken.
    #[must_use]
    pub fn timeline(mut self, timeline: bool) -> Self {
        self.timeline = timeline;
        self
    }

    /// Keeps a crash record in this file, which must be open for reading and writing: each program before it runs,
    /// and the events of its run as they happen. So another process can read what ran when this one died.
    #[must_use]
    pub fn crash_record(mut self, file: File) -> Self {
        self.crash_record = Some(file);
        self
    }
}

/// What a check tells: a line of JSON each, on the standard output of its process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(clippy::large_enum_variant, reason = "one at a time, and most are reports")]
#[non_exhaustive]
pub enum CheckMessage {
    /// The report so far.
    Progress(Report),
    /// What happened in a run, one line an event: see [`CheckOptions::timeline`].
    Timeline(Vec<String>),
    /// What was found. The last message.
    Report(Report),
}

impl Check {
    /// A check over the linked library, with the normal budget and seed 1.
    pub fn new(subject: impl Into<String>, engine: impl Into<String>, expected: Expected) -> Self {
        Check {
            subject: subject.into(),
            engine: engine.into(),
            seed: 1,
            budget: Budget::Normal,
            library: Library::Linked,
            expected,
        }
    }

    /// Runs the check in this process. `tell` is given its progress, and in the end the report.
    ///
    /// Whatever the subject does to a process, it does to this one. A [`Gate`](super::Gate) runs checks in processes of
    /// their own.
    pub fn run(&self, catalogue: &dyn Catalogue, options: CheckOptions, tell: &mut dyn FnMut(CheckMessage)) -> Report {
        let flaws = known_flaws(catalogue, &self.library);
        let report = match (names::find(&self.subject, catalogue, &self.library), flaws) {
            (Err(error), _) | (_, Err(error)) => self.without_verdict(error.to_string()),
            (Ok(entry), Ok(flaws)) => self.run_on(&*entry.subject, (entry.flaw.as_ref(), &flaws), options, tell),
        };
        tell(CheckMessage::Report(report.clone()));
        report
    }

    /// Runs the check on this subject, whatever the check's own is called. The report is not told.
    fn run_on(
        &self,
        subject: &dyn Subject,
        (flaw, flaws): (Option<&KnownFlaw>, &[KnownFlaw]),
        options: CheckOptions,
        tell: &mut dyn FnMut(CheckMessage),
    ) -> Report {
        let before = stray_events();
        let recorder = match options.crash_record.map(CrashRecorder::new).transpose() {
            Ok(recorder) => recorder.map(Mutex::new),
            Err(error) => {
                return self.without_verdict(format!("the crash record cannot be mapped into memory: {error}"));
            }
        };
        let subject = RecordedSubject { inner: subject, recorder };
        let Some(engine) = self.engine((flaw, flaws), &subject, &options.program) else {
            let text = format!("there is no engine `{}`; there are {}", self.engine, ENGINES.join(", "));
            return self.without_verdict(text);
        };
        let mut told: Option<Instant> = None;
        let mut watch = |report: &Report| {
            if told.is_none_or(|then| then.elapsed() >= EVERY) {
                told = Some(Instant::now());
                tell(CheckMessage::Progress(report.clone()));
            }
        };
        let mut report = match &options.program {
            // The model engine was given this program, and runs it as often as there are interleavings.
            Some(_) if self.engine == "model" => engine.check(&subject, &mut watch),
            None => engine.check(&subject, &mut watch),
            Some(program) => self.run_program(program, options.repeat, &subject, &mut watch),
        };
        if let Some(program) = options.program.filter(|_| options.timeline && report.is_clean())
            && let Ok(outcome) = execute(&program, &subject, &RunOptions::default())
        {
            tell(CheckMessage::Timeline(timeline::lines(&program, &outcome.events)));
        }
        let strays = stray_events() - before;
        if strays > 0 && report.is_clean() {
            report.error = Some(format!(
                "{} came after the end of the run: callbacks were called, used or dropped after their session had been \
                 closed and dropped. The verdict of the run does not cover that; make whatever the binding or its library \
                 keeps end with the session",
                counted(strays as u64, "event")
            ));
        }
        report
    }

    fn without_verdict(&self, error: String) -> Report {
        Report { error: Some(error), ..Report::new(&self.subject, &self.engine) }
    }

    fn engine(
        &self,
        (flaw, flaws): (Option<&KnownFlaw>, &[KnownFlaw]),
        subject: &dyn Subject,
        only: &Option<Program>,
    ) -> Option<Box<dyn Engine>> {
        let programs = || match (only, self.engine.as_str()) {
            (Some(program), "model") => vec![program.clone()],
            (Some(_), _) => Vec::new(),
            (None, "model") => modelled_programs(flaw, subject, self.budget.model_ops()),
            (None, _) => programs(flaw, flaws, subject),
        };
        self.budget.engine(&self.engine, self.seed, flaw, programs)
    }

    /// Runs one program only. The stress engine disturbs it; the other engines run it as it is.
    fn run_program(
        &self,
        program: &Program,
        repeat: u32,
        subject: &dyn Subject,
        watch: &mut dyn FnMut(&Report),
    ) -> Report {
        let mut report = if self.engine == "stress" {
            Stress::new().repeat(repeat).seed(self.seed).check_program(program, subject)
        } else {
            Replay::new(vec![program.clone()]).repeat(repeat).check(subject, watch)
        };
        report.engine.clone_from(&self.engine);
        report.bounded_by = match repeat {
            1 => "one run of one program".to_owned(),
            n => format!("{} of one program", counted(n.into(), "run")),
        };
        report
    }
}

/// The known flaws of a catalogue.
///
/// # Errors
///
/// The library cannot be loaded.
fn known_flaws(catalogue: &dyn Catalogue, library: &Library) -> Result<Vec<KnownFlaw>, SelectError> {
    let entries = catalogue.list(library).map_err(SelectError::Load)?;
    Ok(entries.into_iter().filter_map(|entry| entry.flaw).collect())
}

/// What the replay engine runs on a subject, in order: the program of the subject's own flaw; the seed programs; on a
/// sound subject the programs of all `flaws`, because a program that convicts a flawed subject must be harmless
/// there.
#[must_use]
pub fn programs(flaw: Option<&KnownFlaw>, flaws: &[KnownFlaw], subject: &dyn Subject) -> Vec<Program> {
    let own = flaw.map(program_of).into_iter();
    let seeds = SEEDS.iter().map(|seed| seed.program());
    let others = flaws.iter().filter(|_| flaw.is_none()).map(program_of);
    own.chain(seeds).chain(others).filter(|program| suits(program, subject)).collect()
}

/// What the model engine explores on a subject: the program of the subject's own flaw, and then [`programs::all`] of
/// so many ops.
#[must_use]
pub fn modelled_programs(flaw: Option<&KnownFlaw>, subject: &dyn Subject, ops: usize) -> Vec<Program> {
    let size = Size { ops, in_a_thread: ops };
    flaw.map(program_of).into_iter().chain(programs::all(subject.offer().verbs, size)).collect()
}

/// The program that convicts a flaw.
fn program_of(flaw: &KnownFlaw) -> Program {
    Program::parse(flaw.program).unwrap_or_else(|error| panic!("{}: not a program: {error}", flaw.name))
}

/// A subject that records which program is about to run on it.
struct RecordedSubject<'a> {
    inner: &'a dyn Subject,
    recorder: Option<Mutex<CrashRecorder>>,
}

impl Subject for RecordedSubject<'_> {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn offer(&self) -> Offer {
        self.inner.offer()
    }

    fn contract(&self) -> Contract {
        self.inner.contract()
    }

    fn modelled(&self) -> Option<Box<dyn Subject>> {
        self.inner.modelled()
    }

    fn all_seen(&self) -> bool {
        self.inner.all_seen()
    }

    fn open(&self, env: &Env) -> Result<Box<dyn Session>, OpenError> {
        if let (Some(recorder), Some(program)) = (&self.recorder, env.program()) {
            lock(recorder).record(program, env.run);
        }
        self.inner.open(env)
    }
}

#[cfg(test)]
mod tests;

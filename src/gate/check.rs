//! One check: one engine on one subject. The gate runs each in a process of its own (`child`); this is what that process
//! does, and it can be done here as well.

use super::Budget;
use super::select;
use super::shared::Announcer;
use super::verdict::Expected;
use crate::engine::model;
use crate::engine::model::programs::Size;
use crate::engine::replay::Replay;
use crate::engine::report::Report;
use crate::engine::run::{Env, Options, execute};
use crate::engine::stress::Stress;
use crate::engine::{Engine, timeline};
use crate::flawed::{FLAWS, Flaw};
use crate::ledger::{Contract, stray_events};
use crate::program::Program;
use crate::program::seeds::SEEDS;
use crate::subject::{Offer, OpenError, Session, Subject, suits};
use crate::sync::Mutex;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// How often progress is told.
const EVERY: Duration = Duration::from_millis(100);

/// A check: what the gate makes one process for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// The subject, by name.
    pub subject: String,
    /// The engine, by name.
    pub engine: String,
    /// Where its generator starts.
    pub seed: u64,
    /// How much it does.
    pub budget: Budget,
    /// The C library that the subject binds.
    pub library: Library,
    /// What is known of the subject.
    pub expected: Expected,
}

/// Where the C library comes from.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Library {
    /// Linked into this executable.
    #[default]
    Linked,
    /// A shared object, loaded at run time.
    Object(PathBuf),
}

/// How a check is conducted, beside what it checks.
#[derive(Debug, Default)]
pub struct Conduct {
    /// This program only, instead of the engine's own.
    pub program: Option<Program>,
    /// How often that one is run.
    pub repeat: u32,
    /// Tell what happened in a run of it, also when it breaks no rule.
    pub timeline: bool,
    /// Where each program is written before it runs, and the run's events as they happen, so that it is known what ran when
    /// the process died. Open for reading and writing.
    pub announce: Option<File>,
}

/// What a check tells: lines of JSON on the standard output of its process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(clippy::large_enum_variant, reason = "one at a time, and most are reports")]
pub enum Message {
    /// How it goes.
    Progress(Report),
    /// What happened in a run, one line an event: see [`Conduct::timeline`].
    Timeline(Vec<String>),
    /// What was found. The last message.
    Report(Report),
}

impl Check {
    /// Runs the check in this process, and tells: progress, and in the end the report.
    ///
    /// Whatever the subject does to the process, it does to this one: see [`super::Gate`] for a safe distance.
    pub fn run(&self, conduct: Conduct, tell: &mut dyn FnMut(Message)) -> Report {
        let report = match select::find(&self.subject, &self.library) {
            Err(error) => self.without_verdict(error.to_string()),
            Ok(bundled) => self.run_on(&bundled.subject, bundled.flaw, conduct, tell),
        };
        tell(Message::Report(report.clone()));
        report
    }

    /// The same on this subject, whatever the check's says; the report is not told.
    fn run_on(
        &self,
        subject: &dyn Subject,
        flaw: Option<&Flaw>,
        conduct: Conduct,
        tell: &mut dyn FnMut(Message),
    ) -> Report {
        let strays = stray_events();
        let announcer = match conduct.announce.map(Announcer::new).transpose() {
            Ok(announcer) => announcer,
            Err(error) => return self.without_verdict(format!("what is under way cannot be shared: {error}")),
        };
        let subject = Announced { inner: subject, to: announcer.map(Mutex::new) };
        let Some(engine) = self.engine(flaw, &subject, &conduct.program) else {
            return self.without_verdict(format!("there is no engine `{}`", self.engine));
        };
        let mut told: Option<Instant> = None;
        let mut watch = |report: &Report| {
            if told.is_none_or(|then| then.elapsed() >= EVERY) {
                told = Some(Instant::now());
                tell(Message::Progress(report.clone()));
            }
        };
        let mut report = match &conduct.program {
            // It was made with this program, and runs it as often as there are interleavings.
            Some(_) if self.engine == "model" => engine.check(&subject, &mut watch),
            None => engine.check(&subject, &mut watch),
            Some(program) => self.run_program(program, conduct.repeat.max(1), &subject, &mut watch),
        };
        if let Some(program) = conduct.program.filter(|_| conduct.timeline && report.is_clean())
            && let Ok(outcome) = execute(&program, &subject, &Options::default())
        {
            tell(Message::Timeline(timeline::lines(&program, &outcome.events)));
        }
        let strays = stray_events() - strays;
        if strays > 0 && report.is_clean() {
            report.error = Some(format!(
                "{strays} events named a run that was over: callbacks were called, used or dropped after their session had \
                 been closed and dropped. That is in no run's verdict; what the binding or its library keeps has to end with \
                 the session"
            ));
        }
        report
    }

    fn without_verdict(&self, error: String) -> Report {
        Report { error: Some(error), ..Report::new(&self.subject, &self.engine) }
    }

    fn engine(&self, flaw: Option<&Flaw>, subject: &dyn Subject, only: &Option<Program>) -> Option<Box<dyn Engine>> {
        let programs = || match (only, self.engine.as_str()) {
            (Some(program), "model") => vec![program.clone()],
            (Some(_), _) => Vec::new(),
            (None, "model") => modelled_programs(flaw, subject, self.budget.model_ops()),
            (None, _) => programs(flaw, subject),
        };
        self.budget.engine(&self.engine, self.seed, flaw, programs)
    }

    /// One program only. The stress engine disturbs it; the others run it as it is.
    fn run_program(
        &self,
        program: &Program,
        repeat: u32,
        subject: &dyn Subject,
        watch: &mut dyn FnMut(&Report),
    ) -> Report {
        let mut report = if self.engine == "stress" {
            Stress { repeat, seed: self.seed, ..Stress::default() }.check_program(program, subject)
        } else {
            Replay { programs: vec![program.clone()], repeat }.check(subject, watch)
        };
        report.engine.clone_from(&self.engine);
        report.bounded_by = match repeat {
            1 => "one run of one program".to_owned(),
            n => format!("{n} runs of one program"),
        };
        report
    }
}

/// What the replay engine runs on a subject: a flaw's own program first; then the seeds; and on sound subjects every flaw's
/// program: what convicts the flawed ones must be harmless there.
pub fn programs(flaw: Option<&Flaw>, subject: &dyn Subject) -> Vec<Program> {
    let of_flaw = |flaw: &Flaw| {
        Program::parse(flaw.program).unwrap_or_else(|error| panic!("{}: not a program: {error}", flaw.name))
    };
    let own = flaw.map(of_flaw).into_iter();
    let seeds = SEEDS.iter().map(|seed| seed.program());
    let others = FLAWS.iter().filter(|_| flaw.is_none()).map(of_flaw);
    own.chain(seeds).chain(others).filter(|program| suits(program, subject)).collect()
}

/// What the model engine explores on a subject: a flaw's own program first, and all small ones that make sense.
pub fn modelled_programs(flaw: Option<&Flaw>, subject: &dyn Subject, ops: usize) -> Vec<Program> {
    let own = flaw.map(|flaw| {
        Program::parse(flaw.program).unwrap_or_else(|error| panic!("{}: not a program: {error}", flaw.name))
    });
    let size = Size { ops, in_a_thread: ops };
    own.into_iter().chain(model::programs::all(subject.offer().verbs, size)).collect()
}

/// A subject that writes down which program is about to run on it.
struct Announced<'a> {
    inner: &'a dyn Subject,
    to: Option<Mutex<Announcer>>,
}

impl Subject for Announced<'_> {
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
        if let (Some(to), Some(program)) = (&self.to, env.program()) {
            to.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).announce(program, env.run);
        }
        self.inner.open(env)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::{Answer, Call, Witness};
    use crate::program::{CallbackId, Verb, VerbSet};
    use crate::sync::Arc;

    /// A binding whose sessions leave their callbacks here when they are closed.
    struct Hoards {
        left: Arc<Mutex<Vec<Witness>>>,
        /// The next session calls what it finds and drops it.
        and_goes_on: bool,
    }

    struct Opened {
        left: Arc<Mutex<Vec<Witness>>>,
    }

    impl Subject for Hoards {
        fn name(&self) -> &str {
            "hoards"
        }

        fn offer(&self) -> Offer {
            Offer { verbs: VerbSet::of(&[Verb::Register, Verb::Forget]), ..Offer::default() }
        }

        fn open(&self, _: &Env) -> Result<Box<dyn Session>, OpenError> {
            let left = std::mem::take(&mut *self.left.lock().unwrap());
            for witness in left {
                if self.and_goes_on {
                    witness.call(&Call::default());
                } else {
                    std::mem::forget(witness);
                }
            }
            Ok(Box::new(Opened { left: Arc::clone(&self.left) }))
        }
    }

    impl Session for Opened {
        fn register(&self, witnesses: Vec<Witness>) -> Answer {
            self.left.lock().unwrap().extend(witnesses);
            Answer::Done
        }

        fn forget(&self, _: CallbackId) -> Answer {
            Answer::Done
        }

        fn fire(&self, _: CallbackId, _: Call) -> Answer {
            Answer::Skipped
        }

        fn revoke(&self, _: CallbackId) -> Answer {
            Answer::Skipped
        }

        fn revoke_and_wait(&self, _: CallbackId) -> Answer {
            Answer::Skipped
        }

        fn shutdown(&self) -> Answer {
            Answer::Done
        }
    }

    /// The guard is leaked, so that it is no `Leak`: nothing that a run sees is wrong.
    fn report(and_goes_on: bool) -> Report {
        let check = Check {
            subject: "hoards".to_owned(),
            engine: "replay".to_owned(),
            seed: 1,
            budget: Budget::Quick,
            library: Library::Linked,
            expected: Expected::Sound,
        };
        let program = Program::parse("callback a\nbefore\n  register a\n  forget a\n").unwrap();
        let conduct = Conduct { program: Some(program), repeat: 2, ..Conduct::default() };
        check.run_on(&Hoards { left: Arc::default(), and_goes_on }, None, conduct, &mut |_| {})
    }

    #[test]
    fn what_happens_after_a_run_is_over_is_not_passed_over() {
        assert!(report(false).is_clean());
        let report = report(true);
        assert_eq!((report.runs, report.finding), (2, None));
        let error = report.error.expect("a call and a drop");
        assert!(error.starts_with("2 events named a run that was over"), "{error}");
    }
}

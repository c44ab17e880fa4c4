//! One run: a program, once, on a fresh session of a subject, with real threads.
//!
//! Every engine that uses real threads comes through [`execute`]; what they differ in is which programs they make, and the
//! [`Options`]. The run owns the session, the gates and the ledger; it interprets steps (`Run::step`) and callback bodies
//! (`Run::body`).
//!
//! Pairs with: `monitor`, which watches the threads; `ledger::log`, where events go; `ledger::judge`, which reads them.

use super::gates::{Gates, Passed};
use super::monitor::{self, Watched};
use crate::ledger::witness::{Call, Witness};
use crate::ledger::{
    Answer, Contract, Event, EventKind, Ledger, Quarantine, RunId, Section, StepId, ThreadNo, Verdict, judge, log,
    quarantine,
};
use crate::program::{Args, CallbackId, GateId, Hostile, Kind, Op, Program, Site, Step};
use crate::subject::{OpenError, Session, Subject};
use crate::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, thread};
use crate::sync::{AtomicBool, AtomicU32, Ordering};
use std::any::Any;
use std::cell::Cell;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::Duration;

/// How a run is run.
#[derive(Debug, Clone)]
pub struct Options {
    /// Disturbs the threads at stall sites and between ops, from this seed; `None`: threads run as they come.
    pub disturb: Option<u64>,
    /// A run in which nothing has moved for so long is a deadlock. Only counts while every thread of the run sleeps.
    pub deadlock_after: Duration,
    /// A run that takes longer than this is given up as a harness error, whatever its threads do.
    pub limit: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Options { disturb: None, deadlock_after: Duration::from_millis(500), limit: Duration::from_secs(60) }
    }
}

/// What a run was.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// Everything that happened, in order.
    pub events: Vec<Event>,
    /// What that proves.
    pub verdict: Verdict,
}

/// Why a run has no verdict.
#[derive(Debug)]
#[non_exhaustive]
pub enum RunError {
    /// The subject does not offer what the program needs.
    NotOffered(String),
    /// The subject's library could not be opened.
    Open(OpenError),
    /// The process does not use the quarantine allocator, so a dangling callback would crash it.
    NoQuarantine,
    /// More happened than the ledger holds.
    TooManyEvents,
    /// The subject panicked outside any callback.
    SubjectPanicked(String),
    /// It ran, busily, for longer than [`Options::limit`].
    TooLong(Duration),
    /// A thread of the run could not be started.
    NoThread(std::io::Error),
}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RunError::NotOffered(what) => f.write_str(what),
            RunError::Open(error) => write!(f, "the subject's library could not be opened: {error}"),
            RunError::NoQuarantine => f.write_str(
                "this process does not use the quarantine, so a callback that is called after it was freed would crash it \
                 instead of being named; add: #[global_allocator] static ALLOCATOR: latecall::ledger::Quarantine = \
                 latecall::ledger::Quarantine::new();",
            ),
            RunError::TooManyEvents => write!(f, "the program made more than {} events; shorten it", log::MAX_EVENTS),
            RunError::SubjectPanicked(message) => write!(f, "the subject panicked outside any callback: {message}"),
            RunError::TooLong(limit) => write!(f, "the program was still running after {} s", limit.as_secs()),
            RunError::NoThread(error) => write!(f, "a thread could not be started: {error}"),
        }
    }
}

impl std::error::Error for RunError {}

/// What a subject may use of the run while it opens its session, and later.
#[derive(Debug, Clone)]
pub struct Env {
    run: RunId,
    /// Switches that the library is to be opened with.
    pub hostile: Vec<Hostile>,
    /// Which of the library's allocations fails.
    pub fail_allocation: Option<u32>,
    /// How many subscriptions the library takes.
    pub capacity: Option<u32>,
    /// Whether the program uses threads of the library's own.
    pub library_threads: bool,
}

impl Env {
    /// The run as an integer that C can carry as a pointer and hand back; never 0, never an address.
    pub fn to_bits(&self) -> u64 {
        self.run.to_bits()
    }

    /// The program that is about to run; `None` once the run is over.
    pub(crate) fn program(&self) -> Option<Program> {
        Ledger::find(self.run)?.with_run(self.run, |run| run.program.clone())
    }
}

/// A thread of the program or the library is at `site`: it may be held there. Call it wherever a test should be able to
/// park a thread; on threads that work for no run it does nothing.
pub fn pass(site: Site) {
    if let Some((run, _)) = log::here() {
        pass_in(run, site);
    }
}

/// The same, for a thread that may be new to the run.
pub(crate) fn pass_in(run: RunId, site: Site) {
    let Some(ledger) = Ledger::find(run) else { return };
    let thread = ledger.thread_no(run);
    ledger.with_run(run, |it| it.at(thread, site));
}

/// The binding noticed a late call and ran no user code.
pub fn late(call: &Call) {
    if let Some((run, _)) = log::here() {
        late_in(run, call);
    }
}

/// The same, for a thread that may be new to the run.
pub(crate) fn late_in(run: RunId, call: &Call) {
    if let Some(ledger) = Ledger::find(run) {
        ledger.report_here(run, EventKind::Late { cookie: call.cookie });
    }
}

/// The panic that `panic` in a body makes.
struct BodyPanic;

/// Nested firings deeper than this are skipped, so that a body that fires itself ends.
const MAX_DEPTH: u32 = 32;

thread_local! {
    static DEPTH: Cell<u32> = const { Cell::new(0) };
    static DISTURB: Cell<u64> = const { Cell::new(0) };
}

/// A run.
#[derive(Debug)]
pub(crate) struct Run {
    id: RunId,
    ledger: &'static Ledger,
    program: Program,
    options: Options,
    session: Mutex<Option<Arc<dyn Session>>>,
    registered: Vec<AtomicBool>,
    calls: Vec<AtomicU32>,
    cookies: AtomicU32,
    gates: Gates,
    /// Ops inside the session, so that `shutdown` can wait for those of other threads: a library may not be closed under
    /// its callers.
    users: Mutex<Users>,
    users_changed: Condvar,
    pub(super) watched: Watched,
    quarantine: OnceLock<quarantine::Scope>,
    panicked: Mutex<Option<String>>,
    anonymous_made: AtomicU32,
    anonymous_dropped: AtomicU32,
}

#[derive(Debug, Default)]
struct Users {
    inside: usize,
    closing: bool,
}

impl fmt::Debug for dyn Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Session")
    }
}

/// Runs a program once on a fresh session of a subject.
///
/// Blocks until it is over. Never panics and never hangs, whatever the subject does, short of ending the process; a run
/// that hangs is a `Deadlock`, and its threads are abandoned.
///
/// # Errors
///
/// [`RunError`]: there is no verdict.
pub fn execute(program: &Program, subject: &dyn Subject, options: &Options) -> Result<Outcome, RunError> {
    applicable(program, subject)?;
    if !Quarantine::installed() && !Quarantine::stands_aside() {
        return Err(RunError::NoQuarantine);
    }
    let ledger = Ledger::open();
    let run = Arc::new(Run::new(program, ledger, options));
    ledger.attach(&run);
    let env = Env {
        run: run.id,
        hostile: program.hostile.clone(),
        fail_allocation: program.fail_allocation,
        capacity: program.capacity,
        library_threads: run.needs_library_threads(),
    };
    // Before the library is opened: its threads enter the scope with their first act, and never after.
    if let Some(scope) = quarantine::Scope::open() {
        run.quarantine.get_or_init(|| scope);
    }
    match subject.open(&env) {
        Ok(session) => *lock(&run.session) = Some(Arc::from(session)),
        Err(error) => {
            abandon(run);
            return Err(RunError::Open(error));
        }
    }

    let main = Arc::clone(&run);
    let started = run.watched.start(ThreadNo::MAIN);
    let spawned = thread::Builder::new().name("main".into()).spawn(move || main.main(started));
    if let Err(error) = spawned {
        // Nothing of the run has started: let go of everything in order.
        drop(lock(&run.session).take());
        abandon(run);
        return Err(RunError::NoThread(error));
    }
    let end = monitor::watch(&run.watched, &run.gates, options);
    run.conclude(subject.contract(), end)
}

/// Gives back what a run holds that never began.
fn abandon(run: Arc<Run>) {
    run.ledger.detach(usize::MAX);
    run.ledger.close();
    if let Ok(run) = Arc::try_unwrap(run)
        && let Some(scope) = run.quarantine.into_inner()
    {
        scope.close();
    }
}

/// Whether the subject offers what the program needs.
///
/// # Errors
///
/// [`RunError::NotOffered`], naming what is missing.
pub fn applicable(program: &Program, subject: &dyn Subject) -> Result<(), RunError> {
    let offer = subject.offer();
    let missing = program.verbs().minus(offer.verbs);
    if !missing.is_empty() {
        let names: Vec<_> = missing.iter().map(|v| format!("`{v}`")).collect();
        return Err(RunError::NotOffered(format!("{} does not offer {}", subject.name(), names.join(", "))));
    }
    if let Some(hostile) = program.hostile.iter().find(|h| !offer.hostile.contains(h)) {
        return Err(RunError::NotOffered(format!("{} makes no promise about `hostile {hostile}`", subject.name())));
    }
    if let Some(site) = program.steps().find_map(|s| match s.op {
        Op::Stall(site, _) if !offer.sites.contains(&site) => Some(site),
        _ => None,
    }) {
        return Err(RunError::NotOffered(format!("{} has no stall site `{site}`", subject.name())));
    }
    Ok(())
}

impl Run {
    fn new(program: &Program, ledger: &'static Ledger, options: &Options) -> Self {
        Run {
            id: ledger.id(),
            ledger,
            program: program.clone(),
            options: options.clone(),
            session: Mutex::new(None),
            registered: program.callbacks.iter().map(|_| AtomicBool::new(false)).collect(),
            calls: program.callbacks.iter().map(|_| AtomicU32::new(0)).collect(),
            cookies: AtomicU32::new(0),
            gates: Gates::new(program.gates.len()),
            users: Mutex::new(Users::default()),
            users_changed: Condvar::new(),
            watched: Watched::new(),
            quarantine: OnceLock::new(),
            panicked: Mutex::new(None),
            anonymous_made: AtomicU32::new(0),
            anonymous_dropped: AtomicU32::new(0),
        }
    }

    fn needs_library_threads(&self) -> bool {
        use crate::program::Verb;
        let verbs = self.program.verbs();
        let asked = [Verb::Send, Verb::Post, Verb::Barrier].iter().any(|v| verbs.contains(*v));
        let switches = [Hostile::Concurrent, Hostile::FireTlsDestructor];
        asked || self.program.hostile.iter().any(|h| switches.contains(h))
    }

    /// The main thread: `before`, the threads, `after`, the end of the session.
    fn main(self: Arc<Self>, started: monitor::Started) {
        self.on_thread(ThreadNo::MAIN, started, || {
            self.section(ThreadNo::MAIN, Section::Before, &self.program.before);
            let mut joins = Vec::new();
            let start = Arc::new(crate::sync::Barrier::new(self.program.threads.len().max(1)));
            for (i, _) in self.program.threads.iter().enumerate() {
                let (run, start) = (Arc::clone(&self), Arc::clone(&start));
                let no = ThreadNo(i as u8 + 1);
                let started = self.watched.start(no);
                let spawned = thread::Builder::new().name(no.name()).spawn(move || {
                    run.on_thread(no, started, || {
                        start.wait();
                        run.section(no, Section::Thread(i as u8), &run.program.threads[i]);
                    });
                });
                match spawned {
                    Ok(join) => joins.push(join),
                    Err(error) => self.fail(format!("thread {} could not be started: {error}", no.name())),
                }
            }
            for join in joins {
                // The thread caught every panic itself.
                let _ = join.join();
            }
            self.section(ThreadNo::MAIN, Section::After, &self.program.after);
            self.finish();
        });
    }

    /// What each thread of the program does first and last.
    fn on_thread(&self, no: ThreadNo, started: monitor::Started, f: impl FnOnce()) {
        log::enter_run(self.id, no);
        self.watched.running(no);
        if let Some(scope) = self.quarantine.get() {
            scope.enter();
        }
        DEPTH.set(0);
        let seed =
            self.options.disturb.map_or(0, |seed| (seed ^ u64::from(no.0).wrapping_mul(0x9e37_79b9_7f4a_7c15)) | 1);
        DISTURB.set(seed);
        let result = catch_unwind(AssertUnwindSafe(f));
        quarantine::Scope::leave();
        log::leave_run();
        if let Err(panic) = result {
            self.fail(message(&*panic));
        }
        self.watched.finished(started);
    }

    fn section(&self, thread: ThreadNo, section: Section, steps: &[Step]) {
        for (i, step) in steps.iter().enumerate() {
            self.step(thread, StepId { section, index: i as u16 }, step);
        }
    }

    /// Closes the session if the program has not, and lets it go.
    fn finish(&self) {
        self.ledger.report(ThreadNo::MAIN, EventKind::Closing);
        let session = lock(&self.session).take();
        if let Some(session) = session {
            if !lock(&self.users).closing {
                let result = catch_unwind(AssertUnwindSafe(|| session.shutdown()));
                if let Err(panic) = result {
                    self.fail(message(&*panic));
                }
            }
            let result = catch_unwind(AssertUnwindSafe(|| drop(session)));
            if let Err(panic) = result {
                self.fail(message(&*panic));
            }
        }
        self.ledger.report(ThreadNo::MAIN, EventKind::Closed);
    }

    /// One op: begins, is done, ends.
    fn step(&self, thread: ThreadNo, id: StepId, step: &Step) {
        let fires = matches!(step.op, Op::Fire(..) | Op::Send(..) | Op::Post(..) | Op::Invoke(..) | Op::Enumerate(..));
        let cookie = if fires { self.cookies.fetch_add(1, Ordering::Relaxed) + 1 } else { 0 }; // distinct numbers only
        self.ledger.report(thread, EventKind::OpBegin { step: id, cookie });
        self.disturb();
        let depth = DEPTH.get();
        DEPTH.set(depth + 1);
        let result = catch_unwind(AssertUnwindSafe(|| self.op(thread, &step.op, cookie)));
        DEPTH.set(depth);
        let answer = match result {
            Ok(answer) => answer,
            Err(panic) if step.op == Op::Panic => {
                self.ledger.report(thread, EventKind::OpEnd { answer: Answer::Done });
                resume_unwind(panic)
            }
            // The panic of a callback's body has come all the way back to the op that asked for the call.
            Err(panic) if panic.is::<BodyPanic>() => {
                self.ledger.report(thread, EventKind::UnwindEscaped);
                Answer::Refused
            }
            Err(panic) => {
                self.fail(message(&*panic));
                Answer::Refused
            }
        };
        self.ledger.report(thread, EventKind::OpEnd { answer });
    }

    fn op(&self, thread: ThreadNo, op: &Op, cookie: u32) -> Answer {
        match op {
            Op::Register(ids) => {
                let witnesses: Vec<_> = ids.iter().map(|id| self.witness(*id, thread)).collect();
                let answer = self.using(|session| session.register(witnesses));
                for id in ids {
                    self.registered(thread, *id, answer);
                }
                answer
            }
            Op::Replace(old, new) => {
                let witness = self.witness(*new, thread);
                if !self.is_registered(*old) {
                    return Answer::Skipped;
                }
                let answer = self.using(|session| session.replace(*old, witness));
                self.registered(thread, *new, answer);
                answer
            }
            Op::Invoke(id, args) => {
                let witness = self.witness(*id, thread);
                self.using(|session| session.invoke(witness, call(cookie, *args)))
            }
            Op::Enumerate(id, count) => {
                let witness = self.witness(*id, thread);
                // lparam 1: a plain sum is then never 0, and does not stop the enumeration.
                let call = Call { cookie, a: 0, b: 1, misdirected: false };
                let answer = self.using(|session| session.enumerate(witness, *count, call));
                // A hostile library may have kept it: then it can be fired.
                self.registered[id.0 as usize].store(true, Ordering::Release); // pairs with `is_registered`
                answer
            }
            Op::Fire(id, args) => self.using_registered(*id, |s| s.fire(*id, call(cookie, *args))),
            Op::Send(id, args) => self.using_registered(*id, |s| s.send(*id, call(cookie, *args))),
            Op::Post(id, args) => self.using_registered(*id, |s| s.post(*id, call(cookie, *args))),
            Op::Revoke(id) => self.using_registered(*id, |s| s.revoke(*id)),
            Op::RevokeAndWait(id) => self.using_registered(*id, |s| s.revoke_and_wait(*id)),
            Op::Release(id) => self.using_registered(*id, |s| s.release(*id)),
            Op::Unsubscribe(id) => self.using_registered(*id, |s| s.unsubscribe(*id)),
            Op::Forget(id) => self.using_registered(*id, |s| s.forget(*id)),
            Op::Churn(count) => self.using(|s| {
                s.churn(*count, &|| {
                    self.anonymous_made.fetch_add(1, Ordering::Relaxed); // a count, read after the threads were joined
                    Witness::anonymous(self.id)
                })
            }),
            Op::Barrier => self.using(|s| s.barrier()),
            Op::Shutdown => self.shutdown(),
            Op::Hold(gate) => self.hold(thread, *gate),
            Op::Open(gate) => {
                self.gates.open(*gate);
                Answer::Done
            }
            Op::Reach(gate) => {
                if self.gates.reach(*gate) == Passed::GaveUp {
                    self.ledger.report(thread, EventKind::LetGo { gate: *gate, gave_up: true });
                }
                Answer::Done
            }
            Op::Stall(site, gate) => {
                self.gates.arm(*site, *gate);
                Answer::Done
            }
            Op::Panic => resume_unwind(Box::new(BodyPanic)),
            Op::Return(_) => Answer::Done,
        }
    }

    /// What a callback does when it is called: its body's steps, then its value.
    pub(crate) fn body(&self, callback: CallbackId, thread: ThreadNo, call: &Call) -> i64 {
        let it = &self.program.callbacks[callback.0 as usize];
        // Relaxed: each call gets a number of its own; nothing else hangs on it.
        let nth = self.calls[callback.0 as usize].fetch_add(1, Ordering::Relaxed) + 1;
        let mut value = match it.kind {
            Kind::Sum => call.a.wrapping_add(call.b),
            Kind::Counting => call.a.wrapping_add(call.b).wrapping_add(i64::from(nth)),
        };
        self.disturb(); // user code takes its time
        for (i, step) in it.body.iter().enumerate() {
            if step.nth.is_some_and(|n| n != nth) {
                continue;
            }
            self.step(thread, StepId { section: Section::Body(callback), index: i as u16 }, step);
            match step.op {
                Op::Return(v) => value = v,
                Op::Panic => unreachable!("a panic leaves the body"),
                _ => {}
            }
        }
        value
    }

    /// A churned callback was freed.
    pub(crate) fn anonymous_dropped(&self) {
        self.anonymous_dropped.fetch_add(1, Ordering::Relaxed); // a count, read after the threads were joined
    }

    /// A thread is at a stall site.
    pub(crate) fn at(&self, thread: ThreadNo, site: Site) {
        if site == Site::WorkerStart {
            self.watched.library_thread(thread);
            if let Some(scope) = self.quarantine.get() {
                scope.enter();
            }
        }
        if let Some(gate) = self.gates.take_armed(site) {
            self.hold(thread, gate);
        } else {
            self.disturb();
        }
        if site == Site::WorkerExit {
            self.watched.library_thread_exits(thread);
        }
    }

    fn hold(&self, thread: ThreadNo, gate: GateId) -> Answer {
        self.ledger.report(thread, EventKind::Held { gate });
        let passed = self.gates.hold(gate);
        self.ledger.report(thread, EventKind::LetGo { gate, gave_up: passed == Passed::GaveUp });
        Answer::Done
    }

    /// Under stress: sometimes lets another thread go first.
    fn disturb(&self) {
        let mut x = DISTURB.get();
        if x == 0 {
            return;
        }
        // xorshift64: not a good generator, and a cheap one without state to share.
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        DISTURB.set(x);
        match (x >> 32) % 8 {
            0..4 => {}
            4 | 5 => thread::yield_now(),
            6 => (0..(x >> 40) % 256).for_each(|_| std::hint::spin_loop()),
            _ => {
                // Until somebody else has got further, or nobody seems to.
                let seen = self.ledger.progress();
                let want = 1 + (x >> 48) as usize % 4;
                for _ in 0..64 {
                    if self.ledger.progress() >= seen + want {
                        break;
                    }
                    thread::yield_now();
                }
            }
        }
    }

    fn witness(&self, id: CallbackId, home: ThreadNo) -> Witness {
        let callback = &self.program.callbacks[id.0 as usize];
        Witness::new(self.id, id, callback.exclusive, callback.confined, home)
    }

    fn registered(&self, thread: ThreadNo, id: CallbackId, answer: Answer) {
        if answer == Answer::Done {
            self.ledger.report(thread, EventKind::Registered { callback: id });
            self.registered[id.0 as usize].store(true, Ordering::Release); // pairs with `is_registered`
        } else {
            self.ledger.report(thread, EventKind::Refused { callback: id });
        }
    }

    fn is_registered(&self, id: CallbackId) -> bool {
        self.registered[id.0 as usize].load(Ordering::Acquire) // pairs with `registered`
    }

    fn using_registered(&self, id: CallbackId, f: impl FnOnce(&dyn Session) -> Answer) -> Answer {
        if self.is_registered(id) { self.using(f) } else { Answer::Skipped }
    }

    /// Does something in the session, unless it is closed.
    fn using(&self, f: impl FnOnce(&dyn Session) -> Answer) -> Answer {
        struct Inside<'a>(&'a Run);
        impl Drop for Inside<'_> {
            fn drop(&mut self) {
                lock(&self.0.users).inside -= 1;
                self.0.users_changed.notify_all();
            }
        }
        if DEPTH.get() > MAX_DEPTH {
            return Answer::Skipped;
        }
        {
            let mut users = lock(&self.users);
            // An op that is nested in a call of the library may go on: `shutdown` waits for the outer one.
            if users.closing && DEPTH.get() == 1 {
                return Answer::Skipped;
            }
            users.inside += 1;
        }
        let _inside = Inside(self);
        let session = lock(&self.session).clone();
        session.map_or(Answer::Skipped, |session| f(&*session))
    }

    fn shutdown(&self) -> Answer {
        if DEPTH.get() > 1 {
            // From inside a callback: the library has to refuse, and stays open.
            return self.using(|s| s.shutdown());
        }
        {
            let mut users = lock(&self.users);
            if users.closing {
                return Answer::Skipped;
            }
            users.closing = true;
            while users.inside > 0 {
                users = self.users_changed.wait(users).unwrap_or_else(|poisoned| poisoned.into_inner());
            }
        }
        let session = lock(&self.session).clone();
        session.map_or(Answer::Skipped, |session| session.shutdown())
    }

    /// Frees what the run held, the blocks that it set aside among them. A thread reports that it has finished a moment
    /// before it lets go of the run, so the last of them is waited for.
    fn let_go(self: Arc<Self>) {
        let mut run = self;
        for _ in 0..1 << 20 {
            match Arc::try_unwrap(run) {
                Ok(Run { quarantine, .. }) => {
                    if let Some(scope) = quarantine.into_inner() {
                        scope.close();
                    }
                    return;
                }
                Err(still) => run = still,
            }
            thread::yield_now();
        }
        std::mem::forget(run);
    }

    fn fail(&self, what: String) {
        lock(&self.panicked).get_or_insert(what);
    }

    /// The run has ended, one way or another: judges it, and gives back what it held.
    fn conclude(self: Arc<Self>, contract: Contract, end: monitor::End) -> Result<Outcome, RunError> {
        let events = self.ledger.events();
        match end {
            monitor::End::Finished => {
                if self.ledger.detach(1 << 20) {
                    let run = self;
                    let panicked = lock(&run.panicked).take();
                    let program = run.program.clone();
                    let churn =
                        (run.anonymous_made.load(Ordering::Relaxed), run.anonymous_dropped.load(Ordering::Relaxed));
                    run.ledger.close();
                    run.let_go();
                    if let Some(panicked) = panicked {
                        return Err(RunError::SubjectPanicked(panicked));
                    }
                    let events = events.ok_or(RunError::TooManyEvents)?;
                    let mut verdict = judge(&program, contract, &events);
                    super::churned(&mut verdict, churn, events.len());
                    return Ok(Outcome { events, verdict });
                }
                // A foreign thread is still inside a callback of a run whose threads have all ended.
                std::mem::forget(Arc::clone(&self));
                Err(RunError::TooLong(self.options.limit))
            }
            monitor::End::Deadlock => {
                let events = events.ok_or(RunError::TooManyEvents)?;
                let mut verdict = judge(&self.program, contract, &events);
                verdict.violations.push(monitor::deadlock(&self.program, &events, &self.watched.unfinished()));
                // Its threads will never end: what they use stays.
                std::mem::forget(self);
                Ok(Outcome { events, verdict })
            }
            monitor::End::TooLong => {
                let limit = self.options.limit;
                std::mem::forget(self);
                Err(RunError::TooLong(limit))
            }
        }
    }
}

fn call(cookie: u32, args: Option<Args>) -> Call {
    let (a, b) = args.map_or((0, 0), |args| (args.a, args.b));
    Call { cookie, a, b, misdirected: false }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic without a message").to_owned()
}

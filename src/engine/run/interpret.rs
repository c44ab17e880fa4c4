//! The interpreter: does to a session what a program's ops say, and runs the bodies of its callbacks.
//!
//! Compiled twice, as the registry is: over std for the engines that use real threads ([`super::execute`]), and in
//! `loomed` over loom for the model engine. What the two differ in is [`Stage`]: how threads are started, held and
//! watched. What the run keeps for its own books ([`Outside`]) is not modelled; what decides whether an op happens at all
//! is (`registered`, `users`), or a search would not know that two orders differ.
//!
//! Pairs with: `stage`, of which there are two; `ledger::log`, where events go.

use super::stage::{Stage, Started};
use super::sync;
use crate::engine::gates::Passed;
use crate::engine::run::{BodyPanic, MAX_DEPTH, RunError, RunOptions, message, needs_library_threads};
use crate::ledger::log::{self, Interpreter};
use crate::ledger::{Answer, Call, Event, EventKind, Ledger, RunId, Section, StepId, ThreadNo, Witness};
use crate::program::{Args, CallbackId, GateId, Op, Program, Returns, Site, Step};
use crate::subject::{Env, Session, Subject};
use std::cell::Cell;
use std::panic::resume_unwind;
use std::sync::atomic::Ordering::Relaxed;
use sync::{AtomicBool, AtomicU32, Condvar, Counter, Mutex, Ordering, Outside, OutsideArc, catch, lock, outside, wait};

sync::local! {
    /// How deep in ops this thread is.
    static DEPTH: Cell<u32> = Cell::new(0);
}

/// A run.
#[derive(Debug)]
pub(crate) struct Run {
    id: RunId,
    ledger: &'static Ledger,
    program: Program,
    pub(super) stage: Stage,
    session: Outside<Option<OutsideArc<dyn Session>>>,
    registered: Vec<AtomicBool>,
    calls: Vec<AtomicU32>,
    cookies: Counter,
    /// Whether the program closes the library while other threads may use it: then `users` are counted.
    closes: bool,
    /// Ops inside the session, so that `shutdown` can wait for those of other threads: a library may not be closed under
    /// its callers.
    users: Mutex<Users>,
    users_changed: Condvar,
    panicked: Outside<Option<String>>,
    anonymous_made: Counter,
    anonymous_dropped: Counter,
}

#[derive(Debug, Default)]
struct Users {
    inside: usize,
    closing: bool,
}

impl Interpreter for Run {
    fn program(&self) -> Program {
        self.program.clone()
    }

    /// What a callback does when it is called: its body's steps, then its value.
    fn body(&self, callback: CallbackId, thread: ThreadNo, call: &Call) -> i64 {
        let it = &self.program.callbacks[callback.0 as usize];
        // Relaxed: each call gets a number of its own; nothing else hangs on it.
        let nth = if it.counts() { self.calls[callback.0 as usize].fetch_add(1, Ordering::Relaxed) + 1 } else { 1 };
        let mut value = match it.returns {
            Returns::Sum => call.a.wrapping_add(call.b),
            Returns::Counting => call.a.wrapping_add(call.b).wrapping_add(i64::from(nth)),
        };
        self.stage.disturb(self.ledger); // user code takes its time
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

    fn at(&self, thread: ThreadNo, site: Site) {
        if site == Site::WorkerStart {
            self.stage.library_thread(thread);
        }
        if let Some(gate) = self.stage.take_armed(site) {
            self.hold(thread, gate);
        } else {
            self.stage.disturb(self.ledger);
        }
        if site == Site::WorkerExit {
            self.stage.library_thread_exits(thread);
        }
    }

    fn anonymous_dropped(&self) {
        self.anonymous_dropped.fetch_add(1, Relaxed); // a count, read after the threads were joined
    }
}

impl Run {
    /// A run whose session is open.
    ///
    /// # Errors
    ///
    /// What kept the subject's library from being opened.
    pub(crate) fn open(
        program: &Program,
        subject: &dyn Subject,
        options: &RunOptions,
    ) -> Result<OutsideArc<Self>, RunError> {
        let ledger = Ledger::open();
        let run = OutsideArc::new(Run {
            id: ledger.id(),
            ledger,
            program: program.clone(),
            stage: Stage::new(program, options),
            session: Outside::new(None),
            registered: program.callbacks.iter().map(|_| AtomicBool::new(false)).collect(),
            calls: program.callbacks.iter().map(|_| AtomicU32::new(0)).collect(),
            cookies: Counter::new(0),
            closes: program.steps().any(|step| step.op == Op::Shutdown),
            users: Mutex::new(Users::default()),
            users_changed: Condvar::new(),
            panicked: Outside::new(None),
            anonymous_made: Counter::new(0),
            anonymous_dropped: Counter::new(0),
        });
        ledger.attach(run.clone());
        let env = Env {
            run: run.id,
            hostile: program.hostile.clone(),
            fail_allocation: program.fail_allocation,
            capacity: program.capacity,
            stalls: Stage::GATED,
            library_threads: if needs_library_threads(program) { Stage::LIBRARY_THREADS } else { 0 },
        };
        match subject.open(&env) {
            Ok(session) => {
                *outside(&run.session) = Some(OutsideArc::from(session));
                Ok(run)
            }
            Err(error) => {
                run.abandon();
                Err(RunError::Open(error))
            }
        }
    }

    /// Gives back what a run holds that never began.
    pub(crate) fn abandon(self: OutsideArc<Self>) {
        drop(outside(&self.session).take());
        self.ledger.detach(usize::MAX);
        self.ledger.close();
        self.let_go();
    }

    /// Frees what the run held, the blocks that it set aside among them. A thread reports that it has finished a moment
    /// before it lets go of the run, so the last of them is waited for.
    pub(crate) fn let_go(self: OutsideArc<Self>) {
        let mut run = self;
        for _ in 0..1 << 20 {
            match OutsideArc::try_unwrap(run) {
                Ok(run) => return run.stage.close(),
                Err(still) => run = still,
            }
            crate::sync::thread::yield_now();
        }
        std::mem::forget(run);
    }

    /// The main thread is about to begin.
    pub(crate) fn start(&self) -> Started {
        self.stage.start(ThreadNo::MAIN)
    }

    /// What has happened so far; `None` when there was too much of it.
    pub(crate) fn events(&self) -> Option<Vec<Event>> {
        self.ledger.events()
    }

    /// How many callbacks `churn` has made, and how many of those were freed.
    pub(crate) fn churned(&self) -> (u32, u32) {
        // Relaxed: read after the threads were joined.
        let count = |counter: &Counter| counter.load(Relaxed) as u32;
        (count(&self.anonymous_made), count(&self.anonymous_dropped))
    }

    /// What the subject panicked with, outside any callback.
    pub(crate) fn panicked(&self) -> Option<String> {
        outside(&self.panicked).clone()
    }

    /// The run is over: no witness finds it any more. Answers whether none is inside it.
    pub(crate) fn retire(&self) -> bool {
        let retired = self.ledger.detach(1 << 20);
        if retired {
            self.ledger.close();
        }
        retired
    }

    /// The main thread: `before`, the threads, `after`, the end of the session.
    pub(crate) fn main(self: OutsideArc<Self>, started: Started) {
        self.on_thread(ThreadNo::MAIN, started, || {
            self.section(ThreadNo::MAIN, Section::Before, &self.program.before);
            let threads: Vec<_> = (0..self.program.threads.len())
                .map(|i| {
                    let (run, no) = (OutsideArc::clone(&self), ThreadNo(i as u8 + 1));
                    let started = self.stage.start(no);
                    let body = move |ready: &dyn Fn()| {
                        run.on_thread(no, started, || {
                            ready();
                            run.section(no, Section::Thread(i as u8), &run.program.threads[i]);
                        });
                    };
                    (no, body)
                })
                .collect();
            for (no, error) in self.stage.run(threads) {
                self.fail(format!("thread {} could not be started: {error}", no.name()));
            }
            self.section(ThreadNo::MAIN, Section::After, &self.program.after);
            self.finish();
        });
    }

    /// What each thread of the program does first and last.
    fn on_thread(&self, no: ThreadNo, started: Started, f: impl FnOnce()) {
        log::enter_run(self.id, no);
        self.stage.enter(no);
        set_depth(0);
        let result = catch(f);
        self.stage.leave();
        log::leave_run();
        if let Err(panic) = result {
            self.fail(message(&*panic));
        }
        self.stage.finished(started);
    }

    fn section(&self, thread: ThreadNo, section: Section, steps: &[Step]) {
        for (i, step) in steps.iter().enumerate() {
            self.step(thread, StepId { section, index: i as u16 }, step);
        }
    }

    /// Closes the session if the program has not, and lets it go.
    fn finish(&self) {
        self.ledger.report(ThreadNo::MAIN, EventKind::Closing);
        let session = outside(&self.session).take();
        if let Some(session) = session {
            if !(self.closes && lock(&self.users).closing) {
                let result = catch(|| session.shutdown());
                if let Err(panic) = result {
                    self.fail(message(&*panic));
                }
            }
            let result = catch(|| drop(session));
            if let Err(panic) = result {
                self.fail(message(&*panic));
            }
        }
        self.ledger.report(ThreadNo::MAIN, EventKind::Closed);
    }

    /// One op: begins, is done, ends.
    fn step(&self, thread: ThreadNo, id: StepId, step: &Step) {
        let fires = matches!(step.op, Op::Fire(..) | Op::Send(..) | Op::Post(..) | Op::Invoke(..) | Op::Enumerate(..));
        let cookie = if fires { self.cookies.fetch_add(1, Relaxed) as u32 + 1 } else { 0 }; // distinct numbers only
        self.ledger.report(thread, EventKind::OpBegin { step: id, cookie });
        self.stage.disturb(self.ledger);
        let depth = depth();
        set_depth(depth + 1);
        let result = catch(|| self.op(thread, &step.op, cookie));
        set_depth(depth);
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
                let call = Call::new(cookie, 0, 1);
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
                    self.anonymous_made.fetch_add(1, Relaxed); // a count, read after the threads were joined
                    Witness::anonymous(self.id)
                })
            }),
            Op::Barrier => self.using(|s| s.barrier()),
            Op::Shutdown => self.shutdown(),
            Op::Hold(gate) => self.hold(thread, *gate),
            Op::Open(gate) => {
                self.stage.open(*gate);
                Answer::Done
            }
            Op::Reach(gate) => {
                if Stage::GATED && self.stage.reach(*gate) == Passed::GaveUp {
                    self.ledger.report(thread, EventKind::LetGo { gate: *gate, gave_up: true });
                }
                Answer::Done
            }
            Op::Stall(site, gate) => {
                self.stage.arm(*site, *gate);
                Answer::Done
            }
            Op::Panic => resume_unwind(Box::new(BodyPanic)),
            Op::Return(_) => Answer::Done,
        }
    }

    fn hold(&self, thread: ThreadNo, gate: GateId) -> Answer {
        if Stage::GATED {
            self.ledger.report(thread, EventKind::Held { gate });
            let passed = self.stage.hold(gate);
            self.ledger.report(thread, EventKind::LetGo { gate, gave_up: passed == Passed::GaveUp });
        }
        Answer::Done
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
                if !sync::abandoned() {
                    lock(&self.0.users).inside -= 1;
                    self.0.users_changed.notify_all();
                }
            }
        }
        if depth() > MAX_DEPTH {
            return Answer::Skipped;
        }
        let _inside = if self.closes {
            let mut users = lock(&self.users);
            // An op that is nested in a call of the library may go on: `shutdown` waits for the outer one.
            if users.closing && depth() == 1 {
                return Answer::Skipped;
            }
            users.inside += 1;
            Some(Inside(self))
        } else {
            None
        };
        let session = outside(&self.session).clone();
        session.map_or(Answer::Skipped, |session| f(&*session))
    }

    fn shutdown(&self) -> Answer {
        if depth() > 1 {
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
                users = wait(&self.users_changed, users);
            }
        }
        let session = outside(&self.session).clone();
        session.map_or(Answer::Skipped, |session| session.shutdown())
    }

    fn fail(&self, what: String) {
        outside(&self.panicked).get_or_insert(what);
    }
}

fn depth() -> u32 {
    DEPTH.with(Cell::get)
}

fn set_depth(depth: u32) {
    DEPTH.with(|it| it.set(depth));
}

fn call(cookie: u32, args: Option<Args>) -> Call {
    let (a, b) = args.map_or((0, 0), |args| (args.a, args.b));
    Call::new(cookie, a, b)
}

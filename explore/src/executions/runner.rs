//! Runs the program: along the graph as far as the graph goes, then extends the graph to a whole execution.

use super::fiber::{Body, Entry, Failure, Fiber, Request, Tag};
use super::graph::{Action, Due, Event, EventId, Graph, Kind};
use super::loops::{self, Loops};
use super::names::Names;
use super::search::Search;
use super::stacks::Stacks;
use crate::std_types::{AtomicU64, Ordering};
use corosensei::Yielder;
use std::cell::Cell;
use std::collections::HashMap;
use std::mem::ManuallyDrop;
use std::panic::Location;
use std::rc::Rc;

/// How one run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum End {
    /// Each thread came to its end.
    Execution,
    /// Threads wait for ever. Says for what.
    Deadlock(String),
    /// Nothing that the program does: a thread waits although a newer value would let it go, or the graph has no
    /// consistent extension. Other runs have what this run would have shown.
    Blocked,
    /// The program said that it is not interested.
    Assumed,
    /// The execution has more events than a run may have.
    TooLong,
    Failed(Failure),
    /// More is known about the program's loops, so the search has to begin again.
    Learnt,
}

pub(crate) struct Runner {
    pub(crate) search: Search,
    program: Rc<dyn Fn()>,
    pub(super) fibers: Vec<Fiber>,
    current: u32,
    /// Counts the runs of this process, so that tags of different searches are apart.
    pub(super) run: u64,
    pub(super) stacks: Stacks,
    pub(super) names: Names,
    pub(super) loops: Loops,
    pub(super) failure: Option<Failure>,
    /// What the run has executed, in this order.
    steps: Vec<Executed>,
    /// Events after which a run is cut short.
    pub(super) most_events: usize,
    /// Bytes of a thread's stack.
    stack: usize,
}

/// An event that a run has executed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Executed {
    pub(crate) event: EventId,
    pub(crate) verb: &'static str,
    /// Where the program asked for it.
    pub(crate) place: Option<&'static Location<'static>>,
}

thread_local! {
    static RUNNER: Cell<*mut Runner> = const { Cell::new(std::ptr::null_mut()) };
}

/// Counts the runs of all searches of the process. Orders nothing.
static RUNS: AtomicU64 = AtomicU64::new(0);

/// The runner of the search on this thread of the machine, for code of the program.
///
/// # Panics
///
/// Outside of a search.
pub(crate) fn with<R>(f: impl FnOnce(&mut Runner) -> R) -> R {
    let runner = RUNNER.get();
    assert!(!runner.is_null(), "types of latecall_explore can be used only inside of a search");
    // SAFETY: `Runner::run` sets the pointer to itself while it resumes threads of the program, and holds no reference
    // meanwhile. `f` does not switch threads, so this is the only reference.
    f(unsafe { &mut *runner })
}

/// Whether a search runs on this thread of the machine.
pub(crate) fn is_running() -> bool {
    !RUNNER.get().is_null()
}

/// Suspends the thread of the program that calls this until its request is answered.
///
/// While the thread unwinds from a panic, which ends the execution, nothing is added to the graph any more: destructors
/// read the newest values, and what they do is not explored.
///
/// # Panics
///
/// Outside of a search.
#[track_caller]
#[inline(never)] // So that all requests are made at the same depth below their place.
pub(crate) fn ask(request: Request) -> u64 {
    if std::thread::panicking() {
        return with(|runner| runner.newest(&request));
    }
    let place = Location::caller();
    let yielder = with(|runner| {
        let fiber = runner.running();
        fiber.place = Some(place);
        fiber.yielder()
    });
    let mut request = ManuallyDrop::new(request);
    // SAFETY: 1. `enter` set the yielder when this thread began, on whose stack we are. 2. The request is not used, nor
    // dropped, after this.
    unsafe { loops::suspend(&raw mut *request, yielder) }
}

fn enter(yielder: *const Yielder<u64, Request>) {
    with(|runner| runner.running().set_yielder(yielder));
}

impl Runner {
    pub(crate) fn new(program: Rc<dyn Fn()>, most_events: usize, stack: usize) -> Self {
        Self {
            search: Search::new(),
            program,
            fibers: Vec::new(),
            current: 0,
            run: 0,
            stacks: Stacks::new(stack),
            names: Names::new(),
            loops: Loops::default(),
            failure: None,
            steps: Vec::new(),
            most_events,
            stack,
        }
    }

    /// The thread of the program that runs.
    pub(crate) fn current(&self) -> u32 {
        self.current
    }

    /// The number of the run in progress. No other run of the process has it.
    pub(crate) fn run_number(&self) -> u64 {
        self.run
    }

    pub(super) fn running(&mut self) -> &mut Fiber {
        &mut self.fibers[self.current as usize]
    }

    /// How many events the running thread has executed.
    pub(crate) fn executed(&self) -> u32 {
        self.fibers[self.current as usize].executed
    }

    /// Notes that the running thread has written memory.
    pub(crate) fn has_effect(&mut self) {
        self.running().has_effect();
    }

    /// How many events of `thread` happen before what the running thread does now.
    pub(crate) fn known(&mut self, thread: u32) -> u32 {
        let (me, after) = (self.current, self.executed());
        self.search.graph().known(me, after, thread)
    }

    /// Notes a failure that the running thread has found. The execution ends at the thread's next request.
    pub(crate) fn fail(&mut self, failure: Failure) {
        self.failure.get_or_insert(failure);
    }

    /// Runs the program once along the search's graph, to the end of an execution that extends it.
    pub(crate) fn run(&mut self) -> End {
        self.run = RUNS.fetch_add(1, Ordering::Relaxed) + 1;
        self.steps.clear();
        self.failure = None;
        let program = Rc::clone(&self.program);
        self.start(0, Request::None, Box::new(move || program()));
        self.resume(0, 0);
        self.follow();
        let end = self.extend();
        for (thread, fiber) in self.fibers.drain(..).enumerate() {
            self.stacks.give(thread, fiber.into_stack());
        }
        if end == End::Learnt {
            self.search = Search::new();
        }
        end
    }

    fn start(&mut self, thread: u32, request: Request, body: Body) {
        let thread = thread as usize;
        while self.fibers.len() < thread {
            // A thread of another execution.
            let stack = self.stacks.take(self.fibers.len());
            let mut absent = Fiber::new(stack, self.stack, Request::None, enter, Box::new(|| ()));
            absent.ended = true;
            self.fibers.push(absent);
        }
        let mut stack = self.stacks.take(thread);
        if let Some(stack) = stack.as_mut().filter(|_| !self.loops.is_empty()) {
            loops::clear(stack);
        }
        let fiber = Fiber::new(stack, self.stack, request, enter, body);
        if thread < self.fibers.len() {
            let absent = std::mem::replace(&mut self.fibers[thread], fiber);
            self.stacks.give(thread, absent.into_stack());
        } else {
            self.fibers.push(fiber);
        }
    }

    /// Runs a thread with the answer to its request, up to its next request.
    pub(super) fn resume(&mut self, thread: u32, answer: u64) {
        self.current = thread;
        let mut coroutine = self.fibers[thread as usize].take();
        let outer = RUNNER.replace(self);
        let result = coroutine.resume(answer);
        RUNNER.set(outer);
        self.fibers[thread as usize].give(coroutine, result);
        self.look(thread);
    }

    /// Executes what is in the graph. Each order that respects program order and reads-from leads to the same state.
    fn follow(&mut self) {
        let mut moved = true;
        while moved {
            moved = false;
            let mut thread = 0;
            // Threads come to be meanwhile.
            while thread < self.fibers.len() {
                while self.execute(thread as u32) {
                    moved = true;
                }
                thread += 1;
            }
        }
    }

    fn has_executed(&self, event: EventId) -> bool {
        event.is_initial() || self.fibers.get(event.thread as usize).is_some_and(|it| it.executed > event.index)
    }

    /// The location of a tag. The graph's event says which, if there is one; otherwise the location is new.
    pub(super) fn locate(&mut self, tag: *const Tag, expected: Option<u32>) -> Option<u32> {
        // SAFETY: the request is open: see `Request`.
        let tag = unsafe { &*tag };
        let location = tag.location(self.run).unwrap_or_else(|| {
            let location = expected.unwrap_or_else(|| self.search.graph().add_location(0));
            self.search.graph().set_initial(location, tag.initial());
            tag.locate(self.run, location);
            location
        });
        expected.is_none_or(|expected| expected == location).then_some(location)
    }

    /// Executes the thread's next event in the graph. Returns false if there is none, or if what it depends on has not
    /// been executed yet.
    pub(super) fn execute(&mut self, thread: u32) -> bool {
        let index = self.fibers[thread as usize].executed;
        let Some(event) = self.search.graph().thread(thread).get(index as usize).map(Event::due) else { return false };
        if !self.has_executed(event.from) || self.failure.is_some() {
            return false;
        }
        let request = std::mem::take(&mut self.fibers[thread as usize].request);
        let fits = match (&request, event.kind) {
            (Request::Read { tag, .. } | Request::Lock(tag), Kind::Read)
            | (Request::Write { tag, .. }, Kind::Write) => self.locate(*tag, Some(event.location)).is_some(),
            (Request::Fence(_), Kind::Fence) | (Request::Choose { .. }, Kind::Choice) => true,
            (
                Request::Spawn(_)
                | Request::Begin(_)
                | Request::Join(_)
                | Request::Granted { .. }
                | Request::Unlock(_)
                | Request::End,
                Kind::Sync,
            ) => true,
            _ => false,
        };
        if !fits {
            return self.not_deterministic(thread, index);
        }
        let fiber = &mut self.fibers[thread as usize];
        fiber.executed += 1;
        let reads = matches!(&request, Request::Read { action: Action::Load | Action::Compare { .. }, .. });
        if reads {
            fiber.has_read(index)
        } else {
            fiber.has_effect()
        }
        self.steps.push(Executed { event: event.id, verb: request.verb(), place: fiber.place });
        let mut answer = event.value;
        match request {
            Request::Read { action, .. } => match self.execute_read(&event, &action) {
                None => return self.not_deterministic(thread, index),
                Some(_) if event.blocked => return true,
                Some(value) => answer = value,
            },
            Request::Write { value, .. } => self.search.graph().set_value(event.id, value),
            Request::Lock(_) => {
                self.fibers[thread as usize].executed += 1;
                if !event.from.is_initial() {
                    let granted = Request::Granted { location: event.location, behind: event.from };
                    self.fibers[thread as usize].request = granted;
                    return true;
                }
            }
            Request::Spawn(Entry(body)) => {
                let fiber = &mut self.fibers[thread as usize];
                fiber.spawned += 1;
                let child = self.names.child(thread, fiber.spawned);
                self.start(child, Request::Begin(event.id), body);
                answer = child.into();
            }
            Request::End => {
                self.fibers[thread as usize].ended = true;
                return true;
            }
            _ => {}
        }
        self.resume(thread, answer);
        true
    }

    /// What the read reads in this run; and says what its write writes. Values may be other ones than in earlier runs,
    /// for instance addresses, but the thread has to go on in the same way.
    fn execute_read(&mut self, event: &Due, action: &Action) -> Option<u64> {
        let graph = self.search.graph();
        let value = graph.written(event.location, event.from);
        graph.set_value(event.id, value);
        let written = action.written(value, event.branch);
        let write =
            graph.thread(event.id.thread).get(event.id.index as usize + 1).filter(|it| it.exclusive).map(|it| it.id);
        if (action.may_block() && action.blocks(value) != event.blocked) || written.is_some() != write.is_some() {
            return None;
        }
        if let (Some(value), Some(write)) = (written, write) {
            graph.set_value(write, value);
            let fiber = &mut self.fibers[event.id.thread as usize];
            fiber.executed += 1;
            fiber.has_effect();
        }
        Some(value)
    }

    fn not_deterministic(&mut self, thread: u32, index: u32) -> bool {
        let what = format!(
            "thread {thread} did something else at its step {index} than in an earlier run in which it had read the \
             same. What outlives a run, such as a static of std's types, or what is outside of it, such as a clock, \
             must not decide what a thread does"
        );
        self.fail(Failure::NotDeterministic(what));
        false
    }

    pub(crate) fn graph(&mut self) -> &Graph {
        self.search.graph()
    }

    /// The place at which the run has made the most events, and how many.
    pub(crate) fn busiest(&self) -> Option<String> {
        let mut places: HashMap<&Location<'_>, usize> = HashMap::new();
        for place in self.steps.iter().filter_map(|step| step.place) {
            *places.entry(place).or_default() += 1;
        }
        let (place, times) = places.into_iter().max_by_key(|(place, times)| (*times, *place))?;
        Some(format!("{}, {times}", crate::finding::at(place)))
    }

    pub(crate) fn steps(&self) -> &[Executed] {
        &self.steps
    }

    /// What a read would read if it came after everything that has happened.
    fn newest(&mut self, request: &Request) -> u64 {
        let Request::Read { tag, .. } = request else { return 0 };
        // SAFETY: the request is open: see `Request`.
        let tag = unsafe { &**tag };
        match tag.location(self.run) {
            Some(location) => {
                let graph = self.search.graph();
                graph.written(location, graph.newest(location))
            }
            None => tag.initial(),
        }
    }
}

//! A thread of the program: a coroutine that hands out requests.

use super::graph::{Action, EventId, Order};
use super::loops::Seen;
use crate::std_types::{AtomicU32, AtomicU64, Ordering};
use corosensei::stack::DefaultStack;
use corosensei::{Coroutine, CoroutineResult, Yielder};
use std::any::Any;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};

/// What a thread executes.
pub(crate) type Body = Box<dyn FnOnce()>;

/// A thread that is to be spawned.
pub(crate) struct Entry(pub(crate) Body);

impl std::fmt::Debug for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a thread")
    }
}

/// Which location an atomic variable or an object has in the run in progress. Part of the variable.
///
/// The fields are std's atomics only so that variables may be statics: one thread of the machine at a time uses them,
/// the one of the search.
#[derive(Debug)]
pub(crate) struct Tag {
    /// The run in which `location` was said. 0 is none.
    run: AtomicU64,
    location: AtomicU32,
    /// What the location holds before the first write.
    initial: u64,
}

impl Tag {
    pub(crate) const fn new(initial: u64) -> Self {
        Self { run: AtomicU64::new(0), location: AtomicU32::new(0), initial }
    }

    pub(crate) fn initial(&self) -> u64 {
        self.initial
    }

    /// The location, if the variable has been used in this run.
    pub(crate) fn location(&self, run: u64) -> Option<u32> {
        // Relaxed: see the type.
        (self.run.load(Ordering::Relaxed) == run).then(|| self.location.load(Ordering::Relaxed))
    }

    pub(crate) fn locate(&self, run: u64, location: u32) {
        self.location.store(location, Ordering::Relaxed);
        self.run.store(run, Ordering::Relaxed);
    }
}

/// What a thread asks for, and waits for the answer to.
///
/// Tags are pointers into memory of the program. They stay valid while the request is open, since the thread is inside
/// the operation.
#[derive(Debug, Default)]
pub(crate) enum Request {
    Read {
        tag: *const Tag,
        order: Order,
        action: Action,
    },
    Write {
        tag: *const Tag,
        order: Order,
        value: u64,
    },
    Fence(Order),
    Spawn(Entry),
    /// The first request of each thread but the main one: waits for its spawn.
    Begin(EventId),
    Join(u32),
    Lock(*const Tag),
    /// The second half of `Lock`: waits until the critical section is left that this request opened.
    Granted {
        location: u32,
        behind: EventId,
    },
    Unlock(*const Tag),
    /// A decision between `0..count`.
    Choose {
        count: u64,
    },
    /// Something is wrong. Ends the execution.
    Fail(Failure),
    /// The rest of the execution is not of interest.
    Assume,
    /// The thread's function has returned.
    End,
    /// The thread has ended, or runs.
    #[default]
    None,
}

impl Request {
    /// What the thread does, for timelines. Reads and writes say more by what they read and write.
    pub(crate) fn verb(&self) -> &'static str {
        match self {
            Self::Read { .. } => "reads",
            Self::Write { .. } => "writes",
            Self::Fence(_) => "fence",
            Self::Spawn(_) => "spawns",
            Self::Begin(_) => "begins",
            Self::Join(_) => "joins",
            Self::Lock(_) => "queues for",
            Self::Granted { .. } => "locks",
            Self::Unlock(_) => "unlocks",
            Self::Choose { .. } => "decides",
            Self::End => "ends",
            Self::Fail(_) | Self::Assume | Self::None => "stops",
        }
    }
}

/// Why a thread ended an execution.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Failure {
    Panicked(String),
    Race(String),
    /// The program does not do the same when it reads the same.
    NotDeterministic(String),
}

pub(crate) struct Fiber {
    coroutine: Option<Coroutine<u64, Request, Result<(), Failure>, DefaultStack>>,
    yielder: *const Yielder<u64, Request>,
    pub(crate) request: Request,
    /// How many events of the graph the thread has executed in this run.
    pub(crate) executed: u32,
    /// How many threads it has spawned in this run.
    pub(crate) spawned: u32,
    pub(crate) ended: bool,
    /// Where the program made the request that is open.
    pub(crate) place: Option<&'static Location<'static>>,
    /// Between these two addresses is what the thread has on its stack. `top` is that of the open request.
    pub(super) base: usize,
    pub(super) top: usize,
    /// The reads since the thread's last effect, and the state that it has at its request, if that was looked at.
    pub(super) seen: Vec<Seen>,
    pub(super) looked: Option<(u64, u64)>,
}

impl Fiber {
    /// A thread that has not begun. `enter` is called on it with its yielder.
    ///
    /// # Panics
    ///
    /// If there is no memory for a stack of `size` bytes, and `stack` is none.
    pub(crate) fn new(
        stack: Option<DefaultStack>,
        size: usize,
        request: Request,
        enter: fn(*const Yielder<u64, Request>),
        body: Body,
    ) -> Self {
        let stack = stack.unwrap_or_else(|| {
            DefaultStack::new(size)
                .unwrap_or_else(|error| panic!("no memory for a thread's stack (Options::stack is {size}): {error}"))
        });
        let coroutine = Coroutine::with_stack(stack, move |yielder: &Yielder<u64, Request>, _: u64| {
            enter(yielder);
            catch_unwind(AssertUnwindSafe(body)).map_err(|payload| Failure::Panicked(message(&*payload)))
        });
        Self {
            coroutine: Some(coroutine),
            yielder: std::ptr::null(),
            request,
            executed: 0,
            spawned: 0,
            ended: false,
            place: None,
            base: 0,
            top: 0,
            seen: Vec::new(),
            looked: None,
        }
    }

    pub(crate) fn set_yielder(&mut self, yielder: *const Yielder<u64, Request>) {
        self.yielder = yielder;
        // It stands at the very beginning of the stack. Behind it is the stack pointer of the code that resumes the
        // thread.
        self.base = yielder as usize;
    }

    pub(crate) fn yielder(&self) -> *const Yielder<u64, Request> {
        self.yielder
    }

    /// The coroutine, to be resumed outside of any borrow of the runner.
    pub(crate) fn take(&mut self) -> Coroutine<u64, Request, Result<(), Failure>, DefaultStack> {
        self.coroutine.take().expect("a thread that has not ended and does not run")
    }

    /// Gives the coroutine back, with what came out of it.
    pub(crate) fn give(
        &mut self,
        coroutine: Coroutine<u64, Request, Result<(), Failure>, DefaultStack>,
        result: CoroutineResult<Request, Result<(), Failure>>,
    ) {
        self.coroutine = Some(coroutine);
        self.request = match result {
            CoroutineResult::Yield(request) => request,
            CoroutineResult::Return(Ok(())) => Request::End,
            CoroutineResult::Return(Err(failure)) => Request::Fail(failure),
        };
    }

    /// Ends the thread wherever it is. Nothing on its stack is dropped. Returns the stack.
    pub(crate) fn into_stack(self) -> Option<DefaultStack> {
        let mut coroutine = self.coroutine?;
        if !coroutine.done() {
            // SAFETY: the thread is suspended in a request, and will not run again. What points to its stack is in
            // other threads of the same run, which end with it, and in requests, which are not looked at any more.
            unsafe { coroutine.force_reset() };
        }
        Some(coroutine.into_stack())
    }
}

/// What a panic says.
fn message(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(ToString::to_string);
    text.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap_or_else(|| "a panic without a message".into())
}

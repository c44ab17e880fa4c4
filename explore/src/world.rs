//! What one interleaving consists of: its threads, memory, objects and events; and getting from a C call to all that.
//!
//! All threads of a model run on one thread of the machine, one at a time, so the world is a thread-local without locks.
//! It is never borrowed across an operation of loom's that may switch threads.

use super::Repeats;
use super::event::{Event, What};
use super::exceptions::{Handled, Handling};
use super::finding::{Bound, Finding, FindingKind};
use super::memory::Heap;
use super::pthread::{Needs, Objects};
use super::race::{Epoch, Moments, Shadow};
use super::spins::Spins;
use super::stack::Stacks;
use super::trace::{How, Trace};
use super::tsan::Atoms;
use crate::loom_types::{BacktrackHelper, Fences, thread};
use crate::quarantine::RunBlocks;
use std::any::Any;
use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::ffi::c_int;
use std::fmt::Write as _;
use std::rc::Rc;

/// An address in code.
pub(crate) type Pc = usize;
/// A thread of the model, by loom's number: 0 is the closure's own.
pub(crate) type Me = usize;

/// All the threads that loom has; the first is the closure's.
pub const MOST_THREADS: usize = 5;
/// What they are called, where nobody has given them a name.
const NAMES: [&str; MOST_THREADS] = ["main", "thread 1", "thread 2", "thread 3", "thread 4"];

/// Loom's threads count their events in 16 bits. Its own operations count too, and those of Rust code.
const MOST_EVENTS: u32 = 50_000;

thread_local! {
    static WORLD: RefCell<Option<Box<World>>> = const { RefCell::new(None) };
    /// Whether C calls reach the model: inside an interleaving that has not ended.
    static LIVE: Cell<bool> = const { Cell::new(false) };
    /// Whether what is done now is to be explored in every order; see [`whole`].
    static WHOLE: Cell<bool> = const { Cell::new(false) };
    /// Whether this interleaving repeats one before, and is only run to its end; see [`repeats`].
    static REPEATS: Cell<bool> = const { Cell::new(false) };
    /// Whether loom's second thread is the keeper of places.
    static KEPT: Cell<bool> = const { Cell::new(false) };
    /// Whether what happens goes into a trace; see [`traced`].
    static TRACED: Cell<bool> = const { Cell::new(false) };
}

/// What leaves an interleaving before its end.
pub(crate) enum Leave {
    /// There is a finding in the world.
    Convicted,
    /// A limit of the harness.
    Limited(Bound),
    /// A thread waits for what cannot be; the search begins again with stores that follow: see `tsan::atomic`.
    Restart,
    /// `pthread_exit`: thrown, without the panic hook.
    ThreadExit,
}

/// A thread of the interleaving.
pub(crate) struct Thread {
    pub(crate) name: Cow<'static, str>,
    /// What C calls it, where it does.
    pub(crate) title: Option<String>,
    /// Where each C function on its stack was called from, outermost first.
    pub(crate) calls: Vec<Pc>,
    /// What it blocks on, and where.
    pub(crate) waiting: Option<Wait>,
    pub(crate) events: u32,
    pub(crate) errno: Box<c_int>,
    /// Exceptions of C++ that it handles, while the library has another thread's.
    pub(super) handled: Handled,
    pub(crate) locals: BTreeMap<u32, usize>,
    /// Its copies of thread-local variables, by where they are described.
    pub(crate) variables: BTreeMap<usize, usize>,
    /// To be done at its next event, when the store that the compiler announced has happened.
    pub(crate) pending: Vec<Pending>,
    /// What it has read of atomics since it last did something.
    pub(crate) spins: Spins,
    /// It leaves by `pthread_exit`.
    pub(crate) exiting: bool,
}

impl Thread {
    /// What has not been destroyed of it: its values of keys, and its copies of thread-local variables.
    pub(crate) fn own(&self) -> impl Iterator<Item = usize> {
        self.locals.values().chain(self.variables.values()).copied()
    }
}

/// What a thread blocks on.
#[derive(Debug, Clone)]
pub(crate) struct Wait {
    pub(crate) on: &'static str,
    pub(crate) address: usize,
    pub(crate) pc: Pc,
}

/// See [`Thread::pending`].
#[derive(Debug, Clone, Copy)]
pub(crate) enum Pending {
    /// A plain store went to the memory of the atomic at this address.
    Stored(usize),
    /// A volatile load found there what is not the last store.
    Shown(usize),
    /// A volatile store did.
    Volatile(usize, Pc),
}

pub(crate) struct World {
    pub(crate) stacks: Stacks,
    pub(crate) threads: Vec<Option<Thread>>,
    pub(crate) heap: Heap,
    pub(crate) shadow: Shadow,
    pub(crate) atoms: Atoms,
    pub(crate) objects: Objects,
    pub(crate) events: Vec<Event>,
    pub(crate) finding: Option<Finding>,
    /// Whose exceptions the library of C++ has.
    pub(super) handling: Handling,
    /// Functions for `atexit`, in order, each with its argument.
    pub(crate) at_exit: Vec<(usize, usize)>,
    pub(crate) moments: Moments,
    /// What Rust threads' stacks have been seen to reach over; theirs are not ours.
    seen: Vec<(usize, usize, Me)>,
    /// Weak compare-exchanges that may still fail for no reason.
    pub(crate) spurious_left: u32,
    /// A thread let others run first where it might have gone on at once: see [`let_others_run`].
    pub(crate) gave_way: bool,
    /// Which interleaving of the search it is; the first is 1.
    pub(crate) number: u64,
    /// What has happened, where the search is told so; see [`super::trace`].
    pub(crate) trace: Option<Trace>,
    /// This interleaving is known to be the one that convicts: it is recorded with the frames of Rust code.
    pub(crate) detailed: bool,
    /// What full fences are operations on; made while there is one thread, which is in everybody's past.
    fences: Rc<Fences>,
    /// Who keeps the places that are wanted, until the last thread ends.
    pub(crate) keeper: Option<BacktrackHelper>,
    /// The closure under search has returned; other threads may still run.
    pub(crate) over: bool,
}

impl World {
    /// Of the first interleaving.
    pub(crate) fn new(options: &super::Options, needs: Needs) -> Self {
        Self {
            stacks: Stacks::new(options.stack),
            threads: Vec::new(),
            heap: Heap::new(options.memory),
            shadow: Shadow::default(),
            atoms: Atoms::new(options.volatile),
            objects: Objects::new(needs),
            events: Vec::new(),
            finding: None,
            handling: Handling::default(),
            at_exit: Vec::new(),
            moments: Moments::new(),
            seen: Vec::new(),
            spurious_left: options.spurious_failures,
            gave_way: false,
            number: 0,
            trace: options.keeps_trace().then(|| {
                Trace::new(match options.repeats {
                    Repeats::Pruned if needs.repeats => How::Counted,
                    Repeats::Pruned if needs.places => How::LeftByMore,
                    Repeats::Pruned => How::LeftByTwo,
                    Repeats::Explored | Repeats::Counted => How::Counted,
                })
            }),
            detailed: false,
            fences: Rc::new(Fences::new()),
            keeper: None,
            over: false,
        }
    }

    /// For the interleaving after this one: with nothing in it, and the same memory, at the same addresses, which is not
    /// asked for again.
    pub(crate) fn clear(&mut self, options: &super::Options) {
        self.stacks.clear();
        self.threads.clear();
        self.heap.clear();
        self.shadow.clear();
        self.objects.clear();
        self.events.clear();
        self.finding = None;
        self.handling = Handling::default();
        self.at_exit.clear();
        self.moments.clear();
        self.seen.clear();
        self.spurious_left = options.spurious_failures;
        self.gave_way = false;
        if let Some(trace) = &mut self.trace {
            trace.clear();
        }
        self.fences = Rc::new(Fences::new());
        self.keeper = None;
        self.over = false;
    }

    #[inline]
    pub(crate) fn thread(&mut self, me: Me) -> &mut Thread {
        if !matches!(self.threads.get(me), Some(Some(_))) {
            self.meet(me);
        }
        self.threads[me].as_mut().expect("it has been met")
    }

    #[cold]
    fn meet(&mut self, me: Me) {
        if self.threads.len() <= me {
            self.threads.resize_with(me + 1, || None);
        }
        self.threads[me] = Some(Thread {
            name: NAMES.get(me).map_or_else(|| format!("thread {me}").into(), |&name| name.into()),
            title: None,
            calls: Vec::new(),
            waiting: None,
            events: 0,
            errno: Box::new(0),
            handled: Handled::NONE,
            locals: BTreeMap::new(),
            variables: BTreeMap::new(),
            pending: Vec::new(),
            spins: Spins::default(),
            exiting: false,
        });
    }

    /// Now, in this thread.
    pub(crate) fn moment(&mut self, me: Me) -> Epoch {
        let thread = self.thread(me);
        thread.events += 1;
        if thread.events > MOST_EVENTS {
            leave(self, Leave::Limited(Bound::Events(MOST_EVENTS as usize)));
        }
        self.moments.now()
    }

    /// The moment of an access, to be given to [`touch`](World::touch).
    pub(crate) fn access_moment(&mut self, me: Me) -> Epoch {
        // Where nothing is touched any more nobody will ask about it.
        if repeats() { Epoch::NEVER } else { self.moment(me) }
    }

    /// There is one thread more than loom has. To leave repeats takes one too, which is spared where they are not left.
    pub(crate) fn lacks_a_thread(&mut self) {
        self.objects.needs.repeats |= self.objects.plan.places;
    }

    pub(crate) fn log(&mut self, thread: Me, pc: Pc, what: What) {
        self.events.push(Event { thread, pc, what });
    }

    pub(crate) fn did(&mut self, thread: Me, pc: Pc, what: impl Into<What>) {
        self.log(thread, pc, what.into());
    }

    /// Ends the interleaving with a violation.
    pub(crate) fn convict(&mut self, me: Me, pc: Pc, kind: FindingKind, message: String) -> ! {
        let finding = Finding::raw(self, kind, message, Some((me, pc)));
        self.finding = Some(finding);
        leave(self, Leave::Convicted)
    }

    pub(crate) fn current(&mut self) -> Me {
        let here = 0_u8;
        let sp = (&raw const here).addr();
        if let Some((me, below)) = self.stacks.stands(sp) {
            if below {
                let each = self.stacks.each();
                leave(self, Leave::Limited(Bound::Stack(each)));
            }
            return me;
        }
        if let Some(&(_, _, me)) = self.seen.iter().find(|(low, high, _)| (*low..=*high).contains(&sp)) {
            return me;
        }
        let me = number(thread::current().id());
        match self.seen.iter_mut().find(|(_, _, seen)| *seen == me) {
            Some((low, high, _)) => (*low, *high) = ((*low).min(sp), (*high).max(sp)),
            None => self.seen.push((sp, sp, me)),
        }
        me
    }
}

/// A thread's number: loom's, which it tells only in writing: `ThreadId(3)`.
pub(crate) fn number(id: thread::ThreadId) -> Me {
    /// The number that the digits of a text make.
    struct Digits(Option<Me>);
    impl std::fmt::Write for Digits {
        fn write_str(&mut self, text: &str) -> std::fmt::Result {
            for digit in text.chars().filter_map(|c| c.to_digit(10)) {
                self.0 = Some(self.0.unwrap_or_default() * 10 + digit as Me);
            }
            Ok(())
        }
    }
    let mut digits = Digits(None);
    write!(digits, "{id:?}").expect("whatever is written is taken");
    let number = digits.0.expect("loom numbers its threads");
    // With `KEPT`, loom's second thread is the explorer's own helper, which has no number here: those after it are one
    // lower than loom's.
    if KEPT.get() { number.saturating_sub(1) } else { number }
}

/// Leaves the interleaving, for ever.
pub(crate) fn leave(_: &mut World, why: Leave) -> ! {
    super::search::leave(why)
}

/// Unwinds out of C code that has asked for it.
pub(crate) fn throw(why: Leave) -> ! {
    let payload: Box<dyn Any + Send> = Box::new(why);
    std::panic::resume_unwind(payload)
}

/// Where the world is that C calls reach: for who takes it over from a thread that does nothing any more.
pub(crate) fn address() -> *mut World {
    // Not borrowed: a borrow may be in force on this thread's stack, and is never used again.
    WORLD.with(|slot| {
        // SAFETY: no reference is kept, and this thread is the only one that has the slot.
        match unsafe { &mut *slot.as_ptr() } {
            Some(world) => &raw mut **world,
            None => std::ptr::null_mut(),
        }
    })
}

/// Starts an interleaving, in the world of the one before it, which has ended.
pub(crate) fn begin(options: &super::Options, needs: Needs) {
    WORLD.with_borrow_mut(|slot| match slot {
        Some(world) => world.clear(options),
        None => *slot = Some(Box::new(World::new(options, needs))),
    });
    WHOLE.set(options.whole());
    REPEATS.set(false);
    KEPT.set(false);
    TRACED.set(options.keeps_trace());
    LIVE.set(true);
}

/// The interleaving, which has begun, has a keeper of places.
pub(crate) fn keep(keeper: BacktrackHelper) {
    KEPT.set(true);
    with(|world| world.keeper = Some(keeper));
}

/// Ends the interleaving, if there was one, and looks at what it has come to.
pub(crate) fn ended<R>(look: impl FnOnce(&mut World) -> R) -> Option<R> {
    end();
    WORLD.with_borrow_mut(|slot| slot.as_mut().map(|world| look(world)))
}

/// No more interleavings.
pub(crate) fn forget() {
    WORLD.with_borrow_mut(|slot| *slot = None);
}

/// Something ended the interleaving that is not ours (loom, or a panic of Rust code).
pub(crate) fn end() {
    LIVE.set(false);
    WHOLE.set(false);
    REPEATS.set(false);
    TRACED.set(false);
}

/// Whether the calling thread is inside an interleaving that has not ended.
pub fn live() -> bool {
    LIVE.get()
}

/// Whether what is done now is to be explored in every order: inside an interleaving of a search that is not bounded by
/// preemptions, and does not only repeat one before.
pub(crate) fn whole() -> bool {
    WHOLE.get()
}

/// This interleaving repeats one before, and nothing of what is left of it is explored: it only has to end.
pub(crate) fn only_repeats() {
    REPEATS.set(true);
    TRACED.set(false);
    WHOLE.set(false);
}

/// Whether that is so. What it does to memory has been judged, or will be, in another interleaving.
pub(crate) fn repeats() -> bool {
    REPEATS.get()
}

/// Whether what happens goes into a trace: there is one, and somebody still asks for it.
pub(crate) fn traced() -> bool {
    TRACED.get()
}

/// What full fences are operations on, inside an interleaving.
pub(crate) fn full_fences() -> Rc<Fences> {
    with(|world| Rc::clone(&world.fences))
}

/// The thread that runs, inside an interleaving.
pub(crate) fn current() -> Me {
    with(World::current)
}

/// Whether the closure under search has returned.
pub(crate) fn is_over() -> bool {
    live() && with(|world| world.over)
}

/// The closure under search has returned.
pub(crate) fn main_is_over() {
    with(|world| world.over = true);
}

/// Runs `f` with the world, which it must not keep across anything that switches threads.
pub(crate) fn with<R>(f: impl FnOnce(&mut World) -> R) -> R {
    RunBlocks::suspended(|| WORLD.with_borrow_mut(|world| f(world.as_mut().expect("inside an interleaving"))))
}

/// Every C event begins here: who is it, and what was still to be done for it? `None` where there is no interleaving (any
/// more): then the caller does what the plain function does, as far as it makes sense.
pub(crate) fn enter() -> Option<Me> {
    event(|_, me| me)
}

/// The same, and runs `f` with the world, which is the event if it is no operation of loom's.
pub(crate) fn event<R>(f: impl FnOnce(&mut World, Me) -> R) -> Option<R> {
    if !live() {
        return None;
    }
    let done = with(|world| {
        let me = world.current();
        let pending = &mut world.thread(me).pending;
        if pending.is_empty() { Ok(f(world, me)) } else { Err((me, std::mem::take(pending), f)) }
    });
    Some(done.unwrap_or_else(|(me, pending, f)| {
        for pending in pending {
            super::tsan::settle(me, pending);
        }
        with(|world| f(world, me))
    }))
}

/// Runs something that may block, with a note of what on, for the report of a deadlock.
pub(crate) fn waiting<R>(me: Me, pc: Pc, on: &'static str, address: usize, block: impl FnOnce() -> R) -> R {
    with(|world| world.thread(me).waiting = Some(Wait { on, address, pc }));
    let result = block();
    with(|world| world.thread(me).waiting = None);
    result
}

/// Lets other threads run before this one goes on. Loom does not explore what happens if it goes on at once, so a search in
/// which this was needed is not exhausted ([`Bound::Yields`]).
pub(crate) fn let_others_run() {
    with(|world| world.gave_way = true);
    crate::loom_types::thread::yield_now();
}

//! Where events are written: a fixed log per run, found by number, without locks.
//!
//! Ledgers are pooled and never freed. A [`RunId`] holds a ledger's number and which tenant of it the run is, so that an
//! id which outlives its run (in a witness that C still calls, in a handle that a thread reads from freed memory) is
//! recognised as old instead of being followed.
//!
//! Pairs with: `engine::run`, which opens a ledger for each run and closes it; `witness`, which writes.

use super::event::{Call, Event, EventKind, ThreadNo};
use crate::program::{CallbackId, Program, Site};
use crate::sync::{Arc, Mutex};
use crate::sync::{AtomicPtr, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::cell::Cell;
use std::ptr;

/// Most events of one run; a run that reports more is judged on nothing and says so.
pub(crate) const MAX_EVENTS: usize = 1 << 15;
/// Most ledgers at a time. Each is held by a run, or by a hung run for ever.
const MAX_LEDGERS: usize = 1 << 12;

/// Names a run: its ledger, and which tenant of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RunId {
    ledger: u16,
    tenant: u32,
}

impl RunId {
    /// As an integer that C can carry as a pointer; never 0, never an address.
    pub(crate) fn to_bits(self) -> u64 {
        1 << 48 | u64::from(self.tenant) << 16 | u64::from(self.ledger)
    }

    pub(crate) fn from_bits(bits: u64) -> Option<Self> {
        (bits >> 48 == 1).then_some(RunId { ledger: bits as u16, tenant: (bits >> 16) as u32 })
    }
}

/// What a ledger knows of its run: somebody who runs the bodies of callbacks.
pub(crate) trait Interpreter: Send + Sync {
    /// The program that is run.
    fn program(&self) -> Program;

    /// What a callback does when it is called; its answer.
    ///
    /// # Panics
    ///
    /// When the body says `panic`.
    fn body(&self, callback: CallbackId, thread: ThreadNo, call: &Call) -> i64;

    /// A thread is at a stall site.
    fn at(&self, thread: ThreadNo, site: Site);

    /// A callback that `churn` made was freed.
    fn anonymous_dropped(&self);
}

/// A run's events, and the run that they are about.
#[derive(Debug)]
pub struct Ledger {
    number: u16,
    /// Which tenant has it; odd while a run does. Written by `open` and `close`; read by `find`.
    tenant: AtomicU32,
    /// The run, for witnesses that want to run their body, in a box of its own. Null between runs.
    run: AtomicPtr<Arc<dyn Interpreter>>,
    /// How many threads, found inside `run`, are using the pointer: `close` waits for them.
    readers: AtomicUsize,
    /// The next free place; may grow past the end.
    cursor: AtomicUsize,
    foreign_threads: AtomicU8,
    places: &'static [Place],
}

/// Where one event is written; all zero: nothing yet.
pub(crate) type Place = [AtomicU64; 2];

static LEDGERS: [AtomicPtr<Ledger>; MAX_LEDGERS] = [const { AtomicPtr::new(ptr::null_mut()) }; MAX_LEDGERS];
static FREE: Mutex<Pool> = Mutex::new(Pool { made: 0, free: Vec::new() });
/// See [`stray_events`]. A count, because nobody is left to be told.
static STRAY: AtomicUsize = AtomicUsize::new(0);

struct Pool {
    made: usize,
    free: Vec<&'static Ledger>,
}

impl Pool {
    fn make(&mut self, places: &'static [Place]) -> &'static Ledger {
        let number = self.made;
        assert!(number < MAX_LEDGERS, "{MAX_LEDGERS} runs are open or hung in this process");
        self.made += 1;
        let ledger: &'static Ledger = Box::leak(Box::new(Ledger {
            number: number as u16,
            tenant: AtomicU32::new(0),
            run: AtomicPtr::new(ptr::null_mut()),
            readers: AtomicUsize::new(0),
            cursor: AtomicUsize::new(0),
            foreign_threads: AtomicU8::new(0),
            places,
        }));
        // Release: pairs with the Acquire in `find`, which follows the pointer.
        LEDGERS[number].store(ptr::from_ref(ledger).cast_mut(), Ordering::Release);
        ledger
    }
}

crate::sync::per_thread! {
    /// The run that this thread works for, and its number there. Constant and without destructor, so that it can be read
    /// from the destructors of other thread-locals and after them.
    static HERE: Option<(RunId, ThreadNo)> = None;
}

thread_local! {
    /// Told of each event on this thread of the machine, after it was written: the model engine listens.
    static LISTENER: Cell<Option<Listener>> = const { Cell::new(None) };
}

/// Is told of an event: its place, and the event.
pub(crate) type Listener = fn(usize, &Event);

/// Tells `listener` of each event that is written on this thread of the machine from now on: its place, and the event.
pub(crate) fn listen(listener: Option<Listener>) {
    LISTENER.set(listener);
}

/// The run that this thread works for.
pub(crate) fn here() -> Option<(RunId, ThreadNo)> {
    HERE::get()
}

/// Makes this thread work for a run under this number.
pub(crate) fn enter_run(run: RunId, thread: ThreadNo) {
    HERE::set(Some((run, thread)));
}

/// Makes this thread work for no run.
pub(crate) fn leave_run() {
    HERE::set(None);
}

/// How many events of this process have named a run that was over: a callback that was called or dropped, a block beside one
/// that was used or freed, a call that was turned away, after all that the run's verdict is about. A late call that was
/// defused is none of them: that is what a binding is for.
///
/// No verdict has them in it. [`Check::run`](crate::gate::Check::run), and so the command, answers a check during which
/// there were any with an error instead of a clean report; who runs an engine without it has to look here.
pub fn stray_events() -> usize {
    STRAY.load(Ordering::Relaxed) // a statistic: orders nothing
}

/// A ledger whose events are written to these places, all zero: `gate::shared` reads them when this process is gone. The next
/// run has it, and the one after that; not a run at the same time as another, nor one after a run that hung, which keeps it.
///
/// # Panics
///
/// As [`Ledger::open`].
pub(crate) fn lend(places: &'static [Place]) -> &'static Ledger {
    let mut pool = FREE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let ledger = pool.make(places);
    pool.free.push(ledger);
    ledger
}

impl Ledger {
    /// A ledger for a run: a free one, or a new one.
    ///
    /// # Panics
    ///
    /// When 4096 runs are open or hung in this process.
    pub(crate) fn open() -> &'static Ledger {
        let mut pool = FREE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let ledger = pool.free.pop().unwrap_or_else(|| {
            let places = std::iter::repeat_with(|| [AtomicU64::new(0), AtomicU64::new(0)]).take(MAX_EVENTS);
            pool.make(Box::leak(places.collect()))
        });
        drop(pool);
        let used = ledger.cursor.load(Ordering::Relaxed).min(MAX_EVENTS); // nobody else has it now
        for place in &ledger.places[..used] {
            place[0].store(0, Ordering::Relaxed); // as above
        }
        ledger.cursor.store(0, Ordering::Relaxed); // as above
        ledger.foreign_threads.store(0, Ordering::Relaxed); // as above
        // Release: pairs with the Acquire in `find`: who sees the new tenant sees an empty log.
        ledger.tenant.fetch_add(1, Ordering::Release);
        ledger
    }

    /// Names the present tenant.
    pub(crate) fn id(&self) -> RunId {
        RunId { ledger: self.number, tenant: self.tenant.load(Ordering::Relaxed) } // only the owner changes it
    }

    /// The ledger of a run, if the run is not over.
    pub(crate) fn find(run: RunId) -> Option<&'static Ledger> {
        // Acquire: pairs with the Release in `open`.
        let ledger = LEDGERS.get(run.ledger as usize)?.load(Ordering::Acquire);
        // SAFETY: null, or made from a `&'static Ledger` by `open`.
        let ledger = unsafe { ledger.as_ref() }?;
        // Acquire: pairs with the Release in `open`.
        (ledger.tenant.load(Ordering::Acquire) == run.tenant).then_some(ledger)
    }

    /// Where an event of this run is to be written; when the run is over it is stray.
    pub(crate) fn for_event(run: RunId) -> Option<&'static Ledger> {
        let ledger = Self::find(run);
        if ledger.is_none() {
            STRAY.fetch_add(1, Ordering::Relaxed); // a statistic: orders nothing
        }
        ledger
    }

    /// Says which run this is, so that witnesses can run their bodies.
    pub(crate) fn attach(&self, run: Arc<dyn Interpreter>) {
        // SeqCst: pairs with the reads in `with_run`.
        self.run.store(Box::into_raw(Box::new(run)), Ordering::SeqCst);
    }

    /// Runs `f` with the run, unless it is over.
    pub(crate) fn with_run<T>(&self, id: RunId, f: impl FnOnce(&dyn Interpreter) -> T) -> Option<T> {
        struct Reading<'a>(&'a AtomicUsize);
        impl Drop for Reading<'_> {
            fn drop(&mut self) {
                // Release: pairs with the SeqCst (Acquire) read in `detach`: what was read is read before it is freed.
                self.0.fetch_sub(1, Ordering::Release);
            }
        }
        // SeqCst: a flag-and-count pair with `detach`: either `detach` sees this reader, or this reads null there.
        self.readers.fetch_add(1, Ordering::SeqCst);
        let _reading = Reading(&self.readers);
        let run = self.run.load(Ordering::SeqCst); // as above
        if self.tenant.load(Ordering::Acquire) != id.tenant {
            return None; // Acquire: pairs with `close`
        }
        // SAFETY: non-null means attached, and `detach` frees the box only when no reader that came before it is left.
        unsafe { run.as_ref() }.map(|run| f(&**run))
    }

    /// The run is about to go away: waits until no witness is inside it. Answers whether that came true within `patience`
    /// spins; if not, the run stays alive for ever.
    pub(crate) fn detach(&self, patience: usize) -> bool {
        let run = self.run.swap(ptr::null_mut(), Ordering::SeqCst); // pairs with `with_run`
        for _ in 0..patience {
            // SeqCst: pairs with `with_run`.
            if self.readers.load(Ordering::SeqCst) == 0 {
                if !run.is_null() {
                    // SAFETY: 1. from `Box::into_raw` in `attach`; 2. taken out by the swap, so freed once, and no reader
                    // is left who may have seen it.
                    drop(unsafe { Box::from_raw(run) });
                }
                return true;
            }
            crate::sync::thread::yield_now();
        }
        false
    }

    /// The run is over: ids of it are old from now on, and the ledger may be had by another.
    pub(crate) fn close(&'static self) {
        self.tenant.fetch_add(1, Ordering::Release); // pairs with the Acquire in `find`
        FREE.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).free.push(self);
    }

    /// Writes an event down. Any thread; never blocks, never allocates.
    pub(crate) fn report(&self, thread: ThreadNo, kind: EventKind) {
        // Relaxed: the place is the event's time and nothing else; a stronger order would make the ledger synchronise the
        // threads that it watches, and hide their races.
        let at = self.cursor.fetch_add(1, Ordering::Relaxed);
        if let Some(place) = self.places.get(at) {
            let event = Event { thread, kind };
            let [head, payload] = event.pack();
            place[1].store(payload, Ordering::Relaxed); // read after the threads were joined, or with the head
            place[0].store(head, Ordering::Release); // pairs with the Acquire in `events`
            if let Some(listener) = LISTENER.get() {
                listener(at, &event);
            }
        }
    }

    /// Writes an event of this thread down, whose number it finds out.
    pub(crate) fn report_here(&self, id: RunId, kind: EventKind) {
        let thread = self.thread_no(id);
        self.report(thread, kind);
    }

    /// This thread's number in the run; a thread that the harness did not start gets one.
    pub(crate) fn thread_no(&self, id: RunId) -> ThreadNo {
        match here() {
            Some((run, thread)) if run == id => thread,
            _ => {
                // Relaxed: only distinct numbers are wanted.
                let n = self.foreign_threads.fetch_add(1, Ordering::Relaxed);
                let thread = ThreadNo(ThreadNo::FIRST_FOREIGN.saturating_add(n));
                enter_run(id, thread);
                thread
            }
        }
    }

    /// How many events there are: grows whenever anything happens.
    pub(crate) fn progress(&self) -> usize {
        self.cursor.load(Ordering::Relaxed) // a guess at whether others move: orders nothing
    }

    /// The events so far, in order; `None` when there were too many to keep.
    pub(crate) fn events(&self) -> Option<Vec<Event>> {
        let n = self.cursor.load(Ordering::Relaxed); // places beyond it are of the future
        let filled = self.places.get(..n)?.iter();
        // Acquire: pairs with the Release in `report`.
        Some(
            filled
                .filter_map(|p| Event::unpack([p[0].load(Ordering::Acquire), p[1].load(Ordering::Relaxed)]))
                .collect(),
        )
    }
}

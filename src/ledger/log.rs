//! Where events are written: one fixed log for each run, found by number, without locks.
//!
//! Ledgers are pooled and never freed. A [`RunId`] holds the number of a ledger and the number of its tenant. An
//! identifier may outlive its run: in a witness that C still calls, or in a handle that a thread reads from freed
//! memory. Its tenant number is then out of date, and the identifier is not followed.
//!
//! Pairs with: `engine::run`, which opens a ledger for each run and closes it; `witness`, which writes events.

use super::event::{Call, Event, EventKind, ThreadNo};
use crate::program::{CallbackId, Program, Site};
use crate::sync::{Arc, Mutex};
use crate::sync::{AtomicPtr, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::cell::Cell;
use std::ptr;

/// Maximum number of events of one run. A run that reports more gets no verdict, and says so.
pub(crate) const MAX_EVENTS: usize = 1 << 15;
/// Maximum number of ledgers. A run holds one; a run that hangs holds its ledger for ever.
const MAX_LEDGERS: usize = 1 << 12;

/// Identifies a run: its ledger, and its tenant number there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RunId {
    ledger: u16,
    tenant: u32,
}

impl RunId {
    /// The identifier as an integer that C can carry in place of a pointer. Never 0 and never an address.
    pub(crate) fn to_bits(self) -> u64 {
        1 << 48 | u64::from(self.tenant) << 16 | u64::from(self.ledger)
    }

    pub(crate) fn from_bits(bits: u64) -> Option<Self> {
        (bits >> 48 == 1).then_some(RunId { ledger: bits as u16, tenant: (bits >> 16) as u32 })
    }
}

/// What a ledger needs of its run. `engine::run::interpret` implements it.
pub(crate) trait Interpreter: Send + Sync {
    /// The program that runs.
    fn program(&self) -> Program;

    /// Runs the body of a callback and returns what the callback returns.
    ///
    /// # Panics
    ///
    /// If the body says `panic`.
    fn body(&self, callback: CallbackId, thread: ThreadNo, call: &Call) -> i64;

    /// Says that `thread` is at a stall site. Holds the thread there if the program asks for it.
    fn at(&self, thread: ThreadNo, site: Site);

    /// Counts a callback that `churn` made and that is now freed.
    fn anonymous_dropped(&self);
}

/// The events of a run, and access to the run.
#[derive(Debug)]
pub struct Ledger {
    number: u16,
    /// The number of the tenant; odd while a run holds the ledger. `open` and `close` write it, `find` reads it.
    tenant: AtomicU32,
    /// The run, for witnesses that run their body. Points to a box that `attach` makes. Null between runs.
    run: AtomicPtr<Arc<dyn Interpreter>>,
    /// The number of threads that are in `with_run` and may be using the pointer `run`. `detach` waits for them.
    readers: AtomicUsize,
    /// The index of the next free place. May grow past the end of `places`.
    cursor: AtomicUsize,
    foreign_threads: AtomicU8,
    places: &'static [Place],
}

/// Holds one event. All zero if no event is written there yet.
pub(crate) type Place = [AtomicU64; 2];

static LEDGERS: [AtomicPtr<Ledger>; MAX_LEDGERS] = [const { AtomicPtr::new(ptr::null_mut()) }; MAX_LEDGERS];
static FREE: Mutex<Pool> = Mutex::new(Pool { made: 0, free: Vec::new() });
/// See [`stray_events`]. A count, because the ledger that the events belong to is gone.
static STRAY: AtomicUsize = AtomicUsize::new(0);

struct Pool {
    made: usize,
    free: Vec<&'static Ledger>,
}

impl Pool {
    fn make(&mut self, places: &'static [Place]) -> &'static Ledger {
        let number = self.made;
        assert!(number < MAX_LEDGERS, "cannot start another run: {MAX_LEDGERS} runs are open or hung in this process");
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
    /// The run that this thread works for, and the thread's number in it. Constant and without a destructor, so that
    /// the destructors of other thread-locals can read it.
    static HERE: Option<(RunId, ThreadNo)> = None;
}

thread_local! {
    /// Called with each event that this operating system thread writes. The model engine sets it
    /// (`engine::model::order`).
    static LISTENER: Cell<Option<Listener>> = const { Cell::new(None) };
}

/// A function that is called with an event and its place, after the event was written.
pub(crate) type Listener = fn(usize, &Event);

/// Calls `listener` with each event that this operating system thread writes from now on. `None`: no longer.
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

/// The number of events in this process that named a run which was already over: a callback was called or dropped, a
/// block beside it was used or freed, or a call was turned away. A late call that was defused is not counted.
///
/// No verdict includes these events. `gate::Check::run`, and therefore the command, reports an error in place of a
/// clean result if the number grows during a check. If you run an engine yourself, compare the number before and after.
#[must_use]
pub fn stray_events() -> usize {
    STRAY.load(Ordering::Relaxed) // Relaxed: a count that orders nothing
}

/// Makes a ledger that writes its events to `places`, which must be all zero. `gate::shared` reads them when this
/// process is gone. The next run takes this ledger, and so does each later run, as long as no two runs overlap and no
/// run hangs.
///
/// # Panics
///
/// If 4096 runs are open or hung in this process.
pub(crate) fn lend(places: &'static [Place]) -> &'static Ledger {
    let mut pool = FREE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let ledger = pool.make(places);
    pool.free.push(ledger);
    ledger
}

impl Ledger {
    /// A ledger for a run: one from the pool, or a new one.
    ///
    /// # Panics
    ///
    /// If 4096 runs are open or hung in this process.
    pub(crate) fn open() -> &'static Ledger {
        let mut pool = FREE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let ledger = pool.free.pop().unwrap_or_else(|| {
            let places = std::iter::repeat_with(|| [AtomicU64::new(0), AtomicU64::new(0)]).take(MAX_EVENTS);
            pool.make(Box::leak(places.collect()))
        });
        drop(pool);
        // Relaxed, four times: the pool's lock has made this thread the only owner of the ledger. Other threads use it
        // once they see the new tenant.
        let used = ledger.cursor.load(Ordering::Relaxed).min(MAX_EVENTS);
        for place in &ledger.places[..used] {
            place[0].store(0, Ordering::Relaxed);
        }
        ledger.cursor.store(0, Ordering::Relaxed);
        ledger.foreign_threads.store(0, Ordering::Relaxed);
        // Release: pairs with the Acquire load of `tenant` in `find`. A thread that sees the new tenant sees an empty
        // log.
        ledger.tenant.fetch_add(1, Ordering::Release);
        ledger
    }

    /// The identifier of the run that holds the ledger.
    pub(crate) fn id(&self) -> RunId {
        // Relaxed: `tenant` changes only in `open` and `close`, and the caller holds the ledger between them.
        RunId { ledger: self.number, tenant: self.tenant.load(Ordering::Relaxed) }
    }

    /// The ledger of a run, or `None` if the run is over.
    pub(crate) fn find(run: RunId) -> Option<&'static Ledger> {
        // Acquire: pairs with the Release store in `Pool::make`. The ledger behind the pointer is complete.
        let ledger = LEDGERS.get(run.ledger as usize)?.load(Ordering::Acquire);
        // SAFETY: the pointer is null, or `Pool::make` made it from a `&'static Ledger`, which is never freed and never
        // mutably borrowed.
        let ledger = unsafe { ledger.as_ref() }?;
        // Acquire: pairs with the Release `fetch_add` of `tenant` in `open`: the log of the new tenant is empty.
        (ledger.tenant.load(Ordering::Acquire) == run.tenant).then_some(ledger)
    }

    /// The ledger for an event of this run. Counts a stray event if the run is over.
    pub(crate) fn for_event(run: RunId) -> Option<&'static Ledger> {
        let ledger = Self::find(run);
        if ledger.is_none() {
            STRAY.fetch_add(1, Ordering::Relaxed); // Relaxed: a count that orders nothing
        }
        ledger
    }

    /// Gives the ledger its run, so that witnesses can run their bodies. `detach` takes the run out.
    pub(crate) fn attach(&self, run: Arc<dyn Interpreter>) {
        // SeqCst: pairs with the load of `run` in `with_run`.
        self.run.store(Box::into_raw(Box::new(run)), Ordering::SeqCst);
    }

    /// Calls `f` with the run `id`. `None` if that run is over.
    pub(crate) fn with_run<T>(&self, id: RunId, f: impl FnOnce(&dyn Interpreter) -> T) -> Option<T> {
        struct Reading<'a>(&'a AtomicUsize);
        impl Drop for Reading<'_> {
            fn drop(&mut self) {
                // Release: pairs with the SeqCst load of `readers` in `detach`. Every use of the run happens before it
                // is freed.
                self.0.fetch_sub(1, Ordering::Release);
            }
        }
        // SeqCst, here and for the load of `run`: pairs with the swap of `run` and the load of `readers` in `detach`.
        // In the single order of these four, either `detach` sees this reader, or this thread loads null.
        self.readers.fetch_add(1, Ordering::SeqCst);
        let _reading = Reading(&self.readers);
        let run = self.run.load(Ordering::SeqCst);
        // Acquire: pairs with the Release `fetch_add` in `close` and `open`.
        if self.tenant.load(Ordering::Acquire) != id.tenant {
            return None;
        }
        // SAFETY: a pointer that is not null comes from `Box::into_raw` in `attach`. `detach` frees the box only after
        // it has put null in the pointer's place and has then seen no reader. This thread is counted as a reader since
        // before it loaded the pointer, and until `_reading` is dropped.
        unsafe { run.as_ref() }.map(|run| f(&**run))
    }

    /// Takes the run out and waits until no thread is in `with_run`, for at most `patience` yields. Frees the run and
    /// returns true. If a thread is still in `with_run` after that, returns false, and the run is never freed.
    pub(crate) fn detach(&self, patience: usize) -> bool {
        // SeqCst, here and for the load of `readers`: pairs with `with_run`, where the order is explained.
        let run = self.run.swap(ptr::null_mut(), Ordering::SeqCst);
        for _ in 0..patience {
            if self.readers.load(Ordering::SeqCst) == 0 {
                if !run.is_null() {
                    // SAFETY: the pointer comes from `Box::into_raw` in `attach`. The swap took it out, so it is freed
                    // only here. No thread uses it: a reader that loaded it before the swap would still be counted, and
                    // one that loads after the swap gets null.
                    drop(unsafe { Box::from_raw(run) });
                }
                return true;
            }
            crate::sync::thread::yield_now();
        }
        false
    }

    /// Ends the run: its identifier is out of date from now on, and the ledger goes back to the pool.
    pub(crate) fn close(&'static self) {
        // Release: pairs with the Acquire loads of `tenant` in `find` and `with_run`.
        self.tenant.fetch_add(1, Ordering::Release);
        FREE.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).free.push(self);
    }

    /// Writes an event. May be called on any thread; never blocks and never allocates.
    pub(crate) fn report(&self, thread: ThreadNo, kind: EventKind) {
        // Relaxed: the place only gives the event its time. A stronger order would synchronise the threads that the
        // ledger watches, and hide their races.
        let at = self.cursor.fetch_add(1, Ordering::Relaxed);
        if let Some(place) = self.places.get(at) {
            let event = Event { thread, kind };
            let [head, payload] = event.pack();
            // Relaxed: the Release store of the head publishes the payload.
            place[1].store(payload, Ordering::Relaxed);
            // Release: pairs with the Acquire load of the head in `events`.
            place[0].store(head, Ordering::Release);
            if let Some(listener) = LISTENER.get() {
                listener(at, &event);
            }
        }
    }

    /// Writes an event of this thread.
    pub(crate) fn report_here(&self, id: RunId, kind: EventKind) {
        let thread = self.thread_no(id);
        self.report(thread, kind);
    }

    /// The number of this thread in the run. Gives a number to a thread that the harness did not start.
    pub(crate) fn thread_no(&self, id: RunId) -> ThreadNo {
        match here() {
            Some((run, thread)) if run == id => thread,
            _ => {
                // Relaxed: the numbers only have to be distinct.
                let n = self.foreign_threads.fetch_add(1, Ordering::Relaxed);
                let thread = ThreadNo(ThreadNo::FIRST_FOREIGN.saturating_add(n));
                enter_run(id, thread);
                thread
            }
        }
    }

    /// The number of events so far, for telling whether the run makes progress.
    pub(crate) fn progress(&self) -> usize {
        // Relaxed: the number is compared with itself and orders nothing.
        self.cursor.load(Ordering::Relaxed)
    }

    /// The events so far, in order. `None` if there were more than [`MAX_EVENTS`].
    pub(crate) fn events(&self) -> Option<Vec<Event>> {
        // Relaxed: the heads order the reads. Places that are not filled yet are skipped.
        let n = self.cursor.load(Ordering::Relaxed);
        let filled = self.places.get(..n)?.iter();
        // Acquire: pairs with the Release store of the head in `report`. The payload is then complete, so Relaxed will
        // do.
        Some(
            filled
                .filter_map(|p| Event::unpack([p[0].load(Ordering::Acquire), p[1].load(Ordering::Relaxed)]))
                .collect(),
        )
    }
}

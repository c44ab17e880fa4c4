//! The search: one interleaving after the other, until loom has no more, a limit is reached, or something is found.
//!
//! It runs on a thread of its own, the caller waiting. An interleaving that is cut short (a finding, a limit, a restart)
//! is left where it stands: its thread reports and then sleeps for ever, with all that its frames own. Nothing is
//! unwound, because neither C frames nor destructors that use loom's objects survive that; it costs a thread's memory
//! for each search that finds something.

use super::event::What;
use super::finding::{self, Bound, Finding, FindingKind};
use super::trace::Trace;
use super::world::{self, Leave, World};
use super::{Exploration, Extent, Options};
use super::{choice, constructors, globals, pthread, race, stack, tsan};
use crate::loom_types;
use crate::std_types::{Arc, Mutex, Once, lock, mpsc, thread};
use std::any::Any;
use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::{Duration, Instant};

/// Globals of C code belong to the process: one search at a time.
static SEARCHING: Mutex<()> = Mutex::new(());
/// How often its listener is told how a search goes.
const EVERY: Duration = Duration::from_millis(100);

thread_local! {
    /// This thread is inside a search.
    static QUIET: Cell<bool> = const { Cell::new(false) };
    /// The last panic: its message, its place, and whether it is one of loom's own.
    static LAST_PANIC: RefCell<Option<(String, String, bool)>> = const { RefCell::new(None) };
    static OUT: RefCell<Option<mpsc::Sender<Message>>> = const { RefCell::new(None) };
}

/// Gets the progress of a search, and has words for the harness's events in its timeline.
#[derive(Default)]
pub struct Listener<'a> {
    /// Called about ten times a second, with the interleavings so far and the time since the search began.
    pub progress: Option<&'a mut dyn FnMut(u64, Duration)>,
    /// The words for each event of the harness; see `harness::record_event`.
    pub words: Option<&'a dyn Fn(usize) -> String>,
}

/// What all interleavings of a search share.
struct Search {
    options: Options,
    stop_at: Option<u64>,
    /// The interleaving to be recorded in detail.
    detail_at: Option<u64>,
    began: Instant,
    told: Instant,
    count: u64,
    repeats: u64,
    needs: pthread::Needs,
    /// Atomics whose stores follow what was there.
    follow: BTreeSet<usize>,
    saved: globals::Saved,
    volatile: BTreeSet<world::Pc>,
    /// In some interleaving a thread let others run first.
    gave_way: bool,
}

impl Search {
    /// Plans the search again with what turned out to be needed. Whether that is more than was planned.
    fn lacks(&mut self, world: &World) -> bool {
        self.needs = world.objects.needs;
        world.objects.lacks()
    }

    /// From now on stores follow also where their order was open. Whether there is such a place that is new.
    fn follow_too(&mut self, atoms: &tsan::Atoms) -> bool {
        let before = self.follow.len();
        self.follow.extend(&atoms.open_order);
        self.follow.len() > before
    }
}

/// From the search's thread to who waits for it.
enum Message {
    Progress(u64),
    /// Loom has nothing left to explore, or a limit was reached between two interleavings.
    Ended(Option<Bound>),
    /// The search needs something more, as it turned out between two interleavings.
    Again,
    /// An interleaving was cut short, in this world; its thread does nothing any more.
    Left(Why, Abandoned),
}

/// Why an interleaving was cut short.
enum Why {
    Leave(Leave),
    /// A panic of loom's, or one of Rust code that nobody caught: message and place.
    Panic(String, String),
}

/// The world of an interleaving whose thread sleeps for ever; null: it had none yet.
struct Abandoned(*mut World);

// SAFETY: whoever sends it touches the world never again: see `abandon`.
unsafe impl Send for Abandoned {}

/// Thrown between interleavings.
enum Stop {
    At(Bound),
    /// The search needs something more, and begins again.
    Again,
}

/// See [`super::explore`] and [`super::replay`].
pub(crate) fn run(
    name: &str,
    options: &Options,
    stop_at: Option<u64>,
    listener: &mut Listener<'_>,
    f: impl Fn() + Send + Sync + 'static,
) -> Exploration {
    assert!(
        !QUIET.get(),
        "{name}: a search inside a search: call explore and replay from the test, not from the closure of another search"
    );
    assert!(
        options.max_interleavings != Some(0),
        "{name}: Options::max_interleavings(0) leaves nothing to explore: allow at least 1"
    );
    let _alone = lock(&SEARCHING);
    catch_panics();
    let began = Instant::now();
    let shared = Arc::new(Mutex::new(Search {
        options: options.clone(),
        stop_at,
        detail_at: None,
        began,
        told: began,
        count: 0,
        repeats: 0,
        needs: pthread::Needs::default(),
        follow: BTreeSet::new(),
        saved: globals::Saved::new(),
        volatile: BTreeSet::new(),
        gave_way: false,
    }));
    let f = Arc::new(f);
    let mut search_all = || loop {
        let mut search = lock(&shared);
        (search.count, search.repeats) = (0, 0);
        drop(search);
        if let Some(result) = attempt(name, &shared, &f, listener) {
            break result;
        }
    };
    let (extent, mut finding) = search_all();
    // Once more up to there, to be recorded in detail: that would be too slow for a whole search.
    if let Some(found) = &mut finding {
        let (count, repeats) = {
            let mut search = lock(&shared);
            search.detail_at = Some(found.interleaving);
            (search.count, search.repeats)
        };
        match search_all() {
            (_, Some(again)) if again.interleaving == found.interleaving && again.kind == found.kind => *found = again,
            _ => found.not_reproduced = true,
        }
        let mut search = lock(&shared);
        (search.count, search.repeats) = (count, repeats);
    }
    let search = lock(&shared);
    search.saved.restore();
    assert!(search.count > 0, "{name}: no interleaving ran");
    let mut names = stack::Names::default();
    Exploration {
        name: name.to_owned(),
        interleavings: search.count,
        repeats: search.repeats,
        extent,
        finding,
        volatile: {
            // Where a function was inlined, or reads twice on a line, several instructions are one place.
            let places: BTreeSet<String> = search.volatile.iter().map(|&pc| names.place(pc).to_string()).collect();
            places.into_iter().collect()
        },
        elapsed: began.elapsed(),
    }
}

/// One search from the beginning. None: it turned out to need more than it was planned with.
fn attempt<F: Fn() + Send + Sync + 'static>(
    name: &str,
    shared: &Arc<Mutex<Search>>,
    f: &Arc<F>,
    listener: &mut Listener<'_>,
) -> Option<(Extent, Option<Finding>)> {
    let (out, messages) = mpsc::channel();
    let (on_it, body) = (Arc::clone(shared), Arc::clone(f));
    let searcher = thread::Builder::new().name("model".to_owned()).spawn(move || explore(&on_it, &body, out));
    let searcher = searcher.unwrap_or_else(|error| panic!("{name}: cannot start the thread of the search: {error}"));
    let (why, world) = loop {
        let began = lock(shared).began;
        match messages.recv().expect("a search says how it ended") {
            Message::Progress(count) => {
                if let Some(progress) = &mut listener.progress {
                    progress(count, began.elapsed());
                }
            }
            Message::Ended(bound) => {
                searcher.join().expect("its panics were caught");
                let search = lock(shared);
                let bound = bound.or(search.options.preemptions.map(Bound::Preemptions));
                let bound = bound.or(search.gave_way.then_some(Bound::Yields));
                return Some((bound.map_or(Extent::Exhausted, Extent::BoundedBy), None));
            }
            Message::Again => {
                searcher.join().expect("its panics were caught");
                return None;
            }
            Message::Left(why, world) => break (why, world),
        }
    };
    // SAFETY: its thread sleeps for ever and has handed it over; it is never freed.
    let mut world = unsafe { world.0.as_mut() };
    let mut search = lock(shared);
    if let Some(world) = &mut world {
        search.volatile.append(&mut world.atoms.volatile);
        if matches!(&why, Why::Panic(message, _) if message.contains(TOO_MANY_THREADS)) {
            world.lacks_a_thread();
        }
        if search.lacks(world) {
            return None;
        }
    }
    let mut finding = match why {
        Why::Leave(Leave::Restart) => {
            let follows = world.is_some_and(|world| search.follow_too(&world.atoms));
            assert!(follows, "{name}: a search begins again, and nothing is different");
            return None;
        }
        Why::Leave(Leave::Limited(bound)) => return Some((Extent::BoundedBy(bound.with_names()), None)),
        Why::Leave(Leave::Convicted | Leave::ThreadExit) => world
            .as_ref()
            .and_then(|world| world.finding.clone())
            .expect("a conviction leaves its finding in the world"),
        Why::Panic(message, place) => match panicked(&search.options, message, &place, world.as_deref()) {
            Ok(finding) => finding,
            Err(bound) => return Some((Extent::BoundedBy(bound), None)),
        },
    };
    if let Some(world) = &world
        && search.follow_too(&world.atoms)
    {
        // Perhaps it cannot be: see `tsan::atomic`.
        return None;
    }
    if let Some(world) = world {
        finding.finish(world, search.count, listener.words);
    }
    Some((Extent::Convicted, Some(finding)))
}

/// What the search's thread does.
fn explore<F: Fn() + Send + Sync + 'static>(shared: &Arc<Mutex<Search>>, f: &Arc<F>, out: mpsc::Sender<Message>) {
    QUIET.set(true);
    OUT.set(Some(out));
    let options = lock(shared).options.clone();
    let mut model = loom::model::Builder::new();
    model.max_threads = world::MOST_THREADS;
    model.max_branches = options.max_branches;
    model.preemption_bound = options.preemptions;
    model.max_permutations = None;
    model.max_duration = None;
    model.checkpoint_file = None;
    let (inner, body) = (Arc::clone(shared), Arc::clone(f));
    let result = tracing::subscriber::with_default(choice::Listener, || {
        catch_unwind(AssertUnwindSafe(|| {
            model.check(move || {
                begin(&inner);
                stack::on_stack(0, || {
                    match catch_unwind(AssertUnwindSafe(|| {
                        constructors::run();
                        body();
                    })) {
                        Ok(()) => {}
                        Err(payload) if matches!(payload.downcast_ref(), Some(Leave::ThreadExit)) => {}
                        Err(payload) => escaped(&*payload),
                    }
                    pthread::end_of_thread(0);
                    pthread::run_at_exit();
                });
                loom_types::ends();
                world::main_is_over();
            });
            // The last one has nobody after it to look at it.
            finish(shared);
        }))
    });
    let end = match result {
        Ok(()) => Message::Ended(None),
        Err(payload) => match payload.downcast::<Stop>().map(|stop| *stop) {
            Ok(Stop::At(bound)) => Message::Ended(Some(bound)),
            Ok(Stop::Again) => Message::Again,
            // From a thread that Rust code made.
            Err(payload) => escaped(&*payload),
        },
    };
    world::forget();
    send(end);
}

fn send(message: Message) {
    OUT.with_borrow(|out| {
        // Who waits for it does so to the end.
        let _ = out.as_ref().map(|out| out.send(message));
    });
}

/// Cuts the interleaving short: reports, and never returns.
fn abandon(why: Why) -> ! {
    world::end();
    send(Message::Left(why, Abandoned(world::address())));
    loop {
        thread::park();
    }
}

/// Leaves the interleaving, wherever in it this is.
pub(crate) fn leave(why: Leave) -> ! {
    abandon(Why::Leave(why))
}

/// A panic that nobody caught.
pub(crate) fn escaped(payload: &(dyn Any + Send)) -> ! {
    let (message, place, _) = LAST_PANIC.take().unwrap_or_else(|| (words(payload), String::new(), false));
    abandon(Why::Panic(message, place))
}

fn words(payload: &dyn Any) -> String {
    let text = payload.downcast_ref::<String>().cloned();
    let text = text.or_else(|| payload.downcast_ref::<&str>().map(|text| (*text).to_owned()));
    text.unwrap_or_else(|| "a panic without a message".to_owned())
}

/// Starts the next interleaving, when the one before was in order.
fn begin(shared: &Arc<Mutex<Search>>) {
    finish(shared);
    let mut search = lock(shared);
    let search = &mut *search;
    let stop = |bound| resume_unwind(Box::new(Stop::At(bound)));
    if let Some(most) = search.options.max_interleavings.filter(|&most| search.count >= most) {
        stop(Bound::Interleavings(most));
    }
    // The first interleaving runs however little time there is, and so does the second search up to what the first found.
    let limited = search.count > 0 && search.detail_at.is_none();
    if let Some(most) = search.options.max_duration.filter(|&most| limited && search.began.elapsed() >= most) {
        stop(Bound::Duration(most));
    }
    if let Some(last) = search.stop_at.filter(|&last| search.count >= last) {
        stop(Bound::Interleavings(last));
    }
    if search.told.elapsed() >= EVERY {
        search.told = Instant::now();
        send(Message::Progress(search.count));
    }
    search.count += 1;
    search.saved.restore();
    world::begin(&search.options, search.needs);
    if world::with(|world| world.trace.as_ref().is_some_and(Trace::wants)) {
        world::keep(loom_types::BacktrackHelper::wait());
    }
    // Made inside the interleaving, which then knows of them.
    let pools = tsan::Pools::new(&search.needs.atomics);
    let follow = std::rc::Rc::new(search.follow.clone());
    world::with(|world| {
        world.atoms.clear(pools, &follow);
        world.thread(0);
        world.number = search.count;
        world.detailed = search.detail_at == Some(search.count);
    });
}

/// All threads of an interleaving are over: what did it leave behind?
fn finish(shared: &Arc<Mutex<Search>>) {
    world::ended(|world| {
        world.objects.needs.repeats |= world.trace.as_ref().is_some_and(Trace::is_unserved);
        if lock(shared).lacks(world) {
            resume_unwind(Box::new(Stop::Again));
        }
        if let Some(message) = lost(world) {
            world.finding = Some(Finding::raw(world, FindingKind::Leak, message, None));
            leave(Leave::Convicted);
        }
        let mut search = lock(shared);
        search.volatile.append(&mut world.atoms.volatile);
        search.gave_way |= world.gave_way;
        search.repeats += u64::from(world.trace.as_mut().is_some_and(Trace::ends));
    });
}

/// What was allocated, and is neither freed nor referred to.
fn lost(world: &World) -> Option<String> {
    if !world.heap.is_used() {
        return None;
    }
    // Thread-local values of threads that Rust code started without the explorer. The explorer does not see such a thread
    // end, so it never destroys them, and what they point to is not leaked.
    let left: Vec<usize> = world.threads.iter().flatten().flat_map(world::Thread::own).collect();
    let words = left.as_ptr_range();
    let mut roots = globals::all_bounds();
    roots.push((words.start.expose_provenance(), words.end.expose_provenance()));
    world.heap.lost(roots)
}

/// What loom says where there is one thread more than it has.
const TOO_MANY_THREADS: &str = "self.threads.len() < self.max";

/// A panic of loom's, or of Rust code.
fn panicked(options: &Options, message: String, place: &str, world: Option<&World>) -> Result<Finding, Bound> {
    let raw = |kind, message| Finding::new(kind, message, None);
    if message.starts_with("deadlock; threads") {
        let in_c = world.is_some_and(waits_in_c);
        let finding = raw(FindingKind::Deadlock, world.map_or(message, waits));
        return Ok(Finding { in_c, ..finding });
    }
    if message.starts_with("Model exceeded maximum number of branches") {
        let spinning = world.and_then(|world| {
            let mut threads = world.threads.iter().flatten();
            threads.find_map(|thread| Some((thread.name.clone(), thread.spins.on(50)?, world)))
        });
        return match spinning {
            Some((name, address, world)) => {
                let message = format!(
                    "{name} spins on {}, and no other thread can change it (after {})",
                    world.name_address(address),
                    finding::count(options.max_branches as u64, "branch")
                );
                Ok(raw(FindingKind::Livelock, message))
            }
            None => Err(Bound::Branches(options.max_branches)),
        };
    }
    if message.contains(TOO_MANY_THREADS) {
        return Err(Bound::Threads(world::MOST_THREADS));
    }
    if message.contains("Causality violation") {
        return Ok(raw(FindingKind::DataRace, format!("in Rust code: {}", message.trim())));
    }
    if message.contains("leaked") && place.contains("rt/") {
        return Ok(raw(FindingKind::Leak, format!("in Rust code: {}", message.trim())));
    }
    let message = if place.is_empty() { message } else { format!("{message} ({place})") };
    Ok(raw(FindingKind::Failed, message))
}

/// Whether somebody waits in C code, and nobody for an object of Rust code. Who waits for a thread to end waits for what
/// that thread waits for.
fn waits_in_c(world: &World) -> bool {
    let waiting = |me: usize| world.threads[me].as_ref().is_some_and(|thread| thread.waiting.is_some());
    let last_of_rust = |me: usize| {
        let last = world.events.iter().rev().find(|event| event.thread == me);
        matches!(last.map(|event| &event.what), Some(What::Rust { what: "locks" | "waits", .. }))
    };
    let all = 0..world.threads.len();
    all.clone().any(waiting) && !all.into_iter().any(|me| !waiting(me) && last_of_rust(me))
}

/// Who waits for what.
fn waits(world: &World) -> String {
    let mut lines = Vec::new();
    for (me, thread) in world.threads.iter().enumerate() {
        let Some(thread) = thread else { continue };
        let Some(wait) = &thread.waiting else { continue };
        let holder = world.objects.holder(wait.address).filter(|_| wait.on == "mutex" || wait.on.contains("lock"));
        let holder = match holder {
            Some(holder) if holder == me => " (which it holds itself)".to_owned(),
            Some(holder) => format!(" (held by thread {holder})"),
            None => String::new(),
        };
        let on = if wait.on.ends_with("thread") || wait.on == "descriptor" {
            format!("{} {}", wait.on, wait.address)
        } else {
            format!("{} {}", wait.on, world.name_address(wait.address))
        };
        lines.push(format!("{} waits for {on}{holder} at {}", thread.name, finding::later(wait.pc)));
    }
    let mut all = if lines.is_empty() { "all threads wait in Rust code".to_owned() } else { lines.join("; ") };
    if world.over {
        // A process would end here, and its threads with it. Whether the threads should have been woken, or are meant to run
        // for ever, cannot be known here.
        all.push_str(
            ". The test closure has returned while these threads are still running. If the library keeps a background thread \
             alive, shut it down before the closure returns",
        );
    }
    all
}

/// Runs an operation of loom's. A panic by which loom ends the interleaving is the end of it, at once: what it comes from is
/// in no order to be unwound.
pub(crate) fn guarded<R>(f: impl FnOnce() -> R) -> R {
    match catch_unwind(AssertUnwindSafe(f)) {
        Ok(result) => result,
        Err(payload) => {
            let looms = world::live()
                && !race::asking()
                && LAST_PANIC.with_borrow(|last| last.as_ref().is_some_and(|last| last.2));
            if looms { escaped(&*payload) } else { resume_unwind(payload) }
        }
    }
}

/// Panics of a search are not printed: who catches them, or does not, decides what they mean.
fn catch_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if !QUIET.try_with(Cell::get).unwrap_or(false) {
                before(info);
            } else if !race::asking() {
                let (message, place) = (words(info.payload()), info.location().map(finding::at).unwrap_or_default());
                let file = info.location().map_or("", |place| place.file());
                LAST_PANIC.set(Some((message, place, file.split('/').any(|part| part.starts_with("loom-")))));
            }
        }));
    });
}

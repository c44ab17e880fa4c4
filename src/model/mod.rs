//! C code inside loom: what an instrumented C object calls, and the search over its interleavings.
//!
//! Unmodified C sources are compiled with `-fsanitize=thread`, which makes the compiler call a function for every memory
//! access and every atomic; [`instrument`] renames those calls, and the code's calls of pthreads and `malloc`, to entry
//! points of this module. Here each of them is an operation of loom's, so loom explores the C code, with whatever Rust
//! code calls it and is called by it, in every order.
//!
//! How the parts fit: `entry` is the way in; `world` is one interleaving; `tsan` answers what the compiler inserted,
//! `pthread` what blocks, `memory` what allocates; `race` says whether accesses are ordered; `globals` puts the C code's
//! globals back; `stack` gives threads their stacks and places their names; `choice` is the search's coin; `finding` tells
//! people. `docs/model.md` is the guide.
//!
//! ```no_run
//! use latecall::model::{Options, explore};
//! # unsafe extern "C-unwind" { safe fn model_mylib_run(); }
//! let exploration = explore("mylib", &Options::new(), || model_mylib_run());
//! exploration.assert_exhausted();
//! ```

mod choice;
mod entry;
mod finding;
mod globals;
pub mod instrument;
mod memory;
mod pthread;
mod race;
mod stack;
mod tsan;
mod unwind;
mod world;

pub use finding::{Bound, Finding, Kind};

use crate::sync::{Arc, Mutex, Once, lock, loom_side};
use std::any::Any;
use std::cell::{Cell, RefCell};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::{Duration, Instant};
use world::{Leave, World};

/// How a search is limited.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Options {
    /// Give up after this many interleavings; none: never.
    pub max_interleavings: Option<u64>,
    /// Give up after this time; none: never.
    pub max_duration: Option<Duration>,
    /// Only interleavings with at most this many switches away from a thread that could have gone on.
    pub preemptions: Option<usize>,
    /// Most branches (operations that other threads could notice) in one interleaving. One that has more is taken for
    /// one that never ends.
    pub max_branches: usize,
    /// Bytes of stack for each thread that C creates, and for the closure.
    pub stack: usize,
    /// Bytes that C code can allocate in one interleaving.
    pub memory: usize,
    /// How often in one interleaving a weak compare-exchange may fail for no reason.
    pub spurious_failures: u32,
}

impl Options {
    /// Exhaustive, unless an interleaving is very long.
    #[must_use]
    pub fn new() -> Self {
        Self {
            max_interleavings: None,
            max_duration: None,
            preemptions: None,
            max_branches: 10_000,
            stack: 256 << 10,
            memory: 1 << 20,
            spurious_failures: 1,
        }
    }

    /// Sets [`Self::max_interleavings`].
    #[must_use]
    pub fn max_interleavings(mut self, most: u64) -> Self {
        self.max_interleavings = Some(most);
        self
    }

    /// Sets [`Self::max_duration`].
    #[must_use]
    pub fn max_duration(mut self, most: Duration) -> Self {
        self.max_duration = Some(most);
        self
    }

    /// Sets [`Self::preemptions`].
    #[must_use]
    pub fn preemptions(mut self, most: usize) -> Self {
        self.preemptions = Some(most);
        self
    }

    /// Sets [`Self::max_branches`].
    #[must_use]
    pub fn max_branches(mut self, most: usize) -> Self {
        self.max_branches = most;
        self
    }

    /// Sets [`Self::stack`].
    #[must_use]
    pub fn stack(mut self, bytes: usize) -> Self {
        self.stack = bytes;
        self
    }

    /// Sets [`Self::memory`].
    #[must_use]
    pub fn memory(mut self, bytes: usize) -> Self {
        self.memory = bytes;
        self
    }
}

impl Default for Options {
    fn default() -> Self {
        Self::new()
    }
}

/// What a search that found nothing may claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Extent {
    /// Every interleaving was explored.
    Exhausted,
    /// Not all of them: this was in the way.
    BoundedBy(Bound),
    /// It ended at a finding.
    Convicted,
}

/// The result of [`explore`].
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Exploration {
    /// As passed to [`explore`].
    pub name: String,
    /// How many interleavings ran, the last included. Never 0.
    pub interleavings: u64,
    /// How far the search went.
    pub extent: Extent,
    /// The violation that ended it.
    pub finding: Option<Finding>,
    /// Places of volatile accesses that the code relies on, which were taken for relaxed atomics.
    pub volatile: Vec<String>,
    /// How long it took.
    pub elapsed: Duration,
}

impl fmt::Display for Exploration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.name)?;
        match &self.extent {
            Extent::Exhausted => write!(f, "exhausted, {} interleavings", self.interleavings)?,
            Extent::BoundedBy(bound) => write!(f, "bounded by {bound}, {} interleavings", self.interleavings)?,
            Extent::Convicted => write!(f, "convicted")?,
        }
        write!(f, ", {:.2?}", self.elapsed)?;
        for place in &self.volatile {
            write!(f, "\nvolatile access taken for a relaxed atomic: {place}")?;
        }
        if let Some(finding) = &self.finding {
            write!(f, "\n{finding}")?;
        }
        Ok(())
    }
}

impl Exploration {
    /// Every interleaving was explored, and nothing found.
    ///
    /// # Panics
    ///
    /// With the finding, or with what limited the search.
    pub fn assert_exhausted(&self) {
        assert_eq!(self.extent, Extent::Exhausted, "{self}");
    }

    /// A violation of this kind was found.
    ///
    /// # Panics
    ///
    /// When none, or another, was.
    pub fn assert_convicted(&self, kind: Kind) -> &Finding {
        match &self.finding {
            Some(finding) if finding.kind == kind => finding,
            _ => panic!("no {kind:?}: {self}"),
        }
    }
}

/// Globals of C code belong to the process: one search at a time.
static SEARCHING: Mutex<()> = Mutex::new(());

thread_local! {
    /// This thread is inside a search: its panics are findings, and are not printed.
    static QUIET: Cell<bool> = const { Cell::new(false) };
    static LAST_PANIC: RefCell<Option<(String, String)>> = const { RefCell::new(None) };
}

/// Explores the interleavings of what `f` does, within the limits that `docs/model.md` names: `f` runs once in each, on
/// loom's first thread, and C code that it calls may create more threads. It must do the same whenever the same choices are made.
///
/// Searches of one process wait for each other. Panics in `f` are findings. Assertions in callbacks are better made with
/// [`fail`], which needs no unwinding.
///
/// # Panics
///
/// When the options allow no interleaving at all, or when called from inside a search.
pub fn explore(name: &str, options: &Options, f: impl Fn() + Send + Sync + 'static) -> Exploration {
    search(name, options, None, f)
}

/// Runs the same search again up to the interleaving of a finding, and answers what that one shows: the same events in the
/// same order, as long as the code and the options are the same.
///
/// # Panics
///
/// As [`explore`].
pub fn replay(name: &str, options: &Options, finding: &Finding, f: impl Fn() + Send + Sync + 'static) -> Exploration {
    search(name, options, Some(finding.interleaving), f)
}

/// Ends the interleaving with a finding, from Rust code that C called or that called C. Outside a search it is a panic.
///
/// # Panics
///
/// Always.
#[track_caller]
pub fn fail(message: &str) -> ! {
    let place = std::panic::Location::caller();
    match world::enter() {
        Some(me) => world::with(|world| {
            let text = format!("{message} ({})", at(place));
            world.did(me, 0, text.clone());
            world.convict(me, 0, Kind::Failed, text)
        }),
        None => panic!("{message}"),
    }
}

/// Writes a line into the timeline, in the column of the thread that this is called on.
#[track_caller]
pub fn note(text: &str) {
    let place = std::panic::Location::caller();
    if let Some(me) = world::enter() {
        world::with(|world| world.did(me, 0, format!("{text} ({})", at(place))));
    }
}

fn at(place: &std::panic::Location<'_>) -> String {
    let parts: Vec<&str> = place.file().rsplit('/').take(2).collect();
    let file: Vec<&str> = parts.into_iter().rev().collect();
    format!("{}:{}", file.join("/"), place.line())
}

/// What all interleavings of a search share.
struct Search {
    options: Options,
    stop_at: Option<u64>,
    began: Instant,
    count: u64,
    sizes: tsan::Sizes,
    /// See [`pthread::Objects::tries`].
    tries: bool,
    saved: globals::Saved,
    /// Of the interleaving before, for the next.
    parts: Option<(stack::Stacks, memory::Heap)>,
    volatile: std::collections::BTreeSet<world::Pc>,
    /// In some interleaving a thread let others run first.
    gave_way: bool,
}

/// Why a search ends without being exhausted.
struct Stop(Bound);

fn search(name: &str, options: &Options, stop_at: Option<u64>, f: impl Fn() + Send + Sync + 'static) -> Exploration {
    assert!(!QUIET.get(), "{name}: a search inside a search");
    assert!(options.max_interleavings != Some(0), "{name}: no interleavings is no search");
    let _alone = lock(&SEARCHING);
    catch_panics();
    let began = Instant::now();
    let shared = Arc::new(Mutex::new(Search {
        options: options.clone(),
        stop_at,
        began,
        count: 0,
        sizes: [0; 4],
        tries: false,
        saved: globals::Saved::new(),
        parts: None,
        volatile: std::collections::BTreeSet::new(),
        gave_way: false,
    }));
    let f = Arc::new(f);
    QUIET.set(true);
    let (extent, finding) = tracing::subscriber::with_default(choice::Listener, || {
        loop {
            lock(&shared).count = 0;
            if let Some(result) = attempt(&shared, &f) {
                break result;
            }
        }
    });
    QUIET.set(false);
    let search = lock(&shared);
    search.saved.restore();
    assert!(search.count > 0, "{name}: no interleaving ran");
    let mut names = stack::Names::default();
    Exploration {
        name: name.to_owned(),
        interleavings: search.count,
        extent,
        finding,
        volatile: search.volatile.iter().map(|&pc| names.place(pc).to_string()).collect(),
        elapsed: began.elapsed(),
    }
}

/// One search from the beginning. None: it turned out to need more atomics.
fn attempt<F: Fn() + Send + Sync + 'static>(
    shared: &Arc<Mutex<Search>>,
    f: &Arc<F>,
) -> Option<(Extent, Option<Finding>)> {
    let options = lock(shared).options.clone();
    let mut model = loom_side::Model::new();
    model.max_threads = 5;
    model.max_branches = options.max_branches;
    model.preemption_bound = options.preemptions;
    model.max_permutations = None;
    model.max_duration = None;
    model.checkpoint_file = None;
    let (inner, body) = (Arc::clone(shared), Arc::clone(f));
    let result = catch_unwind(AssertUnwindSafe(|| {
        model.check(move || {
            begin(&inner);
            stack::on_stack(0, || {
                let result = catch_unwind(AssertUnwindSafe(|| body()));
                match result {
                    Ok(()) => {}
                    Err(payload) if matches!(payload.downcast_ref(), Some(Leave::ThreadExit)) => {}
                    Err(payload) => resume_unwind(payload),
                }
                pthread::end_of_thread(0);
                pthread::run_at_exit();
            });
        });
        // The last one has nobody after it to look at it.
        finish(shared);
    }));
    let payload = match result {
        Ok(()) => {
            let extent = match options.preemptions {
                Some(most) => Extent::BoundedBy(Bound::Preemptions(most)),
                None if lock(shared).gave_way => Extent::BoundedBy(Bound::Yields),
                None => Extent::Exhausted,
            };
            return Some((extent, None));
        }
        Err(payload) => payload,
    };
    let world = world::take();
    let result = classify(&options, lock(shared).count, payload, world.as_deref());
    if let Some(mut world) = world {
        let mut search = lock(shared);
        match result {
            // No atomic of this width was left, or a mutex was tried for the first time.
            None => {
                search.tries |= world.objects.tries;
                if let Some(width) = world.atoms.missing {
                    search.sizes[width] = (search.sizes[width] * 2).max(search.sizes[width] + 2);
                }
            }
            Some(_) => search.volatile.append(&mut world.atoms.volatile),
        }
        // Its locks belong to an execution that loom has given up.
        let World { objects, stacks, mut heap, .. } = *world;
        objects.abandon();
        heap.clear();
        search.parts = Some((stacks, heap));
    }
    result
}

/// Starts the next interleaving, when the one before was in order.
fn begin(shared: &Arc<Mutex<Search>>) {
    finish(shared);
    let mut search = lock(shared);
    let search = &mut *search;
    if let Some(most) = search.options.max_interleavings.filter(|&most| search.count >= most) {
        resume_unwind(Box::new(Stop(Bound::Interleavings(most))));
    }
    if let Some(most) = search.options.max_duration.filter(|&most| search.began.elapsed() >= most) {
        resume_unwind(Box::new(Stop(Bound::Duration(most))));
    }
    if let Some(last) = search.stop_at.filter(|&last| search.count >= last) {
        resume_unwind(Box::new(Stop(Bound::Interleavings(last))));
    }
    search.count += 1;
    search.saved.restore();
    let (mut stacks, mut heap) = search
        .parts
        .take()
        .unwrap_or_else(|| (stack::Stacks::new(search.options.stack), memory::Heap::new(search.options.memory)));
    stacks.clear();
    heap.clear();
    let pools = tsan::Pools::new(&search.sizes);
    world::begin(Box::new(World::new(stacks, heap, pools, search.options.spurious_failures)));
    world::with(|world| {
        world.objects.tries = search.tries;
        world.thread(0);
    });
}

/// All threads of an interleaving are over: what did it leave behind?
fn finish(shared: &Arc<Mutex<Search>>) {
    let Some(mut world) = world::take() else { return };
    if let Some(message) = world.heap.lost(&[globals::bounds()]) {
        world.finding = Some(Finding::raw(&mut world, Kind::Leak, message, None));
        world::begin(world);
        world::end();
        resume_unwind(Box::new(Leave::Convicted));
    }
    let mut search = lock(shared);
    search.volatile.append(&mut world.atoms.volatile);
    search.gave_way |= world.gave_way;
    let World { stacks, heap, .. } = *world;
    search.parts = Some((stacks, heap));
}

fn classify(
    options: &Options,
    count: u64,
    payload: Box<dyn Any + Send>,
    world: Option<&World>,
) -> Option<(Extent, Option<Finding>)> {
    let payload = match payload.downcast::<Stop>() {
        Ok(stop) => return Some((Extent::BoundedBy(stop.0), None)),
        Err(payload) => payload,
    };
    let mut finding = match payload.downcast::<Leave>() {
        Ok(leave) => match *leave {
            Leave::Restart => return None,
            Leave::Limited(bound) => return Some((Extent::BoundedBy(bound), None)),
            Leave::Convicted | Leave::ThreadExit => world.and_then(|world| world.finding.clone())?,
        },
        Err(payload) => match panicked(options, &payload, world) {
            Ok(finding) => finding,
            Err(bound) => return Some((Extent::BoundedBy(bound), None)),
        },
    };
    if let Some(world) = world {
        finding.finish(world, count);
    }
    Some((Extent::Convicted, Some(finding)))
}

/// A panic of loom's, or of Rust code.
fn panicked(options: &Options, payload: &Box<dyn Any + Send>, world: Option<&World>) -> Result<Finding, Bound> {
    let (message, place) = LAST_PANIC.take().unwrap_or_else(|| {
        let text = payload.downcast_ref::<String>().cloned();
        let text = text.or_else(|| payload.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        (text.unwrap_or_else(|| "a panic without words".to_owned()), String::new())
    });
    let raw =
        |kind, message, at| Finding { kind, message, stack: Vec::new(), timeline: String::new(), interleaving: 0, at };
    if message.starts_with("deadlock; threads") {
        return Ok(raw(Kind::Deadlock, world.map_or(message, waits), None));
    }
    if message.starts_with("Model exceeded maximum number of branches") {
        let spinning = world.and_then(|world| {
            let mut threads = world.threads.iter().flatten();
            threads
                .find(|thread| thread.spin.count > 50)
                .map(|thread| (thread.name.clone(), thread.spin.address, world))
        });
        return match spinning {
            Some((name, address, world)) => {
                let message = format!(
                    "{name} reads {} again and again, and nobody changes it ({} branches)",
                    world.name_address(address),
                    options.max_branches
                );
                Ok(raw(Kind::Livelock, message, None))
            }
            None => Err(Bound::Branches(options.max_branches)),
        };
    }
    if message.contains("self.threads.len() < self.max") {
        return Err(Bound::Threads(5));
    }
    if message.contains("Causality violation") {
        return Ok(raw(Kind::DataRace, format!("in Rust code: {}", message.trim()), None));
    }
    if message.contains("leaked") && place.contains("rt/") {
        return Ok(raw(Kind::Leak, format!("in Rust code: {}", message.trim()), None));
    }
    let message = if place.is_empty() { message } else { format!("{message} ({place})") };
    Ok(raw(Kind::Failed, message, None))
}

/// Who waits for what.
fn waits(world: &World) -> String {
    let mut lines = Vec::new();
    for (me, thread) in world.threads.iter().enumerate() {
        let Some(thread) = thread else { continue };
        let Some(wait) = &thread.waiting else { continue };
        let holder =
            world.objects.holder(wait.address).filter(|_| wait.on.starts_with("mutex") || wait.on.contains("lock"));
        let holder = match holder {
            Some(holder) if holder == me => " (which it holds itself)".to_owned(),
            Some(holder) => format!(" (held by thread {holder})"),
            None => String::new(),
        };
        lines.push(format!("{} waits for {}{holder} at {}", thread.name, wait.on, finding::later(wait.pc)));
    }
    if lines.is_empty() { "threads wait in Rust code".to_owned() } else { lines.join("; ") }
}

/// Panics of a search are findings: they are not printed, and end what they happen in.
fn catch_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if !QUIET.try_with(Cell::get).unwrap_or(false) {
                before(info);
            } else if !race::asking() {
                let payload = info.payload();
                let text = payload.downcast_ref::<String>().cloned();
                let text = text.or_else(|| payload.downcast_ref::<&str>().map(|text| (*text).to_owned()));
                let place = info.location().map(at).unwrap_or_default();
                if world::live() {
                    LAST_PANIC.set(Some((text.unwrap_or_else(|| "a panic without words".to_owned()), place)));
                }
                world::end();
            }
        }));
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_name_that_is_redirected_has_an_entry_point() {
        let provided: BTreeSet<&str> =
            tsan::NAMES.iter().chain(memory::NAMES).chain(unwind::NAMES).copied().chain(pthread::names()).collect();
        let instrumentation = instrument::instrumentation();
        let redirected = instrument::MODELLED.iter().copied().chain(instrumentation.iter().map(String::as_str));
        let redirected: BTreeSet<&str> = redirected.collect();
        assert_eq!(provided, redirected);
        assert!(instrument::ALLOWED.iter().all(|name| !redirected.contains(name)));
    }

    #[test]
    fn a_search_inside_a_search_is_refused() {
        let exploration = explore("outer", &Options::new(), || drop(explore("inner", &Options::new(), || {})));
        assert!(
            exploration.assert_convicted(Kind::Failed).message.contains("a search inside a search"),
            "{exploration}"
        );
    }
}

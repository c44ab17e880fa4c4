//! pthreads, POSIX semaphores and C11's `threads.h`, over loom.
//!
//! How the parts fit: `mutex` is a loom mutex, `condvar` parks and unparks, and everything else that blocks (`rwlock`, `spin`,
//! `barrier`, `semaphore`, `once`) is a `monitor`; a `futex` has the lock of one, and is for code that calls the kernel itself. `threads` are loom's; `keys`, `time`, `process` and `signals` block nobody. `c11` is all
//! of this by other names. Here is what they share: the objects of an interleaving by address, and what each call on one
//! begins and ends with.

mod barrier;
mod c11;
mod condvar;
mod futex;
mod keys;
mod monitor;
mod mutex;
mod once;
mod process;
mod rwlock;
mod semaphore;
mod signals;
mod spin;
mod threads;
mod time;

pub(crate) use process::{run_at_exit, with_errno};
pub(crate) use signals::raises_signal;
pub(crate) use threads::end_of_thread;
pub use threads::{JoinHandle, spawn};
pub(crate) use time::{MICROS, after, limit, limited};

use super::by_address::ByAddress;
use super::event::What;
use super::finding::{Bound, FindingKind, later};
use super::memory::accessed;
use super::race::Access;
use super::race::Epoch;
use super::tsan::Sizes;
use super::world::{Leave, Me, Pc, World, enter, event, leave, let_others_run, with};
use crate::loom_types::thread;
use condvar::Condition;
use monitor::{Monitor, State};
use mutex::Lock;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::c_int;

/// What a search is planned with: what it does only where the code under it gives a reason. Where an interleaving turns out to
/// need more than was planned, what it comes to counts for nothing, and after it the search begins again.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Needs {
    /// Atomics of loom's to begin with, by width.
    pub(crate) atomics: Sizes,
    /// Somebody tries to lock a mutex: unlocking is a branch.
    pub(crate) attempts: bool,
    /// No mutex is held at each operation on some condition variable: those operations are branches.
    pub(crate) conditions: bool,
    /// More than two threads run at a time: to leave repeats takes one more, and each has to say where it is.
    pub(crate) places: bool,
    /// Repeats cannot be left: loom has no thread to spare for that, or threads run on that nobody knows of.
    pub(crate) repeats: bool,
}

/// The objects of an interleaving, by address.
#[derive(Default)]
pub(crate) struct Objects {
    locks: ByAddress<Lock>,
    conditions: ByAddress<Condition>,
    monitors: ByAddress<Monitor>,
    destroyed: BTreeSet<usize>,
    woken: BTreeSet<Me>,
    /// Who sleeps at a futex.
    sleepers: BTreeMap<Me, thread::Thread>,
    handles: BTreeMap<Me, thread::JoinHandle<()>>,
    gone: BTreeSet<Me>,
    results: BTreeMap<Me, usize>,
    /// Destructors of thread-specific data, by key.
    keys: BTreeMap<u32, Option<usize>>,
    keys_made: u32,
    threads: usize,
    pub(crate) plan: Needs,
    /// The plan, and what it lacks.
    pub(crate) needs: Needs,
    pub(crate) descriptors: super::descriptors::Descriptors,
    signals: signals::Signals,
    /// Who did the last operation on an object, and how many before it.
    alone: (Me, u32),
    clocks: time::Clocks,
    /// What `localtime` answers.
    broken_down: Option<Box<libc::tm>>,
    /// Where `strtok` stopped.
    pub(crate) tokens: Option<Box<usize>>,
    random: u64,
    /// Threads whose last wait with a limit gave up.
    gave_up: BTreeSet<Me>,
}

impl Objects {
    pub(crate) fn new(needs: Needs) -> Self {
        Self { plan: needs, needs, ..Self::default() }
    }

    /// The search was planned with too little: what this interleaving comes to counts for nothing.
    pub(crate) fn lacks(&self) -> bool {
        self.needs != self.plan
    }

    /// For the next interleaving: what is in it, one by one, as a whole one moved over loom's fresh stack touches a page of it more.
    pub(crate) fn clear(&mut self) {
        let Self {
            locks,
            conditions,
            monitors,
            destroyed,
            woken,
            sleepers,
            handles,
            gone,
            results,
            keys,
            keys_made,
            threads,
            plan: _,
            needs: _,
            descriptors,
            signals,
            alone,
            clocks,
            broken_down,
            tokens,
            random,
            gave_up,
        } = self;
        locks.clear();
        conditions.clear();
        monitors.clear();
        destroyed.clear();
        woken.clear();
        sleepers.clear();
        handles.clear();
        gone.clear();
        results.clear();
        keys.clear();
        gave_up.clear();
        (*keys_made, *threads, *alone, *random) = Default::default();
        (*descriptors, *signals, *clocks) = Default::default();
        (*broken_down, *tokens) = Default::default();
    }

    /// The memory is something else now.
    pub(crate) fn forget(&mut self, address: usize, size: usize) {
        let range = address..address + size;
        self.locks.remove_within(range.clone());
        self.conditions.remove_within(range.clone());
        self.monitors.remove_within(range.clone());
        self.destroyed.retain(|at| !range.contains(at));
    }

    /// A plain store goes to the memory: an object that nobody uses just now and that begins there is something else from now
    /// on, or a new one, made by assignment (`PTHREAD_MUTEX_INITIALIZER`).
    pub(crate) fn rewrite(&mut self, address: usize, size: usize) {
        let range = address..address.saturating_add(size);
        self.locks.remove_within_if(range.clone(), Lock::is_idle);
        self.conditions.remove_within_if(range.clone(), Condition::is_idle);
        self.monitors.remove_within_if(range.clone(), Monitor::is_idle);
        while let Some(&at) = self.destroyed.range(range.clone()).next() {
            self.destroyed.remove(&at);
        }
    }

    /// The mutexes that a thread has locked.
    fn locked_by(&self, me: Me) -> impl Iterator<Item = usize> {
        self.locks.iter().filter(move |(_, lock)| lock.owner == Some(me)).map(|(address, _)| address)
    }

    /// Who holds the mutex or lock at an address.
    pub(crate) fn holder(&self, address: usize) -> Option<Me> {
        let lock = self.locks.get(address).and_then(|lock| lock.owner);
        lock.or_else(|| match self.monitors.get(address).map(|monitor| &monitor.state) {
            Some(State::Shared { writer, readers }) => writer.or_else(|| readers.first().copied()),
            Some(State::Spin { owner }) => *owner,
            _ => None,
        })
    }
}

fn pointer<T>(address: usize) -> *mut T {
    std::ptr::with_exposed_provenance_mut(address)
}

/// Reads an `int` of C's.
///
/// # Safety
///
/// 1. C passed `address` as that of an object that begins with an `int`, or has one there, and the memory was checked.
unsafe fn read_int(address: usize) -> c_int {
    // SAFETY: the caller guarantees by clause 1 that an `int` can be read there.
    unsafe { pointer::<c_int>(address).read() }
}

/// Writes a value where C wants it.
///
/// # Safety
///
/// 1. C passed `address` as a place for a `T`, to a function that writes one there.
unsafe fn write<T>(address: usize, value: T) {
    // SAFETY: the caller guarantees by clause 1 that a `T` can be written there; no alignment is needed.
    unsafe { pointer::<T>(address).write_unaligned(value) };
}

/// What a function of C's answers that fails: `errno` says why.
pub(crate) fn fails<T: From<i8>>(me: Me, why: c_int) -> T {
    with(|world| *world.thread(me).errno = why);
    T::from(-1)
}

/// Writes a value where C wants it, and checks that memory first.
///
/// # Safety
///
/// 1. C passed `out` as a place for a `T`, to a function that writes one there.
pub(crate) unsafe fn answer<T>(out: usize, value: T, pc: Pc) {
    accessed(out, size_of::<T>(), Access::Write, pc);
    // SAFETY: (1) clause 1 of this function is clause 1 of `write`: C wants a `T` at `out`.
    unsafe { write(out, value) };
}

/// Writes several values in a row where C wants them, and checks that memory first.
///
/// # Safety
///
/// 1. C passed `out` as a place for so many `T`, to a function that writes them there.
pub(crate) unsafe fn answer_all<T: Copy>(out: usize, values: &[T], pc: Pc) {
    let size = size_of_val(values);
    accessed(out, size, Access::Write, pc);
    // SAFETY: the caller guarantees by clause 1 that all values fit there; the values are Rust's, so the two do not
    // overlap.
    unsafe { pointer::<u8>(out).copy_from_nonoverlapping(values.as_ptr().cast(), size) };
}

/// A function is called in a way that is not modelled: the search ends there.
pub(crate) fn refuse_call(what: &str, pc: Pc) {
    refuse_call_because(what, "", pc);
}

/// The same, with a reason that the function itself is one of.
pub(crate) fn refuse_call_because(what: &str, why: &str, pc: Pc) {
    if let Some(me) = enter() {
        with(|world| {
            let from = world.thread(me).calls.last().copied().unwrap_or_default();
            let why = if why.is_empty() { String::new() } else { format!(": {why}") };
            let what = format!("{what} was called at {} from {}{why}", later(pc), later(from));
            leave(world, Leave::Limited(Bound::Unmodelled(what)));
        });
    }
}

/// A C call on an object: its thread, and that the object is there.
struct Call {
    me: Me,
    pc: Pc,
    address: usize,
    since: Epoch,
}

/// Operations on objects that a thread does in a row, while others could do something, before it lets them. Loom goes on with one
/// thread for as long as that can, so without this a loop that waits for another thread by locking and looking would be
/// all that an interleaving consists of.
const MOST_ALONE: u32 = 128;

/// An operation on an object begins: whose is it?
pub(crate) fn begin_operation() -> Option<Me> {
    let (me, too_long) = event(|world, me| (me, world.too_long_alone(me)))?;
    if too_long {
        let_others_run();
    }
    Some(me)
}

impl World {
    /// The thread does something to an object: whether others have to come first.
    fn too_long_alone(&mut self, me: Me) -> bool {
        self.thread(me).spins.clear();
        let (last, count) = &mut self.objects.alone;
        *count = if *last == me { *count + 1 } else { 0 };
        *last = me;
        let too_long = *count >= MOST_ALONE;
        if too_long {
            *count = 0;
        }
        too_long && self.others_live(me)
    }
}

impl Call {
    fn begin(address: usize, what: &str, pc: Pc) -> Option<Self> {
        let begin = |world: &mut World, me| {
            let since = world.access_moment(me);
            world.check_memory(me, pc, address, 4, what);
            if world.objects.destroyed.contains(&address) && !what.ends_with("_init") {
                let name = world.name_address(address);
                world.convict(me, pc, FindingKind::Misuse, format!("{what} is called on {name}, which was destroyed"));
            }
            Self { me, pc, address, since }
        };
        let begun = event(|world, me| if world.too_long_alone(me) { Err(me) } else { Ok(begin(world, me)) })?;
        Some(begun.unwrap_or_else(|me| {
            let_others_run();
            with(|world| begin(world, me))
        }))
    }

    /// The operation has happened; others may have run.
    fn end(&self, did: &'static str) {
        with(|world| {
            world.touch(self.me, self.pc, self.address, 4, Access::AtomicRead, self.since);
            world.log(self.me, self.pc, What::On(did, self.address));
        });
    }

    fn convict(&self, kind: FindingKind, message: &str) -> ! {
        with(|world| {
            let name = world.name_address(self.address);
            world.convict(self.me, self.pc, kind, format!("{message} ({name})"))
        })
    }

    /// Makes or unmakes the object: like a plain store to it.
    fn rewrite(&self, did: &'static str) {
        with(|world| {
            world.touch(self.me, self.pc, self.address, 4, Access::Write, self.since);
            world.log(self.me, self.pc, What::On(did, self.address));
        });
    }
}

fn destroyed(call: &Call, did: &'static str) -> c_int {
    call.rewrite(did);
    with(|world| {
        world.objects.forget(call.address, 1);
        world.objects.destroyed.insert(call.address);
    });
    0
}

fn call_void(function: usize) {
    // SAFETY: C passed it as a function of this type.
    let function = unsafe { std::mem::transmute::<usize, extern "C-unwind" fn()>(function) };
    function();
}

fn call_with(function: usize, argument: usize) -> usize {
    // SAFETY: C passed it as a function of one pointer; those that answer nothing leave garbage, which nobody reads.
    let function = unsafe { std::mem::transmute::<usize, extern "C-unwind" fn(usize) -> usize>(function) };
    function(argument)
}

/// What instrumented code may call, for comparing with what it is redirected to.
#[cfg(test)]
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    let all = [
        barrier::NAMES,
        c11::NAMES,
        condvar::NAMES,
        futex::NAMES,
        keys::NAMES,
        mutex::NAMES,
        once::NAMES,
        process::NAMES,
        rwlock::NAMES,
        semaphore::NAMES,
        signals::NAMES,
        spin::NAMES,
        threads::NAMES,
        time::NAMES,
    ];
    all.into_iter().flatten().copied()
}

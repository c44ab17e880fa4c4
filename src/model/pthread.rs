//! pthreads, POSIX semaphores and C11's `threads.h`, over loom.
//!
//! A mutex is a loom mutex. Everything else that blocks is a *monitor*: a loom mutex, a state, and a list of parked threads,
//! which it wakes when the state changes; that orders every operation on one object before the next, also where the
//! real one orders less (two readers of a lock). Time does not pass: what waits with a limit gives up whenever the schedule
//! lets it run before it was woken.

use super::entry::entry_points;
use super::finding::{Bound, Kind};
use super::race::Access;
use super::stack::on_stack;
use super::world::{Leave, Me, Pc, World, enter, leave, throw, waiting, with};
use crate::sync::loom_side::{Condvar, Mutex, MutexGuard, thread};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ffi::{c_char, c_int, c_uint};
use std::mem::ManuallyDrop;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

/// All that loom has; the first is the closure's.
const MOST_THREADS: usize = 5;

type Gate = Rc<Mutex<()>>;

/// A lock that lasts from one call by C to another. What was left locked is left alone: loom wants nothing of it.
type Held = ManuallyDrop<MutexGuard<'static, ()>>;

/// glibc's numbers for what a mutex does when its owner locks it again; also where glibc's static initialisers have them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum MutexKind {
    Normal,
    Recursive,
    Checking,
}

/// Where in a mutex glibc keeps its kind.
const KIND_OFFSET: usize = 16;

struct Lock {
    gate: Gate,
    kind: MutexKind,
    owner: Option<Me>,
    depth: u32,
    held: Option<Held>,
}

#[derive(Clone)]
struct Waiter {
    me: Me,
    /// Present unless it only waits for its time to be over.
    thread: Option<thread::Thread>,
}

struct Condition {
    /// Operations on it are branches of the search.
    branch: Rc<Condvar>,
    waiters: VecDeque<Waiter>,
}

/// The state of a monitor.
#[derive(Debug)]
enum State {
    Shared { readers: Vec<Me>, writer: Option<Me> },
    Semaphore { count: c_uint },
    Barrier { needed: c_uint, arrived: c_uint, round: u64 },
    Once { state: OnceState },
    Spin { owner: Option<Me> },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum OnceState {
    Not,
    Running,
    Done,
}

struct Monitor {
    gate: Gate,
    state: State,
    parked: Vec<thread::Thread>,
}

/// The objects of an interleaving, by address.
#[derive(Default)]
pub(crate) struct Objects {
    locks: BTreeMap<usize, Lock>,
    conditions: BTreeMap<usize, Condition>,
    monitors: BTreeMap<usize, Monitor>,
    destroyed: BTreeSet<usize>,
    woken: BTreeSet<Me>,
    handles: BTreeMap<Me, thread::JoinHandle<()>>,
    gone: BTreeSet<Me>,
    results: BTreeMap<Me, usize>,
    /// Destructors of thread-specific data, by key.
    keys: BTreeMap<u32, Option<usize>>,
    keys_made: u32,
    threads: usize,
    ticks: i64,
    /// Waits with a limit that gave up, by thread.
    gave_up: BTreeMap<Me, u32>,
}

impl Objects {
    /// The memory is something else now.
    pub(crate) fn forget(&mut self, address: usize, size: usize) {
        let range = address..address + size;
        self.locks.retain(|at, _| !range.contains(at));
        self.conditions.retain(|at, _| !range.contains(at));
        self.monitors.retain(|at, _| !range.contains(at));
        self.destroyed.retain(|at| !range.contains(at));
    }

    /// Who holds the mutex or lock at an address.
    pub(crate) fn holder(&self, address: usize) -> Option<Me> {
        let lock = self.locks.get(&address).and_then(|lock| lock.owner);
        lock.or_else(|| match self.monitors.get(&address).map(|monitor| &monitor.state) {
            Some(State::Shared { writer, readers }) => writer.or_else(|| readers.first().copied()),
            Some(State::Spin { owner }) => *owner,
            _ => None,
        })
    }
}

fn pointer<T>(address: usize) -> *mut T {
    std::ptr::with_exposed_provenance_mut(address)
}

fn read_int(address: usize) -> c_int {
    // SAFETY: C passes the address of an object that is at least this large; it has been checked.
    unsafe { pointer::<c_int>(address).read() }
}

fn write<T>(address: usize, value: T) {
    // SAFETY: C passes a place for the answer.
    unsafe { pointer::<T>(address).write(value) };
}

/// A C call on an object: its thread, and that the object is there.
struct Call {
    me: Me,
    pc: Pc,
    address: usize,
    since: super::world::Moment,
}

impl Call {
    fn begin(address: usize, what: &str, pc: Pc) -> Option<Self> {
        let me = enter()?;
        let since = with(|world| {
            world.thread(me).spin.count = 0;
            let since = world.moment(me);
            world.check_memory(me, pc, address, 4, what);
            if world.objects.destroyed.contains(&address) && !what.ends_with("_init") {
                let name = world.name_address(address);
                world.convict(me, pc, Kind::Misuse, format!("{what} of {name}, which was destroyed"));
            }
            since
        });
        Some(Self { me, pc, address, since })
    }

    /// The operation has happened; others may have run.
    fn end(&self, did: &str) {
        with(|world| {
            world.touch(self.me, self.pc, self.address, 4, Access::AtomicRead, &self.since);
            let name = world.name_address(self.address);
            world.did(self.me, self.pc, format!("{did} {name}"));
        });
    }

    fn convict(&self, kind: Kind, message: &str) -> ! {
        with(|world| {
            let name = world.name_address(self.address);
            world.convict(self.me, self.pc, kind, format!("{message} ({name})"))
        })
    }

    /// Makes or unmakes the object: like a plain store to it.
    fn rewrite(&self, did: &str) {
        with(|world| {
            world.touch(self.me, self.pc, self.address, 4, Access::Write, &self.since);
            let name = world.name_address(self.address);
            world.did(self.me, self.pc, format!("{did} {name}"));
        });
    }
}

// ---- mutexes ----

fn lock_at(world: &mut World, address: usize) -> &mut Lock {
    world.objects.locks.entry(address).or_insert_with(|| Lock {
        gate: Rc::new(Mutex::new(())),
        kind: match read_int(address + KIND_OFFSET) & 3 {
            1 => MutexKind::Recursive,
            2 => MutexKind::Checking,
            _ => MutexKind::Normal,
        },
        owner: None,
        depth: 0,
        held: None,
    })
}

extern "C-unwind" fn mutex_init(address: usize, attributes: usize, pc: Pc) -> c_int {
    let Some(call) = Call::begin(address, "pthread_mutex_init", pc) else { return 0 };
    init_mutex(&call, if attributes == 0 { 0 } else { read_int(attributes) })
}

fn init_mutex(call: &Call, kind: c_int) -> c_int {
    if with(|world| world.objects.holder(call.address)).is_some() {
        call.convict(Kind::Misuse, "a mutex is initialised while it is locked");
    }
    call.rewrite("makes mutex");
    write(call.address + KIND_OFFSET, kind);
    with(|world| {
        world.objects.destroyed.remove(&call.address);
        world.objects.locks.remove(&call.address);
        lock_at(world, call.address);
    });
    0
}

extern "C-unwind" fn mutex_destroy(address: usize, pc: Pc) -> c_int {
    let Some(call) = Call::begin(address, "pthread_mutex_destroy", pc) else { return 0 };
    if with(|world| lock_at(world, address).owner).is_some() {
        call.convict(Kind::Misuse, "a mutex is destroyed while it is locked");
    }
    destroyed(&call, "mutex")
}

fn destroyed(call: &Call, what: &str) -> c_int {
    call.rewrite(&format!("destroys {what}"));
    with(|world| {
        world.objects.forget(call.address, 1);
        world.objects.destroyed.insert(call.address);
    });
    0
}

fn hold(guard: MutexGuard<'_, ()>) -> Held {
    // SAFETY: the mutex is behind an `Rc` in the world, which keeps it until the guard is gone or forgotten.
    ManuallyDrop::new(unsafe { std::mem::transmute::<MutexGuard<'_, ()>, MutexGuard<'static, ()>>(guard) })
}

/// Blocks until the mutex is this thread's.
fn acquire(me: Me, pc: Pc, address: usize) {
    let gate = with(|world| lock_at(world, address).gate.clone());
    let held = waiting(me, pc, "mutex", address, || hold(gate.lock().expect("loom's locks are not poisoned")));
    with(|world| {
        let lock = lock_at(world, address);
        (lock.owner, lock.depth, lock.held) = (Some(me), 1, Some(held));
    });
    // A guard refers to what the gate keeps.
    drop(gate);
}

fn release(address: usize) -> u32 {
    let (held, depth) = with(|world| {
        let lock = lock_at(world, address);
        lock.owner = None;
        (lock.held.take(), std::mem::take(&mut lock.depth))
    });
    if let Some(held) = held {
        drop(ManuallyDrop::into_inner(held));
    }
    depth
}

extern "C-unwind" fn mutex_lock(address: usize, pc: Pc) -> c_int {
    let Some(call) = Call::begin(address, "pthread_mutex_lock", pc) else { return 0 };
    let (kind, mine) = with(|world| {
        let lock = lock_at(world, address);
        let mine = lock.owner == Some(call.me);
        if mine && lock.kind == MutexKind::Recursive {
            lock.depth += 1;
        }
        (lock.kind, mine)
    });
    match kind {
        MutexKind::Recursive if mine => {}
        MutexKind::Checking if mine => return libc::EDEADLK,
        // The owner of a normal one blocks for ever.
        _ => acquire(call.me, pc, address),
    }
    call.end("locks");
    0
}

extern "C-unwind" fn mutex_trylock(address: usize, pc: Pc) -> c_int {
    let Some(call) = Call::begin(address, "pthread_mutex_trylock", pc) else { return 0 };
    let (gate, again) = with(|world| {
        let lock = lock_at(world, address);
        let again = lock.owner == Some(call.me) && lock.kind == MutexKind::Recursive;
        if again {
            lock.depth += 1;
        }
        (lock.gate.clone(), again)
    });
    if again {
        call.end("locks");
        return 0;
    }
    let held = gate.try_lock().ok().map(hold);
    let got = held.is_some();
    with(|world| {
        if got {
            let lock = lock_at(world, address);
            (lock.owner, lock.depth, lock.held) = (Some(call.me), 1, held);
        }
    });
    call.end(if got { "locks" } else { "finds locked" });
    if got { 0 } else { libc::EBUSY }
}

extern "C-unwind" fn mutex_timedlock(address: usize, _: usize, pc: Pc) -> c_int {
    match mutex_trylock(address, pc) {
        libc::EBUSY => {
            give_way();
            match mutex_trylock(address, pc) {
                libc::EBUSY => libc::ETIMEDOUT,
                got => got,
            }
        }
        got => got,
    }
}

extern "C-unwind" fn mutex_clocklock(address: usize, _: c_int, limit: usize, pc: Pc) -> c_int {
    mutex_timedlock(address, limit, pc)
}

extern "C-unwind" fn mutex_unlock(address: usize, pc: Pc) -> c_int {
    let Some(call) = Call::begin(address, "pthread_mutex_unlock", pc) else { return 0 };
    let (kind, owner) = with(|world| {
        let lock = lock_at(world, address);
        (lock.kind, lock.owner)
    });
    if owner != Some(call.me) {
        if kind != MutexKind::Normal {
            return libc::EPERM;
        }
        let message = match owner {
            Some(owner) => format!("a mutex is unlocked that thread {owner} has locked"),
            None => "a mutex is unlocked that nobody has locked".to_owned(),
        };
        call.convict(Kind::Misuse, &message);
    }
    call.end("unlocks");
    let left = with(|world| {
        let lock = lock_at(world, address);
        lock.depth -= 1;
        lock.depth
    });
    if left == 0 {
        release(address);
    }
    0
}

extern "C-unwind" fn attributes_init(address: usize, _: Pc) -> c_int {
    write::<c_int>(address, 0);
    0
}

extern "C-unwind" fn attributes_destroy(_: usize, _: Pc) -> c_int {
    0
}

extern "C-unwind" fn attributes_set_type(address: usize, kind: c_int, _: Pc) -> c_int {
    if !(0..=3).contains(&kind) {
        return libc::EINVAL;
    }
    write(address, kind);
    0
}

extern "C-unwind" fn attributes_get_type(address: usize, kind: usize, _: Pc) -> c_int {
    write(kind, read_int(address));
    0
}

/// Which clock a limit is of.
extern "C-unwind" fn attributes_ignored(_: usize, _: c_int, _: Pc) -> c_int {
    0
}

// ---- condition variables ----

fn condition_at(world: &mut World, address: usize) -> &mut Condition {
    let fresh = || Condition { branch: Rc::new(Condvar::new()), waiters: VecDeque::new() };
    world.objects.conditions.entry(address).or_insert_with(fresh)
}

/// Every operation on a condition variable depends on every other.
fn branch(address: usize) {
    let branch = with(|world| condition_at(world, address).branch.clone());
    branch.notify_all();
}

extern "C-unwind" fn cond_init(address: usize, _: usize, pc: Pc) -> c_int {
    let Some(call) = Call::begin(address, "pthread_cond_init", pc) else { return 0 };
    call.rewrite("makes condition");
    with(|world| {
        world.objects.destroyed.remove(&address);
        world.objects.conditions.remove(&address);
        condition_at(world, address);
    });
    0
}

extern "C-unwind" fn cond_destroy(address: usize, pc: Pc) -> c_int {
    let Some(call) = Call::begin(address, "pthread_cond_destroy", pc) else { return 0 };
    if with(|world| !condition_at(world, address).waiters.is_empty()) {
        call.convict(Kind::Misuse, "a condition variable is destroyed while threads wait on it");
    }
    destroyed(&call, "condition")
}

fn wait(call: &Call, mutex: usize, timed: bool) -> c_int {
    let (me, pc, address) = (call.me, call.pc, call.address);
    if with(|world| lock_at(world, mutex).owner) != Some(me) {
        call.convict(Kind::Misuse, "a wait on a condition variable with a mutex that this thread has not locked");
    }
    branch(address);
    call.end("waits on");
    let thread = (!timed).then(thread::current);
    with(|world| {
        world.objects.woken.remove(&me);
        condition_at(world, address).waiters.push_back(Waiter { me, thread });
        let since = world.moment(me);
        world.touch(me, pc, mutex, 4, Access::AtomicRead, &since);
    });
    // From here to where it parks no other thread runs.
    let depth = release(mutex);
    let woken = |world: &mut World| world.objects.woken.contains(&me);
    if timed {
        let again = with(|world| {
            let times = world.objects.gave_up.entry(me).or_default();
            *times += 1;
            *times > 1
        });
        if again {
            super::world::let_others_run();
        }
    } else {
        waiting(me, pc, "condition", address, || {
            while !with(woken) {
                thread::park();
            }
        });
    }
    acquire(me, pc, mutex);
    with(|world| lock_at(world, mutex).depth = depth);
    if timed {
        branch(address);
    }
    with(|world| {
        let since = world.moment(me);
        world.touch(me, pc, address, 4, Access::AtomicRead, &since);
        world.touch(me, pc, mutex, 4, Access::AtomicRead, &since);
        let name = world.name_address(address);
        if woken(world) {
            world.did(me, pc, format!("is woken on {name}"));
            world.objects.gave_up.remove(&me);
            0
        } else {
            condition_at(world, address).waiters.retain(|waiter| waiter.me != me);
            world.did(me, pc, format!("gives up waiting on {name}"));
            libc::ETIMEDOUT
        }
    })
}

extern "C-unwind" fn cond_wait(address: usize, mutex: usize, pc: Pc) -> c_int {
    Call::begin(address, "pthread_cond_wait", pc).map_or(0, |call| wait(&call, mutex, false))
}

extern "C-unwind" fn cond_timedwait(address: usize, mutex: usize, _: usize, pc: Pc) -> c_int {
    Call::begin(address, "pthread_cond_timedwait", pc).map_or(0, |call| wait(&call, mutex, true))
}

extern "C-unwind" fn cond_clockwait(address: usize, mutex: usize, _: c_int, limit: usize, pc: Pc) -> c_int {
    cond_timedwait(address, mutex, limit, pc)
}

fn wake(call: &Call, most: usize, did: &str) -> c_int {
    branch(call.address);
    call.end(did);
    let woken: Vec<Waiter> = with(|world| {
        let waiters = &mut condition_at(world, call.address).waiters;
        let count = most.min(waiters.len());
        let woken: Vec<Waiter> = waiters.drain(..count).collect();
        world.objects.woken.extend(woken.iter().map(|waiter| waiter.me));
        woken
    });
    for waiter in woken {
        if let Some(thread) = waiter.thread {
            thread.unpark();
        }
    }
    0
}

extern "C-unwind" fn cond_signal(address: usize, pc: Pc) -> c_int {
    Call::begin(address, "pthread_cond_signal", pc).map_or(0, |call| wake(&call, 1, "signals"))
}

extern "C-unwind" fn cond_broadcast(address: usize, pc: Pc) -> c_int {
    Call::begin(address, "pthread_cond_broadcast", pc).map_or(0, |call| wake(&call, usize::MAX, "broadcasts"))
}

// ---- monitors ----

impl Call {
    fn make(&self, state: State, did: &str) -> c_int {
        self.rewrite(did);
        with(|world| {
            world.objects.destroyed.remove(&self.address);
            let monitor = Monitor { gate: Rc::new(Mutex::new(())), state, parked: Vec::new() };
            world.objects.monitors.insert(self.address, monitor);
        });
        0
    }

    fn gate(&self, fresh: Option<State>) -> Gate {
        let made = with(|world| world.objects.monitors.get(&self.address).map(|monitor| monitor.gate.clone()));
        if let Some(gate) = made {
            return gate;
        }
        let Some(state) = fresh else { self.convict(Kind::Misuse, "an object is used that was never initialised") };
        with(|world| {
            let monitor = Monitor { gate: Rc::new(Mutex::new(())), state, parked: Vec::new() };
            world.objects.monitors.insert(self.address, monitor);
            world.objects.monitors[&self.address].gate.clone()
        })
    }

    /// One attempt, with the state; what it changed may be what parked threads wait for.
    fn attempt<R>(&self, fresh: Option<State>, change: impl FnOnce(&mut State) -> Option<R>) -> Option<R> {
        self.attempt_or_park(fresh, change, false)
    }

    /// As `attempt`; a thread that did not succeed and is about to park is put on the list of those to be woken.
    fn attempt_or_park<R>(
        &self,
        fresh: Option<State>,
        change: impl FnOnce(&mut State) -> Option<R>,
        parks: bool,
    ) -> Option<R> {
        let gate = self.gate(fresh);
        let guard = gate.lock().expect("loom's locks are not poisoned");
        let (done, parked) = with(|world| match world.objects.monitors.get_mut(&self.address) {
            Some(monitor) => {
                let done = change(&mut monitor.state);
                let parked = done.is_some().then(|| std::mem::take(&mut monitor.parked));
                (done, parked)
            }
            None => (None, None),
        });
        with(|world| world.check_memory(self.me, self.pc, self.address, 4, "use"));
        for thread in parked.into_iter().flatten() {
            thread.unpark();
        }
        if parks && done.is_none() {
            let me = thread::current();
            with(|world| {
                if let Some(monitor) = world.objects.monitors.get_mut(&self.address) {
                    monitor.parked.push(me);
                }
            });
        }
        drop(guard);
        done
    }

    /// Attempts until it succeeds.
    fn until<R>(&self, kind: &str, fresh: impl Fn() -> Option<State>, change: impl Fn(&mut State) -> Option<R>) -> R {
        loop {
            if let Some(done) = self.attempt_or_park(fresh(), &change, true) {
                return done;
            }
            waiting(self.me, self.pc, kind, self.address, thread::park);
        }
    }

    /// Attempts, and once more after others could run.
    fn within<R>(&self, fresh: impl Fn() -> Option<State>, change: impl Fn(&mut State) -> Option<R>) -> Option<R> {
        self.attempt(fresh(), &change).or_else(|| {
            give_way();
            self.attempt(fresh(), &change)
        })
    }
}

fn unlocked() -> Option<State> {
    Some(State::Shared { readers: Vec::new(), writer: None })
}

fn take_shared(me: Me) -> impl Fn(&mut State) -> Option<()> {
    move |state| match state {
        State::Shared { readers, writer: None } => {
            readers.push(me);
            Some(())
        }
        _ => None,
    }
}

fn take_exclusive(me: Me) -> impl Fn(&mut State) -> Option<()> {
    move |state| match state {
        State::Shared { readers, writer } if readers.is_empty() && writer.is_none() => {
            *writer = Some(me);
            Some(())
        }
        _ => None,
    }
}

extern "C-unwind" fn rwlock_init(address: usize, _: usize, pc: Pc) -> c_int {
    let Some(call) = Call::begin(address, "pthread_rwlock_init", pc) else { return 0 };
    call.make(State::Shared { readers: Vec::new(), writer: None }, "makes rwlock")
}

extern "C-unwind" fn rwlock_destroy(address: usize, pc: Pc) -> c_int {
    let Some(call) = Call::begin(address, "pthread_rwlock_destroy", pc) else { return 0 };
    if with(|world| world.objects.holder(address)).is_some() {
        call.convict(Kind::Misuse, "a rwlock is destroyed while it is locked");
    }
    destroyed(&call, "rwlock")
}

extern "C-unwind" fn rwlock_rdlock(address: usize, pc: Pc) -> c_int {
    let Some(call) = Call::begin(address, "pthread_rwlock_rdlock", pc) else { return 0 };
    call.until("rwlock", unlocked, take_shared(call.me));
    call.end("locks for reading");
    0
}

extern "C-unwind" fn rwlock_wrlock(address: usize, pc: Pc) -> c_int {
    let Some(call) = Call::begin(address, "pthread_rwlock_wrlock", pc) else { return 0 };
    call.until("rwlock", unlocked, take_exclusive(call.me));
    call.end("locks for writing");
    0
}

fn tried(call: &Call, got: Option<()>, otherwise: c_int) -> c_int {
    call.end(if got.is_some() { "locks" } else { "finds locked" });
    if got.is_some() { 0 } else { otherwise }
}

extern "C-unwind" fn rwlock_tryrdlock(address: usize, pc: Pc) -> c_int {
    let Some(call) = Call::begin(address, "pthread_rwlock_tryrdlock", pc) else { return 0 };
    tried(&call, call.attempt(unlocked(), take_shared(call.me)), libc::EBUSY)
}

extern "C-unwind" fn rwlock_trywrlock(address: usize, pc: Pc) -> c_int {
    let Some(call) = Call::begin(address, "pthread_rwlock_trywrlock", pc) else { return 0 };
    tried(&call, call.attempt(unlocked(), take_exclusive(call.me)), libc::EBUSY)
}

extern "C-unwind" fn rwlock_timedrdlock(address: usize, _: usize, pc: Pc) -> c_int {
    let Some(call) = Call::begin(address, "pthread_rwlock_timedrdlock", pc) else { return 0 };
    tried(&call, call.within(unlocked, take_shared(call.me)), libc::ETIMEDOUT)
}

extern "C-unwind" fn rwlock_timedwrlock(address: usize, _: usize, pc: Pc) -> c_int {
    let Some(call) = Call::begin(address, "pthread_rwlock_timedwrlock", pc) else { return 0 };
    tried(&call, call.within(unlocked, take_exclusive(call.me)), libc::ETIMEDOUT)
}

extern "C-unwind" fn rwlock_unlock(address: usize, pc: Pc) -> c_int {
    let Some(call) = Call::begin(address, "pthread_rwlock_unlock", pc) else { return 0 };
    call.end("unlocks");
    let me = call.me;
    let had = call.attempt(unlocked(), move |state| match state {
        State::Shared { readers, writer } => {
            let reader = readers.iter().position(|&reader| reader == me);
            Some(if *writer == Some(me) {
                *writer = None;
                true
            } else if let Some(reader) = reader {
                readers.remove(reader);
                true
            } else {
                false
            })
        }
        _ => Some(false),
    });
    if had != Some(true) {
        call.convict(Kind::Misuse, "a rwlock is unlocked that this thread has not locked");
    }
    0
}

extern "C-unwind" fn spin_init(address: usize, _: c_int, pc: Pc) -> c_int {
    let Some(call) = Call::begin(address, "pthread_spin_init", pc) else { return 0 };
    call.make(State::Spin { owner: None }, "makes spinlock")
}

extern "C-unwind" fn spin_destroy(address: usize, pc: Pc) -> c_int {
    let Some(call) = Call::begin(address, "pthread_spin_destroy", pc) else { return 0 };
    destroyed(&call, "spinlock")
}

fn take_spin(me: Me) -> impl Fn(&mut State) -> Option<()> {
    move |state| match state {
        State::Spin { owner: owner @ None } => {
            *owner = Some(me);
            Some(())
        }
        _ => None,
    }
}

extern "C-unwind" fn spin_lock(address: usize, pc: Pc) -> c_int {
    let Some(call) = Call::begin(address, "pthread_spin_lock", pc) else { return 0 };
    call.until("spinlock", || None, take_spin(call.me));
    call.end("locks");
    0
}

extern "C-unwind" fn spin_trylock(address: usize, pc: Pc) -> c_int {
    let Some(call) = Call::begin(address, "pthread_spin_trylock", pc) else { return 0 };
    tried(&call, call.attempt(None, take_spin(call.me)), libc::EBUSY)
}

extern "C-unwind" fn spin_unlock(address: usize, pc: Pc) -> c_int {
    let Some(call) = Call::begin(address, "pthread_spin_unlock", pc) else { return 0 };
    call.end("unlocks");
    let me = call.me;
    let had = call.attempt(None, move |state| match state {
        State::Spin { owner } if *owner == Some(me) => {
            *owner = None;
            Some(true)
        }
        _ => Some(false),
    });
    if had != Some(true) {
        call.convict(Kind::Misuse, "a spinlock is unlocked that this thread has not locked");
    }
    0
}

extern "C-unwind" fn sem_init(address: usize, _: c_int, count: c_uint, pc: Pc) -> c_int {
    let Some(call) = Call::begin(address, "sem_init", pc) else { return 0 };
    call.make(State::Semaphore { count }, "makes semaphore")
}

extern "C-unwind" fn sem_destroy(address: usize, pc: Pc) -> c_int {
    let Some(call) = Call::begin(address, "sem_destroy", pc) else { return 0 };
    destroyed(&call, "semaphore")
}

fn take_one(state: &mut State) -> Option<()> {
    match state {
        State::Semaphore { count } if *count > 0 => {
            *count -= 1;
            Some(())
        }
        _ => None,
    }
}

extern "C-unwind" fn sem_wait(address: usize, pc: Pc) -> c_int {
    let Some(call) = Call::begin(address, "sem_wait", pc) else { return 0 };
    call.until("semaphore", || None, take_one);
    call.end("takes one of");
    0
}

fn taken(call: &Call, got: Option<()>, otherwise: c_int) -> c_int {
    call.end(if got.is_some() { "takes one of" } else { "finds nothing in" });
    if got.is_some() {
        return 0;
    }
    with(|world| *world.thread(call.me).errno = otherwise);
    -1
}

extern "C-unwind" fn sem_trywait(address: usize, pc: Pc) -> c_int {
    let Some(call) = Call::begin(address, "sem_trywait", pc) else { return 0 };
    taken(&call, call.attempt(None, take_one), libc::EAGAIN)
}

extern "C-unwind" fn sem_timedwait(address: usize, _: usize, pc: Pc) -> c_int {
    let Some(call) = Call::begin(address, "sem_timedwait", pc) else { return 0 };
    taken(&call, call.within(|| None, take_one), libc::ETIMEDOUT)
}

extern "C-unwind" fn sem_post(address: usize, pc: Pc) -> c_int {
    let Some(call) = Call::begin(address, "sem_post", pc) else { return 0 };
    call.end("adds one to");
    call.attempt(None, |state| {
        if let State::Semaphore { count } = state {
            *count += 1;
        }
        Some(())
    });
    0
}

extern "C-unwind" fn sem_getvalue(address: usize, out: usize, pc: Pc) -> c_int {
    let Some(call) = Call::begin(address, "sem_getvalue", pc) else { return 0 };
    let count = call.attempt(None, |state| if let State::Semaphore { count } = state { Some(*count) } else { Some(0) });
    call.end("looks at");
    write(out, count.unwrap_or_default());
    0
}

extern "C-unwind" fn barrier_init(address: usize, _: usize, needed: c_uint, pc: Pc) -> c_int {
    let Some(call) = Call::begin(address, "pthread_barrier_init", pc) else { return 0 };
    if needed == 0 {
        return libc::EINVAL;
    }
    call.make(State::Barrier { needed, arrived: 0, round: 0 }, "makes barrier")
}

extern "C-unwind" fn barrier_destroy(address: usize, pc: Pc) -> c_int {
    let Some(call) = Call::begin(address, "pthread_barrier_destroy", pc) else { return 0 };
    destroyed(&call, "barrier")
}

extern "C-unwind" fn barrier_wait(address: usize, pc: Pc) -> c_int {
    let Some(call) = Call::begin(address, "pthread_barrier_wait", pc) else { return 0 };
    call.end("arrives at");
    let arrived = call.attempt(None, |state| match state {
        State::Barrier { needed, arrived, round } => {
            *arrived += 1;
            let last = arrived == needed;
            let mine = *round;
            if last {
                (*arrived, *round) = (0, mine + 1);
            }
            Some((last, mine))
        }
        _ => Some((true, 0)),
    });
    let (last, mine) = arrived.unwrap_or((true, 0));
    if last {
        return PTHREAD_BARRIER_SERIAL_THREAD;
    }
    call.until(
        "barrier",
        || None,
        move |state| match state {
            State::Barrier { round, .. } if *round == mine => None,
            _ => Some(()),
        },
    );
    call.end("passes");
    0
}

const PTHREAD_BARRIER_SERIAL_THREAD: c_int = -1;

extern "C-unwind" fn once(address: usize, function: usize, pc: Pc) -> c_int {
    let Some(call) = Call::begin(address, "pthread_once", pc) else { return 0 };
    let fresh = || Some(State::Once { state: OnceState::Not });
    let run = call.until("once", fresh, |state| match state {
        State::Once { state: state @ OnceState::Not } => {
            *state = OnceState::Running;
            Some(true)
        }
        State::Once { state: OnceState::Running } => None,
        _ => Some(false),
    });
    call.end(if run { "is the first at" } else { "finds done" });
    if run {
        call_void(function);
        call.attempt(None, |state| {
            *state = State::Once { state: OnceState::Done };
            Some(())
        });
    }
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

// ---- threads ----

/// What C calls a thread: never 0.
fn name_of(me: Me) -> usize {
    me + 1
}

fn run_thread(me: Me, start: usize, argument: usize, answers_int: bool) {
    with(|world| {
        world.thread(me);
    });
    on_stack(me, || {
        let result = catch_unwind(AssertUnwindSafe(|| call_with(start, argument)));
        let value = match result {
            Ok(value) if answers_int => value as u32 as usize,
            Ok(value) => value,
            Err(payload) if matches!(payload.downcast_ref(), Some(Leave::ThreadExit)) => {
                with(|world| world.thread(me).exiting = false);
                with(|world| world.objects.results.get(&me).copied().unwrap_or_default())
            }
            Err(payload) => super::search::escaped(&*payload),
        };
        with(|world| world.objects.results.insert(me, value));
        end_of_thread(me);
    });
}

/// Thread-specific data dies, in as many rounds as glibc makes.
pub(crate) fn end_of_thread(me: Me) {
    for _ in 0..4 {
        let data: Vec<(u32, usize)> = with(|world| std::mem::take(&mut world.thread(me).locals).into_iter().collect());
        let mut any = false;
        for (key, value) in data {
            let destructor = with(|world| world.objects.keys.get(&key).copied().flatten());
            if let (Some(destructor), true) = (destructor, value != 0) {
                any = true;
                call_with(destructor, value);
            }
        }
        if !any {
            break;
        }
    }
    if enter().is_some() {
        with(|world| world.did(me, 0, "ends"));
    }
}

fn create(out: usize, start: usize, argument: usize, detached: bool, answers_int: bool, pc: Pc) -> c_int {
    let Some(me) = enter() else { return libc::EAGAIN };
    with(|world| {
        world.objects.threads += 1;
        if world.objects.threads >= MOST_THREADS {
            leave(world, Leave::Limited(Bound::Threads(MOST_THREADS)));
        }
    });
    // Loom runs it at the creator's next branch at the earliest.
    let number = Rc::new(std::cell::Cell::new(0));
    let told = number.clone();
    let handle = thread::spawn(move || run_thread(told.get(), start, argument, answers_int));
    let child = super::world::number(handle.thread().id());
    number.set(child);
    super::memory::accessed(out, size_of::<usize>(), Access::Write, pc);
    write(out, name_of(child));
    with(|world| {
        world.thread(child).name = format!("thread {child}");
        world.did(me, pc, format!("creates thread {child}"));
        if detached {
            world.objects.gone.insert(child);
        } else {
            world.objects.handles.insert(child, handle);
        }
    });
    0
}

extern "C-unwind" fn pthread_create(out: usize, attributes: usize, start: usize, argument: usize, pc: Pc) -> c_int {
    let mut detached = libc::PTHREAD_CREATE_JOINABLE;
    if attributes != 0 {
        // SAFETY: C passes initialised attributes, and the real functions for them are in use.
        unsafe { pthread_attr_getdetachstate(pointer(attributes), &raw mut detached) };
    }
    create(out, start, argument, detached == libc::PTHREAD_CREATE_DETACHED, false, pc)
}

unsafe extern "C" {
    fn pthread_attr_getdetachstate(attributes: *const libc::pthread_attr_t, state: *mut c_int) -> c_int;
}

fn join(name: usize, pc: Pc) -> Option<usize> {
    let me = enter()?;
    let child = name.wrapping_sub(1);
    let handle = with(|world| {
        if let Some(handle) = world.objects.handles.remove(&child) {
            return handle;
        }
        let why = if world.objects.gone.contains(&child) { "was joined or detached before" } else { "does not exist" };
        world.convict(me, pc, Kind::Misuse, format!("thread {child} is joined, which {why}"))
    });
    with(|world| world.objects.gone.insert(child));
    let joined = waiting(me, pc, "the end of thread", child, || handle.join());
    joined.expect("a thread that panicked took the interleaving with it");
    with(|world| {
        world.did(me, pc, format!("joins thread {child}"));
        world.objects.results.get(&child).copied()
    })
}

extern "C-unwind" fn pthread_join(name: usize, out: usize, pc: Pc) -> c_int {
    let value = join(name, pc).unwrap_or_default();
    if out != 0 {
        super::memory::accessed(out, size_of::<usize>(), Access::Write, pc);
        write(out, value);
    }
    0
}

extern "C-unwind" fn pthread_detach(name: usize, pc: Pc) -> c_int {
    let Some(me) = enter() else { return 0 };
    let child = name.wrapping_sub(1);
    with(|world| {
        if world.objects.handles.remove(&child).is_none() {
            world.convict(
                me,
                pc,
                Kind::Misuse,
                format!("thread {child} is detached, which was joined or detached before"),
            );
        }
        world.objects.gone.insert(child);
        world.did(me, pc, format!("detaches thread {child}"));
    });
    0
}

extern "C-unwind" fn pthread_exit(value: usize, pc: Pc) {
    let Some(me) = enter() else { return };
    with(|world| {
        world.objects.results.insert(me, value);
        world.thread(me).exiting = true;
        world.did(me, pc, "exits");
    });
    throw(Leave::ThreadExit);
}

extern "C-unwind" fn pthread_self(_: Pc) -> usize {
    enter().map_or(0, name_of)
}

extern "C-unwind" fn pthread_equal(a: usize, b: usize, _: Pc) -> c_int {
    c_int::from(a == b)
}

extern "C-unwind" fn key_create(out: usize, destructor: usize, pc: Pc) -> c_int {
    let Some(me) = enter() else { return libc::EAGAIN };
    let key = with(|world| {
        world.objects.keys_made += 1;
        let key = world.objects.keys_made;
        world.objects.keys.insert(key, (destructor != 0).then_some(destructor));
        world.did(me, pc, format!("makes key {key}"));
        key
    });
    super::memory::accessed(out, size_of::<u32>(), Access::Write, pc);
    write(out, key);
    0
}

extern "C-unwind" fn key_delete(key: u32, pc: Pc) -> c_int {
    let Some(me) = enter() else { return 0 };
    with(|world| {
        world.did(me, pc, format!("deletes key {key}"));
        if world.objects.keys.remove(&key).is_some() { 0 } else { libc::EINVAL }
    })
}

extern "C-unwind" fn setspecific(key: u32, value: usize, pc: Pc) -> c_int {
    let Some(me) = enter() else { return 0 };
    with(|world| {
        if !world.objects.keys.contains_key(&key) {
            return libc::EINVAL;
        }
        world.thread(me).locals.insert(key, value);
        world.did(me, pc, format!("sets its value of key {key}"));
        0
    })
}

extern "C-unwind" fn getspecific(key: u32, _: Pc) -> usize {
    enter().map_or(0, |me| with(|world| world.thread(me).locals.get(&key).copied().unwrap_or_default()))
}

// ---- time ----

fn give_way() {
    super::world::let_others_run();
}

extern "C-unwind" fn yields(pc: Pc) -> c_int {
    if let Some(me) = enter() {
        with(|world| world.did(me, pc, "yields"));
        give_way();
    }
    0
}

extern "C-unwind" fn sleeps(_: usize, pc: Pc) -> c_int {
    yields(pc)
}

extern "C-unwind" fn nanosleep(_: usize, _: usize, pc: Pc) -> c_int {
    yields(pc)
}

extern "C-unwind" fn clock_nanosleep(_: c_int, _: c_int, _: usize, _: usize, pc: Pc) -> c_int {
    yields(pc)
}

/// A time that goes on by a microsecond whenever somebody asks.
fn tick() -> libc::timespec {
    let ticks = if super::world::live() {
        with(|world| {
            world.objects.ticks += 1;
            world.objects.ticks
        })
    } else {
        0
    };
    libc::timespec { tv_sec: 1_000_000, tv_nsec: (ticks % 1_000_000) * 1_000 }
}

extern "C-unwind" fn clock_gettime(_: c_int, out: usize, pc: Pc) -> c_int {
    super::memory::accessed(out, size_of::<libc::timespec>(), Access::Write, pc);
    write(out, tick());
    0
}

extern "C-unwind" fn gettimeofday(out: usize, _: usize, pc: Pc) -> c_int {
    super::memory::accessed(out, size_of::<libc::timeval>(), Access::Write, pc);
    let time = tick();
    write(out, libc::timeval { tv_sec: time.tv_sec, tv_usec: time.tv_nsec / 1_000 });
    0
}

extern "C-unwind" fn timespec_get(out: usize, base: c_int, pc: Pc) -> c_int {
    clock_gettime(0, out, pc);
    base
}

extern "C-unwind" fn time(out: usize, pc: Pc) -> i64 {
    let seconds = tick().tv_sec;
    if out != 0 {
        super::memory::accessed(out, size_of::<i64>(), Access::Write, pc);
        write(out, seconds);
    }
    seconds
}

// ---- the process ----

extern "C-unwind" fn errno(_: Pc) -> usize {
    match enter() {
        Some(me) => with(|world| (&raw mut *world.thread(me).errno).expose_provenance()),
        // SAFETY: it only answers an address.
        None => unsafe { libc::__errno_location() }.expose_provenance(),
    }
}

extern "C-unwind" fn at_exit(function: usize, pc: Pc) -> c_int {
    if let Some(me) = enter() {
        with(|world| {
            world.at_exit.push(function);
            world.did(me, pc, "registers a function for exit");
        });
    }
    0
}

/// The process exits, as far as C's handlers are concerned: the closure of the search has returned.
pub(crate) fn run_at_exit() {
    while let Some(function) = with(|world| world.at_exit.pop()) {
        call_void(function);
    }
}

extern "C-unwind" fn abort(pc: Pc) {
    if let Some(me) = enter() {
        with(|world| world.convict(me, pc, Kind::Aborted, "abort was called".to_owned()));
    }
}

extern "C-unwind" fn assert_fail(expression: usize, _: usize, _: c_uint, _: usize, pc: Pc) {
    if let Some(me) = enter() {
        // SAFETY: the compiler passes the text of the assertion.
        let text = unsafe { std::ffi::CStr::from_ptr(pointer::<c_char>(expression)) }.to_string_lossy().into_owned();
        with(|world| world.convict(me, pc, Kind::Aborted, format!("assertion failed: {text}")));
    }
}

// ---- C11 ----

const THRD_BUSY: c_int = 1;
const THRD_ERROR: c_int = 2;
const THRD_TIMEDOUT: c_int = 4;

fn answer(posix: c_int) -> c_int {
    match posix {
        0 => 0,
        libc::EBUSY => THRD_BUSY,
        libc::ETIMEDOUT => THRD_TIMEDOUT,
        _ => THRD_ERROR,
    }
}

extern "C-unwind" fn mtx_init(address: usize, kind: c_int, pc: Pc) -> c_int {
    let Some(call) = Call::begin(address, "mtx_init", pc) else { return 0 };
    init_mutex(&call, kind & 1)
}

extern "C-unwind" fn mtx_lock(address: usize, pc: Pc) -> c_int {
    answer(mutex_lock(address, pc))
}

extern "C-unwind" fn mtx_trylock(address: usize, pc: Pc) -> c_int {
    answer(mutex_trylock(address, pc))
}

extern "C-unwind" fn mtx_timedlock(address: usize, limit: usize, pc: Pc) -> c_int {
    answer(mutex_timedlock(address, limit, pc))
}

extern "C-unwind" fn mtx_unlock(address: usize, pc: Pc) -> c_int {
    answer(mutex_unlock(address, pc))
}

extern "C-unwind" fn mtx_destroy(address: usize, pc: Pc) {
    mutex_destroy(address, pc);
}

extern "C-unwind" fn cnd_init(address: usize, pc: Pc) -> c_int {
    answer(cond_init(address, 0, pc))
}

extern "C-unwind" fn cnd_timedwait(address: usize, mutex: usize, limit: usize, pc: Pc) -> c_int {
    answer(cond_timedwait(address, mutex, limit, pc))
}

extern "C-unwind" fn cnd_destroy(address: usize, pc: Pc) {
    cond_destroy(address, pc);
}

extern "C-unwind" fn thrd_create(out: usize, start: usize, argument: usize, pc: Pc) -> c_int {
    answer(create(out, start, argument, false, true, pc))
}

extern "C-unwind" fn thrd_join(name: usize, out: usize, pc: Pc) -> c_int {
    let value = join(name, pc).unwrap_or_default();
    if out != 0 {
        super::memory::accessed(out, size_of::<c_int>(), Access::Write, pc);
        write(out, value as c_int);
    }
    0
}

extern "C-unwind" fn tss_get(key: u32, pc: Pc) -> usize {
    getspecific(key, pc)
}

extern "C-unwind" fn tss_delete(key: u32, pc: Pc) {
    key_delete(key, pc);
}

entry_points! {
    pthread_mutex_init(2) => mutex_init;
    pthread_mutex_destroy(1) => mutex_destroy;
    pthread_mutex_lock(1) => mutex_lock;
    pthread_mutex_trylock(1) => mutex_trylock;
    pthread_mutex_timedlock(2) => mutex_timedlock;
    pthread_mutex_clocklock(3) => mutex_clocklock;
    pthread_mutex_unlock(1) => mutex_unlock;
    pthread_mutexattr_init(1) => attributes_init;
    pthread_mutexattr_destroy(1) => attributes_destroy;
    pthread_mutexattr_settype(2) => attributes_set_type;
    pthread_mutexattr_gettype(2) => attributes_get_type;
    pthread_cond_init(2) => cond_init;
    pthread_cond_destroy(1) => cond_destroy;
    pthread_cond_wait(2) => cond_wait;
    pthread_cond_timedwait(3) => cond_timedwait;
    pthread_cond_clockwait(4) => cond_clockwait;
    pthread_cond_signal(1) => cond_signal;
    pthread_cond_broadcast(1) => cond_broadcast;
    pthread_condattr_init(1) => attributes_init;
    pthread_condattr_destroy(1) => attributes_destroy;
    pthread_condattr_setclock(2) => attributes_ignored;
    pthread_rwlock_init(2) => rwlock_init;
    pthread_rwlock_destroy(1) => rwlock_destroy;
    pthread_rwlock_rdlock(1) => rwlock_rdlock;
    pthread_rwlock_wrlock(1) => rwlock_wrlock;
    pthread_rwlock_tryrdlock(1) => rwlock_tryrdlock;
    pthread_rwlock_trywrlock(1) => rwlock_trywrlock;
    pthread_rwlock_timedrdlock(2) => rwlock_timedrdlock;
    pthread_rwlock_timedwrlock(2) => rwlock_timedwrlock;
    pthread_rwlock_unlock(1) => rwlock_unlock;
    pthread_spin_init(2) => spin_init;
    pthread_spin_destroy(1) => spin_destroy;
    pthread_spin_lock(1) => spin_lock;
    pthread_spin_trylock(1) => spin_trylock;
    pthread_spin_unlock(1) => spin_unlock;
    pthread_barrier_init(3) => barrier_init;
    pthread_barrier_destroy(1) => barrier_destroy;
    pthread_barrier_wait(1) => barrier_wait;
    pthread_once(2) => once;
    sem_init(3) => sem_init;
    sem_destroy(1) => sem_destroy;
    sem_wait(1) => sem_wait;
    sem_trywait(1) => sem_trywait;
    sem_timedwait(2) => sem_timedwait;
    sem_post(1) => sem_post;
    sem_getvalue(2) => sem_getvalue;
    pthread_create(4) => pthread_create;
    pthread_join(2) => pthread_join;
    pthread_detach(1) => pthread_detach;
    pthread_exit(1) => pthread_exit;
    pthread_self(0) => pthread_self;
    pthread_equal(2) => pthread_equal;
    pthread_key_create(2) => key_create;
    pthread_key_delete(1) => key_delete;
    pthread_setspecific(2) => setspecific;
    pthread_getspecific(1) => getspecific;
    sched_yield(0) => yields;
    pthread_yield(0) => yields;
    sleep(1) => sleeps;
    usleep(1) => sleeps;
    nanosleep(2) => nanosleep;
    clock_nanosleep(4) => clock_nanosleep;
    clock_gettime(2) => clock_gettime;
    gettimeofday(2) => gettimeofday;
    timespec_get(2) => timespec_get;
    time(1) => time;
    __errno_location(0) => errno;
    atexit(1) => at_exit;
    abort(0) => abort;
    __assert_fail(4) => assert_fail;
    mtx_init(2) => mtx_init;
    mtx_lock(1) => mtx_lock;
    mtx_trylock(1) => mtx_trylock;
    mtx_timedlock(2) => mtx_timedlock;
    mtx_unlock(1) => mtx_unlock;
    mtx_destroy(1) => mtx_destroy;
    cnd_init(1) => cnd_init;
    cnd_destroy(1) => cnd_destroy;
    cnd_wait(2) => cond_wait;
    cnd_timedwait(3) => cnd_timedwait;
    cnd_signal(1) => cond_signal;
    cnd_broadcast(1) => cond_broadcast;
    thrd_create(3) => thrd_create;
    thrd_join(2) => thrd_join;
    thrd_detach(1) => pthread_detach;
    thrd_exit(1) => pthread_exit;
    thrd_current(0) => pthread_self;
    thrd_equal(2) => pthread_equal;
    thrd_yield(0) => yields;
    thrd_sleep(2) => nanosleep;
    call_once(2) => once;
    tss_create(2) => key_create;
    tss_delete(1) => tss_delete;
    tss_get(1) => tss_get;
    tss_set(2) => setspecific;
}

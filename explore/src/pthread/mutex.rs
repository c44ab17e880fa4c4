//! Mutexes: normal, recursive, error-checking.
//!
//! A mutex is a loom mutex, whose guard is kept from one call by C to another. Loom makes whoever is about to try a mutex wait
//! while it is locked, so an attempt never fails there. So a search that meets one begins again with mutexes of another make
//! (`Needs::attempts`): a gate, an owner and a list of who is parked, like a monitor. Unlocking is then a branch of the search, which it
//! need not be as long as nobody can find a mutex locked.

use super::{
    Call, destroyed, read_int,
    time::{limit, limited},
    write,
};
use crate::entry::entry_points;
use crate::finding::FindingKind;
use crate::loom_types::{Mutex, MutexGuard, thread};
use crate::race::Past;
use crate::trace::named;
use crate::world::{Me, Pc, World, enter, waiting, with};
use std::ffi::c_int;
use std::mem::ManuallyDrop;
use std::rc::Rc;

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

pub(super) struct Lock {
    gate: Rc<Mutex<()>>,
    kind: MutexKind,
    pub(super) owner: Option<Me>,
    pub(super) depth: u32,
    held: Option<Held>,
    /// Of whoever gave it up last.
    past: Past,
    /// Where attempts are modelled: who waits for it.
    parked: Vec<thread::Thread>,
}

impl Lock {
    /// Nobody has it, and nobody waits for it.
    pub(super) fn is_idle(&self) -> bool {
        self.owner.is_none() && self.parked.is_empty()
    }
}

pub(super) fn lock_at(world: &mut World, address: usize) -> &mut Lock {
    world.objects.locks.get_or_insert_with(address, || Lock {
        gate: Rc::new(named(address as u64, || Mutex::new(()))),
        // SAFETY: (1) C passed a mutex, whose kind is an `int` at this offset; `Call::begin` or `accessed` has checked
        // it.
        kind: match unsafe { read_int(address + KIND_OFFSET) } & 3 {
            1 => MutexKind::Recursive,
            2 => MutexKind::Checking,
            _ => MutexKind::Normal,
        },
        owner: None,
        depth: 0,
        held: None,
        past: Past::default(),
        parked: Vec::new(),
    })
}

extern "C-unwind" fn mutex_init(address: usize, attributes: usize, pc: Pc) -> c_int {
    let Some(call) = Call::begin(address, "pthread_mutex_init", pc) else { return 0 };
    // SAFETY: (1) C passes attributes of a mutex to `pthread_mutex_init`; they begin with the kind.
    init_mutex(&call, if attributes == 0 { 0 } else { unsafe { read_int(attributes) } })
}

pub(super) fn init_mutex(call: &Call, kind: c_int) -> c_int {
    if with(|world| world.objects.holder(call.address)).is_some() {
        call.convict(FindingKind::Misuse, "a mutex is initialised while it is locked");
    }
    call.rewrite("makes mutex");
    // SAFETY: (1) C passes a mutex to be initialised, and its kind lies in it.
    unsafe { write(call.address + KIND_OFFSET, kind) };
    with(|world| {
        world.objects.destroyed.remove(&call.address);
        world.objects.locks.remove(call.address);
        lock_at(world, call.address);
    });
    0
}

pub(super) extern "C-unwind" fn mutex_destroy(address: usize, pc: Pc) -> c_int {
    let Some(call) = Call::begin(address, "pthread_mutex_destroy", pc) else { return 0 };
    if with(|world| lock_at(world, address).owner).is_some() {
        call.convict(FindingKind::Misuse, "a mutex is destroyed while it is locked");
    }
    destroyed(&call, "destroys mutex")
}

fn hold(guard: MutexGuard<'_, ()>) -> Held {
    // SAFETY: the mutex is behind an `Rc` in the world, which keeps it until the guard is gone or forgotten.
    ManuallyDrop::new(unsafe { std::mem::transmute::<MutexGuard<'_, ()>, MutexGuard<'static, ()>>(guard) })
}

/// Blocks until the mutex is this thread's.
pub(super) fn acquire(me: Me, pc: Pc, address: usize) {
    let (attempts, gate) = with(|world| (world.objects.plan.attempts, lock_at(world, address).gate.clone()));
    if !attempts {
        let held = waiting(me, pc, "mutex", address, || hold(gate.lock().expect(UNPOISONED)));
        with(|world| {
            let lock = lock_at(world, address);
            (lock.owner, lock.depth, lock.held) = (Some(me), 1, Some(held));
            let past = lock.past;
            world.moments.acquired(me, &past);
        });
        return;
    }
    while !take(me, address, &gate, true) {
        waiting(me, pc, "mutex", address, thread::park);
    }
}

const UNPOISONED: &str = "loom's locks are not poisoned";

/// Where attempts are modelled: takes the mutex if nobody has it; otherwise, if asked to, leaves word whom to wake.
fn take(me: Me, address: usize, gate: &Mutex<()>, parks: bool) -> bool {
    let guard = gate.lock().expect(UNPOISONED);
    let free = with(|world| {
        let lock = lock_at(world, address);
        let free = lock.owner.is_none();
        if free {
            (lock.owner, lock.depth) = (Some(me), 1);
            let past = lock.past;
            world.moments.acquired(me, &past);
        }
        free
    });
    if !free && parks {
        let me = thread::current();
        with(|world| lock_at(world, address).parked.push(me));
    }
    drop(guard);
    free
}

/// Gives the mutex up, and answers how often its owner had locked it.
pub(super) fn release(me: Me, address: usize) -> u32 {
    // Giving it up is a branch of the search only where somebody may find it locked.
    let gate = with(|world| world.objects.plan.attempts.then(|| lock_at(world, address).gate.clone()));
    let guard = gate.as_ref().map(|gate| gate.lock().expect(UNPOISONED));
    let (held, parked, depth) = with(|world| {
        let past = world.moments.released(me);
        let lock = lock_at(world, address);
        (lock.owner, lock.past) = (None, past);
        (lock.held.take(), std::mem::take(&mut lock.parked), std::mem::take(&mut lock.depth))
    });
    for thread in parked {
        thread.unpark();
    }
    drop(guard);
    if let Some(held) = held {
        drop(ManuallyDrop::into_inner(held));
    }
    depth
}

pub(super) extern "C-unwind" fn mutex_lock(address: usize, pc: Pc) -> c_int {
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

pub(super) extern "C-unwind" fn mutex_trylock(address: usize, pc: Pc) -> c_int {
    let Some(call) = Call::begin(address, "pthread_mutex_trylock", pc) else { return 0 };
    let (planned, gate, again, free) = with(|world| {
        world.objects.needs.attempts = true;
        let planned = world.objects.plan.attempts;
        let lock = lock_at(world, address);
        let again = lock.owner == Some(call.me) && lock.kind == MutexKind::Recursive;
        if again {
            lock.depth += 1;
        }
        (planned, lock.gate.clone(), again, lock.owner.is_none())
    });
    let got = if again {
        true
    } else if planned {
        take(call.me, address, &gate, false)
    } else {
        // What this interleaving comes to counts for nothing.
        if free {
            acquire(call.me, pc, address);
        }
        free
    };
    call.end(if got { "locks" } else { "finds locked" });
    if got { 0 } else { libc::EBUSY }
}

pub(super) extern "C-unwind" fn mutex_timedlock(address: usize, _: usize, pc: Pc) -> c_int {
    let Some(me) = enter() else { return 0 };
    let own = |lock: &Lock| lock.owner == Some(me) && lock.kind == MutexKind::Checking;
    if with(|world| world.objects.locks.get(address).is_some_and(own)) {
        return libc::EDEADLK;
    }
    limit(me);
    let answer = mutex_trylock(address, pc);
    limited(me, answer != libc::EBUSY, None);
    if answer == libc::EBUSY { libc::ETIMEDOUT } else { answer }
}

extern "C-unwind" fn mutex_clocklock(address: usize, _: c_int, limit: usize, pc: Pc) -> c_int {
    mutex_timedlock(address, limit, pc)
}

pub(super) extern "C-unwind" fn mutex_unlock(address: usize, pc: Pc) -> c_int {
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
            Some(owner) => format!("a mutex is unlocked by a thread that does not hold it; thread {owner} holds it"),
            None => "a mutex is unlocked that is not locked".to_owned(),
        };
        call.convict(FindingKind::Misuse, &message);
    }
    call.end("unlocks");
    let left = with(|world| {
        let lock = lock_at(world, address);
        lock.depth -= 1;
        lock.depth
    });
    if left == 0 {
        release(call.me, address);
    }
    0
}

pub(super) extern "C-unwind" fn attributes_init(address: usize, _: Pc) -> c_int {
    // SAFETY: (1) C passes attributes of a mutex to `pthread_mutexattr_init`; they begin with the kind.
    unsafe { write::<c_int>(address, 0) };
    0
}

pub(super) extern "C-unwind" fn attributes_destroy(_: usize, _: Pc) -> c_int {
    0
}

extern "C-unwind" fn attributes_set_type(address: usize, kind: c_int, _: Pc) -> c_int {
    if !(0..=3).contains(&kind) {
        return libc::EINVAL;
    }
    // SAFETY: (1) C passes attributes of a mutex to `pthread_mutexattr_settype`; they begin with the kind.
    unsafe { write(address, kind) };
    0
}

extern "C-unwind" fn attributes_get_type(address: usize, kind: usize, _: Pc) -> c_int {
    // SAFETY: (1) C passes attributes of a mutex to `pthread_mutexattr_gettype`; they begin with the kind.
    let found = unsafe { read_int(address) };
    // SAFETY: (1) C passes a place for the kind.
    unsafe { write(kind, found) };
    0
}

/// Which clock a limit is of, and which thread inherits whose priority: there is neither.
pub(super) extern "C-unwind" fn attributes_ignored(_: usize, _: c_int, _: Pc) -> c_int {
    0
}

/// Objects are shared by threads; sharing them between processes is answered as a system would that cannot.
pub(super) extern "C-unwind" fn attributes_private(_: usize, shared: c_int, _: Pc) -> c_int {
    if shared == libc::PTHREAD_PROCESS_PRIVATE { 0 } else { libc::ENOTSUP }
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
    pthread_mutexattr_setpshared(2) => attributes_private;
    pthread_mutexattr_setprotocol(2) => attributes_ignored;
}

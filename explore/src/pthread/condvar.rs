//! Condition variables.
//!
//! Who waits parks; who signals takes the first that waits off the list, and unparks it. A wait with a limit does not park:
//! it gives up whenever the schedule lets it run before it was woken.

use super::mutex::{
    acquire, attributes_destroy, attributes_ignored, attributes_init, attributes_private, lock_at, release,
};
use super::time::{at, limit, limited};
use super::{Call, destroyed, write};
use crate::entry::entry_points;
use crate::event::What;
use crate::finding::FindingKind;
use crate::loom_types::{Condvar, thread};
use crate::race::Access;
use crate::trace::named;
use crate::world::{Me, Pc, World, waiting, with};
use std::collections::VecDeque;
use std::ffi::c_int;
use std::rc::Rc;

#[derive(Clone)]
struct Waiter {
    me: Me,
    /// Present unless it only waits for its time to be over.
    thread: Option<thread::Thread>,
}

pub(super) struct Condition {
    /// Where operations on it are branches of the search.
    branch: Rc<Condvar>,
    /// Mutexes that were held at each operation so far; `None`: there was none.
    guards: Option<Vec<usize>>,
    waiters: VecDeque<Waiter>,
}

impl Condition {
    pub(super) fn is_idle(&self) -> bool {
        self.waiters.is_empty()
    }
}

fn condition_at(world: &mut World, address: usize) -> &mut Condition {
    let fresh =
        || Condition { branch: Rc::new(named(address as u64, Condvar::new)), guards: None, waiters: VecDeque::new() };
    world.objects.conditions.get_or_insert_with(address, fresh)
}

/// Every operation on a condition variable depends on every other. As long as there is a mutex that is held at each of them
/// their order is that of its owners, which is explored already: then there is nothing to branch on here.
fn branch(me: Me, address: usize) {
    let branch = with(|world| {
        if !world.objects.plan.conditions {
            let held: Vec<usize> = world.objects.locked_by(me).collect();
            let guards = condition_at(world, address).guards.get_or_insert_with(|| held.clone());
            guards.retain(|mutex| held.contains(mutex));
            world.objects.needs.conditions |= guards.is_empty();
            return None;
        }
        Some(condition_at(world, address).branch.clone())
    });
    if let Some(branch) = branch {
        branch.notify_all();
    }
}

pub(super) extern "C-unwind" fn cond_init(address: usize, _: usize, pc: Pc) -> c_int {
    let Some(call) = Call::begin(address, "pthread_cond_init", pc) else { return 0 };
    call.rewrite("makes condition");
    with(|world| {
        world.objects.destroyed.remove(&address);
        world.objects.conditions.remove(address);
        condition_at(world, address);
    });
    0
}

pub(super) extern "C-unwind" fn cond_destroy(address: usize, pc: Pc) -> c_int {
    let Some(call) = Call::begin(address, "pthread_cond_destroy", pc) else { return 0 };
    if with(|world| !condition_at(world, address).waiters.is_empty()) {
        call.convict(FindingKind::Misuse, "a condition variable is destroyed while threads wait on it");
    }
    destroyed(&call, "destroys condition")
}

fn wait(call: &Call, mutex: usize, until: Option<i64>) -> c_int {
    let (me, pc, address, timed) = (call.me, call.pc, call.address, until.is_some());
    if with(|world| lock_at(world, mutex).owner) != Some(me) {
        call.convict(FindingKind::Misuse, "a thread waits on a condition variable with a mutex that it does not hold");
    }
    branch(me, address);
    // Kept for later: whoever was woken does not look at the condition variable again, which may be gone by then.
    let branch = with(|world| world.objects.plan.conditions.then(|| condition_at(world, address).branch.clone()));
    call.end("waits on");
    let thread = (!timed).then(thread::current);
    with(|world| {
        world.objects.woken.remove(&me);
        condition_at(world, address).waiters.push_back(Waiter { me, thread });
        let since = world.access_moment(me);
        world.touch(me, pc, mutex, 4, Access::AtomicRead, since);
    });
    // A recursive mutex that was locked more than once stays locked, as it does with glibc.
    let kept = with(|world| {
        let lock = lock_at(world, mutex);
        let kept = lock.depth > 1;
        lock.depth -= u32::from(kept);
        kept
    });
    // From here to where it parks no other thread runs.
    if !kept {
        release(me, mutex);
    }
    let woken = |world: &mut World| world.objects.woken.contains(&me);
    if timed {
        limit(me);
    } else {
        waiting(me, pc, "condition", address, || {
            while !with(woken) {
                thread::park();
            }
        });
    }
    if kept {
        with(|world| lock_at(world, mutex).depth += 1);
    } else {
        acquire(me, pc, mutex);
    }
    if let Some(branch) = branch.filter(|_| timed) {
        branch.notify_all();
    }
    let answer = with(|world| {
        let since = world.access_moment(me);
        world.touch(me, pc, mutex, 4, Access::AtomicRead, since);
        if woken(world) {
            world.log(me, pc, What::On("is woken on", address));
            0
        } else {
            world.touch(me, pc, address, 4, Access::AtomicRead, since);
            condition_at(world, address).waiters.retain(|waiter| waiter.me != me);
            world.log(me, pc, What::On("gives up waiting on", address));
            libc::ETIMEDOUT
        }
    });
    if timed {
        limited(me, answer == 0, until);
    }
    answer
}

pub(super) extern "C-unwind" fn cond_wait(address: usize, mutex: usize, pc: Pc) -> c_int {
    Call::begin(address, "pthread_cond_wait", pc).map_or(0, |call| wait(&call, mutex, None))
}

pub(super) extern "C-unwind" fn cond_timedwait(address: usize, mutex: usize, limit: usize, pc: Pc) -> c_int {
    let until = at(limit, pc);
    Call::begin(address, "pthread_cond_timedwait", pc).map_or(0, |call| wait(&call, mutex, Some(until)))
}

extern "C-unwind" fn cond_clockwait(address: usize, mutex: usize, _: c_int, limit: usize, pc: Pc) -> c_int {
    cond_timedwait(address, mutex, limit, pc)
}

fn wake(call: &Call, most: usize, did: &'static str) -> c_int {
    branch(call.me, call.address);
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

pub(super) extern "C-unwind" fn cond_signal(address: usize, pc: Pc) -> c_int {
    Call::begin(address, "pthread_cond_signal", pc).map_or(0, |call| wake(&call, 1, "signals"))
}

pub(super) extern "C-unwind" fn cond_broadcast(address: usize, pc: Pc) -> c_int {
    Call::begin(address, "pthread_cond_broadcast", pc).map_or(0, |call| wake(&call, usize::MAX, "broadcasts"))
}

extern "C-unwind" fn attributes_get_clock(_: usize, out: usize, _: Pc) -> c_int {
    // SAFETY: (1) C passes a place for a clock to `pthread_condattr_getclock`.
    unsafe { write(out, libc::CLOCK_REALTIME) };
    0
}

entry_points! {
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
    pthread_condattr_getclock(2) => attributes_get_clock;
    pthread_condattr_setpshared(2) => attributes_private;
}

//! System calls that code makes itself: futexes, and a few that are functions elsewhere.
//!
//! A futex is a list of threads that wait at an address. The kernel compares what is there and puts a thread on the list under a lock
//! that whoever wakes takes too; here that is a loom mutex.

use super::monitor::State;
use super::process::getrandom;
use super::threads::gettid;
use super::time::{limit, limited, yields};
use super::{Call, begin_operation, fails, refuse_call};
use crate::entry::entry_points;
use crate::loom_types::thread;
use crate::tsan::load;
use crate::world::{Me, Pc, World, waiting, with};
use std::ffi::{c_int, c_long, c_uint};

/// Who waits at an address, the first first, and who of those that waited has been woken.
#[derive(Debug, Default)]
pub(super) struct Queue {
    waiting: Vec<Me>,
    woken: Vec<Me>,
}

const UNPOISONED: &str = "loom's locks are not poisoned";

/// C's number for a relaxed load.
const RELAXED: c_int = 0;

/// None: the memory was freed since the gate was made, and what waited there is forgotten with it.
fn queue(world: &mut World, address: usize) -> Option<&mut Queue> {
    match world.objects.monitors.get_mut(address).map(|monitor| &mut monitor.state) {
        Some(State::Futex(queue)) => Some(queue),
        _ => None,
    }
}

fn fresh() -> Option<State> {
    Some(State::Futex(Queue::default()))
}

fn wait(address: usize, expected: c_uint, timed: bool, pc: Pc) -> Result<(), c_int> {
    let Some(call) = Call::begin(address, "futex wait", pc) else { return Ok(()) };
    let me = call.me;
    let gate = call.gate(fresh());
    let guard = gate.lock().expect(UNPOISONED);
    // Relaxed: what orders it after a wake-up is the gate.
    let found = load::<u32>(address, RELAXED, pc);
    if found != expected {
        drop(guard);
        return Err(libc::EAGAIN);
    }
    let parked = thread::current();
    with(|world| {
        if let Some(queue) = queue(world, address) {
            queue.waiting.push(me);
        }
        if !timed {
            world.objects.sleepers.insert(me, parked);
        }
    });
    drop(guard);
    call.end("waits at");
    let woken = |world: &mut World| {
        let Some(Queue { woken, .. }) = queue(world, address) else { return false };
        let at = woken.iter().position(|&woken| woken == me);
        at.map(|at| woken.remove(at)).is_some()
    };
    if !timed {
        while !with(woken) {
            waiting(me, pc, "futex", address, thread::park);
        }
        return Ok(());
    }
    limit(me);
    let guard = gate.lock().expect(UNPOISONED);
    let got = with(|world| {
        let got = woken(world);
        if let Some(queue) = queue(world, address) {
            queue.waiting.retain(|&waiting| waiting != me);
        }
        got
    });
    drop(guard);
    limited(me, got, None);
    if got { Ok(()) } else { Err(libc::ETIMEDOUT) }
}

/// The memory may be gone: the kernel wakes whoever waits at an address, and looks at nothing there.
fn wake(address: usize, most: c_uint, pc: Pc) -> c_long {
    let Some(me) = begin_operation() else { return 0 };
    let since = with(|world| world.access_moment(me));
    let call = Call { me, pc, address, since };
    let gate = call.gate(fresh());
    let guard = gate.lock().expect(UNPOISONED);
    let (count, sleepers) = with(|world| {
        let woken: Vec<Me> = queue(world, address).map_or_else(Vec::new, |queue| {
            let count = queue.waiting.len().min(most as usize);
            let woken: Vec<Me> = queue.waiting.drain(..count).collect();
            queue.woken.extend(&woken);
            woken
        });
        let count = woken.len();
        world.did(me, pc, format!("wakes {count} at {}", world.name_address(address)));
        let sleepers: Vec<_> = woken.iter().filter_map(|woken| world.objects.sleepers.remove(woken)).collect();
        (count, sleepers)
    });
    for thread in sleepers {
        thread.unpark();
    }
    drop(guard);
    count as c_long
}

extern "C-unwind" fn syscall(number: c_long, one: usize, two: usize, three: usize, four: usize, pc: Pc) -> c_long {
    let result = match number {
        libc::SYS_gettid => return c_long::from(gettid(pc)),
        libc::SYS_getrandom => return getrandom(one, two, three as c_uint, pc) as c_long,
        libc::SYS_sched_yield => return c_long::from(yields(pc)),
        libc::SYS_futex => match two as c_int & !(libc::FUTEX_PRIVATE_FLAG | libc::FUTEX_CLOCK_REALTIME) {
            libc::FUTEX_WAIT => wait(one, three as c_uint, four != 0, pc),
            libc::FUTEX_WAKE => return wake(one, three as c_uint, pc),
            other => {
                refuse_call(&format!("futex with operation {other}"), pc);
                Err(libc::ENOSYS)
            }
        },
        // What a kernel says that was built without it; the priorities that they are about are nothing to a model.
        libc::SYS_sched_getattr | libc::SYS_sched_setattr => Err(libc::ENOSYS),
        _ => {
            refuse_call(&format!("system call {number}"), pc);
            Err(libc::ENOSYS)
        }
    };
    match (result, begin_operation()) {
        (Err(why), Some(me)) => fails(me, why),
        _ => 0,
    }
}

entry_points! {
    syscall(5) => syscall;
}

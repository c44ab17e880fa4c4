//! Watches the threads of a run: tells a run that is over from a run that cannot go on.
//!
//! A thread is *asleep* when the kernel says so (state `S`) and it has not been switched in since the last look. When
//! all threads of a run are asleep, nothing in the run can move any more, because none of its waits is timed. Then:
//!
//! 1. Threads that wait at gates are released.
//! 2. If there are none, the run is a deadlock once nothing has moved for [`RunOptions::deadlock_after`].
//!
//! A slow machine makes threads runnable, not asleep, so it causes no false deadlock.
//!
//! Pairs with: `gates`, whose threads it releases; `stage`, which adds and removes threads.

use super::gates::Gates;
use super::options::RunOptions;
use crate::ledger::ThreadNo;
use crate::sync::{Arc, Condvar, Mutex, lock, wait_for};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// How often the threads are looked at while a run goes on.
const LOOK: Duration = Duration::from_millis(1);
/// In how many looks in a row all threads must be asleep before gates give up. A thread that waits for a lock of the
/// process (the allocator's, say) is asleep for a moment without being stuck.
const LOOKS: u32 = 3;

/// The threads of a run.
#[derive(Debug, Default)]
pub(crate) struct RunThreads {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// The program's threads with the kernel's thread ids; `None` until the thread runs.
    program: BTreeMap<ThreadNo, Option<i32>>,
    library: BTreeMap<ThreadNo, i32>,
}

/// A thread of the program. The run is not over before this is dropped.
#[derive(Debug)]
pub(crate) struct ThreadToken {
    threads: Arc<RunThreads>,
    thread: ThreadNo,
}

impl ThreadToken {
    /// The thread does nothing more for the run.
    pub(super) fn give_back(self) {
        drop(self);
    }
}

impl Drop for ThreadToken {
    fn drop(&mut self) {
        let mut state = lock(&self.threads.state);
        state.program.remove(&self.thread);
        if state.program.is_empty() {
            self.threads.changed.notify_all();
        }
    }
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RunEnd {
    Finished,
    Deadlock,
    TooLong,
}

impl RunThreads {
    /// Adds a thread of the program that is about to be started.
    pub(crate) fn add(self: &Arc<Self>, thread: ThreadNo) -> ThreadToken {
        lock(&self.state).program.insert(thread, None);
        ThreadToken { threads: Arc::clone(self), thread }
    }

    /// The calling thread is this thread of the program.
    pub(crate) fn running(&self, thread: ThreadNo) {
        lock(&self.state).program.insert(thread, Some(this_thread()));
    }

    /// The calling thread is this thread of the library.
    pub(crate) fn add_library_thread(&self, thread: ThreadNo) {
        lock(&self.state).library.insert(thread, this_thread());
    }

    pub(crate) fn remove_library_thread(&self, thread: ThreadNo) {
        lock(&self.state).library.remove(&thread);
    }

    /// The program's threads that have not ended.
    pub(crate) fn unfinished(&self) -> Vec<ThreadNo> {
        lock(&self.state).program.keys().copied().collect()
    }

    /// Blocks until the run is over or cannot go on.
    pub(crate) fn watch(&self, gates: &Gates, options: &RunOptions) -> RunEnd {
        let began = Instant::now();
        let mut last = None;
        let (mut looks, mut since) = (0, began);
        while !self.finished_within(LOOK) {
            if began.elapsed() > options.limit {
                return RunEnd::TooLong;
            }
            let now = self.switches_if_asleep();
            if now.is_none() || now != last {
                (looks, since, last) = (0, Instant::now(), now);
                continue;
            }
            looks += 1;
            if looks >= LOOKS && gates.give_up() > 0 {
                (looks, last) = (0, None);
            } else if since.elapsed() >= options.deadlock_after {
                return RunEnd::Deadlock;
            }
        }
        RunEnd::Finished
    }

    /// Whether all threads of the program have ended, now or within this time.
    fn finished_within(&self, time: Duration) -> bool {
        let state = lock(&self.state);
        state.program.is_empty() || wait_for(&self.changed, state, time).program.is_empty()
    }

    /// How often each thread has been switched out, if all of them are asleep.
    fn switches_if_asleep(&self) -> Option<Vec<(i32, u64)>> {
        let tids: Vec<i32> = {
            let state = lock(&self.state);
            let program: Option<Vec<i32>> = state.program.values().copied().collect();
            program?.into_iter().chain(state.library.values().copied()).collect()
        };
        tids.into_iter().map(|tid| Some((tid, switches_if_asleep(tid)?))).collect()
    }
}

fn this_thread() -> i32 {
    // SAFETY: takes no argument, touches no memory, and always succeeds.
    unsafe { libc::gettid() }
}

/// How often the thread was switched out, if it is asleep. Read from /proc.
fn switches_if_asleep(tid: i32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/self/task/{tid}/status")).ok()?;
    let field = |name: &str| {
        status.lines().find_map(|line| line.strip_prefix(name)).map(|value| value.trim_start_matches(':').trim())
    };
    let asleep = field("State").is_some_and(|state| state.starts_with('S'));
    let count = |name| field(name).and_then(|value| value.parse::<u64>().ok());
    asleep.then_some(())?;
    Some(count("voluntary_ctxt_switches")? + count("nonvoluntary_ctxt_switches")?)
}

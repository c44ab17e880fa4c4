//! Watches the threads of a run: tells a run that is over from one that cannot go on, and says who waits for whom.
//!
//! A thread is *asleep* when the kernel says so (state `S`) and it has not been switched in since the last look. When all
//! threads of a run are asleep, nothing in it can move any more, since none of its waits is timed. Then those who wait at
//! gates are let go; if there are none, it is a deadlock once nothing has moved for [`RunOptions::deadlock_after`]. A slow
//! machine makes threads runnable, not asleep, so it makes no false deadlock.
//!
//! Pairs with: `gates`, `run`.

use super::gates::Gates;
use super::run::RunOptions;
use crate::ledger::{Event, EventKind, StepId, ThreadNo, Violation, ViolationKind};
use crate::program::{CallbackId, Op, Program};
use crate::sync::{Condvar, Mutex, MutexGuard};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// How often the threads are looked at while a run goes on.
const LOOK: Duration = Duration::from_millis(1);
/// Looks in a row at which everything must be asleep before gates are let go: a thread that takes a lock of the process
/// (the allocator's, say) is asleep for a moment without being stuck.
const LOOKS: u32 = 3;

/// The threads of a run.
#[derive(Debug)]
pub(crate) struct Watched {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Thread ids of the kernel; `None` until the thread runs.
    program: BTreeMap<ThreadNo, Option<i32>>,
    library: BTreeMap<ThreadNo, i32>,
}

/// A thread of the program that has been started and must be reported finished.
#[derive(Debug)]
pub(crate) struct Started(ThreadNo);

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Finished,
    Deadlock,
    TooLong,
}

impl Watched {
    pub(crate) fn new() -> Self {
        Watched { state: Mutex::new(State::default()), changed: Condvar::new() }
    }

    pub(crate) fn start(&self, thread: ThreadNo) -> Started {
        self.lock().program.insert(thread, None);
        Started(thread)
    }

    /// The calling thread is this one.
    pub(crate) fn running(&self, thread: ThreadNo) {
        self.lock().program.insert(thread, Some(this_thread()));
    }

    pub(crate) fn finished(&self, Started(thread): Started) {
        let mut state = self.lock();
        state.program.remove(&thread);
        if state.program.is_empty() {
            self.changed.notify_all();
        }
    }

    /// The calling thread is the library's.
    pub(crate) fn library_thread(&self, thread: ThreadNo) {
        self.lock().library.insert(thread, this_thread());
    }

    pub(crate) fn library_thread_exits(&self, thread: ThreadNo) {
        self.lock().library.remove(&thread);
    }

    /// The program's threads that have not finished.
    pub(crate) fn unfinished(&self) -> Vec<ThreadNo> {
        self.lock().program.keys().copied().collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// How often each thread has been switched in, if all of them are asleep.
    fn asleep(&self) -> Option<Vec<(i32, u64)>> {
        let tids: Vec<i32> = {
            let state = self.lock();
            let program: Option<Vec<i32>> = state.program.values().copied().collect();
            program?.into_iter().chain(state.library.values().copied()).collect()
        };
        tids.into_iter().map(|tid| Some((tid, switches_if_asleep(tid)?))).collect()
    }
}

/// Blocks until the run is over or cannot go on.
pub(crate) fn watch(watched: &Watched, gates: &Gates, options: &RunOptions) -> End {
    let began = Instant::now();
    let mut last: Option<Vec<(i32, u64)>> = None;
    let (mut same, mut since) = (0, began);
    loop {
        {
            let state = watched.lock();
            if state.program.is_empty() {
                return End::Finished;
            }
            let woken = watched.changed.wait_timeout(state, LOOK).unwrap_or_else(|poisoned| poisoned.into_inner());
            if woken.0.program.is_empty() {
                return End::Finished;
            }
        }
        if began.elapsed() > options.limit {
            return End::TooLong;
        }
        let now = watched.asleep();
        if now.is_none() || now != last {
            (same, since) = (0, Instant::now());
            last = now;
            continue;
        }
        same += 1;
        if same >= LOOKS && gates.give_up() > 0 {
            (same, last) = (0, None);
        } else if since.elapsed() >= options.deadlock_after {
            return End::Deadlock;
        }
    }
}

fn this_thread() -> i32 {
    // SAFETY: takes nothing, and answers the calling thread's id.
    unsafe { libc::gettid() }
}

/// From /proc: how often the thread was switched out, when it is asleep.
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

/// Who waits for whom, as a violation.
pub(crate) fn deadlock(program: &Program, events: &[Event], unfinished: &[ThreadNo]) -> Violation {
    let mut ops: BTreeMap<ThreadNo, Vec<(usize, StepId)>> = BTreeMap::new();
    let mut frames: BTreeMap<ThreadNo, Vec<CallbackId>> = BTreeMap::new();
    for (at, event) in events.iter().enumerate() {
        match event.kind {
            EventKind::OpBegin { step, .. } => ops.entry(event.thread).or_default().push((at, step)),
            EventKind::OpEnd { .. } => {
                ops.entry(event.thread).or_default().pop();
            }
            EventKind::Enter { callback, .. } => frames.entry(event.thread).or_default().push(callback),
            EventKind::Leave { .. } | EventKind::Unwind { .. } => {
                frames.entry(event.thread).or_default().pop();
            }
            _ => {}
        }
    }
    let mut proof = Vec::new();
    let mut callback = None;
    let mut sentences = Vec::new();
    for (thread, open) in &ops {
        let Some((at, id)) = open.last() else { continue };
        let Some(op) = program.step(*id).map(|s| &s.op) else { continue };
        proof.push(*at);
        let names: Vec<_> = op.callbacks().iter().map(|id| program.callback_name(*id)).collect();
        let inside =
            frames.get(thread).and_then(|f| f.last()).map(|id| format!(", inside `{}`,", program.callback_name(*id)));
        let mut sentence = format!(
            "{}{} waits in `{}`",
            thread.name(),
            inside.unwrap_or_default(),
            [&[op.verb().name()], &names[..]].concat().join(" ")
        );
        let waits_for: Vec<String> = match op {
            Op::Revoke(id) | Op::RevokeAndWait(id) | Op::Release(id) | Op::Unsubscribe(id) | Op::Replace(id, _) => {
                callback.get_or_insert(*id);
                let inside = frames.iter().filter(|(_, stack)| stack.contains(id));
                inside.map(|(t, _)| if t == thread { "itself".to_owned() } else { t.name() }).collect()
            }
            Op::Shutdown | Op::Barrier => {
                frames.iter().filter(|(_, stack)| !stack.is_empty()).map(|(t, _)| t.name()).collect()
            }
            _ => Vec::new(),
        };
        if !waits_for.is_empty() {
            sentence += &format!(" for {}", waits_for.join(" and "));
        }
        sentences.push(sentence);
    }
    if sentences.is_empty() {
        let names: Vec<_> = unfinished.iter().map(|t| t.name()).collect();
        sentences.push(format!("{} cannot go on, between ops", names.join(" and ")));
    }
    Violation {
        kind: ViolationKind::Deadlock,
        callback: callback.map(|id| program.callback_name(id).to_owned()),
        text: sentences.join("; "),
        proof,
    }
}

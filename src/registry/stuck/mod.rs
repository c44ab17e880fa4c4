//! Waits that never end, found and named.
//!
//! **Deadlocks that can be proved.** Threads that wait for a callback from inside another callback are listed in
//! `waits`, for all registries of the process together. A set of waiting threads is deadlocked if every call of every
//! callback that the set waits for belongs to a thread of the set: no thread can leave before another does. The search
//! runs when a wait begins, when a revoker has counted calls, and when a call leaves a revoked callback. No other event
//! can complete such a set. There are no false alarms: a thread that is not listed, or whose wait has a limit, counts
//! as a thread that will leave.
//!
//! **Waits that are merely long.** A callback may join a helper thread that waits for the callback, or may need a lock
//! that the waiting thread holds. Such a callback does not wait in a registry, so it cannot be told from one that is
//! slow. After a time that the registry's owner sets, the wait is reported with everything that is known.
//!
//! This file is what users see; `waits` is the list and the search. The models do not explore them: the list is
//! process-wide and outlives an interleaving.

mod waits;

pub(super) use waits::{Listed, WAITS, Waits, recheck};

use super::Core;
use super::outstanding::Outstanding;
use super::thread::ThreadTag;
use std::fmt;
use std::time::Duration;

/// What to do about a wait that is [`Stuck`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum OnStuck {
    /// End the wait. The verb returns [`Quiescence::Deadlocked`](super::Quiescence::Deadlocked) or
    /// [`Quiescence::StillRunning`](super::Quiescence::StillRunning), and the last call to leave drops the closure. A
    /// [`scope`](crate::signature::scope) cannot give up, and goes on waiting.
    GiveUp,
    /// Go on waiting.
    Wait,
}

/// A wait that never ends, or has lasted longer than the registry's wait limit. Its [`Display`](fmt::Display) is a
/// report for people: which thread waits for which callback, and which threads are inside.
#[derive(Clone, Debug)]
pub struct Stuck {
    deadlock: bool,
    threads: Vec<ThreadTag>,
    text: String,
}

impl Stuck {
    /// Whether it is proved that the wait never ends. Otherwise it has only lasted longer than the registry's wait
    /// limit.
    #[must_use]
    pub fn is_deadlock(&self) -> bool {
        self.deadlock
    }

    /// The threads that are known to take part. The first is the waiting thread, on which the hook is called.
    #[must_use]
    pub fn threads(&self) -> &[ThreadTag] {
        &self.threads
    }

    /// The calling thread has waited longer than `limit` for `callback`, which has `others` calls on other threads.
    pub(super) fn slow(limit: Duration, callback: &Outstanding, others: u32) -> Self {
        let me = ThreadTag::current();
        let mut threads = vec![me];
        threads.extend(callback.threads().iter().filter(|thread| **thread != me));
        let calls = if others == 1 { "call" } else { "calls" };
        let text = format!(
            "{me} has waited longer than the limit of {limit:?} for a revoked callback: {others} {calls} still running on \
             other threads\n{callback}\n  what to do  let those calls return: the waiting thread must hold nothing that they \
             need, such as a lock, and they must not join it"
        );
        Self { deadlock: false, threads, text }
    }

    /// No wait of a set of threads ever ends. `lines` has a paragraph for each.
    fn deadlocked(threads: Vec<ThreadTag>, lines: &str) -> Self {
        let text = format!(
            "deadlock: each of these threads waits for a callback that another of them is inside{lines}\n  what to do  inside \
             a callback, use `revoke`, which does not wait, in place of `revoke_and_wait`"
        );
        Self { deadlock: true, threads, text }
    }
}

impl fmt::Display for Stuck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Stuck {}

impl Core {
    /// Calls the registry's hook. Without a hook, prints to standard error and returns `otherwise`. No lock is held.
    pub(super) fn tell_stuck(&self, stuck: &Stuck, otherwise: OnStuck) -> OnStuck {
        match self.settings.stuck_hook {
            Some(hook) => hook(stuck),
            None => {
                eprintln!("latecall: {stuck}");
                otherwise
            }
        }
    }
}

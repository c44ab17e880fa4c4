//! Closing a registry whose handles C still has, and waiting for everything that has been revoked.

use super::Registry;
use super::handle::Handle;
use super::mutation::Mutation;
use super::revoke::Quiescence;
use super::site::Site;
use super::slot::{State, Word};
use super::sync::{Ordering, lock};
use super::wait::Patience;

/// How to close a registry; see [`Registry::close`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Close {
    /// Revoke everything and wait until every callback is over.
    Drain,
    /// Revoke everything and do not wait: the last call to return from a callback drops its closure.
    Abort,
    /// Revoke everything, do not wait, and never drop a closure again. For the end of a process: what a destructor
    /// needs may be gone by then, and threads that were inside a callback may not exist any more.
    Leave,
}

impl<F: ?Sized> Registry<F> {
    /// Closes the registry for good: everything registered is revoked, and nothing can be registered any more
    /// ([`Shortage::Closed`](super::Shortage::Closed)). A registration on another thread at the same time is either
    /// refused or revoked with the rest. From then on calls are late. Slots, tombstones and counters stay, so reports
    /// are as before.
    ///
    /// The result covers all callbacks together. It is the first of these that holds for a callback:
    ///
    /// * [`Quiescence::Deadlocked`], if a wait would never have ended;
    /// * [`Quiescence::StillRunning`], after [`Close::Abort`] and [`Close::Leave`], with the number of calls that are
    ///   running on other threads;
    /// * [`Quiescence::DeferredToOuterFrame`], if the calling thread is inside a callback of this registry: calls on
    ///   its own stack are never waited for;
    /// * [`Quiescence::Quiescent`], if every callback is over.
    ///
    /// A registry may be closed again: [`Close::Drain`] after [`Close::Abort`] waits for the calls that are still
    /// running.
    ///
    /// # Panics
    /// If closures' destructors panic: with the first panic, after everything has been revoked.
    ///
    /// ```
    /// use latecall::registry::{Close, Quiescence, Registry, Shortage};
    /// static R: Registry<dyn Fn() + Send + Sync> = Registry::new();
    /// let handle = R.register(Box::new(|| ())).leak();
    /// assert_eq!(R.close(Close::Drain), Quiescence::Quiescent);
    /// assert!(R.call(handle.as_ptr(), |f| f()).is_err());
    /// assert_eq!(R.try_register(Box::new(|| ())).unwrap_err().shortage(), Shortage::Closed);
    /// ```
    #[track_caller]
    pub fn close(&self, how: Close) -> Quiescence {
        self.close_at(how, Some(Site::caller()))
    }

    pub(crate) fn close_at(&self, how: Close, at: Option<Site>) -> Quiescence {
        if how == Close::Leave {
            // Release pairs with the Acquire in `completion.rs`, `dispose`. A thread that drops a closure revoked below
            // is also ordered after this by the slot's word.
            self.core.leak_closures.store(true, Ordering::Release);
        }
        // Under the lock under which callbacks are published: every registration is found below, or refused.
        let refuse = || lock(&self.core.bookkeeping).closed = true;
        let late = self.core.mutated(Mutation::CloseAfterListing);
        if !late {
            refuse();
        }
        let live = self.handles(|word| matches!(word.state(), State::Live | State::Watched));
        if late {
            refuse();
        }
        // The other registrations are revoked even if a destructor panics.
        first_panic(live.map(|(handle, _)| handle), |handle| {
            let _ = self.revoke_at(handle, at);
        });
        match how {
            Close::Drain => self.settle_all(Patience::Forever),
            Close::Abort | Close::Leave => self.settle_all(Patience::None),
        }
    }

    /// Waits until every callback that was revoked before is over: its calls have returned, its closure has been
    /// dropped, its destroy notify has run. Live callbacks are neither revoked nor waited for.
    ///
    /// [`revoke_and_wait`](Registry::revoke_and_wait) waits for one callback; `barrier` waits for all that were
    /// revoked, in whatever way. It does not know of calls that are queued in the C library: cancel or deliver those
    /// first. Calls on the calling thread's own stack are not waited for. The result covers all callbacks together: it
    /// is [`Quiescence::Quiescent`] only if it holds for each of them.
    ///
    /// # Panics
    /// As [`reclaim`](Registry::reclaim), if there were [deferred revocations](Registry::revoke_deferred).
    ///
    /// ```
    /// use latecall::registry::{Quiescence, Registry};
    /// static R: Registry<dyn Fn() + Send + Sync> = Registry::new();
    /// for _ in 0..3 {
    ///     let _ = R.revoke(R.register(Box::new(|| ())).leak());
    /// }
    /// assert_eq!(R.barrier(), Quiescence::Quiescent);
    /// ```
    pub fn barrier(&self) -> Quiescence {
        self.settle_all(Patience::Forever)
    }

    fn settle_all(&self, patience: Patience) -> Quiescence {
        use State::{Closing, Counting, Idle, Quiescent, Revoking};
        let mut worst = Quiescence::Quiescent;
        let over_soon = |word: Word| matches!(word.state(), Closing | Counting | Revoking | Idle | Quiescent);
        for (handle, slot) in self.handles(over_soon) {
            worst = worse(worst, self.settle(slot, handle, patience));
        }
        worst
    }
}

/// Calls `act` with each handle. If `act` panics, the panic is resumed after `act` was called with the remaining
/// handles.
fn first_panic(mut handles: impl Iterator<Item = Handle>, act: impl Fn(Handle)) {
    struct Rest<'a, I: Iterator<Item = Handle>, A: Fn(Handle)>(&'a mut I, &'a A);
    impl<I: Iterator<Item = Handle>, A: Fn(Handle)> Drop for Rest<'_, I, A> {
        fn drop(&mut self) {
            // Handles are left only when this unwinds. `resume_or_swallow` then swallows and counts further panics.
            self.0.by_ref().for_each(self.1);
        }
    }
    let rest = Rest(&mut handles, &act);
    for handle in rest.0.by_ref() {
        act(handle);
    }
}

/// The result for two callbacks together.
fn worse(one: Quiescence, other: Quiescence) -> Quiescence {
    use Quiescence::{Deadlocked, DeferredToOuterFrame, Quiescent, StillRunning};
    match (one, other) {
        (StillRunning(one), StillRunning(other)) => StillRunning(one.saturating_add(other)),
        (Deadlocked, _) | (_, Deadlocked) => Deadlocked,
        (StillRunning(n), _) | (_, StillRunning(n)) => StillRunning(n),
        (DeferredToOuterFrame, _) | (_, DeferredToOuterFrame) => DeferredToOuterFrame,
        (Quiescent, Quiescent) => Quiescent,
    }
}

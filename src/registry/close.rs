//! The end of a registry whose handles C still has: closing, and waiting for everything that has been revoked.

use super::Registry;
use super::handle::Handle;
use super::mutation::Mutation;
use super::revoke::Quiescence;
use super::slot::{State, Word};
use super::sync::thread::yield_now;
use super::sync::{Ordering, lock};
use super::wait::Patience;
use std::panic::Location;

/// How to close a registry; see [`Registry::close`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Close {
    /// Revoke everything and wait until it is over.
    Drain,
    /// Revoke everything and do not wait: the last call to leave each callback drops it.
    Abort,
    /// Revoke everything, do not wait, and drop nothing, then or ever: for the end of a process, where destructors would
    /// find half of what they need gone, and threads that are inside may not exist any more (S81).
    Leave,
}

impl<F: ?Sized> Registry<F> {
    /// Closes the registry for good: nothing can be registered any more ([`Shortage::Closed`](super::Shortage::Closed)),
    /// and everything registered is revoked. A registration that races this is either refused or closed with the rest
    /// (S27, S28). Calls are late from then on, with the same reports as ever: slots, tombstones and counters stay.
    ///
    /// It never waits for frames of the calling thread: closed from inside a callback, the answer is
    /// [`Quiescence::DeferredToOuterFrame`] (S45). [`Close::Abort`] and [`Close::Leave`] answer
    /// [`Quiescence::StillRunning`] with the number of calls on other threads if there are any. Closing again does the
    /// rest of what it asks for: [`Close::Drain`] after [`Close::Abort`] waits for what is left.
    ///
    /// # Panics
    /// With the panic of a closure's destructor, after everything has been closed; if there are several, of the first.
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
        let at = Some(Location::caller());
        if how == Close::Leave {
            // Release pairs with the Acquire in `finish`; also ordered by the word that is closed below.
            self.core.leak_closures.store(true, Ordering::Release);
        }
        // Under the lock under which registrations are made: each is listed below, or refused.
        let refuse = || lock(&self.core.bookkeeping).closed = true;
        let late = self.core.mutated(Mutation::CloseAfterListing);
        if !late {
            refuse();
        }
        let live = self.live();
        if late {
            refuse();
        }
        // A destructor that panics does not keep the others from being closed.
        first_panic(live.into_iter(), |handle| {
            let _ = self.revoke_at(handle, at);
        });
        match how {
            Close::Drain => self.settle_all(Patience::Forever),
            Close::Abort | Close::Leave => self.settle_all(Patience::None),
        }
    }

    /// Waits until every callback that was revoked before this, by whatever verb, is over: its calls have returned, its
    /// closure has been dropped, its destroy notify has run. Live callbacks are neither revoked nor waited for.
    ///
    /// [`revoke_and_wait`](Registry::revoke_and_wait) waits for one callback; this, for all that
    /// [`revoke`](Registry::revoke) left running. Deliveries that are queued in the C library are the library's: take
    /// them back or deliver them before (S34). Frames of the calling thread are not waited for, and the answer says so:
    /// that of all callbacks together, [`Quiescence::Quiescent`] only if it holds for each.
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

    /// The handles of all that is live.
    ///
    /// A registration is published after the lock has been released under which it was written down. One that is on its way
    /// is waited for: it is a few instructions from there, and runs nobody's code.
    fn live(&self) -> Vec<Handle> {
        loop {
            {
                let bookkeeping = lock(&self.core.bookkeeping);
                let live = self.handles(&bookkeeping, |word| matches!(word.state(), State::Live | State::Watched));
                if live.len() as u64 == bookkeeping.registered - bookkeeping.revoked {
                    return live;
                }
            }
            yield_now();
        }
    }

    fn settle_all(&self, patience: Patience) -> Quiescence {
        use State::{Closing, Counting, Quiescent, Revoking};
        let mut worst = Quiescence::Quiescent;
        let over_soon = |word: Word| matches!(word.state(), Closing | Counting | Revoking | Quiescent);
        let revoked = self.handles(&lock(&self.core.bookkeeping), over_soon);
        for handle in revoked {
            let Ok(slot) = self.resolve(handle) else { continue };
            worst = worse(worst, self.settle(slot, handle, patience));
        }
        worst
    }
}

/// Does `act` for all, and goes on with the first panic when all is done.
fn first_panic(mut handles: impl Iterator<Item = Handle>, act: impl Fn(Handle)) {
    struct Rest<'a, I: Iterator<Item = Handle>, A: Fn(Handle)>(&'a mut I, &'a A);
    impl<I: Iterator<Item = Handle>, A: Fn(Handle)> Drop for Rest<'_, I, A> {
        fn drop(&mut self) {
            // Reached with handles left only by an unwind; `finish` swallows and counts what panics meanwhile.
            self.0.by_ref().for_each(self.1);
        }
    }
    let rest = Rest(&mut handles, &act);
    for handle in rest.0.by_ref() {
        act(handle);
    }
}

/// The answer that says less is over.
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

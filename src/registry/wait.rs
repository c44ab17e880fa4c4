//! Waiting for a revoked callback: for how long, for which calls, and what happens to a wait that would never end.
//!
//! `revoke_and_wait` (`revoke.rs`) says which calls are waited for. `bookkeeping` has the list of threads that wait
//! inside the callback itself. `stuck` knows which thread waits for which callback, in all registries.

use super::error::Rejected;
use super::frame;
use super::handle::Handle;
use super::inside_waiters::InsideWaiter;
use super::mutation::Mutation;
use super::record;
use super::revoke::{Quiescence, Revoked, is_over};
use super::site::Site;
use super::slot::{Slot, State, Word};
use super::stuck::{Listed, OnStuck, Stuck};
use super::sync::{MODELLED, lock};
use super::{Core, Registration, Registry};
use std::time::{Duration, Instant};

/// How long a caller is ready to wait.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Patience {
    /// Not at all.
    None,
    /// Until this time.
    Until(Instant),
    /// Until the callback is over, or the wait is a deadlock.
    Forever,
    /// Until the callback is over: the caller cannot go on otherwise.
    Regardless,
}

impl<F: ?Sized> Registry<F> {
    /// As [`revoke_and_wait`](Registry::revoke_and_wait), but waits for at most `limit`. After that it returns
    /// [`Quiescence::StillRunning`]; the callback stays revoked, and the last call to return drops the closure.
    ///
    /// [`status`](Registry::status) and [`outstanding`](Registry::outstanding) show what the callback does afterwards.
    ///
    /// # Errors
    /// As [`revoke_and_wait`](Registry::revoke_and_wait).
    ///
    /// # Panics
    /// As [`revoke_and_wait`](Registry::revoke_and_wait).
    ///
    /// ```
    /// use latecall::registry::{Quiescence, Registry};
    /// use std::time::Duration;
    /// static R: Registry<dyn Fn() + Send + Sync> = Registry::new();
    /// let handle = R.register(Box::new(|| ())).leak();
    /// assert_eq!(R.revoke_and_wait_for(handle, Duration::from_millis(100)), Ok(Quiescence::Quiescent));
    /// ```
    #[track_caller]
    pub fn revoke_and_wait_for(&self, handle: Handle, limit: Duration) -> Result<Quiescence, Rejected> {
        self.revoke_patiently(handle, Some(Site::caller()), patience(limit))
    }

    /// As [`revoke_and_wait`](Registry::revoke_and_wait), but does not wait: if calls are running on other threads it
    /// returns [`Quiescence::StillRunning`].
    ///
    /// # Errors
    /// As [`revoke_and_wait`](Registry::revoke_and_wait).
    ///
    /// # Panics
    /// As [`revoke_and_wait`](Registry::revoke_and_wait).
    ///
    /// ```
    /// use latecall::registry::{Quiescence, Registry};
    /// static R: Registry<dyn Fn() + Send + Sync> = Registry::new();
    /// let handle = R.register(Box::new(|| ())).leak();
    /// let answer = R.call(handle.as_ptr(), |_| R.try_revoke_and_wait(handle)).unwrap();
    /// assert_eq!(answer, Ok(Quiescence::DeferredToOuterFrame)); // asked from inside
    /// assert_eq!(R.try_revoke_and_wait(handle), Ok(Quiescence::Quiescent));
    /// ```
    #[track_caller]
    pub fn try_revoke_and_wait(&self, handle: Handle) -> Result<Quiescence, Rejected> {
        self.revoke_patiently(handle, Some(Site::caller()), Patience::None)
    }

    pub(super) fn revoke_patiently(
        &self,
        handle: Handle,
        at: Option<Site>,
        patience: Patience,
    ) -> Result<Quiescence, Rejected> {
        let over = |slot: &Slot<F>| slot.word(handle.index()).is(handle, State::Tombstoned);
        if self.resolve(handle).is_ok_and(over) {
            // The case of a `Registration` that is dropped after it was revoked.
            return Ok(Quiescence::Quiescent);
        }
        match self.revoke_at(handle, at)? {
            Revoked::Removed => Ok(Quiescence::Quiescent),
            Revoked::InFlight(_) | Revoked::AlreadyRevoked => {
                let slot = self.resolve(handle).map_err(|refused| Rejected { handle, refused })?;
                Ok(self.settle(slot, handle, patience))
            }
        }
    }

    /// Waits for the revoked registration `handle`, for as long as `patience` allows and the calling thread can wait at
    /// all.
    pub(super) fn settle(&self, slot: &Slot<F>, handle: Handle, patience: Patience) -> Quiescence {
        let bits = handle.bits();
        let word = || slot.word(handle.index());
        self.see_to(slot, handle);
        let own = frame::own(bits);
        if own.destructors > 0 {
            return Quiescence::Quiescent;
        }
        let others = || calls_inside(word(), handle).saturating_sub(own.calls);
        // Listed before the lock is taken: `stuck` takes locks of registries while it holds its own.
        let listed = self.listed(slot, handle, patience);
        let waiter = listed.as_ref().map(Listed::begin);
        let (give_up_at, mut report_at) = match patience {
            Patience::Until(end) => (Some(end), None),
            Patience::Forever | Patience::Regardless if !MODELLED => {
                (None, Instant::now().checked_add(self.core.settings.wait_limit))
            }
            _ => (None, None),
        };
        let excused = if self.core.mutated(Mutation::WaitForWaiters) { 0 } else { own.calls };
        let inside = (own.calls > 0).then(|| InsideWaiter::new(handle, excused));
        // Declared before the lock's guard, so that the lock is free when this is dropped, which takes it.
        let mut ticket = None;
        let mut bookkeeping = lock(&self.core.bookkeeping);
        if let Some(inside) = &inside {
            bookkeeping.inside_waiters.add(inside);
            ticket = Some(Ticket { core: &self.core, inside });
            // Only Revoking: while the slot is Closing its calls have not been counted. The revoker that counts them
            // releases the threads that wait inside.
            if word().is(handle, State::Revoking) && bookkeeping.inside_waiters.release(handle, record::marked(bits)) {
                self.core.wake_waiters(&bookkeeping);
            }
        }
        loop {
            // Is the wait over?
            match &ticket {
                Some(ticket) if ticket.inside.is_released() => break Quiescence::DeferredToOuterFrame,
                Some(_) => {}
                None if is_over(word(), handle) || self.wakes_early(word(), handle) => break Quiescence::Quiescent,
                None if word().is(handle, State::Idle) => {
                    drop(bookkeeping);
                    self.see_to(slot, handle);
                    bookkeeping = lock(&self.core.bookkeeping);
                    continue;
                }
                None if word().is(handle, State::Revoking) && record::marked(bits) == 0 => {
                    // The counted calls were calls of threads that do not exist in this child process.
                    slot.transition(handle, State::Revoking, State::Idle);
                    continue;
                }
                None => {}
            }
            // Does the caller give up?
            let now = (!MODELLED).then(Instant::now);
            if patience == Patience::None || is_due(give_up_at, now) {
                break Quiescence::StillRunning(others());
            }
            // Does the registry's hook end the wait? It is asked with no lock held, and then everything is looked at
            // again.
            if let Some(waiter) = waiter.as_ref().filter(|waiter| waiter.never_ends()) {
                drop(bookkeeping);
                let onwards = self.core.tell_stuck(&waiter.deadlock(), OnStuck::GiveUp);
                if onwards == OnStuck::Wait {
                    waiter.resign();
                }
                bookkeeping = lock(&self.core.bookkeeping);
                if onwards == OnStuck::GiveUp {
                    break Quiescence::Deadlocked;
                }
                continue;
            }
            if is_due(report_at, now) {
                report_at = None;
                let others = others();
                drop(bookkeeping);
                let stuck = Stuck::slow(self.core.settings.wait_limit, &self.inspect(handle), others);
                let onwards = self.core.tell_stuck(&stuck, OnStuck::Wait);
                bookkeeping = lock(&self.core.bookkeeping);
                if onwards == OnStuck::GiveUp && patience == Patience::Forever {
                    break Quiescence::StillRunning(others);
                }
                continue;
            }
            let limit = give_up_at.or(report_at).zip(now).map(|(until, now)| until.saturating_duration_since(now));
            bookkeeping = self.core.wait_for_change(bookkeeping, limit);
        }
    }

    /// Whether the model of this registry has a waiter go on too early.
    fn wakes_early(&self, word: Word, handle: Handle) -> bool {
        self.core.mutated(Mutation::WakeBeforeDrop) && word.is(handle, State::Quiescent)
    }

    /// The entry of a wait that could be part of a deadlock: a wait without a limit, by a thread that is inside a
    /// callback. Any other wait ends by itself, or no thread waits for the waiting one.
    fn listed(&self, slot: &Slot<F>, handle: Handle, patience: Patience) -> Option<Listed> {
        let may_give_up = match patience {
            Patience::Forever => true,
            Patience::Regardless => false,
            Patience::None | Patience::Until(_) => return None,
        };
        if MODELLED || !frame::any() {
            return None;
        }
        Some(Listed::new(self, slot, handle, may_give_up))
    }
}

/// The calling thread is listed in `Bookkeeping::inside_waiters`; dropping this takes it off. Not under the lock.
struct Ticket<'w> {
    core: &'w Core,
    inside: &'w InsideWaiter,
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        lock(&self.core.bookkeeping).inside_waiters.remove(self.inside);
    }
}

impl<F: ?Sized> Registration<'_, F> {
    /// As [`revoke_and_wait`](Registration::revoke_and_wait), for at most `limit`; see
    /// [`Registry::revoke_and_wait_for`].
    #[track_caller]
    pub fn revoke_and_wait_for(&self, limit: Duration) -> Quiescence {
        self.registry().revoke_and_wait_for(self.handle(), limit).unwrap_or(Quiescence::Quiescent)
    }

    /// As [`revoke_and_wait`](Registration::revoke_and_wait), without waiting; see [`Registry::try_revoke_and_wait`].
    #[track_caller]
    pub fn try_revoke_and_wait(&self) -> Quiescence {
        self.registry().try_revoke_and_wait(self.handle()).unwrap_or(Quiescence::Quiescent)
    }
}

pub(super) fn patience(limit: Duration) -> Patience {
    // A limit that the clock cannot express is no limit.
    Instant::now().checked_add(limit).map_or(Patience::Forever, Patience::Until)
}

/// Whether a deadline, if there is one, has passed. There is no time in a model, so no deadline passes.
fn is_due(deadline: Option<Instant>, now: Option<Instant>) -> bool {
    deadline.zip(now).is_some_and(|(deadline, now)| now >= deadline)
}

/// How many calls are inside a revoked callback. Under the registry's lock.
fn calls_inside(word: Word, handle: Handle) -> u32 {
    if word.is(handle, State::Revoking) {
        record::marked(handle.bits())
    } else if word.is(handle, State::Closing) {
        // Another thread is about to count the calls. A call that will be refused may be among these.
        record::calls(handle.bits())
    } else {
        0
    }
}

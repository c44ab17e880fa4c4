//! Waiting for a revoked callback: how long, for whom, and what to do when it would be for ever.
//!
//! The rules of who is waited for are those of `revoke_and_wait` (`revoke.rs`); the tickets of those who wait from
//! inside are in `bookkeeping`; `stuck` knows who waits for whom in all registries.

use super::bookkeeping::Bookkeeping;
use super::error::Rejected;
use super::frame;
use super::handle::Handle;
use super::mutation::Mutation;
use super::record;
use super::revoke::{Quiescence, is_over};
use super::slot::{Slot, State, Word};
use super::stuck::{self, OnStuck, Stuck, Waiter};
use super::sync::{MODELLED, MutexGuard, lock};
use super::{Registration, Registry};
use std::panic::Location;
use std::time::{Duration, Instant};

/// How long a caller is ready to wait.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Patience {
    /// Not at all.
    None,
    /// Until then.
    Until(Instant),
    /// Until it is over, or shown never to be.
    Forever,
    /// Until it is over: the caller cannot go on otherwise.
    Regardless,
}

impl<F: ?Sized> Registry<F> {
    /// As [`revoke_and_wait`](Registry::revoke_and_wait), but waits for `limit` at most; then the answer is
    /// [`Quiescence::StillRunning`], the callback stays revoked, and the last call to leave drops the closure (S29).
    /// [`status`](Registry::status) and [`outstanding`](Registry::outstanding) say how it goes on (S52).
    ///
    /// # Errors
    /// As [`revoke_and_wait`](Registry::revoke_and_wait).
    ///
    /// # Panics
    /// As [`revoke`](Registry::revoke).
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
        self.revoke_patiently(handle, Some(Location::caller()), patience(limit))
    }

    /// As [`revoke_and_wait`](Registry::revoke_and_wait), but does not wait: if calls are inside on other threads the
    /// answer is [`Quiescence::StillRunning`].
    ///
    /// # Errors
    /// As [`revoke_and_wait`](Registry::revoke_and_wait).
    ///
    /// # Panics
    /// As [`revoke`](Registry::revoke).
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
        self.revoke_patiently(handle, Some(Location::caller()), Patience::None)
    }

    pub(super) fn revoke_patiently(
        &self,
        handle: Handle,
        at: Option<&'static Location<'static>>,
        patience: Patience,
    ) -> Result<Quiescence, Rejected> {
        if let Ok(slot) = self.resolve(handle)
            && slot.word(handle.index()).is(handle, State::Tombstoned)
        {
            // Over already: what a `Registration` finds that is dropped after it was revoked.
            return Ok(Quiescence::Quiescent);
        }
        match self.revoke_at(handle, at)? {
            super::Revoked::Removed => Ok(Quiescence::Quiescent),
            super::Revoked::InFlight(_) | super::Revoked::AlreadyRevoked => {
                let slot = self.resolve(handle).map_err(|refused| Rejected { handle, refused })?;
                Ok(self.settle(slot, handle, patience))
            }
        }
    }

    /// Waits until the revoked registration `handle` has settled as far as the calling thread can see to it.
    pub(super) fn settle(&self, slot: &Slot<F>, handle: Handle, patience: Patience) -> Quiescence {
        let bits = handle.bits();
        let word = || slot.word(handle.index());
        if word().is(handle, State::Closing) {
            self.reclaim();
        }
        let own = frame::own(bits);
        if own.destructors > 0 {
            return Quiescence::Quiescent;
        }
        // Listed before the lock is taken: `stuck` takes locks of registries while it holds its own.
        let waiter = self.list_waiter(slot, handle, patience);
        let mut slow = Slow::default();
        let mut bookkeeping = lock(&self.core.bookkeeping);
        let ticket = (own.calls > 0).then(|| {
            let excused = if self.core.mutated(Mutation::WaitForWaiters) { 0 } else { own.calls };
            let ticket = bookkeeping.wait_inside(handle, excused);
            // While it is Closing nobody has been counted; who counts looks for those who wait inside.
            if word().is(handle, State::Revoking) && bookkeeping.release_inside(handle, record::marked(bits)) {
                self.core.wake_waiters(&bookkeeping);
            }
            ticket
        });
        let early = |word: Word| self.core.mutated(Mutation::WakeBeforeDrop) && word.is(handle, State::Quiescent);
        let give_up = |mut bookkeeping: MutexGuard<'_, Bookkeeping>, answer| {
            if let Some(ticket) = ticket {
                bookkeeping.cancel_wait(ticket);
            }
            answer
        };
        loop {
            match ticket {
                Some(ticket) if bookkeeping.take_release(ticket) => return Quiescence::DeferredToOuterFrame,
                Some(_) => {}
                None if is_over(word(), handle) || early(word()) => return Quiescence::Quiescent,
                None if word().is(handle, State::Revoking) && record::marked(bits) == 0 => {
                    // The calls that were counted are those of threads that did not survive a `fork`.
                    slot.transition(handle, State::Revoking, State::Quiescent);
                    drop(bookkeeping);
                    // SAFETY: (1) turned by this thread, just now.
                    unsafe { self.finish(slot, handle) };
                    return Quiescence::Quiescent;
                }
                None => {}
            }
            let others = || calls_inside(word(), handle).saturating_sub(own.calls);
            let now = (!MODELLED).then(Instant::now);
            let until = match (patience, now) {
                (Patience::None, _) => {
                    let others = others();
                    return give_up(bookkeeping, Quiescence::StillRunning(others));
                }
                (Patience::Until(end), Some(now)) if now >= end => {
                    let others = others();
                    return give_up(bookkeeping, Quiescence::StillRunning(others));
                }
                (Patience::Until(end), Some(_)) => Some(end),
                _ => slow.at(self.core.settings.wait_limit, now),
            };
            if let Some(waiter) = waiter.as_ref().filter(|waiter| waiter.never_ends()) {
                drop(bookkeeping);
                let onwards = self.core.tell_stuck(&waiter.deadlock(), OnStuck::GiveUp);
                if onwards == OnStuck::Wait {
                    waiter.resign();
                }
                bookkeeping = lock(&self.core.bookkeeping);
                if onwards == OnStuck::GiveUp {
                    return give_up(bookkeeping, Quiescence::Deadlocked);
                }
                continue;
            }
            if slow.is_now(now) {
                let others = others();
                drop(bookkeeping);
                let stuck = Stuck::slow(self.core.settings.wait_limit, &self.inspect(handle), others);
                let onwards = self.core.tell_stuck(&stuck, OnStuck::Wait);
                bookkeeping = lock(&self.core.bookkeeping);
                if onwards == OnStuck::GiveUp && patience == Patience::Forever {
                    return give_up(bookkeeping, Quiescence::StillRunning(others));
                }
                continue;
            }
            let limit = until.zip(now).map(|(until, now)| until.saturating_duration_since(now));
            bookkeeping = self.core.wait_for_change(bookkeeping, limit);
        }
    }

    /// Lists this wait among those that could be part of a deadlock: by a thread that is inside a callback, for as long
    /// as it takes. Any other wait ends by itself, or nobody waits for it.
    fn list_waiter(&self, slot: &Slot<F>, handle: Handle, patience: Patience) -> Option<Waiter> {
        let may_give_up = match patience {
            Patience::Forever => true,
            Patience::Regardless => false,
            Patience::None | Patience::Until(_) => return None,
        };
        if MODELLED || !frame::any() {
            return None;
        }
        Some(stuck::begin(&self.core, slot, handle, self.describe(handle), may_give_up))
    }
}

impl<F: ?Sized> Registration<'_, F> {
    /// As [`revoke_and_wait`](Registration::revoke_and_wait), for `limit` at most; see
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

fn patience(limit: Duration) -> Patience {
    // A limit beyond what the clock can express is none.
    Instant::now().checked_add(limit).map_or(Patience::Forever, Patience::Until)
}

/// What has been said about how long one wait lasts.
#[derive(Default)]
enum Slow {
    #[default]
    NotYet,
    At(Instant),
    Told,
}

impl Slow {
    /// When to say that the wait is long; `None` when that has been said.
    fn at(&mut self, limit: Duration, now: Option<Instant>) -> Option<Instant> {
        if let (Self::NotYet, Some(now)) = (&self, now) {
            *self = now.checked_add(limit).map_or(Self::Told, Self::At);
        }
        match self {
            Self::At(at) => Some(*at),
            Self::NotYet | Self::Told => None,
        }
    }

    /// Whether it is time to say so; true once.
    fn is_now(&mut self, now: Option<Instant>) -> bool {
        let due = matches!((&self, now), (Self::At(at), Some(now)) if now >= *at);
        if due {
            *self = Self::Told;
        }
        due
    }
}

/// How many calls are inside a revoked callback. Under the registry's lock.
fn calls_inside(word: Word, handle: Handle) -> u32 {
    if word.is(handle, State::Revoking) {
        record::marked(handle.bits())
    } else if word.is(handle, State::Closing) {
        // Somebody is about to count them. A call that will be refused may be among these.
        record::calls(handle.bits())
    } else {
        0
    }
}

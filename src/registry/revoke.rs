//! Ending a registration: refuse new calls, count the running ones, drop the closure, write the tombstone.

use super::bookkeeping::Bookkeeping;
use super::error::Rejected;
use super::frame;
use super::handle::Handle;
use super::mutation::Mutation;
use super::record;
use super::site::{Site, Trace};
use super::slot::{Slot, State, Word};
use super::stall::StallSite;
use super::stuck;
use super::sync::{MODELLED, MutexGuard, Ordering, lock, wait, wait_for};
use super::wait::Patience;
use super::{Core, Registry, fence};
use std::any::Any;
use std::panic::resume_unwind;
use std::time::Duration;

/// The result of [`revoke`](Registry::revoke).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[allow(clippy::enum_variant_names, reason = "\"already revoked\" is the term; \"already\" says nothing")]
#[must_use = "InFlight means that the closure is still in use"]
pub enum Revoked {
    /// No call was running; the closure has been dropped. Returned at most once for each registration.
    Removed,
    /// This many calls were running (1 or more), those of the calling thread included. The last of them to return drops
    /// the closure, on its own thread.
    InFlight(u32),
    /// The registration was revoked before; nothing was done. Calls may still be running.
    AlreadyRevoked,
}

/// The result of [`revoke_and_wait`](Registry::revoke_and_wait) and of everything else that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[must_use = "only Quiescent means that the closure is not in use any more"]
pub enum Quiescence {
    /// No call is running and the closure has been dropped. Everything that those calls and the closure's destructor
    /// did happens before the return of this value.
    ///
    /// A wait that the closure's own destructor starts returns this, too: the closure is then being dropped.
    Quiescent,
    /// The calling thread is itself inside the callback, somewhere on its stack. The calls of other threads have
    /// returned, except calls of threads that are also inside the callback and wait for it. The closure lives until the
    /// outermost of the remaining calls returns, which drops it.
    DeferredToOuterFrame,
    /// The wait had a limit, or was not allowed to wait, and has given up: this many calls are running on other
    /// threads. 0: another thread is dropping the closure. The last call to return drops the closure.
    StillRunning(u32),
    /// The wait would never have ended: every thread inside the callback waits, directly or through other threads, for
    /// the calling thread to leave another callback. The last call to return drops the closure. The
    /// [`Stuck`](super::Stuck) that the registry's hook gets names the threads.
    Deadlocked,
}

/// The state of a registration; see [`Registry::status`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[must_use]
pub enum Status {
    /// Calls are admitted; this many are running.
    Live(u32),
    /// Revoked; this many calls are running. 0: the last call has returned and the closure is being dropped, or the
    /// revocation was [deferred](Registry::revoke_deferred).
    Revoking(u32),
    /// Revoked, and the closure has been dropped.
    Revoked,
}

impl<F: ?Sized> Registry<F> {
    /// The state of the registration that `handle` names. Takes no lock; any thread may ask.
    ///
    /// If other threads use the registration, the answer may be out of date when it arrives. Use it for tests,
    /// assertions and reports.
    ///
    /// # Errors
    /// [`Rejected`] as for [`revoke`](Registry::revoke).
    ///
    /// ```
    /// use latecall::registry::{Handle, Registry, Status};
    /// static R: Registry<dyn Fn() + Send + Sync> = Registry::new();
    /// let registration = R.register(Box::new(|| ()));
    /// let handle = Handle::from_ptr(registration.handle().as_ptr());
    /// assert_eq!(R.status(handle), Ok(Status::Live(0)));
    /// drop(registration);
    /// assert_eq!(R.status(handle), Ok(Status::Revoked));
    /// ```
    pub fn status(&self, handle: Handle) -> Result<Status, Rejected> {
        let slot = self.resolve(handle).map_err(|refused| Rejected { handle, refused })?;
        let word = slot.word(handle.index());
        match word.state() {
            _ if word.generation() != handle.generation() => {
                Err(Rejected { handle, refused: self.core.refused(handle, word) })
            }
            State::Live | State::Watched => Ok(Status::Live(record::calls(handle.bits()))),
            State::Closing | State::Counting | State::Revoking => Ok(Status::Revoking(record::calls(handle.bits()))),
            State::Idle | State::Quiescent => Ok(Status::Revoking(0)),
            State::Tombstoned => Ok(Status::Revoked),
            State::Vacant | State::Retired => Err(Rejected { handle, refused: self.core.refused(handle, word) }),
        }
    }

    /// Revokes by handle: no call that starts after this runs the closure. Never waits for a call.
    ///
    /// For the owner, [`Registration::revoke`](super::Registration::revoke) is the same without the error. Any thread
    /// may revoke, also from inside this callback or another.
    ///
    /// # Errors
    /// [`Rejected`] for a handle that names no registration, or a registration whose tombstone has been flushed
    /// ([`Reason::Stale`](super::Reason::Stale)). While the tombstone exists, revoking again returns
    /// [`Revoked::AlreadyRevoked`] and is no error.
    ///
    /// # Panics
    /// If no call was running and the closure's destructor panics: with that panic, when the revocation is complete.
    ///
    /// ```
    /// use latecall::registry::{Reason, Handle, Registry, Revoked};
    /// static R: Registry<dyn Fn() + Send + Sync> = Registry::new();
    /// let handle = R.register(Box::new(|| ())).leak();
    /// assert_eq!(R.revoke(handle), Ok(Revoked::Removed));
    /// assert_eq!(R.revoke(handle), Ok(Revoked::AlreadyRevoked));
    /// assert_eq!(R.revoke(Handle::NULL).unwrap_err().reason(), Reason::Null);
    /// ```
    #[track_caller]
    pub fn revoke(&self, handle: Handle) -> Result<Revoked, Rejected> {
        self.revoke_at(handle, Some(Site::caller()))
    }

    /// Revokes by handle and returns when no other thread is inside the callback: the contract of C++'s
    /// `std::stop_callback`.
    ///
    /// What it waits for:
    ///
    /// * calls of *this* callback on *other* threads, and the closure's destructor if another thread runs it;
    /// * never another callback;
    /// * never calls on the calling thread's own stack, at any depth: the result is then
    ///   [`Quiescence::DeferredToOuterFrame`];
    /// * not each other, if two threads are both inside the callback and both wait for it.
    ///
    /// New calls are refused from the start, so they cannot prolong the wait.
    ///
    /// If threads wait for each other, each inside the callback that another one waits for, one of them returns
    /// [`Quiescence::Deadlocked`]. A wait for a callback that does not return for any other reason goes on, and is
    /// reported once after a time limit: see [`with_wait_limit`](Registry::with_wait_limit).
    ///
    /// # Errors
    /// As [`revoke`](Registry::revoke). A registration that was revoked before is waited for and not rejected, as long
    /// as its tombstone exists.
    ///
    /// # Panics
    /// As [`revoke`](Registry::revoke), also after a [deferred revocation](Registry::revoke_deferred).
    ///
    /// ```
    /// use latecall::registry::{Quiescence, Registry};
    /// static R: Registry<dyn Fn() + Send + Sync> = Registry::new();
    /// let handle = R.register(Box::new(|| ())).leak();
    /// assert_eq!(R.revoke_and_wait(handle), Ok(Quiescence::Quiescent));
    /// ```
    #[track_caller]
    pub fn revoke_and_wait(&self, handle: Handle) -> Result<Quiescence, Rejected> {
        self.revoke_patiently(handle, Some(Site::caller()), Patience::Forever)
    }

    /// Closes the slot of `handle` and notes the revocation. Returns the slot, or `None` if the registration was
    /// revoked before.
    ///
    /// Both under the lock, so that a thread that finds the callback revoked also finds the note.
    pub(super) fn close_slot(
        &self,
        bookkeeping: &mut Bookkeeping,
        handle: Handle,
        trace: Trace,
    ) -> Result<Option<&Slot<F>>, Rejected> {
        let slot = self.resolve(handle).map_err(|refused| Rejected { handle, refused })?;
        match slot.close(handle, self.core.settings.is_watched()) {
            Ok(()) => {
                bookkeeping.revoke(handle.index(), trace);
                Ok(Some(slot))
            }
            Err(word) if was_revoked(word, handle) => Ok(None),
            Err(word) => Err(Rejected { handle, refused: self.core.refused(handle, word) }),
        }
    }

    pub(crate) fn revoke_at(&self, handle: Handle, at: Option<Site>) -> Result<Revoked, Rejected> {
        let trace = Trace::now(at);
        let mut bookkeeping = lock(&self.core.bookkeeping);
        let Some(slot) = self.close_slot(&mut bookkeeping, handle, trace)? else {
            return Ok(Revoked::AlreadyRevoked);
        };
        Ok(match self.end(slot, handle, bookkeeping) {
            0 => Revoked::Removed,
            calls => Revoked::InFlight(calls),
        })
    }

    /// Counts the running calls of a registration that is Closing and that no other thread counts, and returns how many
    /// there are. If there are none, ends the registration.
    #[inline]
    pub(super) fn end<'r>(
        &'r self,
        slot: &Slot<F>,
        handle: Handle,
        mut bookkeeping: MutexGuard<'r, Bookkeeping>,
    ) -> u32 {
        // In a model a full fence is as good as a heavy one. `NoHeavyFence` therefore removes three fences: the heavy
        // one, and the full ones in `sole` and before the count.
        let unfenced = self.core.mutated(Mutation::NoHeavyFence);
        let calls = if self.core.mutated(Mutation::AlwaysSole) || (!unfenced && record::sole()) {
            // No other thread has a record. A thread that gets one from here on finds the slot closed.
            let calls = record::mark_own(handle.bits());
            self.counted(slot, handle, [State::Closing, State::Quiescent], calls, &mut bookkeeping)
        } else {
            drop(bookkeeping);
            bookkeeping = self.begin_count(|_| slot.transition(handle, State::Closing, State::Counting));
            let calls = record::mark(handle.bits());
            self.counted(slot, handle, [State::Counting, State::Quiescent], calls, &mut bookkeeping)
        };
        drop(bookkeeping);
        self.core.stall(StallSite::Revoked);
        if calls == 0 {
            // SAFETY: clause 1 of `finish`: `counted` has turned the slot to Quiescent, because `calls` is 0.
            unsafe { self.finish(slot, handle) };
            return 0;
        }
        if !MODELLED {
            // A thread that waited before the count could not know whether its wait would ever end.
            stuck::recheck();
        }
        #[cfg(test)]
        if self.core.mutated(Mutation::FreeWhileRunning) {
            // SAFETY: none. This is the mutation: calls are inside, and the model fails before the memory is freed.
            drop(unsafe { slot.take() });
        }
        calls
    }

    /// Fences, takes the lock, and has `turn` turn slots to Counting that are closed: the running calls can then be
    /// counted.
    ///
    /// After it a call that was admitted and has not left stands in its cell, and every other call finds its slot
    /// closed. The lock is not held at the heavy fence, which takes microseconds.
    pub(super) fn begin_count(&self, turn: impl FnOnce(&mut Bookkeeping)) -> MutexGuard<'_, Bookkeeping> {
        let unfenced = self.core.mutated(Mutation::NoHeavyFence);
        if !unfenced {
            // This fence is between `Slot::close` and the scan of the cells. It pairs with `fence::light` in `call.rs`,
            // `call_slot`, and in `leave`: either the call sees that the slot is closing, or the scan sees its cell.
            fence::heavy();
        }
        let mut bookkeeping = lock(&self.core.bookkeeping);
        turn(&mut bookkeeping);
        if !unfenced && !self.core.mutated(Mutation::NoFenceBeforeCount) {
            // This fence is between the change to Counting and the scan of the cells. It pairs with `fence::full` in
            // `call.rs`, `may_be_counted`: if a call still reads Closing after its own fence, the scan sees the cell
            // that the call cleared before.
            fence::full();
        }
        bookkeeping
    }

    /// A revoker has counted `calls` calls of `handle`: turns the slot from the first of `states` to Revoking, or to
    /// the second if there are no calls.
    pub(super) fn counted(
        &self,
        slot: &Slot<F>,
        handle: Handle,
        [from, without_calls]: [State; 2],
        calls: u32,
        bookkeeping: &mut Bookkeeping,
    ) -> u32 {
        slot.transition(handle, from, if calls == 0 { without_calls } else { State::Revoking });
        if calls > 0 && bookkeeping.inside_waiters.release(handle, calls) {
            self.core.wake_waiters(bookkeeping);
        }
        calls
    }

    /// Drops the closure, writes the tombstone, wakes the waiting threads, and flushes tombstones above the limit.
    ///
    /// # Safety
    /// 1. This thread has turned the slot of `handle` to Quiescent, and has not called this or `drop_closure` since.
    pub(super) unsafe fn finish(&self, slot: &Slot<F>, handle: Handle) {
        // SAFETY: our clause 1 is clause 1 of `drop_closure`.
        let outcome = unsafe { self.drop_closure(slot, handle) };
        let (bookkeeping, listed) = self.write_tombstone(slot, handle);
        drop(bookkeeping);
        if listed {
            self.core.stall(StallSite::SlotListed);
        }
        if let Err(panic) = outcome {
            self.core.resume_or_swallow(panic);
        }
    }

    /// Drops the closure and runs its destroy notify. A panic of the destructor is the `Err`.
    ///
    /// No lock is held. A frame on this thread's list says that this thread drops the closure, so that a destructor
    /// which waits for its own callback does not wait for itself.
    ///
    /// # Safety
    /// 1. This thread has turned the slot of `handle` to Quiescent, and has not called this since.
    pub(super) unsafe fn drop_closure(&self, slot: &Slot<F>, handle: Handle) -> std::thread::Result<()> {
        // SAFETY: clause 1 of `take`: a slot that becomes Quiescent has a closure, by our clause 1 this thread made it
        // so, and has not taken the closure yet.
        let callback = unsafe { slot.take() };
        frame::on_stack(handle.bits(), || self.dispose(callback, handle))
    }

    /// The closure has been dropped: writes the tombstone, wakes the waiting threads, runs the completions, and flushes
    /// tombstones above the limit. Returns the lock, and whether a slot has been listed for reuse.
    #[inline]
    pub(super) fn write_tombstone(&self, slot: &Slot<F>, handle: Handle) -> (MutexGuard<'_, Bookkeeping>, bool) {
        let mut bookkeeping = lock(&self.core.bookkeeping);
        let completions = bookkeeping.add_tombstone(handle);
        slot.transition(handle, State::Quiescent, State::Tombstoned);
        if !self.core.mutated(Mutation::SkipWakeUp) {
            self.core.wake_waiters(&bookkeeping);
        }
        if self.core.settings.stall_hook.is_some() || !completions.are_none() {
            drop(bookkeeping);
            self.core.run_completions(completions);
            self.core.stall(StallSite::TombstoneWritten);
            bookkeeping = lock(&self.core.bookkeeping);
        }
        let listed = self.flush_beyond_limit(&mut bookkeeping);
        (bookkeeping, listed)
    }

    fn flush_beyond_limit(&self, bookkeeping: &mut Bookkeeping) -> bool {
        let mut listed = false;
        while bookkeeping.tombstones() > self.core.settings.tombstones && self.flush_oldest(bookkeeping) {
            listed = true;
        }
        listed
    }
}

impl Core {
    /// Wakes the waiting threads, which then look what has changed.
    pub(super) fn wake_waiters(&self, bookkeeping: &Bookkeeping) {
        if bookkeeping.waiting > 0 {
            self.changed.notify_all();
        }
    }

    /// Sleeps until `wake_waiters`, and for at most `limit` if there is one.
    pub(super) fn wait_for_change<'a>(
        &'a self,
        mut bookkeeping: MutexGuard<'a, Bookkeeping>,
        limit: Option<Duration>,
    ) -> MutexGuard<'a, Bookkeeping> {
        bookkeeping.waiting += 1;
        bookkeeping = match limit {
            Some(limit) => wait_for(&self.changed, bookkeeping, limit),
            None => wait(&self.changed, bookkeeping),
        };
        bookkeeping.waiting -= 1;
        bookkeeping
    }

    /// Resumes a panic of a closure's destructor, when everything else is done; swallows it on a thread that is
    /// unwinding.
    pub(super) fn resume_or_swallow(&self, panic: Box<dyn Any + Send>) {
        if std::thread::panicking() {
            // The callback is unwinding through here; a second panic would abort the process.
            self.swallow(panic);
        } else {
            resume_unwind(panic);
        }
    }

    /// Counts a panic that cannot be resumed. Its payload is not dropped, because that could panic too.
    pub(super) fn swallow(&self, panic: Box<dyn Any + Send>) {
        // Relaxed: a statistic.
        self.swallowed_panics.fetch_add(1, Ordering::Relaxed);
        std::mem::forget(panic);
    }
}

/// Whether the registration `handle` was revoked and its slot has not been vacated since; asked of a slot that is not
/// live.
fn was_revoked(word: Word, handle: Handle) -> bool {
    use State::{Closing, Counting, Idle, Quiescent, Revoking, Tombstoned};
    [Closing, Counting, Revoking, Idle, Quiescent, Tombstoned].iter().any(|&state| word.is(handle, state))
}

/// Whether the closure of the revoked registration `handle` has been dropped.
pub(super) fn is_over(word: Word, handle: Handle) -> bool {
    word.generation() != handle.generation() || matches!(word.state(), State::Tombstoned | State::Retired)
}

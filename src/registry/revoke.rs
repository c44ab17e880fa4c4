//! Ending a registration: refuse new calls, wait for old ones, drop the closure, write the tombstone.

use super::bookkeeping::{Bookkeeping, Trace};
use super::error::Rejected;
use super::frame::{self, Doing};
use super::handle::Handle;
use super::mutation::Mutation;
use super::record;
use super::slot::{Slot, State, Word};
use super::stall::StallSite;
use super::stuck;
use super::sync::{MODELLED, MutexGuard, Ordering, lock, wait, wait_for};
use super::wait::Patience;
use super::{Core, Registry, fence};
use std::any::Any;
use std::panic::{Location, resume_unwind};
use std::time::Duration;

/// What [`revoke`](Registry::revoke) found and left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[allow(clippy::enum_variant_names, reason = "\"already revoked\" is the term; \"already\" says nothing")]
#[must_use = "InFlight means that the closure is still in use"]
pub enum Revoked {
    /// No call was running; the closure has been dropped. Never said twice for one registration.
    Removed,
    /// That many calls were running (1 or more), those of the calling thread included. The last of them to leave drops
    /// the closure, on its own thread.
    InFlight(u32),
    /// Somebody revoked it before; nothing was done. Calls may still be running.
    AlreadyRevoked,
}

/// What [`revoke_and_wait`](Registry::revoke_and_wait) can say when it returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[must_use = "DeferredToOuterFrame means that the closure is still in use"]
pub enum Quiescence {
    /// No call is running and the closure has been dropped. (If it is the closure's destructor that asks: is being
    /// dropped.) Everything that those calls and the destructor did happens before this.
    Quiescent,
    /// The calling thread is itself inside the callback, somewhere on its stack. The calls of other threads have
    /// returned, except those of threads that are themselves inside it and waiting for it. The closure lives on until
    /// the outermost of the frames that remain returns, which drops it.
    DeferredToOuterFrame,
    /// A verb that does not wait, or not for ever, has given up: that many calls are running on other threads (0: a
    /// thread is dropping the closure). The last of them to leave drops the closure.
    StillRunning(u32),
    /// The wait would never have ended: every thread inside the callback waits, directly or through others, for the
    /// calling thread to leave another callback (S41). The last call to leave drops the closure. The
    /// [`Stuck`](super::Stuck) that the registry's hook was given names them all.
    Deadlocked,
}

/// How a registration stands; see [`Registry::status`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Status {
    /// Calls are let in; that many are inside.
    Live(u32),
    /// Revoked; that many calls are inside (0: the last has left and the closure is being dropped).
    Revoking(u32),
    /// Revoked, and the closure has been dropped.
    Revoked,
}

impl<F: ?Sized> Registry<F> {
    /// How the registration that `handle` names stood a moment ago (S10). Takes no lock; any thread may ask. With other
    /// threads about, the answer may be out of date when it arrives: it is for tests, assertions and reports.
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
            State::Quiescent => Ok(Status::Revoking(0)),
            State::Tombstoned => Ok(Status::Revoked),
            State::Vacant | State::Retired => Err(Rejected { handle, refused: self.core.refused(handle, word) }),
        }
    }

    /// Revokes by handle: no call that starts after this will run the closure. Never waits for a call.
    ///
    /// For the owner, [`Registration::revoke`](super::Registration::revoke) is the same without the error. Any thread
    /// may revoke, also from inside a callback, this one or another (S37, S39).
    ///
    /// # Errors
    /// [`Rejected`] for a handle that names no registration, or one whose slot has been vacated since
    /// ([`Reason::Stale`](super::Reason::Stale)). Until then a second revocation is
    /// [`Revoked::AlreadyRevoked`], not an error (S12, S36).
    ///
    /// # Panics
    /// If no call was running and the closure's destructor panics, with that panic, after everything has been put in
    /// order.
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
        self.revoke_at(handle, Some(Location::caller()))
    }

    /// Revokes by handle and returns when no other thread is inside the callback: the contract of C++'s
    /// `std::stop_callback`.
    ///
    /// It waits for calls of *this* callback on *other* threads, and for the closure's destructor if another thread is
    /// running it; never for another callback (S19), and never for frames of the calling thread, at whatever depth
    /// (S37, S38): then it says [`Quiescence::DeferredToOuterFrame`]. Two threads that are both inside and both wait do
    /// not wait for each other. Because entry is refused from the start, the wait ends however fast callers come (S25).
    ///
    /// Threads that wait for each other, each inside the callback that another waits for, are found, and one of them is
    /// answered [`Quiescence::Deadlocked`] (S41). A callback that never returns for another reason is waited for for ever,
    /// and reported after a while (S40, S42, S52): see [`with_wait_limit`](Registry::with_wait_limit).
    ///
    /// # Errors
    /// As [`revoke`](Registry::revoke). A registration that was revoked before is waited for, not rejected, until its
    /// slot has been vacated.
    ///
    /// # Panics
    /// As [`revoke`](Registry::revoke).
    ///
    /// ```
    /// use latecall::registry::{Quiescence, Registry};
    /// static R: Registry<dyn Fn() + Send + Sync> = Registry::new();
    /// let handle = R.register(Box::new(|| ())).leak();
    /// assert_eq!(R.revoke_and_wait(handle), Ok(Quiescence::Quiescent));
    /// ```
    #[track_caller]
    pub fn revoke_and_wait(&self, handle: Handle) -> Result<Quiescence, Rejected> {
        self.revoke_patiently(handle, Some(Location::caller()), Patience::Forever)
    }

    /// Closes the slot and notes who did it; the note is the caller's to keep. Under the lock, so that whoever finds the callback
    /// revoked finds that noted.
    pub(super) fn close_slot<'r>(
        &'r self,
        bookkeeping: &mut Bookkeeping,
        handle: Handle,
        trace: Trace,
    ) -> Result<Result<(&'r Slot<F>, u32), Revoked>, Rejected> {
        let slot = self.resolve(handle).map_err(|refused| Rejected { handle, refused })?;
        match slot.close(handle, self.core.settings.is_watched()) {
            Ok(()) => {
                bookkeeping.revoked += 1;
                Ok(Ok((slot, bookkeeping.note_revoker(trace))))
            }
            Err(word) if was_revoked(word, handle) => Ok(Err(Revoked::AlreadyRevoked)),
            Err(word) => Err(Rejected { handle, refused: self.core.refused(handle, word) }),
        }
    }

    pub(super) fn revoke_at(
        &self,
        handle: Handle,
        at: Option<&'static Location<'static>>,
    ) -> Result<Revoked, Rejected> {
        let trace = Trace::now(at);
        let mut bookkeeping = lock(&self.core.bookkeeping);
        let (slot, revoker) = match self.close_slot(&mut bookkeeping, handle, trace)? {
            Ok(closed) => closed,
            Err(revoked) => return Ok(revoked),
        };
        bookkeeping.keep_revoker(handle, revoker);
        // In a model a full fence is as good as a heavy one, so all three have to go to show what the heavy one is for.
        let unfenced = self.core.mutated(Mutation::NoHeavyFence);
        let calls = if self.core.mutated(Mutation::AlwaysSole) || (!unfenced && record::sole()) {
            // No other thread has a record. One that gets one from here on finds the slot closed.
            self.counted(slot, handle, State::Closing, record::mark_own(handle.bits()), &mut bookkeeping)
        } else {
            drop(bookkeeping);
            if !unfenced {
                // Between the word that is changed and the look at the cells. A call that has found the slot live, and not
                // left yet, is seen in its cell after this; one that is not seen finds the slot closed.
                fence::heavy();
            }
            bookkeeping = lock(&self.core.bookkeeping);
            slot.transition(handle, State::Closing, State::Counting);
            if !unfenced && !self.core.mutated(Mutation::NoFenceBeforeCount) {
                // Who leaves, or is refused, and reads Closing after a full fence of its own is not counted.
                fence::full();
            }
            self.counted(slot, handle, State::Counting, record::mark(handle.bits()), &mut bookkeeping)
        };
        drop(bookkeeping);
        self.core.stall(StallSite::Revoked);
        match calls {
            0 => {
                // SAFETY: (1) `counted` has turned it, just now.
                unsafe { self.finish(slot, handle) };
                Ok(Revoked::Removed)
            }
            calls => {
                if !MODELLED {
                    // Who waited for this before it was counted could not know whether that would ever end.
                    stuck::recheck();
                }
                #[cfg(test)]
                if self.core.mutated(Mutation::FreeWhileRunning) {
                    // SAFETY: none; that is the mutation, and a model stops here before the memory is gone.
                    drop(unsafe { slot.take() });
                }
                Ok(Revoked::InFlight(calls))
            }
        }
    }

    /// A revoker has counted `calls` inside `handle`: with none it is the one to drop the closure; otherwise the last of
    /// them is.
    pub(super) fn counted(
        &self,
        slot: &Slot<F>,
        handle: Handle,
        from: State,
        calls: u32,
        bookkeeping: &mut Bookkeeping,
    ) -> u32 {
        slot.transition(handle, from, if calls == 0 { State::Quiescent } else { State::Revoking });
        if calls > 0 && bookkeeping.release_inside(handle, calls) {
            self.core.wake_waiters(bookkeeping);
        }
        calls
    }

    /// Drops the closure, writes the tombstone, tells who waits, and flushes what is over the limit.
    ///
    /// # Safety
    /// 1. This thread has turned the slot of `handle` to Quiescent, and has not called this since.
    pub(super) unsafe fn finish(&self, slot: &Slot<F>, handle: Handle) {
        // SAFETY: (1) by (1).
        let callback = unsafe { slot.take() };
        // No lock is held. A frame says that this thread is dropping it: a destructor that asks for its own quiescence
        // must not wait for itself. A panic is held back until the rest is done.
        let outcome = frame::on_stack(handle.bits(), Doing::Destructor, || self.dispose(callback, handle));
        let mut bookkeeping = lock(&self.core.bookkeeping);
        self.write_tombstone(&mut bookkeeping, slot, handle, None);
        if !self.core.mutated(Mutation::SkipWakeUp) {
            self.core.wake_waiters(&bookkeeping);
        }
        let completions = bookkeeping.take_completions(handle);
        if self.core.settings.stall_hook.is_some() || !completions.is_empty() {
            drop(bookkeeping);
            completions.into_iter().for_each(|completion| self.core.run_contained(completion));
            self.core.stall(StallSite::TombstoneWritten);
            bookkeeping = lock(&self.core.bookkeeping);
        }
        let listed = self.flush_beyond_limit(&mut bookkeeping);
        drop(bookkeeping);
        if listed {
            self.core.stall(StallSite::SlotListed);
        }
        if let Err(panic) = outcome {
            self.core.resume_or_swallow(panic);
        }
    }

    pub(super) fn write_tombstone(
        &self,
        bookkeeping: &mut Bookkeeping,
        slot: &Slot<F>,
        handle: Handle,
        revoked: Option<u32>,
    ) {
        bookkeeping.add_tombstone(handle, revoked);
        slot.transition(handle, State::Quiescent, State::Tombstoned);
    }

    pub(super) fn flush_beyond_limit(&self, bookkeeping: &mut Bookkeeping) -> bool {
        let mut listed = false;
        while bookkeeping.tombstones() > self.core.settings.tombstones && self.flush_oldest(bookkeeping) {
            listed = true;
        }
        listed
    }
}

impl Core {
    /// Tells who waits that something has changed.
    pub(super) fn wake_waiters(&self, bookkeeping: &Bookkeeping) {
        if bookkeeping.waiting > 0 {
            self.changed.notify_all();
        }
    }

    /// Waits to be told, for at most `limit` if there is one.
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

    /// Goes on with a panic of a closure's destructor, now that everything is in order, if this thread can.
    pub(super) fn resume_or_swallow(&self, panic: Box<dyn Any + Send>) {
        if std::thread::panicking() {
            // The callback is unwinding through here; a second panic would abort.
            self.swallow(panic);
        } else {
            resume_unwind(panic);
        }
    }

    /// Counts a panic that cannot go on. Its payload is not dropped: that could panic too.
    pub(super) fn swallow(&self, panic: Box<dyn Any + Send>) {
        // Relaxed: a statistic.
        self.swallowed_panics.fetch_add(1, Ordering::Relaxed);
        std::mem::forget(panic);
    }
}

/// Whether a slot that is not live for `handle` was, and is not vacated since.
fn was_revoked(word: Word, handle: Handle) -> bool {
    use State::{Closing, Counting, Quiescent, Revoking, Tombstoned};
    [Closing, Counting, Revoking, Quiescent, Tombstoned].iter().any(|&state| word.is(handle, state))
}

/// Whether the closure of `handle` has been dropped.
pub(super) fn is_over(word: Word, handle: Handle) -> bool {
    word.generation() != handle.generation() || matches!(word.state(), State::Tombstoned | State::Retired)
}

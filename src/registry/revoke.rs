//! Ending a registration: refuse new calls, wait for old ones, drop the closure, write the tombstone.

use super::Registry;
use super::books::Trace;
use super::error::Rejected;
use super::flaw::Flaw;
use super::frame::{self, Doing};
use super::handle::Handle;
use super::slot::{Closed, Slot, State, Word};
use super::stall::StallSite;
use super::sync::{Ordering, lock};
use super::wait::Patience;
use std::panic::{Location, resume_unwind};

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

/// How a registration stands; see [`Registry::standing`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Standing {
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
    /// use latecall::registry::{Handle, Registry, Standing};
    /// static R: Registry<dyn Fn() + Send + Sync> = Registry::new();
    /// let registration = R.register(Box::new(|| ()));
    /// let handle = Handle::from_ptr(registration.handle().as_ptr());
    /// assert_eq!(R.standing(handle), Ok(Standing::Live(0)));
    /// drop(registration);
    /// assert_eq!(R.standing(handle), Ok(Standing::Revoked));
    /// ```
    pub fn standing(&self, handle: Handle) -> Result<Standing, Rejected> {
        let slot = self.resolve(handle).map_err(|refused| Rejected { handle, refused })?;
        let word = slot.word();
        match word.state() {
            _ if word.generation() != handle.generation() => {
                Err(Rejected { handle, refused: self.core.refused(handle, word) })
            }
            State::Live => Ok(Standing::Live(word.count())),
            State::Revoking | State::Quiescent => Ok(Standing::Revoking(word.count())),
            State::Tombstoned => Ok(Standing::Revoked),
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

    pub(super) fn revoke_at(
        &self,
        handle: Handle,
        at: Option<&'static Location<'static>>,
    ) -> Result<Revoked, Rejected> {
        let slot = self.resolve(handle).map_err(|refused| Rejected { handle, refused })?;
        let trace = Trace::now(at);
        let mut books = lock(&self.core.books);
        // Under the lock, so that whoever finds the callback revoked finds written where.
        let closed = slot.close(handle.generation());
        if let Closed::Idle | Closed::Busy(_) = closed {
            books.note_revoked(handle.index(), trace);
        }
        drop(books);
        match closed {
            Closed::Idle => {
                self.core.stall(StallSite::Revoked);
                // SAFETY: (1) `close` has just said `Idle` to this thread.
                unsafe { self.finish(slot, handle) };
                Ok(Revoked::Removed)
            }
            Closed::Busy(calls) => {
                self.core.stall(StallSite::Revoked);
                #[cfg(test)]
                if self.core.flawed(Flaw::FreeWhileRunning) {
                    // SAFETY: none; that is the flaw, and a model stops here before the memory is gone.
                    drop(unsafe { slot.take() });
                }
                Ok(Revoked::InFlight(calls))
            }
            Closed::Not(word) if already(word, handle) => Ok(Revoked::AlreadyRevoked),
            Closed::Not(word) => Err(Rejected { handle, refused: self.core.refused(handle, word) }),
        }
    }

    /// Drops the closure, writes the tombstone, tells who waits, and flushes what is over the limit.
    ///
    /// # Safety
    /// 1. `Slot::leave` or `Slot::close` has told this thread that it owns the closure of `handle` in `slot`.
    pub(super) unsafe fn finish(&self, slot: &Slot<F>, handle: Handle) {
        // SAFETY: (1) is (1).
        let callback = unsafe { slot.take() };
        // No lock is held. A frame says that this thread is dropping it: a destructor that asks for its own quiescence
        // must not wait for itself. A panic is held back until the rest is done.
        let outcome = frame::on_stack(slot.key(), Doing::Destructor, || self.dispose(callback, handle));
        let completions = {
            let mut books = lock(&self.core.books);
            books.bury(handle.index());
            slot.bury(handle.generation());
            if !self.core.flawed(Flaw::ForgetToServe) {
                self.core.served.notify_all();
            }
            books.take_completions(handle)
        };
        completions.into_iter().for_each(|completion| self.core.run_ending(completion));
        self.core.stall(StallSite::TombstoneWritten);
        let mut listed = false;
        {
            let mut books = lock(&self.core.books);
            while books.tombstones.len() > self.core.options.tombstones && self.flush_oldest(&mut books) {
                listed = true;
            }
        }
        if listed {
            self.core.stall(StallSite::SlotListed);
        }
        if let Err(panic) = outcome {
            if std::thread::panicking() {
                // The callback is unwinding through here; a second panic would abort. Its payload is not dropped: that
                // could panic too.
                // Relaxed: a statistic.
                self.core.swallowed_panics.fetch_add(1, Ordering::Relaxed);
                std::mem::forget(panic);
            } else {
                resume_unwind(panic);
            }
        }
    }
}

/// Whether a slot that is not live under `handle`'s generation was, and is not vacated since.
fn already(word: Word, handle: Handle) -> bool {
    word.generation() == handle.generation()
        && matches!(word.state(), State::Revoking | State::Quiescent | State::Tombstoned)
}

/// Whether the closure of `generation` has been dropped.
pub(super) fn gone(word: Word, generation: u32) -> bool {
    word.generation() != generation || matches!(word.state(), State::Tombstoned | State::Retired)
}

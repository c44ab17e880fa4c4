//! Revoking many for the price of one: the closures are dropped later, a batch at a time.
//!
//! Finding out whether calls are inside costs a heavy fence, which interrupts every other running thread of the process.
//! One fence is as good for a thousand slots as for one, so `revoke_deferred` only closes the slot and lists it.

use super::bookkeeping::Trace;
use super::error::Rejected;
use super::frame::{self, Doing};
use super::handle::Handle;
use super::mutation::Mutation;
use super::record;
use super::revoke::Revoked;
use super::slot::{Slot, State};
use super::stuck;
use super::sync::{MODELLED, lock};
use super::{Registry, fence};
use std::panic::Location;

/// How many revocations are deferred before the next one reclaims them all.
const BATCH: usize = if MODELLED { 2 } else { 1024 };

impl<F: ?Sized> Registry<F> {
    /// Revokes by handle without finding out whether calls are running: no call that starts after this will run the
    /// closure, and its destructor runs some time later.
    ///
    /// For those who revoke many at a high rate while other threads call. The closures of at most 1024 registrations wait;
    /// the next deferred revocation after that drops them (or leaves them to the last call inside), on the thread that makes
    /// it, as [`reclaim`](Registry::reclaim) and dropping the registry do. A waiting closure is also waited for, and dropped,
    /// by [`revoke_and_wait`](Registry::revoke_and_wait).
    ///
    /// Answers true if this revoked it, false if it had been revoked before.
    ///
    /// # Errors
    /// As [`revoke`](Registry::revoke).
    ///
    /// # Panics
    /// As [`reclaim`](Registry::reclaim), if it is this call that reclaims.
    ///
    /// ```
    /// use latecall::registry::Registry;
    /// static R: Registry<dyn Fn() + Send + Sync> = Registry::new();
    /// let handle = R.register(Box::new(|| ())).leak();
    /// assert_eq!(R.revoke_deferred(handle), Ok(true));
    /// assert!(R.call(handle.as_ptr(), |f| f()).is_err());
    /// assert_eq!(R.stats().closures_dropped, 0);
    /// assert_eq!(R.reclaim(), 1);
    /// assert_eq!(R.stats().closures_dropped, 1);
    /// ```
    #[track_caller]
    pub fn revoke_deferred(&self, handle: Handle) -> Result<bool, Rejected> {
        self.revoke_deferred_at(handle, Location::caller())
    }

    pub(super) fn revoke_deferred_at(&self, handle: Handle, at: &'static Location<'static>) -> Result<bool, Rejected> {
        let trace = Trace::now(Some(at));
        let mut bookkeeping = lock(&self.core.bookkeeping);
        if !bookkeeping.reserve_deferred() {
            // No memory to defer it with.
            drop(bookkeeping);
            return self.revoke_at(handle, Some(at)).map(|revoked| revoked != Revoked::AlreadyRevoked);
        }
        let Ok((_, revoker)) = self.close_slot(&mut bookkeeping, handle, trace)? else { return Ok(false) };
        let waiting = bookkeeping.defer(handle, revoker);
        drop(bookkeeping);
        if waiting >= BATCH {
            self.reclaim();
        }
        Ok(true)
    }

    /// Drops the closures of deferred revocations, and leaves those that are running to the last call inside. Says how many
    /// it dropped. Any thread may ask; costs one heavy fence, however many there are, or nothing if there are none.
    ///
    /// # Panics
    /// If destructors panic, with the first panic, after all of them have run and everything has been put in order. The
    /// others are counted in [`Stats::swallowed_panics`](super::Stats::swallowed_panics).
    pub fn reclaim(&self) -> usize {
        let mut batch = lock(&self.core.bookkeeping).take_deferred();
        if batch.is_empty() {
            return 0;
        }
        // As for one.
        let unfenced = self.core.mutated(Mutation::NoHeavyFence);
        if !unfenced {
            // As for one: see `revoke_at`. All of them were closed before this.
            fence::heavy();
        }
        let mut bookkeeping = lock(&self.core.bookkeeping);
        for &(handle, _) in &batch {
            self.slot(handle).transition(handle, State::Closing, State::Counting);
        }
        if !unfenced && !self.core.mutated(Mutation::NoFenceBeforeCount) {
            // As for one.
            fence::full();
        }
        let found = record::mark_those(|bits| {
            let handle = Handle::from_bits(bits);
            // Only this thread, which holds the lock, has slots that are Counting.
            self.resolve(handle).is_ok_and(|slot| slot.word(handle.index()).is(handle, State::Counting))
        });
        batch.retain(|&(handle, revoker)| {
            let calls = if found == 0 { 0 } else { record::marked(handle.bits()) };
            if calls > 0 {
                bookkeeping.keep_revoker(handle, revoker);
            }
            self.counted(self.slot(handle), handle, State::Counting, calls, &mut bookkeeping) == 0
        });
        drop(bookkeeping);
        if !MODELLED && found > 0 {
            // As for one.
            stuck::recheck();
        }
        let mut first_panic = None;
        for &(handle, _) in &batch {
            // SAFETY: (1) turned to Quiescent by `counted`, just now, and only once.
            let callback = unsafe { self.slot(handle).take() };
            // As in `finish`.
            let outcome = frame::on_stack(handle.bits(), Doing::Destructor, || self.dispose(callback, handle));
            if let Err(panic) = outcome {
                match first_panic {
                    None => first_panic = Some(panic),
                    Some(_) => self.core.swallow(panic),
                }
            }
        }
        let dropped = batch.len();
        let mut completions = Vec::new();
        let mut bookkeeping = lock(&self.core.bookkeeping);
        for &(handle, revoker) in &batch {
            completions.append(&mut bookkeeping.take_completions(handle));
            self.write_tombstone(&mut bookkeeping, self.slot(handle), handle, Some(revoker));
            self.flush_beyond_limit(&mut bookkeeping);
        }
        bookkeeping.recycle(batch);
        self.core.wake_waiters(&bookkeeping);
        drop(bookkeeping);
        completions.into_iter().for_each(|completion| self.core.run_contained(completion));
        if let Some(panic) = first_panic {
            self.core.resume_or_swallow(panic);
        }
        dropped
    }

    /// The slot of a handle that was issued.
    fn slot(&self, handle: Handle) -> &Slot<F> {
        self.table.get(handle.index()).unwrap_or_else(|| unreachable!("an issued handle has a slot"))
    }
}

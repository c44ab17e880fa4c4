//! Revoking many callbacks for the price of one: the closures are dropped later, a batch at a time.
//!
//! To find out whether calls are running costs a heavy fence, which interrupts every other running thread of the
//! process. One fence serves a thousand slots as well as one, so `revoke_deferred` only closes the slot and lists it
//! for `reclaim`.

use super::Registry;
use super::error::Rejected;
use super::handle::Handle;
use super::record;
use super::revoke::Revoked;
use super::site::{Site, Trace};
use super::slot::{Slot, State};
use super::stuck;
use super::sync::{MODELLED, lock};

/// How many revocations are deferred before the next one reclaims them all.
const BATCH: usize = if MODELLED { 2 } else { 1024 };

impl<F: ?Sized> Registry<F> {
    /// Revokes by handle without finding out whether calls are running: no call that starts after this runs the
    /// closure, and the closure is dropped some time later. Returns true if this revoked the registration, and false if
    /// it was revoked before.
    ///
    /// For programs that revoke many callbacks at a high rate while other threads call. A closure waits to be dropped
    /// until one of the following:
    ///
    /// * the list has 1024 closures: the deferred revocation that adds the last one drops them all, or leaves
    ///   them to the calls that are running;
    /// * any thread calls [`reclaim`](Registry::reclaim);
    /// * a thread waits for the callback, as [`revoke_and_wait`](Registry::revoke_and_wait),
    ///   [`barrier`](Registry::barrier) and [`close`](Registry::close) do. A wait for one callback drops no other
    ///   closure of the list;
    /// * a thread asks for a completion with [`revoke_then`](Registry::revoke_then) or
    ///   [`revoke_async`](Registry::revoke_async);
    /// * the registry is dropped.
    ///
    /// # Errors
    /// As [`revoke`](Registry::revoke).
    ///
    /// # Panics
    /// As [`reclaim`](Registry::reclaim), if this call reclaims.
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
        self.revoke_deferred_at(handle, Site::caller())
    }

    pub(super) fn revoke_deferred_at(&self, handle: Handle, at: Site) -> Result<bool, Rejected> {
        let trace = Trace::now(Some(at));
        let mut bookkeeping = lock(&self.core.bookkeeping);
        if !bookkeeping.reserve_deferred() {
            // The list of deferred revocations could not grow, because memory ran out: this callback is revoked now.
            drop(bookkeeping);
            return self.revoke_at(handle, Some(at)).map(|revoked| revoked != Revoked::AlreadyRevoked);
        }
        if self.close_slot(&mut bookkeeping, handle, trace)?.is_none() {
            return Ok(false);
        }
        let waiting = bookkeeping.defer(handle);
        drop(bookkeeping);
        if waiting >= BATCH {
            self.reclaim();
        }
        Ok(true)
    }

    /// Drops the closures of deferred revocations, and leaves those with running calls to the last of these calls.
    /// Returns how many it dropped.
    ///
    /// Any thread may call it. It costs one heavy fence, however many closures there are, or nothing if there are none.
    ///
    /// The closures are dropped one after the other, in the order of their revocations. While a destructor, a destroy
    /// notify or a completion of one runs, the others wait for no particular thread: a thread that waits for one of
    /// them drops it, also from inside that destructor.
    ///
    /// # Panics
    /// If destructors panic: with the first panic, when all of them have run and the revocations are complete. The
    /// other panics are counted in [`Stats::swallowed_panics`](super::Stats::swallowed_panics).
    pub fn reclaim(&self) -> usize {
        let mut batch = lock(&self.core.bookkeeping).take_deferred();
        if batch.is_empty() {
            return 0;
        }

        // Count the running calls of the whole batch. Registrations without calls become Idle: this thread owns none of
        // the closures yet, so that neither a destructor below nor another thread has to wait for it.
        let mut bookkeeping = self.begin_count(|bookkeeping| {
            // The list keeps registrations that a thread has waited for since.
            batch.retain(|&handle| {
                let slot = self.slot(handle);
                let mine =
                    slot.word(handle.index()).is(handle, State::Closing) && bookkeeping.claim_deferred(handle.index());
                if mine {
                    slot.transition(handle, State::Closing, State::Counting);
                }
                mine
            });
        });
        let found = record::mark_those(|bits| {
            let handle = Handle::from_bits(bits);
            // All Counting slots are in the batch: slots are Counting only while their revoker holds the lock.
            self.resolve(handle).is_ok_and(|slot| slot.word(handle.index()).is(handle, State::Counting))
        });
        batch.retain(|&handle| {
            let calls = if found == 0 { 0 } else { record::marked(handle.bits()) };
            self.counted(self.slot(handle), handle, [State::Counting, State::Idle], calls, &mut bookkeeping) == 0
        });
        // Threads that began to wait before the count can drop what they wait for.
        self.core.wake_waiters(&bookkeeping);
        if !MODELLED && found > 0 {
            drop(bookkeeping);
            // The calls inside are counted only now. A thread that began to wait earlier could not be found to wait for
            // ever, so the search for deadlocks is repeated for it.
            stuck::recheck();
            bookkeeping = lock(&self.core.bookkeeping);
        }

        let mut dropped = 0;
        let mut first_panic = None;
        for &handle in &batch {
            let slot = self.slot(handle);
            if !slot.word(handle.index()).is(handle, State::Idle) {
                continue; // A thread that waited for it has dropped it, or is dropping it.
            }
            slot.transition(handle, State::Idle, State::Quiescent);
            drop(bookkeeping);
            // SAFETY: clause 1 of `drop_closure`: this thread has turned the slot to Quiescent, under the lock, just
            // now.
            let outcome = unsafe { self.drop_closure(slot, handle) };
            (bookkeeping, _) = self.write_tombstone(slot, handle);
            dropped += 1;
            if let Err(panic) = outcome {
                match first_panic {
                    None => first_panic = Some(panic),
                    Some(_) => self.core.swallow(panic),
                }
            }
        }
        bookkeeping.recycle(batch);
        drop(bookkeeping);
        if let Some(panic) = first_panic {
            self.core.resume_or_swallow(panic);
        }
        dropped
    }

    /// Ends a revoked registration, if no other thread is ending it: counts the running calls if the revocation was
    /// deferred, and drops the closure if no call is inside. Other registrations are left alone, whatever batch they
    /// are in.
    pub(super) fn see_to(&self, slot: &Slot<F>, handle: Handle) {
        let word = || slot.word(handle.index());
        if !word().is(handle, State::Closing) && !word().is(handle, State::Idle) {
            return;
        }
        let mut bookkeeping = lock(&self.core.bookkeeping);
        if word().is(handle, State::Idle) {
            slot.transition(handle, State::Idle, State::Quiescent);
            drop(bookkeeping);
            // SAFETY: clause 1 of `finish`: this thread has turned the slot to Quiescent, under the lock, just now.
            unsafe { self.finish(slot, handle) };
        } else if word().is(handle, State::Closing) && bookkeeping.claim_deferred(handle.index()) {
            self.end(slot, handle, bookkeeping);
        }
    }

    /// The slot of a handle that was issued.
    fn slot(&self, handle: Handle) -> &Slot<F> {
        self.table.get(handle.index()).unwrap_or_else(|| unreachable!("an issued handle has a slot"))
    }
}

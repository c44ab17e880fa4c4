//! The way in for Rust: a closure becomes a registration.

use super::Registry;
use super::bookkeeping::Bookkeeping;
use super::completion::Notify;
use super::error::{Exhausted, Shortage};
use super::handle::{Handle, Layout};
use super::mutation::Mutation;
use super::policy::{self, LatePolicy};
use super::registration::Registration;
use super::site::{Site, Trace};
use super::slot::{Slot, State};
use super::sync::{MODELLED, Ordering, lock};
use super::{ids, table};
use std::borrow::Cow;
use std::fmt;

impl<F: ?Sized> Registry<F> {
    /// Takes `callback` in and returns its owner. Calls with the owner's handle succeed from here on.
    ///
    /// Late-call reports give the place of this call as "registered". Any thread may register, also from inside a
    /// callback or a closure's destructor. Two registrations of the same closure are independent of each other.
    ///
    /// # Panics
    /// If the registry is exhausted; the unwinding drops `callback`. Use
    /// [`try_register`](Registry::try_register) where that can happen.
    ///
    /// ```
    /// use latecall::registry::Registry;
    /// static R: Registry<dyn Fn() + Send + Sync> = Registry::new();
    /// let registration = R.register(Box::new(|| println!("called")));
    /// # drop(registration);
    /// ```
    #[track_caller]
    pub fn register(&self, callback: Box<F>) -> Registration<'_, F> {
        self.builder().register(callback)
    }

    /// As [`register`](Registry::register), with failure as a value.
    ///
    /// # Errors
    /// [`Exhausted`], which gives the closure back. [`Exhausted::shortage`] says what ran out: slots, registry ids or
    /// memory; or that the registry has been closed. Nothing has been half-registered, and other registrations are not
    /// affected.
    ///
    /// ```
    /// use latecall::registry::Registry;
    /// static ONE: Registry<dyn Fn() -> u8 + Send + Sync> = Registry::new().with_capacity_limit(1);
    /// let first = ONE.try_register(Box::new(|| 1)).expect("there is one slot");
    /// let error = ONE.try_register(Box::new(|| 2)).expect_err("there is only one");
    /// assert_eq!(error.into_callback()(), 2);
    /// drop(first);
    /// assert!(ONE.try_register(Box::new(|| 3)).is_ok());
    /// ```
    #[track_caller]
    pub fn try_register(&self, callback: Box<F>) -> Result<Registration<'_, F>, Exhausted<'_, F>> {
        self.builder().try_register(callback)
    }

    /// A registration with more to say than its closure, such as a label.
    ///
    /// ```
    /// use latecall::registry::Registry;
    /// static R: Registry<dyn Fn() + Send + Sync> = Registry::new();
    /// let registration = R.builder().label("progress bar").register(Box::new(|| ()));
    /// let user_data = registration.handle().as_ptr();
    /// drop(registration);
    /// let late = R.call(user_data, |f| f()).unwrap_err();
    /// assert!(late.to_string().contains("late call of `progress bar`"));
    /// ```
    pub fn builder(&self) -> Builder<'_, F> {
        Builder { registry: self, label: None, late_policy: None, notify: None }
    }

    fn register_described(
        &self,
        callback: Box<F>,
        described: Builder<'_, F>,
        at: Site,
    ) -> Result<Registration<'_, F>, Exhausted<'_, F>> {
        if !MODELLED && self.core.id() == 0 {
            self.pin_module();
            self.note_unpinned();
            policy::watch_exit();
            self.announce_itself();
        }
        let registered = Trace::now(Some(at));
        let Builder { label, late_policy, notify, .. } = described;
        let mut bookkeeping = lock(&self.core.bookkeeping);
        let has_extras = late_policy.is_some() || notify.is_some();
        let (index, slot) = match self.take_slot(&mut bookkeeping, has_extras) {
            Ok(taken) => taken,
            Err(shortage) => {
                drop(bookkeeping);
                return Err(Exhausted::of(&self.core, callback, shortage, notify));
            }
        };
        let generation = match slot.word(index).generation() {
            // Relaxed: written under the registry's lock, which this thread holds.
            0 => self.core.first_generation.load(Ordering::Relaxed),
            next => next,
        };
        let handle = Handle::pack(index, generation, self.core.id());
        if has_extras {
            self.core.extras.set(handle, late_policy, notify);
        }
        bookkeeping.begin(index, label, registered);
        // Under the lock: what is counted is published, for `close`, for `stats`, and for a child process.
        // SAFETY: clause 1 of `publish`: `take_slot` returned a vacant slot and took it off the list, under the lock,
        // so that no other thread gets the slot.
        let emptied = unsafe { slot.publish(handle, self.core.settings.is_watched(), callback) };
        drop(bookkeeping);
        drop(emptied);
        Ok(Registration::new(self, handle))
    }

    /// A vacant slot for this thread alone: the one that has been vacant longest, else one that was never used, else
    /// the slot of the oldest tombstone, which is then flushed early.
    ///
    /// `has_extras`: the registration needs its entry in `Core::extras`.
    fn take_slot(&self, bookkeeping: &mut Bookkeeping, has_extras: bool) -> Result<(u32, &Slot<F>), Shortage> {
        if bookkeeping.closed {
            return Err(Shortage::Closed);
        }
        if self.core.id() == 0 {
            let id = ids::take().ok_or(Shortage::RegistryIds)?;
            // Relaxed: read under the lock, or after the Acquire load of the id.
            self.core.first_generation.store(id.first_generation, Ordering::Relaxed);
            // Release pairs with the Acquire in `Core::id`: a thread that sees the id sees the first generation.
            self.core.id.store(id.number, Ordering::Release);
        }
        bookkeeping.reserve_note().map_err(|_| Shortage::Memory)?;
        loop {
            // Nothing is taken before all memory is there.
            let extras = |index| !has_extras || self.core.extras.ensure(index);
            if let Some(index) = bookkeeping.first_vacant() {
                let slot = self.table.get(index);
                if !extras(index) {
                    return Err(Shortage::Memory);
                }
                bookkeeping.take_vacant(index);
                return Ok((index, slot.unwrap_or_else(|| unreachable!("a listed slot exists"))));
            }
            if (bookkeeping.used() as usize) < self.capacity() {
                let index = bookkeeping.used();
                bookkeeping.reserve_slot(self.core.settings.tombstones).map_err(|_| Shortage::Memory)?;
                let slot = self.table.ensure(index).filter(|_| extras(index)).ok_or(Shortage::Memory)?;
                bookkeeping.use_slot();
                return Ok((index, slot));
            }
            if !self.flush_oldest(bookkeeping) {
                return Err(Shortage::Slots);
            }
        }
    }

    fn capacity(&self) -> usize {
        self.core.settings.capacity_limit.min(Layout::HERE.max_index() as usize + 1).min(table::MOST)
    }

    /// Flushes the oldest tombstone, and lists its slot for reuse or retires it. False if there is no tombstone.
    pub(super) fn flush_oldest(&self, bookkeeping: &mut Bookkeeping) -> bool {
        let Some(handle) = bookkeeping.pop_tombstone() else { return false };
        let (index, generation) = (handle.index(), handle.generation());
        let slot = self.table.get(index).unwrap_or_else(|| unreachable!("the slot of a tombstone exists"));
        if generation >= self.core.last_generation() {
            slot.transition(handle, State::Tombstoned, State::Retired);
            bookkeeping.retire(index);
        } else {
            let next = generation + u32::from(!self.core.mutated(Mutation::KeepGeneration));
            slot.vacate(Handle::pack(index, next, handle.registry_id()));
            bookkeeping.list_vacant(index);
        }
        true
    }
}

/// A registration that is being described; see [`Registry::builder`].
#[must_use = "a builder registers nothing until it is given a closure"]
pub struct Builder<'r, F: ?Sized> {
    pub(super) registry: &'r Registry<F>,
    label: Option<Cow<'static, str>>,
    late_policy: Option<LatePolicy>,
    pub(super) notify: Option<Box<Notify>>,
}

impl<'r, F: ?Sized> Builder<'r, F> {
    /// Names the registration in reports.
    pub fn label(self, label: impl Into<Cow<'static, str>>) -> Self {
        Self { label: Some(label.into()), ..self }
    }

    /// What to do about late calls with this handle, in place of the registry's policy. It holds until a later
    /// registration in the same slot has a policy of its own.
    ///
    /// ```
    /// use latecall::registry::{LatePolicy, Registry};
    /// static R: Registry<dyn Fn() + Send + Sync> = Registry::new().with_late_policy(LatePolicy::Abort);
    /// let handle = R.builder().late_policy(LatePolicy::Count).register(Box::new(|| ())).handle();
    /// assert!(R.call(handle.as_ptr(), |f| f()).is_err()); // the registration is over: counted, no abort
    /// ```
    pub fn late_policy(self, policy: LatePolicy) -> Self {
        Self { late_policy: Some(policy), ..self }
    }

    /// As [`Registry::register`].
    ///
    /// # Panics
    /// If the registry is exhausted.
    #[track_caller]
    pub fn register(self, callback: Box<F>) -> Registration<'r, F> {
        let at = Site::caller();
        let name = self.registry.core.settings.name.unwrap_or("(unnamed)");
        match self.registry.register_described(callback, self, at) {
            Ok(registration) => registration,
            Err(exhausted) => panic!("registry {name} is exhausted: {}", exhausted.shortage()),
        }
    }

    /// As [`Registry::try_register`].
    ///
    /// # Errors
    /// [`Exhausted`], with the closure.
    #[track_caller]
    pub fn try_register(self, callback: Box<F>) -> Result<Registration<'r, F>, Exhausted<'r, F>> {
        self.try_register_at(callback, Site::caller())
    }

    pub(crate) fn try_register_at(self, callback: Box<F>, at: Site) -> Result<Registration<'r, F>, Exhausted<'r, F>> {
        self.registry.register_described(callback, self, at)
    }
}

impl<F: ?Sized> fmt::Debug for Builder<'_, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder").field("label", &self.label).finish_non_exhaustive()
    }
}

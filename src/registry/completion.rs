//! Functions that run when a registration ends: a destroy notify, given at registration, and completions, given at
//! revocation.
//!
//! A destroy notify belongs to the closure: it runs right after the closure's destructor, and waits for the callback
//! also wait for it. A completion belongs to the revocation: it runs when the registration is over and waiting threads
//! have been woken. Both run exactly once, with no lock held, on the thread that drops the closure, which may be a
//! thread of the C library.

use super::completions::{Completions, Listed, boxed, try_box};
use super::error::{Reason, Refused, Rejected};
use super::handle::Handle;
use super::mutation::Mutation;
use super::revoke::{Revoked, is_over};
use super::site::Site;
use super::stored::Taken;
use super::sync::{AtomicUsize, Mutex, Ordering, lock};
use super::{Builder, Core, Registration, Registry};
use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::ptr::NonNull;
use std::task::{Context, Poll, Waker};

/// A function that runs once.
pub(super) type BoxedOnce = Box<dyn FnOnce() + Send>;

/// A destroy notify. In a box of its own, so that a pointer to it is one word.
pub(super) struct Notify(BoxedOnce);

impl<F: ?Sized> Registry<F> {
    /// Drops a closure that was taken out of its slot, and runs its destroy notify. A panic of the destructor is the
    /// `Err`.
    pub(super) fn dispose(&self, callback: Option<Taken<F>>, handle: Handle) -> std::thread::Result<()> {
        let notify = self.core.extras.take_notify(handle.index());
        // Acquire pairs with the Release in `close.rs`, `close`.
        if self.core.leak_closures.load(Ordering::Acquire) {
            std::mem::forget((callback, notify));
            return Ok(());
        }
        let run_notify = || self.core.run_notify(notify);
        if self.core.mutated(Mutation::NotifyBeforeDrop) {
            run_notify();
            return catch_unwind(AssertUnwindSafe(|| drop(callback)));
        }
        let outcome = catch_unwind(AssertUnwindSafe(|| drop(callback)));
        run_notify();
        outcome
    }
}

impl Core {
    /// Runs the completions of a registration that is over, in the order in which they were given. No lock is held.
    #[cold]
    pub(super) fn run_completions(&self, completions: Completions) {
        let mut in_order = Completions::NONE;
        in_order.append(completions);
        while let Some(listed) = in_order.pop() {
            self.run_contained(listed.done);
        }
    }

    #[inline]
    pub(super) fn run_notify(&self, notify: Option<Box<Notify>>) {
        if let Some(notify) = notify {
            self.run_contained(notify.0);
        }
    }

    /// Runs a destroy notify or a completion. A panic must not unwind into the thread that drops the closure, which may
    /// be a thread of the C library, so it is swallowed and counted.
    pub(super) fn run_contained(&self, function: BoxedOnce) {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(function)) {
            self.swallow(panic);
        }
    }
}

impl<F: ?Sized> Builder<'_, F> {
    /// A function that runs when the closure has been dropped: once, with no lock held, on the thread that dropped the
    /// closure. A wait for the callback also waits for this function. A panic in it is swallowed and counted.
    ///
    /// If the registration fails, [`Exhausted`](super::Exhausted) owns the closure and this function. Dropping the
    /// `Exhausted` drops the closure and runs the function. Taking the closure out of it drops the function unrun,
    /// because nothing was destroyed. After [`Close::Leave`](super::Close::Leave) the function does not run.
    ///
    /// ```
    /// use latecall::registry::Registry;
    /// use std::sync::mpsc::channel;
    /// static R: Registry<dyn Fn() + Send + Sync> = Registry::new();
    /// let (sender, receiver) = channel();
    /// let registration = R.builder().destroy_notify(move || sender.send("gone").unwrap()).register(Box::new(|| ()));
    /// assert!(receiver.try_recv().is_err());
    /// drop(registration);
    /// assert_eq!(receiver.try_recv(), Ok("gone"));
    /// ```
    pub fn destroy_notify(mut self, notify: impl FnOnce() + Send + 'static) -> Self {
        self.notify = Some(Box::new(Notify(Box::new(notify))));
        self
    }
}

impl<F: ?Sized> Registry<F> {
    /// Revokes, does not wait, and runs `done` when the closure has been dropped: at once if no call is running,
    /// otherwise on the thread that drops the closure, which may be a thread of the C library.
    ///
    /// `done` runs exactly once, with no lock held. A panic in it is swallowed and counted. A callback may revoke
    /// itself with this: `done` then runs after the outermost call has returned.
    ///
    /// # Errors
    /// As [`revoke`](Registry::revoke); `done` is dropped and does not run. Also with
    /// [`Reason::Exhausted`] if there is no memory to keep `done`; nothing was revoked then.
    ///
    /// # Panics
    /// As [`revoke`](Registry::revoke), after `done` has run; also after a
    /// [deferred revocation](Registry::revoke_deferred).
    ///
    /// ```
    /// use latecall::registry::{Registry, Revoked};
    /// use std::sync::mpsc::channel;
    /// static R: Registry<dyn Fn() + Send + Sync> = Registry::new();
    /// let handle = R.register(Box::new(|| ())).leak();
    /// let (sender, receiver) = channel();
    /// R.call(handle.as_ptr(), |_| {
    ///     assert_eq!(R.revoke_then(handle, move || sender.send(()).unwrap()), Ok(Revoked::InFlight(1)));
    ///     assert!(receiver.try_recv().is_err());
    /// }).unwrap();
    /// ```
    #[track_caller]
    pub fn revoke_then(&self, handle: Handle, done: impl FnOnce() + Send + 'static) -> Result<Revoked, Rejected> {
        self.revoke_from_then(handle, Some(Site::caller()), done)
    }

    pub(crate) fn revoke_from_then(
        &self,
        handle: Handle,
        at: Option<Site>,
        done: impl FnOnce() + Send + 'static,
    ) -> Result<Revoked, Rejected> {
        let Some(done) = boxed(done) else { return Err(self.no_memory(handle)) };
        self.revoke_then_at(handle, at, done).map_err(|(rejected, _)| rejected)
    }

    fn no_memory(&self, handle: Handle) -> Rejected {
        let generation = self.resolve(handle).map_or(0, |slot| slot.word(handle.index()).generation());
        Rejected { handle, refused: Refused { reason: Reason::Exhausted, current_generation: generation } }
    }

    /// Revokes, does not wait, and returns a future that is ready when the closure has been dropped. The future needs
    /// no runtime and blocks no thread. Dropping it does not change the revocation.
    ///
    /// # Errors
    /// As [`revoke_then`](Registry::revoke_then).
    ///
    /// # Panics
    /// As [`revoke_then`](Registry::revoke_then).
    ///
    /// ```
    /// use latecall::registry::Registry;
    /// # use std::{future::Future, pin::pin, task::{Context, Poll, Waker}};
    /// static R: Registry<dyn Fn() + Send + Sync> = Registry::new();
    /// let handle = R.register(Box::new(|| ())).leak();
    /// let gone = R.revoke_async(handle).unwrap(); // gone.await
    /// # assert_eq!(pin!(gone).poll(&mut Context::from_waker(Waker::noop())), Poll::Ready(()));
    /// ```
    #[track_caller]
    pub fn revoke_async(&self, handle: Handle) -> Result<Completion, Rejected> {
        let Some((completion, done)) = Completion::new() else { return Err(self.no_memory(handle)) };
        let revoked = self.revoke_then_at(handle, Some(Site::caller()), done);
        let _ = revoked.map_err(|(rejected, _)| rejected)?;
        Ok(completion)
    }

    fn revoke_then_at(
        &self,
        handle: Handle,
        at: Option<Site>,
        done: Box<Listed>,
    ) -> Result<Revoked, (Rejected, Box<Listed>)> {
        // If the closure's destructor panics below, unwinding runs `done`.
        let mut done = RunOnDrop { core: &self.core, done: Some(done) };
        let revoked = match self.revoke_at(handle, at) {
            Ok(revoked) => revoked,
            Err(rejected) => match done.done.take() {
                Some(done) => return Err((rejected, done)),
                None => unreachable!("`done` has not been taken out yet"),
            },
        };
        let slot = match self.resolve(handle) {
            Ok(slot) => slot,
            Err(_) => unreachable!("a handle that was revoked names a slot"),
        };
        let over = || is_over(slot.word(handle.index()), handle);
        let early = self.core.mutated(Mutation::LookBeforeLocking).then(over);
        let mut bookkeeping = lock(&self.core.bookkeeping);
        // Under the lock, under which `finish` and `reclaim` write the tombstone and take the completions out.
        let listed = if early.unwrap_or_else(over) { None } else { done.done.take() };
        if let Some(mut listed) = listed {
            listed.of = handle;
            bookkeeping.add_completion(handle, listed);
        }
        drop(bookkeeping);
        // `done` is listed already, so that it runs also if the destructor panics here.
        self.see_to(slot, handle);
        Ok(revoked)
    }
}

/// Runs `done` when it is dropped, unless `done` was taken out.
struct RunOnDrop<'r> {
    core: &'r Core,
    done: Option<Box<Listed>>,
}

impl Drop for RunOnDrop<'_> {
    fn drop(&mut self) {
        if let Some(done) = self.done.take() {
            self.core.run_contained(done.done);
        }
    }
}

impl<F: ?Sized> Registration<'_, F> {
    /// Revokes, does not wait, and runs `done` when the closure has been dropped; see [`Registry::revoke_then`].
    ///
    /// # Panics
    /// As [`Registry::revoke_then`]. Also if there is no memory to keep `done`; nothing was revoked then.
    /// [`Registry::revoke_then`] has that as a value.
    #[track_caller]
    pub fn revoke_then(&self, done: impl FnOnce() + Send + 'static) -> Revoked {
        let registry = self.registry();
        let done = boxed(done).unwrap_or_else(|| panic!("there is no memory for a completion; nothing was revoked"));
        registry.revoke_then_at(self.handle(), Some(Site::caller()), done).unwrap_or_else(|(_, done)| {
            // Rejected: the slot has been vacated since, so the registration is over.
            registry.core.run_contained(done.done);
            Revoked::AlreadyRevoked
        })
    }

    /// Revokes, does not wait, and returns a future; see [`Registry::revoke_async`].
    ///
    /// # Panics
    /// As [`revoke_then`](Registration::revoke_then).
    #[track_caller]
    pub fn revoke_async(&self) -> Completion {
        let (completion, done) =
            Completion::new().unwrap_or_else(|| panic!("there is no memory for a completion; nothing was revoked"));
        let registry = self.registry();
        if let Err((_, done)) = registry.revoke_then_at(self.handle(), Some(Site::caller()), done) {
            registry.core.run_contained(done.done);
        }
        completion
    }
}

/// Ready when a revoked callback's closure has been dropped; made by [`Registry::revoke_async`].
#[must_use = "a future does nothing unless it is polled"]
pub struct Completion(Half);

#[derive(Default)]
struct Progress {
    done: bool,
    waker: Option<Waker>,
}

/// What a [`Completion`] and the function that completes it share. (An `Arc` cannot be made without aborting where
/// there is no memory.)
struct Shared {
    progress: Mutex<Progress>,
    /// 2, and 1 when one of the two is gone.
    halves: AtomicUsize,
}

/// One of the two owners of a `Shared`.
struct Half(NonNull<Shared>);

// SAFETY: an `Arc<Mutex<Progress>>` is `Send`, and this owns the same in the same way.
unsafe impl Send for Half {}
// SAFETY: an `Arc<Mutex<Progress>>` is `Sync`, and this gives access to the same in the same way.
unsafe impl Sync for Half {}

impl std::ops::Deref for Half {
    type Target = Mutex<Progress>;

    fn deref(&self) -> &Mutex<Progress> {
        // SAFETY: the memory is freed when both halves are gone, and this one is not.
        &unsafe { self.0.as_ref() }.progress
    }
}

impl Drop for Half {
    fn drop(&mut self) {
        // SAFETY: as in `deref`.
        let halves = &unsafe { self.0.as_ref() }.halves;
        // AcqRel: Release pairs with the Acquire of the other half's decrement, so that the half that frees the memory
        // comes after every use by the other one.
        if halves.fetch_sub(1, Ordering::AcqRel) == 1 {
            // SAFETY: from `Box::into_raw` in `Completion::new`; the other half is gone, so this is the only owner.
            drop(unsafe { Box::from_raw(self.0.as_ptr()) });
        }
    }
}

impl Completion {
    /// `None`: there is no memory.
    fn new() -> Option<(Self, Box<Listed>)> {
        let shared = try_box(Shared { progress: Mutex::new(Progress::default()), halves: AtomicUsize::new(2) })?;
        let shared = NonNull::from(Box::leak(shared));
        let (half, own) = (Half(shared), Half(shared));
        let done = boxed(move || {
            let waker = {
                let mut progress = lock(&own);
                progress.done = true;
                progress.waker.take()
            };
            // With no lock held: a waker is code of the async runtime.
            if let Some(waker) = waker {
                waker.wake();
            }
        })?;
        Some((Self(half), done))
    }
}

impl Future for Completion {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let old = {
            let mut progress = lock(&self.0);
            if progress.done {
                return Poll::Ready(());
            }
            progress.waker.replace(context.waker().clone())
        };
        // With no lock held: dropping a waker runs code of the async runtime.
        drop(old);
        Poll::Pending
    }
}

impl fmt::Debug for Completion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Completion").field("done", &lock(&self.0).done).finish()
    }
}

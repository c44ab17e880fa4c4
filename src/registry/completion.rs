//! The end of a registration, told: a destroy notify given with it, and completions asked for when it is revoked.
//!
//! A destroy notify belongs to the closure: it runs right after the closure's destructor, and whoever waits waits for it.
//! A completion belongs to who revokes, and runs when the registration is over: the waiters have been told. Both run
//! exactly once, with no lock held, on the thread that drops the closure, which may be one of the library's.

use super::bookkeeping::Bookkeeping;
use super::error::Rejected;
use super::handle::Handle;
use super::mutation::Mutation;
use super::revoke::{Revoked, is_over};
use super::slot::State;
use super::stored::Taken;
use super::sync::{Arc, AtomicBool, Mutex, Ordering, lock};
use super::{Builder, Core, Registration, Registry};
use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

/// Something to run once.
pub(super) type BoxedOnce = Box<dyn FnOnce() + Send>;

/// Destroy notifies of registrations that are not over.
pub(super) type Notifies = Vec<(Handle, BoxedOnce)>;

/// What is to run when registrations end.
pub(super) struct DestroyNotifies {
    /// Whether there is, or was, a destroy notify, so that registries without any need not look. Not modelled: the slot's word
    /// orders it.
    notified: AtomicBool,
    pub(super) notifies: Mutex<Notifies>,
}

impl DestroyNotifies {
    super::sync::const_fn! {
        pub(super) const fn new() -> Self {
            Self { notified: AtomicBool::new(false), notifies: Mutex::new(Vec::new()) }
        }
    }

    /// Before the registration is published: whoever ends it comes after.
    pub(super) fn notify(&self, handle: Handle, notify: BoxedOnce) {
        lock(&self.notifies).push((handle, notify));
        // Relaxed: ordered before any use of the handle by what publishes the slot.
        self.notified.store(true, Ordering::Relaxed);
    }

    /// The destroy notify of `handle`, if it has one.
    pub(super) fn take(&self, handle: Handle) -> Option<BoxedOnce> {
        // Relaxed: see `notify`.
        if !self.notified.load(Ordering::Relaxed) {
            return None;
        }
        let mut notifies = lock(&self.notifies);
        let place = notifies.iter().position(|(of, _)| *of == handle)?;
        Some(notifies.swap_remove(place).1)
    }

    /// All of them, from a registry that is being dropped.
    pub(super) fn take_all(&mut self) -> Notifies {
        std::mem::take(&mut *lock(&self.notifies))
    }
}

impl<F: ?Sized> Registry<F> {
    /// Drops a closure that is over, and runs its destroy notify. A panic of the closure's destructor is the answer.
    pub(super) fn dispose(&self, callback: Taken<F>, handle: Handle) -> std::thread::Result<()> {
        let notify = self.core.destroy_notifies.take(handle);
        // Acquire pairs with the Release in `close`.
        if self.core.leak_closures.load(Ordering::Acquire) {
            std::mem::forget((callback, notify));
            return Ok(());
        }
        let tell = || notify.into_iter().for_each(|notify| self.core.run_contained(notify));
        if self.core.mutated(Mutation::NotifyBeforeDrop) {
            tell();
            return catch_unwind(AssertUnwindSafe(|| drop(callback)));
        }
        let outcome = catch_unwind(AssertUnwindSafe(|| drop(callback)));
        tell();
        outcome
    }
}

impl Core {
    /// Runs what has to run once. A panic must not reach the thread that happens to be the last to leave, which may be
    /// C's: it is counted, and its payload is not dropped, because that could panic too (S64).
    pub(super) fn run_contained(&self, ending: BoxedOnce) {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(ending)) {
            // Relaxed: a statistic.
            self.swallowed_panics.fetch_add(1, Ordering::Relaxed);
            std::mem::forget(panic);
        }
    }
}

impl Bookkeeping {
    /// Takes out the completions of `handle`, which is over.
    pub(super) fn take_completions(&mut self, handle: Handle) -> Vec<BoxedOnce> {
        if self.completions.is_empty() {
            return Vec::new();
        }
        let of = |completion: &mut (Handle, BoxedOnce)| completion.0 == handle;
        self.completions.extract_if(.., of).map(|completion| completion.1).collect()
    }
}

impl<F: ?Sized> Builder<'_, F> {
    /// A function to be run when the closure has been dropped: after the last call, once, with no lock held, on the
    /// thread that dropped it. Who waits for the callback waits for this, too.
    ///
    /// If the registration fails, [`Exhausted`](super::Exhausted) is the owner of both: dropping it drops the closure and
    /// runs this; taking the closure out of it forgoes this, since nothing was destroyed (S48). A panic in it is
    /// swallowed and counted. It does not run in [`Close::Leave`](super::Close::Leave).
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
        self.notify = Some(Box::new(notify));
        self
    }
}

impl<F: ?Sized> Registry<F> {
    /// Revokes, does not wait, and runs `done` when the closure has been dropped: right away if it has been, otherwise on
    /// the thread that drops it, which may be one of the library's. `done` runs exactly once, with no lock held; a panic
    /// in it is swallowed and counted.
    ///
    /// A call may ask this of its own callback: `done` runs after the outermost one has returned.
    ///
    /// # Errors
    /// As [`revoke`](Registry::revoke); `done` is dropped.
    ///
    /// # Panics
    /// As [`revoke`](Registry::revoke); `done` has run.
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
        self.revoke_then_at(handle, Some(Location::caller()), Box::new(done)).map_err(|(rejected, _)| rejected)
    }

    /// Revokes, does not wait, and returns a future that is ready when the closure has been dropped. It needs no runtime
    /// and holds no thread; dropping it changes nothing.
    ///
    /// # Errors
    /// As [`revoke`](Registry::revoke).
    ///
    /// # Panics
    /// As [`revoke`](Registry::revoke).
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
        let (completion, done) = Completion::new();
        let revoked = self.revoke_then_at(handle, Some(Location::caller()), done);
        let _ = revoked.map_err(|(rejected, _)| rejected)?;
        Ok(completion)
    }

    fn revoke_then_at(
        &self,
        handle: Handle,
        at: Option<&'static Location<'static>>,
        done: BoxedOnce,
    ) -> Result<Revoked, (Rejected, BoxedOnce)> {
        // A destructor's panic goes on after `done` has run.
        let mut done = RunAtLast { core: &self.core, done: Some(done) };
        let revoked = match self.revoke_at(handle, at) {
            Ok(revoked) => revoked,
            Err(rejected) => match done.done.take() {
                Some(done) => return Err((rejected, done)),
                None => unreachable!("nobody has taken it"),
            },
        };
        let slot = match self.resolve(handle) {
            Ok(slot) => slot,
            Err(_) => unreachable!("a handle that was revoked names a slot"),
        };
        let over = || is_over(slot.word(handle.index()), handle);
        let early = self.core.mutated(Mutation::LookBeforeLocking).then(over);
        let mut bookkeeping = lock(&self.core.bookkeeping);
        // Under the lock under which `finish` takes completions out and the slot becomes "gone".
        if !early.unwrap_or_else(over)
            && let Some(done) = done.done.take()
        {
            bookkeeping.completions.push((handle, done));
        }
        drop(bookkeeping);
        if slot.word(handle.index()).is(handle, State::Closing) {
            // Deferred: nobody else may ever see to it. Now that `done` is listed, so that it also runs if this panics.
            self.reclaim();
        }
        Ok(revoked)
    }
}

struct RunAtLast<'r> {
    core: &'r Core,
    done: Option<BoxedOnce>,
}

impl Drop for RunAtLast<'_> {
    fn drop(&mut self) {
        if let Some(done) = self.done.take() {
            self.core.run_contained(done);
        }
    }
}

impl<F: ?Sized> Registration<'_, F> {
    /// Revokes, does not wait, and runs `done` when the closure has been dropped; see [`Registry::revoke_then`].
    #[track_caller]
    pub fn revoke_then(&self, done: impl FnOnce() + Send + 'static) -> Revoked {
        let registry = self.registry();
        registry.revoke_then_at(self.handle(), Some(Location::caller()), Box::new(done)).unwrap_or_else(|(_, done)| {
            // The slot has been vacated since, so it is over.
            registry.core.run_contained(done);
            Revoked::AlreadyRevoked
        })
    }

    /// Revokes, does not wait, and returns a future; see [`Registry::revoke_async`].
    #[track_caller]
    pub fn revoke_async(&self) -> Completion {
        let (completion, done) = Completion::new();
        let registry = self.registry();
        if let Err((_, done)) = registry.revoke_then_at(self.handle(), Some(Location::caller()), done) {
            registry.core.run_contained(done);
        }
        completion
    }
}

/// Ready when a revoked callback's closure has been dropped; made by [`Registry::revoke_async`].
#[must_use = "a future that nobody polls tells nobody"]
pub struct Completion(Arc<Mutex<Progress>>);

#[derive(Default)]
struct Progress {
    done: bool,
    waker: Option<Waker>,
}

impl Completion {
    fn new() -> (Self, BoxedOnce) {
        let progress = Arc::new(Mutex::new(Progress::default()));
        let own = Arc::clone(&progress);
        let done = Box::new(move || {
            let waker = {
                let mut progress = lock(&own);
                progress.done = true;
                progress.waker.take()
            };
            // No lock is held: a waker is somebody else's code.
            if let Some(waker) = waker {
                waker.wake();
            }
        });
        (Self(progress), done)
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
        // Dropped with no lock held.
        drop(old);
        Poll::Pending
    }
}

impl fmt::Debug for Completion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Completion").field("done", &lock(&self.0).done).finish()
    }
}

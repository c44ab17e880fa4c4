//! Callbacks that belong to one thread, their home: they run only there, and are dropped only there.
//!
//! Another thread may have to drop the callback: it revokes it, or its call is the last to leave. (A call on the wrong
//! thread is refused, but counts as in flight until then.) That thread posts the closure to the home thread's inbox.
//! The home thread drops it when it next makes or [collects](collect_confined) a confined callback, or ends.

use crate::registry::{Reason, ThreadTag};
use crate::sync::{Arc, AtomicBool, Mutex, Ordering, lock};
use std::mem::ManuallyDrop;
use std::ops::Deref;

/// A `Fn` that is not `Send`: owned (`Posted`) or borrowed (`&C`).
pub struct Confined<H: Held> {
    /// The number of the home thread.
    home: u64,
    held: ManuallyDrop<H>,
}

/// How a confined callback holds its closure.
///
/// # Safety
///
/// 1. Any thread may move it: a move does not access the closure.
/// 2. Any thread may call `release(false)`: it does not access the closure.
/// 3. Everything in it except the closure is `Send` and `Sync`.
pub unsafe trait Held: Deref {
    /// Gives the closure up. `at_home`: the calling thread is the home thread.
    fn release(self, at_home: bool);
}

// SAFETY: only the home thread accesses the closure. `get` and `drop` compare the thread's number with `home` before
// they dereference `held` or call `release(true)`, and thread numbers are never reused. Another thread can only move
// `held` (clause 1 of `Held`), call `release(false)` (clause 2), and access the rest (clause 3).
unsafe impl<H: Held> Send for Confined<H> {}
// SAFETY: a shared reference gives `get`, which dereferences `held` on the home thread only; `home` is a number.
unsafe impl<H: Held> Sync for Confined<H> {}

impl<C: 'static> Confined<Posted<C>> {
    /// A callback of the calling thread.
    pub fn new(run: C) -> Self {
        collect_confined();
        let inbox = OWN.try_with(|own| Arc::clone(&own.0)).ok();
        Self::of_this_thread(Posted { inbox, run: Box::new(run) })
    }
}

impl<'a, C> Confined<&'a C> {
    /// A callback of the calling thread. The caller keeps the closure.
    pub fn borrowed(run: &'a C) -> Self {
        Self::of_this_thread(run)
    }
}

impl<H: Held> Confined<H> {
    fn of_this_thread(held: H) -> Self {
        Self { home: ThreadTag::current().number(), held: ManuallyDrop::new(held) }
    }

    fn at_home(&self) -> bool {
        ThreadTag::current().number() == self.home
    }

    /// The closure, if this is the home thread.
    ///
    /// # Errors
    /// [`Reason::WrongThread`] on any other thread.
    pub fn get(&self) -> Result<&H::Target, Reason> {
        if self.at_home() { Ok(&self.held) } else { Err(Reason::WrongThread) }
    }
}

impl<H: Held> Drop for Confined<H> {
    fn drop(&mut self) {
        // SAFETY: `self` is being dropped, so `held` is neither used nor taken again.
        let held = unsafe { ManuallyDrop::take(&mut self.held) };
        held.release(self.at_home());
    }
}

/// An owned closure. If another thread releases it, it is posted to its home thread.
pub struct Posted<C: 'static> {
    /// The home thread's. `None`: that thread's locals were already destroyed when this was made.
    inbox: Option<Arc<Inbox>>,
    run: Box<C>,
}

impl<C> Deref for Posted<C> {
    type Target = C;

    fn deref(&self) -> &C {
        &self.run
    }
}

// SAFETY: (1) a move copies the box's address and the inbox's. (2) `release(false)` moves the box into a parcel, or
// forgets it. (3) the rest is an `Arc<Inbox>`, which is `Send` and `Sync`.
unsafe impl<C> Held for Posted<C> {
    fn release(self, at_home: bool) {
        let Posted { inbox, run } = self;
        match inbox {
            _ if at_home => drop(run),
            Some(inbox) => inbox.post(Parcel(run)),
            // A leak: the home thread had no inbox any more, and no other thread may run the destructor.
            None => std::mem::forget(run),
        }
    }
}

// SAFETY: (1) a move copies an address. (2) `release` does nothing: the closure stays with its owner. (3) There is no
// rest.
unsafe impl<C> Held for &C {
    fn release(self, _at_home: bool) {}
}

trait Anything {}
impl<T> Anything for T {}

/// A closure on its way to its home thread.
struct Parcel(#[expect(dead_code, reason = "kept to be dropped")] Box<dyn Anything>);

// SAFETY: only the home thread drops a parcel: it alone takes parcels out of its inbox (`collect_confined`,
// `Own::drop`). After it has ended, `post` forgets the parcel. No thread accesses the closure in a parcel otherwise.
unsafe impl Send for Parcel {}

/// Closures that other threads have posted, for their home thread to drop.
pub(super) struct Inbox {
    /// Whether there may be parcels. Saves taking the lock.
    waiting: AtomicBool,
    /// `None`: the home thread has ended.
    parcels: Mutex<Option<Vec<Parcel>>>,
}

impl Inbox {
    fn post(&self, parcel: Parcel) {
        match &mut *lock(&self.parcels) {
            Some(parcels) => {
                parcels.push(parcel);
                // Release: pairs with the Acquire load in `collect_confined`. The lock orders the parcel itself.
                self.waiting.store(true, Ordering::Release);
            }
            // A leak: the home thread has ended, and no other thread may run the destructor.
            None => std::mem::forget(parcel),
        }
    }
}

/// The inbox of this thread. Dropped when the thread ends.
struct Own(Arc<Inbox>);

impl Drop for Own {
    fn drop(&mut self) {
        // The parcels are dropped with no lock held: a destructor may drop or post further confined callbacks.
        let parcels = lock(&self.0.parcels).take();
        drop(parcels);
    }
}

std::thread_local! {
    static OWN: Own = Own(Arc::new(Inbox { waiting: AtomicBool::new(false), parcels: Mutex::new(Some(Vec::new())) }));
}

/// Drops the closures of `confined` callbacks that other threads have posted to the calling thread. Returns how many.
///
/// A closure is posted when another thread would have dropped its callback: by revoking it, or because a call there,
/// which was refused, was the last to leave. Each `confined` constructor also collects, and so does the end of the
/// thread. Call this function on a thread that lives long and makes no more confined callbacks. It does not wait.
///
/// # Panics
/// With the panic of a closure's destructor.
///
/// ```
/// assert_eq!(latecall::signature::collect_confined(), 0);
/// ```
pub fn collect_confined() -> usize {
    let parcels = OWN.try_with(|own| {
        // Acquire: pairs with the Release store in `post`.
        if !own.0.waiting.load(Ordering::Acquire) {
            return Vec::new();
        }
        let mut parcels = lock(&own.0.parcels);
        // Relaxed: every write of `waiting` is under this lock.
        own.0.waiting.store(false, Ordering::Relaxed);
        parcels.as_mut().map(std::mem::take).unwrap_or_default()
    });
    // The parcels are dropped here, with no lock held: a destructor may make or post confined callbacks.
    parcels.map(|parcels| parcels.len()).unwrap_or(0)
}

//! Callbacks that belong to a thread: run there and nowhere else, and dropped there.
//!
//! A call from another thread is counted in before it is refused, so it may be the last to leave a revoked callback and
//! would then drop it. It posts the callback to its thread instead (S49), which drops it when it next makes, runs or
//! [collects](collect_confined) a confined callback, or when it ends.

use crate::registry::{Reason, ThreadTag};
use crate::sync::{Arc, AtomicBool, Mutex, Ordering, lock};
use std::mem::ManuallyDrop;

/// `Fn` that is not `Send`.
pub struct Confined<C: 'static> {
    owner: u64,
    /// `None`: the thread was being torn down when this was made.
    inbox: Option<Arc<Inbox>>,
    run: ManuallyDrop<Box<C>>,
}

// SAFETY: `run` is used by the thread `owner` alone: `get` and `drop` compare, and thread numbers are never reused. What
// another thread does is to move the box, and a box is an address.
unsafe impl<C> Send for Confined<C> {}
// SAFETY: as for Send; the other fields are Sync.
unsafe impl<C> Sync for Confined<C> {}

impl<C> Confined<C> {
    /// A callback of the calling thread.
    pub fn new(run: C) -> Self {
        collect_confined();
        let inbox = OWN.try_with(|own| Arc::clone(&own.0)).ok();
        Self { owner: ThreadTag::current().number(), inbox, run: ManuallyDrop::new(Box::new(run)) }
    }

    /// The closure, on its own thread (S60).
    pub fn get(&self) -> Result<&C, Reason> {
        if ThreadTag::current().number() == self.owner { Ok(&self.run) } else { Err(Reason::WrongThread) }
    }
}

impl<C> Drop for Confined<C> {
    fn drop(&mut self) {
        // SAFETY: `run` is not used after this: the value is being dropped.
        let run = unsafe { ManuallyDrop::take(&mut self.run) };
        if ThreadTag::current().number() == self.owner {
            drop(run);
        } else if let Some(inbox) = &self.inbox {
            inbox.post(Parcel(run));
        } else {
            // Its thread was ending when it was made: nobody may run its destructor any more.
            std::mem::forget(run);
        }
    }
}

trait Anything {}
impl<T> Anything for T {}

/// A closure on its way to the thread that may drop it.
struct Parcel(#[expect(dead_code, reason = "kept to be dropped")] Box<dyn Anything>);

// SAFETY: `Inbox` gives parcels to the thread that the closure belongs to, and forgets them when that has ended.
unsafe impl Send for Parcel {}

/// Where other threads leave what one thread has to drop.
pub(super) struct Inbox {
    /// Whether there may be something, so that looking is cheap.
    waiting: AtomicBool,
    /// `None` when the thread has ended.
    parcels: Mutex<Option<Vec<Parcel>>>,
}

impl Inbox {
    fn post(&self, parcel: Parcel) {
        match &mut *lock(&self.parcels) {
            Some(parcels) => {
                parcels.push(parcel);
                // Release pairs with the Acquire in `collect_confined`; the parcel itself is ordered by the lock.
                self.waiting.store(true, Ordering::Release);
            }
            // The thread has ended: a leak is all that can be done for a destructor that belongs to it.
            None => std::mem::forget(parcel),
        }
    }
}

struct Own(Arc<Inbox>);

impl Drop for Own {
    fn drop(&mut self) {
        // Taken out first: a destructor may drop further confined callbacks.
        let parcels = lock(&self.0.parcels).take();
        drop(parcels);
    }
}

std::thread_local! {
    static OWN: Own = Own(Arc::new(Inbox { waiting: AtomicBool::new(false), parcels: Mutex::new(Some(Vec::new())) }));
}

/// Drops the confined callbacks of this thread that other threads were the last to leave. Returns how many.
///
/// Making a confined callback does so as well, and so does the end of the thread; call this where a thread lives long and
/// makes none.
///
/// ```
/// assert_eq!(latecall::signature::collect_confined(), 0);
/// ```
pub fn collect_confined() -> usize {
    let parcels = OWN.try_with(|own| {
        // Acquire pairs with the Release in `post`.
        if !own.0.waiting.load(Ordering::Acquire) {
            return Vec::new();
        }
        let mut parcels = lock(&own.0.parcels);
        // Relaxed: written under the lock.
        own.0.waiting.store(false, Ordering::Relaxed);
        parcels.as_mut().map(std::mem::take).unwrap_or_default()
    });
    // No lock is held where the destructors run.
    parcels.map(|parcels| parcels.len()).unwrap_or(0)
}

/// `&Fn` that is not `Send`: the closure stays with its owner, so there is nothing to drop.
pub struct ConfinedRef<'a, C> {
    owner: u64,
    run: &'a C,
}

// SAFETY: `run` is dereferenced by the thread `owner` alone: `get` compares, and thread numbers are never reused.
unsafe impl<C> Send for ConfinedRef<'_, C> {}
// SAFETY: as for Send.
unsafe impl<C> Sync for ConfinedRef<'_, C> {}

impl<'a, C> ConfinedRef<'a, C> {
    /// A callback of the calling thread.
    pub fn new(run: &'a C) -> Self {
        Self { owner: ThreadTag::current().number(), run }
    }

    /// As [`Confined::get`].
    pub fn get(&self) -> Result<&C, Reason> {
        if ThreadTag::current().number() == self.owner { Ok(self.run) } else { Err(Reason::WrongThread) }
    }
}

//! Callbacks that belong to a thread: run there and nowhere else, and dropped there.
//!
//! A call from another thread is counted in before it is refused, so it may be the last to leave a revoked callback and
//! would then drop it. It posts the callback to its thread instead (S49), which drops it when it next makes, runs or
//! [collects](collect_confined) a confined callback, or when it ends.

use crate::registry::{Reason, ThreadTag};
use crate::sync::{Arc, AtomicBool, Mutex, Ordering, lock};
use std::mem::ManuallyDrop;
use std::ops::Deref;

/// `Fn` that is not `Send`, its own (`Posted`) or borrowed (`&C`).
pub struct Confined<H: Held> {
    owner: u64,
    held: ManuallyDrop<H>,
}

/// How a confined callback holds its closure.
///
/// # Safety
///
/// 1. Moving it touches nothing of the closure, on whichever thread.
/// 2. Neither does `let_go`, unless told that it is `at_home`.
/// 3. What it holds beside the closure is `Send` and `Sync`.
pub unsafe trait Held: Deref {
    /// Gives the closure up. `at_home`: this is the thread that it belongs to.
    fn let_go(self, at_home: bool);
}

// SAFETY: `held` is dereferenced and let go of `at_home` by the thread `owner` alone: `get` and `drop` compare, and thread
// numbers are never reused. All else that another thread does touches nothing of the closure, and what is not the closure may
// be touched: clauses 1. to 3. of `Held`.
unsafe impl<H: Held> Send for Confined<H> {}
// SAFETY: as for Send.
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
    /// A callback of the calling thread, which keeps the closure.
    pub fn borrowed(run: &'a C) -> Self {
        Self::of_this_thread(run)
    }
}

impl<H: Held> Confined<H> {
    fn of_this_thread(held: H) -> Self {
        Self { owner: ThreadTag::current().number(), held: ManuallyDrop::new(held) }
    }

    fn at_home(&self) -> bool {
        ThreadTag::current().number() == self.owner
    }

    /// The closure, on its own thread (S60).
    pub fn get(&self) -> Result<&H::Target, Reason> {
        if self.at_home() { Ok(&self.held) } else { Err(Reason::WrongThread) }
    }
}

impl<H: Held> Drop for Confined<H> {
    fn drop(&mut self) {
        // SAFETY: `held` is not used after this: the value is being dropped.
        let held = unsafe { ManuallyDrop::take(&mut self.held) };
        held.let_go(self.at_home());
    }
}

/// A closure that is posted home when another thread lets it go.
pub struct Posted<C: 'static> {
    /// `None`: the thread was being torn down when this was made.
    inbox: Option<Arc<Inbox>>,
    run: Box<C>,
}

impl<C> Deref for Posted<C> {
    type Target = C;

    fn deref(&self) -> &C {
        &self.run
    }
}

// SAFETY: 1. a box is an address. 2. Away from home the box is moved, into a parcel, or forgotten. 3. The inbox is.
unsafe impl<C> Held for Posted<C> {
    fn let_go(self, at_home: bool) {
        let Posted { inbox, run } = self;
        match inbox {
            _ if at_home => drop(run),
            Some(inbox) => inbox.post(Parcel(run)),
            // Its thread was ending when it was made: nobody may run its destructor any more.
            None => std::mem::forget(run),
        }
    }
}

// SAFETY: 1. a reference is an address. 2. There is nothing to let go of: the closure stays with its owner. 3. Nothing else.
unsafe impl<C> Held for &C {
    fn let_go(self, _at_home: bool) {}
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

//! What some registrations have besides their closure: a policy for late calls, and a destroy notify. By the index of
//! the slot, in chunks that exist only where a registration needed one; a registry without any has no chunk.
//!
//! Nothing here takes a lock. A destroy notify belongs to the thread that owns the closure. A policy is read by late
//! calls at any time, also while the slot's next registration replaces it.

use super::completion::Notify;
use super::error::LateCall;
use super::handle::Handle;
use super::policy::LatePolicy;
use super::sync::{AtomicBool, AtomicPtr, AtomicUsize, CHUNKS, Ordering, array_of, const_fn};
use super::table::{chunk_of, extent};
use std::ptr;

pub(super) struct Extras {
    /// Null until the chunk is needed. Freed when the registry is dropped.
    chunks: [AtomicPtr<Extra>; CHUNKS],
    /// Whether there is, or was, a policy. Relaxed: the slot's word orders it.
    any_policy: AtomicBool,
}

struct Extra {
    /// The handle that `policy` belongs to; 0 while there is none, or while it changes.
    policy_of: AtomicUsize,
    /// See `encode`.
    policy: AtomicPtr<()>,
    /// From `Box::into_raw`, or null.
    notify: AtomicPtr<Notify>,
}

impl Extras {
    const_fn! {
        pub(super) const fn new() -> Self {
            Self {
                chunks: array_of![AtomicPtr::new(ptr::null_mut()); CHUNKS],
                any_policy: AtomicBool::new(false),
            }
        }
    }

    #[inline]
    fn get(&self, index: u32) -> Option<&Extra> {
        // Acquire pairs with the Release in `ensure`: a thread that sees the chunk sees its entries initialised.
        let chunk = self.chunks.get(chunk_of(index))?.load(Ordering::Acquire);
        if chunk.is_null() {
            return None;
        }
        let place = index as usize - extent(chunk_of(index)).0;
        // SAFETY: `ensure` made the chunk as long as `extent` says, and `place` is less than that. It lives until the
        // registry is dropped, and is only shared until then.
        Some(unsafe { &*chunk.cast_const().wrapping_add(place) })
    }

    /// Allocates the chunk of `index` if it does not exist; false if there is no memory. The caller holds the
    /// registry's lock.
    pub(super) fn ensure(&self, index: u32) -> bool {
        let Some(place) = self.chunks.get(chunk_of(index)) else { return false };
        // Relaxed: it is written only under the registry's lock, which this thread holds.
        if !place.load(Ordering::Relaxed).is_null() {
            return true;
        }
        let length = extent(chunk_of(index)).1;
        let mut chunk = Vec::new();
        if chunk.try_reserve_exact(length).is_err() {
            return false;
        }
        chunk.extend((0..length).map(|_| Extra {
            policy_of: AtomicUsize::new(0),
            policy: AtomicPtr::new(ptr::null_mut()),
            notify: AtomicPtr::new(ptr::null_mut()),
        }));
        // The length is the capacity, so that this allocates nothing. Release pairs with the Acquire in `get`.
        place.store(Box::into_raw(chunk.into_boxed_slice()).cast(), Ordering::Release);
        true
    }

    /// Sets what the registration `handle` has. Under the registry's lock, after `ensure`, and before the slot is
    /// published, so before any thread can use the handle.
    pub(super) fn set(&self, handle: Handle, policy: Option<LatePolicy>, notify: Option<Box<Notify>>) {
        let Some(extra) = self.get(handle.index()) else { return };
        if let Some(policy) = policy {
            // Relaxed: the Release of the next store passes it on. A reader that finds the new policy finds this, or
            // the new handle.
            extra.policy_of.store(0, Ordering::Relaxed);
            // Release pairs with the Acquire of the second load in `policy`.
            extra.policy.store(encode(policy), Ordering::Release);
            // Release pairs with the Acquire of the first load in `policy`: a reader that finds this handle finds its
            // policy, or a later one.
            extra.policy_of.store(handle.bits(), Ordering::Release);
            // Relaxed: the Release store in `Slot::publish` comes after it, and every use of the handle acquires that
            // store.
            self.any_policy.store(true, Ordering::Relaxed);
        }
        if let Some(notify) = notify {
            // Relaxed: as for `any_policy`.
            extra.notify.store(Box::into_raw(notify), Ordering::Relaxed);
        }
    }

    #[inline]
    pub(super) fn any_policy(&self) -> bool {
        // Relaxed: see `set`.
        self.any_policy.load(Ordering::Relaxed)
    }

    /// The policy of the registration `handle`, if it had one and no later registration of its slot has. Any thread.
    pub(super) fn policy(&self, handle: Handle) -> Option<LatePolicy> {
        let extra = self.get(handle.index())?;
        // Acquire pairs with the last Release in `set`.
        if extra.policy_of.load(Ordering::Acquire) != handle.bits() {
            return None;
        }
        // Acquire pairs with the first Release in `set`: if this is the policy of a later registration, the load below
        // finds that the handle has changed. No handle comes back, because generations do not wrap.
        let policy = extra.policy.load(Ordering::Acquire);
        // Relaxed: the Acquire before it orders it.
        (extra.policy_of.load(Ordering::Relaxed) == handle.bits()).then(|| decode(policy))
    }

    /// Takes the destroy notify out, if there is one. Only for the thread that owns the closure in slot `index`, or for
    /// one that has the registry to itself.
    #[inline]
    pub(super) fn take_notify(&self, index: u32) -> Option<Box<Notify>> {
        let extra = self.get(index)?;
        // Relaxed, both: the slot's word orders them, as it orders the accesses to the closure.
        let notify = extra.notify.load(Ordering::Relaxed);
        if notify.is_null() {
            return None;
        }
        extra.notify.store(ptr::null_mut(), Ordering::Relaxed);
        // SAFETY: `set` got the pointer from `Box::into_raw`. It becomes a box again only once: only the thread that
        // owns the closure calls this, and the pointer has just been taken out of the slot.
        Some(unsafe { Box::from_raw(notify) })
    }
}

impl Extras {
    /// Frees all chunks. Destroy notifies in them are leaked.
    ///
    /// # Safety
    /// 1. No other thread uses them.
    pub(super) unsafe fn clear(&self) {
        for (chunk, place) in self.chunks.iter().enumerate() {
            // Relaxed: by clause 1 no other thread uses them.
            let entries = place.load(Ordering::Relaxed);
            if entries.is_null() {
                continue;
            }
            place.store(ptr::null_mut(), Ordering::Relaxed);
            let entries = ptr::slice_from_raw_parts_mut(entries, extent(chunk).1);
            // SAFETY: `ensure` got it from `Box::into_raw` of a slice of this length, and it is freed once, because
            // the place is null now.
            drop(unsafe { Box::from_raw(entries) });
        }
    }
}

impl Drop for Extras {
    fn drop(&mut self) {
        // SAFETY: (1) `&mut self` is exclusive. `teardown.rs` has taken the destroy notifies out.
        unsafe { self.clear() };
    }
}

/// A policy as a pointer: the address of the hook, or a number that is no address of a function.
fn encode(policy: LatePolicy) -> *mut () {
    match policy {
        LatePolicy::Count => ptr::without_provenance_mut(1),
        LatePolicy::Report => ptr::without_provenance_mut(2),
        LatePolicy::Abort => ptr::without_provenance_mut(3),
        LatePolicy::Hook(hook) => hook as *mut (),
    }
}

fn decode(policy: *mut ()) -> LatePolicy {
    match policy.addr() {
        1 => LatePolicy::Count,
        2 => LatePolicy::Report,
        3 => LatePolicy::Abort,
        // SAFETY: `encode` made every other value from a function of this type: no function is at the addresses 0 to 3,
        // which are never mapped.
        _ => LatePolicy::Hook(unsafe { std::mem::transmute::<*mut (), fn(&LateCall<'_>)>(policy) }),
    }
}

//! What belongs to one address that C may hold: the handle of its callback, and the thunk's place in the lists.

use crate::registry::Handle;
use crate::sync::{AtomicPtr, AtomicUsize, Ordering};
use std::ffi::c_void;
use std::ptr;

/// One address for C, and the callback that a call of the address runs.
///
/// It is never freed, because C may call the address for ever. Machine code of a page reads `handle`, so the layout is
/// fixed: see `template.rs`. All bytes zero is a valid `Data`.
#[repr(C)]
pub struct Data {
    /// The handle of the callback. It stays when the callback is over, so that a late call names the callback.
    handle: AtomicUsize,
    /// How many [`Lease`](super::Lease)s there are, and `UNARMED`. 0: the address is in a list of its stock.
    holders: AtomicUsize,
    /// The next one in the same list. Used by `stock.rs`, under its lock.
    pub(super) next: AtomicPtr<Data>,
    /// The address. Written before the first lease of this `Data`, and never changed.
    code: AtomicPtr<()>,
}

/// Added to `holders`: the present lease has set no handle, so C has never seen the address in its name.
const UNARMED: usize = 1 << 8;

impl Data {
    /// An address that is in no list and has no callback.
    #[must_use]
    #[allow(clippy::new_without_default, reason = "made by the macro, in a static")]
    pub const fn new() -> Self {
        Self {
            handle: AtomicUsize::new(0),
            holders: AtomicUsize::new(0),
            next: AtomicPtr::new(ptr::null_mut()),
            code: AtomicPtr::new(ptr::null_mut()),
        }
    }

    /// The handle of the callback, as user data.
    #[inline(always)]
    #[must_use]
    pub fn user_data(&self) -> *mut c_void {
        // Relaxed: the handle is an integer, and the registry decides what it means. A caller got the address after
        // `arm`, or after a lease of an earlier callback. It therefore reads that callback's handle or a later one.
        Handle::from_bits(self.handle.load(Ordering::Relaxed)).as_ptr()
    }

    /// Sets the address, before the first lease.
    pub(super) fn set_code(&self, code: *const ()) {
        // Relaxed: the lock of `stock.rs` orders it before every use.
        self.code.store(code.cast_mut(), Ordering::Relaxed);
    }

    /// The address for C.
    pub(super) fn code(&self) -> *const () {
        // Relaxed: see `set_code`.
        self.code.load(Ordering::Relaxed)
    }

    /// Begins two leases: of a callback, and of its owner. The caller has taken this out of its list.
    pub(super) fn lease(&self) {
        // Relaxed: the lock of the lists ordered the end of the last lease before this, and no other thread has it now.
        self.holders.store(2 | UNARMED, Ordering::Relaxed);
    }

    /// Makes calls of the address run the callback that `handle` names.
    pub(super) fn arm(&self, handle: Handle) {
        // Relaxed: see `user_data`.
        self.handle.store(handle.bits(), Ordering::Relaxed);
        // Relaxed: the AcqRel in `release` orders it, because the caller has a lease, which it ends later.
        self.holders.fetch_and(!UNARMED, Ordering::Relaxed);
    }

    /// Ends one lease. Returns what to do if it was the last one.
    pub(super) fn release(&self) -> Released {
        // AcqRel: Release pairs with the Acquire of the other holder's `release`, so that the last one to release
        // sees that the other has armed the address.
        match self.holders.fetch_sub(1, Ordering::AcqRel) {
            1 => Released::Dead,
            last if last == UNARMED + 1 => Released::Unused,
            _ => Released::Held,
        }
    }
}

/// What the end of a lease found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Released {
    /// There is another lease.
    Held,
    /// C may hold the address.
    Dead,
    /// The address was never armed in the name of this lease.
    Unused,
}

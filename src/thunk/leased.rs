//! A callback together with its right to an address.

use super::stock::Lease;
use crate::signature::Callback;
use std::ops::Deref;

/// A callback of a signature without user data.
pub struct Leased<F: ?Sized> {
    /// The lease of the address that runs the callback; `None`: it has no address (yet). It ends when the registry
    /// drops the callback, so when no call is inside.
    lease: Option<Lease>,
    run: F,
}

impl<F: ?Sized> Deref for Leased<F> {
    type Target = F;

    #[inline(always)]
    fn deref(&self) -> &F {
        &self.run
    }
}

impl<F: ?Sized> Leased<F> {
    /// Gives the callback its lease.
    pub fn set_lease(&mut self, lease: Lease) {
        self.lease = Some(lease);
    }
}

/// A callback that has no address yet.
pub const fn leased<F>(run: F) -> Callback<Leased<F>> {
    Callback::new(Leased { lease: None, run })
}

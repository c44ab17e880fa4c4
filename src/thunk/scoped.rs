//! Borrowed thunks, for C functions that call back while they run: sorts, searches, walks.

use super::bare::{self, Bare};
use super::stock::Lease;
use crate::registry::Shortage;
use crate::signature::{Boxed, Scope};

impl<'env, S: Bare> Scope<'env, S> {
    /// Lends `callback` to C until the scope ends, as a function of its own. Any thread may call the function, as the
    /// callback's kind allows, and at any time: after the scope every call is late.
    ///
    /// # Panics
    /// If no address can be had or the signature's registry is exhausted or closed. `callback` has been dropped.
    ///
    /// ```
    /// use latecall::signature::scope;
    /// use std::{cell::Cell, ffi::{c_int, c_void}};
    ///
    /// latecall::signature! {
    ///     /// `int (*)(const void *, const void *)`
    ///     extern "C" fn Compare(one: *const c_void, other: *const c_void) -> c_int;
    ///     late = 0;
    ///     panic = Carry;
    /// }
    /// unsafe extern "C" {
    ///     fn qsort(items: *mut c_void, count: usize, size: usize, compare: extern "C" fn(*const c_void, *const c_void) -> c_int);
    /// }
    /// let (mut items, calls) = ([3_u8, 1, 2], Cell::new(0));
    /// let compare = |one: *const c_void, other: *const c_void| {
    ///     calls.set(calls.get() + 1); // borrowed, and not `Sync`: the callback stays on this thread
    ///     // SAFETY: `qsort` passes pointers to two items of the array that it was given.
    ///     let (one, other) = unsafe { (*one.cast::<u8>(), *other.cast::<u8>()) };
    ///     one.cmp(&other) as c_int
    /// };
    /// scope::<Compare, _>(|scope| {
    ///     let function = scope.thunk(Compare::confined_ref(&compare));
    ///     // SAFETY: the array has three items of one byte each, and `function` compares such items.
    ///     unsafe { qsort(items.as_mut_ptr().cast(), 3, 1, function) };
    /// });
    /// assert_eq!(items, [1, 2, 3]);
    /// assert!(calls.get() > 0);
    /// ```
    #[track_caller]
    pub fn thunk(&self, callback: Boxed<'env, S>) -> S::Function {
        self.try_thunk(callback)
            .unwrap_or_else(|shortage| panic!("signature {}: no thunk can be made: {shortage}", S::NAME))
    }

    /// As [`thunk`](Scope::thunk), with failure as a value.
    ///
    /// # Errors
    /// [`Shortage`]: what ran out. `callback` has been dropped.
    #[track_caller]
    pub fn try_thunk(&self, mut callback: Boxed<'env, S>) -> Result<S::Function, Shortage> {
        // The owner's lease lasts until the address is armed.
        let (lease, own) = Lease::pair(&S::parts())?;
        S::set_lease(callback.get_mut(), lease);
        own.arm(self.try_register(callback)?);
        Ok(bare::function::<S>(&own))
    }
}

//! Borrowed callbacks, for C functions that call back while they run: enumerations, sorts, walks.
//!
//! Soundness does not depend on the C function's promise to keep nothing. C is given a handle. The end of the scope
//! revokes the registration and waits for its calls, so a later call with a handle that C kept is late.

use super::{Boxed, Callback, PanicPolicy, Signature, carry};
use crate::registry::{Exhausted, Handle, Shortage};
use std::cell::RefCell;
use std::fmt;
use std::marker::PhantomData;

/// Lends callbacks to C; see [`scope`].
pub struct Scope<'env, S: Signature> {
    lent: RefCell<Vec<Handle>>,
    /// Makes `'env` invariant. With a shortened `'env` the scope would accept callbacks that do not outlive it.
    _env: PhantomData<(&'env mut &'env (), S)>,
}

/// Runs `run` with a [`Scope`], through which `run` may lend callbacks that borrow from the caller.
///
/// When `run` returns or unwinds, `scope` revokes each lent callback and waits for its calls. When `scope` returns, no
/// call is running a lent callback, and all of them have been dropped.
///
/// There is no guard that could be forgotten, so a lent callback cannot outlive what it borrows. If the library keeps a
/// handle and calls with it later, the call is late like any other.
///
/// * *Waiting*: `scope` waits for calls on other threads without a limit.
/// * *Threads*: C may call a lent callback on any thread, as its kind allows. The [`Scope`] itself stays on this
///   thread.
///
/// # Panics
/// If `run` or a callback's destructor panics. With [`PanicPolicy::Carry`], also with the panic of a callback that C
/// called on this thread, as [`carry`] does. In each case the panic continues after all callbacks have been dropped.
///
/// ```
/// use latecall::signature::scope;
/// use std::ffi::c_void;
///
/// latecall::signature! {
///     /// `int (*)(int item, void *user_data)`: nonzero to go on.
///     extern "C" fn OnItem(item: i32, user_data) -> i32;
///     late = 0;
///     panic = Carry;
/// }
/// # fn enumerate(each: extern "C" fn(i32, *mut c_void) -> i32, user_data: *mut c_void) {
/// #     for item in 1..=9 { if each(item, user_data) == 0 { return } }
/// # }
/// use latecall::signature::Overlap::Reject;
///
/// let mut seen = Vec::new();
/// let mut kept = std::ptr::null_mut();
/// scope::<OnItem, _>(|scope| {
///     let each = scope.register(OnItem::exclusive(Reject, |item| { seen.push(item); i32::from(item < 3) }));
///     enumerate(OnItem::function(), each.as_ptr());
///     kept = each.as_ptr(); // a library that breaks its promise
/// });
/// assert_eq!(seen, [1, 2, 3]);
/// assert_eq!(OnItem::function()(4, kept), 0); // late
/// ```
pub fn scope<'env, S: Signature, T>(run: impl FnOnce(&Scope<'env, S>) -> T) -> T {
    let scoped = || {
        let scope = Scope { lent: RefCell::new(Vec::new()), _env: PhantomData };
        // Ends the scope also if `run` unwinds. `run` cannot forget it, because it gets the reference only.
        let end = End(&scope);
        let result = run(end.0);
        drop(end);
        result
    };
    match S::PANIC {
        PanicPolicy::Carry => carry(scoped),
        _ => scoped(),
    }
}

impl<'env, S: Signature> Scope<'env, S> {
    /// Lends `callback` to C until the scope ends. Give the returned handle to C together with [`Signature::function`].
    /// To revoke the callback earlier, use its handle.
    ///
    /// # Panics
    /// When the signature's registry is exhausted or closed. `callback` has been dropped.
    #[track_caller]
    pub fn register(&self, callback: Boxed<'env, S>) -> Handle {
        self.try_register(callback)
            .unwrap_or_else(|shortage| panic!("signature {}: the callback cannot be lent: {shortage}", S::NAME))
    }

    /// Lends `callback` to C as [`register`](Scope::register) does, and returns an error instead of a panic.
    ///
    /// # Errors
    /// [`Shortage`]: what ran out. `callback` has been dropped.
    #[track_caller]
    pub fn try_register(&self, callback: Boxed<'env, S>) -> Result<Handle, Shortage> {
        // Reserved before the registration is made: once it is made, noting it must not fail.
        self.lent.borrow_mut().reserve(1);
        // SAFETY: (1) `End` revokes the callback and waits until it has been dropped, before `scope` returns. 'env is a
        // lifetime parameter of `scope`, so it outlives that call. `Scope` is not `Sync` and is only lent to `run`, and
        // its 'env is invariant, so `try_register` runs during that call and with that 'env.
        let callback = unsafe { outlive::<S>(callback) };
        match S::registry().try_register(callback) {
            Ok(registration) => {
                let handle = registration.leak();
                self.lent.borrow_mut().push(handle);
                Ok(handle)
            }
            Err(exhausted) => Err(Exhausted::shortage(&exhausted)),
        }
    }
}

/// Extends the callback's lifetime to `'static`.
///
/// # Safety
/// 1. The callback is dropped before `'env` ends, and is not used after that.
unsafe fn outlive<'env, S: Signature>(callback: Boxed<'env, S>) -> Boxed<'static, S> {
    let raw: *mut Callback<S::Target<'env>> = Box::into_raw(callback);
    // SAFETY: the two pointer types differ in a lifetime only (clause 1 of `Signature`), so they have the same size and
    // layout. Our caller guarantees that the callback is not used for longer than the true lifetime (clause 1).
    let raw: *mut Callback<S::Target<'static>> = unsafe { std::mem::transmute_copy(&raw) };
    // SAFETY: `raw` is from `Box::into_raw` above, and no other box is made from it.
    unsafe { Box::from_raw(raw) }
}

/// Revokes the lent callbacks, and waits for them, when it is dropped.
struct End<'a, 'env, S: Signature>(&'a Scope<'env, S>);

impl<S: Signature> Drop for End<'_, '_, S> {
    fn drop(&mut self) {
        // If a destructor panics, `Rest::drop` ends the remaining callbacks during the unwind. A second panic aborts
        // the process, which is sound.
        struct Rest<'a, S: Signature>(&'a mut Vec<Handle>, PhantomData<S>);
        impl<S: Signature> Rest<'_, S> {
            fn end(&mut self) {
                while let Some(handle) = self.0.pop() {
                    S::registry().revoke_and_outlast(handle);
                }
            }
        }
        impl<S: Signature> Drop for Rest<'_, S> {
            fn drop(&mut self) {
                self.end();
            }
        }
        let mut lent = self.0.lent.take();
        drop(Rest::<S>(&mut lent, PhantomData));
    }
}

impl<S: Signature> fmt::Debug for Scope<'_, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scope").field("signature", &S::NAME).field("lent", &self.lent).finish()
    }
}

//! Borrowed callbacks, for C functions that call back while they run: enumerations, sorts, walks.
//!
//! That the C function promises to keep nothing is not relied upon. What it is given is a handle; when the scope ends
//! the registration behind it is revoked and waited for, and a handle that the library kept all the same is late.

use super::{Boxed, Callback, PanicPolicy, Signature, carry};
use crate::registry::{Exhausted, Handle, Shortage};
use std::cell::RefCell;
use std::fmt;
use std::marker::PhantomData;

/// Lends callbacks to C; see [`scope`].
pub struct Scope<'env, S: Signature> {
    lent: RefCell<Vec<Handle>>,
    /// Invariant: a scope of a shorter `'env` could be lent what does not live as long as the scope.
    _env: PhantomData<(&'env mut &'env (), S)>,
}

/// Runs `run` with a [`Scope`] through which it may lend callbacks that borrow from the caller. When `run` returns or
/// unwinds, each is revoked and waited for, so that none is inside any more when `scope` returns (S01).
///
/// There is no guard to drop, and so none to forget: nothing that `run` does makes a lent callback outlive what it
/// borrows. If the library keeps a handle and calls with it later, the call is late like any other.
///
/// With [`PanicPolicy::Carry`] a panic in a callback that C calls on this thread goes on here, as out of
/// [`carry`].
///
/// It waits for calls on other threads, for as long as they take.
///
/// # Panics
/// If `run` panics, if a callback's destructor does, and with a panic that is carried; always after all callbacks are
/// gone.
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
        // Also when `run` unwinds. It is a local variable of this function, so nobody can forget it.
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
    /// Lends `callback` to C until the scope ends; give the handle to C with [`Signature::function`]. It may be revoked
    /// before, by its handle.
    ///
    /// # Panics
    /// When the signature's registry is exhausted; `callback` is dropped by the unwind.
    #[track_caller]
    pub fn register(&self, callback: Boxed<'env, S>) -> Handle {
        self.try_register(callback)
            .unwrap_or_else(|shortage| panic!("the registry of {} is exhausted: {shortage}", S::NAME))
    }

    /// As [`register`](Scope::register), with failure as a value.
    ///
    /// # Errors
    /// What ran out; `callback` has been dropped.
    #[track_caller]
    pub fn try_register(&self, callback: Boxed<'env, S>) -> Result<Handle, Shortage> {
        // Before there is something to note, so that noting cannot fail.
        self.lent.borrow_mut().reserve(1);
        // SAFETY: (1) `End` has seen to it that the callback is gone when the scope ends, which is within 'env: the
        // caller of `scope` named 'env, so it outlives that call. The scope cannot be sent or shared, and its 'env
        // cannot be shortened, so this is called within it.
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

/// Forgets how long the callback may live.
///
/// # Safety
/// 1. It is dropped, and no longer in use, before `'env` ends.
unsafe fn outlive<'env, S: Signature>(callback: Boxed<'env, S>) -> Boxed<'static, S> {
    let raw: *mut Callback<S::Target<'env>> = Box::into_raw(callback);
    // SAFETY: the two types differ in a lifetime only (`Signature`, clause 1), so they are of one size and layout.
    // That the lifetime is longer than the truth is what this function's own clause answers.
    let raw: *mut Callback<S::Target<'static>> = unsafe { std::mem::transmute_copy(&raw) };
    // SAFETY: `raw` came out of `Box::into_raw` a moment ago, and only this uses it.
    unsafe { Box::from_raw(raw) }
}

struct End<'a, 'env, S: Signature>(&'a Scope<'env, S>);

impl<S: Signature> Drop for End<'_, '_, S> {
    fn drop(&mut self) {
        // If a destructor panics, the rest still has to be waited for; a second panic aborts, which is sound.
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

//! What happens to a panic in a callback. It must not unwind into C.

use crate::registry::Registry;
use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::ptr;

/// What a trampoline does with a panic. The panic may come from:
///
/// * the callback;
/// * the callback's destructor, if this call was the last of a revoked callback;
/// * a late hook, if the call was late.
///
/// [`Stats::panics`](crate::registry::Stats::panics) counts each panic that `Late` and `Carry` handle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PanicPolicy {
    /// Names the callback on standard error, and aborts the process.
    Abort,
    /// C gets the late value. The panic's payload is dropped. If the payload's destructor panics, that second panic is
    /// swallowed, and counted in [`Stats::swallowed_panics`](crate::registry::Stats::swallowed_panics).
    Late,
    /// C gets the late value. The panic continues on the same thread, out of the innermost [`carry`] or
    /// [`scope`](super::scope) that the call is inside. Of several panics inside one `carry`, the first continues, and
    /// the others are handled as by `Late`. Without a `carry` on the thread (as on the library's own threads) this is
    /// `Late`.
    Carry,
}

/// A running `carry` of this thread.
struct Carrier {
    /// The first panic that was handed to it.
    payload: Cell<Option<Box<dyn Any + Send>>>,
    outer: *const Carrier,
}

std::thread_local! {
    // No destructor, so that callbacks may be called while the thread's locals are being destroyed.
    static NEAREST: Cell<*const Carrier> = const { Cell::new(ptr::null()) };
}

/// Runs `run`, which calls into C. If a callback with [`PanicPolicy::Carry`] panics on this thread meanwhile, the panic
/// continues here, after `run` has returned.
///
/// Calls of `carry` nest: a panic goes to the innermost one. Panics on other threads are not carried.
///
/// # Panics
/// With the payload of the callback's panic. If `run` itself panics, with the payload of that panic; the callback's is
/// dropped.
///
/// ```
/// use latecall::signature::carry;
/// use std::ffi::c_void;
///
/// latecall::signature! {
///     /// `int (*)(int item, void *user_data)`: nonzero to go on.
///     extern "C" fn OnItem(item: i32, user_data) -> i32;
///     late = 0;
///     panic = Carry;
/// }
/// # fn enumerate(each: extern "C" fn(i32, *mut c_void) -> i32, user_data: *mut c_void) -> i32 {
/// #     (1..=9).take_while(|&item| each(item, user_data) != 0).count() as i32
/// # }
/// let registration = OnItem::registry().register(OnItem::shared(|item| if item == 3 { panic!("three") } else { 1 }));
/// let user_data = registration.handle().as_ptr();
/// let panic = std::panic::catch_unwind(|| carry(|| enumerate(OnItem::function(), user_data))).unwrap_err();
/// assert_eq!(panic.downcast_ref(), Some(&"three"));
/// ```
pub fn carry<T>(run: impl FnOnce() -> T) -> T {
    struct Restore(*const Carrier);
    impl Drop for Restore {
        fn drop(&mut self) {
            NEAREST.with(|nearest| nearest.set(self.0));
        }
    }
    let carrier = Carrier { payload: Cell::new(None), outer: NEAREST.with(Cell::get) };
    let result = {
        // Declared after `carrier`, so that it is dropped first: `NEAREST` never points to a dropped carrier.
        let _restore = Restore(carrier.outer);
        NEAREST.with(|nearest| nearest.set(&raw const carrier));
        run()
    };
    match carrier.payload.take() {
        Some(payload) => resume_unwind(payload),
        None => result,
    }
}

/// Hands `payload` to the nearest carrier of this thread; gives it back if there is none or it carries one already.
fn hand_over(payload: Box<dyn Any + Send>) -> Result<(), Box<dyn Any + Send>> {
    let nearest = NEAREST.with(Cell::get);
    if nearest.is_null() {
        return Err(payload);
    }
    // SAFETY: `nearest` points to a local variable of a `carry` of this thread that has neither returned nor unwound,
    // because its `Restore` resets `NEAREST` then. `carry` makes no mutable reference to that variable.
    let carrier = unsafe { &*nearest };
    match carrier.payload.take() {
        None => {
            carrier.payload.set(Some(payload));
            Ok(())
        }
        first => {
            carrier.payload.set(first);
            Err(payload)
        }
    }
}

/// Handles a panic that was caught, by any policy except `Abort`.
#[cold]
pub(super) fn contain<F: ?Sized>(registry: &Registry<F>, policy: PanicPolicy, payload: Box<dyn Any + Send>) {
    registry.count_panic();
    let rest = if policy == PanicPolicy::Carry { hand_over(payload) } else { Err(payload) };
    if let Err(payload) = rest {
        dispose(registry, payload);
    }
}

/// Drops a payload. If its destructor panics, counts that second panic and leaks its payload, whose destructor could
/// panic as well.
fn dispose<F: ?Sized>(registry: &Registry<F>, payload: Box<dyn Any + Send>) {
    if let Err(second) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        registry.count_swallowed_panic();
        std::mem::forget(second);
    }
}

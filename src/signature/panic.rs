//! What becomes of a panic in a callback: it must not reach C.

use crate::registry::Registry;
use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::ptr;

/// What a trampoline does with a panic: the callback's own, one from its destructor if the call was the last of a
/// revoked callback, or one from a late hook (S62, S64, S65). Each is counted in
/// [`Stats::panics`](crate::registry::Stats::panics), except that `Abort` leaves nobody to count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PanicPolicy {
    /// Says on standard error whose callback it was, and aborts the process.
    Abort,
    /// C gets the late value. The panic's payload is dropped; if that panics too, the second panic is swallowed and
    /// counted.
    Late,
    /// C gets the late value, and the panic goes on in the Rust caller: out of the nearest [`carry`] or
    /// [`scope`](super::scope) around the call on the same thread. Where there is none, as on a thread of the
    /// library's own, this is `Late`. Of several panics the first goes on.
    Carry,
}

/// One `carry` on this thread's stack.
struct Carrier {
    payload: Cell<Option<Box<dyn Any + Send>>>,
    outer: *const Carrier,
}

std::thread_local! {
    // No destructor, so that callbacks may be called while the thread is being torn down (S57).
    static NEAREST: Cell<*const Carrier> = const { Cell::new(ptr::null()) };
}

/// Runs `run`, which calls into C; a panic in a callback with [`PanicPolicy::Carry`] that C calls meanwhile on this
/// thread goes on here, once C has returned.
///
/// # Panics
/// With the payload of that panic.
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
        // Declared after the carrier, so dropped before it.
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
    // SAFETY: the pointer is to the local variable of a `carry` of this thread that has neither returned nor unwound:
    // its `Restore` would have taken it away. It is only ever shared.
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

/// Deals with a panic that was caught, by any policy but `Abort`.
#[cold]
pub(super) fn contain<F: ?Sized>(registry: &Registry<F>, policy: PanicPolicy, payload: Box<dyn Any + Send>) {
    registry.count_panic();
    let rest = if policy == PanicPolicy::Carry { hand_over(payload) } else { Err(payload) };
    if let Err(payload) = rest {
        dispose(registry, payload);
    }
}

/// Drops a payload; one whose destructor panics is counted, and what that panic carries is not dropped: it could panic
/// as well (S64).
fn dispose<F: ?Sized>(registry: &Registry<F>, payload: Box<dyn Any + Send>) {
    if let Err(second) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        registry.count_swallowed_panic();
        std::mem::forget(second);
    }
}

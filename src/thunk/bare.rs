//! The trait of signatures without user data.

use super::stock::{Lease, Parts};
use crate::signature::Signature;

/// A C callback type without user data, as [`signature!`](crate::signature!) declares it. Only the macro implements
/// this trait.
///
/// # Safety
/// 1. [`Function`](Signature::Function) is the type of a function pointer. Each function that `parts` gives access to
///    has that type, except for `answer`, which takes a `*mut c_void` more, as its last argument.
/// 2. The arguments are `parts().stock.integers` integers and pointers, and any number of floating-point numbers.
pub unsafe trait Bare: Signature {
    /// What the macro made for the signature.
    #[doc(hidden)]
    fn parts() -> Parts;

    /// Gives a callback its lease.
    #[doc(hidden)]
    fn set_lease(target: &mut Self::Target<'_>, lease: Lease);
}

/// The function at the address of `lease`.
pub(super) fn function<S: Bare>(lease: &Lease) -> S::Function {
    let code = lease.code();
    const { assert!(size_of::<S::Function>() == size_of::<*const ()>()) };
    // SAFETY: clause 1 of `Bare`: the target type is the type of a function pointer. `code` is the address of a
    // function of that type: one of the pool, or a piece of a code page, which passes its arguments on to `answer`
    // and adds the one that `answer` has more. It never is null, because a lease exists only for a `Data` whose
    // code has been set.
    unsafe { std::mem::transmute_copy::<*const (), S::Function>(&code) }
}

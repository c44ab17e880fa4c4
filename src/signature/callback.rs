//! What a signature's registry stores, and the trait that ties a signature together.

use super::PanicPolicy;
use crate::registry::{Registration, Registry};
use std::any::TypeId;
use std::fmt;

/// A C callback type, as [`signature!`](crate::signature!) declares it. Implemented by the macro only.
///
/// # Safety
/// 1. `Target<'a>` is `dyn Trait + 'a` for one trait with no lifetime of its own, none of whose methods lets out what
///    the object borrows. ([`scope`](super::scope) stores a `Target<'a>` as a `Target<'static>`, for less than `'a`.)
pub unsafe trait Signature: Sized + 'static {
    /// A callback of this signature, of whatever kind, that borrows nothing shorter than `'a`.
    type Target<'a>: ?Sized + Send + Sync + 'a;

    /// The type of the function that C is given.
    type Function: Copy + 'static;

    /// The signature's name, for reports.
    const NAME: &'static str;

    /// What becomes of a panic.
    const PANIC: PanicPolicy;

    /// The signature's own registry.
    fn registry() -> &'static Registry<Callback<Self::Target<'static>>>;

    /// The function to give to C, together with a handle of [`registry`](Signature::registry).
    fn function() -> Self::Function;
}

/// A callback of signature `S`, ready to be registered with [`Signature::registry`] or lent by
/// [`Scope::register`](super::Scope::register).
pub type Boxed<'a, S> = Box<Callback<<S as Signature>::Target<'a>>>;

/// The owner of a registered callback of signature `S`: what to write in a `struct`.
pub type Registered<S> = Registration<'static, Callback<<S as Signature>::Target<'static>>>;

/// A callback and what it was made from.
pub struct Callback<F: ?Sized> {
    /// The type of `run` before it became a trait object, where a function was compiled for it. A reference to a
    /// constant: as large as a pointer, and two that are the same address hold the same value.
    made_from: Option<&'static TypeId>,
    run: F,
}

impl<F> Callback<F> {
    /// For the shared function only.
    #[doc(hidden)]
    pub const fn new(run: F) -> Self {
        Self { made_from: None, run }
    }

    /// Also for a function compiled for `F`.
    #[doc(hidden)]
    pub const fn inlined(run: F) -> Self
    where
        F: 'static,
    {
        Self { made_from: Some(const { &TypeId::of::<F>() }), run }
    }
}

impl<F: ?Sized> Callback<F> {
    #[doc(hidden)]
    #[inline(always)]
    pub fn get(&self) -> &F {
        &self.run
    }

    /// The callback as the `C` it was made from; `None` if it was made from anything else (S96).
    #[doc(hidden)]
    #[inline(always)]
    pub fn downcast<C: 'static>(&self) -> Option<&C> {
        let (is, wanted) = (self.made_from?, const { &TypeId::of::<C>() });
        // The same constant may have several addresses, so only equal addresses decide at once.
        if !std::ptr::eq(is, wanted) && is != wanted {
            return None;
        }
        // SAFETY: `made_from` is written by `inlined` alone, from the type of `run` there; no field is written later,
        // and turning the box into one of a trait object does not move the object. So `run` is a `C`.
        Some(unsafe { &*(&raw const self.run).cast::<C>() })
    }
}

impl<F: ?Sized> fmt::Debug for Callback<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Callback").field("inlined", &self.made_from.is_some()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// S96: the rule that keeps a function compiled for one closure away from another's memory.
    #[test]
    fn a_callback_is_only_what_it_was_made_from() {
        let number: Box<Callback<dyn Send>> = Box::new(Callback::inlined(7_u64));
        assert_eq!(number.downcast::<u64>(), Some(&7));
        assert_eq!(number.downcast::<i64>(), None, "the same size is not the same type");
        let unknown: Box<Callback<dyn Send>> = Box::new(Callback::new(7_u64));
        assert_eq!(unknown.downcast::<u64>(), None, "nothing is known of a callback that was not made to be inlined");
    }
}

//! What a signature's registry stores, and the trait that ties a signature together.

use super::PanicPolicy;
use crate::registry::{Registration, Registry};
use std::any::TypeId;
use std::fmt;

/// A C callback type, as [`signature!`](crate::signature!) declares it. Only the macro implements this trait.
///
/// # Safety
/// 1. `Target<'a>` is `dyn Trait + 'a`, or a struct that ends in it and contains nothing else that depends on `'a`, for
///    one trait that has no lifetime parameter. No method of the trait returns or stores anything that the object
///    borrows. ([`scope`](super::scope) relies on this clause: it stores a `Target<'a>` as a `Target<'static>`, for
///    less time than `'a`.)
pub unsafe trait Signature: Sized + 'static {
    /// A callback of this signature, of any kind. What it borrows lives for `'a`.
    type Target<'a>: ?Sized + Send + Sync + 'a;

    /// The type of the function that C is given.
    type Function: Copy + 'static;

    /// The signature's name, as reports print it.
    const NAME: &'static str;

    /// What happens to a panic in a callback.
    const PANIC: PanicPolicy;

    /// The signature's own registry.
    #[must_use]
    fn registry() -> &'static Registry<Callback<Self::Target<'static>>>;

    /// The function to give to C, together with a handle of [`registry`](Signature::registry). Any thread may call it.
    ///
    /// For a signature without user data: a function that belongs to no closure. Each call of it is late
    /// ([`Reason::Null`](crate::registry::Reason::Null)).
    #[must_use]
    fn function() -> Self::Function;
}

/// A callback of signature `S`, ready to be registered with [`Signature::registry`] or lent by
/// [`Scope::register`](super::Scope::register).
pub type Boxed<'a, S> = Box<Callback<<S as Signature>::Target<'a>>>;

/// The owner of a registered callback of signature `S`: the type of the field that keeps it.
pub type Registered<S> = Registration<'static, Callback<<S as Signature>::Target<'static>>>;

/// A callback, and the type that it was made from.
pub struct Callback<F: ?Sized> {
    /// Returns the type that `run` had before it became a trait object. `None`: no function was compiled for this
    /// closure.
    ///
    /// A function instead of a `TypeId`, because a `TypeId` is two words, and `TypeId::of` is no `const fn` before Rust
    /// 1.91.
    made_from: Option<fn() -> TypeId>,
    run: F,
}

/// The value of [`Callback::made_from`]. Not inlined, so that one crate has one address for it.
#[inline(never)]
fn type_of<C: 'static>() -> TypeId {
    TypeId::of::<C>()
}

impl<F> Callback<F> {
    /// A callback for the signature's shared function only.
    #[doc(hidden)]
    pub const fn new(run: F) -> Self {
        Self { made_from: None, run }
    }

    /// A callback for the shared function, and for a function that is compiled for `F`.
    #[doc(hidden)]
    pub const fn inlined(run: F) -> Self
    where
        F: 'static,
    {
        Self { made_from: Some(type_of::<F>), run }
    }
}

impl<F: ?Sized> Callback<F> {
    /// The callback, before it is registered.
    pub(crate) fn get_mut(&mut self) -> &mut F {
        &mut self.run
    }

    #[doc(hidden)]
    #[inline(always)]
    pub fn get(&self) -> &F {
        &self.run
    }

    /// The callback as the `C` that it was made from; `None` if it was made from another type, or by
    /// [`new`](Self::new).
    #[doc(hidden)]
    #[inline(always)]
    pub fn downcast<C: 'static>(&self) -> Option<&C> {
        let (is, wanted) = (self.made_from?, type_of::<C> as fn() -> TypeId);
        // Equal addresses are one function, so they name one type. One type may have several addresses (one in each
        // crate), so unequal addresses decide nothing.
        if !std::ptr::fn_addr_eq(is, wanted) && is() != wanted() {
            return None;
        }
        // SAFETY: `run` is a `C`. Only `inlined` sets `made_from`, from the type of `run`; no field is written later;
        // and the coercion of the box to a box of a trait object does not move the object.
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

    /// S96: a function that was compiled for one closure never touches another closure's memory.
    #[test]
    fn a_callback_is_only_what_it_was_made_from() {
        let number: Box<Callback<dyn Send>> = Box::new(Callback::inlined(7_u64));
        assert_eq!(number.downcast::<u64>(), Some(&7));
        assert_eq!(number.downcast::<i64>(), None, "the same size is not the same type");
        let unknown: Box<Callback<dyn Send>> = Box::new(Callback::new(7_u64));
        assert_eq!(unknown.downcast::<u64>(), None, "a callback made by `new` names no type");
    }
}

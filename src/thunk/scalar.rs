//! The types that a thunk can take and return: those that one register holds.

use std::ffi::c_void;
use std::ptr::NonNull;

/// A type that a thunk's function may take or return: a number, a `bool`, or a pointer.
///
/// A struct by value is none. C passes it in several registers, or on the stack, by rules that depend on its fields.
///
/// Implement this trait for a type of your own that is `#[repr(transparent)]` over such a type, or a `#[repr(u32)]`
/// enum and the like.
///
/// # Safety
/// 1. C passes a value of this type as it passes one of the primitive types: an integer of at most 64 bits or a pointer
///    if [`INTEGER`](Scalar::INTEGER) is true, a `float` or a `double` if it is false.
///
/// ```
/// use latecall::thunk::Scalar;
///
/// #[repr(transparent)]
/// #[derive(Clone, Copy)]
/// struct Celsius(f64);
///
/// // SAFETY: C passes it as a `double`, because it is transparent over `f64`.
/// unsafe impl Scalar for Celsius {
///     const INTEGER: bool = false;
/// }
///
/// latecall::signature! {
///     extern "C" fn Warmer(by: Celsius) -> Celsius;
///     late = Celsius(0.0);
///     panic = Late;
/// }
/// let warmer = Warmer::thunk(|by| Celsius(20.0 + by.0));
/// assert_eq!(warmer.as_fn()(Celsius(1.5)).0, 21.5);
/// ```
#[diagnostic::on_unimplemented(
    message = "a thunk cannot take or return `{Self}` by value",
    label = "neither a number nor a pointer",
    note = "pass a pointer to it; structs by value are for signatures with `user_data`",
    note = "for a `#[repr(transparent)]` type over a number or a pointer, implement `latecall::thunk::Scalar`"
)]
pub unsafe trait Scalar {
    /// Whether C passes it in a general register, and not in one for floating-point numbers.
    const INTEGER: bool;
}

macro_rules! scalars {
    ($integer:literal: $($scalar:ty)*) => {$(
        // SAFETY: it is the Rust type of a primitive C type, and `INTEGER` says of which kind.
        unsafe impl Scalar for $scalar {
            const INTEGER: bool = $integer;
        }
    )*};
}
scalars!(true: u8 u16 u32 u64 usize i8 i16 i32 i64 isize bool);
scalars!(false: f32 f64);

macro_rules! pointers {
    ($([$($generic:tt)*] $pointer:ty;)*) => {$(
        // SAFETY: C sees an address.
        unsafe impl<$($generic)*> Scalar for $pointer {
            const INTEGER: bool = true;
        }
    )*};
}
pointers! {
    [T] *const T;
    [T] *mut T;
    [T] NonNull<T>;
    [T] Option<NonNull<T>>;
}

macro_rules! functions {
    ($(($($arg:ident)*))*) => {$(
        pointers! {
            [R, $($arg),*] extern "C" fn($($arg),*) -> R;
            [R, $($arg),*] unsafe extern "C" fn($($arg),*) -> R;
            [R, $($arg),*] Option<extern "C" fn($($arg),*) -> R>;
            [R, $($arg),*] Option<unsafe extern "C" fn($($arg),*) -> R>;
        }
    )*};
}
functions!(() (A) (A B) (A B C) (A B C D) (A B C D E) (A B C D E F));

/// What a thunk's function may return: nothing, or a [`Scalar`].
#[diagnostic::on_unimplemented(
    message = "a thunk cannot return `{Self}` by value",
    label = "neither a number nor a pointer",
    note = "structs by value are for signatures with `user_data`"
)]
pub trait Returned {}
impl Returned for () {}
impl<T: Scalar> Returned for T {}

/// How many general registers an argument takes.
#[must_use]
pub const fn integers<T: Scalar>() -> usize {
    T::INTEGER as usize
}

/// Compiles only for what a function may return.
pub const fn may_return<T: Returned>() {}

/// Whether a function of this ABI finds its arguments where a code page puts the handle.
#[must_use]
pub(super) const fn is_plain_c(abi: &str) -> bool {
    matches!(abi.as_bytes(), b"C" | b"system" | b"C-unwind" | b"system-unwind")
}

#[allow(dead_code, reason = "compiled only: the types that C callbacks use most")]
const _: usize = integers::<*mut c_void>() + integers::<Option<extern "C" fn(i32)>>() + integers::<f64>();

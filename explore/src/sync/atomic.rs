//! Atomic variables and fences.
//!
//! All types are one, [`Atomic`], as they are to be in std.

use crate::executions::{Action, Order, Request, Tag, Test, ask};
use std::fmt;
use std::marker::PhantomData;
pub use std::sync::atomic::Ordering;

/// As `std::sync::atomic::fence`.
///
/// # Panics
///
/// For `Relaxed`, as std's.
#[track_caller]
pub fn fence(order: Ordering) {
    assert!(order != Ordering::Relaxed, "there is no such thing as a relaxed fence");
    ask(Request::Fence(Order::of(order)));
}

/// A value that an atomic variable holds: at most 64 bits. For the types that std has atomics of.
pub trait Value: Copy + private::Bits {}

/// A number that an atomic variable holds.
pub trait Number: Value {}

mod private {
    pub trait Bits {
        /// The bits of a value that are used.
        const MASK: u64;
        fn into_bits(self) -> u64;
        fn from_bits(bits: u64) -> Self;
    }
}

use private::Bits as _;

/// An atomic variable: `Atomic<u32>` is `AtomicU32`.
pub struct Atomic<T> {
    tag: Tag,
    kind: PhantomData<T>,
}

// SAFETY: the variable hands out copies of values, never references. Whether the values may go to other threads is the
// same question as for std's atomics, and has the same answer: numbers and pointers may.
unsafe impl<T> Sync for Atomic<T> {}
// SAFETY: as for `Sync`: the variable owns nothing but bits.
unsafe impl<T> Send for Atomic<T> {}

impl<T> fmt::Debug for Atomic<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Atomic").finish_non_exhaustive()
    }
}

impl<T: Value> Atomic<T> {
    #[track_caller]
    fn modify(&self, order: Ordering, action: Action) -> T {
        T::from_bits(ask(Request::Read { tag: &self.tag, order: Order::of(order), action }))
    }

    /// As std's.
    ///
    /// # Panics
    ///
    /// If `order` releases.
    #[track_caller]
    pub fn load(&self, order: Ordering) -> T {
        let releases = matches!(order, Ordering::Release | Ordering::AcqRel);
        assert!(!releases, "a load stores nothing, so its order cannot be {order:?}");
        self.modify(order, Action::Load)
    }

    /// As std's.
    ///
    /// # Panics
    ///
    /// If `order` acquires.
    #[track_caller]
    pub fn store(&self, value: T, order: Ordering) {
        let acquires = matches!(order, Ordering::Acquire | Ordering::AcqRel);
        assert!(!acquires, "a store loads nothing, so its order cannot be {order:?}");
        ask(Request::Write { tag: &self.tag, order: Order::of(order), value: value.into_bits() });
    }

    /// As std's.
    #[track_caller]
    pub fn swap(&self, value: T, order: Ordering) -> T {
        self.modify(order, Action::Swap(value.into_bits()))
    }

    /// As std's.
    ///
    /// # Errors
    ///
    /// With the value that was found in place of `expected`.
    ///
    /// # Panics
    ///
    /// If `failure` releases.
    #[track_caller]
    pub fn compare_exchange(&self, expected: T, new: T, success: Ordering, failure: Ordering) -> Result<T, T> {
        let releases = matches!(failure, Ordering::Release | Ordering::AcqRel);
        assert!(!releases, "a failed compare-exchange stores nothing, so its order cannot be {failure:?}");
        let (expected, new) = (expected.into_bits(), new.into_bits());
        let action = Action::Compare { expected, new, success: Order::of(success), failure: Order::of(failure) };
        let found = self.modify(success, action);
        if found.into_bits() == expected { Ok(found) } else { Err(found) }
    }

    /// As [`Self::compare_exchange`]: it does not fail for no reason.
    ///
    /// # Errors
    ///
    /// With the value that was found in place of `expected`.
    ///
    /// # Panics
    ///
    /// If `failure` releases.
    #[track_caller]
    pub fn compare_exchange_weak(&self, expected: T, new: T, success: Ordering, failure: Ordering) -> Result<T, T> {
        self.compare_exchange(expected, new, success, failure)
    }

    /// Loads until the value is `value`. One event, where a loop would have one for each time around.
    #[track_caller]
    pub fn wait_until_eq(&self, value: T, order: Ordering) -> T {
        let test = Test { holds: |value, operand| value == operand, operand: value.into_bits() };
        self.modify(order, Action::Await(test))
    }

    /// Loads until the value is not `value`. One event, where a loop would have one for each time around.
    #[track_caller]
    pub fn wait_while_eq(&self, value: T, order: Ordering) -> T {
        let test = Test { holds: |value, operand| value != operand, operand: value.into_bits() };
        self.modify(order, Action::Await(test))
    }
}

impl<T: Number> Atomic<T> {
    /// As std's: wraps around.
    #[track_caller]
    pub fn fetch_add(&self, value: T, order: Ordering) -> T {
        self.modify(order, Action::Add { operand: value.into_bits(), mask: T::MASK })
    }

    /// As std's: wraps around.
    #[track_caller]
    pub fn fetch_sub(&self, value: T, order: Ordering) -> T {
        self.modify(order, Action::Add { operand: value.into_bits().wrapping_neg(), mask: T::MASK })
    }

    /// As std's.
    #[track_caller]
    pub fn fetch_and(&self, value: T, order: Ordering) -> T {
        self.modify(order, Action::And(value.into_bits()))
    }

    /// As std's.
    #[track_caller]
    pub fn fetch_or(&self, value: T, order: Ordering) -> T {
        self.modify(order, Action::Or(value.into_bits()))
    }

    /// As std's.
    #[track_caller]
    pub fn fetch_xor(&self, value: T, order: Ordering) -> T {
        self.modify(order, Action::Xor(value.into_bits()))
    }
}

macro_rules! numbers {
    ($($name:ident $value:ty, $unsigned:ty;)*) => { $(
        #[doc = concat!("As `std::sync::atomic::", stringify!($name), "`.")]
        pub type $name = Atomic<$value>;

        impl private::Bits for $value {
            const MASK: u64 = <$unsigned>::MAX as u64;

            fn into_bits(self) -> u64 {
                self as $unsigned as u64
            }

            fn from_bits(bits: u64) -> Self {
                bits as $unsigned as $value
            }
        }

        impl Value for $value {}
        impl Number for $value {}

        impl Atomic<$value> {
            /// A variable that holds `value` when a search begins to use it.
            pub const fn new(value: $value) -> Self {
                Self { tag: Tag::new(value as $unsigned as u64), kind: PhantomData }
            }
        }
    )* };
}

numbers! {
    AtomicU8 u8, u8;
    AtomicU16 u16, u16;
    AtomicU32 u32, u32;
    AtomicU64 u64, u64;
    AtomicUsize usize, usize;
    AtomicI8 i8, u8;
    AtomicI16 i16, u16;
    AtomicI32 i32, u32;
    AtomicI64 i64, u64;
    AtomicIsize isize, usize;
}

/// As `std::sync::atomic::AtomicBool`.
pub type AtomicBool = Atomic<bool>;

impl private::Bits for bool {
    const MASK: u64 = 1;

    fn into_bits(self) -> u64 {
        self.into()
    }

    fn from_bits(bits: u64) -> Self {
        bits != 0
    }
}

impl Value for bool {}

impl Atomic<bool> {
    /// A variable that holds `value` when a search begins to use it.
    pub const fn new(value: bool) -> Self {
        Self { tag: Tag::new(value as u64), kind: PhantomData }
    }
}

/// As `std::sync::atomic::AtomicPtr`.
pub type AtomicPtr<T> = Atomic<*mut T>;

impl<T> private::Bits for *mut T {
    const MASK: u64 = u64::MAX;

    fn into_bits(self) -> u64 {
        self.expose_provenance() as u64
    }

    fn from_bits(bits: u64) -> Self {
        std::ptr::with_exposed_provenance_mut(bits as usize)
    }
}

impl<T> Value for *mut T {}

impl<T> Atomic<*mut T> {
    /// A variable that holds `value` when a search begins to use it.
    pub fn new(value: *mut T) -> Self {
        Self { tag: Tag::new(value.into_bits()), kind: PhantomData }
    }
}

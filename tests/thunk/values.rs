//! Arguments and results arrive, from the pool and from code pages.

use latecall::thunk::Scalar;
use std::ffi::{c_char, c_int, c_void};
use std::ptr::NonNull;

/// S02 (MarshalDelegate1): the closure lives as long as its owner. 500.
#[test]
fn a_call_between_registration_and_release_gives_500() {
    latecall::signature! {
        extern "C" fn Sum(n: c_int, m: c_int) -> c_int;
        late = 0;
        panic = Late;
    }
    fn takes_callback(callback: extern "C" fn(c_int, c_int) -> c_int, n: c_int, m: c_int) -> c_int {
        callback(n, m)
    }
    let sum = Sum::thunk(|n, m| n + m);
    assert_eq!(takes_callback(sum.as_fn(), 243, 257), 500);
}

#[test]
fn each_closure_has_a_function_of_its_own() {
    latecall::signature! {
        extern "C" fn Add(left: c_int, right: c_int) -> c_int;
        late = -1;
        panic = Late;
        pool = 64;
    }
    // More than the pool has, so that some are on code pages where there are any.
    let count = if cfg!(all(target_os = "linux", not(miri))) { 300 } else { 64 };
    let thunks: Vec<_> = (0..count).map(|more| Add::thunk(move |left, right| left + right + more)).collect();
    for (more, thunk) in (0..).zip(&thunks) {
        assert_eq!(thunk.as_fn()(243, 257), 500 + more);
    }
    let mut addresses: Vec<_> = thunks.iter().map(|thunk| thunk.as_fn() as usize).collect();
    addresses.sort_unstable();
    addresses.dedup();
    assert_eq!(addresses.len(), thunks.len());
    let functions: Vec<_> = thunks.iter().map(|thunk| thunk.as_fn()).collect();
    drop(thunks);
    for function in functions {
        assert_eq!(function(243, 257), -1);
    }
}

#[repr(transparent)]
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Celsius(f64);

// SAFETY: C passes it as a `double`, because it is transparent over `f64`.
unsafe impl Scalar for Celsius {
    const INTEGER: bool = false;
}

/// Calls a thunk with these arguments, which the closure compares; then once more, when it is late. From the pool, and
/// from a code page.
macro_rules! arrives {
    ($($name:ident: $abi:literal ($($arg:ident: $ty:ty = $value:expr),*) -> $ret:ty = $result:expr, late $late:expr;)*) => {$(
        #[test]
        fn $name() {
            {
                latecall::signature! {
                    extern $abi fn FromPool($($arg: $ty),*) -> $ret;
                    late = $late;
                    panic = Late;
                    pool = 2;
                }
                let thunk = FromPool::thunk(|$($arg: $ty),*| { $(assert_eq!($arg, $value);)* $result });
                let function = thunk.as_fn();
                assert_eq!(function($($value),*), $result);
                drop(thunk);
                assert_eq!(function($($value),*), $late);
            }
            #[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64"), not(miri)))]
            {
                latecall::signature! {
                    extern $abi fn FromPage($($arg: $ty),*) -> $ret;
                    late = $late;
                    panic = Late;
                    pool = 0;
                }
                let thunk = FromPage::thunk(|$($arg: $ty),*| { $(assert_eq!($arg, $value);)* $result });
                let function = thunk.as_fn();
                assert_eq!(function($($value),*), $result);
                drop(thunk);
                assert_eq!(function($($value),*), $late);
            }
        }
    )*};
}

arrives! {
    no_argument: "C" () -> u64 = u64::MAX, late 1;
    one_integer: "C" (a: i8 = -128) -> i8 = -1, late 0;
    two_integers: "C" (a: u16 = 65535, b: i64 = i64::MIN) -> i64 = i64::MIN, late 0;
    three_integers: "C" (a: u8 = 255, b: bool = true, c: usize = usize::MAX) -> bool = true, late false;
    four_integers: "C" (a: u32 = 1, b: u32 = 2, c: u32 = 3, d: u32 = u32::MAX) -> u32 = 10, late 0;
    five_integers: "C" (a: isize = -1, b: i16 = -2, c: i32 = -3, d: i64 = -4, e: i8 = -5) -> i32 = -15, late 0;
    only_numbers_of_floating_point: "C" (a: f32 = 1.5, b: f64 = -2.5) -> f64 = 0.25, late 0.0;
    more_floating_point_than_registers: "C" (
        a: f64 = 1.0, b: f64 = 2.0, c: f64 = 3.0, d: f64 = 4.0, e: f64 = 5.0, f: f64 = 6.0, g: f64 = 7.0, h: f64 = 8.0,
        i: f64 = 9.0, j: f32 = 10.0
    ) -> f32 = 55.0, late 0.0;
    both_kinds_mixed: "C" (
        a: f64 = 0.5, b: i32 = -7, c: f32 = 2.5, d: *const c_void = std::ptr::null(), e: u8 = 9, f: f64 = 4.5
    ) -> f64 = 7.5, late -1.0;
    pointers_of_every_kind: "C" (
        a: *mut c_char = std::ptr::without_provenance_mut(8), b: Option<NonNull<u8>> = None
    ) -> *const u8 = std::ptr::without_provenance(16), late std::ptr::null();
    a_transparent_type_of_the_users: "C" (a: Celsius = Celsius(36.6)) -> Celsius = Celsius(40.0), late Celsius(0.0);
    another_abi: "system" (a: i32 = 3) -> i32 = 4, late 0;
}

/// A function among the arguments, and as the result.
#[test]
fn functions_are_arguments_and_results() {
    type Next = extern "C" fn(i32) -> i32;
    latecall::signature! {
        extern "C" fn Choose(first: Option<Next>, second: Next) -> Option<Next>;
        late = None;
        panic = Late;
    }
    extern "C" fn one_more(number: i32) -> i32 {
        number + 1
    }
    let thunk = Choose::thunk(|first, second| first.or(Some(second)));
    assert_eq!(thunk.as_fn()(None, one_more).map(|next| next(41)), Some(42));
}

/// Arguments that do not fit into registers: from the pool only.
#[test]
fn arguments_on_the_stack_arrive_from_the_pool() {
    latecall::signature! {
        extern "C" fn Many(a: u8, b: u16, c: u32, d: u64, e: i8, f: i16, g: i32, h: i64, i: f64, j: usize) -> u64;
        late = 0;
        panic = Late;
        pool = 2;
    }
    let thunk = Many::thunk(|a, b, c, d, e, f, g, h, i, j| {
        assert_eq!((a, b, c, d, e, f, g, h, i, j), (1, 2, 3, 4, -5, -6, -7, -8, 9.5, 10));
        11
    });
    assert_eq!(thunk.as_fn()(1, 2, 3, 4, -5, -6, -7, -8, 9.5, 10), 11);
}

/// The function of the trait belongs to no closure.
#[test]
fn the_function_of_the_signature_itself_is_always_late() {
    use latecall::{registry::Reason, signature::Signature};
    latecall::signature! {
        extern "C" fn Any(number: i32) -> i32;
        late = 7;
        panic = Late;
    }
    let thunk = Any::thunk(|number| number);
    assert_eq!((<Any as Signature>::function()(1), thunk.as_fn()(1)), (7, 1));
    assert_eq!(Any::registry().stats().late.of(Reason::Null), 1);
}

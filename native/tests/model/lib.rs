//! C and C++ programs and broken emitters, instrumented, for the tests and benchmarks of `latecall-explore`.
//!
//! A package of its own, because cargo builds a development dependency for this package's tests and benchmarks only: whoever
//! uses latecall does not wait for any of this, and it is no part of what is published. There is no Rust code in it. A test
//! names the crate (`use latecall_fixtures as _;`), which links its archives, and declares what it calls:
//!
//! - `model_tests_<function>`: the programs of `programs/`, compiled by `$CC`, otherwise `cc`;
//! - `clang_tests_<function>`: the same by `$CLANG`, otherwise `clang`, where there is one: see [`with_clang`];
//! - `model_constructed_<function>` and `clang_constructed_<function>`: those of `constructors/`, likewise;
//! - `<mutant>_<function>`: the emitter with one rule broken; `mutants.rs` has the list.

/// Its items, where the fixtures were built with clang too; otherwise one test that cargo reports as ignored, with the
/// reason, so that it cannot be taken for a pass.
#[cfg(latecall_clang)]
#[macro_export]
macro_rules! with_clang {
    ($($item:item)*) => { $($item)* };
}

/// Its items, where the fixtures were built with clang too; otherwise one test that cargo reports as ignored, with the
/// reason, so that it cannot be taken for a pass.
#[cfg(not(latecall_clang))]
#[macro_export]
macro_rules! with_clang {
    ($($item:item)*) => {
        #[test]
        #[ignore = "NOT TESTED: no clang when the fixtures were built (install it, or set CLANG, and touch native/tests/model/build.rs)"]
        fn programs_compiled_by_clang() {
            panic!("there is no clang: nothing was tested");
        }
    };
}

//! C and C++ code inside loom, instrumented by gcc and by clang: what is found, and what is not.
#![allow(clippy::disallowed_types, reason = "a user's program has no seam")]

use latecall_fixtures as _;

mod built_by_cc {
    macro_rules! prefix {
        () => {
            "model_tests_"
        };
    }
    include!("c/suite.rs");
    include!("c/strings.rs");
    include!("c/library.rs");
    include!("c/system.rs");
    include!("c/lifetimes.rs");

    programs! {
        weak_trusted
        weak_failure_relaxed
    }

    unsafe extern "C-unwind" {
        #[link_name = concat!(prefix!(), "weak_attempt")]
        safe fn weak_attempt() -> c_int;
    }

    // Clang's instrumentation does not say which exchanges are weak: there they are strong.
    #[test]
    fn a_weak_exchange_succeeds_and_fails_for_no_reason() {
        assert_eq!(outcomes("weak_attempt", nothing_before, weak_attempt), [0, 1].into());
        convicted("weak_trusted", weak_trusted, FindingKind::Aborted, &["fails spuriously"]);
        // Fails though it has found what it expects, and then orders as little as its order for failure says.
        convicted(
            "weak_failure_relaxed",
            weak_failure_relaxed,
            FindingKind::DataRace,
            &["fails spuriously", "publishes"],
        );
    }
}

latecall_fixtures::with_clang! {
    mod built_by_clang {
        macro_rules! prefix {
            () => {
                "clang_tests_"
            };
        }
        include!("c/suite.rs");
        include!("c/strings.rs");
        include!("c/library.rs");
        include!("c/system.rs");
        include!("c/lifetimes.rs");
    }
}

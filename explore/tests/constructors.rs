//! Constructors of C code, and what runs at the end of its process: in each interleaving.

use latecall_explore::{FindingKind, Options, explore};
use latecall_fixtures as _;

macro_rules! programs {
    ($prefix:literal: $($name:ident)*) => {
        unsafe extern "C-unwind" {
            $(#[link_name = concat!($prefix, stringify!($name))] safe fn $name();)*
        }
    };
}

macro_rules! tests {
    ($prefix:literal) => {
        use super::FindingKind;

        programs! { $prefix:
            constructed_anew
            destructor_reads_late
            constructed_for_the_first
            constructed_and_shared
        }

        #[test]
        fn constructors_run_in_each_interleaving_in_the_order_of_their_priorities() {
            super::passes("constructed_anew", constructed_anew);
        }

        #[test]
        fn what_runs_at_the_end_of_a_process_runs_at_the_end_of_an_interleaving() {
            let late = super::convicted("destructor_reads_late", destructor_reads_late, FindingKind::UseAfterFree);
            assert!(late.contains("main freed") && late.contains("ends"), "{late}");
        }

        #[test]
        fn what_constructors_leave_in_thread_local_variables_is_the_first_threads() {
            super::passes("constructed_for_the_first", constructed_for_the_first);
            let shared = super::convicted("constructed_and_shared", constructed_and_shared, FindingKind::DataRace);
            assert!(shared.contains("adds_to"), "{shared}");
        }
    };
}

fn passes(name: &str, program: extern "C-unwind" fn()) {
    let exploration = explore(name, &Options::new(), move || program());
    exploration.check();
    assert!(exploration.interleavings > 1, "{exploration}");
}

fn convicted(name: &str, program: extern "C-unwind" fn(), kind: FindingKind) -> String {
    explore(name, &Options::new(), move || program()).assert_convicted(kind).to_string()
}

mod built_by_cc {
    tests!("model_constructed_");
}

latecall_fixtures::with_clang! {
    mod built_by_clang {
        tests!("clang_constructed_");
    }
}

//! Searches that take long, each in a process of its own: a process searches one thing at a time.

use super::{Size, Subject, Verb, all, exhaust, subject, two};
use crate::support::isolated;

/// The threads of searches that are there.
#[cfg(target_os = "linux")]
fn searchers() -> usize {
    let tasks = std::fs::read_dir("/proc/self/task").expect("Linux lists the threads of a process");
    let name = |task: &std::fs::DirEntry| std::fs::read_to_string(task.path().join("comm")).unwrap_or_default();
    tasks.flatten().filter(|task| name(task).trim() == "model").count()
}

/// A search learns from its first interleavings what it needs (atomics, attempts to lock, places), and each time
/// begins again. It lets the interleaving end first, because the thread of an abandoned interleaving would never
/// end. A search that convicts abandons the interleaving.
#[cfg(target_os = "linux")]
#[test]
fn a_search_that_finds_nothing_leaves_no_thread_behind() {
    unsafe extern "C-unwind" {
        #[link_name = "model_tests_message_ordered"]
        safe fn message_ordered();
        #[link_name = "model_tests_mutex_kinds"]
        safe fn mutex_kinds();
        #[link_name = "model_tests_wake_up"]
        safe fn wake_up();
    }
    isolated(&a_search_that_finds_nothing_leaves_no_thread_behind, || {
        let programs: [extern "C-unwind" fn(); 3] = [message_ordered, mutex_kinds, wake_up];
        for program in programs {
            latecall_explore::explore("a program", &super::Options::new(), move || program()).check();
        }
        assert_eq!(searchers(), 0, "threads of searches that found nothing");
        let raw_box = super::subject("flawed/raw-box");
        let found = super::search(&two("fire a", "revoke a"), &raw_box, &super::Options::new());
        assert!(found.violation.is_some(), "{}", found.exploration);
        assert!(searchers() > 0, "a conviction leaves the interleaving where it is");
    });
}

/// Three ops on each of the two threads, without threads of the library's own; a test for each program. In one mode
/// of the library: each further mode would take as long again.
mod programs_of_three_ops_a_thread_are_exhausted_over_a_locked_map {
    use super::{Size, Subject, Verb, all, exhaust, isolated, subject};

    fn search(number: usize) {
        let subject = subject("locked/waits");
        let mut programs = all(subject.offer().verbs, Size { ops: 6, in_a_thread: 3 });
        programs.retain(|program| !program.verbs().contains(Verb::Post) && program.callbacks[0].body.is_empty());
        assert_eq!(programs.len(), 5, "a test for each");
        exhaust(&subject, &programs[number - 1..number]);
    }

    macro_rules! programs {
        ($($test:ident $number:literal;)*) => { $(
            #[test]
            fn $test() {
                isolated(&$test, || search($number));
            }
        )* };
    }

    programs! {
        first 1;
        second 2;
        third 3;
        fourth 4;
        fifth 5;
    }
}

/// Over the registry a call is some thirty operations, and so is a revocation. A test for each mode of the library
/// but `scoped`, which does not end in minutes (`docs/limits.md`).
mod programs_of_two_ops_are_exhausted_over_the_registry {
    use super::{Size, Subject, Verb, all, exhaust, isolated, subject};

    fn search(mode: &str, programs: usize) {
        let subject = subject(&format!("registry/{mode}"));
        let mut all = all(subject.offer().verbs, Size { ops: 2, in_a_thread: 1 });
        all.retain(|program| !program.verbs().contains(Verb::Post));
        assert_eq!(exhaust(&subject, &all), programs);
    }

    macro_rules! modes {
        ($($mode:ident $programs:literal;)*) => { $(
            #[test]
            fn $mode() {
                isolated(&$mode, || search(stringify!($mode), $programs));
            }
        )* };
    }

    modes! {
        waits 2;
        returns 2;
        deferred 2;
        once 2;
        queued 2;
        replace 3;
        table 2;
    }
}

/// Three threads that run: the library's own thread makes the call.
mod a_call_by_the_library_against_a_revocation_is_exhausted_over_the_registry {
    use super::{exhaust, isolated, subject, two};

    macro_rules! modes {
        ($($mode:ident)*) => { $(
            #[test]
            fn $mode() {
                isolated(&$mode, || {
                    let subject = subject(concat!("registry/", stringify!($mode)));
                    exhaust(&subject, &[two("post a 1 2", "revoke a")]);
                });
            }
        )* };
    }

    modes! { waits returns deferred once queued replace table }
}

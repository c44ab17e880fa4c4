//! C code inside loom: what is found, and what is not. Each C program is a function of `native/tests/model`.
#![cfg(feature = "harness")]

use latecall::model::{Bound, Exploration, Extent, Finding, Kind, Options, explore, replay};

macro_rules! programs {
    ($($name:ident = $symbol:literal;)*) => {
        unsafe extern "C-unwind" {
            $(#[link_name = $symbol] safe fn $name();)*
        }
    };
}

programs! {
    message_relaxed = "model_tests_message_relaxed";
    message_release_only = "model_tests_message_release_only";
    message_acquire_only = "model_tests_message_acquire_only";
    message_ordered = "model_tests_message_ordered";
    dekker_seq_cst = "model_tests_dekker_seq_cst";
    dekker_acq_rel = "model_tests_dekker_acq_rel";
    dekker_fences = "model_tests_dekker_fences";
    atomic_widths = "model_tests_atomic_widths";
    spin_until_open = "model_tests_spin_until_open";
    spin_for_ever = "model_tests_spin_for_ever";
    volatile_flag = "model_tests_volatile_flag";
    volatile_flag_alone = "model_tests_volatile_flag_alone";
}

/// Nothing is found, and the search runs out, after more than one interleaving.
fn passes(name: &str, program: extern "C-unwind" fn()) -> Exploration {
    let exploration = explore(name, &Options::new(), move || program());
    println!("{exploration}");
    exploration.assert_exhausted();
    assert!(exploration.interleavings > 1, "{name}: one interleaving is no search");
    exploration
}

/// Nothing was found, and the search does not claim more than it did: threads that loop, yield or sleep let others run
/// first, and going on at once was not explored.
fn passes_giving_way(name: &str, program: extern "C-unwind" fn()) -> Exploration {
    let exploration = explore(name, &Options::new(), move || program());
    println!("{exploration}");
    assert_eq!(exploration.extent, Extent::BoundedBy(Bound::Yields), "{exploration}");
    assert!(exploration.finding.is_none(), "{exploration}");
    assert!(exploration.interleavings > 1, "{name}: one interleaving is no search");
    exploration
}

/// The program is wrong, and the same interleaving shows it again.
fn convicted(name: &str, program: extern "C-unwind" fn(), kind: Kind, words: &[&str]) -> Finding {
    let options = Options::new();
    let run = move || program();
    let exploration = explore(name, &options, run);
    println!("{exploration}");
    let finding = exploration.assert_convicted(kind).clone();
    for word in words {
        assert!(finding.timeline.contains(word), "{name}: {word:?} is not in:\n{finding}");
    }
    assert!(!finding.timeline.contains("? ?"), "{name}: places without names:\n{finding}");
    let again = replay(name, &options, &finding, run);
    assert_eq!(
        again.finding.map(|finding| finding.timeline),
        Some(finding.timeline.clone()),
        "{name}: not the same again"
    );
    finding
}

#[test]
fn message_passing_needs_release_and_acquire() {
    passes("message_ordered", message_ordered);
    for (name, program) in [
        ("message_relaxed", message_relaxed as extern "C-unwind" fn()),
        ("message_release_only", message_release_only),
        ("message_acquire_only", message_acquire_only),
    ] {
        convicted(name, program, Kind::DataRace, &["sender", "receiver", "model/orders.c:"]);
    }
}

#[test]
fn store_load_pairs_need_sequential_consistency() {
    passes("dekker_seq_cst", dekker_seq_cst);
    passes("dekker_fences", dekker_fences);
    convicted("dekker_acq_rel", dekker_acq_rel, Kind::Aborted, &["fight", "loads", "stores", "abort"]);
}

#[test]
fn atomics_of_every_width_and_operation() {
    passes("atomic_widths", atomic_widths);
}

#[test]
fn a_loop_on_an_atomic_ends_in_a_verdict() {
    passes_giving_way("spin_until_open", spin_until_open);
    convicted("spin_for_ever", spin_for_ever, Kind::Livelock, &["again and again", "global data"]);
}

#[test]
fn volatile_is_a_relaxed_atomic_and_is_reported() {
    convicted("volatile_flag", volatile_flag, Kind::DataRace, &["volatile_flag", "stops"]);
    let exploration = passes_giving_way("volatile_flag_alone", volatile_flag_alone);
    assert!(exploration.volatile.iter().any(|place| place.contains("stops")), "{:?}", exploration.volatile);
}

programs! {
    plain_race = "model_tests_plain_race";
    globals_start_afresh = "model_tests_globals_start_afresh";
    neighbours_do_not_race = "model_tests_neighbours_do_not_race";
    use_after_free = "model_tests_use_after_free";
    double_free = "model_tests_double_free";
    foreign_free = "model_tests_foreign_free";
    red_zone = "model_tests_red_zone";
    null_pointer = "model_tests_null_pointer";
    leak = "model_tests_leak";
    still_reachable = "model_tests_still_reachable";
    deep_recursion = "model_tests_deep_recursion";
}

#[test]
fn a_race_on_plain_memory_is_convicted_with_both_places() {
    let finding = convicted("plain_race", plain_race, Kind::DataRace, &["counts", "plain_race", "global data"]);
    assert!(finding.message.contains("model/memory.c:20"), "{finding}");
    assert!(finding.stack[0].contains("model/memory.c:13"), "{finding}");
    passes("neighbours_do_not_race", neighbours_do_not_race);
}

#[test]
fn globals_are_put_back_before_each_interleaving() {
    passes("globals_start_afresh", globals_start_afresh);
}

#[test]
fn misused_memory_is_convicted() {
    convicted(
        "use_after_free",
        use_after_free,
        Kind::UseAfterFree,
        &["uses", "freed at use_after_free", "allocated by main"],
    );
    convicted("double_free", double_free, Kind::DoubleFree, &["block 1 is freed again"]);
    convicted("foreign_free", foreign_free, Kind::ForeignFree, &["block 1+1"]);
    convicted("red_zone", red_zone, Kind::OutOfBounds, &["9 bytes at 0 of block 1, which has 8"]);
    convicted("null_pointer", null_pointer, Kind::OutOfBounds, &["null pointer"]);
    convicted("leak", leak, Kind::Leak, &["block 1 of 5 bytes", "allocated by leak"]);
    passes("still_reachable", still_reachable);
}

#[test]
fn a_stack_that_overflows_is_a_limit_and_no_finding() {
    let exploration = explore("deep_recursion", &Options::new(), || deep_recursion());
    assert_eq!(exploration.extent, Extent::BoundedBy(Bound::Stack(256 << 10)), "{exploration}");
    assert!(exploration.to_string().contains("raise Options::stack"), "{exploration}");
}

programs! {
    wake_up = "model_tests_wake_up";
    lost_wake_up = "model_tests_lost_wake_up";
    timed_wait = "model_tests_timed_wait";
    timed_wait_trusted = "model_tests_timed_wait_trusted";
    timed_wait_distrusted = "model_tests_timed_wait_distrusted";
    lock_order = "model_tests_lock_order";
    mutex_kinds = "model_tests_mutex_kinds";
    lock_twice = "model_tests_lock_twice";
    unlock_unlocked = "model_tests_unlock_unlocked";
    once_only = "model_tests_once_only";
    key_destructors = "model_tests_key_destructors";
    rwlock = "model_tests_rwlock";
    semaphore = "model_tests_semaphore";
    barrier_and_spin = "model_tests_barrier_and_spin";
    c11_threads = "model_tests_c11_threads";
    too_many_threads = "model_tests_too_many_threads";
    polling = "model_tests_polling";
}

#[test]
fn a_wake_up_that_comes_too_early_is_a_deadlock() {
    passes("wake_up", wake_up);
    convicted("lost_wake_up", lost_wake_up, Kind::Deadlock, &["main waits for condition global data", "waits"]);
    convicted("lock_order", lock_order, Kind::Deadlock, &["held by thread 1", "held by thread 0"]);
    convicted("lock_twice", lock_twice, Kind::Deadlock, &["which it holds itself"]);
}

#[test]
fn a_timed_wait_times_out_and_is_woken() {
    passes("timed_wait", timed_wait);
    convicted("timed_wait_trusted", timed_wait_trusted, Kind::Aborted, &["gives up waiting"]);
    convicted("timed_wait_distrusted", timed_wait_distrusted, Kind::Aborted, &["is woken"]);
}

#[test]
fn objects_of_pthreads() {
    passes("mutex_kinds", mutex_kinds);
    convicted("unlock_unlocked", unlock_unlocked, Kind::Misuse, &["nobody has locked"]);
    passes("once_only", once_only);
    // No two of its operations depend on each other, so one order stands for all.
    explore("key_destructors", &Options::new(), || key_destructors()).assert_exhausted();
    passes("rwlock", rwlock);
    passes("semaphore", semaphore);
    passes("barrier_and_spin", barrier_and_spin);
    passes("c11_threads", c11_threads);
    passes_giving_way("polling", polling);
}

#[test]
fn limits_say_what_to_do() {
    let exploration = explore("too_many_threads", &Options::new(), || too_many_threads());
    assert_eq!(exploration.extent, Extent::BoundedBy(Bound::Threads(5)), "{exploration}");
    let options = Options::new().max_interleavings(3);
    let exploration = explore("mutex_kinds", &options, || mutex_kinds());
    assert_eq!(
        (exploration.extent.clone(), exploration.interleavings),
        (Extent::BoundedBy(Bound::Interleavings(3)), 3)
    );
    let exploration = explore("mutex_kinds", &Options::new().preemptions(1), || mutex_kinds());
    assert_eq!(exploration.extent, Extent::BoundedBy(Bound::Preemptions(1)), "{exploration}");
}

mod instrumenting {
    use latecall::model::instrument::{Instrument, Refused};
    use std::path::{Path, PathBuf};

    fn folder(name: &str) -> PathBuf {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::create_dir_all(&folder).unwrap();
        folder
    }

    fn refused(name: &str, source: &str) -> Refused {
        let folder = folder(name);
        let file = folder.join(format!("{name}.c"));
        std::fs::write(&file, source).unwrap();
        Instrument::new(name).file(file).build(&folder).unwrap_err()
    }

    #[test]
    fn what_blocks_and_is_not_modelled_is_refused_by_name() {
        let source = "#include <poll.h>\nint waits(void) { return poll(0, 0, -1); }\n";
        let refused = refused("polls", source);
        assert!(refused.to_string().contains("`poll` in 0.polls.o"), "{refused}");
        assert!(matches!(refused, Refused::Unmodelled(symbols) if symbols.len() == 1));
    }

    #[test]
    fn thread_local_variables_are_refused_by_name() {
        let refused = refused("locals", "static __thread int mine;\nint *get(void) { return &mine; }\n");
        assert!(refused.to_string().contains("`mine` in 0.locals.o"), "{refused}");
    }

    #[test]
    fn an_object_that_was_not_instrumented_is_refused_by_name() {
        let folder = folder("blind");
        let (source, object) = (folder.join("blind.c"), folder.join("blind.o"));
        std::fs::write(&source, "int f(int *p) { return *p; }\n").unwrap();
        let compiled = std::process::Command::new("cc").arg("-c").arg(&source).arg("-o").arg(&object).status().unwrap();
        assert!(compiled.success());
        let refused = Instrument::new("blind").object(&object).build(&folder).unwrap_err();
        assert_eq!(refused, Refused::NotInstrumented([String::from("blind.o")].into()), "{refused}");
    }

    #[test]
    fn an_existing_archive_is_instrumented() {
        let folder = folder("archive");
        let source = folder.join("twice.c");
        std::fs::write(
            &source,
            "#include <stdlib.h>\nint count;\nint *twice(int n) { count += n; return malloc(8); }\n",
        )
        .unwrap();
        let once = Instrument::new("once").file(&source).build(&folder);
        let once = once.unwrap();
        // Its calls of the model have been renamed already: what is left has to be a library like any other.
        let refused = Instrument::new("again").object(&once).build(&folder).unwrap_err();
        assert!(matches!(refused, Refused::NotInstrumented(_)), "{refused}");
        let object = folder.join("twice.o");
        let flags = latecall::model::instrument::COMPILER_FLAGS;
        let compiled = std::process::Command::new("cc")
            .args(flags)
            .arg("-c")
            .arg(&source)
            .arg("-o")
            .arg(&object)
            .status()
            .unwrap();
        assert!(compiled.success());
        let archive = Instrument::new("other").object(&object).build(&folder).unwrap();
        let symbols = std::process::Command::new("nm").arg(archive).output().unwrap();
        let symbols = String::from_utf8(symbols.stdout).unwrap();
        for symbol in ["T other_twice", "other_count", "U latecall_model_malloc", "U latecall_model___tsan_write4"] {
            assert!(symbols.contains(symbol), "{symbol}:\n{symbols}");
        }
    }
}

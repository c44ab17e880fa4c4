// What is found in the C programs of `native/tests/model/programs`, and what is not, whichever compiler instrumented
// them. One file: `tests/c.rs` includes it once for each compiler, where `prefix!` is what the names of its build begin
// with.

use latecall_explore::{Bound, Exploration, Extent, Finding, FindingKind, Options, Repeats, Volatile, explore, replay};

macro_rules! programs {
    ($($name:ident)*) => {
        unsafe extern "C-unwind" {
            $(#[link_name = concat!(prefix!(), stringify!($name))] safe fn $name();)*
        }
    };
}

programs! {
    message_relaxed
    message_release_only
    message_acquire_only
    message_ordered
    passed_on_relaxed
    passed_on_ordered
    dekker_seq_cst
    dekker_acq_rel
    dekker_fences
    seq_cst_elsewhere
    atomic_widths
    spin_until_open
    spin_for_ever
    volatile_flag
    volatile_flag_alone
}

/// The search is exhausted after more than one interleaving, and finds nothing.
fn passes(name: &str, program: extern "C-unwind" fn()) {
    passed(name, program).check();
}

/// Does what [`passes`] does, and returns the result.
fn passed(name: &str, program: extern "C-unwind" fn()) -> Exploration {
    let exploration = explore(name, &Options::new(), move || program());
    println!("{exploration}");
    exploration.check();
    assert!(exploration.interleavings > 1, "{name}: one interleaving is no search");
    let (counted, left) = counted_and_pruned(name, program);
    // An exchange whose value has been stored more than once asks for each of these stores, where they are told apart.
    assert!(counted.interleavings >= exploration.interleavings, "{name}");
    assert_eq!(different(&left), different(&counted), "{name}: pruning loses interleavings: {left}\n{counted}");
    exploration
}

/// The same search with repeats counted, and with repeats pruned.
fn counted_and_pruned(name: &str, program: extern "C-unwind" fn()) -> (Exploration, Exploration) {
    let with = |repeats| {
        let exploration = explore(name, &Options::new().repeats(repeats), move || program());
        exploration.check();
        exploration
    };
    (with(Repeats::Counted), with(Repeats::Pruned))
}

fn different(exploration: &Exploration) -> u64 {
    exploration.interleavings - exploration.repeats
}

/// The search finds nothing, and says that it is bounded: threads that loop, yield or sleep give way to others, and
/// schedules in which they continue at once are not explored.
fn passes_giving_way(name: &str, program: extern "C-unwind" fn()) {
    let exploration = passed_giving_way(name, program);
    assert!(exploration.finding.is_none(), "{exploration}");
}

/// Does what [`passes_giving_way`] does, and returns the result.
fn passed_giving_way(name: &str, program: extern "C-unwind" fn()) -> Exploration {
    let exploration = explore(name, &Options::new(), move || program());
    println!("{exploration}");
    assert_eq!(exploration.extent, Extent::BoundedBy(Bound::Yields), "{exploration}");
    assert!(exploration.finding.is_none(), "{exploration}");
    assert!(exploration.interleavings > 1, "{name}: one interleaving is no search");
    exploration
}

/// The program is wrong, and the same interleaving shows it again.
fn convicted(name: &str, program: extern "C-unwind" fn(), kind: FindingKind, words: &[&str]) -> Finding {
    let options = Options::new();
    let run = move || program();
    let exploration = explore(name, &options, run);
    println!("{exploration}");
    let finding = exploration.assert_convicted(kind).clone();
    for word in words {
        assert!(finding.timeline.contains(word), "{name}: {word:?} is not in:\n{finding}");
    }
    assert!(!finding.timeline.contains("? ?"), "{name}: places without names:\n{finding}");
    explore(name, &options.clone().repeats(Repeats::Pruned), run).assert_convicted(kind);
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
        convicted(name, program, FindingKind::DataRace, &["sender", "receiver", "programs/orders.c:"]);
    }
}

#[test]
fn a_lock_passes_on_what_its_owner_knew_and_no_more() {
    passes("passed_on_ordered", passed_on_ordered);
    convicted("passed_on_relaxed", passed_on_relaxed, FindingKind::DataRace, &["sender", "pass_on", "programs/orders.c:"]);
}

#[test]
fn store_load_pairs_need_sequential_consistency() {
    passes("dekker_seq_cst", dekker_seq_cst);
    passes("dekker_fences", dekker_fences);
    convicted("dekker_acq_rel", dekker_acq_rel, FindingKind::Aborted, &["fight", "loads", "stores", "abort"]);
}

#[test]
fn atomics_of_every_width_and_operation() {
    explore("atomic_widths", &Options::new(), || atomic_widths()).check();
    // `SeqCst` fences are no branch of the search, and their orders are told apart all the same: repeats of what loom
    // takes for one differ in them, and fewer repeats meet fewer of them.
    let (counted, left) = counted_and_pruned("atomic_widths", atomic_widths);
    assert!(1 < different(&left) && different(&left) < different(&counted), "{left}\n{counted}");
}

#[test]
fn a_loop_on_an_atomic_ends_in_a_verdict() {
    passes_giving_way("spin_until_open", spin_until_open);
    convicted("spin_for_ever", spin_for_ever, FindingKind::Livelock, &["spins on global data", "no other thread can change it"]);
}

#[test]
fn volatile_is_a_relaxed_atomic_and_is_reported() {
    convicted("volatile_flag", volatile_flag, FindingKind::DataRace, &["volatile_flag", "stops"]);
    let exploration = passed_giving_way("volatile_flag_alone", volatile_flag_alone);
    assert!(exploration.volatile.iter().any(|place| place.contains("stops")), "{:?}", exploration.volatile);
}

programs! {
    plain_race
    globals_start_afresh
    neighbours_do_not_race
    use_after_free
    double_free
    foreign_free
    red_zone
    null_pointer
    leak
    still_reachable
    deep_recursion
}

#[test]
fn a_race_on_plain_memory_is_convicted_with_both_places() {
    let finding = convicted("plain_race", plain_race, FindingKind::DataRace, &["counts", "plain_race", "global data counter"]);
    assert!(finding.message.contains("programs/memory.c:20"), "{finding}");
    assert!(finding.stack[0].contains("programs/memory.c:13"), "{finding}");
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
        FindingKind::UseAfterFree,
        &["uses", "freed at use_after_free", "allocated by main"],
    );
    convicted("double_free", double_free, FindingKind::DoubleFree, &["block 1 is freed again"]);
    convicted("foreign_free", foreign_free, FindingKind::ForeignFree, &["block 1+1"]);
    convicted("red_zone", red_zone, FindingKind::OutOfBounds, &["9 bytes at offset 0 of block 1, which has 8 bytes"]);
    convicted("null_pointer", null_pointer, FindingKind::OutOfBounds, &["null pointer"]);
    convicted("leak", leak, FindingKind::Leak, &["block 1 of 5 bytes", "allocated by leak"]);
    passes("still_reachable", still_reachable);
}

#[test]
fn a_stack_that_overflows_is_a_limit_and_no_finding() {
    let exploration = explore("deep_recursion", &Options::new(), || deep_recursion());
    assert_eq!(exploration.extent, Extent::BoundedBy(Bound::Stack(256 << 10)), "{exploration}");
    assert!(exploration.to_string().contains("raise Options::stack"), "{exploration}");
}

programs! {
    wake_up
    lost_wake_up
    timed_wait
    timed_wait_trusted
    timed_wait_distrusted
    lock_order
    mutex_kinds
    lock_twice
    unlock_unlocked
    once_only
    key_destructors
    rwlock
    semaphore
    barrier_and_spin
    c11_threads
    too_many_threads
    polling
}

#[test]
fn a_wake_up_that_comes_too_early_is_a_deadlock() {
    passes("wake_up", wake_up);
    convicted("lost_wake_up", lost_wake_up, FindingKind::Deadlock, &["main waits for condition global data", "waits"]);
    convicted("lock_order", lock_order, FindingKind::Deadlock, &["held by thread 1", "held by thread 0"]);
    convicted("lock_twice", lock_twice, FindingKind::Deadlock, &["which it holds itself"]);
}

#[test]
fn a_timed_wait_times_out_and_is_woken() {
    passes("timed_wait", timed_wait);
    convicted("timed_wait_trusted", timed_wait_trusted, FindingKind::Aborted, &["gives up waiting"]);
    convicted("timed_wait_distrusted", timed_wait_distrusted, FindingKind::Aborted, &["is woken"]);
}

#[test]
fn objects_of_pthreads() {
    passes("mutex_kinds", mutex_kinds);
    convicted("unlock_unlocked", unlock_unlocked, FindingKind::Misuse, &["a mutex is unlocked that is not locked"]);
    passes("once_only", once_only);
    // No two of its operations depend on each other, so one order stands for all.
    explore("key_destructors", &Options::new(), || key_destructors()).check();
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


use std::collections::BTreeSet;
use std::ffi::c_int;
use std::sync::{Arc, Mutex};

unsafe extern "C-unwind" {
    #[link_name = concat!(prefix!(), "outcome")]
    safe fn outcome() -> c_int;
    #[link_name = concat!(prefix!(), "strong_attempt")]
    safe fn strong_attempt() -> c_int;
}

programs! {
    mutex_try
    mutex_timed
    mutex_clock
    rwlock_try_read
    rwlock_try_write
    rwlock_timed_read
    rwlock_timed_write
    rwlock_clock_read
    rwlock_clock_write
    rwlock_readers
    semaphore_timed
    semaphore_clock
    cond_clock
    mtx_try
    mtx_time
    detach
    born_detached
    join_detached
    detach_twice
    clocks
    at_exit
    at_exit_aborts
    thread_names
}

/// What a program answers, over all interleavings; nothing is found in any.
fn outcomes(name: &str, program: extern "C-unwind" fn(), answer: extern "C-unwind" fn() -> c_int) -> BTreeSet<c_int> {
    let seen = Arc::new(Mutex::new(BTreeSet::new()));
    let inner = Arc::clone(&seen);
    let exploration = explore(name, &Options::new(), move || {
        program();
        // The search may begin again in here, which must not poison the lock.
        let answer = answer();
        inner.lock().unwrap().insert(answer);
    });
    println!("{exploration}");
    assert!(matches!(exploration.extent, Extent::Exhausted | Extent::BoundedBy(Bound::Yields)), "{exploration}");
    let seen = seen.lock().unwrap();
    seen.clone()
}

/// Two accesses that order nothing else between their threads come in either order, of which one leaves a race.
#[test]
fn sequentially_consistent_accesses_to_different_objects_come_in_either_order() {
    convicted("seq_cst_elsewhere", seq_cst_elsewhere, FindingKind::DataRace, &["writes_then_counts", "seq_cst_elsewhere"]);
}

#[test]
fn an_attempt_succeeds_and_fails() {
    for (name, program) in [
        ("mutex_try", mutex_try as extern "C-unwind" fn()),
        ("rwlock_try_read", rwlock_try_read),
        ("rwlock_try_write", rwlock_try_write),
    ] {
        assert_eq!(outcomes(name, program, outcome), [0, libc::EBUSY].into(), "{name}");
    }
    assert_eq!(outcomes("mtx_try", mtx_try, outcome), [0, 1].into(), "thrd_success and thrd_busy");
    // Readers exclude only writers.
    assert_eq!(outcomes("rwlock_readers", rwlock_readers, outcome), [0].into());
}

#[test]
fn a_wait_with_a_limit_succeeds_and_gives_up() {
    for (name, program) in [
        ("mutex_timed", mutex_timed as extern "C-unwind" fn()),
        ("mutex_clock", mutex_clock),
        ("rwlock_timed_read", rwlock_timed_read),
        ("rwlock_timed_write", rwlock_timed_write),
        ("rwlock_clock_read", rwlock_clock_read),
        ("rwlock_clock_write", rwlock_clock_write),
        ("semaphore_timed", semaphore_timed),
        ("semaphore_clock", semaphore_clock),
        ("cond_clock", cond_clock),
    ] {
        assert_eq!(outcomes(name, program, outcome), [0, libc::ETIMEDOUT].into(), "{name}");
    }
    assert_eq!(outcomes("mtx_time", mtx_time, outcome), [0, 4].into(), "thrd_success and thrd_timedout");
}

#[test]
fn a_detached_thread_runs_early_or_late_and_is_joined_by_nobody() {
    assert_eq!(outcomes("detach", detach, outcome), [0, 1].into());
    assert_eq!(outcomes("born_detached", born_detached, outcome), [0, 1].into());
    convicted("join_detached", join_detached, FindingKind::Misuse, &["join of thread 1, which was joined or detached before"]);
    convicted("detach_twice", detach_twice, FindingKind::Misuse, &["detach of thread 1, which was joined or detached before"]);
}

#[test]
fn clocks_go_on_and_sleeps_end() {
    let exploration = explore("clocks", &Options::new(), || clocks());
    assert!(exploration.finding.is_none(), "{exploration}");
}

#[test]
fn functions_for_exit_run_after_the_closure_the_last_first() {
    explore("at_exit", &Options::new(), || at_exit()).check();
    convicted("at_exit_aborts", at_exit_aborts, FindingKind::Aborted, &["registers a function for exit", "complains"]);
}

#[test]
fn threads_have_the_names_that_c_gives_them() {
    convicted("thread_names", thread_names, FindingKind::Aborted, &["main \"keeper\""]);
}

programs! {
    atomic_operations
    volatile_widths
    volatile_16_bytes
    wide_exchange
    plain_widths
    unaligned_race
}

#[test]
fn every_operation_on_atomics_at_every_width() {
    explore("atomic_operations", &Options::new(), || atomic_operations()).check();
    assert_eq!(outcomes("strong_attempt", nothing_before, strong_attempt), [1].into());
}

extern "C-unwind" fn nothing_before() {}

#[test]
fn volatile_and_plain_accesses_of_every_width() {
    let exploration = passed("volatile_widths", volatile_widths);
    assert!(exploration.volatile.len() > 4, "{:?}", exploration.volatile);
    let exploration = explore("plain_widths", &Options::new(), || plain_widths());
    exploration.check();
    convicted("unaligned_race", unaligned_race, FindingKind::DataRace, &["touches_the_end"]);
}

#[test]
fn accesses_that_loom_has_no_atomics_for_are_a_limit_with_a_name() {
    for (name, program, words) in [
        ("volatile_16_bytes", volatile_16_bytes as extern "C-unwind" fn(), "volatile accesses of 16 bytes"),
        ("wide_exchange", wide_exchange, "128-bit atomics"),
    ] {
        let exploration = explore(name, &Options::new(), move || program());
        assert!(matches!(exploration.extent, Extent::BoundedBy(Bound::Unmodelled(_))), "{exploration}");
        assert!(exploration.to_string().contains(words), "{exploration}");
    }
}

programs! {
    vptr
    vptr_race
    static_of_a_function
    array_delete_twice
    exceptions_at_once
    pure_virtual_called
    terminated
}

#[test]
fn c_plus_plus_objects_mutexes_and_statics() {
    passes("vptr", vptr);
    passes("static_of_a_function", static_of_a_function);
    convicted("vptr_race", vptr_race, FindingKind::DataRace, &["asks"]);
    convicted("array_delete_twice", array_delete_twice, FindingKind::DoubleFree, &["block 1 is freed again"]);
}

#[test]
fn threads_handle_exceptions_of_c_plus_plus_each_its_own() {
    passes("exceptions_at_once", exceptions_at_once);
    convicted("pure_virtual_called", pure_virtual_called, FindingKind::Aborted, &["a pure virtual function was called"]);
    convicted("terminated", terminated, FindingKind::Aborted, &["std::terminate was called"]);
}

programs! {
    fast_path_sound
    fast_path_relaxed_out
    fast_path_relaxed_wait
    fast_path_not_sequential
}

#[test]
fn a_count_of_calls_in_flight_needs_its_orders() {
    passes_giving_way("fast_path_sound", fast_path_sound);
    for (name, program) in [
        ("fast_path_relaxed_out", fast_path_relaxed_out as extern "C-unwind" fn()),
        ("fast_path_relaxed_wait", fast_path_relaxed_wait),
    ] {
        convicted(name, program, FindingKind::DataRace, &["callback", "frees block 2"]);
    }
    // Both see the other too late: the callback runs on what was freed.
    let finding = explore("fast_path_not_sequential", &Options::new(), || fast_path_not_sequential()).finding;
    let finding = finding.expect("a store-load pair without sequential consistency");
    assert!(matches!(finding.kind, FindingKind::UseAfterFree | FindingKind::DataRace), "{finding}");
}

programs! {
    random_numbers
    refused_and_called
    refused_and_not_called
}

#[test]
fn random_numbers_are_the_same_in_every_interleaving() {
    explore("random_numbers", &Options::new(), || random_numbers()).check();
}

#[test]
fn what_is_refused_when_it_is_called_bounds_the_search_with_its_place() {
    explore("refused_and_not_called", &Options::new(), || refused_and_not_called()).check();
    let exploration = explore("refused_and_called", &Options::new(), || refused_and_called());
    assert!(matches!(exploration.extent, Extent::BoundedBy(Bound::Unmodelled(_))), "{exploration}");
    let text = exploration.to_string();
    assert!(text.contains("listen was called at waits_for_input programs/timed.c:"), "{text}");
    assert!(text.contains("is not modelled: listen was called") && text.contains(": opens a file or a socket") && text.contains("a file of your own"), "{text}");
}

/// Pruning must not be used here, and the comparison in `passes` would fail: the threads share one of loom's own
/// atomics, which the search does not see.
#[test]
fn what_rust_code_shares_by_itself_is_lost_where_repeats_are_left() {
    unsafe extern "C-unwind" {
        #[link_name = concat!(prefix!(), "step_apart")]
        safe fn step_apart(which: c_int);
    }
    let orders = |repeats| {
        let seen = std::sync::Arc::new(std::sync::Mutex::new(std::collections::BTreeSet::new()));
        let all = seen.clone();
        let exploration = explore("step_apart", &Options::new().repeats(repeats), move || {
            let shared = std::sync::Arc::new(loom::sync::atomic::AtomicU32::new(0));
            let threads = [0, 1].map(|which| {
                let shared = shared.clone();
                loom::thread::spawn(move || {
                    [(); 3].map(|()| {
                        step_apart(which);
                        // Relaxed: only the order of the six is of interest.
                        shared.fetch_add(1, std::sync::atomic::Ordering::Relaxed)
                    })
                })
            });
            all.lock().unwrap().insert(threads.map(|thread| thread.join().unwrap()));
        });
        exploration.check();
        seen.lock().unwrap().len()
    };
    let [explored, counted, left] = [Repeats::Explored, Repeats::Counted, Repeats::Pruned].map(orders);
    assert_eq!((explored, counted), (20, 20), "three of six");
    assert!(left < explored, "{left} orders of {explored}");
}

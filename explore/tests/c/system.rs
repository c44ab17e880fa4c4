// What libraries ask of the system besides threads and memory; included like `suite.rs`, and after it.

programs! {
    signals_blocked
    signals_handled
    signal_sent
    signal_set_raced
    cancellation
    system_names
    scheduling
    dumpable
    bytes_from_the_system
    calendar
    calendar_raced
}

/// One thread at a time does something: one interleaving stands for all.
fn does(name: &str, program: extern "C-unwind" fn()) {
    explore(name, &Options::new(), move || program()).check();
}

fn bounded(name: &str, program: extern "C-unwind" fn(), words: &str) {
    let exploration = explore(name, &Options::new(), move || program());
    assert!(matches!(exploration.extent, Extent::BoundedBy(Bound::Unmodelled(_))), "{exploration}");
    assert!(exploration.to_string().contains(words), "{exploration}");
}

#[test]
fn signals_that_nobody_sends_are_blocked_and_handled_as_c_says() {
    does("signals_blocked", signals_blocked);
    does("signals_handled", signals_handled);
    does("cancellation", cancellation);
    bounded("signal_sent", signal_sent, "pthread_kill with signal 10 was called at signal_sent programs/system.c:");
    convicted("signal_set_raced", signal_set_raced, FindingKind::DataRace, &["fills", "signal_set_raced"]);
}

#[test]
fn names_random_bytes_and_calendars_come_from_the_model() {
    does("system_names", system_names);
    does("scheduling", scheduling);
    does("bytes_from_the_system", bytes_from_the_system);
    does("calendar", calendar);
    convicted("calendar_raced", calendar_raced, FindingKind::DataRace, &["memory of Rust code", "looks_up programs/system.c:"]);
    bounded("dumpable", dumpable, "prctl with option 4 was called at dumpable programs/system.c:");
}

programs! {
    polls_a_lock
    polls_for_a_second
    waits_a_minute
    spins_on_two
    spins_at_two_places
    spins_and_allocates
    spins_on_two_for_ever
    setting_read_often
    time_passes_while_waiting
    timer_cancelled_late
    waits_a_minute_for_a_thread
}

#[test]
fn a_loop_on_a_lock_or_a_clock_lets_others_run() {
    passes_giving_way("polls_for_a_second", polls_for_a_second);
    // There is no other thread to give way to, so no schedule is lost.
    does("waits_a_minute", waits_a_minute);
    let exploration = passed_giving_way("polls_a_lock", polls_a_lock);
    assert!(exploration.interleavings > 50, "each round of the loop in which the other thread may come: {exploration}");
}

#[test]
fn a_loop_on_several_atomics_lets_others_run() {
    passes_giving_way("spins_on_two", spins_on_two);
    passes_giving_way("spins_at_two_places", spins_at_two_places);
    passes_giving_way("spins_and_allocates", spins_and_allocates);
    convicted("spins_on_two_for_ever", spins_on_two_for_ever, FindingKind::Livelock, &["spins on", "until_stopped"]);
}

/// One atomic is read many times in a row, and that is no loop: going on at once is explored.
#[test]
fn a_setting_that_is_read_often_is_not_waited_for() {
    passes("setting_read_often", setting_read_often);
}

/// Timers fire in the model, also early, and late.
#[test]
fn time_has_passed_for_who_has_waited_in_vain_or_slept() {
    let exploration = explore("time_passes_while_waiting", &Options::new(), || time_passes_while_waiting());
    assert_eq!(exploration.extent, Extent::BoundedBy(Bound::Yields), "a sleeping thread gives way: {exploration}");
    passes_giving_way("waits_a_minute_for_a_thread", waits_a_minute_for_a_thread);
    convicted("timer_cancelled_late", timer_cancelled_late, FindingKind::UseAfterFree, &["gives up waiting", "times"]);
}

#[test]
fn volatile_orders_where_it_is_asked_to_and_places_are_named_once() {
    let exploration = explore("ordered", &Options::new().volatile(Volatile::Ordered), || volatile_flag());
    assert_eq!(exploration.extent, Extent::BoundedBy(Bound::Yields), "{exploration}");
    let places: BTreeSet<&String> = exploration.volatile.iter().collect();
    assert!(!places.is_empty() && places.len() == exploration.volatile.len(), "{exploration}");
    // What has nothing to do with volatile is found as before.
    explore("plain", &Options::new().volatile(Volatile::Ordered), || plain_race()).assert_convicted(FindingKind::DataRace);
}

programs! {
    spin_lock_exchanges
    spin_lock_reads_first
    spin_lock_kept
}

/// A store that follows an exchange, in the order of the interleaving, is not hidden by it from the thread that
/// exchanged.
#[test]
fn locks_that_spin_are_taken_by_each_in_turn() {
    passes_giving_way("spin_lock_exchanges", spin_lock_exchanges);
    passes_giving_way("spin_lock_reads_first", spin_lock_reads_first);
    let finding = convicted("spin_lock_kept", spin_lock_kept, FindingKind::Livelock, &["spins on", "times"]);
    assert!(finding.timeline.lines().count() < 100, "what repeats itself is told once: {}", finding.timeline);
}

programs! {
    pipe_blocks
    pipe_polled
    pipe_selected
    pair_of_sockets
    pipe_not_waited_for
    poll_limited
    poll_at_once
    event_awaited
    event_that_does_not_come
    poller_told_later
    descriptors_one_by_one
    pipe_broken
    pipe_closed
    read_into_freed
    message_in_pieces
    message_read_in_pieces
    piece_changed_meanwhile
    piece_freed
    message_with_a_descriptor
    shut_down_one_by_one
    pair_shut_down
    two_polled_at_once
}

unsafe extern "C-unwind" {
    #[link_name = concat!(prefix!(), "poll_outcome")]
    safe fn poll_outcome() -> c_int;
}

#[test]
fn threads_wake_each_other_by_descriptors() {
    for (name, program) in [
        ("pipe_blocks", pipe_blocks as extern "C-unwind" fn()),
        ("pipe_polled", pipe_polled),
        ("pipe_selected", pipe_selected),
        ("pair_of_sockets", pair_of_sockets),
        ("event_awaited", event_awaited),
        ("poller_told_later", poller_told_later),
        ("pipe_closed", pipe_closed),
        ("message_in_pieces", message_in_pieces),
        ("message_read_in_pieces", message_read_in_pieces),
        ("pair_shut_down", pair_shut_down),
        ("two_polled_at_once", two_polled_at_once),
    ] {
        passes(name, program);
    }
    assert_eq!(outcomes("poll_limited", poll_limited, poll_outcome), [0, 1].into());
    assert_eq!(outcomes("poll_at_once", poll_at_once, poll_outcome), [0, 1].into());
    does("descriptors_one_by_one", descriptors_one_by_one);
    does("shut_down_one_by_one", shut_down_one_by_one);
}

#[test]
fn descriptors_that_are_not_waited_for_hide_nothing() {
    convicted("pipe_not_waited_for", pipe_not_waited_for, FindingKind::DataRace, &["sends", "looks_too_early"]);
    let words = ["main waits for descriptor 3 at waits_for_nobody programs/descriptors.c:"];
    convicted("event_that_does_not_come", event_that_does_not_come, FindingKind::Deadlock, &words);
    convicted("read_into_freed", read_into_freed, FindingKind::UseAfterFree, &["write of 2 bytes at offset 0 of block 1"]);
    convicted("piece_changed_meanwhile", piece_changed_meanwhile, FindingKind::DataRace, &["writes_pieces", "changes_a_piece"]);
    convicted("piece_freed", piece_freed, FindingKind::UseAfterFree, &["write of 2 bytes at offset 0 of block 1"]);
    bounded("message_with_a_descriptor", message_with_a_descriptor, "sendmsg with a name or control data was called");
    bounded("pipe_broken", pipe_broken, "write to a descriptor without a reader, which would raise SIGPIPE, was called");
}

programs! {
    futex_event
    futex_mutex
    futex_not_woken
    futex_timed
    system_calls
    system_call_refused
    system_call_missing
    futex_freed_before_its_wake
}

unsafe extern "C-unwind" {
    #[link_name = concat!(prefix!(), "futex_outcome")]
    safe fn futex_outcome() -> c_int;
}

#[test]
fn futexes_that_code_calls_itself_block_and_wake() {
    passes("futex_event", futex_event);
    passes("futex_freed_before_its_wake", futex_freed_before_its_wake);
    // The same values are stored by several stores: where those are told apart, an exchange asks for each, more or less
    // often.
    for repeats in [Repeats::Explored, Repeats::Counted, Repeats::Pruned] {
        explore("futex_mutex", &Options::new().repeats(repeats), || futex_mutex()).check();
    }
    let finding = convicted("futex_not_woken", futex_not_woken, FindingKind::Deadlock, &["waits for futex global data"]);
    assert!(finding.in_c, "{finding}");
    let all = [0, libc::EAGAIN, libc::ETIMEDOUT].into();
    assert_eq!(outcomes("futex_timed", futex_timed, futex_outcome), all);
    does("system_calls", system_calls);
    explore("system_call_missing", &Options::new(), || system_call_missing()).check();
    bounded("system_call_refused", system_call_refused, "system call 140 was called at system_call_refused");
}

programs! {
    load_before_load_and_store
    load_before_load_and_exchange
    volatile_before_both
}

unsafe extern "C-unwind" {
    #[link_name = concat!(prefix!(), "found_step")]
    safe fn found_step() -> c_int;
}

/// Loom by itself explores one interleaving of each.
#[test]
fn a_store_comes_before_a_load_that_the_storing_threads_own_load_hides() {
    for (name, program) in [
        ("load_before_load_and_store", load_before_load_and_store as extern "C-unwind" fn()),
        ("load_before_load_and_exchange", load_before_load_and_exchange),
        ("volatile_before_both", volatile_before_both),
    ] {
        assert_eq!(outcomes(name, program, found_step), [0, 1].into(), "{name}");
    }
}

programs! {
    locals
    local_after_its_thread
    local_of_another
    kept_for_the_first
    kept_and_shared
}

#[test]
fn thread_local_variables_belong_to_threads_and_end_with_them() {
    // Its threads share nothing that an operation could tell: one order stands for all.
    explore("locals", &Options::new(), || locals()).check();
    convicted("local_after_its_thread", local_after_its_thread, FindingKind::UseAfterFree, &["thread 1 freed"]);
    convicted("local_of_another", local_of_another, FindingKind::DataRace, &["local_of_another", "adds"]);
}

unsafe extern "C-unwind" {
    #[link_name = concat!(prefix!(), "keeps")]
    safe fn keeps() -> c_int;
}

#[test]
fn what_calls_outside_a_search_leave_in_thread_local_variables_is_the_first_threads() {
    assert_eq!(keeps(), 2);
    // One order stands for all: nothing is shared.
    explore("kept_for_the_first", &Options::new(), || kept_for_the_first()).check();
    let shared = convicted("kept_and_shared", kept_and_shared, FindingKind::DataRace, &["adds"]);
    assert!(shared.message.contains("thread-local variable") && shared.message.contains("of main+0"), "{shared}");
}

unsafe extern "C-unwind" {
    #[link_name = concat!(prefix!(), "blocks_destroyed")]
    safe fn blocks_destroyed() -> c_int;
    #[link_name = concat!(prefix!(), "goes_deep")]
    safe fn goes_deep(depth: c_int) -> c_int;
}

programs! {
    owns_a_block
}

#[test]
fn a_thread_that_rust_code_spawns_is_joined_after_its_values_are_destroyed() {
    let exploration = explore("spawn", &Options::new(), || {
        let thread = latecall_explore::spawn(|| {
            owns_a_block();
            goes_deep(100)
        });
        owns_a_block();
        assert_eq!((thread.join(), blocks_destroyed()), (100, 1));
    });
    exploration.check();
    assert!(exploration.interleavings > 1, "{exploration}");
}

#[test]
fn what_belongs_to_a_thread_of_looms_is_no_leak() {
    explore("loom's spawn", &Options::new(), || {
        loom::thread::spawn(|| owns_a_block()).join().unwrap();
        assert_eq!(blocks_destroyed(), 0);
    })
    .check();
}

programs! {
    thread_kept
}

#[test]
fn a_thread_that_outlives_the_closure_is_said_to() {
    let kept = convicted("thread_kept", thread_kept, FindingKind::Deadlock, &["thread 1 waits for semaphore", "closure has returned"]);
    assert!(kept.message.contains("The test closure has returned while these threads are still running"), "{kept}");
}

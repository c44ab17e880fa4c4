// What libraries ask of the system besides threads and memory; included like `suite.rs`, and after it.

programs! {
    signals_blocked
    signals_handled
    signal_sent
    signal_set_raced
    cancellation
    system_names
    dumpable
    bytes_from_the_system
}

/// One thread at a time does something: one interleaving stands for all.
fn does(name: &str, program: extern "C-unwind" fn()) {
    explore(name, &Options::new(), move || program()).assert_exhausted();
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
    convicted("signal_set_raced", signal_set_raced, Kind::DataRace, &["fills", "signal_set_raced"]);
}

#[test]
fn names_and_random_bytes_come_from_the_model() {
    does("system_names", system_names);
    does("bytes_from_the_system", bytes_from_the_system);
    bounded("dumpable", dumpable, "prctl with option 4 was called at dumpable programs/system.c:");
}

programs! {
    polls_a_lock
    polls_for_a_second
    waits_a_minute
}

#[test]
fn a_loop_on_a_lock_or_a_clock_lets_others_run() {
    passes_giving_way("polls_for_a_second", polls_for_a_second);
    // Nobody else is there to let run: nothing is lost.
    does("waits_a_minute", waits_a_minute);
    let exploration = passes_giving_way("polls_a_lock", polls_a_lock);
    assert!(exploration.interleavings > 50, "each round of the loop in which the other thread may come: {exploration}");
}

#[test]
fn volatile_orders_where_it_is_asked_to_and_places_are_named_once() {
    let exploration = explore("ordered", &Options::new().volatile(Volatile::Ordered), || volatile_flag());
    assert_eq!(exploration.extent, Extent::BoundedBy(Bound::Yields), "{exploration}");
    let places: BTreeSet<&String> = exploration.volatile.iter().collect();
    assert!(!places.is_empty() && places.len() == exploration.volatile.len(), "{exploration}");
    // What has nothing to do with volatile is found as before.
    explore("plain", &Options::new().volatile(Volatile::Ordered), || plain_race()).assert_convicted(Kind::DataRace);
}

programs! {
    spin_lock_exchanges
    spin_lock_reads_first
    spin_lock_kept
}

/// A store that follows an exchange, in the order of the interleaving, is not hidden by it from the thread that exchanged.
#[test]
fn locks_that_spin_are_taken_by_each_in_turn() {
    passes_giving_way("spin_lock_exchanges", spin_lock_exchanges);
    passes_giving_way("spin_lock_reads_first", spin_lock_reads_first);
    let finding = convicted("spin_lock_kept", spin_lock_kept, Kind::Livelock, &["again and again", "times"]);
    assert!(finding.timeline.lines().count() < 100, "what repeats itself is told once: {}", finding.timeline);
}

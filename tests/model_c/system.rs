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

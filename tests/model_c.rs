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

/// The program is right, in every interleaving of more than one.
fn passes(name: &str, program: extern "C-unwind" fn()) -> Exploration {
    let exploration = explore(name, &Options::new(), move || program());
    println!("{exploration}");
    exploration.assert_exhausted();
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
    assert_eq!(again.finding.map(|finding| finding.timeline), Some(finding.timeline.clone()), "{name}: not the same again");
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
    passes("spin_until_open", spin_until_open);
    convicted("spin_for_ever", spin_for_ever, Kind::Livelock, &["again and again", "global data"]);
}

#[test]
fn volatile_is_a_relaxed_atomic_and_is_reported() {
    convicted("volatile_flag", volatile_flag, Kind::DataRace, &["volatile_flag", "stops"]);
    let exploration = passes("volatile_flag_alone", volatile_flag_alone);
    assert!(exploration.volatile.iter().any(|place| place.contains("stops")), "{:?}", exploration.volatile);
}

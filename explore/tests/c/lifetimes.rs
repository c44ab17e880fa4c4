// Memory and objects at their beginning and end, and what functions answer that cannot do what they are called for:
// what is found in the C programs, and what is not, whichever compiler instrumented them.

programs! {
    plain_load_after_two_stores
    plain_store_after_two_stores
    volatile_load_and_copy
    atomics_on_the_stack_again
    objects_on_the_stack_again
    mutex_assigned_anew
    mutex_used_after_destroy
    calloc_handed_on
    realloc_handed_on
    calloc_handed_on_in_order
    realloc_to_nothing
    write_before_a_block
    copy_of_nearly_everything
    clear_beyond_the_globals
    array_beyond_the_stack
    variable_array_beyond_the_stack
    search_to_the_end_of_a_block
    overflow_memchr
    overflow_strncmp
    weak_failure_finds
    weak_failure_acquires
    expectation_race
}

programs! {
    store_after_exchange
    store_before_exchange
    release_ended_by_a_store
}

#[test]
fn an_exchange_and_a_store_come_one_after_the_other() {
    passes("store_after_exchange", store_after_exchange);
    convicted("store_before_exchange", store_before_exchange, FindingKind::Aborted, &["adds to", ":= 10"]);
    for repeats in [Repeats::Counted, Repeats::Explored, Repeats::Pruned] {
        let options = Options::new().repeats(repeats);
        let exploration = explore("release_ended_by_a_store", &options, || release_ended_by_a_store());
        let finding = exploration.assert_convicted(FindingKind::DataRace);
        assert!(finding.timeline.contains("writes_and_adds"), "{finding}");
    }
}

/// It passes, in one interleaving or more.
fn exhausted(name: &str, program: extern "C-unwind" fn()) {
    explore(name, &Options::new(), move || program()).check();
}

#[test]
fn plain_accesses_to_an_atomic_agree_with_atomic_ones() {
    passes("plain_load_after_two_stores", plain_load_after_two_stores);
    passes("plain_store_after_two_stores", plain_store_after_two_stores);
    passes("volatile_load_and_copy", volatile_load_and_copy);
}

#[test]
fn what_is_made_again_in_the_same_place_is_new() {
    exhausted("atomics_on_the_stack_again", atomics_on_the_stack_again);
    exhausted("objects_on_the_stack_again", objects_on_the_stack_again);
    convicted("mutex_assigned_anew", mutex_assigned_anew, FindingKind::Deadlock, &["which it holds itself"]);
    convicted("mutex_used_after_destroy", mutex_used_after_destroy, FindingKind::Misuse, &["which was destroyed"]);
}

#[test]
fn an_allocation_is_ordered_before_the_use_of_its_block() {
    passes("calloc_handed_on_in_order", calloc_handed_on_in_order);
    convicted("calloc_handed_on", calloc_handed_on, FindingKind::DataRace, &["allocation by main", "looks", "hands_on"]);
    convicted("realloc_handed_on", realloc_handed_on, FindingKind::DataRace, &["allocation by main", "looks", "hands_on"]);
}

#[test]
fn accesses_before_a_block_and_of_more_than_there_is_are_told_as_what_they_are() {
    exhausted("realloc_to_nothing", realloc_to_nothing);
    convicted("write_before_a_block", write_before_a_block, FindingKind::OutOfBounds, &["at offset -1 of block 2, which has 8 bytes"]);
    for (name, program) in [
        ("copy_of_nearly_everything", copy_of_nearly_everything as extern "C-unwind" fn()),
        ("clear_beyond_the_globals", clear_beyond_the_globals),
    ] {
        convicted(name, program, FindingKind::OutOfBounds, &["global data"]);
    }
}

#[test]
fn an_array_larger_than_the_stack_is_a_limit_and_no_crash() {
    for (name, program) in [
        ("array_beyond_the_stack", array_beyond_the_stack as extern "C-unwind" fn()),
        ("variable_array_beyond_the_stack", variable_array_beyond_the_stack),
    ] {
        let exploration = explore(name, &Options::new(), move || program());
        assert_eq!(exploration.extent, Extent::BoundedBy(Bound::Stack(256 << 10)), "{exploration}");
        explore(name, &Options::new().stack(4 << 20), move || program()).check();
    }
}

#[test]
fn searches_and_comparisons_read_no_further_than_to_what_they_find() {
    exhausted("search_to_the_end_of_a_block", search_to_the_end_of_a_block);
    convicted("overflow_memchr", overflow_memchr, FindingKind::OutOfBounds, &["programs/strings.c", "allocated by main"]);
    convicted("overflow_strncmp", overflow_strncmp, FindingKind::OutOfBounds, &["programs/strings.c", "allocated by main"]);
}

#[test]
fn an_exchange_that_fails_finds_what_is_there_and_reads_what_it_expects() {
    exhausted("weak_failure_finds", weak_failure_finds);
    passes("weak_failure_acquires", weak_failure_acquires);
    convicted("expectation_race", expectation_race, FindingKind::DataRace, &["expects", "expectation_race"]);
}

programs! {
    checking_mutex_with_a_limit
    join_oneself
    wait_with_recursive
    wait_with_recursive_twice
    condition_destroyed_when_woken
    condition_destroyed_while_waiting
    barrier_destroyed_when_passed
    barrier_destroyed_too_early
    destructor_takes_back
    once_left_in_the_middle
    getvalue_race
}

#[test]
fn calls_that_cannot_succeed_answer_why() {
    exhausted("checking_mutex_with_a_limit", checking_mutex_with_a_limit);
    exhausted("join_oneself", join_oneself);
    convicted("getvalue_race", getvalue_race, FindingKind::DataRace, &["asks", "sets_value"]);
}

/// As glibc unlocks it: once.
#[test]
fn a_wait_with_a_recursive_mutex_locked_twice_keeps_it() {
    passes("wait_with_recursive", wait_with_recursive);
    convicted("wait_with_recursive_twice", wait_with_recursive_twice, FindingKind::Deadlock, &["waits_for_done", "held by"]);
}

#[test]
fn objects_may_end_as_soon_as_nobody_waits_at_them() {
    passes("condition_destroyed_when_woken", condition_destroyed_when_woken);
    passes("barrier_destroyed_when_passed", barrier_destroyed_when_passed);
    let words = &["destroyed while threads wait"];
    convicted("condition_destroyed_while_waiting", condition_destroyed_while_waiting, FindingKind::Misuse, words);
    // Before the other has come, or while it waits.
    convicted("barrier_destroyed_too_early", barrier_destroyed_too_early, FindingKind::Misuse, &["destroyed"]);
}

#[test]
fn destructors_come_one_after_the_other_and_once_is_left_to_others() {
    exhausted("destructor_takes_back", destructor_takes_back);
    passes("once_left_in_the_middle", once_left_in_the_middle);
}

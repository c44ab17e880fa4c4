// The C library's functions on strings and on blocks; included like `suite.rs`, and after it.

programs! {
    strings
    formats
    formatted_beyond
    formatted_and_lost
    blocks
    overflow_strcpy
    overflow_strncpy
    overflow_stpcpy
    overflow_memmove
    overflow_strlen
    overflow_memcmp
    overflow_strcat
    overflow_strncat
    overflow_after_realloc
    use_after_realloc
    overflow_aligned
    more_strings
    overflow_sprintf
    overflow_snprintf
    overflow_qsort
    printed_at_once
    split_at_once
    searched_when_freed
}

#[test]
fn functions_on_strings_and_blocks_do_what_they_say() {
    explore("strings", &Options::new(), || strings()).check();
    explore("more_strings", &Options::new(), || more_strings()).check();
    explore("formats", &Options::new(), || formats()).check();
    convicted("formatted_and_lost", formatted_and_lost, FindingKind::Leak, &["block 1 of 5 bytes", "formatted"]);
    explore("blocks", &Options::new(), || blocks()).check();
}

#[test]
fn functions_on_strings_and_blocks_are_seen_to_step_beyond_a_block() {
    convicted("formatted_beyond", formatted_beyond, FindingKind::OutOfBounds, &["programs/strings.c", "at offset 5 of block 1, which has 5 bytes"]);
    for (name, program) in [
        ("overflow_strcpy", overflow_strcpy as extern "C-unwind" fn()),
        ("overflow_strncpy", overflow_strncpy),
        ("overflow_stpcpy", overflow_stpcpy),
        ("overflow_memmove", overflow_memmove),
        ("overflow_strlen", overflow_strlen),
        ("overflow_memcmp", overflow_memcmp),
        ("overflow_strcat", overflow_strcat),
        ("overflow_strncat", overflow_strncat),
        ("overflow_after_realloc", overflow_after_realloc),
        ("overflow_aligned", overflow_aligned),
        ("overflow_sprintf", overflow_sprintf),
        ("overflow_snprintf", overflow_snprintf),
        ("overflow_qsort", overflow_qsort),
    ] {
        convicted(name, program, FindingKind::OutOfBounds, &["programs/strings.c", "allocated by main"]);
    }
    convicted("use_after_realloc", use_after_realloc, FindingKind::UseAfterFree, &["freed at use_after_realloc"]);
}

#[test]
fn functions_on_strings_are_accesses_of_memory_that_threads_share() {
    convicted("printed_at_once", printed_at_once, FindingKind::DataRace, &["prints programs/strings.c:", "4 bytes"]);
    convicted("split_at_once", split_at_once, FindingKind::DataRace, &["splits programs/strings.c:"]);
    convicted("searched_when_freed", searched_when_freed, FindingKind::UseAfterFree, &["looks_for programs/strings.c:"]);
}

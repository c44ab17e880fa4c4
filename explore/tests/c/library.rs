// What the C library reads and writes for C, function by function; included like `suite.rs`, and after it.

unsafe extern "C-unwind" {
    #[link_name = concat!(prefix!(), "library_functions")]
    safe fn library_functions() -> c_int;
    #[link_name = concat!(prefix!(), "library_name")]
    safe fn library_name(which: c_int) -> *const std::ffi::c_char;
    #[link_name = concat!(prefix!(), "library_enough")]
    safe fn library_enough(which: c_int);
    #[link_name = concat!(prefix!(), "library_short")]
    safe fn library_short(which: c_int);
    #[link_name = concat!(prefix!(), "library_freed")]
    safe fn library_freed(which: c_int);
    #[link_name = concat!(prefix!(), "library_raced")]
    safe fn library_raced(which: c_int);
}

/// Each function of the table, in this program; all that went otherwise is told at once.
fn each_function(program: extern "C-unwind" fn(c_int), expected: Option<FindingKind>) {
    let mut wrong = Vec::new();
    for which in 0..library_functions() {
        // SAFETY: a constant of the C code's.
        let name = unsafe { std::ffi::CStr::from_ptr(library_name(which)) }.to_string_lossy();
        let exploration = explore(&name, &Options::new(), move || program(which));
        let as_expected = match expected {
            None => exploration.extent == Extent::Exhausted,
            Some(kind) => exploration.finding.as_ref().is_some_and(|finding| finding.kind == kind && finding.in_c),
        };
        if !as_expected {
            wrong.push(exploration.to_string());
        }
    }
    assert!(library_functions() > 100 && wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn functions_of_the_c_library_touch_no_more_than_they_say() {
    each_function(library_enough, None);
}

#[test]
fn functions_of_the_c_library_are_seen_to_step_beyond_a_block() {
    each_function(library_short, Some(FindingKind::OutOfBounds));
}

#[test]
fn functions_of_the_c_library_are_seen_to_use_what_was_freed() {
    each_function(library_freed, Some(FindingKind::UseAfterFree));
}

#[test]
fn functions_of_the_c_library_race_with_who_writes_what_they_touch() {
    each_function(library_raced, Some(FindingKind::DataRace));
}

programs! {
    library_rest
    library_errno
    library_reads
    library_sorted
    library_attributes
    library_set_short
    library_null
    library_null_compared
    library_null_tokens
    library_null_printed
    library_format
    library_scan
    library_part
    library_guard
}

#[test]
fn what_threads_do_with_the_c_library_is_each_ones_own() {
    does("library_rest", library_rest);
    does("library_errno", library_errno);
    does("library_reads", library_reads);
    convicted("library_sorted", library_sorted, FindingKind::DataRace, &["sorts programs/library.c:", "library_sorted"]);
    convicted("library_attributes", library_attributes, FindingKind::DataRace, &["sets_up", "library_attributes"]);
    convicted("library_set_short", library_set_short, FindingKind::OutOfBounds, &["block 1, which has 8 bytes"]);
}

#[test]
fn null_is_no_string_but_for_printf() {
    does("library_null_printed", library_null_printed);
    for (name, program) in [
        ("library_null", library_null as extern "C-unwind" fn()),
        ("library_null_compared", library_null_compared),
        ("library_null_tokens", library_null_tokens),
    ] {
        convicted(name, program, FindingKind::OutOfBounds, &["null pointer"]);
    }
}

#[test]
fn a_stack_that_was_overwritten_is_a_finding() {
    convicted("library_guard", library_guard, FindingKind::Aborted, &["found the stack overwritten", "library_guard"]);
}

#[test]
fn formats_that_are_not_known_bound_the_search() {
    bounded("library_format", library_format, "printf with an unknown format was called at library_format");
    bounded("library_scan", library_scan, "sscanf with an unknown format was called at library_scan");
    bounded("library_part", library_part, "regexec with REG_STARTEND was called at library_part");
}

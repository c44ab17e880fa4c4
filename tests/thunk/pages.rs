//! Code pages: what is mapped, and what happens where nothing may be.

use crate::support::seccomp::{ALLOW, JUMP_IF_BIT, JUMP_IF_EQUAL, LOAD, REFUSE, RETURN, install, step};
use crate::support::{command, isolated};
use latecall::registry::Shortage;
use std::ffi::{c_int, c_void};

unsafe extern "C" {
    fn mmap(at: *mut c_void, length: usize, access: c_int, flags: c_int, file: c_int, offset: i64) -> *mut c_void;
}

/// The lines of this process's mappings: address, access, and the whole line.
fn mappings() -> Vec<(usize, usize, String, String)> {
    let text = std::fs::read_to_string("/proc/self/maps").unwrap();
    let lines = text.lines().map(|line| {
        let (range, rest) = line.split_once(' ').unwrap();
        let (start, end) = range.split_once('-').unwrap();
        let number = |text| usize::from_str_radix(text, 16).unwrap();
        (number(start), number(end), rest[..4].to_owned(), line.to_owned())
    });
    lines.collect()
}

/// 300 thunks take three pages of 127. The code is mapped from the executable's own file and never writable, the data
/// beside it is never executable, and each function begins with its processor's landing instruction.
#[test]
fn code_is_mapped_from_the_objects_file_and_nothing_is_writable_and_executable() {
    latecall::signature! {
        extern "C" fn Number(more: u32) -> u32;
        late = 0;
        panic = Late;
        pool = 0;
    }
    isolated(&code_is_mapped_from_the_objects_file_and_nothing_is_writable_and_executable, || {
        let thunks: Vec<_> = (0..300).map(|number| Number::thunk(move |more| number + more)).collect();
        let after = mappings();
        for (_, _, access, line) in &after {
            assert!(!(access.contains('w') && access.contains('x')), "{line}");
        }
        let file = std::env::current_exe().unwrap();
        let mut pages = std::collections::HashSet::new();
        for (number, thunk) in (0..).zip(&thunks) {
            let address = thunk.as_fn() as usize;
            let (start, end, access, line) = after.iter().find(|it| it.0 <= address && address < it.1).unwrap();
            pages.insert(*start);
            assert_eq!((end - start, &access[..]), (4096, "r-xp"), "{line}");
            assert!(line.ends_with(file.to_str().unwrap()), "{line}");
            assert!(after.iter().any(|it| it.0 == *end && it.2 == "rw-p"), "data beside {line}");
            let landing = if cfg!(target_arch = "x86_64") { 0xfa1e_0ff3 } else { 0xd503_245f };
            // SAFETY: `as_fn` is the address of code that is mapped readable, as was just seen.
            assert_eq!(unsafe { (thunk.as_fn() as *const u32).read() }, landing);
            assert_eq!(thunk.as_fn()(5), number + 5);
        }
        assert_eq!(pages.len(), 3);
    });
}

/// Makes the kernel refuse each `mmap` and `mprotect` that asks for executable memory, as a sandbox may.
fn refuse_executable_memory() {
    const MMAP: u32 = if cfg!(target_arch = "x86_64") { 9 } else { 222 };
    const MPROTECT: u32 = if cfg!(target_arch = "x86_64") { 10 } else { 226 };
    const NUMBER: u32 = 0;
    const THIRD_ARGUMENT: u32 = 32;
    const EXECUTE: u32 = 4;
    const EACCES: u32 = 13;
    install(&[
        step(LOAD, 0, 0, NUMBER),
        step(JUMP_IF_EQUAL, 1, 0, MMAP),
        step(JUMP_IF_EQUAL, 0, 2, MPROTECT),
        step(LOAD, 0, 0, THIRD_ARGUMENT),
        step(JUMP_IF_BIT, 1, 0, EXECUTE),
        step(RETURN, 0, 0, ALLOW),
        step(RETURN, 0, 0, REFUSE + EACCES),
    ]);
    // SAFETY: without a fixed address a mapping replaces nothing.
    let code = unsafe { mmap(std::ptr::null_mut(), 4096, 1 | EXECUTE as c_int, 2 | 32, -1, 0) };
    assert_eq!(code.addr(), usize::MAX, "the filter works");
}

latecall::signature! {
    extern "C" fn Fallback(more: u32) -> u32;
    late = 0;
    panic = Late;
    pool = 3;
}

/// What holds where no page can be had: the pool works, its end is a value, and nothing is left mapped.
fn only_the_pool_is_left() {
    let thunks: Vec<_> = (0..3).map(|number| Fallback::thunk(move |more| number + more)).collect();
    let before = mappings().len();
    for _ in 0..300 {
        assert_eq!(Fallback::try_thunk(|more| more).unwrap_err().shortage(), Shortage::Thunks);
    }
    assert!(mappings().len() < before + 100, "each attempt has left something behind");
    for (number, thunk) in (0..).zip(&thunks) {
        assert_eq!(thunk.as_fn()(7), number + 7);
    }
}

/// S95, with a filter in place of a policy.
#[test]
fn where_executable_mappings_are_refused_the_pool_is_left() {
    isolated(&where_executable_mappings_are_refused_the_pool_is_left, || {
        refuse_executable_memory();
        only_the_pool_is_left();
    });
}

/// Pages that were mapped before go on working.
#[test]
fn pages_outlive_a_filter_that_comes_later() {
    isolated(&pages_outlive_a_filter_that_comes_later, || {
        let thunks: Vec<_> = (0..9).map(|number| Fallback::thunk(move |more| number + more)).collect();
        refuse_executable_memory();
        assert_eq!(thunks[8].as_fn()(1), 9);
        drop(thunks);
        assert_eq!(Fallback::thunk(|more| more * 2).as_fn()(21), 42, "another address of the page");
    });
}

/// The executable has been deleted since the program started, and its path may lead to another file: one of that name,
/// or of the name that the kernel gives a deleted file. A copy is another file, too: its owner may change it later.
#[test]
fn where_the_file_has_changed_the_pool_is_left() {
    const MARK: &str = "LATECALL_TEST_WITHOUT_FILE";
    let own = std::env::current_exe().unwrap();
    match std::env::var(MARK) {
        Ok(how) => {
            let contents = std::fs::read(&own).unwrap();
            std::fs::remove_file(&own).unwrap();
            let mut deleted = own.clone().into_os_string();
            deleted.push(" (deleted)");
            for name in [own.as_os_str(), &deleted] {
                match &how[..] {
                    "replaced" => std::fs::write(name, vec![0x90; contents.len()]).unwrap(),
                    "shortened" => std::fs::write(name, &contents[..4096]).unwrap(),
                    "copied" => std::fs::write(name, &contents).unwrap(),
                    _ => {}
                }
            }
            only_the_pool_is_left();
            let _ = (std::fs::remove_file(&own), std::fs::remove_file(&deleted));
        }
        Err(_) => {
            for how in ["deleted", "replaced", "shortened", "copied"] {
                let copy = own.with_file_name(format!("thunk-test-{how}-{}", std::process::id()));
                std::fs::copy(&own, &copy).unwrap();
                let output = command(&copy)
                    .args(["--exact", "pages::where_the_file_has_changed_the_pool_is_left", "--test-threads=1"])
                    .env(MARK, how)
                    .output()
                    .unwrap();
                let text = String::from_utf8_lossy(&output.stdout);
                assert!(output.status.success() && text.contains("1 passed"), "{how}: {text}");
                assert!(!copy.exists(), "{how}");
            }
        }
    }
}

/// One argument more than a code page can pass on.
#[test]
fn a_signature_with_too_many_integers_has_the_pool_only() {
    #[cfg(target_arch = "x86_64")]
    latecall::signature! {
        extern "C" fn TooMany(a: u64, b: u64, c: u64, d: u64, e: u64, f: u64) -> u64;
        late = 0;
        panic = Late;
        pool = 0;
    }
    #[cfg(target_arch = "aarch64")]
    latecall::signature! {
        extern "C" fn TooMany(a: u64, b: u64, c: u64, d: u64, e: u64, f: u64, g: u64, h: u64) -> u64;
        late = 0;
        panic = Late;
        pool = 0;
    }
    #[cfg(target_arch = "x86_64")]
    let refused = TooMany::try_thunk(|_, _, _, _, _, _| 1).unwrap_err();
    #[cfg(target_arch = "aarch64")]
    let refused = TooMany::try_thunk(|_, _, _, _, _, _, _, _| 1).unwrap_err();
    assert_eq!(refused.shortage(), Shortage::Thunks);
}

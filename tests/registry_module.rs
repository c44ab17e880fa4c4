//! A host unloads the shared object with the trampolines while C holds their address: the object is pinned, or refuses.
//! S77.
//!
//! The plug-in is `tests/plugin`, which this test builds. Like every plug-in, it has a registry of its own.
#![cfg(all(target_os = "linux", target_env = "gnu", not(miri)))]
#![allow(clippy::disallowed_types, reason = "a test is outside the crate and has no other locks")]

mod support;

use std::ffi::{CString, c_char, c_int, c_void};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

unsafe extern "C" {
    fn dlopen(file: *const c_char, flags: c_int) -> *mut c_void;
    fn dlsym(object: *mut c_void, name: *const c_char) -> *mut c_void;
    fn dlclose(object: *mut c_void) -> c_int;
}
#[repr(C)]
#[derive(Default)]
struct Allocated {
    fields: [usize; 10],
}
unsafe extern "C" {
    safe fn mallinfo2() -> Allocated;
    fn pthread_key_create(key: *mut u32, destructor: Option<extern "C" fn(*mut c_void)>) -> c_int;
    safe fn pthread_key_delete(key: u32) -> c_int;
}
const NOW: c_int = 2;
const NOLOAD: c_int = 4;

/// The plug-in, built once and copied for each test: the loader treats a file of another name as another object.
fn plugin(name: &str) -> CString {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    let built = BUILT.get_or_init(|| {
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("plugin");
        let out = Command::new(env!("CARGO"))
            .args(["build", "--offline", "--manifest-path"])
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/plugin/Cargo.toml"))
            .arg("--target-dir")
            .arg(&target)
            .env_remove("RUSTFLAGS")
            .env_remove("CARGO_ENCODED_RUSTFLAGS")
            .output()
            .unwrap();
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        target.join("debug/liblatecall_test_plugin.so")
    });
    let copy = built.with_file_name(format!("lib{name}.so"));
    std::fs::copy(built, &copy).unwrap();
    CString::new(copy.into_os_string().into_encoded_bytes()).unwrap()
}

fn load(file: &CString) -> *mut c_void {
    // SAFETY: the plug-in's constructors are Rust's, which do nothing.
    let object = unsafe { dlopen(file.as_ptr(), NOW) };
    assert!(!object.is_null());
    object
}

fn is_loaded(file: &CString) -> bool {
    // SAFETY: with NOLOAD nothing is loaded.
    let object = unsafe { dlopen(file.as_ptr(), NOW | NOLOAD) };
    if !object.is_null() {
        // SAFETY: `object` was opened above and is closed once.
        unsafe { dlclose(object) };
    }
    !object.is_null()
}

fn unload(object: *mut c_void) {
    // SAFETY: each test closes what it has opened, once.
    assert_eq!(unsafe { dlclose(object) }, 0);
}

/// The address of a function of the plug-in.
fn symbol(object: *mut c_void, name: &std::ffi::CStr) -> *mut c_void {
    // SAFETY: the object is loaded.
    let address = unsafe { dlsym(object, name.as_ptr()) };
    assert!(!address.is_null(), "{name:?}");
    address
}

#[repr(C)]
struct Pair {
    function: extern "C" fn(i32, *mut c_void) -> i32,
    user_data: *mut c_void,
}

impl Pair {
    fn call(&self, number: i32) -> i32 {
        (self.function)(number, self.user_data)
    }
}

/// S77: the host unloads the plug-in, and the library goes on calling. Live calls still run, and late calls are still
/// refused.
#[test]
fn an_object_with_registrations_stays_when_it_is_unloaded() {
    let file = plugin("pinned");
    let object = load(&file);
    // SAFETY: these are the types in `tests/plugin`.
    let register: extern "C" fn() -> Pair = unsafe { std::mem::transmute(symbol(object, c"plugin_register_pinned")) };
    // SAFETY: this is the function's type in `tests/plugin`.
    let revoke: extern "C" fn(*mut c_void) = unsafe { std::mem::transmute(symbol(object, c"plugin_revoke_pinned")) };
    let pair = register();
    assert_eq!(pair.call(41), 42);
    unload(object);
    assert!(is_loaded(&file), "pinned");
    assert_eq!(pair.call(41), 42);
    revoke(pair.user_data);
    assert_eq!(pair.call(41), -1, "late, in code that is still there");
}

/// S77: a plug-in with a thunk, on a code page. The page jumps to the plug-in's code, so the plug-in stays loaded, also
/// if its registry was declared not to pin it.
#[test]
fn an_object_with_thunks_stays_although_it_is_not_pinned() {
    #[repr(C)]
    struct Thunked {
        function: extern "C" fn(i32) -> i32,
        handle: *mut c_void,
    }
    let file = plugin("thunks");
    let object = load(&file);
    // SAFETY: these are the types in `tests/plugin`.
    let make: extern "C" fn() -> Thunked = unsafe { std::mem::transmute(symbol(object, c"plugin_make_thunk")) };
    // SAFETY: this is the function's type in `tests/plugin`.
    let revoke: extern "C" fn(*mut c_void) = unsafe { std::mem::transmute(symbol(object, c"plugin_revoke_thunk")) };
    let Thunked { function, handle } = make();
    assert_eq!(function(39), 42);
    unload(object);
    assert!(is_loaded(&file), "pinned");
    assert_eq!(function(39), 42);
    revoke(handle);
    assert_eq!(function(39), -1, "late, in code that is still there");
}

/// S77: a plug-in that is not pinned lists what is outstanding and where it was registered. Once nothing is, the host
/// unloads it.
#[test]
fn an_object_that_is_not_pinned_says_what_is_outstanding() {
    let file = plugin("unpinned");
    let object = load(&file);
    // SAFETY: these are the types in `tests/plugin`.
    let register: extern "C" fn() -> Pair = unsafe { std::mem::transmute(symbol(object, c"plugin_register_unpinned")) };
    // SAFETY: this is the function's type in `tests/plugin`.
    let stop: extern "C" fn() = unsafe { std::mem::transmute(symbol(object, c"plugin_stop")) };
    // SAFETY: this is the function's type in `tests/plugin`.
    let ask: unsafe extern "C" fn(*mut u8, usize) -> usize =
        unsafe { std::mem::transmute(symbol(object, c"plugin_outstanding")) };
    let outstanding = || {
        let mut text = vec![0; 4096];
        // SAFETY: clause 1 of `plugin_outstanding`: `text` has as many writable bytes as the call says.
        let length = unsafe { ask(text.as_mut_ptr(), text.len()) };
        text.truncate(length);
        String::from_utf8(text).unwrap()
    };
    // On a thread that ends. A thread that has called gives its record back when it ends, and the loader keeps the
    // object until then.
    let calls = || {
        let pair = register();
        assert_eq!(pair.call(40), 42);
        let list = outstanding();
        assert!(list.contains("`the plug-in's`") && list.contains("src/lib.rs:"), "{list}");
        stop();
        assert_eq!(outstanding(), "");
        assert_eq!(pair.call(40), -1);
    };
    std::thread::scope(|scope| scope.spawn(calls).join()).expect("its assertions hold");
    unload(object);
    assert!(!is_loaded(&file), "nothing kept it");
}

/// How many keys for thread-specific data the process can still make.
fn keys_left() -> usize {
    let keys: Vec<u32> = std::iter::from_fn(|| {
        let mut key = 0;
        // SAFETY: `key` may be written, and there is no destructor.
        (unsafe { pthread_key_create(&raw mut key, None) } == 0).then_some(key)
    })
    .collect();
    keys.iter().for_each(|&key| assert_eq!(pthread_key_delete(key), 0));
    keys.len()
}

/// Bytes that the C library has given out, in the arena of the main thread.
fn bytes_in_use() -> usize {
    // `uordblks` and `hblkhd`.
    let allocated = mallinfo2();
    allocated.fields[7] + allocated.fields[4]
}

/// S77: a plug-in is loaded, called and unloaded again and again. Neither keys nor memory of the process become less.
#[test]
fn an_object_that_is_unloaded_again_and_again_leaves_nothing_behind() {
    support::isolated(&an_object_that_is_unloaded_again_and_again_leaves_nothing_behind, || {
        const CYCLES: usize = 400;
        let file = plugin("cycles");
        let cycle = || {
            let object = load(&file);
            // SAFETY: these are the types in `tests/plugin`.
            let register: extern "C" fn() -> Pair =
                unsafe { std::mem::transmute(symbol(object, c"plugin_register_unpinned")) };
            // SAFETY: this is the function's type in `tests/plugin`.
            let stop: extern "C" fn() = unsafe { std::mem::transmute(symbol(object, c"plugin_stop")) };
            let calls = || {
                let pair = register();
                assert_eq!(pair.call(40), 42);
                stop();
                assert_eq!(pair.call(40), -1);
            };
            std::thread::scope(|scope| scope.spawn(calls).join()).expect("its assertions hold");
            unload(object);
            assert!(!is_loaded(&file), "nothing kept it");
        };
        // The loader and the C library get what they keep for the next time.
        (0..20).for_each(|_| cycle());
        let before = (keys_left(), bytes_in_use());
        (0..CYCLES).for_each(|_| cycle());
        assert_eq!(keys_left(), before.0, "keys");
        let grown = bytes_in_use().saturating_sub(before.1);
        assert!(grown < 16 * CYCLES, "{grown} bytes in {CYCLES} cycles");
    });
}

//! A test that runs once more, alone in a process of its own: since it ends the process, or since it takes long and a process
//! searches one thing at a time. `tests/support` has it too.
#![allow(dead_code, reason = "the crate and each test file use their own part")]

use std::any::type_name;
use std::env;
use std::process::{Command, Output};

const AGAIN: &str = "LATECALL_TEST_AGAIN";

/// Runs `test`, which is the test that calls this or a closure in it, once more, alone in a process of its own. There
/// [`is_again`] says so.
pub(crate) fn again<T: Fn()>(_: &T) -> Output {
    // The harness names a test by its path within the crate.
    let (_, name) = type_name::<T>().split_once("::").expect("a function is in a crate");
    let name = name.trim_end_matches("::{{closure}}");
    let mut me = Command::new(env::current_exe().expect("the system knows what runs"));
    me.args(["--exact", name, "--nocapture", "--test-threads=1"]).env(AGAIN, "1");
    let out = me.output().expect("what runs can be run again");
    let stdout = String::from_utf8_lossy(&out.stdout);
    assert!(stdout.contains("running 1 test\n"), "no test, or more than one, is called {name}: {stdout}");
    out
}

/// Whether this process is one that [`again`] has made.
pub(crate) fn is_again() -> bool {
    env::var_os(AGAIN).is_some()
}

/// Runs `f`, which is all that `test` does, in a process of its own.
#[track_caller]
pub(crate) fn alone<T: Fn()>(test: &T, f: impl FnOnce()) {
    if is_again() {
        return f();
    }
    let out = again(test);
    let (said, complained) = (String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    assert!(out.status.success(), "{said}{complained}");
    print!("{said}");
}

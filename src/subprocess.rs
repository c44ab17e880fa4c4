//! Runs a test in a subprocess of its own: because the test ends its process, or because it must not share the process
//! with other tests. The crate and `tests/support` both compile this file.
#![allow(dead_code, reason = "the crate and each test file use their own part")]

use std::any::type_name;
use std::env;
use std::path::Path;
use std::process::{Command, Output};

/// The environment variable that marks the subprocess.
const MARK: &str = "LATECALL_TEST_SUBPROCESS";

/// The environment variable with the command that runs executables of this target, if the system cannot: an emulator
/// and its arguments, with a space between.
const RUNNER: &str = "LATECALL_TEST_RUNNER";

/// The command that runs `executable`.
pub(crate) fn command(executable: &Path) -> Command {
    let runner = env::var(RUNNER).unwrap_or_default();
    let mut words = runner.split(' ').filter(|word| !word.is_empty());
    let Some(runner) = words.next() else { return Command::new(executable) };
    let mut command = Command::new(runner);
    command.args(words).arg(executable);
    command
}

/// Runs `test` in a subprocess, in which no other test runs and [`is_subprocess`] is true. `test` is the calling test,
/// or a closure inside it.
pub(crate) fn run_in_subprocess<T: Fn()>(_: &T) -> Output {
    // The harness names a test by its path within the crate.
    let (_, name) = type_name::<T>().split_once("::").expect("the path of a function begins with its crate");
    let name = name.trim_end_matches("::{{closure}}");
    let mut command = command(&env::current_exe().expect("the system knows the running executable"));
    command.args(["--exact", name, "--nocapture", "--test-threads=1"]).env(MARK, "1");
    let output = command.output().expect("the running executable can be started once more");
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(
        stdout.contains("running 1 test\n"),
        "expected exactly one test named {name}, but the subprocess said: {stdout}"
    );
    output
}

/// Whether this process was started by [`run_in_subprocess`].
pub(crate) fn is_subprocess() -> bool {
    env::var_os(MARK).is_some()
}

/// Runs `body`, which is the whole body of `test`, in a subprocess. Panics with the subprocess's output if it fails.
#[track_caller]
pub(crate) fn isolated<T: Fn()>(test: &T, body: impl FnOnce()) {
    if is_subprocess() {
        return body();
    }
    let output = run_in_subprocess(test);
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{stdout}{stderr}");
    print!("{stdout}");
}

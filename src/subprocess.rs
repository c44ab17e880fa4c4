//! Runs a test in a subprocess of its own: because the test ends its process, or because it must not share the process
//! with other tests. Or forks a child in the middle of a test. The crate and `tests/support` both compile this file.
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

#[cfg(unix)]
#[allow(unused_imports, reason = "the crate and each test file use their own part")]
pub(crate) use child::{fork_child, forked, wait_for_child};

#[cfg(unix)]
mod child {
    use std::ffi::c_int;

    unsafe extern "C" {
        fn fork() -> c_int;
        fn waitpid(child: c_int, status: *mut c_int, options: c_int) -> c_int;
        fn _exit(status: c_int) -> !;
        fn alarm(seconds: u32) -> u32;
    }

    /// Forks. The child runs `work` and ends with the status that `work` returns; it runs nothing else, no destructor
    /// either. `work` must not panic. A child that takes longer than `seconds` is ended by a signal. Returns the
    /// child's process id.
    pub(crate) fn fork_child(seconds: u32, work: impl FnOnce() -> c_int) -> c_int {
        // SAFETY: in the child, other threads' locks may be held. It runs `work`, which tests that the locks it needs
        // are free, and ends.
        let child = unsafe { fork() };
        assert!(child >= 0, "fork failed");
        if child == 0 {
            // SAFETY: `alarm` has no preconditions. Its signal ends the child, and the parent sees that.
            unsafe { alarm(seconds) };
            let status = work();
            // SAFETY: ends the child. What it does not drop is the parent's, or goes with the process.
            unsafe { _exit(status) };
        }
        child
    }

    /// Waits until a child has ended. Returns its status as `waitpid` gives it: an exit status is in the second byte.
    #[track_caller]
    pub(crate) fn wait_for_child(child: c_int) -> c_int {
        let mut status = 0;
        // SAFETY: `status` may be written.
        assert_eq!(unsafe { waitpid(child, &raw mut status, 0) }, child);
        status
    }

    /// Forks a child as [`fork_child`] does, and waits until it has ended. Returns its status.
    #[track_caller]
    pub(crate) fn forked(seconds: u32, work: impl FnOnce() -> c_int) -> c_int {
        wait_for_child(fork_child(seconds, work))
    }
}

//! S81: the library fires what it still holds from `atexit`, after `main` has returned. The call is late, and quiet:
//! the exit code stays, and no late call is reported.

use std::process::Command;

/// The library holds two callbacks at exit: one whose owner is dropped, and one whose guard was leaked, which is still
/// live.
const PROGRAM: &str = "\
hostile fire_atexit
callback a
callback b
before
  register a b
  fire a 243 257 = 500
  fire b 1 2 = 3
  forget b
  release a = quiescent
  fire a = late
";

fn replay(subject: &str, program: &str) -> std::process::Output {
    let file = std::env::temp_dir().join(format!(
        "latecall-exit-{}-{}.latecall",
        std::process::id(),
        subject.replace('/', "-")
    ));
    std::fs::write(&file, program).unwrap();
    let out = Command::new(env!("CARGO_BIN_EXE_latecall"))
        .args(["replay", "--subject", subject])
        .arg(&file)
        .output()
        .unwrap();
    std::fs::remove_file(&file).unwrap();
    out
}

#[test]
fn calls_from_atexit_are_defused_and_the_exit_code_is_kept() {
    for subject in ["registry/waits", "registry/returns", "registry/deferred", "registry/queued", "locked/returns"] {
        let out = replay(subject, PROGRAM);
        let (stdout, stderr) = (String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
        assert_eq!(out.status.code(), Some(0), "{subject}: {:?}\n{stdout}\n{stderr}", out.status);
        assert!(!stderr.contains("panicked") && !stderr.contains("late call"), "{subject}: {stderr}");
    }
}

/// `fire_atexit` on a binding whose user data is unmapped at exit: shows that the library does fire.
#[test]
fn a_binding_without_a_registry_dies_of_it() {
    let out = replay("flawed/unmapped", "hostile fire_atexit\ncallback a\nbefore\n  register a\n  fire a 1 2 = 3\n");
    let stdout = String::from_utf8_lossy(&out.stdout);
    assert_eq!(out.status.code(), Some(1), "{stdout}");
    assert!(stdout.contains("convicted of Crashed"), "{stdout}");
}

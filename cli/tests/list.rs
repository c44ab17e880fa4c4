//! What there is, as text: within the terminal's width, and the same from both executables.

use std::process::Command;

fn list(executable: &str, arguments: &[&str], columns: &str) -> String {
    let out = Command::new(executable).args(arguments).env("COLUMNS", columns).output().expect("the command runs");
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).expect("text")
}

#[test]
fn no_line_of_the_list_is_longer_than_the_terminal_is_wide() {
    for width in [80, 120] {
        let text = list(env!("CARGO_BIN_EXE_latecall"), &["list"], &width.to_string());
        let long: Vec<&str> = text.lines().filter(|line| line.chars().count() > width).collect();
        assert!(long.is_empty(), "at {width}: {long:#?}");
        assert!(text.contains("registry/waits") && text.contains("flawed/raw-box"), "{text}");
    }
}

#[test]
fn cargo_latecall_is_the_same_command() {
    let plain = list(env!("CARGO_BIN_EXE_latecall"), &["list"], "100");
    assert_eq!(list(env!("CARGO_BIN_EXE_cargo-latecall"), &["latecall", "list"], "100"), plain);
    assert_eq!(list(env!("CARGO_BIN_EXE_cargo-latecall"), &["list"], "100"), plain);
}

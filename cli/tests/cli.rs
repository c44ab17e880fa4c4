//! The command's texts: what people read, and what machines read.

use insta::assert_snapshot;
use latecall_bundled::flawed::FLAWS;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

const LATECALL: &str = env!("CARGO_BIN_EXE_latecall");

/// What the command writes to its standard output and standard error.
fn latecall(arguments: &[&str]) -> (String, String) {
    let output = Command::new(LATECALL).args(arguments).current_dir(env!("CARGO_TARGET_TMPDIR")).output().unwrap();
    (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
}

fn write(name: &str, text: &str) {
    std::fs::write(Path::new(env!("CARGO_TARGET_TMPDIR")).join(name), text).unwrap();
}

#[test]
fn a_bad_program_is_shown_with_its_place() {
    write("typo.latecall", "callback a\nbefore\n  register a\n  revoke_and_wiat a\n");
    assert_snapshot!(latecall(&["replay", "typo.latecall"]).1, @r"
    latecall: typo.latecall: line 4, column 3: expected an op, `thread` or `after`, found `revoke_and_wiat`
    4 |   revoke_and_wiat a
      |   ^
      = did you mean `revoke_and_wait`?
    ");
}

#[test]
fn an_unknown_subject_is_answered_with_near_ones() {
    write("near.latecall", "subject flawed/nowait\ncallback a\nbefore\n  register a\n");
    assert_snapshot!(latecall(&["replay", "near.latecall"]).1, @"latecall: near.latecall: there is no subject `flawed/nowait`; did you mean `flawed/no-wait`? (`latecall list` lists them all)");
}

#[test]
fn the_list_names_everything() {
    let (list, _) = latecall(&["list"]);
    for flaw in FLAWS {
        let entry = list.lines().position(|line| line.trim_start().starts_with(&format!("{} ", flaw.known.name)));
        let entry = entry.unwrap_or_else(|| panic!("{} is not listed:\n{list}", flaw.known.name));
        let what: Vec<&str> = list.lines().skip(entry + 1).take_while(|line| line.starts_with("      ")).collect();
        let what = what.join(" ").split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(what.ends_with(flaw.known.defect), "{list}");
    }
    let flawed = |line: &&str| !line.starts_with("  flawed/") && !line.starts_with("      ");
    let list = list.lines().filter(flawed).collect::<Vec<_>>().join("\n");
    assert_snapshot!(list, @r"
    Subjects that should be sound (name, mode of the C library)
      registry/scoped           scoped
      registry/waits            waits
      registry/returns          returns
      registry/deferred         deferred
      registry/once             once
      registry/queued           queued
      registry/replace          replace
      registry/table            table
      locked/scoped             scoped
      locked/waits              waits
      locked/returns            returns
      locked/deferred           deferred
      locked/once               once
      locked/queued             queued
      locked/replace            replace
      locked/table              table
      loaded/registry/scoped    scoped
      loaded/registry/waits     waits
      loaded/registry/returns   returns
      loaded/registry/deferred  deferred
      loaded/registry/once      once
      loaded/registry/queued    queued
      loaded/registry/replace   replace
      loaded/registry/table     table

    Subjects with a defect (name, mode, what must be found, by which engines)

    Engines
      replay property stress model

    Verbs of programs
      register invoke enumerate fire send post revoke revoke_and_wait release unsubscribe forget replace
      churn barrier shutdown hold open reach stall panic return exclusive confined

    Hostile switches (`hostile NAME`)
      late twice concurrent notify_early notify_twice notify_never notify_before_drain fire_on_close
      fire_tls_destructor fire_atexit wrong_user_data

    Stall sites (`stall SITE GATE`)
      before_load before_call after_call after_count before_notify popped unsubscribed worker_start
      worker_exit before_acquire after_acquire before_release after_release revoked tombstone_written
      slot_listed
    ");
}

#[test]
fn the_list_for_machines_says_what_the_catalogue_says() {
    let read: serde_json::Value = serde_json::from_str(&latecall(&["list", "--json"]).0).unwrap();
    for flaw in FLAWS {
        let listed = read["subjects"].as_array().unwrap().iter().find(|it| it["name"] == flaw.known.name).unwrap();
        assert_eq!(listed["defect"], flaw.known.defect);
        assert_eq!(listed["engines"].as_array().unwrap().len(), flaw.known.convicted_by.len());
    }
    assert_eq!(read["engines"].as_array().unwrap().len(), 4);
}

#[test]
fn the_lines_of_a_check_are_messages() {
    let (text, _) = latecall(&["check", "--subject", "registry/waits", "--budget", "quick", "--json"]);
    let messages: Vec<latecall::gate::CheckMessage> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let Some(latecall::gate::CheckMessage::Report(report)) = messages.last() else { panic!("{messages:?}") };
    assert!(report.is_clean() && report.programs > 20, "{report:?}");
}

#[test]
fn a_reader_that_goes_away_is_no_panic() {
    let mut child =
        Command::new(LATECALL).args(["list", "--json"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::with_capacity(16, child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "{\n");
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert!(output.stderr.is_empty(), "{output:?}");
}

#[test]
fn help_documents_the_exit_codes() {
    for arguments in [&["--help"][..], &["gate", "--help"], &["replay", "--help"]] {
        let (help, _) = latecall(arguments);
        for code in ["0  as it should be", "1  unsound", "2  bad usage", "3  harness error", "4  nothing ran"] {
            assert!(help.contains(code), "{arguments:?}: {help}");
        }
    }
}

#[test]
fn without_a_command_it_is_the_gate() {
    let of = |arguments: &[&str]| {
        let (text, _) = latecall(arguments);
        let read: serde_json::Value = serde_json::from_str(&text).unwrap();
        read["checks"].as_array().unwrap().iter().map(|it| it["subject"].to_string()).collect::<Vec<_>>()
    };
    let filter = ["--subject", "*/waits", "--engine", "replay", "--budget", "quick", "--json"];
    let explicit: Vec<&str> = std::iter::once("gate").chain(filter).collect();
    let bare = of(&filter);
    assert_eq!(bare, of(&explicit));
    assert_eq!(bare.len(), 3);
}

#[test]
fn a_replay_for_machines() {
    write("self.latecall", "subject registry/waits\ncallback a\nbefore\n  register a\n  fire a 1 2 = 3\n");
    let (text, _) = latecall(&["replay", "self.latecall", "self.latecall", "--timeline", "--json"]);
    let read: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!((read["exit_code"].as_u64(), read["replayed"].as_array().map(Vec::len)), (Some(0), Some(2)));
    let timeline: Vec<&str> =
        read["replayed"][1]["timeline"].as_array().unwrap().iter().map(|line| line.as_str().unwrap()).collect();
    assert_snapshot!(timeline.join("\n"), @r"
    main  register a
    main    the library has taken a
    main  register a answers done
    main  fire a 1 2 = 3
    main    enters a
    main    leaves a, returning 3
    main  fire a 1 2 answers 3
    main  the session begins to close
    main  frees a
    main  the session is closed
    ");
}

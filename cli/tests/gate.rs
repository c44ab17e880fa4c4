//! The gate: each exit code has an input that produces it, each check is kept apart from the others, and what the gate
//! tells comes in order.

use latecall::gate::{
    Budget, Check, CheckResult, CheckVerdict, Conclusion, Expected, Gate, GateEvent, Selection, Summary, exit_code,
};
use latecall::ledger::ViolationKind;
use latecall::program::Program;
use latecall_bundled::BUNDLED;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

const LATECALL: &str = env!("CARGO_BIN_EXE_latecall");

fn latecall(arguments: &[&str]) -> Output {
    Command::new(LATECALL).args(arguments).output().unwrap()
}

fn code(output: &Output) -> u8 {
    u8::try_from(output.status.code().unwrap()).unwrap()
}

/// A file of this test's own.
fn file(name: &str, text: impl AsRef<[u8]>) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&path, text).unwrap();
    path
}

fn check(subject: &str, engine: &str, expected: Expected) -> Check {
    let mut check = Check::new(subject, engine, expected);
    check.budget = Budget::Quick;
    check
}

fn gate(checks: Vec<Check>) -> Gate {
    Gate::new(checks, LATECALL)
}

fn run(gate: &Gate) -> (Vec<CheckResult>, Summary) {
    let mut results = Vec::new();
    let summary = gate.run(&mut |event| {
        if let GateEvent::CheckFinished { result, .. } = event {
            results.push(result.clone());
        }
    });
    (results, summary)
}

#[test]
fn sound_is_0() {
    let output = latecall(&["gate", "--budget", "quick", "--subject", "registry/waits", "--engine", "replay"]);
    assert_eq!(code(&output), exit_code::SOUND, "{output:?}");
}

#[test]
fn a_broken_rule_is_1() {
    let program = file("no-wait.latecall", include_str!("../../bundled/src/flawed/programs/no-wait.latecall"));
    let output = latecall(&["replay", program.to_str().unwrap()]);
    assert_eq!(code(&output), exit_code::UNSOUND, "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("convicted of RunningAfterQuiescence"), "{text}");
    assert!(text.contains("> 11  t2    revoke_and_wait a answers quiescent"), "{text}");
    // The same program on a subject without the defect.
    let output = latecall(&["replay", program.to_str().unwrap(), "--subject", "registry/returns", "--repeat", "3"]);
    assert_eq!(code(&output), exit_code::SOUND, "{output:?}");
}

#[test]
fn bad_usage_is_2() {
    let bad = file("bad.latecall", "callback a\nbefore\n  fier a\n");
    let nameless = file("nameless.latecall", "callback a\nbefore\n  register a\n");
    let binary = file("binary.latecall", b"callback a\n\xff\xfe");
    let unknown = file("unknown.latecall", "subject registry/wait\ncallback a\nbefore\n  register a\n");
    let directory = env!("CARGO_TARGET_TMPDIR");
    let cases: &[(&[&str], &str)] = &[
        (&["replay", bad.to_str().unwrap()], "line 3, column 3: expected"),
        (&["replay", nameless.to_str().unwrap()], "names no subject"),
        (&["replay", binary.to_str().unwrap()], "line 2: not UTF-8"),
        (&["replay", unknown.to_str().unwrap()], "did you mean `registry/waits`?"),
        (&["replay", directory], "it is a directory"),
        (&["replay", "/nowhere/at/all.latecall"], "cannot be read"),
        (&["replay"], "Usage: latecall replay"),
        (&["frobnicate"], "Usage: latecall"),
        (&["gate", "--budget", "huge"], "possible values: quick, normal, deep"),
        (&["gate", "--jobs", "0"], "--jobs"),
        (&["gate", "--emitter", "/nowhere/libemitter.so"], "/nowhere/libemitter.so"),
        (&["gate", "--save", "/dev/null/found"], "--save: /dev/null/found cannot be made"),
        (&["check", "--subject", "flawed/rawbox"], "did you mean `flawed/raw-box`?"),
    ];
    for (arguments, said) in cases {
        let output = latecall(arguments);
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(code(&output), exit_code::BAD_USAGE, "{arguments:?}: {text}");
        assert!(text.contains(said), "{arguments:?}: {text}");
        assert!(output.stdout.is_empty(), "{arguments:?}");
    }
}

#[test]
fn no_verdict_is_3() {
    // A library that opens, and then is no longer the one that was asked for, is hard to come by: the output is easier.
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = Command::new(LATECALL).arg("list").stdout(full).stderr(Stdio::piped()).output().unwrap();
    assert_eq!(code(&output), exit_code::HARNESS_ERROR, "{output:?}");

    let slow = gate(vec![check("registry/waits", "stress", Expected::Sound)]).limit(Duration::from_millis(20));
    let (results, summary) = run(&slow);
    assert_eq!((summary.outcome, summary.exit_code), (Conclusion::HarnessError, exit_code::HARNESS_ERROR));
    let CheckVerdict::HarnessError { text } = &results[0].verdict else { panic!("{:?}", results[0].verdict) };
    assert!(text.starts_with("still running after 0.0 s"), "{text}");

    for (executable, said) in [
        ("/nowhere/latecall", "could not be run"),
        ("/bin/true", "exit code 0 and without a report"),
        ("/bin/echo", "a line that is no message"),
    ] {
        let other = Gate::new(vec![check("registry/waits", "replay", Expected::Sound)], executable);
        let (results, summary) = run(&other);
        assert_eq!(summary.exit_code, exit_code::HARNESS_ERROR);
        assert!(results[0].verdict.to_string().contains(said), "{:?}", results[0].verdict);
    }
}

#[test]
fn nothing_ran_is_4() {
    for filter in ["--engine=modell", "--subject=registry/nothing"] {
        let output = latecall(&["gate", filter]);
        assert_eq!(code(&output), exit_code::NOTHING_RAN, "{output:?}");
    }
    // What the subject does not offer is not run, and not passed either.
    let program = file("retained.latecall", "subject registry/scoped\ncallback a\nbefore\n  register a\n");
    let output = latecall(&["replay", program.to_str().unwrap()]);
    assert_eq!(code(&output), exit_code::NOTHING_RAN, "{output:?}");
    assert!(
        String::from_utf8_lossy(&output.stderr).contains("registry/scoped does not offer `register`"),
        "{output:?}"
    );
    assert_eq!(run(&gate(Vec::new())).1.exit_code, exit_code::NOTHING_RAN);
}

#[test]
fn a_flaw_that_is_not_convicted_fails() {
    let claimed = |required| Expected::Flawed {
        defect: "none: a sound subject that is said to leak".into(),
        convicted_of: vec![ViolationKind::Leak],
        required,
    };
    let (results, summary) = run(&gate(vec![
        check("registry/waits", "replay", claimed(true)),
        check("registry/waits", "replay", claimed(false)),
        check("flawed/no-wait", "replay", claimed(true)),
        check("flawed/no-wait", "replay", Expected::Sound),
    ]));
    let verdicts: Vec<&CheckVerdict> = results.iter().map(|it| &it.verdict).collect();
    let of = ViolationKind::RunningAfterQuiescence;
    assert_eq!(
        verdicts,
        [
            &CheckVerdict::NotConvicted,
            &CheckVerdict::NotRequired,
            &CheckVerdict::WrongReason { of },
            &CheckVerdict::Unsound { of },
        ]
    );
    assert_eq!((summary.outcome, summary.exit_code, summary.failed), (Conclusion::Unsound, exit_code::UNSOUND, 3));
}

#[test]
fn a_crash_is_contained_and_its_program_is_small() {
    let flaw = latecall_bundled::flawed::FLAWS.iter().find(|flaw| flaw.crashes).unwrap();
    let mut checks: Vec<Check> = ["replay", "property", "stress"]
        .map(|engine| check(flaw.known.name, engine, Expected::of(Some(&flaw.known), engine)))
        .into();
    checks.push(check(flaw.known.name, "replay", Expected::Sound));
    checks.push(check("registry/waits", "replay", Expected::Sound));
    let (results, summary) = run(&gate(checks));
    for it in &results[..3] {
        let CheckVerdict::Convicted { of } = it.verdict else { panic!("{it:?}") };
        let finding = it.report.finding.as_ref().unwrap();
        // The replay engine runs the flaw's own program first; what the others meet first is not certain.
        assert!(of == ViolationKind::Crashed || it.check.engine != "replay", "{it:?}");
        assert!(of != ViolationKind::Crashed || finding.violation.text.contains("SIGSEGV"), "{finding:?}");
        assert!(finding.steps <= 5, "{}", finding.program);
        // As far as it came: to an op, and not to the end of the run.
        let last = finding.timeline.last().expect("something happened");
        assert!(of != ViolationKind::Crashed || !last.contains("the session"), "{finding:?}");
        assert_eq!(Program::parse(&finding.program).unwrap().subject.as_deref(), Some(flaw.known.name));
    }
    // The run that the process died in is counted, though the process could not report it.
    assert_eq!((results[0].report.programs, results[0].report.runs), (1, 1));
    assert_eq!(results[3].verdict, CheckVerdict::Crashed);
    assert_eq!(results[4].verdict, CheckVerdict::Clean);
    assert_eq!(summary.exit_code, exit_code::UNSOUND);

    let program = file("unmapped.latecall", flaw.known.program);
    let output = latecall(&["replay", program.to_str().unwrap()]);
    assert_eq!(code(&output), exit_code::UNSOUND, "{output:?}");
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(stdout.contains("convicted of Crashed"), "{stdout}");
    // The last event is of the dead process, and from the moment of its death.
    assert!(stdout.contains("What happened before it died:"), "{stdout}");
    assert!(
        stdout.contains("  6  main  release a answers done\n      7  main  fire a\n  Program, 3 steps"),
        "{stdout}"
    );
}

/// The library's threads start while it is opened; what they free must be set aside from their first act on.
#[test]
fn a_double_free_on_a_thread_of_the_library_is_named_and_kills_nothing() {
    let text = "subject flawed/freed-by-both\ncallback a\n  revoke b\ncallback b\nbefore\n  register a\n  register b\n  send a\n";
    let program = file("library-thread.latecall", text);
    for _ in 0..5 {
        let output = latecall(&["replay", program.to_str().unwrap()]);
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(text.contains("convicted of DoubleDrop"), "{text}");
    }
}

#[test]
fn results_come_in_the_order_of_the_plan() {
    let selection = Selection::new().subjects(["*/waits", "flawed/no-wait"]).budget(Budget::Quick);
    let checks = selection.checks(BUNDLED).unwrap();
    assert_eq!(checks.len(), 15); // four engines on four subjects; the loaded one has no twin for the model
    let gate = gate(checks).jobs(3);
    let (mut started, mut ended, mut finished, mut over) = (Vec::new(), Vec::new(), Vec::new(), false);
    let summary = gate.run(&mut |event| {
        assert!(!over);
        match event {
            GateEvent::Started { checks } => assert_eq!(checks.len(), 15),
            GateEvent::CheckStarted { check } => started.push(check),
            GateEvent::CheckProgress { check, report } => {
                assert!(started.contains(&check) && !ended.contains(&check));
                assert_eq!(report.subject, gate.checks()[check].subject);
            }
            GateEvent::CheckEnded { check } => ended.push(check),
            GateEvent::CheckFinished { check, result } => {
                assert!(ended.contains(&check));
                assert_eq!(result.check, gate.checks()[check]);
                finished.push(check);
            }
            GateEvent::Finished { summary } => {
                assert_eq!((summary.checks, summary.outcome), (15, Conclusion::Sound));
                over = true;
            }
            _ => {}
        }
    });
    assert!(over);
    assert_eq!(summary.checks, 15);
    assert_eq!(finished, (0..15).collect::<Vec<_>>());
    started.sort_unstable();
    ended.sort_unstable();
    assert_eq!((started, ended), (finished.clone(), finished));
}

#[test]
fn the_processes_of_a_gate_do_not_outlive_it() {
    let mut gate = Command::new(LATECALL)
        .args(["gate", "--budget", "deep", "--subject", "registry/waits", "--engine", "stress"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let child = soon(|| children(gate.id()).first().copied()).expect("the gate starts a check");
    gate.kill().unwrap();
    gate.wait().unwrap();
    soon(|| (!Path::new(&format!("/proc/{child}")).exists() || zombie(child)).then_some(()))
        .expect("the check ends with it");
}

fn soon<T>(mut ask: impl FnMut() -> Option<T>) -> Option<T> {
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(60) {
        if let Some(answer) = ask() {
            return Some(answer);
        }
        std::thread::yield_now();
    }
    None
}

fn status(pid: u32, field: &str) -> Option<String> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    Some(status.lines().find_map(|line| line.strip_prefix(field))?.trim().to_owned())
}

fn zombie(pid: u32) -> bool {
    status(pid, "State:").is_none_or(|state| state.starts_with('Z'))
}

fn children(of: u32) -> Vec<u32> {
    let all = std::fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    all.filter(|pid| status(*pid, "PPid:") == Some(of.to_string())).collect()
}

#[test]
fn findings_are_saved_as_programs_that_replay() {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("found");
    let _ = std::fs::remove_dir_all(&directory); // it may not be there
    let output =
        latecall(&["gate", "--budget", "quick", "--subject", "flawed/n*", "--save", directory.to_str().unwrap()]);
    assert_eq!(code(&output), exit_code::SOUND, "{output:?}");
    for name in ["flawed-no-wait.replay.latecall", "flawed-no-generation.property.latecall"] {
        let path = directory.join(name);
        let output = latecall(&["replay", path.to_str().unwrap(), "--repeat", "20"]);
        assert_eq!(code(&output), exit_code::UNSOUND, "{name}: {output:?}");
    }
}

#[test]
fn the_whole_gate_holds_on_a_small_budget() {
    let (results, summary) = run(&gate(Selection::new().budget(Budget::Quick).checks(BUNDLED).unwrap()));
    let failed: Vec<String> = results
        .iter()
        .filter(|it| it.verdict.conclusion() != Conclusion::Sound)
        .map(|it| format!("{} {}: {}: {:#?}", it.check.subject, it.check.engine, it.verdict, it.report))
        .collect();
    assert_eq!(summary.exit_code, exit_code::SOUND, "{}", failed.join("\n"));
}

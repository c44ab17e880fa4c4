//! The reports: the table within its width, what verdicts look like, and the documents for machines.

use cargo_latecall::report::{Style, json, terminal};
use insta::assert_snapshot;
use latecall::engine::report::{Counterexample, Report};
use latecall::gate::{Check, CheckResult, CheckVerdict, Expected, Summary};
use latecall::ledger::{Violation, ViolationKind};
use latecall::program::Program;

/// Two sound subjects and a flawed one, one of each verdict that a table can show.
fn results() -> Vec<CheckResult> {
    let flawed = |required| Expected::Flawed {
        defect: "revoke_and_wait drops its own reference and waits for nobody".into(),
        convicted_of: vec![ViolationKind::RunningAfterQuiescence],
        required,
    };
    let finding = |kind, text: &str, program: &str| {
        let timeline = ["main  register a", "t1    fire a", "t1      enters a"].map(String::from).to_vec();
        let mut violation = Violation::new(kind, text);
        violation.callback = Some("a".into());
        violation.proof = vec![2];
        Some(Counterexample::new(violation, &Program::parse(program).expect("a program"), timeline))
    };
    let result = |subject: &str, engine: &str, expected: Expected, (programs, events), finding, error: Option<&str>| {
        let mut report = Report::new(subject, engine);
        (report.programs, report.runs, report.events) = (programs, programs * 3, events);
        (report.calls, report.defused) = (events / 8, events / 20);
        report.bounded_by = "600 generated programs, seed 1".into();
        (report.finding, report.error) = (finding, error.map(String::from));
        CheckResult::new(Check::new(subject, engine, expected), report, 900)
    };
    let sound = || Expected::Sound;
    let small = "subject flawed/no-wait\ncallback a\nbefore\n  register a\n  revoke_and_wait a\n  fire a\n";
    let smaller = "subject flawed/no-wait\ncallback a\nbefore\n  register a\n  fire a\n";
    let ours = |text| {
        finding(ViolationKind::RunningAfterQuiescence, "t1 was still in `a` when the wait for it ended on t2", text)
    };
    let late = || {
        finding(
            ViolationKind::LateCall,
            "`a` ran on t1 after it was freed",
            "subject locked/waits\ncallback a\nbefore\n  fire a\n",
        )
    };
    vec![
        result("registry/waits", "replay", sound(), (61, 3_012), None, None),
        result("registry/waits", "property", sound(), (600, 13_245), None, None),
        result("registry/waits", "stress", sound(), (0, 0), None, None),
        result(
            "locked/waits",
            "replay",
            sound(),
            (61, 3_012),
            None,
            Some("the subject's library could not be opened: NO_MEMORY"),
        ),
        result("locked/waits", "property", sound(), (31, 999), late(), None),
        result("locked/waits", "stress", sound(), (12_345, 9_876_543), None, None),
        result("flawed/no-wait", "replay", flawed(true), (1, 19), ours(small), None),
        result("flawed/no-wait", "property", flawed(true), (17, 401), ours(smaller), None),
        result("flawed/no-wait", "stress", flawed(false), (75, 24_000), None, None),
        result("flawed/leaks", "replay", flawed(true), (61, 3_012), None, None),
        result("flawed/leaks", "property", flawed(true), (4, 80), late(), None),
    ]
}

fn plain(width: usize) -> Style {
    Style { width, colour: false }
}

#[test]
fn the_table_at_80_columns() {
    let results = results();
    let text = terminal::gate(&results, &Summary::of(&results, 22_900), plain(80));
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    assert_snapshot!(text, @r"
    subject        replay              property            stress
    ──────────────────────────────────────────────────────────────────────────
    registry/waits clean       61/3.0k clean      600/13k  NOTHING      0/0

    locked/waits   ERROR       61/3.0k UNSOUND     31/999  clean      12k/9.8M

    flawed/no-wait convicted    1/19   convicted   17/401  –           75/24k
    flawed/leaks   MISSED      61/3.0k MISTAKEN     4/80

    In each cell: the verdict, then how many programs and events were run. Sound
    subjects must come out clean; each subject in `flawed/` has one known defect and
    must be convicted of it. –: this engine need not find this defect. exhausted:
    clean in every interleaving of every program; where it says clean, the engine
    was bounded.

    Each flawed subject: its defect, and the smallest program that convicts it

    flawed/no-wait: revoke_and_wait drops its own reference and waits for nobody
      convicted of RunningAfterQuiescence by replay, property
      RunningAfterQuiescence: t1 was still in `a` when the wait for it ended on t2
      by property in 2 steps:
        subject flawed/no-wait
        callback a
        before
          register a
          fire a

    flawed/leaks: revoke_and_wait drops its own reference and waits for nobody
      not convicted

    Failed

    registry/waits stress: nothing ran: the engine had no program for this subject

    locked/waits replay: harness error: the subject's library could not be opened:
      NO_MEMORY

    locked/waits property: unsound: LateCall
      LateCall: `a` ran on t1 after it was freed
      What happened (`>` proves it):
          1  main  register a
          2  t1    fire a
        > 3  t1      enters a
      Program, 1 step (`latecall replay` runs it):
        subject locked/waits
        callback a
        before
          fire a

    flawed/leaks replay: not convicted of RunningAfterQuiescence in 183 runs (600
      generated programs, seed 1), though this engine has to

    flawed/leaks property: convicted of LateCall, which is not its defect
      LateCall: `a` ran on t1 after it was freed
      What happened (`>` proves it):
          1  main  register a
          2  t1    fire a
        > 3  t1      enters a
      Program, 1 step (`latecall replay` runs it):
        subject locked/waits
        callback a
        before
          fire a

    Sound subjects   2: 1 finding in 13,098 programs (39,294 runs, 9,896,811 events,
                     494,838 late calls defused)
    Flawed subjects  2: 1 convicted by each engine that has to
    Bounded by       budget normal (on each sound subject the seed programs as
                     written; 1000 generated programs; 1000 ms of generated programs
                     under disturbance), seed 1: not exhaustive, and no proof
    UNSOUND, or a flaw missed: 3 checks. 11 checks in 23 s, exit code 1.
    ");
}

#[test]
fn the_table_at_120_columns() {
    let text = terminal::table(&results(), plain(120));
    assert!(text.lines().all(|line| line.chars().count() <= 120), "{text}");
    assert_snapshot!(text, @r"
    subject        replay                       property                     stress
    ─────────────────────────────────────────────────────────────────────────────────────────────────────
    registry/waits clean         61 / 3,012     clean        600 / 13,245    NOTHING        0 / 0

    locked/waits   ERROR         61 / 3,012     UNSOUND       31 / 999       clean     12,345 / 9,876,543

    flawed/no-wait convicted      1 / 19        convicted     17 / 401       –             75 / 24,000
    flawed/leaks   MISSED        61 / 3,012     MISTAKEN       4 / 80

    In each cell: the verdict, then how many programs and events were run. Sound subjects must come out clean; each subject
    in `flawed/` has one known defect and must be convicted of it. –: this engine need not find this defect. exhausted:
    clean in every interleaving of every program; where it says clean, the engine was bounded.
    ");
}

#[test]
fn colours_change_nothing_but_the_colour() {
    let results = results();
    let summary = Summary::of(&results, 22_900);
    let coloured = terminal::gate(&results, &summary, Style { width: 80, colour: true });
    assert!(coloured.contains("\x1b[32mclean\x1b[0m") && coloured.contains("\x1b[31mUNSOUND\x1b[0m"));
    let mut stripped = coloured;
    for code in ["\x1b[0m", "\x1b[31m", "\x1b[32m", "\x1b[1;31m", "\x1b[1;32m"] {
        stripped = stripped.replace(code, "");
    }
    assert_eq!(stripped, terminal::gate(&results, &summary, plain(80)));
}

#[test]
fn the_last_word_of_a_gate_that_holds() {
    let results: Vec<CheckResult> =
        results().into_iter().filter(|it| it.verdict.conclusion() == latecall::gate::Conclusion::Sound).collect();
    assert_snapshot!(terminal::last_word(&results, &Summary::of(&results, 22_900), plain(80)), @r"
    Sound subjects   2: nothing found in 13,006 programs (39,018 runs, 9,892,800
                     events, 494,639 late calls defused)
    Flawed subjects  1: 1 convicted by each engine that has to
    Bounded by       budget normal (on each sound subject the seed programs as
                     written; 1000 generated programs; 1000 ms of generated programs
                     under disturbance), seed 1: not exhaustive, and no proof
    As it should be, within these bounds. 6 checks in 23 s, exit code 0.
    ");
}

#[test]
fn the_document_for_machines() {
    let results: Vec<CheckResult> = results().into_iter().skip(6).take(1).collect();
    let text = json::gate(&results, &Summary::of(&results, 22_900));
    let read: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(read["format"], json::FORMAT);
    assert_eq!(read["checks"][0]["report"]["finding"]["violation"]["proof"][0], 2);
    assert_snapshot!(text.replace(env!("CARGO_PKG_VERSION"), "VERSION"), @r#"
    {
      "format": 1,
      "latecall": "VERSION",
      "summary": {
        "outcome": "sound",
        "exit_code": 0,
        "checks": 1,
        "clean": 0,
        "convicted": 1,
        "not_required": 0,
        "failed": 0,
        "programs": 1,
        "runs": 3,
        "events": 19,
        "defused": 0,
        "milliseconds": 22900
      },
      "checks": [
        {
          "subject": "flawed/no-wait",
          "engine": "replay",
          "seed": 1,
          "budget": "normal",
          "library": "linked",
          "expected": {
            "flawed": {
              "defect": "revoke_and_wait drops its own reference and waits for nobody",
              "convicted_of": [
                "RunningAfterQuiescence"
              ],
              "required": true
            }
          },
          "verdict": {
            "kind": "convicted",
            "of": "RunningAfterQuiescence"
          },
          "report": {
            "subject": "flawed/no-wait",
            "engine": "replay",
            "programs": 1,
            "not_offered": 0,
            "runs": 3,
            "events": 19,
            "calls": 2,
            "defused": 0,
            "gave_up": 0,
            "exhausted": false,
            "bounded_by": "600 generated programs, seed 1",
            "finding": {
              "violation": {
                "kind": "RunningAfterQuiescence",
                "callback": "a",
                "text": "t1 was still in `a` when the wait for it ended on t2",
                "proof": [
                  2
                ]
              },
              "program": "subject flawed/no-wait\ncallback a\nbefore\n  register a\n  revoke_and_wait a\n  fire a\n",
              "steps": 3,
              "timeline": [
                "main  register a",
                "t1    fire a",
                "t1      enters a"
              ]
            },
            "error": null
          },
          "milliseconds": 900
        }
      ]
    }
    "#);
}

#[test]
fn what_verdicts_look_like_to_machines() {
    let verdicts: Vec<CheckVerdict> = results().into_iter().map(|it| it.verdict).collect();
    let mut lines: Vec<String> = verdicts.iter().map(|it| serde_json::to_string(it).unwrap()).collect();
    lines.push(serde_json::to_string(&CheckVerdict::Crashed).unwrap());
    assert_snapshot!(lines.join("\n"), @r#"
    {"kind":"clean"}
    {"kind":"clean"}
    {"kind":"nothing_ran"}
    {"kind":"harness_error","text":"the subject's library could not be opened: NO_MEMORY"}
    {"kind":"unsound","of":"LateCall"}
    {"kind":"clean"}
    {"kind":"convicted","of":"RunningAfterQuiescence"}
    {"kind":"convicted","of":"RunningAfterQuiescence"}
    {"kind":"not_required"}
    {"kind":"not_convicted"}
    {"kind":"wrong_reason","of":"LateCall"}
    {"kind":"crashed"}
    "#);
}

/// Only what is clean may be called exhausted: a flaw that a whole search missed is missed.
#[test]
fn exhausted_stands_for_clean_and_for_nothing_else() {
    let with = |mut it: CheckResult, exhausted| {
        it.report.exhausted = exhausted;
        terminal::table(&[it], Style { width: 80, colour: false })
    };
    let of = |verdict: &CheckVerdict| results().into_iter().find(|it| it.verdict == *verdict).expect("one of each");
    assert!(with(of(&CheckVerdict::Clean), true).contains(" exhausted "));
    assert!(with(of(&CheckVerdict::Clean), false).contains(" clean "));
    let missed = with(of(&CheckVerdict::NotConvicted), true);
    assert!(missed.contains(" MISSED ") && !missed.contains(" exhausted "), "{missed}");
}

/// A report with every engine, long names, and counts that need room.
fn crowded() -> Vec<CheckResult> {
    let subjects = ["loaded/registry/deferred", "flawed/generation-wraps"];
    let engines = ["replay", "property", "stress", "model"];
    let mut all = Vec::new();
    for (mut it, (subject, engine)) in
        results().into_iter().cycle().zip(subjects.iter().flat_map(|s| engines.iter().map(move |e| (*s, *e))))
    {
        (it.check.subject, it.check.engine) = (subject.to_owned(), engine.to_owned());
        (it.report.programs, it.report.events) = (123_456, 9_876_543);
        if let Some(finding) = &mut it.report.finding {
            finding.timeline = [
                "main                                          | thread 1                              | thread 2",
                "emitter_subscribe: locks mutex of 0x7f (emitter.c:120)   |                            |",
                "                                              | emitter_fire: calls the callback with its user data | waits",
            ]
            .map(String::from)
            .to_vec();
        }
        all.push(it);
    }
    all
}

#[test]
fn no_line_of_a_report_is_longer_than_the_terminal_is_wide() {
    let results = crowded();
    // The table's narrowest layout has 61 columns here: a name and four verdicts.
    for width in [61, 80, 100, 120, 160] {
        let text = terminal::gate(&results, &Summary::of(&results, 22_900), plain(width));
        let long: Vec<&str> = text.lines().filter(|line| line.chars().count() > width).collect();
        assert!(long.is_empty(), "at {width}: {long:#?}");
        for it in &results {
            assert!(text.contains(&it.check.subject), "at {width}: {}", it.check.subject);
        }
        for word in ["clean", "convicted", "UNSOUND", "MISSED", "ERROR", "NOTHING"] {
            assert!(text.contains(word) || !terminal::table(&results, plain(200)).contains(word), "at {width}: {word}");
        }
    }
}

#[test]
fn a_wider_table_says_more() {
    let results = crowded();
    let table = |width| terminal::table(&results, plain(width));
    assert!(table(160).contains("9,876,543"));
    assert!(table(120).contains("123k/9.8M") && !table(120).contains("9,876,543"));
    assert!(table(90).contains(" 123k") && !table(90).contains("9.8M"));
    assert!(!table(60).contains("123k"));
}

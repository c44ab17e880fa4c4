//! The text form: what parses prints back to itself, and what does not parse is answered with the place and the reason.

use latecall::program::{
    Callback, CallbackId, Expect, GateId, Hostile, Kind, MAX_CALLBACKS, MAX_GATES, MAX_STEPS, MAX_THREADS, Op, Program,
    Site, Step, op::Args, validate,
};

const EXAMPLE: &str = "\
subject registry/waits
hostile late
fail_allocation 3
capacity 2
callback a counting exclusive
  hold g
  nth 2 revoke a
callback b
before
  register a b
  fire a 243 257 = 501
thread
  fire a
thread
  reach g
  revoke a = in_flight(1)
  open g
after
  fire a = late
";

fn step(op: Op) -> Step {
    Step::from(op)
}

#[test]
fn a_text_means_the_program_it_says() {
    let (a, b, g) = (CallbackId(0), CallbackId(1), GateId(0));
    let expected = Program {
        subject: Some("registry/waits".to_owned()),
        hostile: vec![Hostile::Late],
        fail_allocation: Some(3),
        capacity: Some(2),
        callbacks: vec![
            Callback {
                name: "a".to_owned(),
                kind: Kind::Counting,
                exclusive: true,
                confined: false,
                body: vec![step(Op::Hold(g)), Step { nth: Some(2), ..step(Op::Revoke(a)) }],
            },
            Callback { name: "b".to_owned(), kind: Kind::Sum, exclusive: false, confined: false, body: vec![] },
        ],
        gates: vec!["g".to_owned()],
        before: vec![
            step(Op::Register(vec![a, b])),
            Step { expect: Some(Expect::Value(501)), ..step(Op::Fire(a, Some(Args { a: 243, b: 257 }))) },
        ],
        threads: vec![
            vec![step(Op::Fire(a, None))],
            vec![
                step(Op::Reach(g)),
                Step { expect: Some(Expect::InFlight(1)), ..step(Op::Revoke(a)) },
                step(Op::Open(g)),
            ],
        ],
        after: vec![Step { expect: Some(Expect::Late), ..step(Op::Fire(a, None)) }],
    };
    let program = Program::parse(EXAMPLE).unwrap();
    assert_eq!(program, expected);
    assert_eq!(program.to_string(), EXAMPLE);
    assert_eq!(validate(&program), Ok(()));
}

#[test]
fn the_way_it_is_written_does_not_matter() {
    let canonical = Program::parse(EXAMPLE).unwrap();
    let variants = [
        EXAMPLE.replace('\n', "\r\n"),
        EXAMPLE.replace("  ", "\t"),
        EXAMPLE.replace("  ", ""),
        EXAMPLE.replace(" = ", "="),
        EXAMPLE.replace('\n', "   # said so\n\n"),
        EXAMPLE.replace("counting exclusive", "exclusive counting"),
        EXAMPLE.replace("callback b", "callback b sum"),
        EXAMPLE.trim_end().to_owned(),
        format!("\u{feff}{EXAMPLE}"),
    ];
    for variant in variants {
        assert_eq!(Program::parse(&variant).as_ref(), Ok(&canonical), "{variant}");
    }
}

#[test]
fn every_op_and_every_answer_prints_back() {
    let text = "\
hostile late
hostile twice
hostile wrong_user_data
callback a
  nth 1 register c
  nth 4294967295 panic
  return -9223372036854775808
callback b confined
callback c counting exclusive confined
callback d
callback e
before
  register a = refused
  invoke b 1 -2 = 7
  enumerate d 4 = 4
  fire a = late
  send a 1 1 = refused
  post a 3 4
  churn 10000000
  barrier
thread
thread
  hold gate
  open gate
  reach gate
  stall before_load other
after
  unsubscribe a
  replace a e = refused
  release a
  forget c
  revoke a = removed
  revoke a = in_flight(2)
  revoke_and_wait a = already_revoked
  revoke_and_wait a = quiescent
  revoke_and_wait a = deferred
  shutdown
";
    let program = Program::parse(text).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(program.to_string(), text);
    assert_eq!(validate(&program), Ok(()));
    assert_eq!(program.threads[0], []);
}

#[test]
fn nothing_is_the_empty_program() {
    for text in ["", "\n", "# only a comment", "before\nafter\n", "\r\n\t\r\n"] {
        let program = Program::parse(text).unwrap();
        assert_eq!(program, Program::default());
        assert_eq!(program.to_string(), "");
    }
}

#[test]
fn callbacks_and_gates_are_known_wherever_they_first_appear() {
    let program = Program::parse("callback a\n revoke b\n open z\ncallback b\nafter\n hold y\n open z\n").unwrap();
    assert_eq!(program.gates, ["z", "y"]);
    assert_eq!(program.callbacks[0].body[0].op, Op::Revoke(CallbackId(1)));
    assert_eq!(Program::parse(&program.to_string()), Ok(program));
}

/// What the parser says to each text, in one piece.
fn errors(texts: &[&str]) -> String {
    let said = texts.iter().map(|text| match Program::parse(text) {
        Ok(program) => format!("parsed:\n{program}"),
        Err(error) => error.to_string(),
    });
    said.collect::<Vec<_>>().join("\n\n")
}

#[test]
fn words_that_begin_no_line_are_refused_with_place_and_reason() {
    let said = errors(&[
        "fire a\n",
        "before\n  fier a\n",
        "befor\n",
        "before\n  7\n",
        "callback a\n  \u{0}\n",
        "before\n  exclusive a\n",
        "before\n  counting\n",
        "callback a\nbefore\n  = late\n",
    ]);
    insta::assert_snapshot!(said, @r#"
line 1, column 1: expected `subject`, `hostile`, `fail_allocation`, `capacity`, `callback`, `before`, `thread` or `after`, found `fire`
1 | fire a
  | ^
  = ops stand in a body or in a section

line 2, column 3: expected an op, `thread` or `after`, found `fier`
2 |   fier a
  |   ^
  = did you mean `fire`?

line 1, column 1: expected `subject`, `hostile`, `fail_allocation`, `capacity`, `callback`, `before`, `thread` or `after`, found `befor`
1 | befor
  | ^
  = did you mean `before`?

line 2, column 3: expected an op, `thread` or `after`, found `7`
2 |   7
  |   ^

line 2, column 3: expected an op, `callback`, `before`, `thread` or `after`, found `\0`
2 |   �
  |   ^

line 2, column 3: expected an op, `thread` or `after`, found `exclusive`
2 |   exclusive a
  |   ^
  = `exclusive` is an attribute: `callback NAME exclusive`

line 2, column 3: expected an op, `thread` or `after`, found `counting`
2 |   counting
  |   ^
  = `counting` is a kind: `callback NAME counting`

line 3, column 3: expected an op, `thread` or `after`, found `=`
3 |   = late
  |   ^
"#);
}

#[test]
fn names_are_refused_with_place_and_reason() {
    let said = errors(&[
        "callback\n",
        "callback A\n",
        "callback a-b\n",
        "callback a\ncallback b\ncallback a\n",
        "callback tick\nbefore\n  fire tock\n",
        "callback tick\nbefore\n  fire tcik\n",
        "before\n  fire\n",
        "before\n  fire 7\n",
        "before\n  hold 7\n",
        "before\n  hold\n",
        "subject UPPER\n",
        "subject\n",
    ]);
    insta::assert_snapshot!(said, @r#"
line 1, column 9: expected a name for the callback (`a` to `z`, then `a` to `z`, `0` to `9` and `_`), found the end of the line
1 | callback
  |         ^

line 1, column 10: expected a name for the callback (`a` to `z`, then `a` to `z`, `0` to `9` and `_`), found `A`
1 | callback A
  |          ^

line 1, column 10: expected a name for the callback (`a` to `z`, then `a` to `z`, `0` to `9` and `_`), found `a-b`
1 | callback a-b
  |          ^

line 3, column 10: expected a new callback's name, found `a`
3 | callback a
  |          ^
  = `a` is declared on line 1 already

line 3, column 8: expected a declared callback's name, found `tock`
3 |   fire tock
  |        ^
  = did you mean `tick`?

line 3, column 8: expected a declared callback's name, found `tcik`
3 |   fire tcik
  |        ^
  = did you mean `tick`?

line 2, column 7: expected a callback's name, found the end of the line
2 |   fire
  |       ^

line 2, column 8: expected a callback's name, found `7`
2 |   fire 7
  |        ^

line 2, column 8: expected a gate's name (`a` to `z`, then `a` to `z`, `0` to `9` and `_`), found `7`
2 |   hold 7
  |        ^

line 2, column 7: expected a gate's name (`a` to `z`, then `a` to `z`, `0` to `9` and `_`), found the end of the line
2 |   hold
  |       ^

line 1, column 9: expected a subject's name (`a` to `z`, `0` to `9`, `_/.-`), found `UPPER`
1 | subject UPPER
  |         ^

line 1, column 8: expected a subject's name (`a` to `z`, `0` to `9`, `_/.-`), found the end of the line
1 | subject
  |        ^
"#);
}

#[test]
fn attributes_are_refused_with_place_and_reason() {
    let said = errors(&["callback a exclusiv\n", "callback a sum counting\n", "callback a confined confined\n"]);
    insta::assert_snapshot!(said, @r#"
line 1, column 12: expected a kind or an attribute: `sum`, `counting`, `exclusive` or `confined`, found `exclusiv`
1 | callback a exclusiv
  |            ^
  = did you mean `exclusive`?

line 1, column 16: expected at most one kind, and each attribute once, found `counting`
1 | callback a sum counting
  |                ^

line 1, column 21: expected at most one kind, and each attribute once, found `confined`
1 | callback a confined confined
  |                     ^
"#);
}

#[test]
fn headers_are_refused_with_place_and_reason() {
    let said = errors(&[
        "hostile lat\n",
        "hostile\n",
        "hostile late\nhostile late\n",
        "subject a\nsubject b\n",
        "capacity 0\n",
        "fail_allocation 0\n",
        "fail_allocation -1\n",
        "capacity 4294967296\n",
        "capacity 1 2\n",
        "before\nhostile late\n",
    ]);
    insta::assert_snapshot!(said, @r#"
line 1, column 9: expected a hostile switch: `late`, `twice`, `concurrent`, `notify_early`, `notify_twice`, `notify_never`, `notify_before_drain`, `fire_on_close`, `fire_tls_destructor`, `fire_atexit` or `wrong_user_data`, found `lat`
1 | hostile lat
  |         ^
  = did you mean `late`?

line 1, column 8: expected a hostile switch: `late`, `twice`, `concurrent`, `notify_early`, `notify_twice`, `notify_never`, `notify_before_drain`, `fire_on_close`, `fire_tls_destructor`, `fire_atexit` or `wrong_user_data`, found the end of the line
1 | hostile
  |        ^

line 2, column 9: expected each switch once, found `late`
2 | hostile late
  |         ^
  = `late` is on already

line 2, column 1: expected `subject` once, found `subject`
2 | subject b
  | ^
  = `subject` stands on line 1 already

line 1, column 10: expected a number of subscriptions from 1 to 4294967295, found `0`
1 | capacity 0
  |          ^

line 1, column 17: expected an allocation's number from 1 to 4294967295, found `0`
1 | fail_allocation 0
  |                 ^

line 1, column 17: expected an allocation's number from 1 to 4294967295, found `-1`
1 | fail_allocation -1
  |                 ^

line 1, column 10: expected a number of subscriptions from 1 to 4294967295, found `4294967296`
1 | capacity 4294967296
  |          ^

line 1, column 12: expected the end of the line, found `2`
1 | capacity 1 2
  |            ^

line 2, column 1: expected an op, `thread` or `after`, found `hostile`
2 | hostile late
  | ^
  = `hostile` belongs at the top, before the first callback or section
"#);
}

#[test]
fn sections_are_refused_with_place_and_reason() {
    let said = errors(&[
        "before\nbefore\n",
        "after\nbefore\n",
        "after\nthread\n",
        "thread\ncallback a\n",
        "after\nafter\n",
        "thread 1\n",
    ]);
    insta::assert_snapshot!(said, @r#"
line 2, column 1: expected `before` once, found `before`
2 | before
  | ^
  = `before` stands on line 1 already

line 2, column 1: expected an op, found `before`
2 | before
  | ^
  = the order is: header, `callback`s, `before`, `thread`s, `after`

line 2, column 1: expected an op, found `thread`
2 | thread
  | ^
  = the order is: header, `callback`s, `before`, `thread`s, `after`

line 2, column 1: expected an op, `thread` or `after`, found `callback`
2 | callback a
  | ^
  = the order is: header, `callback`s, `before`, `thread`s, `after`

line 2, column 1: expected `after` once, found `after`
2 | after
  | ^
  = `after` stands on line 1 already

line 1, column 8: expected the end of the line, found `1`
1 | thread 1
  |        ^
"#);
}

#[test]
fn registering_are_refused_with_place_and_reason() {
    let said = errors(&[
        "callback a\nbefore\n  register a\nthread\n  register a\n",
        "callback a\nbefore\n  register a a\n",
        "callback a\nbefore\n  register a\n  invoke a 1 2\n",
        "callback a\ncallback b\nbefore\n  register a b\n  replace a b\n",
        "callback a\nbefore\n  replace a a\n",
        "callback a\ncallback b\n  register a\n",
        "callback a\nbefore\n  register\n",
    ]);
    insta::assert_snapshot!(said, @r#"
line 5, column 12: expected a callback that is not registered yet, found `a`
5 |   register a
  |            ^
  = `a` is registered on line 3; a callback is registered at most once

line 3, column 14: expected a callback that is not registered yet, found `a`
3 |   register a a
  |              ^
  = `a` is registered earlier on this line; a callback is registered at most once

line 4, column 10: expected a callback that is not registered yet, found `a`
4 |   invoke a 1 2
  |          ^
  = `a` is registered on line 3; a callback is registered at most once

line 5, column 13: expected a callback that is not registered yet, found `b`
5 |   replace a b
  |             ^
  = `b` is registered on line 4; a callback is registered at most once

line 3, column 13: expected another callback than the one it replaces, found `a`
3 |   replace a a
  |             ^

line 3, column 3: expected `nth N` before `register`, found `register`
3 |   register a
  |   ^
  = a body runs in every call, and a callback is registered at most once

line 3, column 11: expected a callback's name, found the end of the line
3 |   register
  |           ^
"#);
}

#[test]
fn bodies_are_refused_with_place_and_reason() {
    let said = errors(&[
        "before\n  panic\n",
        "thread\n  return 0\n",
        "before\n  nth 1 barrier\n",
        "callback a\n  nth 0 revoke a\n",
        "callback a\n  nth revoke a\n",
        "callback a\n  nth 1\n",
        "callback a\n  nth 1 nth 2 revoke a\n",
        "callback a\n  nth 1 revoek a\n",
    ]);
    insta::assert_snapshot!(said, @r#"
line 2, column 3: expected an op, `thread` or `after`, found `panic`
2 |   panic
  |   ^
  = `panic` is for callback bodies

line 2, column 3: expected an op, `thread` or `after`, found `return`
2 |   return 0
  |   ^
  = `return` is for callback bodies

line 2, column 3: expected an op, `thread` or `after`, found `nth`
2 |   nth 1 barrier
  |   ^
  = `nth` is for callback bodies: it says in which call of the callback the op runs

line 2, column 7: expected a call's number from 1 to 4294967295, found `0`
2 |   nth 0 revoke a
  |       ^

line 2, column 7: expected a call's number from 1 to 4294967295, found `revoke`
2 |   nth revoke a
  |       ^

line 2, column 8: expected an op, found the end of the line
2 |   nth 1
  |        ^

line 2, column 9: expected an op, found `nth`
2 |   nth 1 nth 2 revoke a
  |         ^
  = `nth` is for callback bodies: it says in which call of the callback the op runs

line 2, column 9: expected an op, found `revoek`
2 |   nth 1 revoek a
  |         ^
  = did you mean `revoke`?
"#);
}

#[test]
fn numbers_are_refused_with_place_and_reason() {
    let said = errors(&[
        "before\n  churn 0\n",
        "before\n  churn 10000001\n",
        "before\n  churn\n",
        "callback a\nbefore\n  enumerate a -1\n",
        "callback a\nbefore\n  fire a 1\n",
        "callback a\nbefore\n  fire a 1 = 2\n",
        "callback a\nbefore\n  fire a 1 x\n",
        "callback a\nbefore\n  fire a +1 2\n",
        "callback a\nbefore\n  fire a 9223372036854775808 0\n",
        "callback a\n  return\n",
    ]);
    insta::assert_snapshot!(said, @r#"
line 2, column 9: expected a number of callbacks from 1 to 10000000, found `0`
2 |   churn 0
  |         ^

line 2, column 9: expected a number of callbacks from 1 to 10000000, found `10000001`
2 |   churn 10000001
  |         ^

line 2, column 8: expected a number of callbacks from 1 to 10000000, found the end of the line
2 |   churn
  |        ^

line 3, column 15: expected a number of items from 0 to 4294967295, found `-1`
3 |   enumerate a -1
  |               ^

line 3, column 11: expected the second argument, a whole number of 64 bits, found the end of the line
3 |   fire a 1
  |           ^
  = `fire` takes two arguments or none

line 3, column 12: expected the second argument, a whole number of 64 bits, found `=`
3 |   fire a 1 = 2
  |            ^
  = `fire` takes two arguments or none

line 3, column 12: expected the second argument, a whole number of 64 bits, found `x`
3 |   fire a 1 x
  |            ^

line 3, column 10: expected the first argument, a whole number of 64 bits, found `+1`
3 |   fire a +1 2
  |          ^

line 3, column 10: expected the first argument, a whole number of 64 bits, found `9223372036854775808`
3 |   fire a 9223372036854775808 0
  |          ^

line 2, column 9: expected the value to return, a whole number of 64 bits, found the end of the line
2 |   return
  |         ^
"#);
}

#[test]
fn answers_are_refused_with_place_and_reason() {
    let said = errors(&[
        "callback a\nbefore\n  fire a = removed\n",
        "callback a\nbefore\n  fire a = lte\n",
        "callback a\nbefore\n  fire a =\n",
        "callback a\nbefore\n  fire a = late late\n",
        "callback a\nbefore\n  fire a late\n",
        "callback a\nbefore\n  post a = 3\n",
        "callback a\nbefore\n  post a 1 2 3\n",
        "callback a\nbefore\n  revoke a = in_flight(0)\n",
        "callback a\nbefore\n  revoke a = 1\n",
        "callback a\nbefore\n  revoke_and_wait a = removed\n",
        "callback a\nbefore\n  register a = late\n",
        "callback a\nbefore\n  enumerate a 2 = late\n",
        "before\n  barrier = 1\n",
        "before\n  barrier now\n",
    ]);
    insta::assert_snapshot!(said, @r#"
line 3, column 12: expected an answer of `fire`: a number, `late` or `refused`, found `removed`
3 |   fire a = removed
  |            ^
  = `fire` never answers `removed`

line 3, column 12: expected an answer of `fire`: a number, `late` or `refused`, found `lte`
3 |   fire a = lte
  |            ^
  = did you mean `late`?

line 3, column 11: expected an answer of `fire`: a number, `late` or `refused`, found the end of the line
3 |   fire a =
  |           ^

line 3, column 17: expected the end of the line, found `late`
3 |   fire a = late late
  |                 ^

line 3, column 10: expected two arguments, `=` or the end of the line, found `late`
3 |   fire a late
  |          ^
  = an answer is written `= late`

line 3, column 10: expected the end of the line, found `=`
3 |   post a = 3
  |          ^
  = `post` has no answer to expect

line 3, column 14: expected the end of the line, found `3`
3 |   post a 1 2 3
  |              ^

line 3, column 14: expected an answer of `revoke`: `removed`, `in_flight(N)`, `already_revoked` or `refused`, found `in_flight(0)`
3 |   revoke a = in_flight(0)
  |              ^
  = N is a number from 1 to 4294967295

line 3, column 14: expected an answer of `revoke`: `removed`, `in_flight(N)`, `already_revoked` or `refused`, found `1`
3 |   revoke a = 1
  |              ^
  = `revoke` never answers `1`

line 3, column 23: expected an answer of `revoke_and_wait`: `quiescent`, `deferred`, `already_revoked` or `refused`, found `removed`
3 |   revoke_and_wait a = removed
  |                       ^
  = `revoke_and_wait` never answers `removed`

line 3, column 16: expected an answer of `register`: `refused`, found `late`
3 |   register a = late
  |                ^
  = `register` never answers `late`

line 3, column 19: expected an answer of `enumerate`: a number or `refused`, found `late`
3 |   enumerate a 2 = late
  |                   ^
  = `enumerate` never answers `late`

line 2, column 11: expected the end of the line, found `=`
2 |   barrier = 1
  |           ^
  = `barrier` has no answer to expect

line 2, column 11: expected the end of the line, found `now`
2 |   barrier now
  |           ^
"#);
}

#[test]
fn sites_are_refused_with_place_and_reason() {
    let said = errors(&[
        "before\n  stall here g\n",
        "before\n  stall befor_load g\n",
        "before\n  stall before_load\n",
        "before\n  stall\n",
    ]);
    insta::assert_snapshot!(said, @r#"
line 2, column 9: expected a site: `before_load`, `before_call`, `after_call`, `after_count`, `before_notify`, `popped`, `unsubscribed`, `worker_start`, `worker_exit`, `before_acquire`, `after_acquire`, `before_release`, `after_release`, `revoked`, `tombstone_written` or `slot_listed`, found `here`
2 |   stall here g
  |         ^

line 2, column 9: expected a site: `before_load`, `before_call`, `after_call`, `after_count`, `before_notify`, `popped`, `unsubscribed`, `worker_start`, `worker_exit`, `before_acquire`, `after_acquire`, `before_release`, `after_release`, `revoked`, `tombstone_written` or `slot_listed`, found `befor_load`
2 |   stall befor_load g
  |         ^
  = did you mean `before_load`?

line 2, column 20: expected a gate's name (`a` to `z`, then `a` to `z`, `0` to `9` and `_`), found the end of the line
2 |   stall before_load
  |                    ^

line 2, column 8: expected a site: `before_load`, `before_call`, `after_call`, `after_count`, `before_notify`, `popped`, `unsubscribed`, `worker_start`, `worker_exit`, `before_acquire`, `after_acquire`, `before_release`, `after_release`, `revoked`, `tombstone_written` or `slot_listed`, found the end of the line
2 |   stall
  |        ^
"#);
}

#[test]
fn what_cannot_be_seen_is_refused_with_place_and_reason() {
    let said = errors(&[
        "callback a\nbefore\n  fire\u{a0}a\n",
        "before\r  fire a\n",
        "callback a\nbefore\n\tfire b # é\n",
        "# ééé\nbefore\n  héhé\n",
    ]);
    insta::assert_snapshot!(said, @r#"
line 3, column 3: expected an op, `thread` or `after`, found `fire\u{a0}a`
3 |   fire a
  |   ^
  = did you mean `fire`?

line 1, column 1: expected `subject`, `hostile`, `fail_allocation`, `capacity`, `callback`, `before`, `thread` or `after`, found `before\r`
1 | before�  fire a
  | ^
  = did you mean `before`?

line 3, column 7: expected a declared callback's name, found `b`
3 |  fire b # é
  |       ^
  = no line says `callback b`

line 3, column 3: expected an op, `thread` or `after`, found `héhé`
3 |   héhé
  |   ^
"#);
}

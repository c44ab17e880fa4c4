//! The text form: what parses prints back to itself, and what does not parse is answered with the place and the reason.

use latecall::program::{
    Callback, CallbackId, Expect, GateId, Hostile, Kind, MAX_CALLBACKS, MAX_GATES, MAX_STEPS, MAX_THREADS, Op, Program,
    Site, Step, Verb, op::Args, valid::answers, validate,
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
fn names_that_are_none_are_refused_with_place_and_reason() {
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
fn unknown_and_repeated_attributes_are_refused_with_place_and_reason() {
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
fn bad_headers_are_refused_with_place_and_reason() {
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
fn sections_out_of_order_are_refused_with_place_and_reason() {
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
fn registering_twice_is_refused_with_place_and_reason() {
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
fn body_ops_outside_bodies_and_bad_nths_are_refused_with_place_and_reason() {
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
fn numbers_out_of_range_are_refused_with_place_and_reason() {
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
fn impossible_answers_are_refused_with_place_and_reason() {
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
fn unknown_sites_are_refused_with_place_and_reason() {
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

/// Texts at a limit, and one past it.
#[test]
fn limits_are_kept() {
    let lines = |n: usize, line: &dyn Fn(usize) -> String| (0..n).map(line).collect::<String>();
    let callbacks = |n| lines(n, &|i| format!("callback c{i}\n"));
    let threads = |n| lines(n, &|_| "thread\n".to_owned());
    let gates = |n| format!("after\n{}", lines(n, &|i| format!("  open g{i}\n")));
    let steps = |n| format!("thread\n{}", lines(n, &|_| "  barrier\n".to_owned()));
    for (at_limit, past) in [
        (callbacks(MAX_CALLBACKS), callbacks(MAX_CALLBACKS + 1)),
        (threads(MAX_THREADS), threads(MAX_THREADS + 1)),
        (gates(MAX_GATES), gates(MAX_GATES + 1)),
        (steps(MAX_STEPS), steps(MAX_STEPS + 1)),
    ] {
        let program = Program::parse(&at_limit).unwrap();
        assert_eq!(validate(&program), Ok(()));
        assert_eq!(program.to_string(), at_limit);
        let error = Program::parse(&past).unwrap_err();
        assert!(error.expected.starts_with("at most "), "{error}");
        assert_eq!(error.line, past.lines().count());
    }
}

#[test]
fn what_is_built_in_code_is_held_to_the_same_rules() {
    let valid = Program::parse(EXAMPLE).unwrap();
    let broken = |change: &dyn Fn(&mut Program)| {
        let mut program = valid.clone();
        change(&mut program);
        assert_ne!(Program::parse(&program.to_string()), Ok(program.clone()), "valid after all:\n{program}");
        validate(&program).unwrap_err()
    };
    let (a, b) = (CallbackId(0), CallbackId(1));
    let push = |op: Op| move |program: &mut Program| program.after.push(step(op.clone()));
    let expect = |op: Op, expect| {
        move |program: &mut Program| program.after.push(Step { expect: Some(expect), ..step(op.clone()) })
    };
    let said = [
        broken(&|program| program.subject = Some("Registry".to_owned())),
        broken(&|program| program.hostile = vec![Hostile::Twice, Hostile::Late]),
        broken(&|program| program.capacity = Some(0)),
        broken(&|program| program.callbacks[1].name = "a".to_owned()),
        broken(&|program| program.callbacks[1].name = "B".to_owned()),
        broken(&|program| program.gates.push("h".to_owned())),
        broken(&|program| program.gates.clear()),
        broken(&|program| program.callbacks[0].body[1].nth = Some(0)),
        broken(&|program| program.after[0].nth = Some(1)),
        broken(&push(Op::Panic)),
        broken(&push(Op::Register(vec![]))),
        broken(&push(Op::Register(vec![b]))),
        broken(&push(Op::Replace(a, a))),
        broken(&push(Op::Fire(CallbackId(9), None))),
        broken(&push(Op::Churn(0))),
        broken(&push(Op::Open(GateId(7)))),
        broken(&expect(Op::Fire(a, None), Expect::Removed)),
        broken(&expect(Op::Revoke(a), Expect::InFlight(0))),
        broken(&expect(Op::Barrier, Expect::Value(0))),
        broken(&|program| {
            program.callbacks.push(Callback { name: "c".to_owned(), body: vec![], ..program.callbacks[1].clone() });
            program.callbacks[1].body.push(step(Op::Register(vec![CallbackId(2)])));
        }),
        broken(&|program| program.threads = vec![vec![]; MAX_THREADS + 1]),
        broken(&|program| program.before = vec![step(Op::Barrier); MAX_STEPS + 1]),
    ];
    insta::assert_snapshot!(said.join("\n"), @r#"
    "Registry" is not a subject's name
    hostile switches: out of order, or one twice
    capacity 0
    two callbacks are named `a`
    "B" is not a callback's name
    a gate that no op names
    callback a, op 1 (`hold ?`): no such gate
    callback a, op 2 (`nth 0 revoke a`): `nth 0`: 1 is the first call
    after, op 1 (`nth 1 fire a = late`): `nth` is only for callback bodies
    after, op 2 (`panic`): only in callback bodies
    after, op 2 (`register`): registers nothing
    after, op 2 (`register b`): `b` is registered twice
    after, op 2 (`replace a a`): replaces a callback by itself
    after, op 2 (`fire ?`): no such callback
    after, op 2 (`churn 0`): not from 1 to 10000000
    after, op 2 (`open ?`): no such gate
    after, op 2 (`fire a = removed`): `fire` never answers `removed`
    after, op 2 (`revoke a = in_flight(0)`): `revoke` never answers `in_flight(0)`
    after, op 2 (`barrier = 0`): `barrier` never answers `0`
    callback b, op 1 (`register c`): a body runs in every call: what registers there needs an `nth`
    threads: 9, and 8 is the most
    before: ops: 1001, and 1000 is the most
    "#);
}

const PAGE: &str = include_str!("../../docs/program.md");

#[test]
fn every_program_on_the_language_page_parses() {
    let blocks: Vec<&str> = PAGE.split("```").skip(1).step_by(2).collect();
    assert!(blocks.len() >= 4);
    for block in blocks {
        let program = block.strip_prefix("latecall\n").expect("every fenced block is a program");
        assert!(Program::parse(program).is_ok_and(|program| !program.is_empty()), "{program}");
    }
    let error = Program::parse("callback a\nbefore\n  revok a\n").unwrap_err();
    let shown = error.to_string().replace('\n', "\n    ");
    assert!(PAGE.contains(&shown), "{shown}");
}

#[test]
fn the_language_page_has_a_row_for_every_word() {
    let rows: Vec<&str> = PAGE.lines().filter_map(|line| line.strip_prefix("| `")).collect();
    let row = |word: &str| {
        let starts = |row: &&&str| row.strip_prefix(word).is_some_and(|rest| rest.starts_with([' ', '`', '(']));
        *rows.iter().find(starts).unwrap_or_else(|| panic!("no row for `{word}`"))
    };
    let names = Hostile::ALL.iter().map(|hostile| hostile.name()).chain(Site::ALL.iter().map(|site| site.name()));
    names
        .chain(["sum", "counting", "late", "in_flight", "subject", "fail_allocation"])
        .for_each(|word| assert!(!row(word).is_empty()));
    for verb in Verb::ALL {
        let last = row(verb.name()).trim_end_matches(" |").rsplit(" | ").next().unwrap_or_default();
        let listed = answers(*verb).iter().map(|answer| match *answer {
            "value" => "a number".to_owned(),
            answer => format!("`{answer}`"),
        });
        let listed = listed.collect::<Vec<_>>().join(", ");
        assert!(listed.is_empty() || last == listed, "`{verb}` answers {listed}; the page says {last}");
    }
}

/// A small generator of numbers, so that a failure comes back.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % n.max(1)
    }
}

/// Parses, and checks what must hold of any answer.
fn survive(text: &str) {
    match Program::parse(text) {
        Ok(program) => {
            assert_eq!(validate(&program), Ok(()), "{text:?}");
            assert_eq!(Program::parse(&program.to_string()), Ok(program), "{text:?}");
        }
        Err(error) => {
            let line = text.strip_prefix('\u{feff}').unwrap_or(text).split('\n').nth(error.line - 1);
            assert!(line.is_some_and(|line| error.column <= line.chars().count() + 1), "{text:?}: {error}");
            assert!(error.to_string().len() < 2000, "{error}");
        }
    }
}

#[test]
fn garbage_gets_an_answer() {
    let mut dice = Dice(1);
    for _ in 0..20_000 {
        let bytes: Vec<u8> = (0..dice.below(60)).map(|_| dice.below(256) as u8).collect();
        survive(&String::from_utf8_lossy(&bytes));
    }
}

#[test]
fn mangled_programs_get_an_answer() {
    let mut dice = Dice(2);
    let pieces: Vec<String> = EXAMPLE.split_inclusive([' ', '\n', '(', ')']).map(str::to_owned).collect();
    let strange =
        ["\0", "=", "#", "\u{feff}", "é", "in_flight(", "nth ", "-9999999999999999999 ", "\r", "\t", "\u{2028}"];
    for _ in 0..20_000 {
        let mut text = pieces.clone();
        for _ in 0..=dice.below(4) {
            let at = dice.below(text.len());
            match dice.below(4) {
                0 => drop(text.remove(at)),
                1 => text.insert(at, strange[dice.below(strange.len())].to_owned()),
                2 => text.insert(at, pieces[dice.below(pieces.len())].clone()),
                _ => text.swap(at, dice.below(pieces.len()).min(at)),
            }
        }
        survive(&text.concat());
    }
}

#[test]
fn huge_lines_and_many_lines_take_no_more_than_their_length() {
    let many = 1 << 20;
    let texts = [
        "a".repeat(8 * many),
        "=".repeat(8 * many),
        "#".repeat(8 * many),
        "\n".repeat(8 * many),
        "\u{0}".repeat(8 * many),
        "é ".repeat(many),
        "before\n".repeat(many),
        "callback a\n".repeat(many),
        (0..many / 4).map(|i| format!("callback a{i}\n")).collect(),
        format!("callback a\nbefore\n  register{}", " a".repeat(many)),
        format!("callback a\nbefore\n  fire a {}", "9".repeat(8 * many)),
        format!("callback {}\n", "a".repeat(8 * many)),
        format!("callback a\nbefore\n  register {}", "b".repeat(8 * many)),
        format!("before\n  open {}", "g".repeat(8 * many)),
        format!("thread\n{}", "  churn 1\n".repeat(many)),
        format!("subject {}", "s".repeat(8 * many)),
        "hostile late ".repeat(many),
    ];
    let start = std::time::Instant::now();
    for text in &texts {
        survive(text);
    }
    // Linear work on some 100 MB takes about a second; anything quadratic would take days.
    assert!(start.elapsed().as_secs() < 60, "{:?}", start.elapsed());
}

//! A text stands for one program, however it is laid out, and a program prints as that text.

use super::{EXAMPLE, expecting, step};
use latecall::program::{Args, Callback, CallbackId, Expect, GateId, Hostile, Op, Program, Returns, validate};

#[test]
fn a_text_means_the_program_it_says() {
    let (a, b, g) = (CallbackId(0), CallbackId(1), GateId(0));
    let mut in_second_call = step(Op::Revoke(a));
    in_second_call.nth = Some(2);
    let mut first = Callback::new("a");
    first.returns = Returns::Counting;
    first.exclusive = true;
    first.body = vec![step(Op::Hold(g)), in_second_call];
    let mut expected = Program::default();
    expected.subject = Some("registry/waits".to_owned());
    expected.hostile = vec![Hostile::Late];
    expected.fail_allocation = Some(3);
    expected.capacity = Some(2);
    expected.callbacks = vec![first, Callback::new("b")];
    expected.gates = vec!["g".to_owned()];
    expected.before =
        vec![step(Op::Register(vec![a, b])), expecting(Op::Fire(a, Some(Args { a: 243, b: 257 })), Expect::Value(501))];
    expected.threads = vec![
        vec![step(Op::Fire(a, None))],
        vec![step(Op::Reach(g)), expecting(Op::Revoke(a), Expect::InFlight(1)), step(Op::Open(g))],
    ];
    expected.after = vec![expecting(Op::Fire(a, None), Expect::Late)];
    let b = &expected.callbacks[1];
    assert_eq!((b.returns, b.exclusive, b.confined, b.body.len()), (Returns::Sum, false, false, 0));
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

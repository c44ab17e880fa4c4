//! Rules beyond the grammar: limits, and what a program that is built in code must keep to.

use super::{EXAMPLE, expecting, step};
use latecall::program::{
    Callback, CallbackId, Expect, GateId, Hostile, MAX_CALLBACKS, MAX_GATES, MAX_STEPS, MAX_THREADS, Op, Program,
    Section, StepId, validate,
};

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
        assert!(error.expected().starts_with("at most "), "{error}");
        assert_eq!(error.line(), past.lines().count());
    }
}

#[test]
fn what_is_built_in_code_is_held_to_the_same_rules() {
    let valid = Program::parse(EXAMPLE).unwrap();
    let broken = |change: &dyn Fn(&mut Program)| {
        let mut program = valid.clone();
        change(&mut program);
        assert_ne!(Program::parse(&program.to_string()), Ok(program.clone()), "valid after all:\n{program}");
        validate(&program).unwrap_err().to_string()
    };
    let (a, b) = (CallbackId(0), CallbackId(1));
    let push = |op: Op| move |program: &mut Program| program.after.push(step(op.clone()));
    let expect = |op: Op, expect| move |program: &mut Program| program.after.push(expecting(op.clone(), expect));
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
            program.callbacks.push(Callback::new("c"));
            program.callbacks[1].body.push(step(Op::Register(vec![CallbackId(2)])));
        }),
        broken(&|program| program.threads = vec![vec![]; MAX_THREADS + 1]),
        broken(&|program| program.before = vec![step(Op::Barrier); MAX_STEPS + 1]),
    ];
    insta::assert_snapshot!(said.join("\n"), @r#"
    "Registry" is not a subject's name (`a` to `z`, `0` to `9`, `_/.-`)
    `hostile`: each switch at most once, in the order of `Hostile::ALL`
    `capacity 0`: the smallest capacity is 1
    two callbacks are named `a`
    "B" is not a callback's name (`a` to `z`, then `a` to `z`, `0` to `9` and `_`)
    no op names the gate `h`
    callback a, op 1 (`hold ?`): the program has no such gate
    callback a, op 2 (`nth 0 revoke a`): `nth 0`: 1 is the first call
    after, op 1 (`nth 1 fire a = late`): `nth` is only for callback bodies
    after, op 2 (`panic`): `panic` is only for callback bodies
    after, op 2 (`register`): names no callback
    after, op 2 (`register b`): `b` is registered twice; a callback is registered at most once
    after, op 2 (`replace a a`): replaces a callback by itself
    after, op 2 (`fire ?`): the program has no such callback
    after, op 2 (`churn 0`): the number must be from 1 to 10000000
    after, op 2 (`open ?`): the program has no such gate
    after, op 2 (`fire a = removed`): `fire` never answers `removed`
    after, op 2 (`revoke a = in_flight(0)`): `revoke` never answers `in_flight(0)`
    after, op 2 (`barrier = 0`): `barrier` never answers `0`
    callback b, op 1 (`register c`): `register` in a body needs an `nth`: the body runs in every call, and a callback is registered at most once
    9 threads; at most 8 are allowed
    before: 1001 ops; at most 1000 are allowed
    "#);
}

/// The first identifier and the first number that a program does not have are refused, not only those far beyond.
#[test]
fn the_rules_hold_at_their_edges() {
    let valid = Program::parse(EXAMPLE).unwrap();
    let rule = |change: &dyn Fn(&mut Program)| {
        let mut program = valid.clone();
        change(&mut program);
        validate(&program).unwrap_err().rule().to_owned()
    };
    let late = Hostile::Late;
    let order = "`hostile`: each switch at most once, in the order of `Hostile::ALL`";
    assert_eq!(rule(&|program| program.hostile = vec![late, late]), order);
    let (callbacks, gates) = (valid.callbacks.len() as u8, valid.gates.len() as u8);
    let fires = rule(&|program| program.after.push(step(Op::Fire(CallbackId(callbacks), None))));
    assert_eq!(fires, "the program has no such callback");
    let opens = rule(&|program| program.after.push(step(Op::Open(GateId(gates)))));
    assert_eq!(opens, "the program has no such gate");
}

#[test]
fn an_invalid_program_names_the_step_and_the_rule() {
    let mut program = Program::parse(EXAMPLE).unwrap();
    program.threads[1].push(step(Op::Panic));
    let index = program.threads[1].len() as u16 - 1;
    let error = validate(&program).unwrap_err();
    assert_eq!(error.step(), Some(StepId { section: Section::Thread(1), index }));
    assert_eq!(error.rule(), "`panic` is only for callback bodies");
    assert!(error.to_string().ends_with(error.rule()), "{error}");
    let mut program = Program::parse(EXAMPLE).unwrap();
    program.capacity = Some(0);
    let error = validate(&program).unwrap_err();
    assert_eq!((error.step(), error.rule()), (None, "`capacity 0`: the smallest capacity is 1"));
}

#[test]
fn an_error_of_the_parser_has_a_place_what_was_expected_what_was_found_and_how_to_mend_it() {
    let error = Program::parse("callback a\nbefore\n  revok a\n").unwrap_err();
    assert_eq!((error.line(), error.column()), (3, 3));
    assert_eq!((error.expected(), error.found()), ("an op, `thread` or `after`", "`revok`"));
    assert_eq!(error.note(), Some("did you mean `revoke`?"));
    let error = Program::parse("callback a\nbefore\n  fire\n").unwrap_err();
    assert_eq!((error.line(), error.column()), (3, 7));
    assert_eq!((error.expected(), error.found()), ("a callback's name", "the end of the line"));
    assert_eq!(error.note(), None);
}

#[test]
fn a_word_too_many_is_refused_where_an_answer_could_stand_and_where_none_could() {
    let expected = |text: &str| Program::parse(text).unwrap_err().expected().to_owned();
    assert_eq!(expected("callback a\nbefore\n  revoke a a\n"), "`=` or the end of the line");
    assert_eq!(expected("callback a\nbefore\n  forget a a\n"), "the end of the line");
}

/// However long the line is, the first callback that stands on it for the second time is named.
#[test]
fn a_table_of_more_callbacks_than_there_may_be_names_one_twice() {
    let declared: String = (0..MAX_CALLBACKS).map(|i| format!("callback c{i}\n")).collect();
    let names: String = (0..MAX_CALLBACKS).map(|i| format!(" c{i}")).collect();
    assert!(Program::parse(&format!("{declared}before\n  register{names}\n")).is_ok());
    let error = Program::parse(&format!("{declared}before\n  register{names} c5\n")).unwrap_err();
    assert_eq!(error.found(), "`c5`");
    assert_eq!(error.expected(), "a callback that is not registered yet");
}

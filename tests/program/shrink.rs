//! The shrinker: finds the steps that a failure needs, asks only about valid programs, keeps its budget, and returns
//! what it cannot improve unchanged.

use latecall::program::generate::{Domain, decode};
use latecall::program::shrink::{Tries, minimise};
use latecall::program::{Op, Program, Verb, validate};

const PLENTY: Tries = Tries { most: 20_000 };

/// A program of at least this many steps, always the same.
fn haystack(steps: usize) -> Program {
    let mut domain = Domain::everything();
    domain.max_steps = 2 * steps;
    domain.max_threads = 4;
    domain.max_callbacks = 6;
    let mut state: u32 = 0x9e37_79b9;
    let mut record = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state ^ state >> 15).to_le_bytes()
    };
    let mut raw = vec![[94, 47, 0xff, 200]];
    for _ in 0..10 * steps {
        raw.push(record());
        let program = decode(&raw, &domain);
        if program.len() >= steps && program.threads.len() == 4 {
            return program;
        }
    }
    panic!("no program of {steps} steps")
}

/// Whether a step with `first` stands before one with `second` about the same callback, in the order before, threads,
/// after.
fn has_in_order(program: &Program, first: Verb, second: Verb) -> bool {
    let sections = program.before.iter().chain(program.threads.iter().flatten()).chain(&program.after);
    let named: Vec<_> = sections.map(|step| (step.op.verb(), step.op.callbacks())).collect();
    named.iter().enumerate().any(|(i, (verb, callbacks))| {
        let later = |(later, others): &(Verb, Vec<_>)| *later == second && others.first() == callbacks.first();
        *verb == first && named[i + 1..].iter().any(later)
    })
}

#[test]
fn two_steps_are_found_among_sixty() {
    let program = haystack(60);
    let fails = |program: &Program| has_in_order(program, Verb::Release, Verb::Fire);
    assert!(fails(&program), "{program}");
    let mut tries = 0;
    let mut counted = |candidate: &Program| {
        tries += 1;
        assert_eq!(validate(candidate), Ok(()), "{candidate}");
        fails(candidate)
    };
    let found = minimise(&program, &mut counted, PLENTY);
    insta::assert_snapshot!(found, @r"
    callback a
    before
      release a
      fire a
    ");
    assert!(tries < 300, "{tries} tries");
}

#[test]
fn what_the_failure_needs_is_kept_and_the_rest_goes() {
    let text = "\
hostile late
hostile twice
fail_allocation 9
capacity 12
callback first counting confined
  nth 3 fire second
callback second counting exclusive
  churn 5
  nth 4 hold door
  nth 2 return 77
callback third
before
  register first second third
  fire third 10 20 = 30
thread
  fire first
  send second 100 7 = 108
  fire third
thread
  fire third
  stall before_call window
  reach door
  revoke second = in_flight(1)
  open door
after
  open window
  churn 1000
";
    let program = Program::parse(text).unwrap();
    // The failure needs: two threads, of which one calls what the other revokes; a `hold` in the callback; `late`; and
    // a churn of three or more.
    let mut fails = |program: &Program| {
        let on_threads = |verb: Verb| {
            let has = |(i, thread): (usize, &Vec<latecall::program::Step>)| {
                thread.iter().find(|step| step.op.verb() == verb).map(|step| (i, step.op.callbacks()))
            };
            program.threads.iter().enumerate().find_map(has)
        };
        let (Some((sender, sent)), Some((revoker, revoked))) = (on_threads(Verb::Send), on_threads(Verb::Revoke))
        else {
            return false;
        };
        let held = |step: &latecall::program::Step| matches!(step.op, Op::Hold(_)) && step.nth.is_some_and(|n| n >= 2);
        let churns = program.after.iter().any(|step| matches!(step.op, Op::Churn(3..)));
        sender != revoker
            && sent == revoked
            && program.callbacks[sent[0].0 as usize].body.iter().any(held)
            && churns
            && program.hostile.contains(&latecall::program::Hostile::Late)
    };
    assert!(fails(&program));
    insta::assert_snapshot!(minimise(&program, &mut fails, PLENTY), @r"
    hostile late
    callback a
      nth 2 hold g
    thread
      send a
    thread
      revoke a
    after
      churn 3
    ");
}

#[test]
fn what_never_fails_comes_back_unchanged() {
    let program = haystack(60);
    let mut tries = 0;
    let same = minimise(&program, &mut |_| (tries += 1, false).1, PLENTY);
    assert_eq!(same, program);
    assert!(tries > 0);
    assert_eq!(minimise(&Program::default(), &mut |_| false, PLENTY), Program::default());
}

#[test]
fn what_always_fails_becomes_the_empty_program() {
    assert_eq!(minimise(&haystack(60), &mut |_| true, PLENTY), Program::default());
}

#[test]
fn the_budget_is_kept_and_the_result_still_fails() {
    let program = haystack(60);
    let fails = |program: &Program| has_in_order(program, Verb::Release, Verb::Fire);
    for max_tries in [0, 1, 2, 7, 40] {
        let mut tries = 0;
        let found = minimise(&program, &mut |candidate| (tries += 1, fails(candidate)).1, Tries { most: max_tries });
        assert!(tries <= max_tries, "{tries} of {max_tries}");
        assert!(fails(&found));
        assert!(found.len() <= program.len());
    }
}

#[test]
fn the_same_program_comes_out_the_same() {
    let fails = |program: &Program| has_in_order(program, Verb::Revoke, Verb::Fire) && program.threads.len() > 1;
    let find = || minimise(&haystack(40), &mut |program| fails(program), PLENTY);
    assert!(fails(&haystack(40)));
    assert_eq!(find(), find());
}

#[test]
fn a_body_is_never_made_to_call_or_wait_more_often() {
    let text = "\
callback a
  nth 2 fire a
  nth 1 revoke_and_wait a
  nth 3 post a
  nth 2 revoke a
before
  register a
  fire a
";
    // A step that calls or waits must keep its `nth`: the program might not end, and the subject would get the blame.
    let mut seen = 0;
    let mut fails = |program: &Program| {
        seen += 1;
        let bodies = program.callbacks.iter().flat_map(|callback| &callback.body);
        for step in bodies {
            assert!(step.nth.is_some() || step.op.verb() == Verb::Revoke, "{program}");
            assert_ne!(step.op.verb(), Verb::Send);
        }
        program.callbacks.first().is_some_and(|callback| callback.body.len() == 4)
    };
    let found = minimise(&Program::parse(text).unwrap(), &mut fails, PLENTY);
    insta::assert_snapshot!(found, @r"
    callback a
      nth 1 fire a
      nth 1 revoke_and_wait a
      nth 1 post a
      revoke a
    ");
    assert!(seen > 0);
}

//! How the shrinker gets to a small program: the largest edits first, each number to its least, each step to its
//! plainest form, and no try wasted.

use latecall::program::canonical::tidy;
use latecall::program::shrink::{Tries, minimise};
use latecall::program::{Args, Op, Program};

const PLENTY: Tries = Tries { most: 20_000 };

fn parsed(text: &str) -> Program {
    Program::parse(text).unwrap_or_else(|error| panic!("{error}"))
}

/// The smallest program that fails by `fails`, as text, and the number of tries.
fn smallest(text: &str, mut fails: impl FnMut(&Program) -> bool) -> (String, usize) {
    let (program, mut tries) = (parsed(text), 0);
    assert!(fails(&program), "the program does not fail");
    let found = minimise(&program, &mut |program| (tries += 1, fails(program)).1, PLENTY);
    (found.to_string(), tries)
}

fn ops(program: &Program) -> impl Iterator<Item = &Op> {
    program.steps().map(|step| &step.op)
}

/// What the shrinker asks first about a program of which no smaller one fails.
#[test]
fn threads_callbacks_and_gates_are_taken_away_as_a_whole_before_anything_else() {
    let text = "callback a\n  open g\n  fire c\ncallback b\ncallback c\n  open h\nbefore\n  register a b c\n  revoke a\n\
                thread\n  fire b\n  hold g\nthread\n  hold h\n  fire a\n  fire c\n";
    let mut asked = Vec::new();
    let mut never = |program: &Program| (asked.push(program.to_string()), false).1;
    let _ = minimise(&parsed(text), &mut never, PLENTY);
    let thread_1 = "callback a\n  open g\n  fire c\ncallback b\ncallback c\n  open h\nbefore\n  register a b c\n  \
                    revoke a\nthread\n  hold h\n  fire a\n  fire c\n";
    let thread_2 = "callback a\n  open g\n  fire c\ncallback b\ncallback c\n  open h\nbefore\n  register a b c\n  \
                    revoke a\nthread\n  fire b\n  hold g\n";
    let callback_a = "callback b\ncallback c\n  open h\nbefore\n  register b c\nthread\n  fire b\n  hold g\nthread\n  \
                      hold h\n  fire c\n";
    let callback_b = "callback a\n  open g\n  fire c\ncallback c\n  open h\nbefore\n  register a c\n  revoke a\n\
                      thread\n  hold g\nthread\n  hold h\n  fire a\n  fire c\n";
    let callback_c = "callback a\n  open g\ncallback b\nbefore\n  register a b\n  revoke a\nthread\n  fire b\n  hold g\n\
                      thread\n  hold h\n  fire a\n";
    let gate_g = "callback a\n  fire c\ncallback b\ncallback c\n  open h\nbefore\n  register a b c\n  revoke a\n\
                  thread\n  fire b\nthread\n  hold h\n  fire a\n  fire c\n";
    let gate_h = "callback a\n  open g\n  fire c\ncallback b\ncallback c\nbefore\n  register a b c\n  revoke a\n\
                  thread\n  fire b\n  hold g\nthread\n  fire a\n  fire c\n";
    assert_eq!(asked[..7], [thread_1, thread_2, callback_a, callback_b, callback_c, gate_g, gate_h]);
}

#[test]
fn a_callback_goes_with_the_register_that_names_only_it() {
    let text = "callback a\ncallback b\nbefore\n  register a\n  register b\n  fire b\n";
    let mut asked = Vec::new();
    let _ = minimise(&parsed(text), &mut |program| (asked.push(program.to_string()), false).1, PLENTY);
    assert_eq!(asked[0], "callback b\nbefore\n  register b\n  fire b\n");
}

#[test]
fn two_threads_become_one_if_their_steps_have_to_stay_on_threads() {
    let on_threads = |program: &Program| {
        let ops: Vec<&Op> = program.threads.iter().flatten().map(|step| &step.op).collect();
        let place = |wanted: fn(&Op) -> bool| ops.iter().position(|op| wanted(op));
        place(|op| matches!(op, Op::Fire(..))).is_some() && place(|op| matches!(op, Op::Revoke(_))).is_some()
    };
    let (found, _) = smallest("callback a\nthread\n  fire a\nthread\n  revoke a\n", on_threads);
    assert_eq!(found, "callback a\nthread\n  fire a\n  revoke a\n");
}

#[test]
fn a_table_keeps_only_the_callbacks_that_it_needs() {
    let needs_a = |program: &Program| {
        let named = ops(program).any(|op| matches!(op, Op::Register(ids) if ids.iter().any(|id| id.0 == 0)));
        named && ops(program).filter(|op| matches!(op, Op::Fire(..))).count() == 2 && program.callbacks.len() == 3
    };
    let (found, _) =
        smallest("callback a\ncallback b\ncallback c\nbefore\n  register a b c\n  fire b\n  fire c\n", needs_a);
    assert_eq!(found, "callback a\ncallback b\ncallback c\nbefore\n  register a\n  fire b\n  fire c\n");
}

#[test]
fn a_number_becomes_the_least_that_fails_after_few_tries() {
    let (found, tries) =
        smallest("before\n  churn 1000000\n", |program| ops(program).any(|op| matches!(op, Op::Churn(5..))));
    assert_eq!(found, "before\n  churn 5\n");
    assert!(tries < 100, "{tries} tries");
    let returns = |program: &Program| ops(program).any(|op| matches!(op, Op::Return(..=-5)));
    let (found, tries) = smallest("callback a\n  return -1000000\nbefore\n  fire a\n", |program| {
        returns(program) && ops(program).any(|op| matches!(op, Op::Fire(..)))
    });
    assert_eq!(found, "callback a\n  return -5\nbefore\n  fire a\n");
    assert!(tries < 100, "{tries} tries");
}

#[test]
fn arguments_become_smaller_one_by_one_in_their_order() {
    let sum = |least: i64| {
        move |program: &Program| {
            let enough = |op: &Op| matches!(op, Op::Fire(_, Some(Args { a, b })) if a + b >= least);
            ops(program).any(enough)
        }
    };
    let text = "callback a\nbefore\n  fire a 10 10\n";
    assert_eq!(smallest(text, sum(10)).0, "callback a\nbefore\n  fire a 0 10\n");
    assert_eq!(smallest(text, sum(17)).0, "callback a\nbefore\n  fire a 7 10\n");
}

#[test]
fn a_limit_becomes_the_least_that_fails() {
    let (found, _) = smallest("capacity 90\n", |program| program.capacity.is_some_and(|n| n > 5));
    assert_eq!(found, "capacity 6\n");
    let (found, _) = smallest("fail_allocation 40\n", |program| program.fail_allocation.is_some_and(|n| n > 2));
    assert_eq!(found, "fail_allocation 3\n");
}

/// A budget of one try is spent on the tidy form, and of none on nothing.
#[test]
fn the_result_is_tidy_whatever_the_budget_and_no_try_is_spent_on_the_program_itself() {
    let untidy =
        parsed("callback second\ncallback unused\ncallback first\nbefore\n  churn 3\n  fire first\n  open shut\n");
    let fires = |program: &Program| ops(program).any(|op| matches!(op, Op::Fire(..)));
    for most in 0..20 {
        let (mut tries, mut best) = (0, untidy.clone());
        let mut ask = |program: &Program| {
            tries += 1;
            assert_ne!(*program, best, "asked about what is known to fail");
            if fires(program) {
                best = program.clone();
            }
            fires(program)
        };
        let found = minimise(&untidy, &mut ask, Tries { most });
        assert!(tries <= most, "{tries} tries of {most}");
        if most == 0 {
            assert_eq!(found, untidy);
        } else {
            assert_eq!(found, tidy(&found), "{most} tries");
        }
    }
}

//! Answers that the program does not expect, and panics that come out of the library.

use super::*;

#[test]
fn a_panic_that_comes_out_of_the_library() {
    let events = fired_and(&[enter(A, 7), Unwind { callback: A }, UnwindEscaped], Answer::Refused);
    assert_eq!(judged(FIRED, &events), [V::UnwindEscaped]);
    let contained = fired_and(&[enter(A, 7), Unwind { callback: A }], Answer::Value(0));
    assert_eq!(judged(FIRED, &contained), []);
}

#[test]
fn an_op_that_does_not_answer_as_the_program_says() {
    let program = |expect: &str| format!("callback a\nbefore\n register a\n fire a = {expect}\n");
    let ran = fired_and(&[enter(A, 7), leave(A, 5)], Answer::Value(5));
    assert_eq!(judged(&program("5"), &ran), []);
    assert_eq!(judged(&program("6"), &ran), [V::Unexpected]);
    assert_eq!(judged(&program("late"), &ran), [V::Unexpected]);
    let released = "callback a\nbefore\n register a\n release a\n fire a = late\n";
    let late = then([
        (MAIN, before(1)),
        (MAIN, end(Answer::Quiescent)),
        (MAIN, begin(Section::Before, 2, 9)),
        (MAIN, Late { cookie: 9 }),
        (MAIN, end(Answer::Value(0))),
    ]);
    assert_eq!(judged(released, &late), []);
    let expects_zero = released.replace("late", "0");
    assert_eq!(judged(&expects_zero, &late), [V::Unexpected], "late is not the value 0");
}

/// Each answer meets the expectation with its own name and no other.
#[test]
fn every_expectation_is_met_by_its_own_answer_only() {
    let answers = [
        ("removed", Answer::Removed),
        ("in_flight(2)", Answer::InFlight(2)),
        ("in_flight(3)", Answer::InFlight(3)),
        ("already_revoked", Answer::AlreadyRevoked),
        ("quiescent", Answer::Quiescent),
        ("deferred", Answer::Deferred),
        ("refused", Answer::Refused),
        ("skipped", Answer::Skipped),
        ("done", Answer::Done),
        ("7", Answer::Value(7)),
    ];
    let expectations = [
        ("revoke", ["removed", "in_flight(2)", "already_revoked", "refused"]),
        ("release", ["quiescent", "deferred", "already_revoked", "refused"]),
    ];
    for (verb, expected) in expectations {
        for expect in expected {
            let program = format!("callback a\nbefore\n register a\n {verb} a = {expect}\n");
            for (name, answer) in answers {
                let found = violations(&program, Contract::default(), &then([(MAIN, before(1)), (MAIN, end(answer))]));
                if name == expect {
                    assert_eq!(found, [], "{verb} a = {expect} answers {name}");
                } else {
                    let text = format!("`{verb} a` must answer {expect} and answered {name}");
                    assert_eq!(found.iter().map(|v| (v.kind, &*v.text)).collect::<Vec<_>>(), [(V::Unexpected, &*text)]);
                    assert_eq!(found[0].proof, [3, 4], "the op's begin and end");
                }
            }
        }
    }
}

#[test]
fn a_firing_that_runs_nothing_answers_a_value_and_not_late_unless_it_was_reported_late() {
    let program = "callback a\nbefore\n register a\n revoke a\n fire a = 0\n";
    let fired = |late: &[EventKind]| {
        let mut events = then([(MAIN, before(1)), (MAIN, end(Answer::Removed)), (MAIN, begin(Section::Before, 2, 9))]);
        events.extend(late.iter().map(|kind| (MAIN, *kind)));
        events.push((MAIN, end(Answer::Value(0))));
        judged(program, &events)
    };
    assert_eq!(fired(&[]), []);
    assert_eq!(fired(&[Late { cookie: 9 }]), [V::Unexpected]);
    assert_eq!(fired(&[Late { cookie: 8 }]), [], "another firing was late");
}

#[test]
fn an_unexpected_answer_is_blamed_on_the_first_callback_that_the_op_names() {
    let program = "callback a\ncallback b\nbefore\n register a\n replace a b = refused\n";
    let found = violations(program, Contract::default(), &then([(MAIN, before(1)), (MAIN, end(Answer::Done))]));
    assert_eq!(found.iter().map(|v| (v.kind, v.callback.as_deref())).collect::<Vec<_>>(), [(V::Unexpected, Some("a"))]);
}

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

//! What the rest of the crate asks of programs and what users cannot ask. (The tests of the public part are in
//! `tests/program`.)

use super::{Args, CallbackId, GateId, Op, Program, Site};

#[test]
fn a_call_depends_on_the_calls_before_it_if_the_callback_or_one_of_its_steps_counts_them() {
    let counts = |text: &str| Program::parse(text).unwrap().callbacks[0].counts();
    assert!(counts("callback a counting\n"));
    assert!(counts("callback a\n  churn 1\n  nth 2 panic\n"));
    assert!(counts("callback a counting\n  nth 2 panic\n"));
    assert!(!counts("callback a\n"));
    assert!(!counts("callback a exclusive confined\n  churn 1\n  panic\n"));
}

#[test]
fn an_op_that_names_a_gate_does_nothing_but_force_an_order() {
    let gate = GateId(0);
    for op in [Op::Hold(gate), Op::Open(gate), Op::Reach(gate), Op::Stall(Site::BeforeCall, gate)] {
        assert!(op.is_about_gates(), "{op:?}");
    }
    let args = Some(Args { a: 1, b: 2 });
    for op in [Op::Barrier, Op::Fire(CallbackId(0), args), Op::Register(vec![CallbackId(0)]), Op::Panic, Op::Shutdown] {
        assert!(!op.is_about_gates(), "{op:?}");
    }
}

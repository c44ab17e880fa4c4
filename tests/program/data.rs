//! Programs as data: what a program needs, where its steps are, what its ops name, and its tidy form.

use latecall::program::canonical::{number_gates, tidy};
use latecall::program::{Args, CallbackId, GateId, Op, Program, Section, Site, Step, StepId, Verb, VerbSet};

const A: CallbackId = CallbackId(0);
const B: CallbackId = CallbackId(1);
const G: GateId = GateId(0);

fn parsed(text: &str) -> Program {
    Program::parse(text).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn a_program_without_steps_is_empty_whatever_it_declares() {
    assert!(Program::default().is_empty());
    assert!(parsed("hostile late\ncapacity 2\ncallback a counting\nbefore\nthread\nthread\nafter\n").is_empty());
    for text in ["callback a\n  panic\n", "before\n  barrier\n", "thread\n  barrier\n", "after\n  barrier\n"] {
        assert!(!parsed(text).is_empty(), "{text}");
        assert_eq!(parsed(text).len(), 1, "{text}");
    }
}

#[test]
fn the_verbs_of_a_program_are_those_of_its_steps_and_the_attributes_of_its_callbacks() {
    let verbs = |text: &str| parsed(text).verbs();
    assert_eq!(verbs("hostile late\ncallback a counting\n"), VerbSet::EMPTY);
    assert_eq!(verbs("callback a exclusive\n"), VerbSet::of(&[Verb::Exclusive]));
    assert_eq!(verbs("callback a confined\n"), VerbSet::of(&[Verb::Confined]));
    let text = "callback a\n  panic\nbefore\n  register a\nthread\n  fire a\nafter\n  barrier\n  fire a\n";
    assert_eq!(verbs(text), VerbSet::of(&[Verb::Register, Verb::Fire, Verb::Barrier, Verb::Panic]));
}

#[test]
fn a_set_of_verbs_is_a_set() {
    let (fire, post) = (VerbSet::of(&[Verb::Fire]), VerbSet::of(&[Verb::Post, Verb::Post]));
    let both = VerbSet::of(&[Verb::Post, Verb::Fire]);
    assert_eq!(fire.union(post), both);
    assert_eq!(both.union(post), both);
    assert_eq!(both.minus(fire), post);
    assert_eq!(fire.minus(post), fire);
    assert_eq!(fire.minus(both), VerbSet::EMPTY);
    assert!(VerbSet::EMPTY.is_empty() && VerbSet::of(&[]).is_empty() && VerbSet::default().is_empty());
    assert!(!fire.is_empty() && !both.is_empty());
    assert!(both.contains(Verb::Fire) && both.contains(Verb::Post) && !both.contains(Verb::Send));
    let mut grown = VerbSet::EMPTY;
    for verb in [Verb::Post, Verb::Fire, Verb::Post] {
        grown.insert(verb);
    }
    assert_eq!(grown, both);
    assert_eq!([Verb::Post, Verb::Fire, Verb::Post].into_iter().collect::<VerbSet>(), both);
    assert_eq!(both.iter().collect::<Vec<_>>(), [Verb::Fire, Verb::Post], "in the order of `Verb::ALL`");
    assert_eq!(VerbSet::of(Verb::ALL).iter().collect::<Vec<_>>(), Verb::ALL);
    assert!(Verb::ALL.iter().all(|verb| VerbSet::of(&[*verb]).iter().eq([*verb])), "each verb has a place of its own");
    assert_eq!(format!("{both:?}"), r#"{"fire", "post"}"#);
}

#[test]
fn a_step_is_found_where_it_stands() {
    let program = parsed(
        "callback a\n  churn 1\ncallback b\n  churn 2\n  churn 3\nbefore\n  churn 4\nthread\n  churn 5\nthread\n  churn 6\n\
         after\n  churn 7\n",
    );
    let churns = |section| {
        let number = |step: &Step| if let Op::Churn(n) = step.op { n } else { panic!("{step:?}") };
        program.section(section).map(|steps| steps.iter().map(number).collect::<Vec<_>>())
    };
    let sections = [
        (Section::Body(A), Some(vec![1])),
        (Section::Body(B), Some(vec![2, 3])),
        (Section::Body(CallbackId(2)), None),
        (Section::Before, Some(vec![4])),
        (Section::Thread(0), Some(vec![5])),
        (Section::Thread(1), Some(vec![6])),
        (Section::Thread(2), None),
        (Section::After, Some(vec![7])),
    ];
    for (section, steps) in sections {
        assert_eq!(churns(section), steps, "{section:?}");
    }
    let step = |section, index| program.step(StepId { section, index }).map(|step| step.op.clone());
    assert_eq!(step(Section::Body(B), 1), Some(Op::Churn(3)));
    assert_eq!(step(Section::Body(B), 2), None);
    assert_eq!(step(Section::Thread(2), 0), None);
    let all: Vec<_> = program.steps().map(|step| step.op.clone()).collect();
    assert_eq!(all, (1..=7).map(Op::Churn).collect::<Vec<_>>(), "bodies, `before`, threads, `after`");
}

#[test]
fn what_an_identifier_does_not_name_is_a_question_mark() {
    let program = parsed("callback a\n  open g\ncallback b\n");
    assert_eq!([A, B, CallbackId(2)].map(|id| program.callback_name(id)), ["a", "b", "?"]);
    assert_eq!([G, GateId(1)].map(|id| program.gate_name(id)), ["g", "?"]);
}

#[test]
fn an_op_names_callbacks_and_gates_and_registers_what_the_library_is_given_for_the_first_time() {
    let (both, none) = (vec![A, B], Vec::new());
    let args = Some(Args { a: 1, b: 2 });
    let ops = [
        (Op::Register(both.clone()), both.clone(), both.clone()),
        (Op::Invoke(B, args), vec![B], vec![B]),
        (Op::Enumerate(B, 3), vec![B], vec![B]),
        (Op::Fire(B, args), vec![B], none.clone()),
        (Op::Send(B, None), vec![B], none.clone()),
        (Op::Post(B, None), vec![B], none.clone()),
        (Op::Revoke(B), vec![B], none.clone()),
        (Op::RevokeAndWait(B), vec![B], none.clone()),
        (Op::Release(B), vec![B], none.clone()),
        (Op::Unsubscribe(B), vec![B], none.clone()),
        (Op::Forget(B), vec![B], none.clone()),
        (Op::Replace(A, B), both, vec![B]),
        (Op::Churn(1), none.clone(), none.clone()),
        (Op::Barrier, none.clone(), none.clone()),
        (Op::Shutdown, none.clone(), none.clone()),
        (Op::Panic, none.clone(), none.clone()),
        (Op::Return(1), none.clone(), none.clone()),
    ];
    for (op, names, registers) in ops {
        assert_eq!((op.callbacks(), op.registers(), op.gate()), (names, registers, None), "{op:?}");
    }
    for op in [Op::Hold(G), Op::Open(G), Op::Reach(G), Op::Stall(Site::Popped, G)] {
        assert_eq!((op.gate(), op.callbacks(), op.registers()), (Some(G), none.clone(), none.clone()), "{op:?}");
    }
}

#[test]
fn the_tidy_form_has_no_unused_declarations_and_names_in_order() {
    let program = parsed(
        "callback unused\n  fire other\n  hold shut\ncallback first\n  fire deep\ncallback deep\n  hold door\n\
         callback other\ncallback last\nbefore\n  open window\n  register last\nthread\n  fire first\n  fire last\n\
         after\n  open door\n",
    );
    let tidied = tidy(&program);
    assert_eq!(
        tidied.to_string(),
        "callback a\n  fire b\ncallback b\n  hold g\ncallback c\nbefore\n  open h\n  register c\nthread\n  fire a\n  \
         fire c\nafter\n  open g\n"
    );
    assert_eq!(tidy(&tidied), tidied);
    assert_eq!(tidy(&Program::default()), Program::default());
}

/// A callback that only unused callbacks name is unused, and one that names itself is not used by that.
#[test]
fn a_callback_is_used_if_a_section_leads_to_it() {
    let unused = "callback a\n  fire b\ncallback b\n  fire a\ncallback c\n  fire c\n";
    assert_eq!(tidy(&parsed(unused)).callbacks, []);
    assert_eq!(tidy(&parsed(&format!("{unused}after\n  fire b\n"))).callbacks.len(), 2);
}

#[test]
fn names_of_the_tidy_form_go_through_the_alphabet_and_then_are_numbered() {
    let callbacks: String = (0..54).map(|i| format!("callback x{i}\n")).collect();
    let fires: String = (0..54).map(|i| format!("  fire x{i}\n")).collect();
    let opens: String = (0..22).map(|i| format!("  open x{i}\n")).collect();
    let program = tidy(&parsed(&format!("{callbacks}before\n{fires}{opens}")));
    let names: Vec<&str> = program.callbacks.iter().map(|callback| callback.name.as_str()).collect();
    assert_eq!(
        [names[0], names[1], names[25], names[26], names[51], names[52], names[53]],
        ["a", "b", "z", "a1", "z1", "a2", "b2"]
    );
    assert_eq!([&program.gates[0], &program.gates[19], &program.gates[20], &program.gates[21]], ["g", "z", "g1", "h1"]);
}

#[test]
fn gates_are_numbered_as_they_appear_and_keep_their_names() {
    let mut program = parsed("before\n  open x\n  open y\n  open z\n");
    program.before.swap(0, 2);
    program.before.remove(1);
    number_gates(&mut program);
    assert_eq!(program, parsed("before\n  open z\n  open x\n"));
}

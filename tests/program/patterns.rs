//! What records put into sections, and the patterns that hold a thread half way.

use std::collections::{BTreeMap, BTreeSet};

use super::decoded::*;
use latecall::program::generate::{Domain, Record, decode};
use latecall::program::{Op, Program, Returns, Section, Site, Verb};

const THREE_THREADS: Record = [13, 0, 0, 0];
const ONE_THREAD: Record = [19, 0, 0, 0];
const T3: u8 = 32 + 7;

/// With the ops that patterns are made of.
fn patterns(verbs: &[Verb]) -> Domain {
    domain(&[&[Verb::Hold, Verb::Stall, Verb::Reach, Verb::Open][..], verbs].concat())
}

fn thread(program: &Program, i: u8) -> Vec<String> {
    lines(program, Section::Thread(i))
}

fn holds(program: &Program) -> usize {
    program.steps().filter(|step| matches!(step.op, Op::Hold(_))).count()
}

#[test]
fn callbacks_of_both_kinds_come_up() {
    let fire = (Verb::Fire, BEFORE, 0, 0);
    let returns = |shape| decoded([0, 0, shape, 0], &[fire], &with(&[])).callbacks[0].returns;
    assert_eq!(returns(0), Returns::Sum, "the plainest");
    assert!((0..=255).any(|shape| returns(shape) == Returns::Counting));
}

#[test]
fn a_record_names_its_thread() {
    let on = |section| {
        let program = decoded(THREE_THREADS, &[(Verb::Fire, section, 0, 0), (Verb::Revoke, AFTER, 0, 0)], &with(&[]));
        // Threads without steps are left out, so the thread is found by what is on it.
        assert_eq!(thread(&program, 0), ["fire a"]);
        let all = [(Verb::Forget, T1), (Verb::Release, T2), (Verb::Unsubscribe, T3), (Verb::Fire, section)];
        let records = all.map(|(verb, section)| (verb, section, 0, 0));
        let program = decoded(THREE_THREADS, &records, &with(&[Verb::Forget, Verb::Release, Verb::Unsubscribe]));
        (0..3).find(|i| thread(&program, *i).contains(&"fire a".to_owned())).expect("a thread")
    };
    for (section, expected) in [(T1, 0), (T2, 1), (T3, 2), (T1 + 48, 0), (T2 + 48, 1), (T1 + 1, 0), (T3 + 8, 2)] {
        assert_eq!(on(section), expected, "{section}");
    }
}

#[test]
fn the_first_call_or_revocation_of_a_callback_registers_it_and_scopes_are_sections_own() {
    let domain = with(&[Verb::Replace, Verb::Invoke, Verb::Enumerate]);
    let before = |records: &[_]| lines(&decoded(callbacks(ALONE, 2), records, &domain), Section::Before);
    assert_eq!(before(&[(Verb::Fire, BEFORE, 0, 0)]), ["register a", "fire a"]);
    assert_eq!(before(&[(Verb::Revoke, BEFORE, 0, 0)]), ["register a", "revoke a"]);
    assert_eq!(before(&[(Verb::Replace, BEFORE, 0, 0)]), ["register a", "replace a b"]);
    assert_eq!(before(&[(Verb::Invoke, BEFORE, 0, 0)]), ["invoke a"]);
    assert_eq!(before(&[(Verb::Register, BEFORE, 0, 0)]), ["register a"]);
    let items = each_detail(ALONE, &[], (Verb::Enumerate, BEFORE, 0), &domain, |program| {
        lines(program, Section::Before).concat()
    });
    assert!(items.into_keys().eq((1..=5).map(|n| format!("enumerate a {n}"))));
    let tables = each_detail(callbacks(ALONE, 2), &[], (Verb::Register, BEFORE, 0), &domain, |program| {
        lines(program, Section::Before).concat()
    });
    assert_eq!(tables, BTreeMap::from([("register a".to_owned(), 192), ("register a b".to_owned(), 64)]));
}

#[test]
fn a_quarter_of_the_firings_has_no_arguments_and_no_two_of_the_rest_have_the_same() {
    let args = |program: &Program| match &program.before.last().expect("a firing").op {
        Op::Fire(_, args) => args.map(|args| (args.a, args.b)),
        op => panic!("{op:?}"),
    };
    let found = each_detail(ALONE, &[], (Verb::Fire, BEFORE, 0), &with(&[]), args);
    assert_eq!((found[&None], found.len()), (64, 193));
    assert_eq!(args(&decoded(ALONE, &[(Verb::Fire, BEFORE, 0, 0)], &with(&[]))), None, "the plainest");
}

/// The slot of a revoked callback is given to a callback that no record could name. Large targets name the newest one.
#[test]
fn a_callback_that_reuses_a_slot_can_be_named_too() {
    let fired = |header, records: &[(Verb, u8, u8, u8)], target| {
        let all: Vec<_> = records.iter().copied().chain([(Verb::Fire, AFTER, target, 0)]).collect();
        lines(&decoded(header, &all, &with(&[])), Section::After).concat()
    };
    let reuse = (Verb::Revoke, BEFORE, 0, 1);
    assert_eq!(
        [0, 100, 191, 192, 255].map(|target| fired(ALONE, &[reuse], target)),
        ["fire a", "fire a", "fire a", "fire b", "fire b"]
    );
    let two = callbacks(ALONE, 2);
    let both = [(Verb::Fire, BEFORE, 0, 0), (Verb::Fire, BEFORE, 1, 0)];
    assert_eq!([0, 1, 200, 255].map(|target| fired(two, &both, target)), ["fire a", "fire b", "fire a", "fire b"]);
}

#[test]
fn what_there_is_no_room_or_no_callback_for_is_left_out() {
    let mut one_step = with(&[]);
    one_step.max_steps = 1;
    for what in 0..=255 {
        let program = decode(&[ALONE, [what, BEFORE, 0, 0]], &one_step);
        assert!(matches!(lines(&program, Section::Before).concat().as_str(), "" | "register a"), "{program}");
    }
    let mut one_callback = with(&[Verb::Replace]);
    let two = one_callback.clone();
    one_callback.max_callbacks = 1;
    let replace = |domain: &Domain, choose: &Domain| {
        let what = (0..=255).find(|what| holds_replace(&decode(&[ALONE, [*what, BEFORE, 0, 0]], choose)));
        decode(&[ALONE, [what.expect("a choice"), BEFORE, 0, 0]], domain).to_string()
    };
    assert_eq!(replace(&one_callback, &two), "", "not even a registration");
    let mut exactly_two = two.clone();
    exactly_two.max_callbacks = 2;
    assert!(replace(&exactly_two, &two).ends_with("replace a b\n"));
}

fn holds_replace(program: &Program) -> bool {
    program.steps().any(|step| matches!(step.op, Op::Replace(..)))
}

/// An op on a callback that a thread registers comes after the registration, or races it on purpose.
#[test]
fn an_op_follows_the_registration_of_its_callback_unless_it_races_it() {
    let on = |registered, wanted, verb, how| {
        // `b` keeps the other threads.
        let keep = [T1, T2, T3].map(|section| (Verb::Fire, section, 1, 0));
        let records: Vec<_> =
            [(Verb::Register, registered, 0, 0)].into_iter().chain(keep).chain([(verb, wanted, 0, how)]).collect();
        let program = decoded(callbacks(THREE_THREADS, 2), &records, &with(&[Verb::Forget]));
        let line = |section| lines(&program, section).iter().any(|line| line.starts_with(&format!("{verb} a")));
        let sections = [Section::Before, Section::Thread(0), Section::Thread(1), Section::Thread(2), Section::After];
        sections.into_iter().find(|section| line(*section)).expect("the op")
    };
    for verb in [Verb::Fire, Verb::Forget] {
        assert_eq!(on(BEFORE, BEFORE, verb, 0), Section::Before);
        assert_eq!(on(BEFORE, T2, verb, 0), Section::Thread(1));
        assert_eq!(on(T1, T1, verb, 0), Section::Thread(0));
        assert_eq!(on(T1, T2, verb, 0), Section::Thread(0), "{verb}: where it is registered");
        assert_eq!(on(T1, T2, verb, 224), Section::Thread(1), "{verb}: a race against the registration");
        assert_eq!(on(T1, BEFORE, verb, 0), Section::After);
        assert_eq!(on(T1, AFTER, verb, 0), Section::After);
        assert_eq!(on(AFTER, T1, verb, 0), Section::After);
        assert_eq!(on(AFTER, BEFORE, verb, 0), Section::After);
    }
}

#[test]
fn a_revocation_may_bring_a_call_to_race_against_a_new_tenant_and_a_late_call() {
    let revoked = |header, section, how| {
        let program = decoded(header, &[(Verb::Revoke, section, 0, how)], &with(&[]));
        program.to_string().split_once("before\n  register a\n").expect("registered").1.to_owned()
    };
    assert_eq!(revoked(TWO_THREADS, T1, 0), "thread\n  revoke a\n");
    assert_eq!(revoked(TWO_THREADS, T1, 4), "thread\n  revoke a\nthread\n  fire a\n");
    assert_eq!(revoked(TWO_THREADS, T2, 4), "thread\n  fire a\nthread\n  revoke a\n");
    assert_eq!(revoked(TWO_THREADS, T1, 1), "thread\n  revoke a\n  register b\n");
    assert_eq!(revoked(TWO_THREADS, T1, 2), "thread\n  revoke a\nafter\n  fire a\n");
    assert_eq!(revoked(ONE_THREAD, T1, 4), "thread\n  revoke a\n", "there is no thread to race against");
    // The thread that calls is the next one, and never the one that revokes.
    for (section, revokes) in [(T1, 0), (T2, 1), (T3, 2)] {
        let keep = [T1, T2, T3].map(|section| (Verb::Fire, section, 1, 0));
        let records: Vec<_> = keep.into_iter().chain([(Verb::Revoke, section, 0, 4)]).collect();
        let program = decoded(callbacks(THREE_THREADS, 2), &records, &with(&[]));
        let on = |line: &str| (0..3).filter(|i| thread(&program, *i).contains(&line.to_owned())).collect::<Vec<_>>();
        assert_eq!((on("revoke a"), on("fire a")), (vec![revokes], vec![(revokes + 1) % 3]), "{program}");
    }
}

const HOLD: (Verb, u8, u8) = (Verb::Hold, T1, 0);

#[test]
fn a_held_call_is_complete_one_thread_is_held_and_another_revokes_and_opens() {
    let domain = patterns(&BASIC);
    let program = decoded(TWO_THREADS, &[(Verb::Hold, T1, 0, 0)], &domain);
    assert_eq!(
        program.to_string(),
        "callback a\n  nth 1 hold g\nbefore\n  register a\nthread\n  reach g\n  revoke a\n  open g\nthread\n  fire a\n"
    );
    let waits =
        decoded(TWO_THREADS, &[(Verb::Hold, T1, 0, 0)], &patterns(&[Verb::Register, Verb::Fire, Verb::Release]));
    assert_eq!(thread(&waits, 0), ["reach g", "open g", "release a"], "what waits comes after the opening");
}

#[test]
fn every_pair_of_threads_and_every_way_to_revoke_comes_up_in_a_pattern() {
    let revoking = [Verb::Revoke, Verb::RevokeAndWait, Verb::Release, Verb::Unsubscribe, Verb::Forget];
    let domain = patterns(&[&[Verb::Register, Verb::Fire][..], &revoking].concat());
    for (section, free) in [(T1, 0), (T2, 1), (T3, 2)] {
        let keep = [T1, T2, T3].map(|section| (Verb::Fire, section, 1, 0));
        let on = |program: &Program, verb: Verb| {
            let has =
                |i: &u8| program.threads[*i as usize].iter().any(|it| it.op.verb() == verb && it.op.callbacks() != [A]);
            (0..3).find(has)
        };
        // `b` is held; the firings of `a` keep the threads.
        let keep = keep.map(|(verb, section, _, how)| (verb, section, 0, how));
        let found = each_detail(callbacks(THREE_THREADS, 2), &keep, (Verb::Hold, section, 1), &domain, |program| {
            (on(program, Verb::Reach), on(program, Verb::Fire))
        });
        let others = (0..3).filter(|held| *held != free).map(|held| ((Some(free), Some(held)), 128));
        assert_eq!(found, others.collect());
    }
    let found = each_detail(TWO_THREADS, &[], HOLD, &domain, |program| {
        program.threads[0].iter().map(|step| step.op.verb()).find(|verb| revoking.contains(verb)).expect("a revocation")
    });
    assert_eq!(found.keys().copied().collect::<BTreeSet<_>>(), revoking.into());
    assert!(found.values().all(|count| *count > 40), "{found:?}");
}

#[test]
fn a_held_call_is_made_with_what_the_domain_has() {
    let held = |verbs: &[Verb]| thread(&decoded(TWO_THREADS, &[(Verb::Hold, T1, 0, 0)], &patterns(verbs)), 1).concat();
    assert_eq!(held(&[Verb::Register, Verb::Fire, Verb::Send, Verb::Post]), "fire a");
    assert_eq!(held(&[Verb::Register, Verb::Send, Verb::Post]), "send a");
    assert_eq!(held(&[Verb::Register, Verb::Post]), "post a");
    assert_eq!(held(&[Verb::Invoke, Verb::Enumerate]), "invoke a");
    assert_eq!(held(&[Verb::Enumerate]), "enumerate a 2");
}

#[test]
fn only_the_first_call_of_a_callback_is_held_and_only_if_a_thread_can_open_the_gate() {
    let domain = patterns(&[&BASIC[..], &[Verb::Invoke]].concat());
    let hold = (Verb::Hold, T1, 0, 0);
    let held = |header, before: &[_]| {
        let records: Vec<_> = before.iter().copied().chain([hold]).collect();
        holds(&decoded(header, &records, &domain))
    };
    assert_eq!(held(TWO_THREADS, &[]), 1);
    assert_eq!(held(TWO_THREADS, &[(Verb::Register, BEFORE, 0, 0)]), 1);
    assert_eq!(held(TWO_THREADS, &[(Verb::Fire, T1, 0, 0)]), 1);
    assert_eq!(held(TWO_THREADS, &[(Verb::Fire, BEFORE, 0, 0)]), 0, "`before` has called it");
    assert_eq!(held(TWO_THREADS, &[(Verb::Invoke, BEFORE, 0, 0)]), 0, "`before` has called it in a scope");
    assert_eq!(held(TWO_THREADS, &[(Verb::Register, T1, 0, 0)]), 0, "a thread registers it");
    assert_eq!(held(TWO_THREADS, &[hold]), 1, "it is held already");
    assert_eq!((held(ALONE, &[]), held(ONE_THREAD, &[])), (0, 0));
    // What `before` would do with it later goes to `after`; threads do as they are told.
    let later = [hold, (Verb::Fire, BEFORE, 0, 0), (Verb::Fire, T2, 0, 5)];
    let program = decoded(TWO_THREADS, &later, &domain);
    assert_eq!(lines(&program, Section::Before), ["register a"]);
    assert_eq!(lines(&program, Section::After), ["fire a"]);
    assert_eq!(thread(&program, 1), ["fire a", "fire a 1 1"]);
    // A scope that stands in for a registration is a call.
    let scoped = patterns(&[Verb::Invoke, Verb::Fire, Verb::Revoke]);
    let program = decoded(TWO_THREADS, &[(Verb::Revoke, T1, 0, 0), hold], &scoped);
    assert_eq!((lines(&program, Section::Before), holds(&program)), (vec!["invoke a".to_owned()], 0));
}

#[test]
fn patterns_need_all_of_their_ops_and_a_program_has_at_most_four() {
    let mut all = patterns(&BASIC);
    all.sites = vec![Site::BeforeCall];
    let stalls = |domain: &Domain, n: usize| {
        let what = (0..=255).find(|what| decode(&[TWO_THREADS, [*what, T1, 0, 0]], &all).verbs().contains(Verb::Stall));
        let mut raw = vec![TWO_THREADS];
        raw.extend(vec![[what.expect("a choice"), T1, 0, 0]; n]);
        decode(&raw, domain).gates.len()
    };
    assert_eq!([1, 4, 6].map(|n| stalls(&all, n)), [1, 4, 4]);
    for missing in [Verb::Reach, Verb::Open] {
        let mut domain = all.clone();
        domain.verbs = all.verbs.minus([missing].into_iter().collect());
        for what in 0..=255 {
            let program = decode(&[TWO_THREADS, [what, T1, 0, 0]], &domain);
            assert_eq!(program.gates.len(), 0, "without `{missing}`:\n{program}");
        }
    }
}

#[test]
fn every_site_is_stalled_as_often_by_an_op_that_passes_it() {
    let mut domain = patterns(&[&BASIC[..], &[Verb::Post]].concat());
    domain.sites = vec![Site::BeforeCall, Site::Popped, Site::Revoked];
    let found = each_detail(TWO_THREADS, &[], (Verb::Stall, T1, 0), &domain, |program| thread(program, 1).join(", "));
    let expected = ["stall before_call g, fire a", "stall popped g, post a", "stall revoked g, revoke a"];
    assert_eq!(found.keys().cloned().collect::<BTreeSet<_>>(), expected.map(str::to_owned).into());
    assert!(found.values().all(|count| *count >= 85), "{found:?}");
    domain.sites = vec![Site::WorkerExit];
    let program = decoded(TWO_THREADS, &[(Verb::Stall, T1, 0, 0)], &domain);
    assert_eq!(thread(&program, 0), ["open g"], "a library thread passes it when the session opens or closes");
    assert_eq!(thread(&program, 1), ["stall worker_exit g", "post a"]);
}

//! What each byte of a raw program chooses: a zero is the plainest choice, all choices that the docs name come up, and
//! what may not stand in a body is replaced or left out.

use std::collections::{BTreeMap, BTreeSet};

use latecall::program::generate::{Domain, Record, decode};
use latecall::program::{Callback, CallbackId, Hostile, Op, Program, Section, Verb, VerbSet};

/// Where a record puts its op.
pub(super) const BEFORE: u8 = 0;
pub(super) const AFTER: u8 = 2;
pub(super) const BODY: u8 = 4;
pub(super) const T1: u8 = 7;
pub(super) const T2: u8 = 16 + 7;

/// Headers: the number of threads, the number of callbacks.
pub(super) const ALONE: Record = [0, 0, 0, 0];
pub(super) const TWO_THREADS: Record = [1, 0, 0, 0];
pub(super) const fn callbacks(header: Record, n: u8) -> Record {
    [header[0], [0, 0, 2, 5, 6][n as usize], header[2], header[3]]
}

/// Only these verbs, no switches and no sites, and room for all that a test asks for.
pub(super) fn domain(verbs: &[Verb]) -> Domain {
    let mut domain = Domain::everything();
    domain.verbs = VerbSet::of(verbs);
    (domain.hostile, domain.sites, domain.max_steps) = (Vec::new(), Vec::new(), 40);
    domain
}

/// The first byte of a record that chooses `verb`, for a section or for a body.
fn choosing(verb: Verb, section: u8, domain: &Domain) -> u8 {
    let body = (BODY..T1).contains(&(section % 16));
    let chosen = |what: &u8| {
        // Two callbacks and two threads: every verb finds what it needs. The last record uses the callback.
        let raw = [callbacks(TWO_THREADS, 2), [*what, if body { BODY } else { AFTER }, 0, 1], [0, BEFORE, 0, 0]];
        let program = decode(&raw, domain);
        let attribute =
            |it: &Callback| it.exclusive && verb == Verb::Exclusive || it.confined && verb == Verb::Confined;
        let steps = if body {
            program.callbacks.first().map_or(Vec::new(), |it| it.body.clone())
        } else {
            program.threads.iter().flatten().chain(&program.after).cloned().collect()
        };
        let in_pattern = matches!(verb, Verb::Hold | Verb::Stall) && program.verbs().contains(verb);
        in_pattern
            || program.callbacks.iter().any(attribute)
            || steps.first().is_some_and(|step| step.op.verb() == verb)
    };
    (0..=255).find(chosen).unwrap_or_else(|| panic!("nothing chooses `{verb}`"))
}

/// Decodes records that name their verb.
pub(super) fn decoded(header: Record, records: &[(Verb, u8, u8, u8)], domain: &Domain) -> Program {
    let record =
        |&(verb, section, target, how): &(Verb, u8, u8, u8)| [choosing(verb, section, domain), section, target, how];
    let raw: Vec<Record> = std::iter::once(header).chain(records.iter().map(record)).collect();
    decode(&raw, domain)
}

/// The lines of a section.
pub(super) fn lines(program: &Program, section: Section) -> Vec<String> {
    let steps = program.section(section).unwrap_or_default();
    steps.iter().map(|step| program.step_text(step)).collect()
}

/// What the last of these records decodes to for each of its details, and for how many of the 256 each comes up.
pub(super) fn each_detail<T: Ord>(
    header: Record,
    before: &[(Verb, u8, u8, u8)],
    (verb, section, target): (Verb, u8, u8),
    domain: &Domain,
    of: impl Fn(&Program) -> T,
) -> BTreeMap<T, usize> {
    let mut counts = BTreeMap::new();
    for how in 0..=255 {
        let records: Vec<_> = before.iter().copied().chain([(verb, section, target, how)]).collect();
        *counts.entry(of(&decoded(header, &records, domain))).or_default() += 1;
    }
    counts
}

/// The last line of the body of callback `a`; empty if it has none.
pub(super) fn last_of_a(program: &Program) -> String {
    lines(program, Section::Body(A)).pop().unwrap_or_default()
}

pub(super) const A: CallbackId = CallbackId(0);
pub(super) const BASIC: [Verb; 3] = [Verb::Register, Verb::Fire, Verb::Revoke];

pub(super) fn with(verbs: &[Verb]) -> Domain {
    domain(&[&BASIC[..], verbs].concat())
}

fn strings(all: &[&str]) -> BTreeSet<String> {
    all.iter().map(|it| (*it).to_owned()).collect()
}

#[test]
fn a_body_churns_up_to_eight_callbacks_in_one_of_its_first_three_calls() {
    let found = each_detail(ALONE, &[], (Verb::Churn, BODY, 0), &with(&[Verb::Churn]), last_of_a);
    let expected = (1..=3).flat_map(|nth| (1..=8).map(move |n| format!("nth {nth} churn {n}")));
    assert!(found.into_keys().eq(expected));
    let section = each_detail(ALONE, &[], (Verb::Churn, BEFORE, 0), &with(&[Verb::Churn]), |program| {
        program.before.last().map(|step| step.op.clone()).map_or(0, |op| if let Op::Churn(n) = op { n } else { 0 })
    });
    assert!(section.into_keys().eq(1..=16), "and a section up to sixteen");
}

/// What may run in every call does so for half of the details, the zero among them, and else in one of three.
#[test]
fn a_step_of_a_body_runs_in_every_call_or_in_one_of_the_first_three() {
    for (verb, text) in [(Verb::Panic, "panic"), (Verb::Revoke, "revoke a"), (Verb::Forget, "forget a")] {
        let found = each_detail(ALONE, &[], (verb, BODY, 0), &with(&[verb]), last_of_a);
        let nth = |n| format!("nth {n} {text}");
        assert_eq!(found.keys().cloned().collect::<BTreeSet<_>>(), [nth(1), nth(2), nth(3), text.to_owned()].into());
        assert_eq!(found[text], 128, "{text}");
        assert_eq!(last_of_a(&decoded(ALONE, &[(verb, BODY, 0, 0)], &with(&[verb]))), text);
    }
}

#[test]
fn a_body_returns_zero_for_half_of_the_details_and_another_value_for_the_rest() {
    let domain = with(&[Verb::Return]);
    let value = |program: &Program| {
        let step = &program.callbacks[0].body[0];
        let Op::Return(value) = step.op else { panic!("{step:?}") };
        (value == 0, step.nth)
    };
    let found = each_detail(ALONE, &[], (Verb::Return, BODY, 0), &domain, value);
    let count = |zero| found.iter().filter(|((is_zero, _), _)| *is_zero == zero).map(|(_, n)| n).sum::<usize>();
    assert_eq!((count(true), count(false)), (128, 128));
    assert_eq!(found.len(), 8, "either, in every call or in one of three: {found:?}");
    assert_eq!(last_of_a(&decoded(ALONE, &[(Verb::Return, BODY, 0, 0)], &domain)), "return 0");
}

/// `b` fires `a`. What the body of `a` revokes: `a` itself for half of the details, then `b`, then any other callback.
#[test]
fn a_body_revokes_its_own_callback_the_one_that_calls_it_or_any_other() {
    let domain = with(&[Verb::Forget]);
    let calls = (Verb::Fire, BODY, 1, 72);
    let others = [(Verb::Fire, BEFORE, 2, 0), (Verb::Fire, BEFORE, 3, 0)];
    let target = |program: &Program| {
        let body = &program.callbacks[0].body;
        program.callback_name(body.last().expect("a step").op.callbacks()[0]).to_owned()
    };
    let before = [calls, others[0], others[1]];
    let found = each_detail(callbacks(ALONE, 4), &before, (Verb::Revoke, BODY, 0), &domain, target);
    // The body of `a` names no other callback, so `b`, which `before` registers, keeps its place.
    assert_eq!(found["a"], 128);
    assert_eq!(found.values().sum::<usize>(), 256);
    assert_eq!(found.keys().cloned().collect::<BTreeSet<_>>(), strings(&["a", "b", "c", "d"]));
    assert!(found["b"] > 64 && found["b"] < 128, "as the caller, and as one of the others: {found:?}");
    assert!(found["c"].abs_diff(found["d"]) <= 8, "{found:?}");
    // Without a caller that is another callback, `a` takes its part.
    let found = each_detail(callbacks(ALONE, 4), &others, (Verb::Revoke, BODY, 0), &domain, target);
    assert_eq!(found["a"], 192);
}

#[test]
fn a_body_fires_its_own_callback_or_any_other_in_one_call_only() {
    let line = |program: &Program| last_of_a(program);
    let before = [(Verb::Fire, BEFORE, 0, 0), (Verb::Fire, BEFORE, 1, 0), (Verb::Fire, BEFORE, 2, 0)];
    for verb in [Verb::Fire, Verb::Post] {
        let found = each_detail(callbacks(ALONE, 3), &before, (verb, BODY, 0), &with(&[Verb::Post]), line);
        let expected = (1..=3).flat_map(|nth| ["a", "b", "c"].map(|target| format!("nth {nth} {verb} {target}")));
        assert!(found.keys().cloned().eq(expected), "{found:?}");
        let own: usize = (1..=3).map(|nth| found[&format!("nth {nth} {verb} a")]).sum();
        assert_eq!(own, 64, "the zero is its own callback");
    }
    // The only callback there is calls itself.
    let alone = each_detail(ALONE, &[], (Verb::Fire, BODY, 0), &with(&[]), last_of_a);
    assert!(alone.into_keys().eq((1..=3).map(|nth| format!("nth {nth} fire a"))));
}

#[test]
fn a_program_has_at_most_three_body_steps_that_call() {
    let fires = |n| vec![(Verb::Fire, BODY, 0, 0); n];
    for n in 0..6 {
        let program = decoded(ALONE, &fires(n), &with(&[]));
        assert_eq!(program.callbacks.first().map_or(0, |a| a.body.len()), n.min(3));
    }
    let scopes = [(Verb::Invoke, BODY, 0, 0), (Verb::Enumerate, BODY, 0, 0), (Verb::Invoke, BODY, 0, 0)];
    let mut records = vec![(Verb::Fire, BODY, 0, 0)];
    records.extend(scopes);
    let program = decoded(callbacks(ALONE, 4), &records, &with(&[Verb::Invoke, Verb::Enumerate]));
    let scopes = lines(&program, Section::Body(A));
    assert_eq!(scopes, ["nth 1 fire a", "nth 1 invoke b", "nth 1 enumerate c 1"]);
}

#[test]
fn a_body_registers_replaces_and_scopes_callbacks_that_nothing_has_registered() {
    let domain = with(&[Verb::Replace, Verb::Invoke, Verb::Enumerate]);
    for (verb, text) in [(Verb::Register, "register b"), (Verb::Replace, "replace a b"), (Verb::Invoke, "invoke b")] {
        let found = each_detail(callbacks(ALONE, 2), &[], (verb, BODY, 0), &domain, last_of_a);
        assert!(found.into_keys().eq((1..=3).map(|nth| format!("nth {nth} {text}"))), "{verb}");
    }
    let found = each_detail(callbacks(ALONE, 2), &[], (Verb::Enumerate, BODY, 0), &domain, last_of_a);
    let expected = (1..=3).map(|nth| format!("nth {nth} enumerate b {nth}"));
    assert!(found.into_keys().eq(expected), "one to three items");
}

/// A wait in a body runs once, and only one wait of the program stands in a body, if frames may be on more than one
/// thread.
#[test]
pub(super) fn with_threads_one_body_waits_and_in_one_call() {
    let domain = with(&[Verb::RevokeAndWait, Verb::Release, Verb::Unsubscribe]);
    let fire = (Verb::Fire, T1, 0, 0);
    for (verb, text) in
        [(Verb::RevokeAndWait, "revoke_and_wait"), (Verb::Release, "release"), (Verb::Unsubscribe, "unsubscribe")]
    {
        let found = each_detail(TWO_THREADS, &[fire], (verb, BODY, 0), &domain, last_of_a);
        assert!(found.into_keys().eq((1..=3).map(|nth| format!("nth {nth} {text} a"))), "{text}");
        let first = (Verb::RevokeAndWait, BODY, 0, 0);
        let second = each_detail(TWO_THREADS, &[fire, first], (verb, BODY, 0), &domain, last_of_a);
        assert_eq!(second.keys().cloned().collect::<BTreeSet<_>>(), strings(&["revoke a"]), "a second one: {text}");
    }
}

#[test]
fn on_one_thread_bodies_may_wait_in_every_call_and_more_than_once() {
    let domain = with(&[Verb::RevokeAndWait, Verb::Post]);
    let wait = (Verb::RevokeAndWait, BODY, 0);
    let found = each_detail(ALONE, &[], wait, &domain, last_of_a);
    let all = strings(&[
        "revoke_and_wait a",
        "nth 1 revoke_and_wait a",
        "nth 2 revoke_and_wait a",
        "nth 3 revoke_and_wait a",
    ]);
    assert_eq!(found.keys().cloned().collect::<BTreeSet<_>>(), all);
    assert_eq!(found["revoke_and_wait a"], 128);
    let second = each_detail(ALONE, &[(Verb::RevokeAndWait, BODY, 0, 4)], wait, &domain, last_of_a);
    assert_eq!(second.keys().cloned().collect::<BTreeSet<_>>(), all);
    // A delivery that is queued runs on a thread of the library: then the rule for threads holds.
    let posted = each_detail(ALONE, &[(Verb::Post, BEFORE, 0, 0)], wait, &domain, last_of_a);
    assert!(!posted.contains_key("revoke_and_wait a"), "{posted:?}");
    // And once bodies may wait more often, nothing is queued: a section fires instead, and a body does nothing.
    for waits in [vec![(Verb::RevokeAndWait, BODY, 0, 0)], vec![(Verb::RevokeAndWait, BODY, 0, 4); 2]] {
        let mut records = waits.clone();
        records.extend([(Verb::Post, AFTER, 0, 0), (Verb::Post, BODY, 0, 0)]);
        let program = decoded(ALONE, &records, &domain);
        assert_eq!(lines(&program, Section::After), ["fire a"]);
        assert_eq!(lines(&program, Section::Body(A)).len(), waits.len());
    }
    let once = [(Verb::RevokeAndWait, BODY, 0, 4), (Verb::Post, AFTER, 0, 0)];
    assert_eq!(lines(&decoded(ALONE, &once, &domain), Section::After), ["post a"]);
}

/// The body of each callback waits for: itself, its caller, and callbacks of a higher index whose body does not wait.
/// For any other callback it revokes only.
#[test]
fn a_body_waits_only_for_what_cannot_wait_for_it() {
    let domain = with(&[Verb::RevokeAndWait]);
    let header = callbacks(TWO_THREADS, 2);
    // Both are registered, in order; details 24 to 31 name the other callback.
    let both = [(Verb::Fire, T1, 0, 0), (Verb::Fire, T2, 1, 0)];
    let body = |records: &[(Verb, u8, u8, u8)], of: u8| {
        let all: Vec<_> = both.iter().chain(records).copied().collect();
        lines(&decoded(header, &all, &domain), Section::Body(CallbackId(of))).pop().unwrap_or_default()
    };
    let other = 24;
    assert_eq!(body(&[(Verb::RevokeAndWait, BODY, 0, other)], 0), "nth 1 revoke_and_wait b", "a higher index");
    assert_eq!(body(&[(Verb::RevokeAndWait, BODY, 1, other)], 1), "revoke a", "a lower index");
    let a_fires_b = (Verb::Fire, BODY, 0, 8);
    assert_eq!(body(&[a_fires_b, (Verb::RevokeAndWait, BODY, 1, 16)], 1), "nth 2 revoke_and_wait a", "its caller");
    // `a` waits for `b`, so the body of `b` neither waits nor scopes.
    let a_waits_for_b = (Verb::RevokeAndWait, BODY, 0, other);
    assert_eq!(body(&[a_waits_for_b, (Verb::RevokeAndWait, BODY, 1, 0)], 1), "revoke b");
}

#[test]
fn an_exclusive_callback_neither_waits_nor_calls_another() {
    let domain = with(&[Verb::RevokeAndWait, Verb::Exclusive]);
    let header = callbacks(ALONE, 2);
    let exclusive = (Verb::Exclusive, BEFORE, 0, 0);
    let in_body = (Verb::Exclusive, BODY, 0, 0);
    let (waits, fires_b, fires_itself) =
        ((Verb::RevokeAndWait, BODY, 0, 0), (Verb::Fire, BODY, 0, 9), (Verb::Fire, BODY, 0, 0));
    let a = |records: &[(Verb, u8, u8, u8)]| {
        let program = decoded(header, records, &domain);
        (program.callbacks[0].exclusive, lines(&program, Section::Body(A)))
    };
    for exclusive in [exclusive, in_body] {
        let used = (Verb::Fire, BEFORE, 0, 0);
        assert_eq!(a(&[used, exclusive, waits]), (true, vec!["revoke a".to_owned()]));
        assert_eq!(a(&[used, exclusive, fires_b]), (true, vec![]));
        assert_eq!(a(&[used, exclusive, fires_itself]), (true, vec!["nth 1 fire a".to_owned()]));
        assert_eq!(a(&[used, waits, exclusive]), (false, vec!["revoke_and_wait a".to_owned()]));
        assert_eq!(a(&[used, fires_b, exclusive]), (false, vec!["nth 1 fire b".to_owned()]));
        assert_eq!(a(&[used, fires_itself, exclusive]), (true, vec!["nth 1 fire a".to_owned()]));
    }
}

#[test]
fn a_body_waits_for_its_caller_whichever_callback_that_is() {
    let domain = with(&[Verb::RevokeAndWait]);
    let others = [(Verb::Fire, BEFORE, 0, 0), (Verb::Fire, BEFORE, 1, 0)];
    let c_fires_a = (Verb::Fire, BODY, 2, 9);
    for (how, text) in [(16, "revoke_and_wait c"), (20, "nth 3 revoke_and_wait c")] {
        let records: Vec<_> = others.into_iter().chain([c_fires_a, (Verb::RevokeAndWait, BODY, 0, how)]).collect();
        let program = decoded(callbacks(ALONE, 3), &records, &domain);
        assert_eq!(lines(&program, Section::Body(CallbackId(2))), ["nth 1 fire a"]);
        assert_eq!(last_of_a(&program), text);
    }
}

/// Even on one thread: the wait of the one body could otherwise be for the wait of the other.
#[test]
fn a_body_that_another_body_waits_for_does_not_wait() {
    let domain = with(&[Verb::RevokeAndWait, Verb::Invoke]);
    let both = [(Verb::Fire, BEFORE, 0, 0), (Verb::Fire, BEFORE, 1, 0)];
    let body_of_b = |records: &[(Verb, u8, u8, u8)]| {
        let all: Vec<_> = both.iter().chain(records).copied().collect();
        lines(&decoded(callbacks(ALONE, 3), &all, &domain), Section::Body(CallbackId(1)))
    };
    let (a_waits_for_b, b_waits) = ((Verb::RevokeAndWait, BODY, 0, 24), (Verb::RevokeAndWait, BODY, 1, 0));
    assert_eq!(body_of_b(&[b_waits]), ["revoke_and_wait b"]);
    assert_eq!(body_of_b(&[a_waits_for_b, b_waits]), ["revoke b"]);
    assert_eq!(body_of_b(&[a_waits_for_b, (Verb::Invoke, BODY, 1, 0)]), [""; 0], "a scope waits at its end");
}

/// A scope in a body waits at its end, so the rules for waits count it as one.
#[test]
fn a_scope_in_a_body_is_a_wait() {
    let domain = with(&[Verb::RevokeAndWait, Verb::Invoke, Verb::Post]);
    let (wait, scope) = ((Verb::RevokeAndWait, BODY, 0, 4), (Verb::Invoke, BODY, 0, 0));
    let body = |header, records: &[_]| lines(&decoded(callbacks(header, 2), records, &domain), Section::Body(A));
    let on_a_thread = (Verb::Fire, T1, 0, 0);
    assert_eq!(body(TWO_THREADS, &[on_a_thread, wait, scope]), ["nth 2 revoke_and_wait a"]);
    assert_eq!(body(TWO_THREADS, &[on_a_thread, scope, wait]), ["nth 1 invoke b", "revoke a"]);
    assert_eq!(body(ALONE, &[wait, scope]), ["nth 2 revoke_and_wait a", "nth 1 invoke b"]);
    // Two waits are more than one: nothing is queued after them.
    let after = |records: &[_]| lines(&decoded(callbacks(ALONE, 2), records, &domain), Section::After);
    let post = (Verb::Post, AFTER, 0, 0);
    assert_eq!(after(&[scope, post]), ["post a"]);
    assert_eq!(after(&[wait, scope, post]), ["fire a"]);
}

/// A library that calls on other threads at the same time: a body either calls or waits.
#[test]
fn under_concurrent_calls_bodies_call_or_wait_and_not_both() {
    let mut domain = with(&[Verb::RevokeAndWait, Verb::Invoke]);
    domain.hostile = vec![Hostile::Concurrent];
    let switched_on = [ALONE[0], callbacks(ALONE, 2)[1], 0, 144];
    let (wait, fire) = ((Verb::RevokeAndWait, BODY, 0, 4), (Verb::Fire, BODY, 0, 9));
    let body = |records: &[_]| {
        let program = decoded(switched_on, records, &domain);
        assert_eq!(program.hostile, [Hostile::Concurrent]);
        lines(&program, Section::Body(A))
    };
    assert_eq!(body(&[wait]), ["nth 2 revoke_and_wait a"]);
    assert_eq!(body(&[fire]), ["nth 1 fire b"]);
    assert_eq!(body(&[wait, fire]), ["nth 2 revoke_and_wait a"]);
    assert_eq!(body(&[fire, wait]), ["nth 1 fire b", "revoke a"]);
    assert_eq!(body(&[fire, (Verb::Invoke, BODY, 0, 0)]), ["nth 1 fire b"], "and has no scope");
    let off = decoded(callbacks(ALONE, 2), &[wait, fire], &domain);
    assert_eq!(lines(&off, Section::Body(A)), ["nth 2 revoke_and_wait a", "nth 1 fire b"]);
}

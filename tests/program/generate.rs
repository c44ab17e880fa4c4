//! The decoder: all choices give a valid program that stays in its domain and that prints and parses back. All of the
//! domain is used. (That the programs end is tested in `ends`.)

use std::collections::BTreeSet;

use latecall::program::generate::{Domain, Record, decode, decode_bytes, strategy};
use latecall::program::{Hostile, Op, Program, Site, Step, Verb, VerbSet, validate};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, TestCaseError, TestError, TestRunner};

/// Makes the same programs in every run, and writes no file of failures.
fn runner(cases: u32) -> TestRunner {
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    TestRunner::new_with_rng(config, proptest::test_runner::TestRng::deterministic_rng(Default::default()))
}

fn sample(domain: &Domain, n: usize) -> Vec<Program> {
    let (mut runner, strategy) = (runner(1), strategy(domain.clone()));
    (0..n).map(|_| strategy.new_tree(&mut runner).unwrap().current()).collect()
}

/// The whole domain, changed.
fn changed(change: impl FnOnce(&mut Domain)) -> Domain {
    let mut domain = Domain::everything();
    change(&mut domain);
    domain
}

/// A subject that retains, with everything but scopes.
fn retaining() -> Domain {
    let scoped = VerbSet::of(&[Verb::Invoke, Verb::Enumerate, Verb::Panic]);
    changed(|domain| {
        domain.verbs = VerbSet::of(Verb::ALL).minus(scoped);
        domain.max_threads = 4;
        domain.max_steps = 16;
    })
}

/// A subject for call-scoped use only.
fn scoped() -> Domain {
    let verbs = [Verb::Invoke, Verb::Enumerate, Verb::Return, Verb::Hold, Verb::Reach, Verb::Open];
    changed(|domain| {
        domain.verbs = VerbSet::of(&verbs);
        domain.hostile = vec![Hostile::Late];
        domain.sites = vec![];
    })
}

/// A small subject: one thread of its own, no gates.
fn small() -> Domain {
    let verbs = [Verb::Register, Verb::Fire, Verb::Revoke, Verb::RevokeAndWait];
    changed(|domain| {
        domain.verbs = VerbSet::of(&verbs);
        domain.hostile = vec![];
        domain.sites = vec![];
        (domain.max_threads, domain.max_callbacks, domain.max_steps) = (1, 2, 6);
    })
}

fn domains() -> [Domain; 4] {
    [Domain::everything(), retaining(), scoped(), small()]
}

#[test]
fn every_program_is_valid_within_its_domain_and_prints_back() {
    for domain in domains() {
        let property = runner(2000).run(&strategy(domain.clone()), |program| {
            validate(&program).map_err(|error| TestCaseError::fail(error.to_string()))?;
            let again = Program::parse(&program.to_string());
            proptest::prop_assert_eq!(again.as_ref(), Ok(&program));
            proptest::prop_assert!(program.verbs().minus(domain.verbs).is_empty(), "{}", program);
            proptest::prop_assert!(program.hostile.iter().all(|hostile| domain.hostile.contains(hostile)));
            proptest::prop_assert!(sites(&program).iter().all(|site| domain.sites.contains(site)));
            proptest::prop_assert!(program.threads.len() <= domain.max_threads);
            proptest::prop_assert!(program.callbacks.len() <= domain.max_callbacks);
            proptest::prop_assert!(program.len() <= domain.max_steps, "{} steps\n{}", program.len(), program);
            proptest::prop_assert!(program.steps().all(|step| step.expect.is_none()));
            Ok(())
        });
        property.unwrap_or_else(|failure| panic!("{failure}"));
    }
}

fn sites(program: &Program) -> BTreeSet<Site> {
    let site = |step: &Step| if let Op::Stall(site, _) = step.op { Some(site) } else { None };
    program.steps().filter_map(site).collect()
}

#[test]
fn all_of_a_domain_comes_up() {
    for domain in domains() {
        let programs = sample(&domain, 2000);
        let verbs: VerbSet = programs.iter().flat_map(|program| program.verbs().iter().collect::<Vec<_>>()).collect();
        assert_eq!(verbs, domain.verbs);
        let hostile: BTreeSet<Hostile> = programs.iter().flat_map(|program| program.hostile.clone()).collect();
        assert_eq!(hostile, domain.hostile.iter().copied().collect());
        let stalled: BTreeSet<Site> = programs.iter().flat_map(sites).collect();
        assert_eq!(stalled, domain.sites.iter().copied().collect());
        let threads: BTreeSet<usize> = programs.iter().map(|program| program.threads.len()).collect();
        assert_eq!(threads, (0..=domain.max_threads).collect());
        let callbacks: BTreeSet<usize> = programs.iter().map(|program| program.callbacks.len()).collect();
        assert_eq!(callbacks, (0..=domain.max_callbacks).collect());
    }
}

#[test]
fn programs_lean_towards_the_hazard() {
    let programs = sample(&retaining(), 4000);
    let share = |count: usize| count * 100 / programs.len();
    let alone = programs.iter().filter(|program| program.threads.is_empty()).count();
    assert!((30..=40).contains(&share(alone)), "{}% run on one thread", share(alone));
    let ends = |op: &Op| {
        let verbs = [Verb::Revoke, Verb::RevokeAndWait, Verb::Release, Verb::Unsubscribe, Verb::Replace];
        verbs.contains(&op.verb())
    };
    let calls = |op: &Op| [Verb::Fire, Verb::Send, Verb::Post].contains(&op.verb());
    // One thread calls what another revokes.
    let races = |program: &&Program| {
        let threads = || program.threads.iter().enumerate();
        let of = |thread: &Vec<Step>, wanted: &dyn Fn(&Op) -> bool| {
            let wanted =
                thread.iter().filter(|step| wanted(&step.op)).filter_map(|step| step.op.callbacks().first().copied());
            wanted.collect::<BTreeSet<_>>()
        };
        threads()
            .any(|(i, thread)| threads().any(|(j, other)| i != j && !of(thread, &calls).is_disjoint(&of(other, &ends))))
    };
    let races = programs.iter().filter(races).count();
    assert!(share(races) >= 25, "{}% race a call against a revocation", share(races));
    // A revoked callback is called, and by then its slot may have a new tenant.
    let late = |program: &&Program| {
        let mut dead = BTreeSet::new();
        let mut sections = program.before.iter().chain(program.threads.iter().flatten()).chain(&program.after);
        sections.any(|step| {
            let first = step.op.callbacks().first().copied();
            if ends(&step.op) {
                dead.extend(first);
            }
            calls(&step.op) && first.is_some_and(|first| dead.contains(&first))
        })
    };
    let late = programs.iter().filter(late).count();
    assert!(share(late) >= 40, "{}% call late", share(late));
}

#[test]
fn any_bytes_decode_to_a_valid_program() {
    let bytes = proptest::collection::vec(proptest::arbitrary::any::<u8>(), 0..400);
    let property = runner(2000).run(&bytes, |bytes| {
        for domain in domains() {
            let program = decode_bytes(&bytes, &domain);
            validate(&program).map_err(|error| TestCaseError::fail(error.to_string()))?;
            let whole: Vec<Record> = bytes.chunks_exact(4).map(|record| record.try_into().unwrap()).collect();
            if bytes.len() % 4 == 0 {
                proptest::prop_assert_eq!(&program, &decode(&whole, &domain));
            }
        }
        Ok(())
    });
    property.unwrap_or_else(|failure| panic!("{failure}"));
}

#[test]
fn extreme_choices_and_domains_decode() {
    let nothing = changed(|domain| {
        domain.verbs = VerbSet::EMPTY;
        domain.hostile = vec![];
        domain.sites = vec![];
    });
    let sized = |threads, callbacks, steps| {
        changed(|domain| (domain.max_threads, domain.max_callbacks, domain.max_steps) = (threads, callbacks, steps))
    };
    let (large, none) = (sized(100, 1000, 1_000_000), sized(0, 0, 0));
    let two = sized(Domain::everything().max_threads, 1, 2);
    for domain in [nothing, large, none, two, Domain::everything()] {
        for header in [[0; 4], [255; 4], [94, 7, 1, 0], [94, 255, 255, 255]] {
            for byte in 0..=255 {
                let raw: Vec<Record> = std::iter::once(header)
                    .chain((0..2000_u32).map(|i| [byte ^ i as u8, (i >> 3) as u8, byte.wrapping_mul(i as u8), i as u8]))
                    .take(if byte % 64 == 0 { 2001 } else { 40 })
                    .collect();
                let program = decode(&raw, &domain);
                assert_eq!(validate(&program), Ok(()), "{program}");
                assert!(program.len() <= domain.max_steps);
            }
        }
    }
    assert_eq!(decode(&[], &Domain::everything()), Program::default());
    assert_eq!(decode_bytes(&[], &Domain::everything()), Program::default());
    assert_eq!(decode(&[[94, 255, 255, 255]], &small()), Program::default());
}

#[test]
fn a_failing_property_shrinks_to_the_ops_it_is_about() {
    let harmless = |program: Program| {
        let mut ops = program.threads.iter().flatten().map(|step| &step.op);
        let released = ops.clone().any(|op| matches!(op, Op::Release(_)));
        let posted = ops.any(|op| matches!(op, Op::Post(..)));
        if released && posted { Err(TestCaseError::fail("found")) } else { Ok(()) }
    };
    let failure = runner(2000).run(&strategy(retaining()), harmless).unwrap_err();
    let TestError::Fail(_, program) = failure else { panic!("{failure}") };
    // The two ops, and the op that registers the callback.
    assert!(program.len() <= 3, "{program}");
}

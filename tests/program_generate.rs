//! The decoder: whatever the choices, a valid program that only uses what is offered, that prints and parses back, and
//! that ends; and all of what is offered comes up.

use std::collections::BTreeSet;

use latecall::program::generate::{Offer, Record, decode, decode_bytes, strategy};
use latecall::program::{Hostile, Op, Program, Site, Step, Verb, VerbSet, validate};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, TestCaseError, TestRunner};

/// The same programs in every run, and no file of failures in the tree.
fn runner(cases: u32) -> TestRunner {
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    TestRunner::new_with_rng(config, proptest::test_runner::TestRng::deterministic_rng(Default::default()))
}

fn sample(offer: &Offer, n: usize) -> Vec<Program> {
    let (mut runner, strategy) = (runner(1), strategy(offer.clone()));
    (0..n).map(|_| strategy.new_tree(&mut runner).unwrap().current()).collect()
}

/// A subject that retains, with everything but scopes.
fn retaining() -> Offer {
    let scoped = VerbSet::of(&[Verb::Invoke, Verb::Enumerate, Verb::Panic]);
    Offer { verbs: VerbSet::of(Verb::ALL).minus(scoped), max_threads: 4, max_steps: 16, ..Offer::everything() }
}

/// A subject for call-scoped use only.
fn scoped() -> Offer {
    let verbs = [Verb::Invoke, Verb::Enumerate, Verb::Return, Verb::Hold, Verb::Reach, Verb::Open];
    Offer { verbs: VerbSet::of(&verbs), hostile: vec![Hostile::Late], sites: vec![], ..Offer::everything() }
}

/// A small one: one thread of its own, no gates.
fn small() -> Offer {
    let verbs = [Verb::Register, Verb::Fire, Verb::Revoke, Verb::RevokeAndWait];
    Offer { verbs: VerbSet::of(&verbs), hostile: vec![], sites: vec![], max_threads: 1, max_callbacks: 2, max_steps: 6 }
}

fn offers() -> [Offer; 4] {
    [Offer::everything(), retaining(), scoped(), small()]
}

#[test]
fn every_program_is_valid_within_its_offer_and_prints_back() {
    for offer in offers() {
        let property = runner(2000).run(&strategy(offer.clone()), |program| {
            validate(&program).map_err(TestCaseError::fail)?;
            let again = Program::parse(&program.to_string());
            proptest::prop_assert_eq!(again.as_ref(), Ok(&program));
            proptest::prop_assert!(program.verbs().minus(offer.verbs).is_empty(), "{}", program);
            proptest::prop_assert!(program.hostile.iter().all(|hostile| offer.hostile.contains(hostile)));
            proptest::prop_assert!(sites(&program).iter().all(|site| offer.sites.contains(site)));
            proptest::prop_assert!(program.threads.len() <= offer.max_threads);
            proptest::prop_assert!(program.callbacks.len() <= offer.max_callbacks);
            proptest::prop_assert!(program.len() <= offer.max_steps, "{} steps\n{}", program.len(), program);
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
fn all_that_is_offered_comes_up() {
    for offer in offers() {
        let programs = sample(&offer, 2000);
        let verbs: VerbSet = programs.iter().flat_map(|program| program.verbs().iter().collect::<Vec<_>>()).collect();
        assert_eq!(verbs, offer.verbs);
        let hostile: BTreeSet<Hostile> = programs.iter().flat_map(|program| program.hostile.clone()).collect();
        assert_eq!(hostile, offer.hostile.iter().copied().collect());
        let stalled: BTreeSet<Site> = programs.iter().flat_map(sites).collect();
        assert_eq!(stalled, offer.sites.iter().copied().collect());
        let threads: BTreeSet<usize> = programs.iter().map(|program| program.threads.len()).collect();
        assert_eq!(threads, (0..=offer.max_threads).collect());
        let callbacks: BTreeSet<usize> = programs.iter().map(|program| program.callbacks.len()).collect();
        assert_eq!(callbacks, (0..=offer.max_callbacks).collect());
    }
}

#[test]
#[ignore = "prints programs to look at"]
fn show() {
    for offer in [Offer::everything(), scoped()] {
        for program in sample(&offer, 40) {
            println!("-----\n{program}");
        }
    }
}

//! What reports call threads, rules and verdicts.

use super::*;
use latecall::ledger::Verdict;

#[test]
fn threads_are_called_main_or_by_their_number_and_whose_they_are() {
    let names = [0, 1, 2, 99, 100, 101, 199, 255].map(|n| ThreadNo(n).name());
    assert_eq!(names, ["main", "t1", "t2", "t99", "lib1", "lib2", "lib100", "lib156"]);
    assert_eq!(ThreadNo::MAIN.name(), "main");
}

#[test]
fn a_rule_has_the_name_that_the_documentation_uses() {
    for (kind, name) in [(V::LateCall, "LateCall"), (V::ConcurrentFnMut, "ConcurrentFnMut"), (V::DataRace, "DataRace")]
    {
        assert_eq!(kind.name(), name);
        assert_eq!(kind.to_string(), name);
    }
    assert_eq!(Violation::new(V::Leak, "`a` was never freed").to_string(), "Leak: `a` was never freed");
}

#[test]
fn a_verdict_is_clean_if_no_rule_was_broken_and_has_the_rules_that_were() {
    let mut verdict = Verdict::default();
    assert!(verdict.is_clean());
    assert!(!verdict.has(V::Leak));
    verdict.violations = vec![Violation::new(V::LostCall, ""), Violation::new(V::Leak, "")];
    assert!(!verdict.is_clean());
    assert!(verdict.has(V::Leak) && verdict.has(V::LostCall));
    assert!(!verdict.has(V::DoubleDrop));
}

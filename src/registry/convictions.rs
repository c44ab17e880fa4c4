//! Each rule of the protocol taken away, in the models that `models.rs` searches: not convicting one is the failure (S98).

use super::*;

#[test]
fn freeing_while_running_is_convicted() {
    let model = || call_against_revoke(Registry::new().with_mutation(Mutation::FreeWhileRunning));
    convict("freeing_while_running", None, model, &["Causality violation"]);
}

#[test]
fn check_then_enter_is_convicted() {
    let model = || call_against_revoke(Registry::new().with_mutation(Mutation::CheckThenEnter));
    convict("check_then_enter", None, model, &["Causality violation", "a live slot has a closure"]);
}

#[test]
fn calling_without_a_fence_is_convicted() {
    let model = || call_against_revoke(Registry::new().with_mutation(Mutation::NoLightFence));
    convict("calling_without_a_fence", None, model, &["Causality violation", "Removed"]);
}

#[test]
fn counting_without_a_heavy_fence_is_convicted() {
    let model = || call_against_revoke(Registry::new().with_mutation(Mutation::NoHeavyFence));
    convict("counting_without_a_heavy_fence", None, model, &["Causality violation", "Removed"]);
}

#[test]
fn counting_without_a_full_fence_is_convicted() {
    let model = || call_against_wait(Registry::new().with_mutation(Mutation::NoFenceBeforeCount));
    convict("counting_without_a_full_fence", None, model, &["deadlock"]);
}

#[test]
fn taking_oneself_for_the_only_thread_is_convicted() {
    let model = || call_against_revoke(Registry::new().with_mutation(Mutation::AlwaysSole));
    convict("taking_oneself_for_the_only_thread", None, model, &["Causality violation", "Removed"]);
}

#[test]
fn leaving_without_a_second_look_is_convicted() {
    let model = || call_against_wait(Registry::new().with_mutation(Mutation::LeaveWithoutSecondLook));
    convict("leaving_without_a_second_look", None, model, &["deadlock"]);
}

/// The path that refuses a late call has to help, too.
#[test]
fn being_refused_without_asking_is_convicted() {
    let model = || call_against_wait(Registry::new().with_mutation(Mutation::RefuseWithoutAsking));
    convict("being_refused_without_asking", None, model, &["deadlock"]);
}

#[test]
fn reclaiming_without_a_heavy_fence_is_convicted() {
    let model = || call_against_deferred(Registry::new().with_mutation(Mutation::NoHeavyFence));
    convict("reclaiming_without_a_heavy_fence", None, model, &["Causality violation", "neither dropped", "assertion"]);
}

#[test]
fn leaving_without_publishing_is_convicted() {
    let model = || call_against_revoke(Registry::new().with_mutation(Mutation::LeaveRelaxed));
    convict("leaving_without_publishing", None, model, &["Causality violation"]);
}

#[test]
fn waking_before_the_closure_is_dropped_is_convicted() {
    let model = || call_against_wait(Registry::new().with_mutation(Mutation::WakeBeforeDrop));
    convict("waking_before_the_closure_is_dropped", None, model, &["Causality violation", "quiescent: dropped before"]);
}

#[test]
fn recycling_without_a_new_generation_is_convicted() {
    let model = || reuse_against_stale_call(tiny().with_mutation(Mutation::KeepGeneration));
    convict("recycling_without_a_new_generation", Some(2), model, &["issued twice"]);
}

#[test]
fn waiting_for_waiters_is_convicted() {
    let model = || self_revoke(Registry::new().with_mutation(Mutation::WaitForWaiters));
    convict("waiting_for_waiters", None, model, &["deadlock"]);
}

#[test]
fn forgetting_who_waits_is_convicted() {
    let model = || call_against_wait(Registry::new().with_mutation(Mutation::SkipWakeUp));
    convict("forgetting_who_waits", None, model, &["deadlock"]);
}

//! The model engine: programs on the same subjects in every interleaving, the C library inside loom with the Rust side.
#![cfg(feature = "harness")]

mod support;

use latecall::engine::Engine;
use latecall::engine::model::programs::{Size, all};
use latecall::engine::model::{Explored, Model, Side, explore, without_gates};
use latecall::engine::report::Report;
use latecall::engine::run::RunError;
use latecall::ledger::{Contract, ViolationKind};
use latecall::program::{Program, Verb};
use latecall::subject::{Env, Offer, OpenError, Session, Subject};
use latecall_bundled::catalogue;
use latecall_bundled::emitter::{Api, Mode};
use latecall_bundled::flawed::FLAWS;
use latecall_explore::{Bound, Extent, Options, Repeats};
use latecall_fixtures as _;
use std::ffi::c_void;
use std::time::Duration;

#[global_allocator]
static ALLOCATOR: latecall::ledger::Quarantine = latecall::ledger::Quarantine::new();

fn subject(name: &str) -> impl Subject + use<> {
    catalogue::find(name, Api::linked()).unwrap_or_else(|| panic!("{name}")).subject
}

fn program(text: &str) -> Program {
    Program::parse(text).unwrap_or_else(|error| panic!("{error}"))
}

const LONG: Duration = Duration::from_secs(600);

/// Two threads, after `a` was registered.
fn two(one: &str, other: &str) -> Program {
    program(&format!("callback a\nbefore\n  register a\nthread\n  {one}\nthread\n  {other}\n"))
}

fn search(program: &Program, subject: &dyn Subject, options: &Options) -> Explored {
    explore(program, subject, options, &mut |_| {}).unwrap_or_else(|error| panic!("{}: {error}", subject.name()))
}

/// Every flaw that the model has to convict, by its own program, without the gates that force the order.
#[test]
fn every_flaw_is_convicted_without_the_gates_that_force_the_order() {
    let mut convicted = 0;
    for flaw in FLAWS.iter().filter(|flaw| flaw.known.convicted_by.contains(&"model")) {
        let program = without_gates(&program(flaw.known.program));
        assert!(program.gates.is_empty(), "{}", flaw.known.name);
        let explored = search(&program, &flaw.subject(Api::linked()), &left().max_interleavings(100_000));
        let violation = explored.violation.unwrap_or_else(|| panic!("{}: {}", flaw.known.name, explored.exploration));
        assert!(flaw.known.convicted_of.contains(&violation.kind), "{}: {violation}", flaw.known.name);
        let finding = explored.exploration.finding.expect("a conviction has a finding");
        assert!(!finding.not_reproduced, "{}: {finding}", flaw.known.name);
        convicted += 1;
    }
    // All but the flaw that kills its process.
    assert_eq!(convicted, FLAWS.len() - 1);
}

#[test]
fn a_conviction_shows_both_sides_in_the_words_of_the_program() {
    let flaw = FLAWS.iter().find(|flaw| flaw.known.name == "flawed/no-wait").expect("a flaw");
    let subject = flaw.subject(Api::linked());
    let once = || search(&two("fire a 1 2", "revoke_and_wait a"), &subject, &Options::new());
    let (first, second) = (once(), once());
    let timeline = |explored: &Explored| explored.exploration.finding.as_ref().map(|it| it.timeline.clone());
    let text = timeline(&first).expect("a conviction");
    for expected in ["| main", "| t1", "| t2", "fire a 1 2", "enters a", "revoke_and_wait a answers quiescent"] {
        assert!(text.contains(expected), "no {expected:?}:\n{text}");
    }
    // C functions and Rust functions, each with file and line.
    assert!(text.contains("emi_enter: locks") && text.contains("(frame.c:"), "{text}");
    assert!(text.contains("Entry::call: locks") && text.contains("(locked.rs:"), "{text}");
    let last = text.lines().last().unwrap_or_default();
    assert!(last.starts_with("RunningAfterQuiescence: "), "the violation is at the bottom:\n{text}");
    assert_eq!(timeline(&second), Some(text), "the same program, another interleaving");
    assert_eq!(first.side, Some(Side::Boundary));
}

fn left() -> Options {
    Options::new().repeats(Repeats::Pruned)
}

/// Explores programs to the end. Answers how many there were.
fn exhaust(subject: &dyn Subject, programs: &[Program]) -> usize {
    for program in programs {
        let name = format!("{} {program}", subject.name());
        let found = search(program, subject, &left());
        assert_eq!(found.violation, None, "{name}: {}", found.exploration);
        assert_eq!(found.exploration.extent, Extent::Exhausted, "{name}: {}", found.exploration);
        assert!(found.calls > 0, "{name}: nothing was called in {} interleavings", found.exploration.interleavings);
    }
    programs.len()
}

/// For each mode of the library over a plain locked map, its own thread included.
#[test]
fn programs_of_two_ops_are_exhausted_in_each_mode_over_a_locked_map() {
    let mut explored = 0;
    for mode in Mode::ALL {
        let subject = subject(&format!("locked/{}", mode.name()));
        explored += exhaust(&subject, &all(subject.offer().verbs, Size { ops: 2, in_a_thread: 1 }));
    }
    assert!(explored >= 32, "{explored} programs");
}

/// The same with three ops, where the library calls on the program's threads.
#[test]
fn programs_of_three_ops_without_library_threads_are_exhausted_in_each_mode_over_a_locked_map() {
    let mut explored = 0;
    for mode in Mode::ALL {
        let subject = subject(&format!("locked/{}", mode.name()));
        let mut programs = all(subject.offer().verbs, Size { ops: 3, in_a_thread: 2 });
        programs.retain(|program| !program.verbs().contains(Verb::Post)); // a minute for each mode
        explored += exhaust(&subject, &programs);
    }
    assert!(explored >= 100, "{explored} programs");
}

#[path = "model_engine/in_a_process.rs"]
mod in_a_process;

/// Pruning loses nothing: a search that prunes interleavings which repeat others, and a search that does not, have the
/// same different interleavings.
#[test]
fn leaving_repeats_loses_no_interleaving() {
    for (name, one, other) in [
        ("locked/waits", "fire a 1 2", "revoke a"),
        ("locked/waits", "post a 1 2", "revoke a"),
        ("locked/queued", "fire a 1 2\n  revoke_and_wait a", "fire a 1 2"),
        ("locked/returns", "fire a 1 2", "fire a 1 2\n  revoke a"),
        ("locked/once", "fire a 1 2\n  revoke a", "revoke_and_wait a"),
        ("locked/table", "post a 1 2", "revoke_and_wait a"),
    ] {
        let (subject, program) = (subject(name), two(one, other));
        let counted = search(&program, &subject, &Options::new().repeats(Repeats::Counted)).exploration;
        let left = search(&program, &subject, &left()).exploration;
        let different = |it: &latecall_explore::Exploration| (it.extent.clone(), it.interleavings - it.repeats);
        assert_eq!(different(&left), different(&counted), "{name} {program}");
        assert!(left.interleavings < counted.interleavings, "{name} {program}: {left}");
        assert_eq!(search(&program, &subject, &Options::new()).exploration.interleavings, counted.interleavings);
    }
}

/// For each mode over the registry, within a bound that is named.
#[test]
fn programs_of_two_ops_are_clean_in_each_mode_over_the_registry_bounded_by_one_preemption() {
    for mode in Mode::ALL {
        let subject = subject(&format!("registry/{}", mode.name()));
        for program in all(subject.offer().verbs, Size { ops: 2, in_a_thread: 1 }) {
            let found = search(&program, &subject, &Options::new().preemptions(1));
            assert_eq!(found.violation, None, "{} {program}\n{}", subject.name(), found.exploration);
            let bound = Extent::BoundedBy(Bound::Preemptions(1));
            assert_eq!(found.exploration.extent, bound, "{} {program}", subject.name());
            assert!(found.calls > 0, "{} {program}", subject.name());
        }
    }
}

/// Mutants of the library, by the names of the header: see `native/tests/model/mutants.rs`.
macro_rules! symbol {
    ($wanted:ident, $mutant:ident, $symbol:literal) => {{
        unsafe extern "C-unwind" {
            #[link_name = concat!("mutant_", stringify!($mutant), "_", $symbol)]
            fn function();
        }
        if $wanted == $symbol {
            return function as *mut c_void;
        }
    }};
}

macro_rules! mutants {
    ($($mutant:ident)*) => { $(
        mod $mutant {
            use super::{Api, c_void};

            fn find(wanted: &'static str) -> *mut c_void {
                symbol!(wanted, $mutant, "emitter_abi_version");
                symbol!(wanted, $mutant, "emitter_open");
                symbol!(wanted, $mutant, "emitter_close");
                symbol!(wanted, $mutant, "emitter_subscribe");
                symbol!(wanted, $mutant, "emitter_subscribe_table");
                symbol!(wanted, $mutant, "emitter_unsubscribe");
                symbol!(wanted, $mutant, "emitter_unsubscribe_nowait");
                symbol!(wanted, $mutant, "emitter_replace");
                symbol!(wanted, $mutant, "emitter_fire");
                symbol!(wanted, $mutant, "emitter_send");
                symbol!(wanted, $mutant, "emitter_post");
                symbol!(wanted, $mutant, "emitter_barrier");
                symbol!(wanted, $mutant, "emitter_live");
                symbol!(wanted, $mutant, "emitter_in_flight");
                symbol!(wanted, $mutant, "emitter_invoke");
                symbol!(wanted, $mutant, "emitter_enumerate");
                symbol!(wanted, $mutant, "emitter_status_text");
                panic!("{wanted} is not among its functions")
            }

            pub(super) fn api() -> &'static Api {
                // SAFETY: 1. `find` returns the functions of the library's own sources, in which one text is changed
                // and which are linked under these names.
                unsafe { Api::instrumented(find) }
            }
        }
    )* };
}

mutants! { forgets_to_wait counts_out_early signals_first waits_too_late notifies_early }

/// A bundled subject whose twin is over another library.
struct Over {
    name: &'static str,
    api: &'static Api,
}

impl Subject for Over {
    fn name(&self) -> &str {
        self.name
    }

    fn offer(&self) -> Offer {
        subject(self.name).offer()
    }

    fn contract(&self) -> Contract {
        subject(self.name).contract()
    }

    fn modelled(&self) -> Option<Box<dyn Subject>> {
        catalogue::modelled_over(self.name, self.api)
    }

    fn open(&self, _: &Env) -> Result<Box<dyn Session>, OpenError> {
        Err(OpenError::new("for the model only"))
    }
}

/// A mutant is convicted by a program for which the library itself is clean.
#[track_caller]
fn only_the_mutant_is_convicted(
    name: &'static str,
    program: &Program,
    mutant: &'static Api,
    of: &[ViolationKind],
    side: Side,
) {
    let options = Options::new().preemptions(2);
    let sound = search(program, &Over { name, api: Api::modelled() }, &options);
    assert_eq!(sound.violation, None, "{program}\n{}", sound.exploration);
    let found = search(program, &Over { name, api: mutant }, &options);
    let violation = found.violation.unwrap_or_else(|| panic!("{program}\n{}", found.exploration));
    assert!(of.contains(&violation.kind), "{violation}\n{}", found.exploration);
    assert_eq!(found.side, Some(side), "{violation}\n{}", found.exploration);
}

// The store of `flawed/freed-by-self` frees a callback when `unsubscribe` has returned. In this mode of the library
// that is correct, unless a callback unsubscribes itself.
const TRUSTS_THE_LIBRARY: &str = "flawed/freed-by-self";

#[test]
fn a_library_that_forgets_to_wait_is_convicted_at_the_boundary() {
    use ViolationKind::{FreedInFlight, LateCall};
    let program = two("fire a 1 2", "revoke_and_wait a");
    let kinds = [FreedInFlight, LateCall];
    only_the_mutant_is_convicted(TRUSTS_THE_LIBRARY, &program, forgets_to_wait::api(), &kinds, Side::Boundary);
}

#[test]
fn a_library_that_counts_a_call_out_too_early_is_convicted_at_the_boundary() {
    use ViolationKind::{FreedInFlight, LateCall};
    let program = two("fire a 1 2", "revoke_and_wait a");
    let kinds = [FreedInFlight, LateCall];
    only_the_mutant_is_convicted(TRUSTS_THE_LIBRARY, &program, counts_out_early::api(), &kinds, Side::Boundary);
}

#[test]
fn a_library_that_signals_before_the_predicate_is_set_is_convicted_of_a_deadlock_of_its_own() {
    let program = program("callback a\nbefore\n  register a\nthread\n  post a 1 2\n");
    only_the_mutant_is_convicted("locked/waits", &program, signals_first::api(), &[ViolationKind::Deadlock], Side::C);
}

#[test]
fn a_library_that_waits_too_late_is_convicted_of_a_deadlock_of_its_own() {
    let program = two("fire a 1 2", "unsubscribe a");
    only_the_mutant_is_convicted("locked/waits", &program, waits_too_late::api(), &[ViolationKind::Deadlock], Side::C);
}

/// The store of `flawed/leak-on-refusal` frees a callback in the destroy notify. In this mode of the library that is
/// correct, unless the library refuses the callback.
#[test]
fn a_library_that_notifies_while_a_call_is_in_flight_is_convicted_at_the_boundary() {
    use ViolationKind::{FreedInFlight, LateCall};
    let (program, kinds) = (two("fire a 1 2", "unsubscribe a"), [FreedInFlight, LateCall]);
    only_the_mutant_is_convicted("flawed/leak-on-refusal", &program, notifies_early::api(), &kinds, Side::Boundary);
}

#[test]
fn what_cannot_be_explored_says_so_before_the_search() {
    let error = |program: &Program, subject: &dyn Subject| {
        let mut watch = |interleavings| panic!("a search was begun: {interleavings} interleavings");
        match explore(program, subject, &Options::new(), &mut watch) {
            Err(error @ RunError::NotOffered(_)) => error.to_string(),
            other => panic!("{other:?}"),
        }
    };
    let threads = "thread\n  post a\n".repeat(4);
    let many = program(&format!("callback a\nbefore\n  register a\n{threads}"));
    let text = error(&many, &subject("registry/waits"));
    assert!(text.contains("needed 6 (main") && text.contains("give the program fewer threads"), "{text}");
    let program = two("fire a", "revoke a");
    let crashes = FLAWS.iter().find(|flaw| flaw.crashes).expect("a flaw").subject(Api::linked());
    let text = error(&program, &crashes);
    assert!(text.contains("flawed/unmapped has no twin for the model engine"), "{text}");
}

#[test]
fn a_search_that_ran_nothing_is_not_clean() {
    let report: Report = Model::new(Vec::new()).check(&subject("registry/waits"), &mut |_| {});
    assert!(!report.is_clean() && !report.exhausted, "{report:?}");
}

#[test]
fn a_search_that_was_cut_short_does_not_say_exhausted() {
    let programs = vec![two("fire a", "revoke a")];
    let subject = subject("locked/returns");
    let model = |most| Model::new(programs.clone()).max_interleavings(most).preemptions(None).time(LONG);
    let cut = model(10).check(&subject, &mut |_| {});
    assert!(cut.is_clean() && !cut.exhausted && cut.bounded_by.contains("10 interleavings"), "{cut:?}");
    assert_eq!(cut.runs, 10);
    let late = model(10).time(Duration::ZERO).check(&subject, &mut |_| {});
    assert!(!late.is_clean() && late.bounded_by.contains("1 not begun within 0 s"), "{late:?}");
    let mut told = 0;
    let whole = model(1_000_000).check(&subject, &mut |_| told += 1);
    assert!(whole.is_clean() && whole.exhausted, "{whole:?}");
    assert_eq!(whole.bounded_by, "programs: 1 exhausted");
    assert!(told > 0, "no progress");
    // A search that its limit on runs cuts short is followed by a second one with a limit on preemptions. `runs` counts
    // the runs of both.
    let twice = model(10).preemptions(Some(1)).check(&subject, &mut |_| {});
    assert!(twice.is_clean() && !twice.exhausted && twice.bounded_by.contains("1 preemption"), "{twice:?}");
    assert!(twice.runs > 10 && twice.runs < whole.runs, "{} of {} runs", twice.runs, whole.runs);
}

#[test]
fn a_search_without_time_runs_one_interleaving() {
    let program = two("fire a", "revoke a");
    let found = search(&program, &subject("locked/waits"), &Options::new().max_duration(Duration::ZERO));
    assert_eq!(found.exploration.interleavings, 1);
    assert_eq!(found.exploration.extent, Extent::BoundedBy(Bound::Duration(Duration::ZERO)));
}

/// A finding is searched for once more, to record its timeline. The second search counts nothing twice, and no limit of
/// time ends it.
#[test]
fn a_conviction_is_counted_once_and_found_again_without_time() {
    let flaw = FLAWS.iter().find(|flaw| flaw.known.name == "flawed/check-then-call").expect("a flaw");
    let found =
        search(&two("fire a", "revoke a"), &flaw.subject(Api::linked()), &Options::new().max_duration(Duration::ZERO));
    let finding = found.exploration.finding.expect("in the first interleaving");
    assert!(!finding.not_reproduced && finding.interleaving == 1, "{finding}");
    assert_eq!(found.calls, 1, "one interleaving, one call");
}

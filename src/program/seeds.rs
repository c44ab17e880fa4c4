//! The seed programs, written by hand: each shows one hazard and says what each op must answer.
//!
//! Every sound subject that offers the ops of a seed must run it without a violation. The replay engine checks this in
//! each gate.

use super::Program;

/// A seed program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Seed {
    /// The name, which says what the program is about.
    pub name: &'static str,
    /// The scenarios that the program covers, by their numbers in `docs/scenarios.md`.
    pub scenarios: &'static [&'static str],
    /// The text of the program.
    pub text: &'static str,
}

macro_rules! seeds {
    ($($name:literal: [$($scenario:literal),*],)+) => {
        /// All seeds, in alphabetical order.
        pub static SEEDS: &[Seed] = &[$(
            Seed {
                name: $name,
                scenarios: &[$($scenario),*],
                text: include_str!(concat!("seeds/", $name, ".latecall")),
            },
        )+];
    };
}

seeds! {
    "anothers_user_data": ["S96"],
    "destroy_notify_before_the_queue_drains": ["S47"],
    "destroy_notify_misbehaves": [],
    "destroy_notify_never_comes": [],
    "fired_on_several_threads_at_once": [],
    "late_calls_of_each_kind": [],
    "s01_enumeration_kept_after_all": ["S01"],
    "s01_enumeration_stops_early": ["S01"],
    "s02_call_scoped_use": ["S02"],
    "s02_pressure_between_hand_out_and_call": ["S02"],
    "s03_retained_then_unregistered_then_released": ["S03"],
    "s04_collected_callback_is_called": ["S04"],
    "s05_released_before_unregistered": ["S05"],
    "s07_table_copied_by_value": ["S07"],
    "s09_same_target_twice": ["S09"],
    "s12_revoked_twice": ["S12"],
    "s16_revoked_before_it_starts": ["S16"],
    "s17_revoked_while_running": ["S17"],
    "s18_waited_for_while_running": ["S18"],
    "s19_nobody_else_is_waited_for": ["S19"],
    "s20_revoke_races_the_first_call": ["S20"],
    "s21_stalled_before_it_is_looked_up": ["S21"],
    "s21_stalled_before_the_call": ["S21"],
    "s22_stalled_after_it_returned": ["S22"],
    "s23_slot_listed_while_called": ["S23"],
    "s24_three_in_flight": ["S24"],
    "s26_two_revokers": ["S26"],
    "s31_replaced_while_running": ["S31"],
    "s34_barrier_drains": ["S34"],
    "s34_queued_and_revoked": ["S34"],
    "s37_revokes_itself": ["S37"],
    "s38_revokes_an_outer_frame": ["S38"],
    "s39_revokes_another_before_it_runs": ["S39"],
    "s43_nested_in_itself": ["S43"],
    "s44_registers_while_running": ["S44"],
    "s45_closes_the_library_from_inside": ["S45"],
    "s48_registration_out_of_memory": ["S48"],
    "s48_registration_over_capacity": ["S48", "S89"],
    "s50_fn_mut_entered_twice": ["S50"],
    "s51_one_shot_fired_twice": ["S51"],
    "s57_called_from_a_tls_destructor": ["S57"],
    "s60_confined_and_called_elsewhere": ["S60"],
    "s62_panics": ["S62"],
    "s63_panics_while_waited_for": ["S63"],
    "s76_fired_on_close": ["S76"],
    "s85_slot_with_a_new_tenant": ["S85"],
    "s90_churn": ["S90"],
    "s91_tombstones_flushed": ["S84", "S91"],
}

impl Seed {
    /// Parses the text.
    ///
    /// # Panics
    ///
    /// If the text is not a program. A test parses every seed.
    pub fn program(&self) -> Program {
        Program::parse(self.text).unwrap_or_else(|error| panic!("the seed {} is not a program: {error}", self.name))
    }
}

//! Engines: each runs programs on a subject, and reports what that proved.
//!
//! How the parts fit:
//!
//! * [`run`]: one program, once, with real threads; `gates` and `monitor` are its parts. Every engine here goes through it.
//! * [`replay`]: the programs that somebody wrote or kept, each until it has been seen to be clean or not.
//! * [`property`]: generated programs, shrunk and kept when they fail.
//! * [`stress`]: programs of two and more threads, many times, disturbed at the stall sites.
//! * [`report`]: what an engine found.
//!
//! Not here: which subjects and engines make a gate, and what is printed (`gate`, `report`).

mod gates;
mod monitor;
pub mod run;

use crate::ledger::{Verdict, Violation, ViolationKind};

/// Callbacks that `churn` made are not in the program; that each of them was freed is checked here.
fn churned(verdict: &mut Verdict, (made, dropped): (u32, u32), end: usize) {
    let kind = match made.cmp(&dropped) {
        std::cmp::Ordering::Equal => return,
        std::cmp::Ordering::Greater => ViolationKind::Leak,
        std::cmp::Ordering::Less => ViolationKind::DoubleDrop,
    };
    let text = format!("of {made} callbacks that `churn` registered and revoked, {dropped} were freed");
    verdict.violations.push(Violation { kind, callback: None, text, proof: end.checked_sub(1).into_iter().collect() });
}

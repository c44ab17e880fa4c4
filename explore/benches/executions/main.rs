//! What exploring Rust code costs, beside loom.
//!
//! Each program is compiled twice from one source, for this crate and for loom. Rounds of the two alternate, and the
//! fastest round of each counts, because other work on the machine only ever adds time. Then: an event's cost in
//! executions of different lengths, and the memory of a search of a million executions.
//!
//! `cargo bench -p latecall-explore --bench executions [programs | growth | memory]`. Takes a minute and a half. Exit
//! code 1 if a goal is missed.

mod growth;
mod memory;
mod programs;

use std::process::ExitCode;

fn main() -> ExitCode {
    let parts: Vec<String> = std::env::args().skip(1).filter(|it| !it.starts_with('-')).collect();
    let wanted = |part: &str| parts.is_empty() || parts.iter().any(|it| it == part);
    let mut reached = true;
    if wanted("programs") {
        reached &= programs::print();
    }
    if wanted("growth") {
        reached &= growth::print();
    }
    if wanted("memory") {
        reached &= memory::print();
    }
    if reached { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

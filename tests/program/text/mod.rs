//! The text form: what parses prints back to itself, and what does not parse is answered with the place and the reason.
//!
//! Not here: what a program does when it runs.

mod garbage;
mod meaning;
mod page;
mod refused_layout;
mod refused_ops;
mod rules;

use latecall::program::{Expect, Op, Program, Step};

/// A program with some of everything.
const EXAMPLE: &str = "\
subject registry/waits
hostile late
fail_allocation 3
capacity 2
callback a counting exclusive
  hold g
  nth 2 revoke a
callback b
before
  register a b
  fire a 243 257 = 501
thread
  fire a
thread
  reach g
  revoke a = in_flight(1)
  open g
after
  fire a = late
";

fn step(op: Op) -> Step {
    Step::from(op)
}

fn expecting(op: Op, expect: Expect) -> Step {
    let mut step = step(op);
    step.expect = Some(expect);
    step
}

/// What the parser says to each text, in one piece.
fn errors(texts: &[&str]) -> String {
    let said = texts.iter().map(|text| match Program::parse(text) {
        Ok(program) => format!("parsed:\n{program}"),
        Err(error) => error.to_string(),
    });
    said.collect::<Vec<_>>().join("\n\n")
}

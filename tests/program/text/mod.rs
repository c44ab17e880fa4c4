//! The text form: a program prints back to itself, and a text that is no program gets an error with the place and the
//! reason. The tests of the engines run programs.

mod garbage;
mod meaning;
mod page;
mod refused_layout;
mod refused_ops;
mod rules;

use latecall::program::{Expect, Op, Program, Step};

/// A program with some of every part of the language.
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

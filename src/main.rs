//! The `latecall` command.
fn main() {}

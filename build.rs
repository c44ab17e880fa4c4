//! Builds what the harness links; nothing for the registry alone.
fn main() {}

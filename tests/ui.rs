//! Code that must not compile. Each file under `tests/ui/` says which bug it would be.

#[test]
fn what_must_not_compile() {
    trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
}

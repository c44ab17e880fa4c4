//! What must not compile. Each file under `tests/ui/` says why it would be bad if it did.

#[test]
fn what_must_not_compile() {
    trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
}

//! `docs/thunk.md` names the test that shows each promise: every name on the page is one of a test that exists.

use std::path::Path;

#[test]
fn every_test_on_the_page_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut sources = String::new();
    for folder in ["tests", "tests/thunk", "src/thunk"] {
        for entry in std::fs::read_dir(root.join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|ext| ext == "rs") {
                sources += &std::fs::read_to_string(path).unwrap();
            }
        }
    }
    let page = include_str!("../../docs/thunk.md");
    let mut tests = 0;
    for word in page.lines().flat_map(|line| line.split('`').skip(1).step_by(2)) {
        let is_name = word.matches('_').count() >= 3
            && word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
        let is_made = sources.contains(&format!("    {word}: \"C\""));
        if is_name && !is_made {
            assert!(sources.contains(&format!("fn {word}()")), "{word}");
            tests += 1;
        } else if word.contains('/') && !word.contains([' ', '*', ':']) {
            assert!(root.join(word).exists(), "{word}");
        }
    }
    assert!(tests > 20, "only {tests}: the page is not read as it should be");
}

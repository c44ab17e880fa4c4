//! `docs/registry.md` names the test that shows each promise: every name on the page is one of a test that exists.

use std::path::Path;

fn sources() -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut text = String::new();
    for folder in ["tests", "tests/registry", "src/registry", "src/signature", "src/capi", "native/include"] {
        for entry in std::fs::read_dir(root.join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|ext| ext == "rs" || ext == "h") {
                text += &std::fs::read_to_string(path).unwrap();
            }
        }
    }
    text
}

/// The words between backticks, and between single asterisks.
fn quoted(page: &str) -> Vec<&str> {
    let ticks = page.lines().flat_map(|line| line.split('`').skip(1).step_by(2));
    let stars = page.lines().flat_map(|line| line.split('*').skip(1).step_by(2));
    ticks.chain(stars).collect()
}

#[test]
fn every_test_on_the_page_exists() {
    let (page, sources) = (include_str!("../../docs/registry.md"), sources());
    let is_name = |word: &&str| word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    let mut tests = 0;
    for word in quoted(page).into_iter().filter(is_name).filter(|word| word.matches('_').count() >= 3) {
        tests += usize::from(sources.contains(&format!("fn {word}(")));
        let verb = sources.contains(&format!("pub fn {word}(")) || sources.contains(&format!("pub const fn {word}("));
        // A test takes nothing, or what proptest makes for it.
        let test = ["\nfn {}()", "    fn {}()"].iter().any(|form| sources.contains(&form.replace("{}", word)))
            || sources.lines().any(|line| line.starts_with(&format!("    fn {word}(")) && line.contains(" in "));
        assert!(verb || test, "{word}");
    }
    assert!(tests > 100, "found only {tests} names of tests in docs/registry.md: does this test still parse the page?");
}

#[test]
fn every_file_on_the_page_exists() {
    let page = include_str!("../../docs/registry.md");
    let is_path = |word: &&str| word.contains('/') && !word.contains(['*', ' ', ':']);
    for word in quoted(page).into_iter().filter(is_path) {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(word);
        assert!(path.exists(), "{word}");
    }
}

/// The semantics table has no empty cell in its last column.
#[test]
fn every_row_names_what_shows_it() {
    let page = include_str!("../../docs/registry.md");
    let mut rows = 0;
    for line in page.lines().filter(|line| line.starts_with('|') && !line.starts_with("| ---")) {
        let cells: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
        assert!(!cells.last().unwrap().is_empty(), "{line}");
        rows += 1;
    }
    assert!(rows > 60, "only {rows}");
}

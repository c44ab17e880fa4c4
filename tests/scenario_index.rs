//! `docs/scenarios.md` says which files cover each scenario. Each file that it names cites the scenario, and no
//! scenario that the project promises to cover is missing.

use std::path::Path;

/// The scenarios that have to be on the page.
const PROMISED: [u8; 34] = [
    1, 2, 3, 4, 5, 6, 9, 10, 11, 12, 16, 17, 18, 19, 20, 24, 25, 26, 37, 38, 39, 43, 44, 45, 46, 48, 84, 85, 86, 87,
    88, 89, 90, 91,
];

fn rows() -> Vec<(String, Vec<String>)> {
    let page = include_str!("../docs/scenarios.md");
    let rows = page.lines().filter_map(|line| line.strip_prefix("| S"));
    let row = |row: &str| {
        let (number, files) = row.split_once(" | ")?;
        let files = files.split('`').skip(1).step_by(2).map(str::to_owned).collect();
        Some((number.trim().to_owned(), files))
    };
    rows.filter(|row| row.starts_with(|c: char| c.is_ascii_digit())).filter_map(row).collect()
}

/// Whether `text` cites the scenario: `S100` is no citation of `S10`.
fn cites(text: &str, number: &str) -> bool {
    let name = format!("S{number}");
    let mut rest = text.match_indices(&name).map(|(at, _)| &text[at + name.len()..]);
    rest.any(|rest| !rest.starts_with(|c: char| c.is_ascii_digit()))
}

#[test]
fn a_longer_number_is_no_citation() {
    assert!(cites("S10, S100", "10") && !cites("S100", "10") && !cites("S1, S01", "10"));
}

#[test]
fn every_file_on_the_page_cites_its_scenario() {
    for (number, files) in rows() {
        assert!(!files.is_empty(), "S{number}: no file");
        for file in files {
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(&file);
            let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("S{number}: {file}: {error}"));
            assert!(cites(&text, &number), "{file} does not cite S{number}");
        }
    }
}

#[test]
fn every_promised_scenario_is_on_the_page() {
    let numbers: Vec<String> = rows().into_iter().map(|(number, _)| number).collect();
    for promised in PROMISED {
        assert!(numbers.contains(&format!("{promised:02}")), "S{promised:02} is not on the page");
    }
}

//! `docs/program.md` describes what the parser does: its programs parse, its error is the parser's, and it has every
//! word.

use latecall::program::{Hostile, Program, Site, Verb, valid::answers};

const PAGE: &str = include_str!("../../../docs/program.md");

#[test]
fn every_program_on_the_language_page_parses() {
    let blocks: Vec<&str> = PAGE.split("```").skip(1).step_by(2).collect();
    assert!(blocks.len() >= 4);
    for block in blocks {
        let program = block.strip_prefix("latecall\n").expect("every fenced block is a program");
        assert!(Program::parse(program).is_ok_and(|program| !program.is_empty()), "{program}");
    }
    let error = Program::parse("callback a\nbefore\n  revok a\n").unwrap_err();
    let shown = error.to_string().replace('\n', "\n    ");
    assert!(PAGE.contains(&shown), "{shown}");
}

#[test]
fn the_language_page_has_a_row_for_every_word() {
    let rows: Vec<&str> = PAGE.lines().filter_map(|line| line.strip_prefix("| `")).collect();
    let row = |word: &str| {
        let starts = |row: &&&str| row.strip_prefix(word).is_some_and(|rest| rest.starts_with([' ', '`', '(']));
        *rows.iter().find(starts).unwrap_or_else(|| panic!("no row for `{word}`"))
    };
    let names = Hostile::ALL.iter().map(|hostile| hostile.name()).chain(Site::ALL.iter().map(|site| site.name()));
    names
        .chain(["sum", "counting", "late", "in_flight", "subject", "fail_allocation"])
        .for_each(|word| assert!(!row(word).is_empty()));
    for verb in Verb::ALL {
        let last = row(verb.name()).trim_end_matches(" |").rsplit(" | ").next().unwrap_or_default();
        let listed = answers(*verb).iter().map(|answer| match *answer {
            "value" => "a number".to_owned(),
            answer => format!("`{answer}`"),
        });
        let listed = listed.collect::<Vec<_>>().join(", ");
        assert!(listed.is_empty() || last == listed, "`{verb}` answers {listed}; the page says {last}");
    }
}

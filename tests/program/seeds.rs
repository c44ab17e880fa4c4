//! The seed programs as texts: each file is listed, is a program, and says in its first comment what it covers.

use std::collections::BTreeSet;
use std::path::Path;

use latecall::program::seeds::SEEDS;
use latecall::program::validate;

#[test]
fn every_file_is_a_seed_and_every_seed_is_named_once_in_order() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/program/seeds");
    let files: BTreeSet<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .map(|name| name.strip_suffix(".latecall").unwrap_or_else(|| panic!("{name} is no program")).to_owned())
        .collect();
    assert!(SEEDS.iter().map(|seed| seed.name).eq(files.iter().map(String::as_str)));
}

#[test]
fn every_seed_is_a_program_whose_comment_names_its_scenarios() {
    for seed in SEEDS {
        assert_eq!(validate(&seed.program()), Ok(()), "{}", seed.name);
        assert!(!seed.program().is_empty(), "{}", seed.name);
        let comment: String = seed.text.lines().take_while(|line| line.starts_with('#')).collect();
        assert!(comment.len() > 10, "{} has no comment", seed.name);
        for scenario in seed.scenarios {
            assert!(comment.contains(scenario), "{}: the comment does not name {scenario}", seed.name);
        }
    }
}
